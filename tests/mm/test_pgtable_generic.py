# SPDX-License-Identifier: GPL-2.0-only
"""mm/pgtable-generic.c of Linux 7.2.13: kernel tables freed by a worker, tables in reserve, mapping."""

from __future__ import annotations

import pytest
from fake_world import KernelBug

ADDR = 0x7F00_0000_0000
HUGE = 1 << 21


@pytest.fixture
def k(link):
    k = link()
    k.sva_flushes = []
    k.patch("kmm.mm.pgtable_generic", "iommu_sva_invalidate_kva_range",
            lambda start, end: (k.sva_flushes.append((start, end)), k.world.events.append(("sva",))))
    return k


def freed(k):
    return [pfn for pfn, order in k.world.calls("frames_freed")]


def kernel_tables(k, count):
    """PTE tables of the kernel, by descriptor."""
    return [k.virt_to_ptdesc(k.pte_alloc_one_kernel(k.init_mm)) for _ in range(count)]


# --- kernel tables ----------------------------------------------------------------------------------

def test_pte_free_kernel_destructs_now_and_defers_only_the_page(k):
    # include/asm-generic/pgalloc.h:55, include/linux/mm.h:3713
    table, = kernel_tables(k, 1)
    assert k.tables() == 1
    assert k.ptdesc_test_kernel(table)
    k.pte_free_kernel(k.init_mm, k.pte_ptr(k.ptdesc_address(table)))
    assert k.tables() == 0
    assert not k.PageTable(k.ptdesc_page(table))
    assert not k.ptdesc_test_kernel(table)          # cleared before it is queued
    assert freed(k) == []
    k.world.run_pending()
    assert freed(k) == [table._pfn]


def test_kernel_pgtable_work_func_frees_last_in_first_out(k):
    # mm/pgtable-generic.c:429-438: added at the head, spliced, walked forward
    tables = kernel_tables(k, 3)
    for table in tables:
        k.pagetable_dtor_free(table)
    k.world.run_pending()
    assert freed(k) == [table._pfn for table in reversed(tables)]


def test_kernel_pgtable_work_func_invalidates_once_per_run_before_it_frees(k):
    # :436
    for table in kernel_tables(k, 3):
        k.pagetable_dtor_free(table)
    k.world.events.clear()
    k.world.run_pending()
    assert [event[0] for event in k.order("sva", "frames_freed")] == ["sva"] + ["frames_freed"] * 3
    assert k.sva_flushes == [(k.PAGE_OFFSET(), k.TLB_FLUSH_ALL)]


def test_kernel_pgtable_work_func_does_not_unlink_what_it_frees(k):
    # :437: no list_del; a table that is freed still names its neighbours
    first, second = kernel_tables(k, 2)
    k.pagetable_dtor_free(first)
    k.pagetable_dtor_free(second)
    linked = []
    k.patch("kmm.include.linux.mm", "__free_pages",
            lambda page, order: linked.append((second.pt_list.next is first.pt_list,
                                               first.pt_list.prev is second.pt_list)))
    k.world.run_pending()
    assert linked == [(True, True), (True, True)]
    assert k.list_empty(k.kernel_pgtable_work.list)


def test_kernel_pgtable_work_func_leaves_what_is_queued_meanwhile_for_the_next_run(k):
    # the work is not pending any more while it runs, so schedule_work() queues it again
    early, late = kernel_tables(k, 2)

    def invalidate(start, end):
        k.world.events.append(("sva",))
        if len(k.order("sva")) == 1:
            k.pagetable_dtor_free(late)

    k.patch("kmm.mm.pgtable_generic", "iommu_sva_invalidate_kva_range", invalidate)
    k.pagetable_dtor_free(early)
    k.world.run_pending()
    assert k.order("sva", "frames_freed") == [
        ("sva",), ("frames_freed", early._pfn, 0), ("sva",), ("frames_freed", late._pfn, 0)]


@pytest.mark.parametrize(("state", "scheduled"), [("SYSTEM_BOOTING", 0), ("SYSTEM_SCHEDULING", 1)])
def test_pagetable_free_kernel_only_queues_while_booting(k, state, scheduled):
    # :456
    k.system_state.value = getattr(k, state)
    calls = []
    k.patch("kmm.mm.pgtable_generic", "schedule_work", calls.append)
    table, = kernel_tables(k, 1)
    k.pagetable_dtor_free(table)
    assert len(calls) == scheduled
    assert not k.list_empty(k.kernel_pgtable_work.list)


def test_kernel_pgtable_drain_early_invalidates_even_if_nothing_is_queued(k):
    # :460-466
    assert k.kernel_pgtable_drain_early in k.initcall_levels[1]
    assert k.kernel_pgtable_drain_early() == 0
    k.world.run_pending()
    assert len(k.sva_flushes) == 1
    assert freed(k) == []


def test_pagetable_free_kernel_frees_at_once_without_async_freeing(link):
    # include/linux/mm.h:3701
    k = link(ASYNC_KERNEL_PGTABLE_FREE="n")
    table, = kernel_tables(k, 1)
    k.pagetable_dtor_free(table)
    assert freed(k) == [table._pfn]


# --- tables in reserve ------------------------------------------------------------------------------

def reserve_at(k, mm):
    """A pmd entry and the lock it has."""
    pmd = k.pmd_alloc_one(mm, ADDR)
    return pmd, k.pmd_lockptr(mm, pmd)


def test_pgtable_trans_huge_withdraw_takes_the_newest_table_then_the_oldest(k):
    # :167-202 - the newest is the head of a ring, and what follows it are the others, oldest first
    mm = k.new_mm()
    pmd, ptl = reserve_at(k, mm)
    tables = [k.pte_alloc_one(mm) for _ in range(3)]
    k.spin_lock(ptl)
    for table in tables:
        k.pgtable_trans_huge_deposit(mm, pmd, table)
    taken = [k.pgtable_trans_huge_withdraw(mm, pmd) for _ in range(3)]
    k.spin_unlock(ptl)
    assert taken == [tables[2], tables[0], tables[1]]
    assert k.pmd_huge_pte(mm, pmd) is None


def test_pgtable_trans_huge_deposit_wants_the_lock(k):
    mm = k.new_mm()
    pmd, _ = reserve_at(k, mm)
    with pytest.raises(KernelBug, match="assert_spin_locked"):
        k.pgtable_trans_huge_deposit(mm, pmd, k.pte_alloc_one(mm))


def test_pmd_huge_pte_is_per_mm_without_split_locks(link):
    # include/linux/mm.h:3901
    k = link(NR_CPUS="2")
    assert not k.kernel.config["SPLIT_PMD_PTLOCKS"]
    mm = k.new_mm()
    pmd, ptl = reserve_at(k, mm)
    assert ptl is mm.page_table_lock
    table = k.pte_alloc_one(mm)
    k.spin_lock(ptl)
    k.pgtable_trans_huge_deposit(mm, pmd, table)
    k.spin_unlock(ptl)
    assert mm.pmd_huge_pte is table


def test_pte_free_defer_destructs_and_frees_after_a_grace_period(k):
    # :250-266
    mm = k.new_mm()
    table = k.pte_alloc_one(mm)
    k.pte_free_defer(mm, table)
    assert k.tables() == 1
    assert freed(k) == []
    k.world.run_pending()
    assert k.tables() == 0
    assert freed(k) == [table._pfn]


# --- mapping a PTE table ----------------------------------------------------------------------------

@pytest.fixture
def mapped(k):
    """An mm, a pmd entry that names a PTE table, and that table."""
    mm = k.new_mm()
    pmd = k.pmd_alloc_one(mm, ADDR)
    table = k.pte_alloc_one(mm)
    k.pmd_populate(mm, pmd, table)
    k.world.events.clear()
    return mm, pmd, table


def test_pte_offset_map_lock_takes_the_lock_of_the_table_inside_an_rcu_read_side(k, mapped):
    # :388-405
    mm, pmd, table = mapped
    pte, ptl = k.pte_offset_map_lock(mm, pmd, ADDR + 5 * 4096)
    assert pte == k.page_to_virt(table) + 5 * 8
    assert ptl is k.ptlock_ptr(k.page_ptdesc(table))
    assert [event[0] for event in k.order("rcu_read_lock", "load", "lock")] == [
        "rcu_read_lock", "load", "lock", "load"]
    k.pte_unmap_unlock(pte, ptl)
    assert [event[0] for event in k.order("unlock", "rcu_read_unlock")] == ["unlock", "rcu_read_unlock"]


def test_pte_offset_map_lock_starts_again_if_the_entry_changed(k, mapped):
    mm, pmd, table = mapped
    other = k.pte_alloc_one(mm)
    lock = k.spin_lock
    taken = []

    def spin_lock(ptl):
        lock(ptl)
        taken.append(ptl)
        if len(taken) == 1:
            k.pmd_populate(mm, pmd, other)

    k.patch("kmm.mm.pgtable_generic", "spin_lock", spin_lock)
    pte, ptl = k.pte_offset_map_lock(mm, pmd, ADDR)
    assert taken == [k.ptlock_ptr(k.page_ptdesc(table)), k.ptlock_ptr(k.page_ptdesc(other))]
    assert pte == k.page_to_virt(other)
    k.pte_unmap_unlock(pte, ptl)


@pytest.mark.parametrize("what", ["none", "huge", "bad"])
def test_pte_offset_map_finds_no_table_in_an_entry_that_names_none(k, mapped, what):
    # :317-326
    mm, pmd, table = mapped
    if what == "none":
        k.pmd_clear(pmd)
    elif what == "huge":
        k.set_pmd(pmd, k.pmd_mkhuge(k.pfn_pmd(512, k.PAGE_SHARED)))
    else:
        k.set_pmd(pmd, k.pmd_t(table._pfn << 12 | 1))
    k.world.events.clear()
    assert k.pte_offset_map(pmd, ADDR) is None
    assert [event[0] for event in k.order("rcu_read_lock", "rcu_read_unlock")] == [
        "rcu_read_lock", "rcu_read_unlock"]
    assert k.pte_offset_map_lock(mm, pmd, ADDR) == (None, None)
    if what == "bad":
        assert k.pmd_none(pmd[0])       # reported and emptied


def test_pte_offset_map_nolock_gives_the_lock_of_the_table_it_found(k, mapped):
    mm, pmd, table = mapped
    pte, ptl = k.pte_offset_map_ro_nolock(mm, pmd, ADDR)
    k.pmd_clear(pmd)
    assert ptl is k.ptlock_ptr(k.page_ptdesc(table))
    k.pte_unmap(pte)
    assert k.pte_offset_map_rw_nolock(mm, pmd, ADDR)[0] is None
    assert k.world.calls("lock") == []


# --- changing entries -------------------------------------------------------------------------------

def test_pmdp_collapse_flush_empties_the_entry_then_flushes_ptes(k, mapped):
    # :229-246
    mm, pmd, table = mapped
    vma = k.vm_area_struct.zeroed()
    vma.vm_mm = mm
    flushed = []
    k.patch("kmm.mm.pgtable_generic", "flush_tlb_range",
            lambda vma, start, end: flushed.append((k.pmd_none(pmd[0]), start, end)))
    old = k.pmdp_collapse_flush(vma, ADDR, pmd)
    assert k.pmd_pgtable(old) is table
    assert flushed == [(True, ADDR, ADDR + HUGE)]


def test_ptep_clear_flush_flushes_only_what_a_cpu_may_have_cached(k, mapped):
    # :100-110
    mm, _, table = mapped
    vma = k.vm_area_struct.zeroed()
    vma.vm_mm = mm
    flushed = []
    k.patch("kmm.mm.pgtable_generic", "flush_tlb_page", lambda vma, addr: flushed.append(addr))
    ptep = k.pte_ptr(k.page_to_virt(table))
    assert k.pte_none(k.ptep_clear_flush(vma, ADDR, ptep))
    assert flushed == []
    k.set_pte(ptep, k.pfn_pte(7, k.PAGE_SHARED))
    assert k.pte_pfn(k.ptep_clear_flush(vma, ADDR, ptep)) == 7
    assert flushed == [ADDR]
    k.set_pte(ptep, k.pfn_pte(7, k.PAGE_NONE))      # PROT_NONE: only while somebody has not flushed
    k.ptep_clear_flush(vma, ADDR, ptep)
    assert flushed == [ADDR]
    k.inc_tlb_flush_pending(mm)
    k.set_pte(ptep, k.pfn_pte(7, k.PAGE_NONE))
    k.ptep_clear_flush(vma, ADDR, ptep)
    assert flushed == [ADDR, ADDR]
