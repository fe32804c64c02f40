# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/iommu-pages.c and .h (Linux 7.2): memory that an IOMMU walks.

Leaves out: lists of pages, IOMMUs that do not snoop (``iommu_pages_start_incoherent``),
``struct ioptdesc``, of which only the order is used, and accounting (NR_IOMMU_PAGES,
NR_SECONDARY_PAGETABLE).
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.page import virt_to_page
from kmm.include.linux.gfp import __free_pages, alloc_pages
from kmm.include.linux.gfp_types import __GFP_COMP, __GFP_ZERO
from kmm.include.linux.mm import compound_order, page_address
from kmm.include.linux.types import gfp_t
from kmm.mm.page_alloc import get_order


def iommu_alloc_pages_node_sz(nid: int, gfp: gfp_t, size: int) -> int | None:
    """Allocate zeroed memory that is a power of two in size, and aligned to it.

    :param nid: ``int``, NUMA node.
    :param size: ``size_t``, bytes; rounded up to a power of two of pages.
    :return: ``void *``, a direct-map address, or NULL.
    :context: as *gfp* says.
    """
    order = get_order(size)

    folio = alloc_pages(gfp_t(gfp | __GFP_ZERO | __GFP_COMP), order)
    if not folio:
        return None

    return page_address(folio)


def iommu_free_pages(virt: int | None) -> None:
    """Free memory of :func:`iommu_alloc_pages_node_sz`; NULL is ignored."""
    if not virt:
        return
    page = virt_to_page(virt)
    __free_pages(page, compound_order(page))
