# SPDX-License-Identifier: GPL-2.0-only
"""Model of mm/rmap.c: map counts of small anonymous pages, and flushes that reclaim has put off.

Left out: everything that finds the mappings of a page, large folios, statistics.
``flush_tlb_batched_pending`` is a translation; nothing here puts flushes off yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.tlbflush import flush_tlb_mm
from kmm.include.linux.atomic import atomic_add_negative, atomic_cmpxchg, atomic_read, atomic_set
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE
from kmm.include.linux.page_flags import (
    ClearPageAnonExclusive,
    SetPageAnonExclusive,
    folio_test_large,
)
from kmm.include.linux.rmap import RMAP_EXCLUSIVE, anon_vma
from kmm.include.vdso.page import PAGE_SIZE

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio, mm_struct, page, vm_area_struct

TLB_FLUSH_BATCH_FLUSHED_SHIFT = 16
TLB_FLUSH_BATCH_PENDING_MASK = (1 << (TLB_FLUSH_BATCH_FLUSHED_SHIFT - 1)) - 1


def __anon_vma_prepare(vma: vm_area_struct) -> int:
    """Give a VMA its ``anon_vma``; always 0."""
    vma.anon_vma = anon_vma.zeroed()
    return 0


def flush_tlb_batched_pending(mm: mm_struct) -> None:
    """Catch up with flushes that reclaim has put off, before page tables change under them.

    :context: page-table lock held.
    """
    batch = atomic_read(mm.tlb_flush_batched)
    pending = batch & TLB_FLUSH_BATCH_PENDING_MASK
    flushed = batch >> TLB_FLUSH_BATCH_FLUSHED_SHIFT

    if pending != flushed:
        flush_tlb_mm(mm)
        # If more was put off in between, it stays pending.
        atomic_cmpxchg(mm.tlb_flush_batched, batch, pending | (pending << TLB_FLUSH_BATCH_FLUSHED_SHIFT))


def folio_add_new_anon_rmap(folio: folio, vma: vm_area_struct, address: int, flags: int) -> None:
    """A new anonymous folio gets its first mapping. Nobody else can see it yet."""
    folio.mapping = vma.anon_vma
    atomic_set(folio._mapcount, 0)
    if flags & RMAP_EXCLUSIVE:
        SetPageAnonExclusive(folio.page)

    VM_WARN_ON_ONCE(address < vma.vm_start or address + PAGE_SIZE > vma.vm_end)


def folio_remove_rmap_ptes(folio: folio, page: page, nr_pages: int, vma: vm_area_struct) -> None:
    """Mappings of a folio go.

    :context: page-table lock held.
    :deviation: the last one also takes ``mapping`` and the exclusive mark, which C leaves to the page
        allocator.
    """
    if folio_test_large(folio) or nr_pages != 1:
        raise hooks.Unported("mm/rmap.c", "__folio_remove_rmap (large folio)")

    if atomic_add_negative(-1, folio._mapcount):
        folio.mapping = None
        ClearPageAnonExclusive(page)
