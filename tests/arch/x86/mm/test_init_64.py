# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/mm/init.c and init_64.c: what boot maps, as the processor sees it."""

from __future__ import annotations

import pytest
from user_space import hardware, process

from kmm.arch.x86.include.asm.page import __va
from kmm.arch.x86.include.asm.pgtable import pgd_none, pmd_leaf
from kmm.arch.x86.include.asm.pgtable_64_types import VMALLOC_END, VMALLOC_START
from kmm.arch.x86.include.asm.tlbflush import cpu_tlbstate, cpu_tlbstate_shared
from kmm.arch.x86.mm.init import split_mem_range
from kmm.include.linux.mm_types import mm_cpumask
from kmm.include.linux.pgtable import p4d_offset, pgd_offset, pmd_offset, pud_offset
from kmm.init.main import kernel_init, start_kernel
from kmm.mm.init_mm import init_mm
from kmm_ext.x86 import PageFault


def test_direct_map_reaches_all_memory_and_ends_there(booted):
    cpu = hardware(booted)
    for pa in (0, 0x1000, 0x20_1234, (booted.frames << 12) - 8):
        assert cpu.translate(__va(pa), write=True, user=False) == pa
    with pytest.raises(PageFault):
        cpu.translate(__va(booted.frames << 12), user=False)
    with pytest.raises(PageFault):
        cpu.translate(__va(0x1000), user=True)
    with pytest.raises(PageFault):
        cpu.translate(__va(0x1000), fetch=True, user=False)


def test_direct_map_uses_large_leaves(booted):
    va = __va(0x40_0000)
    pud = pud_offset(p4d_offset(pgd_offset(init_mm, va), va), va)
    assert pmd_leaf(pmd_offset(pud, va)[0])


def test_direct_map_without_large_pages_is_made_of_tables(bare_world):
    from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET

    bare_world.features -= {"PSE", "GBPAGES"}
    bare_world.page_offset = PAGE_OFFSET
    start_kernel()
    va = __va(0x40_0000)
    pud = pud_offset(p4d_offset(pgd_offset(init_mm, va), va), va)
    assert not pmd_leaf(pmd_offset(pud, va)[0])
    assert hardware(bare_world).translate(va, user=False) == 0x40_0000


@pytest.mark.parametrize(("end", "sizes"), [
    (0x80_0000, [(0, 0x80_0000, 0b100)]),
    (0x80_1000, [(0, 0x80_0000, 0b100), (0x80_0000, 0x80_1000, 0)]),
    (0x4020_1000, [(0, 0x4000_0000, 0b1100), (0x4000_0000, 0x4020_0000, 0b100), (0x4020_0000, 0x4020_1000, 0)]),
])
def test_split_mem_range_takes_the_largest_leaves_that_fit(booted, end, sizes):
    booted.frames = end >> 12
    assert [(mr.start, mr.end, mr.page_size_mask) for mr in split_mem_range(0, end)] == sizes


def test_boot_leaves_every_cpu_on_init_mm_without_being_lazy(booted):
    for cpu in range(booted.cpus):
        assert cpu_tlbstate[cpu].loaded_mm is init_mm
        assert not cpu_tlbstate_shared[cpu].is_lazy
        assert cpu_tlbstate[cpu].cr4 == booted.cr4[cpu] and booted.cr4[cpu] & 1 << 17
    assert mm_cpumask(init_mm).bits == 0
    assert len(set(booted.cr3)) == 1


def test_preallocation_leaves_nothing_for_address_spaces_to_miss(booted):
    """Each user pgd is copied at birth: a top-level kernel entry that appears later must not exist."""
    mm = process(booted)
    for va in (VMALLOC_START(), VMALLOC_START() + (VMALLOC_END() - VMALLOC_START()) // 2, VMALLOC_END()):
        assert p4d_offset(pgd_offset(mm, va), va)[0] == p4d_offset(pgd_offset(init_mm, va), va)[0] != 0


def test_five_levels(bare_world):
    from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET

    bare_world.features.add("LA57")
    bare_world.page_offset = PAGE_OFFSET
    start_kernel()
    kernel_init()
    mm = process(bare_world)
    va = VMALLOC_START()
    assert va == 0xFFA0_0000_0000_0000 and not pgd_none(pgd_offset(mm, va)[0])
    assert hardware(bare_world).translate(__va(0x5000), user=False) == 0x5000
