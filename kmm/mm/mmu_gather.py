# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/mmu_gather.c (Linux 7.2): queue pages and tables, flush, free.

Pages wait in batches (the first inside the gather, more in pages allocated on the way), tables in one
page at a time. tlb_flush_mmu() flushes the TLB, then hands the tables to RCU (or frees them), then
frees the pages. CONFIG symbols: MMU_GATHER_NO_GATHER, MMU_GATHER_TABLE_FREE,
MMU_GATHER_RCU_TABLE_FREE, MMU_GATHER_PAGE_SIZE, PT_RECLAIM, SMP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.c import container_of
from kmm.include.generated.autoconf import (
    CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE,
    CONFIG_MMU_GATHER_NO_GATHER,
    CONFIG_MMU_GATHER_PAGE_SIZE,
    CONFIG_MMU_GATHER_RCU_TABLE_FREE,
    CONFIG_MMU_GATHER_TABLE_FREE,
    CONFIG_PT_RECLAIM,
    CONFIG_SMP,
)
from kmm.include.linux.gfp_types import GFP_NOWAIT
from kmm.include.vdso.page import PAGE_SIZE

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct, page, vm_area_struct
    from kmm.include.linux.types import rcu_head

if not CONFIG_MMU_GATHER_NO_GATHER:
    def tlb_next_batch(tlb: mmu_gather) -> bool:
        """Make another batch the active one: the next of an earlier round, or a new one.

        :return: False if there can be no more; then the caller has to flush.
        :context: may be atomic.
        """
        # tlb_flush_rmaps() looks at the first batch and the active one only.
        if tlb.delayed_rmap and tlb.active is not tlb.local:
            return False

        batch = tlb.active
        if batch.next:
            tlb.active = batch.next
            return True

        if tlb.batch_count == MAX_GATHER_BATCH_COUNT:
            return False

        addr = __get_free_page(GFP_NOWAIT)
        if not addr:
            return False
        batch = mmu_gather_batch(addr)

        tlb.batch_count += 1
        batch.next = None
        batch.nr = 0
        batch.max = MAX_GATHER_BATCH

        tlb.active.next = batch
        tlb.active = batch

        return True

    if CONFIG_SMP:
        def tlb_flush_rmap_batch(batch: mmu_gather_batch, vma: vm_area_struct) -> None:
            """Remove the rmaps that one batch has delayed."""
            pages = batch.encoded_pages

            i = 0
            while i < batch.nr:
                enc = pages[i]

                if encoded_page_flags(enc) & ENCODED_PAGE_BIT_DELAY_RMAP:
                    page = encoded_page_ptr(enc)
                    nr_pages = 1

                    if encoded_page_flags(enc) & ENCODED_PAGE_BIT_NR_PAGES_NEXT:
                        i += 1
                        nr_pages = encoded_nr_pages(pages[i])

                    folio_remove_rmap_ptes(page_folio(page), page, nr_pages, vma)
                i += 1

        def tlb_flush_rmaps(tlb: mmu_gather, vma: vm_area_struct) -> None:
            """Remove the rmaps that waited for the flush.

            :param vma: where the pages were mapped.
            :context: the TLB has been flushed; the page-table lock is held.
            """
            if not tlb.delayed_rmap:
                return

            tlb_flush_rmap_batch(tlb.local, vma)
            if tlb.active is not tlb.local:
                tlb_flush_rmap_batch(tlb.active, vma)
            tlb.delayed_rmap = 0

    # Folios freed between two chances to reschedule.
    MAX_NR_FOLIOS_PER_FREE = 512

    def __tlb_batch_free_encoded_pages(batch: mmu_gather_batch) -> None:
        """Drop the references that one batch holds, in portions.

        :context: may sleep between portions.
        """
        pages: list[Any] = batch.encoded_pages

        while batch.nr:
            if not page_poisoning_enabled_static() and not want_init_on_free():
                nr = min(MAX_NR_FOLIOS_PER_FREE, batch.nr)

                # A page must not be parted from its count.
                if encoded_page_flags(pages[nr - 1]) & ENCODED_PAGE_BIT_NR_PAGES_NEXT:
                    nr += 1
            else:
                # What freeing costs depends on the memory that is overwritten: count pages.
                nr = nr_pages = 0
                while nr < batch.nr and nr_pages < MAX_NR_FOLIOS_PER_FREE:
                    if encoded_page_flags(pages[nr]) & ENCODED_PAGE_BIT_NR_PAGES_NEXT:
                        nr += 1
                        nr_pages += encoded_nr_pages(pages[nr])
                    else:
                        nr_pages += 1
                    nr += 1

            free_pages_and_swap_cache(pages, nr)
            pages = pages[nr:]
            batch.nr -= nr

            cond_resched()

    def tlb_batch_pages_flush(tlb: mmu_gather) -> None:
        """Free what is queued. The batches stay linked, for another round."""
        batch: mmu_gather_batch | None = tlb.local
        while batch and batch.nr:
            __tlb_batch_free_encoded_pages(batch)
            batch = batch.next
        tlb.active = tlb.local

    def tlb_batch_list_free(tlb: mmu_gather) -> None:
        """Free the pages that held batches."""
        batch = tlb.local.next
        while batch:
            next = batch.next
            free_pages(batch._addr, 0)
            batch = next
        tlb.local.next = None

    def __tlb_remove_folio_pages_size(tlb: mmu_gather, page: page, nr_pages: int, delay_rmap: bool,
                                      page_size: int) -> bool:
        """Queue *nr_pages* consecutive pages of one folio for freeing.

        :return: whether the queue is full, so that the caller has to flush.
        :context: the range of the unmapped entries is already recorded.
        """
        flags = ENCODED_PAGE_BIT_DELAY_RMAP if delay_rmap else 0

        VM_BUG_ON(not tlb.end)

        if CONFIG_MMU_GATHER_PAGE_SIZE:
            VM_WARN_ON(tlb.page_size != page_size)
            VM_WARN_ON_ONCE(nr_pages != 1 and page_size != PAGE_SIZE)
            VM_WARN_ON_ONCE(page_folio(page) is not
                            page_folio(folio_page(page_folio(page), nr_pages - 1 +
                                                  page._pfn - page_folio(page).page._pfn)))

        batch = tlb.active
        if nr_pages == 1:
            batch.encoded_pages[batch.nr] = encode_page(page, flags)
            batch.nr += 1
        else:
            flags |= ENCODED_PAGE_BIT_NR_PAGES_NEXT
            batch.encoded_pages[batch.nr] = encode_page(page, flags)
            batch.nr += 1
            batch.encoded_pages[batch.nr] = encode_nr_pages(nr_pages)
            batch.nr += 1
        # The next item may need two entries, so one free entry means full.
        if batch.nr >= batch.max - 1:
            if not tlb_next_batch(tlb):
                return True
            batch = tlb.active
        VM_BUG_ON_PAGE(batch.nr > batch.max - 1, page)

        return False

    def __tlb_remove_folio_pages(tlb: mmu_gather, page: page, nr_pages: int, delay_rmap: bool) -> bool:
        """Queue *nr_pages* consecutive small pages of one folio; whether the queue is full."""
        return __tlb_remove_folio_pages_size(tlb, page, nr_pages, delay_rmap, PAGE_SIZE)

    def __tlb_remove_page_size(tlb: mmu_gather, page: page, page_size: int) -> bool:
        """Queue a page; whether the queue is full."""
        return __tlb_remove_folio_pages_size(tlb, page, 1, False, page_size)

if CONFIG_MMU_GATHER_TABLE_FREE:
    def __tlb_remove_table_free(batch: mmu_table_batch) -> None:
        """Free the tables of a batch, first to last, then the batch itself."""
        for i in range(batch.nr):
            __tlb_remove_table(batch.tables[i])

        free_page(batch._addr)

    # Software walks tables without locks, with interrupts off (GUP-fast). Where flushing interrupts
    # every CPU, such a walk holds off the flush and so the free. Where it does not, tables are freed
    # after an RCU grace period, which interrupts-off code holds off as well. A batch needs memory;
    # without it tables are freed one by one, see tlb_remove_table_one().
    if CONFIG_MMU_GATHER_RCU_TABLE_FREE:
        def tlb_remove_table_smp_sync(arg: object) -> None:
            """That the interrupt was taken is all that matters."""

        def tlb_remove_table_sync_one() -> None:
            """Wait until no CPU is in a walk with interrupts off. That is no grace period.

            :context: interrupts enabled.
            """
            smp_call_function(tlb_remove_table_smp_sync, None, 1)

        def tlb_remove_table_rcu(head: rcu_head) -> None:
            """The grace period of a batch is over."""
            __tlb_remove_table_free(container_of(head, mmu_table_batch, "rcu"))

        def tlb_remove_table_free(batch: mmu_table_batch) -> None:
            """Free a batch after a grace period."""
            call_rcu(batch.rcu, tlb_remove_table_rcu)

        def tlb_remove_table_sync_rcu() -> None:
            """tlb_remove_table_sync_one() without interrupting anybody.

            :context: may sleep.
            """
            synchronize_rcu()
    else:
        def tlb_remove_table_free(batch: mmu_table_batch) -> None:
            """Free a batch now."""
            __tlb_remove_table_free(batch)

    def tlb_table_invalidate(tlb: mmu_gather) -> None:
        """Flush before tables are given away, if the CPUs walk them."""
        if tlb_needs_table_invalidate():
            # Software walkers may still be inside: the grace period is needed all the same.
            tlb_flush_mmu_tlbonly(tlb)

    if CONFIG_PT_RECLAIM:
        def __tlb_remove_table_one_rcu(head: rcu_head) -> None:
            """The grace period of a single table is over."""
            pt = container_of(head, ptdesc, "pt_rcu_head")
            __tlb_remove_table(pt)

        def __tlb_remove_table_one(table: ptdesc) -> None:
            """Free one table after a grace period, without waiting for it."""
            ptdesc = table
            call_rcu(ptdesc.pt_rcu_head, __tlb_remove_table_one_rcu)
    else:
        def __tlb_remove_table_one(table: ptdesc) -> None:
            """Wait for a grace period, then free one table.

            :context: may sleep.
            """
            tlb_remove_table_sync_rcu()
            __tlb_remove_table(table)

    def tlb_remove_table_one(table: ptdesc) -> None:
        """Free one table, for which there is no batch."""
        __tlb_remove_table_one(table)

    def tlb_table_flush(tlb: mmu_gather) -> None:
        """Flush, then give the queued tables away."""
        if tlb.batch:
            tlb_table_invalidate(tlb)
            tlb_remove_table_free(tlb.batch)
            tlb.batch = None

    def tlb_remove_table(tlb: mmu_gather, table: ptdesc) -> None:
        """Queue a table for freeing.

        A batch that is full then is flushed and given away at once. Without memory for a batch the
        TLB is flushed and the table freed alone; pages that are queued stay queued.

        :context: may be atomic, unless a grace period has to be awaited (no CONFIG_PT_RECLAIM).
        """
        if tlb.batch is None:
            addr = __get_free_page(GFP_NOWAIT)
            if not addr:
                tlb_table_invalidate(tlb)
                tlb_remove_table_one(table)
                return
            tlb.batch = mmu_table_batch(addr)
            tlb.batch.nr = 0

        tlb.batch.tables[tlb.batch.nr] = table
        tlb.batch.nr += 1
        if tlb.batch.nr == MAX_TABLE_BATCH:
            tlb_table_flush(tlb)

    def tlb_table_init(tlb: mmu_gather) -> None:
        """No table is queued."""
        tlb.batch = None
else:
    def tlb_table_flush(tlb: mmu_gather) -> None:
        """Tables wait among the pages."""

    def tlb_table_init(tlb: mmu_gather) -> None:
        """Tables wait among the pages."""


def tlb_flush_mmu_free(tlb: mmu_gather) -> None:
    """Free what is queued: tables, then pages."""
    tlb_table_flush(tlb)
    if not CONFIG_MMU_GATHER_NO_GATHER:
        tlb_batch_pages_flush(tlb)


def tlb_flush_mmu(tlb: mmu_gather) -> None:
    """Flush the TLB, then free what is queued.

    :context: may sleep.
    """
    tlb_flush_mmu_tlbonly(tlb)
    tlb_flush_mmu_free(tlb)


def __tlb_gather_mmu(tlb: mmu_gather, mm: mm_struct, fullmm: bool) -> None:
    """Begin a gather."""
    tlb.mm = mm
    tlb.fullmm = int(fullmm)

    if not CONFIG_MMU_GATHER_NO_GATHER:
        tlb.need_flush_all = 0
        tlb.local.next = None
        tlb.local.nr = 0
        tlb.local.max = MMU_GATHER_BUNDLE
        tlb.active = tlb.local
        tlb.batch_count = 0
    tlb.delayed_rmap = 0

    tlb_table_init(tlb)
    if CONFIG_MMU_GATHER_PAGE_SIZE:
        tlb.page_size = 0
    tlb.vma_pfn = 0

    tlb.fully_unshared_tables = 0
    __tlb_reset_range(tlb)
    inc_tlb_flush_pending(tlb.mm)


def tlb_gather_mmu(tlb: mmu_gather, mm: mm_struct) -> None:
    """Begin to unmap parts of *mm*.

    :param tlb: ``struct mmu_gather *``, on the stack, uninitialised.
    """
    __tlb_gather_mmu(tlb, mm, False)


def tlb_gather_mmu_fullmm(tlb: mmu_gather, mm: mm_struct) -> None:
    """Begin to unmap all of *mm*, which nobody uses any more."""
    __tlb_gather_mmu(tlb, mm, True)


def tlb_gather_mmu_vma(tlb: mmu_gather, vma: vm_area_struct) -> None:
    """Begin to unmap parts of one VMA; replaces tlb_start_vma(), and for hugetlb the page size too."""
    tlb_gather_mmu(tlb, vma.vm_mm)
    tlb_update_vma_flags(tlb, vma)
    if is_vm_hugetlb_page(vma):
        # All entries have the same size.
        tlb_change_page_size(tlb, huge_page_size(hstate_vma(vma)))


def tlb_finish_mmu(tlb: mmu_gather) -> None:
    """End a gather: flush, free, and give back what the gather allocated.

    :context: may sleep.
    """
    # Unsharing has locks to keep, so it must have flushed on its own.
    VM_WARN_ON_ONCE(tlb.fully_unshared_tables)

    # Another gather may have cleared entries that this one then found empty, without having flushed
    # yet. And the other may be freeing tables, whose level this one does not know.
    if mm_tlb_flush_nested(tlb.mm):
        # Everything, rather than the range: cheaper on arm64 when two do this, no worse on x86.
        tlb.fullmm = 1
        __tlb_reset_range(tlb)
        tlb.freed_tables = 1

    tlb_flush_mmu(tlb)

    if not CONFIG_MMU_GATHER_NO_GATHER:
        tlb_batch_list_free(tlb)
    dec_tlb_flush_pending(tlb.mm)


# Needed only once something runs, so that headers may include each other:
from kmm.include.asm_generic.tlb import (
    __tlb_reset_range,
    mmu_gather,
    tlb_change_page_size,
    tlb_flush_mmu_tlbonly,
    tlb_needs_table_invalidate,
    tlb_update_vma_flags,
)
from kmm.include.linux.gfp import __get_free_page, free_page, free_pages
from kmm.include.linux.hugetlb import hstate_vma, huge_page_size
from kmm.include.linux.mm import (
    is_vm_hugetlb_page,
    page_poisoning_enabled_static,
    want_init_on_free,
)
from kmm.include.linux.mm_inline import (
    dec_tlb_flush_pending,
    inc_tlb_flush_pending,
    mm_tlb_flush_nested,
)
from kmm.include.linux.mm_types import (
    ENCODED_PAGE_BIT_DELAY_RMAP,
    ENCODED_PAGE_BIT_NR_PAGES_NEXT,
    encode_nr_pages,
    encode_page,
    encoded_nr_pages,
    encoded_page_flags,
    encoded_page_ptr,
    ptdesc,
)
from kmm.include.linux.mmdebug import VM_BUG_ON, VM_BUG_ON_PAGE, VM_WARN_ON, VM_WARN_ON_ONCE
from kmm.include.linux.page_flags import folio_page, page_folio
from kmm.include.linux.rcupdate import call_rcu, synchronize_rcu
from kmm.include.linux.rmap import folio_remove_rmap_ptes
from kmm.include.linux.sched import cond_resched
from kmm.include.linux.smp import smp_call_function
from kmm.mm.swap_state import free_pages_and_swap_cache

if not CONFIG_MMU_GATHER_NO_GATHER:
    from kmm.include.asm_generic.tlb import (
        MAX_GATHER_BATCH,
        MAX_GATHER_BATCH_COUNT,
        MMU_GATHER_BUNDLE,
        mmu_gather_batch,
    )
if CONFIG_MMU_GATHER_TABLE_FREE:
    from kmm.include.asm_generic.tlb import MAX_TABLE_BATCH, mmu_table_batch

    if CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE:
        from kmm.arch.x86.include.asm.tlb import __tlb_remove_table
    else:
        from kmm.include.asm_generic.tlb import __tlb_remove_table
