# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mm_inline.h (Linux 7.2), the count of gathers that have not flushed yet.

Left out: LRU lists, userfaultfd markers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct


def inc_tlb_flush_pending(mm: mm_struct) -> None:
    """One more gather may have changed entries that it has not flushed.

    Ordering comes from the page-table lock: whoever sees a changed entry under it sees the count.
    """
    atomic_inc(mm.tlb_flush_pending)


def dec_tlb_flush_pending(mm: mm_struct) -> None:
    """One gather has flushed."""
    atomic_dec(mm.tlb_flush_pending)


def mm_tlb_flush_pending(mm: mm_struct) -> bool:
    """Whether any gather is open."""
    return bool(atomic_read(mm.tlb_flush_pending))


def mm_tlb_flush_nested(mm: mm_struct) -> bool:
    """Whether another gather than the caller's is open, whether or not it changed anything."""
    return atomic_read(mm.tlb_flush_pending) > 1


# Needed only once something runs, so that headers may include each other:
from kmm.include.linux.atomic import atomic_dec, atomic_inc, atomic_read, atomic_set


def init_tlb_flush_pending(mm: mm_struct) -> None:
    """No gather is open in a new mm."""
    atomic_set(mm.tlb_flush_pending, 0)
