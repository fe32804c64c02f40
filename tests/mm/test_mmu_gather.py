# SPDX-License-Identifier: GPL-2.0-only
"""mm/mmu_gather.c, line by line of Linux 7.2.13, in every configuration that it has."""

from __future__ import annotations

import pytest

ADDR = 0x7F00_0000_0000
PAGE = 4096


def gather(k, mm, full=False):
    tlb = k.mmu_gather()
    (k.tlb_gather_mmu_fullmm if full else k.tlb_gather_mmu)(tlb, mm)
    return tlb


def unmap(k, tlb, page, address=ADDR, nr=1, delay_rmap=False):
    """What zap_present_ptes() does for a page: record the range, queue the page."""
    k.tlb_remove_tlb_entries(tlb, k.pte_ptr(0), nr, address)
    return k.__tlb_remove_folio_pages(tlb, page, nr, delay_rmap)


def freed(k):
    """Frames given back so far, in order."""
    return [pfn for pfn, order in k.world.calls("frames_freed")]


# --- queueing tables --------------------------------------------------------------------------------

@pytest.mark.parametrize(("options", "size"), [
    ({}, 509),                                                                  # rcu_head, nr, padding
    ({"MMU_GATHER_RCU_TABLE_FREE": "n", "MMU_GATHER_TABLE_FREE": "y"}, 511),    # nr, padding
])
def test_max_table_batch_is_what_a_page_has_room_for(link, options, size):
    # include/asm-generic/tlb.h:205,213
    assert link(**options).MAX_TABLE_BATCH == size


def test_tlb_remove_table_gives_a_batch_away_when_its_last_slot_is_filled(link):
    # mm/mmu_gather.c:390 - when the 509th table comes, not the 510th; RCU gets it in mid-gather
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    for n in range(508):
        k.pte_free_tlb(tlb, k.ptdesc_page(k.new_table(mm)), ADDR + n * 0x20_0000)
    assert k.world.callbacks == []
    first_batch = tlb.batch._addr
    k.pte_free_tlb(tlb, k.ptdesc_page(k.new_table(mm)), ADDR + 508 * 0x20_0000)
    assert tlb.batch is None
    assert len(k.world.callbacks) == 1
    assert k.flushes == [(ADDR, ADDR + 508 * 0x20_0000 + PAGE, 21, True)]

    k.pte_free_tlb(tlb, k.ptdesc_page(k.new_table(mm)), ADDR)
    assert tlb.batch._addr != first_batch
    assert tlb.batch.nr == 1


def test_tlb_finish_mmu_flushes_nothing_after_a_batch_that_was_just_full(link):
    # mm/mmu_gather.c:366 - a full batch flushes and resets the range; nothing is left for the end
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    for n in range(509):
        k.pte_free_tlb(tlb, k.ptdesc_page(k.new_table(mm)), ADDR + n * 0x20_0000)
    k.tlb_finish_mmu(tlb)
    assert len(k.flushes) == 1
    assert len(k.world.callbacks) == 1


def test_tlb_remove_table_free_frees_first_to_last_then_the_batch_each_after_its_destructor(link):
    # mm/mmu_gather.c:214-222
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    tables = [k.new_table(mm) for _ in range(3)]
    for table in tables:
        k.pte_free_tlb(tlb, k.ptdesc_page(table), ADDR)
    batch = k.virt_to_page(tlb.batch._addr)._pfn
    k.tlb_finish_mmu(tlb)
    assert freed(k) == []
    assert k.tables() == 3
    k.world.events.clear()
    k.world.run_pending()
    assert k.order("frame_is_table", "frames_freed") == [
        *(event for table in tables
          for event in [("frame_is_table", table._pfn, False), ("frames_freed", table._pfn, 0)]),
        ("frames_freed", batch, 0)]
    assert k.tables() == 0


def test_tlb_remove_table_without_a_range_frees_and_never_invalidates(link):
    # include/asm-generic/tlb.h:475-485 - the level bits alone decide whether there is anything to flush
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    table = k.new_table(mm)
    k.tlb_remove_table(tlb, table)
    k.tlb_finish_mmu(tlb)
    k.world.run_pending()
    assert k.flushes == []
    assert table._pfn in freed(k)


# --- queueing tables without memory for a batch -----------------------------------------------------

def test_tlb_remove_table_without_a_batch_queues_the_table_itself_for_rcu(link):
    # mm/mmu_gather.c:334-348, 381-385: with PT_RECLAIM nobody waits
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    table, page = k.new_table(mm), k.new_page()
    assert not unmap(k, tlb, page)
    k.world.fail("alloc_pages")
    k.world.events.clear()
    k.pte_free_tlb(tlb, k.ptdesc_page(table), ADDR)
    assert [event[0] for event in k.order("flush", "call_rcu", "frames_freed", "synchronize_rcu")] == [
        "flush", "call_rcu"]
    assert k.world.callbacks[0][0] is table.pt_rcu_head
    assert tlb.local.nr == 1            # what is queued stays queued, only the TLB was flushed
    k.world.run_pending()
    assert freed(k) == [table._pfn]


def test_tlb_remove_table_tries_again_to_get_a_batch_with_the_next_table(link):
    # mm/mmu_gather.c:378 - so one gather may have both kinds in flight
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    alone, batched = k.new_table(mm), k.new_table(mm)
    k.world.fail("alloc_pages")
    k.pte_free_tlb(tlb, k.ptdesc_page(alone), ADDR)
    k.pte_free_tlb(tlb, k.ptdesc_page(batched), ADDR)
    assert tlb.batch.tables[0] is batched
    k.tlb_finish_mmu(tlb)
    assert len(k.world.callbacks) == 2


def test_tlb_remove_table_without_a_batch_and_without_pt_reclaim_waits_for_a_grace_period(link):
    # mm/mmu_gather.c:350-354: 6.12 interrupted all CPUs here
    k = link(PT_RECLAIM="n")
    mm = k.new_mm()
    tlb = gather(k, mm)
    table = k.new_table(mm)
    k.world.fail("alloc_pages")
    k.world.events.clear()
    k.pte_free_tlb(tlb, k.ptdesc_page(table), ADDR)
    assert [event[0] for event in k.order("flush", "synchronize_rcu", "call_rcu", "send_ipi",
                                          "frames_freed")] == ["flush", "synchronize_rcu", "frames_freed"]
    assert freed(k) == [table._pfn]


def test_tlb_remove_table_without_rcu_frees_at_the_flush(link):
    # mm/mmu_gather.c:303-306; see the module docstring of asm_generic/tlb.py: C does not compile this
    k = link(MMU_GATHER_RCU_TABLE_FREE="n", MMU_GATHER_TABLE_FREE="y")
    mm = k.new_mm()
    tlb = gather(k, mm)
    table = k.new_table(mm)
    k.pte_free_tlb(tlb, k.ptdesc_page(table), ADDR)
    k.tlb_finish_mmu(tlb)
    assert k.world.callbacks == []
    assert [event[0] for event in k.order("flush", "frames_freed")] == ["flush", "frames_freed", "frames_freed"]
    assert freed(k)[0] == table._pfn


def test_tlb_remove_table_without_table_free_destructs_now_and_goes_through_the_page_queue(link):
    # include/asm-generic/tlb.h:234-241
    k = link(MMU_GATHER_RCU_TABLE_FREE="n")
    assert not k.kernel.config["MMU_GATHER_TABLE_FREE"]
    mm = k.new_mm()
    tlb = gather(k, mm)
    before, after = k.new_page(), k.new_page()
    unmap(k, tlb, before)
    table = k.new_table(mm)
    assert k.tables() == 1
    k.pte_free_tlb(tlb, k.ptdesc_page(table), ADDR)
    assert k.tables() == 0              # before any flush
    assert k.flushes == []
    unmap(k, tlb, after)
    k.world.events.clear()
    k.tlb_finish_mmu(tlb)
    assert [event[:2] for event in k.order("flush", "frames_freed")] == [
        ("flush", ADDR), *(("frames_freed", page._pfn) for page in (before, table, after))]


# --- queueing pages ---------------------------------------------------------------------------------

def test_max_gather_batch_and_bundle(link):
    # include/asm-generic/tlb.h:271-293
    k = link()
    assert (k.MMU_GATHER_BUNDLE, k.MAX_GATHER_BATCH, k.MAX_GATHER_BATCH_COUNT) == (8, 510, 19)


def test_tlb_remove_folio_pages_allocates_the_next_batch_when_the_last_slot_is_filled(link):
    # mm/mmu_gather.c:187-192 - full one entry early: the next item may be a page and a count
    k = link()
    tlb = gather(k, k.new_mm())
    page = k.new_page(references=100)
    for _ in range(6):
        unmap(k, tlb, page)
    assert tlb.active is tlb.local
    assert tlb.batch_count == 0
    assert not unmap(k, tlb, page)                  # the seventh
    assert tlb.active is not tlb.local
    assert (tlb.batch_count, tlb.active.nr, tlb.active.max) == (1, 0, 510)
    k.tlb_finish_mmu(tlb)
    assert page._refcount.counter == 93


def test_tlb_remove_folio_pages_uses_the_eighth_slot_only_for_a_count(link):
    # mm/mmu_gather.c:177-182
    k = link()
    tlb = gather(k, k.new_mm())
    page = k.new_page(references=100)
    for _ in range(6):
        unmap(k, tlb, page)
    unmap(k, tlb, page, nr=3)
    assert tlb.local.nr == 8
    assert k.encoded_nr_pages(tlb.local.encoded_pages[7]) == 3
    k.tlb_finish_mmu(tlb)
    assert page._refcount.counter == 91


def test_tlb_remove_folio_pages_is_full_after_9678_single_pages(link):
    # mm/mmu_gather.c:39: 7 in the bundle and 509 in each of 19 batches
    k = link()
    tlb = gather(k, k.new_mm())
    page = k.new_page(references=10_000)
    count = 1
    while not unmap(k, tlb, page):
        count += 1
    assert count == 7 + 19 * 509 == 9678
    k.tlb_finish_mmu(tlb)
    assert page._refcount.counter == 10_000 - 9678


def test_tlb_flush_mmu_keeps_batches_for_another_round_and_tlb_finish_mmu_frees_them(link):
    # mm/mmu_gather.c:139-158, 46: they are linked still, batch_count does not go back
    k = link()
    tlb = gather(k, k.new_mm())
    page = k.new_page(references=100)
    for _ in range(8):
        unmap(k, tlb, page)
    batch = tlb.local.next
    k.tlb_flush_mmu(tlb)
    assert (tlb.active, tlb.local.next, tlb.batch_count, batch.nr) == (tlb.local, batch, 1, 0)
    k.world.events.clear()
    for _ in range(8):
        unmap(k, tlb, page)
    assert tlb.active is batch
    assert k.world.calls("frames_allocated") == []
    k.tlb_finish_mmu(tlb)
    assert [event[0] for event in k.order("flush", "frames_freed")] == ["flush", "frames_freed"]
    assert freed(k)[-1] == k.virt_to_page(batch._addr)._pfn


def test_tlb_next_batch_asks_for_a_page_without_sleeping_and_does_without(link):
    # mm/mmu_gather.c:42-44
    k = link()
    tlb = gather(k, k.new_mm())
    page = k.new_page(references=100)
    k.world.fail("alloc_pages")
    k.world.events.clear()
    results = [unmap(k, tlb, page) for _ in range(7)]
    assert results == [False] * 6 + [True]
    assert k.world.calls("might_sleep") == []
    assert k.world.calls("may_fail") == [("alloc_pages", int(k.GFP_NOWAIT))]


def test_tlb_next_batch_stops_growing_while_rmaps_are_delayed(link):
    # mm/mmu_gather.c:27-29: tlb_flush_rmaps() walks the first and the active batch only
    k = link()
    tlb = gather(k, k.new_mm())
    page = k.new_page(references=1000)
    assert k.tlb_delay_rmap(tlb)
    count = 1
    while not unmap(k, tlb, page):
        count += 1
    assert count == 7 + 509
    k.tlb_flush_mmu(tlb)
    count = 1                           # the flag alone is enough to stop it
    while not unmap(k, tlb, page):
        count += 1
    assert count == 7 + 509
    k.patch("kmm.mm.mmu_gather", "folio_remove_rmap_ptes", lambda *args: None)
    k.tlb_flush_rmaps(tlb, None)
    assert not unmap(k, tlb, page)


def test_tlb_flush_rmaps_removes_delayed_rmaps_of_the_first_and_the_active_batch(link):
    # mm/mmu_gather.c:57-99
    k = link()
    tlb = gather(k, k.new_mm())
    removed = []
    k.patch("kmm.mm.mmu_gather", "folio_remove_rmap_ptes",
            lambda folio, page, nr_pages, vma: removed.append((page, nr_pages)))
    pages = [k.new_page(references=10) for _ in range(8)]
    k.tlb_flush_rmaps(tlb, None)
    assert removed == []
    k.tlb_delay_rmap(tlb)
    for n, page in enumerate(pages):
        unmap(k, tlb, page, nr=2 if n == 7 else 1, delay_rmap=n in (1, 7))
    k.tlb_flush_rmaps(tlb, None)
    assert removed == [(pages[1], 1), (pages[7], 2)]
    assert tlb.delayed_rmap == 0


def test_tlb_delay_rmap_is_false_on_one_cpu(link):
    # include/asm-generic/tlb.h:305-318
    k = link(SMP="n")
    tlb = gather(k, k.new_mm())
    assert not k.tlb_delay_rmap(tlb)
    assert tlb.delayed_rmap == 0


# --- freeing ----------------------------------------------------------------------------------------

def chunks(k, counts, **options):
    """Entries per call that frees pages, for one batch with these counts of pages."""
    tlb = gather(k, k.new_mm())
    tlb.active = batch = tlb.local.next = k.mmu_gather_batch()
    batch.next, batch.nr, batch.max = None, 0, 510
    page = k.new_page(references=1 << 20)
    for _ in range(1):
        unmap(k, tlb, page)             # keeps the first batch from being empty
    tlb.local, batch.next = batch, None
    tlb.local.nr = 0
    for nr in counts:
        unmap(k, tlb, page, nr=nr)
    sizes = []
    k.patch("kmm.mm.mmu_gather", "free_pages_and_swap_cache", lambda pages, nr: sizes.append(nr))
    k.world.events.clear()
    getattr(k, "__tlb_batch_free_encoded_pages")(batch)
    return sizes, k.world.calls("might_sleep").count(("cond_resched",))


def test_tlb_batch_free_encoded_pages_frees_a_batch_at_once_and_reschedules(link):
    # mm/mmu_gather.c:107-121: at most 512 entries, more than a batch has
    assert chunks(link(), [1] * 500) == ([500], 1)


def test_tlb_batch_free_encoded_pages_counts_pages_if_freeing_writes_to_them(link):
    # mm/mmu_gather.c:122-141
    k = link(INIT_ON_FREE_DEFAULT_ON="y")
    assert chunks(k, [1, 256, 256, 256, 1]) == ([5, 3], 2)


def test_free_pages_and_swap_cache_drops_references_and_the_folio_may_live_on(link):
    # mm/swap_state.c:570: a count drops as many at once
    k = link()
    tlb = gather(k, k.new_mm())
    shared, alone, many = k.new_page(references=2), k.new_page(), k.new_page(references=5)
    unmap(k, tlb, shared)
    unmap(k, tlb, alone)
    unmap(k, tlb, many, nr=4)
    k.tlb_finish_mmu(tlb)
    assert freed(k) == [alone._pfn]
    assert (shared._refcount.counter, many._refcount.counter) == (1, 1)


def test_tlb_flush_mmu_flushes_then_gives_tables_to_rcu_then_frees_pages(link):
    # mm/mmu_gather.c:407-421
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    page, table = k.new_page(), k.new_table(mm)
    unmap(k, tlb, page)
    k.pte_free_tlb(tlb, k.ptdesc_page(table), ADDR)
    k.world.events.clear()
    k.tlb_flush_mmu(tlb)
    assert [event[0] for event in k.order("flush", "call_rcu", "frames_freed")] == [
        "flush", "call_rcu", "frames_freed"]
    assert freed(k) == [page._pfn]


def test_no_gather_frees_pages_before_any_flush(link):
    # arch/s390/include/asm/tlb.h:47, by design: its flushes are in ptep_get_and_clear()
    k = link(MMU_GATHER_NO_GATHER="y")
    tlb = gather(k, k.new_mm())
    page = k.new_page()
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_remove_page(tlb, page)
    assert freed(k) == [page._pfn]
    assert k.flushes == []
    k.tlb_finish_mmu(tlb)
    assert len(k.flushes) == 1


# --- several gathers --------------------------------------------------------------------------------

def test_tlb_finish_mmu_of_a_nested_gather_flushes_the_whole_mm_as_if_tables_were_freed(link):
    # mm/mmu_gather.c:531-546 - gathers are counted, not what they did: this one is empty
    k = link()
    mm = k.new_mm()
    outer, inner = gather(k, mm), gather(k, mm)
    k.tlb_finish_mmu(inner)
    assert k.flushes == [(0, k.TLB_FLUSH_ALL, 12, True)]
    k.tlb_finish_mmu(outer)             # the last one to finish is not nested
    assert len(k.flushes) == 1
    assert mm.tlb_flush_pending.counter == 0


def test_tlb_finish_mmu_looks_for_others_before_its_own_flush(link):
    # mm/mmu_gather.c:531: who begins inside this flush makes only itself nested
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    begun = []

    def flush(mm, start, end, stride_shift, freed_tables):
        k.flushes.append((start, end))
        if not begun:
            begun.append(gather(k, mm))

    k.patch("kmm.arch.x86.include.asm.tlb", "flush_tlb_mm_range", flush)
    k.tlb_finish_mmu(tlb)
    assert k.flushes == [(ADDR, ADDR + PAGE)]
    k.tlb_finish_mmu(begun[0])
    assert len(k.flushes) == 1
    assert mm.tlb_flush_pending.counter == 0


def test_tlb_gather_mmu_clears_need_flush_all_and_a_flush_does_not(link):
    # mm/mmu_gather.c:430
    k = link()
    mm = k.new_mm()
    tlb = gather(k, mm)
    tlb.need_flush_all = 1
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_flush_mmu(tlb)
    assert tlb.need_flush_all == 1
    assert k.flushes == [(0, k.TLB_FLUSH_ALL, 12, False)]
    k.tlb_finish_mmu(tlb)
    k.tlb_gather_mmu(tlb, mm)
    assert tlb.need_flush_all == 0


def test_tlb_gather_mmu_vma_stands_for_tlb_start_vma_and_takes_the_page_size_of_hugetlb(link):
    # mm/mmu_gather.c:505-513
    k = link(MMU_GATHER_PAGE_SIZE="y")
    vma = k.vm_area_struct.zeroed()
    vma.vm_mm = k.new_mm()
    vma.vm_flags = k.VM_HUGETLB | k.VM_EXEC
    vma.vm_private_data = k.hstate.zeroed()
    vma.vm_private_data.order = 9
    tlb = k.mmu_gather()
    k.tlb_gather_mmu_vma(tlb, vma)
    assert (tlb.vma_huge, tlb.vma_exec, tlb.page_size) == (1, 1, 1 << 21)


def test_tlb_finish_mmu_warns_of_unshared_tables_that_were_not_flushed(link):
    # mm/mmu_gather.c:524
    k = link()
    tlb = gather(k, k.new_mm())
    tlb.fully_unshared_tables = 1
    k.tlb_finish_mmu(tlb)
    assert k.world.expect("warn")["where"] == "tlb_finish_mmu"


def test_tlb_remove_table_sync_one_interrupts_every_other_cpu(link):
    # mm/mmu_gather.c:264-273: enough for walks with interrupts off, no grace period
    k = link()
    k.tlb_remove_table_sync_one()
    assert sorted(call[0] for call in k.world.calls("send_ipi")) == [1, 2, 3]
    assert k.world.calls("synchronize_rcu") == []
