# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/vmstat.h and the node counters of include/linux/mmzone.h that tables touch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio

# enum node_stat_item, in part; the numbers are kmm's own.
NR_PAGETABLE = 0
NR_SECONDARY_PAGETABLE = 1
NR_IOMMU_PAGES = 2
NR_ANON_MAPPED = 3
NR_FILE_MAPPED = 4
NR_VM_NODE_STAT_ITEMS = 5


def lruvec_stat_add_folio(folio: folio, idx: int) -> None:
    """Count the pages of a folio."""
    lruvec_stat_mod_folio(folio, idx, folio_nr_pages(folio))


def lruvec_stat_sub_folio(folio: folio, idx: int) -> None:
    """Count the pages of a folio out."""
    lruvec_stat_mod_folio(folio, idx, -folio_nr_pages(folio))


def lruvec_stat_mod_folio(folio: folio, idx: int, val: int) -> None:
    """Count pages of the node of a folio."""
    if idx == NR_PAGETABLE:
        count_table(folio, val)
    mod_node_page_state(None, idx, val)


def inc_node_page_state(page: object, idx: int) -> None:
    """Count one page."""
    mod_node_page_state(None, idx, 1)


def dec_node_page_state(page: object, idx: int) -> None:
    """Count one page out."""
    mod_node_page_state(None, idx, -1)


# Declared here, defined there:
from kmm.include.linux.mm import folio_nr_pages
from kmm.mm.vmstat import count_table
from kmm.mm.vmstat import global_node_page_state as global_node_page_state
from kmm.mm.vmstat import mod_node_page_state as mod_node_page_state
from kmm.mm.vmstat import node_page_state as node_page_state
