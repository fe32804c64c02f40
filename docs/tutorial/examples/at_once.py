# overlay: mm/pgtable-generic.c
# SPDX-License-Identifier: GPL-2.0-only
"""Tell the IOMMU, then free, at once."""


def pagetable_free_kernel(pt):
    """Free a kernel table that no device can walk any more."""
    iommu_sva_invalidate_kva_range(PAGE_OFFSET(), TLB_FLUSH_ALL)
    __pagetable_free(pt)
