# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/include/asm/pgtable*.h: bits, levels, and how entries are changed."""

from __future__ import annotations

import pytest

P, RW, US, A, D, PSE, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
NX, SAVED_DIRTY = 1 << 63, 1 << 58
ADDR = 0x7F12_3456_7000


@pytest.fixture
def k(link):
    return link()


@pytest.fixture
def k5(link):
    """A kernel on a CPU that runs with five levels."""
    k = link()
    k.world.features.add("LA57")
    assert k.check_la57_support()
    return k


def test_protections_are_the_processor_s_bits(k):
    assert k.PAGE_SHARED == P | RW | US | A | NX
    assert k.PAGE_KERNEL == P | RW | A | D | G | NX
    assert k._PAGE_TABLE == P | RW | US | A | D
    assert k._KERNPG_TABLE == P | RW | A | D


def test_pfn_round_trips_through_an_entry_of_each_level(k):
    assert k.pte_pfn(k.pfn_pte(0x12345, k.PAGE_SHARED)) == 0x12345
    assert k.pmd_pfn(k.pmd_mkhuge(k.pfn_pmd(0x12200, k.PAGE_SHARED))) == 0x12200
    assert k.pud_pfn(k.pud_mkhuge(k.pfn_pud(0x40000, k.PAGE_SHARED))) == 0x40000


def test_prot_none_stores_its_address_inverted(k):
    # so that no processor speculates through it (L1TF)
    pte = k.pfn_pte(0x12345, k.PAGE_NONE)
    assert not pte & P
    assert pte & k.PTE_PFN_MASK == k.PTE_PFN_MASK ^ (0x12345 << 12)
    assert k.pte_pfn(pte) == 0x12345
    assert k.pte_present(pte)
    assert k.pte_pfn(k.pte_modify(pte, k.PAGE_SHARED)) == 0x12345
    assert k.pte_pfn(k.pte_advance_pfn(pte, 3)) == 0x12348


def test_wrprotect_keeps_dirtiness_out_of_the_shadow_stack_encoding(k):
    pte = k.pte_mkdirty(k.pfn_pte(1, k.PAGE_SHARED))
    assert pte & D
    read_only = k.pte_wrprotect(pte)
    assert not read_only & (RW | D)
    assert read_only & SAVED_DIRTY
    assert k.pte_dirty(read_only)
    vma = k.vm_area_struct.zeroed()
    assert k.pte_mkwrite(read_only, vma) & (RW | D | SAVED_DIRTY) == RW | D


def test_pmd_present_sees_a_huge_page_that_is_being_split(k):
    pmd = k.pmd_mkhuge(k.pfn_pmd(512, k.PAGE_SHARED))
    invalid = k.pmd_mkinvalid(pmd)
    assert not invalid & P
    assert k.pmd_present(invalid)
    assert k.pmd_trans_huge(invalid)
    assert k.pmd_pfn(invalid) == 512


def test_none_ignores_what_an_erratum_writes_into_empty_entries(k):
    assert k.pte_none(k.pte_t(A | D))
    assert k.pmd_none(k.pmd_t(A | D))
    assert not k.pmd_none(k.pmd_t(P))


def test_bad_is_all_that_names_no_table(k):
    assert not k.pmd_bad(k.pmd_t(0x1000 | k._PAGE_TABLE))
    assert not k.pmd_bad(k.pmd_t(0x1000 | k._KERNPG_TABLE))
    assert k.pmd_bad(k.pmd_mkhuge(k.pfn_pmd(512, k.PAGE_SHARED)))
    assert k.pud_bad(k.pud_t(PSE | P))
    assert not k.p4d_bad(k.p4d_t(0x1000 | k._PAGE_TABLE | NX))


def test_with_four_levels_the_p4d_is_the_pgd_entry(k):
    pgd = k.pgd_ptr(k.page_to_virt(k.new_page()))
    k.world.events.clear()
    assert k.p4d_offset(pgd, ADDR) == pgd
    assert k.world.calls("load") == []
    assert (k.PTRS_PER_P4D(), k.PGDIR_SHIFT(), k.p4d_index(ADDR)) == (1, 39, 0)
    assert k.pgd_present(k.pgd_t(0))
    assert not k.pgd_none(k.pgd_t(0))
    assert k.mm_p4d_folded(None)
    assert (k.PAGE_OFFSET(), k.VMALLOC_START()) == (0xFFFF_8880_0000_0000, 0xFFFF_C900_0000_0000)
    assert k.VMALLOC_END() == 0xFFFF_E8FF_FFFF_FFFF
    assert k.TASK_SIZE() == 2**47 - 4096
    assert k.KERNEL_PGD_BOUNDARY() == 273


def test_with_five_levels_the_p4d_is_a_table(k5):
    k = k5
    assert (k.PTRS_PER_P4D(), k.PGDIR_SHIFT()) == (512, 48)
    assert (k.PAGE_OFFSET(), k.VMALLOC_START()) == (0xFF11_0000_0000_0000, 0xFFA0_0000_0000_0000)
    assert k.VMALLOC_END() == 0xFFD1_FFFF_FFFF_FFFF
    assert k.TASK_SIZE() == 2**56 - 4096
    mm = k.new_mm()
    pgd = k.pgd_ptr(k.page_to_virt(k.new_page()))
    k.world.fill(pgd, 4096, 0)
    assert k.pgd_none(pgd[0])
    p4d = k.p4d_alloc_one(mm, ADDR)
    k.pgd_populate(mm, pgd, p4d)
    assert k.p4d_offset(pgd, ADDR) == p4d + k.p4d_index(ADDR)
    assert k.p4d_offset_lockless(pgd, pgd[0], ADDR) == p4d + k.p4d_index(ADDR)


def test_check_la57_support_needs_the_processor(k):
    assert not k.check_la57_support()
    assert not k.pgtable_l5_enabled()


def test_ptep_get_and_clear_is_one_exchange_and_one_load_and_store_when_all_goes(k):
    mm = k.new_mm()
    ptep = k.pte_ptr(k.page_to_virt(k.new_page()))
    k.world.fill(ptep, 4096, 0)
    k.set_pte(ptep, k.pfn_pte(5, k.PAGE_SHARED))
    k.world.events.clear()
    assert k.pte_pfn(k.ptep_get_and_clear_full(mm, ADDR, ptep, 0)) == 5
    assert [event[0] for event in k.world.events] == ["xchg"]
    k.set_pte(ptep, k.pfn_pte(5, k.PAGE_SHARED))
    k.world.events.clear()
    assert k.pte_pfn(k.ptep_get_and_clear_full(mm, ADDR, ptep, 1)) == 5
    assert [event[0] for event in k.world.events] == ["load", "store"]


def test_ptep_set_wrprotect_does_not_lose_a_dirty_bit_set_meanwhile(k):
    ptep = k.pte_ptr(k.page_to_virt(k.new_page()))
    k.set_pte(ptep, k.pfn_pte(5, k.PAGE_SHARED))
    cmpxchg = k.kernel.hooks.cmpxchg
    tries = []

    def hardware_is_faster(addr, size, old, new):
        tries.append(old)
        if len(tries) == 1:
            k.world.store(addr, 8, old | D)
        return cmpxchg(addr, size, old, new)

    k.kernel.hooks.cmpxchg = hardware_is_faster
    k.ptep_set_wrprotect(k.new_mm(), ADDR, ptep)
    assert len(tries) == 2
    assert k.pte_dirty(ptep[0])
    assert not k.pte_write(ptep[0])


def test_swap_entry_round_trips(k):
    entry = getattr(k, "__swp_entry")(3, 0x123456)
    assert getattr(k, "__swp_type")(entry) == 3
    assert getattr(k, "__swp_offset")(entry) == 0x123456
    assert not k.pte_present(k.pte_t(entry.val))


def test_indices_of_an_address(k):
    assert (k.pgd_index(ADDR), k.pud_index(ADDR), k.pmd_index(ADDR), k.pte_index(ADDR)) == (
        ADDR >> 39 & 511, ADDR >> 30 & 511, ADDR >> 21 & 511, ADDR >> 12 & 511)


def test_pa_and_va_are_inverse(k):
    pa, va = getattr(k, "__pa"), getattr(k, "__va")
    assert pa(va(0x1234_5000)) == 0x1234_5000
    assert k.virt_to_page(va(0x5000)) is k.pfn_to_page(5)
    assert k.page_to_virt(k.pfn_to_page(5)) == va(0x5000)
