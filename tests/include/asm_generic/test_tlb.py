# SPDX-License-Identifier: GPL-2.0-only
"""include/asm-generic/tlb.h of Linux 7.2.13: what an mmu_gather records, and when it flushes."""

from __future__ import annotations

import pytest
from fake_world import KernelBug

ADDR = 0x7F00_0000_0000
PAGE = 4096
GIB = 1 << 30


@pytest.fixture
def k(link):
    return link()


def gather(k, full=False):
    tlb = k.mmu_gather()
    (k.tlb_gather_mmu_fullmm if full else k.tlb_gather_mmu)(tlb, k.new_mm())
    return tlb


def vma_of(k, tlb, flags=0):
    vma = k.vm_area_struct.zeroed()
    vma.vm_mm, vma.vm_flags = tlb.mm, flags
    vma.vm_start, vma.vm_end = ADDR, ADDR + PAGE
    return vma


def test_tlb_gather_mmu_starts_with_an_empty_range(k):
    # :410-428
    tlb = gather(k)
    assert (tlb.start, tlb.end) == (k.TASK_SIZE(), 0)


def test_tlb_adjust_range_takes_an_unsigned_int(k):
    # :402-408 - 4 GiB do not fit: the end stays where the range begins
    tlb = gather(k)
    k.tlb_flush_p4d_range(tlb, ADDR, 4 * GIB + PAGE)
    assert (tlb.start, tlb.end) == (ADDR, ADDR + PAGE)


def test_tlb_flush_mmu_tlbonly_does_nothing_unless_a_level_or_a_table_was_recorded(k):
    # :475-485 - the range itself is not looked at
    tlb = gather(k)
    getattr(k, "__tlb_adjust_range")(tlb, ADDR, PAGE)
    k.tlb_flush_mmu_tlbonly(tlb)
    assert k.flushes == []
    k.p4d_free_tlb(tlb, k.p4d_ptr(0), ADDR)         # folded: no table, but freed_tables is set
    k.tlb_flush_mmu_tlbonly(tlb)
    assert k.flushes == [(ADDR, ADDR + PAGE, 12, True)]


@pytest.mark.parametrize("bit", ["freed_tables", "cleared_ptes", "cleared_pmds", "cleared_puds",
                                 "cleared_p4ds", "unshared_tables"])
def test_tlb_flush_mmu_tlbonly_flushes_for_each_bit_and_resets(k, bit):
    tlb = gather(k)
    setattr(tlb, bit, 1)
    k.tlb_flush_mmu_tlbonly(tlb)
    assert len(k.flushes) == 1
    assert getattr(tlb, bit) == 0
    assert (tlb.start, tlb.end) == (k.TASK_SIZE(), 0)


def test_fullmm_has_no_end_to_adjust_and_lowers_only_the_start(k):
    # :413: ~0 for both, so max() never changes the end and VM_BUG_ON(!tlb->end) never fires
    tlb = gather(k, full=True)
    assert tlb.start == tlb.end == 2**64 - 1
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    assert (tlb.start, tlb.end) == (ADDR, 2**64 - 1)
    k.tlb_flush_mmu_tlbonly(tlb)
    assert k.flushes == [(0, k.TLB_FLUSH_ALL, 12, False)]


def test_fullmm_ignores_vmas(k):
    # :540-600
    tlb = gather(k, full=True)
    vma = vma_of(k, tlb, k.VM_PFNMAP | k.VM_EXEC)
    k.tlb_start_vma(tlb, vma)
    assert (tlb.vma_pfn, tlb.vma_exec) == (0, 0)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_end_vma(tlb, vma)
    k.tlb_free_vmas(tlb)
    assert k.flushes == []


def test_vma_pfn_stays_set_for_later_vmas(k):
    # :470 - per VMA in 6.12; here it makes tlb_free_vmas() flush whatever came in between
    tlb = gather(k)
    k.tlb_start_vma(tlb, vma_of(k, tlb, k.VM_MIXEDMAP))
    k.tlb_start_vma(tlb, vma_of(k, tlb, k.VM_EXEC))
    assert (tlb.vma_pfn, tlb.vma_exec, tlb.vma_huge) == (1, 1, 0)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_flush_mmu_tlbonly(tlb)
    assert tlb.vma_pfn == 1
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_free_vmas(tlb)
    assert len(k.flushes) == 2


def test_tlb_free_vmas_flushes_only_if_frames_without_pages_were_mapped(k):
    # :588-600
    tlb = gather(k)
    k.tlb_start_vma(tlb, vma_of(k, tlb))
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_free_vmas(tlb)
    assert k.flushes == []


@pytest.mark.parametrize(("merge", "flushes"), [("y", 0), ("n", 1)])
def test_tlb_end_vma_flushes_unless_ranges_of_vmas_are_merged(link, merge, flushes):
    # :559-572; x86 merges
    k = link(MMU_GATHER_MERGE_VMAS=merge)
    tlb = gather(k)
    vma = vma_of(k, tlb)
    k.tlb_start_vma(tlb, vma)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_end_vma(tlb, vma)
    assert len(k.flushes) == flushes


@pytest.mark.parametrize(("level", "stride"), [("pte", 21), ("pmd", 30), ("pud", 39), ("p4d", 12)])
def test_p_free_tlb_flushes_one_page_with_the_stride_of_the_entry_above(link, level, stride):
    # :755-790 - a p4d sets no level, so the stride falls back to the smallest
    k = link()
    k.world.features.add("LA57")
    k.check_la57_support()
    k.world.page_offset = k.PAGE_OFFSET
    tlb = gather(k)
    table = k.new_table(tlb.mm)
    free = getattr(k, f"{level}_free_tlb")
    free(tlb, k.ptdesc_page(table) if level == "pte" else getattr(k, f"{level}_ptr")(k.ptdesc_address(table)), ADDR)
    assert tlb.freed_tables == 1
    assert (tlb.start, tlb.end) == (ADDR, ADDR + PAGE)
    k.tlb_finish_mmu(tlb)
    assert k.flushes == [(ADDR, ADDR + PAGE, stride, True)]


def test_tlb_get_unmap_shift_is_the_smallest_level_seen(k):
    # :518-530
    tlb = gather(k)
    assert k.tlb_get_unmap_size(tlb) == PAGE
    for level, shift in (("p4d", 39), ("pud", 30), ("pmd", 21), ("pte", 12)):
        getattr(k, f"tlb_flush_{level}_range")(tlb, ADDR, PAGE)
        assert k.tlb_get_unmap_shift(tlb) == shift


def test_tlb_remove_huge_tlb_entry_records_the_level_of_the_size(k):
    # :672-685
    hstate = k.hstate.zeroed()
    for order, bit in ((0, "cleared_ptes"), (9, "cleared_pmds"), (18, "cleared_puds"), (27, "cleared_p4ds")):
        tlb = gather(k)
        hstate.order = order
        k.tlb_remove_huge_tlb_entry(hstate, tlb, k.pte_ptr(0), ADDR)
        assert getattr(tlb, bit) == 1


def test_tlb_change_page_size_flushes_where_flushing_depends_on_it(link):
    # :502-514
    k = link(MMU_GATHER_PAGE_SIZE="y")
    tlb = gather(k)
    k.tlb_change_page_size(tlb, PAGE)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_remove_page(tlb, k.new_page())
    k.tlb_change_page_size(tlb, PAGE)
    assert k.flushes == []
    k.tlb_change_page_size(tlb, 1 << 21)
    assert len(k.flushes) == 1
    assert tlb.local.nr == 0
    tlb = gather(k, full=True)
    k.tlb_change_page_size(tlb, PAGE)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_change_page_size(tlb, 1 << 21)
    assert len(k.flushes) == 1


def test_no_range_flushes_everything_for_any_range(link):
    # :444-448
    k = link(MMU_GATHER_NO_RANGE="y")
    flushed = []
    k.patch("kmm.include.asm_generic.tlb", "flush_tlb_mm", flushed.append)
    tlb = gather(k)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_finish_mmu(tlb)
    assert flushed == [tlb.mm]


def test_generic_tlb_flush_tells_of_the_vma(link):
    # :457-473
    k = link(KMM_ARCH_TLB_FLUSH="n")
    flushed = []
    k.patch("kmm.include.asm_generic.tlb", "flush_tlb_range",
            lambda vma, start, end: flushed.append((vma.vm_mm, vma.vm_flags, start, end)))
    tlb = gather(k)
    k.tlb_start_vma(tlb, vma_of(k, tlb, k.VM_EXEC | k.VM_HUGETLB | k.VM_WRITE))
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    k.tlb_finish_mmu(tlb)
    assert flushed == [(tlb.mm, k.VM_EXEC | k.VM_HUGETLB, ADDR, ADDR + PAGE)]


def test_generic_tlb_flush_reads_vma_flags_that_tlb_gather_mmu_does_not_set(link):
    # mm/mmu_gather.c:425-447 - garbage, unless the compiler zeroes the stack
    k = link(KMM_ARCH_TLB_FLUSH="n", INIT_STACK_NONE="y")
    assert not k.kernel.config["INIT_STACK_ALL_ZERO"]
    tlb = gather(k)
    k.tlb_remove_tlb_entry(tlb, k.pte_ptr(0), ADDR)
    with pytest.raises(AttributeError, match="vma_exec"):
        k.tlb_flush_mmu(tlb)


def test_tlb_unshare_pmd_ptdesc_flushes_pmd_leaves_and_the_last_sharer_interrupts_walkers(k):
    # :807-851
    tlb = gather(k)
    pt = k.virt_to_ptdesc(k.pmd_alloc_one(tlb.mm, ADDR))
    k.ptdesc_pmd_pts_inc(pt)
    k.ptdesc_pmd_pts_inc(pt)
    k.tlb_unshare_pmd_ptdesc(tlb, pt, ADDR + PAGE)
    assert (tlb.unshared_tables, tlb.fully_unshared_tables, tlb.cleared_pmds) == (1, 0, 1)
    assert (tlb.start, tlb.end) == (ADDR, ADDR + GIB)
    k.tlb_flush_unshared_tables(tlb)
    assert len(k.flushes) == 1
    assert k.world.calls("send_ipi") == []
    k.tlb_unshare_pmd_ptdesc(tlb, pt, ADDR)
    k.tlb_flush_unshared_tables(tlb)
    assert len(k.world.calls("send_ipi")) == 3
    assert tlb.fully_unshared_tables == 0


def test_remove_folio_pages_without_a_recorded_range_is_a_bug(k):
    # mm/mmu_gather.c:166
    tlb = gather(k)
    with pytest.raises(KernelBug, match=r"tlb\.end"):
        getattr(k, "__tlb_remove_folio_pages")(tlb, k.new_page(), 1, False)
