# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/mm/pgtable.c of Linux 7.2.13: top-level tables, accessed bits, huge kernel mappings."""

from __future__ import annotations

import pytest

ADDR = 0xFFFF_C900_0000_0000
GIB = 1 << 30


@pytest.fixture
def k(link):
    return boot(link())


def boot(k):
    """A kernel that has a top-level table of its own."""
    k.init_mm.pgd = getattr(k, "__pgd_alloc")(k.init_mm, k.pgd_allocation_order())
    k.kernel_flushes = []
    k.patch("kmm.arch.x86.mm.pgtable", "flush_tlb_kernel_range",
            lambda start, end: (k.kernel_flushes.append((start, end)), k.world.events.append(("kflush",))))
    k.world.events.clear()
    return k


def freed(k):
    return [pfn for pfn, order in k.world.calls("frames_freed")]


def test_pgd_alloc_copies_the_kernel_s_half_and_lists_the_table_under_the_lock(k):
    # :83-100, 307-353
    k.set_pgd(k.init_mm.pgd + 300, k.pgd_t(0x1234_5063))
    mm = k.new_mm()
    k.world.events.clear()
    pgd = k.pgd_alloc(mm)
    assert mm.pgd is pgd
    assert pgd[300] == 0x1234_5063
    assert pgd[0] == 0
    pt = k.virt_to_ptdesc(pgd)
    assert k.pgd_list.next is pt.pt_list
    assert k.pgd_page_get_mm(k.ptdesc_page(pt)) is mm
    assert [event[0] for event in k.order("lock", "copy", "mutates", "unlock")] == [
        "lock", "copy", "mutates", "unlock"]
    k.pgd_free(mm, pgd)
    assert k.list_empty(k.pgd_list)
    assert freed(k) == [pt._pfn]


def test_pgd_alloc_with_isolation_takes_two_pages_and_copies_both_halves(link):
    # asm/pgalloc.h:45, asm/pgtable.h:1330
    k = link()
    k.world.features.add("PTI")
    boot(k)
    k.set_pgd(k.init_mm.pgd + 300, k.pgd_t(0x1234_5063))
    k.kernel_to_user_pgdp(k.init_mm.pgd)[400] = k.pgd_t(0x6789_A063)
    mm = k.new_mm()
    pgd = k.pgd_alloc(mm)
    assert pgd % 8192 == 0
    assert k.compound_order(k.virt_to_page(pgd)) == 1
    assert (pgd[300], k.kernel_to_user_pgdp(pgd)[400]) == (0x1234_5063, 0x6789_A063)
    k.pgd_free(mm, pgd)
    assert k.world.calls("frames_freed")[-1][1] == 1


def test_isolation_mirrors_user_entries_and_makes_the_kernel_s_copy_not_executable(link):
    # arch/x86/mm/pti.c:137, with four levels from native_set_p4d()
    k = link()
    k.world.features.add("PTI")
    boot(k)
    mm = k.new_mm()
    pgd = k.pgd_alloc(mm)
    pud = k.pud_alloc_one(mm, 0)
    k.p4d_populate(mm, k.p4d_offset(pgd, 0), pud)
    entry = getattr(k, "__pa")(pud) | k._PAGE_TABLE
    assert k.kernel_to_user_pgdp(pgd)[0] == entry
    assert pgd[0] == entry | 1 << 63
    k.p4d_clear(k.p4d_offset(pgd, 0))
    assert (pgd[0], k.kernel_to_user_pgdp(pgd)[0]) == (0, 0)
    k.set_p4d(k.p4d_offset(pgd, ADDR), k.p4d_t(entry))
    assert k.kernel_to_user_pgdp(pgd)[k.pgd_index(ADDR)] == 0


def test_pgd_is_not_marked_for_async_freeing_unless_the_kernel_s(k):
    mm = k.new_mm()
    assert not k.ptdesc_test_kernel(k.virt_to_ptdesc(k.pgd_alloc(mm)))
    assert k.ptdesc_test_kernel(k.virt_to_ptdesc(k.init_mm.pgd))


def kernel_range(k):
    """A pud entry over a PMD table whose first two entries name PTE tables."""
    pud = k.pud_alloc_one(k.init_mm, ADDR)
    pmd = k.pmd_alloc_one(k.init_mm, ADDR)
    k.pud_populate(k.init_mm, pud, pmd)
    ptes = [k.pte_alloc_one_kernel(k.init_mm) for _ in range(2)]
    for n, pte in enumerate(ptes):
        k.pmd_populate_kernel(k.init_mm, pmd + n, pte)
    k.world.events.clear()
    return pud, pmd, ptes


def test_pmd_free_pte_page_unhooks_flushes_then_frees(k):
    # :744-761
    _, pmd, ptes = kernel_range(k)
    assert k.pmd_free_pte_page(pmd, ADDR) == 1
    assert k.pmd_none(pmd[0])
    assert k.kernel_flushes == [(ADDR, ADDR + 4095)]
    assert [event[0] for event in k.order("store", "kflush", "frame_is_table")] == [
        "store", "kflush", "frame_is_table"]
    assert freed(k) == []               # a kernel table: the worker frees it
    k.world.run_pending()
    assert freed(k) == [k.virt_to_page(ptes[0])._pfn]


def test_pud_free_pmd_page_frees_the_pte_tables_then_the_pmd_table(k):
    # :706-734
    pud, pmd, ptes = kernel_range(k)
    assert k.pud_free_pmd_page(pud, ADDR) == 1
    assert k.pud_none(pud[0])
    assert k.kernel_flushes == [(ADDR, ADDR + 4095)]
    assert [pfn for pfn, is_table in k.world.calls("frame_is_table")] == [
        k.virt_to_page(table)._pfn for table in (*ptes, pmd)]
    k.world.run_pending()
    assert len(freed(k)) == 3


def test_set_huge_refuses_where_a_table_is(k):
    # :609-668
    pud, pmd, _ = kernel_range(k)
    assert k.pmd_set_huge(pmd, 0x4000_0000, k.PAGE_KERNEL) == 0
    assert k.pmd_set_huge(pmd + 2, 0x4000_0000, k.PAGE_KERNEL) == 1
    assert k.pmd_leaf(pmd[2])
    assert k.pmd_pfn(pmd[2]) == 0x40000
    assert k.pud_set_huge(pud, GIB, k.PAGE_KERNEL) == 0
    assert (k.pmd_clear_huge(pmd), k.pmd_clear_huge(pmd + 2)) == (0, 1)
    assert k.pmd_none(pmd[2])
    assert k.p4d_set_huge(k.p4d_ptr(0), 0, k.PAGE_KERNEL) == 0


def test_ptep_set_access_flags_stores_only_for_writes(k):
    # :388-398
    ptep = k.pte_alloc_one_kernel(k.init_mm)
    k.set_pte(ptep, k.pfn_pte(5, k.PAGE_READONLY))
    entry = k.pte_mkyoung(k.pfn_pte(5, k.PAGE_SHARED))
    assert k.ptep_set_access_flags(None, ADDR, ptep, entry, 0)
    assert ptep[0] != entry
    assert k.ptep_set_access_flags(None, ADDR, ptep, entry, 1)
    assert ptep[0] == entry
    assert not k.ptep_set_access_flags(None, ADDR, ptep, entry, 1)


def test_ptep_test_and_clear_young_is_atomic_and_flushes_nothing(k):
    # :448-459, 484-502
    ptep = k.pte_alloc_one_kernel(k.init_mm)
    k.set_pte(ptep, k.pfn_pte(5, k.PAGE_SHARED))
    k.world.events.clear()
    assert k.ptep_clear_flush_young(None, ADDR, ptep)
    assert not k.pte_young(ptep[0])
    assert not k.ptep_clear_flush_young(None, ADDR, ptep)
    assert len(k.world.calls("atomic_and")) == 1
    assert k.flushes == []


def test_unported_paths_say_so(k):
    with pytest.raises(k.kernel.hooks.Unported):
        getattr(k, "__invlpgb")(0, 0, 0, 1, 0, 0) if k.kernel.config["BROADCAST_TLB_FLUSH"] else (
            k.folio_put(hugetlb_folio(k)))


def hugetlb_folio(k):
    folio = k.page_folio(k.new_page())
    folio.page.page_type = k.PGTY_hugetlb << 24
    return folio
