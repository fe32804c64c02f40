# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/mm.h and asm-generic/pgalloc.h: constructors, destructors, locks, accounting."""

from __future__ import annotations

import pytest
from fake_world import KernelBug

ADDR = 0x7F00_0000_0000


@pytest.fixture
def k(link):
    return link()


@pytest.mark.parametrize("level", ["pte", "pmd", "pud", "p4d"])
def test_alloc_one_types_and_accounts_and_free_undoes_it(k, level):
    mm = k.new_mm()
    if level == "pte":
        pt = k.page_ptdesc(k.pte_alloc_one(mm))
    else:
        pt = k.virt_to_ptdesc(getattr(k, f"{level}_alloc_one")(mm, ADDR))
    assert k.PageTable(k.ptdesc_page(pt))
    assert k.tables() == 1
    assert k.world.tables == {pt._pfn: True}
    assert not k.ptdesc_test_kernel(pt)
    k.pagetable_dtor_free(pt)
    assert k.tables() == 0
    assert k.world.tables == {}
    assert k.world.allocated.get(pt._pfn) is None


def test_kernel_tables_are_marked_by_init_mm_and_pte_tables_always(k):
    # include/asm-generic/pgalloc.h:31, 143, 181, 225
    assert k.ptdesc_test_kernel(k.virt_to_ptdesc(k.pte_alloc_one_kernel(k.new_mm())))
    for level in ("pmd", "pud", "p4d"):
        alloc = getattr(k, f"{level}_alloc_one")
        assert k.ptdesc_test_kernel(k.virt_to_ptdesc(alloc(k.init_mm, ADDR)))
        assert not k.ptdesc_test_kernel(k.virt_to_ptdesc(alloc(k.new_mm(), ADDR)))


def test_pt_flags_are_page_flags_that_tables_do_not_use(k):
    # include/linux/mm.h:3606
    assert (k.PT_kernel, k.PT_reserved) == (k.PG_referenced, k.PG_reserved)


def test_second_destructor_is_silent_for_the_type_and_subtracts_twice(k):
    # include/linux/mm.h:3806, include/linux/page-flags.h:958; it is kmm that notices
    pt = k.new_table(k.new_mm())
    k.pagetable_dtor(pt)
    k.pagetable_dtor(pt)
    assert k.tables() == -1
    k.world.expect("page-table-accounting")


def test_free_without_a_destructor_is_a_bad_page(k):
    k.pagetable_free(k.new_table(k.new_mm()))
    k.world.expect("bad-page")


def test_ptlock_init_finds_a_word_in_use(k):
    # include/linux/mm.h:3774
    page = k.new_page()
    k.set_page_private(page, 1)
    with pytest.raises(KernelBug):
        k.pagetable_pte_ctor(k.new_mm(), k.page_ptdesc(page))


def test_every_user_table_of_the_two_lower_levels_has_a_lock(k):
    mm = k.new_mm()
    pmd = k.pmd_alloc_one(mm, ADDR)
    pte = k.pte_alloc_one(mm)
    k.pmd_populate(mm, pmd, pte)
    locks = [k.pud_lockptr(mm, k.pud_ptr(0)), k.pmd_lockptr(mm, pmd), k.pte_lockptr(mm, pmd)]
    assert locks[0] is mm.page_table_lock
    assert len({id(lock) for lock in locks}) == 3
    assert k.ptep_lockptr(mm, k.pte_ptr(k.page_to_virt(pte) + 8)) is locks[2]
    assert k.pmd_lockptr(mm, pmd + 511) is locks[1]


def test_one_lock_guards_all_without_split_locks(link):
    k = link(NR_CPUS="2")
    assert not k.kernel.config["SPLIT_PTE_PTLOCKS"]
    mm = k.new_mm()
    pmd = k.pmd_alloc_one(mm, ADDR)
    k.pmd_populate(mm, pmd, k.pte_alloc_one(mm))
    assert k.pte_lockptr(mm, pmd) is k.pmd_lockptr(mm, pmd) is mm.page_table_lock


def test_big_locks_are_allocated_and_freed_with_the_table(link):
    k = link(DEBUG_SPINLOCK="y")
    k.ptlock_cache_init()
    table = k.new_table(k.new_mm())
    lock = k.ptlock_ptr(table)
    k.spin_lock(lock)
    k.spin_unlock(lock)
    k.pagetable_dtor_free(table)


def test_constructor_without_memory_for_the_lock_gives_the_table_back(link):
    k = link(DEBUG_SPINLOCK="y")
    k.ptlock_cache_init()
    k.patch("kmm.include.linux.mm", "ptlock_alloc", lambda ptdesc: False)
    assert k.pte_alloc_one(k.new_mm()) is None
    assert k.pte_alloc_one_kernel(k.new_mm()) is None
    assert k.pmd_alloc_one(k.new_mm(), ADDR) is None
    assert k.tables() == 0
    assert len(k.world.calls("frames_freed")) == 3


def test_alloc_one_without_memory_gives_none(k):
    k.world.fail("alloc_pages", 6)
    mm = k.new_mm()
    assert [k.pte_alloc_one(mm), k.pte_alloc_one_kernel(mm), k.pmd_alloc_one(mm, ADDR),
            k.pud_alloc_one(mm, ADDR), k.p4d_alloc_one(mm, ADDR), k.pgd_alloc(mm)] == [None] * 6


def test_mm_pgtables_bytes_counts_three_levels(k):
    mm = k.new_mm()
    k.mm_pgtables_bytes_init(mm)
    for level in ("pte", "pmd", "pud"):
        getattr(k, f"mm_inc_nr_{level}s")(mm)
    assert k.mm_pgtables_bytes(mm) == 3 * 4096
    k.mm_dec_nr_pmds(mm)
    assert k.mm_pgtables_bytes(mm) == 2 * 4096


def test_addr_end_handles_the_end_of_the_address_space(k):
    # include/linux/pgtable.h:1514 - an end of 0 is the largest
    assert k.pmd_addr_end(0, 0x1000) == 0x1000
    assert k.pmd_addr_end(0x1000, 0x400000) == 0x200000
    assert k.pgd_addr_end(2**64 - 4096, 0) == 0
    assert k.pud_addr_end(0, 0) == 1 << 30


def test_none_or_clear_bad_empties_what_makes_no_sense(k):
    mm = k.new_mm()
    pmd = k.pmd_alloc_one(mm, ADDR)
    assert k.pmd_none_or_clear_bad(pmd)
    k.set_pmd(pmd, k.pmd_t(0x1001))
    assert k.pmd_none_or_clear_bad(pmd)
    assert pmd[0] == 0
    k.pmd_populate(mm, pmd, k.pte_alloc_one(mm))
    assert not k.pmd_none_or_clear_bad(pmd)


def test_mm_tlb_flush_nested_means_more_than_one(k):
    mm = k.new_mm()
    assert not k.mm_tlb_flush_pending(mm)
    k.inc_tlb_flush_pending(mm)
    assert (k.mm_tlb_flush_pending(mm), k.mm_tlb_flush_nested(mm)) == (True, False)
    k.inc_tlb_flush_pending(mm)
    assert k.mm_tlb_flush_nested(mm)
    k.dec_tlb_flush_pending(mm)
    assert not k.mm_tlb_flush_nested(mm)
