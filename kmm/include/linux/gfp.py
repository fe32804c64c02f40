# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/gfp.h (Linux 7.2), without nodes, zones and migration types."""

from __future__ import annotations

from kmm.include.linux.gfp_types import (
    __GFP_ACCOUNT,
    __GFP_COMP,
    __GFP_DIRECT_RECLAIM,
    __GFP_DMA,
    __GFP_DMA32,
    __GFP_FS,
    __GFP_HARDWALL,
    __GFP_HIGH,
    __GFP_HIGHMEM,
    __GFP_IO,
    __GFP_KSWAPD_RECLAIM,
    __GFP_MEMALLOC,
    __GFP_MOVABLE,
    __GFP_NO_OBJ_EXT,
    __GFP_NOFAIL,
    __GFP_NOLOCKDEP,
    __GFP_NOMEMALLOC,
    __GFP_NORETRY,
    __GFP_NOWARN,
    __GFP_RECLAIM,
    __GFP_RECLAIMABLE,
    __GFP_RETRY_MAYFAIL,
    __GFP_SKIP_KASAN,
    __GFP_SKIP_ZERO,
    __GFP_THISNODE,
    __GFP_WRITE,
    __GFP_ZERO,
    __GFP_ZEROTAGS,
    GFP_ATOMIC,
    GFP_DMA,
    GFP_DMA32,
    GFP_HIGHUSER,
    GFP_HIGHUSER_MOVABLE,
    GFP_KERNEL,
    GFP_KERNEL_ACCOUNT,
    GFP_NOFS,
    GFP_NOIO,
    GFP_NOWAIT,
    GFP_TRANSHUGE,
    GFP_TRANSHUGE_LIGHT,
    GFP_USER,
    GFP_ZONEMASK,
)
from kmm.include.linux.types import gfp_t

NUMA_NO_NODE = -1


def gfpflags_allow_blocking(gfp_flags: gfp_t) -> bool:
    """Whether an allocation may sleep."""
    return bool(gfp_flags & __GFP_DIRECT_RECLAIM)


def numa_node_id() -> int:
    """The node of this CPU; there is one."""
    return 0


def alloc_page(gfp_mask: gfp_t) -> page | None:
    """One page, NULL if there is none."""
    return alloc_pages(gfp_mask, 0)


alloc_page_noprof = alloc_page


def __get_free_page(gfp_mask: gfp_t) -> int:
    """The address of one page, 0 if there is none."""
    return __get_free_pages(gfp_mask, 0)


def __free_page(page: page) -> None:
    """Drop a reference to one page."""
    __free_pages(page, 0)


def free_page(addr: int) -> None:
    """Drop a reference to the page at an address."""
    free_pages(addr, 0)


# Declared here, defined in mm/page_alloc.c:
from kmm.include.linux.mm_types import page
from kmm.mm.page_alloc import (
    __free_pages,
    __get_free_pages,
    alloc_pages,
    alloc_pages_exact,
    alloc_pages_node,
    alloc_pages_noprof,
    folio_alloc,
    free_pages,
    free_pages_exact,
    get_free_pages_noprof,
    get_zeroed_page,
    get_zeroed_page_noprof,
)

__all__ = [
    "GFP_ATOMIC",
    "GFP_DMA",
    "GFP_DMA32",
    "GFP_HIGHUSER",
    "GFP_HIGHUSER_MOVABLE",
    "GFP_KERNEL",
    "GFP_KERNEL_ACCOUNT",
    "GFP_NOFS",
    "GFP_NOIO",
    "GFP_NOWAIT",
    "GFP_TRANSHUGE",
    "GFP_TRANSHUGE_LIGHT",
    "GFP_USER",
    "GFP_ZONEMASK",
    "NUMA_NO_NODE",
    "__GFP_ACCOUNT",
    "__GFP_COMP",
    "__GFP_DIRECT_RECLAIM",
    "__GFP_DMA",
    "__GFP_DMA32",
    "__GFP_FS",
    "__GFP_HARDWALL",
    "__GFP_HIGH",
    "__GFP_HIGHMEM",
    "__GFP_IO",
    "__GFP_KSWAPD_RECLAIM",
    "__GFP_MEMALLOC",
    "__GFP_MOVABLE",
    "__GFP_NOFAIL",
    "__GFP_NOLOCKDEP",
    "__GFP_NOMEMALLOC",
    "__GFP_NORETRY",
    "__GFP_NOWARN",
    "__GFP_NO_OBJ_EXT",
    "__GFP_RECLAIM",
    "__GFP_RECLAIMABLE",
    "__GFP_RETRY_MAYFAIL",
    "__GFP_SKIP_KASAN",
    "__GFP_SKIP_ZERO",
    "__GFP_THISNODE",
    "__GFP_WRITE",
    "__GFP_ZERO",
    "__GFP_ZEROTAGS",
    "__free_page",
    "__free_pages",
    "__get_free_page",
    "__get_free_pages",
    "alloc_page",
    "alloc_page_noprof",
    "alloc_pages",
    "alloc_pages_exact",
    "alloc_pages_node",
    "alloc_pages_noprof",
    "folio_alloc",
    "free_page",
    "free_pages",
    "free_pages_exact",
    "get_free_pages_noprof",
    "get_zeroed_page",
    "get_zeroed_page_noprof",
    "gfp_t",
    "gfpflags_allow_blocking",
    "numa_node_id",
    "page",
]
