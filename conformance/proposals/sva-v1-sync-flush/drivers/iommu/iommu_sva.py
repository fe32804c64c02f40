# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""v1: may sleep, and says so. The static key is the plain variable that later versions made of it."""

from kmm.include.linux.kernel import might_sleep


def iommu_sva_invalidate_kva_range(start: int, end: int) -> None:
    """Make every IOMMU forget what it cached of a kernel range, in every mm that is bound.

    :context: may sleep; takes ``iommu_sva_lock``.
    """
    might_sleep()

    if not iommu_sva_present:
        return

    mutex_lock(iommu_sva_lock)
    for iommu_mm in list_for_each_entry(iommu_mm_data, iommu_sva_mms, "mm_list_elm"):
        mmu_notifier_arch_invalidate_secondary_tlbs(iommu_mm.mm, start, end)
    mutex_unlock(iommu_sva_lock)
