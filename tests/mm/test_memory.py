# SPDX-License-Identifier: GPL-2.0-only
"""mm/memory.c: tables come with faults and go with mappings."""

from __future__ import annotations

import pytest
from user_space import BASE, MIB2, hardware, mmap, process, second_thread, touch

from kmm import hooks
from kmm.arch.x86.include.asm.pgtable import pte_none
from kmm.hooks import Unported
from kmm.include.asm_generic.tlb import mmu_gather
from kmm.include.linux.mm import mm_pgtables_bytes, pmd_lockptr
from kmm.include.linux.mm_types import VM_FAULT_OOM
from kmm.include.linux.pgtable import (
    p4d_offset,
    pgd_offset,
    pmd_offset,
    pte_offset_kernel,
    ptep_get,
    pud_offset,
)
from kmm.include.vdso.page import PAGE_SIZE
from kmm.mm.madvise import MADV_DONTNEED, do_madvise
from kmm.mm.memory import __pte_alloc, free_pgd_range, zap_vma_range
from kmm.mm.mmap import find_vma, sys_munmap
from kmm.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu
from kmm_ext.x86 import PageFault

TOP = 0x7FFF_FFFF_F000


def pmd_of(mm, addr):
    return pmd_offset(pud_offset(p4d_offset(pgd_offset(mm, addr), addr), addr), addr)


def tables(mm):
    return mm_pgtables_bytes(mm) // PAGE_SIZE


def test_fault_builds_what_the_processor_walks(booted):
    process(booted)
    mmap(BASE, 2 * MIB2)
    with pytest.raises(PageFault):
        hardware(booted).translate(BASE, user=True)
    assert touch(BASE) == touch(BASE + MIB2) == 0
    cpu = hardware(booted)
    first, second = (cpu.translate(BASE + offset, write=True, user=True) for offset in (0, MIB2))
    assert first != second
    with pytest.raises(PageFault):
        cpu.translate(BASE + PAGE_SIZE, user=True)


def test_fault_for_reading_maps_the_zero_page_which_cannot_be_written(booted):
    process(booted)
    mmap(BASE, MIB2)
    assert touch(BASE, write=False) == touch(BASE + PAGE_SIZE, write=False) == 0
    cpu = hardware(booted)
    assert cpu.translate(BASE, user=True) == cpu.translate(BASE + PAGE_SIZE, user=True)
    with pytest.raises(PageFault):
        cpu.translate(BASE, write=True, user=True)
    with pytest.raises(Unported, match="do_wp_page"):
        touch(BASE)


@pytest.mark.parametrize("failures", range(4))
def test_fault_without_memory_leaks_nothing(booted, monkeypatch, failures):
    mm = process(booted)
    mmap(BASE, MIB2)
    calls = iter(range(10))
    monkeypatch.setattr(hooks, "may_fail", lambda label, gfp: next(calls) == failures)
    before = set(booted.allocated)
    assert touch(BASE) == VM_FAULT_OOM
    assert tables(mm) == min(failures, 3)
    assert len(set(booted.allocated) - before) == min(failures, 3)


def test_pte_alloc_keeps_the_table_of_whoever_was_first(booted):
    mm = process(booted)
    mmap(BASE, MIB2)
    touch(BASE)
    pmd = pmd_of(mm, BASE)
    entry, before = pmd[0], dict(booted.allocated)
    assert __pte_alloc(mm, pmd) == 0
    assert pmd[0] == entry and booted.allocated == before and tables(mm) == 3


def test_munmap_frees_tables_only_if_no_neighbour_needs_them(booted):
    mm = process(booted)
    for offset in (0, MIB2, 3 * MIB2):
        mmap(BASE + offset, PAGE_SIZE)
        touch(BASE + offset)
    assert tables(mm) == 5  # PUD, PMD, three PTE
    sys_munmap(BASE + MIB2, PAGE_SIZE)
    assert tables(mm) == 4
    sys_munmap(BASE, PAGE_SIZE)
    assert tables(mm) == 3
    sys_munmap(BASE + 3 * MIB2, PAGE_SIZE)
    assert tables(mm) == 0


def test_munmap_keeps_the_table_that_a_neighbour_shares(booted):
    mm = process(booted)
    mmap(BASE, 4 * PAGE_SIZE)
    touch(BASE)
    touch(BASE + 3 * PAGE_SIZE)
    sys_munmap(BASE, 2 * PAGE_SIZE)
    assert tables(mm) == 3
    assert pte_none(ptep_get(pte_offset_kernel(pmd_of(mm, BASE), BASE)))
    with pytest.raises(PageFault):
        hardware(booted).translate(BASE, user=True)
    hardware(booted).translate(BASE + 3 * PAGE_SIZE, user=True)


def test_munmap_at_the_top_of_the_address_space_frees_everything(booted):
    """Ceiling 0 is the top: ``end - 1 > ceiling - 1`` must wrap."""
    mm = process(booted)
    mmap(TOP - PAGE_SIZE, PAGE_SIZE)
    touch(TOP - PAGE_SIZE)
    assert sys_munmap(TOP - PAGE_SIZE, PAGE_SIZE) == 0
    assert tables(mm) == 0


@pytest.mark.parametrize(("floor", "ceiling", "left"), [
    (0, 0, 0),
    (BASE + PAGE_SIZE, 0, 3),
    (0, BASE + MIB2 - PAGE_SIZE, 3),
    (BASE - MIB2, BASE + MIB2, 2),
    (BASE, BASE + (1 << 30), 1),
    (BASE, BASE + (1 << 39), 0),
])
def test_free_pgd_range_respects_floor_and_ceiling(booted, floor, ceiling, left):
    mm = process(booted)
    mmap(BASE, PAGE_SIZE)
    touch(BASE)
    zap_vma_range(find_vma(mm, BASE), BASE, PAGE_SIZE)
    tlb = mmu_gather()
    tlb_gather_mmu(tlb, mm)
    free_pgd_range(tlb, BASE, BASE + PAGE_SIZE, floor, ceiling)
    tlb_finish_mmu(tlb)
    assert tables(mm) == left


def test_munmap_flushes_before_it_frees(booted):
    mm = process(booted)
    second_thread(booted, mm, 1)
    mmap(BASE, PAGE_SIZE)
    touch(BASE)
    booted.events.clear()
    sys_munmap(BASE, PAGE_SIZE)
    names = [event[0] for event in booted.events]
    assert names.index("send_ipi") < names.index("frames_freed")
    assert len(booted.tables) == 65 + 3, "tables wait for a grace period"
    booted.run_pending()
    assert len(booted.tables) == 65


def test_madvise_frees_the_table_of_a_range_that_covers_it(booted):
    mm = process(booted)
    mmap(BASE, 2 * MIB2)
    touch(BASE)
    touch(BASE + MIB2)
    assert do_madvise(mm, BASE + PAGE_SIZE, MIB2 - PAGE_SIZE, MADV_DONTNEED) == 0
    assert tables(mm) == 4
    assert do_madvise(mm, BASE, MIB2, MADV_DONTNEED) == 0
    assert tables(mm) == 3 and pmd_of(mm, BASE)[0] == 0
    assert touch(BASE) == 0 and tables(mm) == 4


def test_zap_pte_range_gathers_the_table_for_the_address_it_maps(booted):
    """At the end of the loop *addr* is that of the next table."""
    mm = process(booted)
    mmap(BASE, 2 * MIB2)
    touch(BASE)
    booted.events.clear()
    do_madvise(mm, BASE, MIB2, MADV_DONTNEED)
    assert booted.calls("invlpg") == [(BASE,)]


def test_zap_pte_table_if_empty_looks_again_when_the_pmd_lock_was_taken(booted, monkeypatch):
    """The fast path only tries the outer lock; here it fails once."""
    mm = process(booted)
    mmap(BASE, MIB2)
    touch(BASE)
    outer = pmd_lockptr(mm, pmd_of(mm, BASE))
    tried = []

    def busy(obj, kind, *, shared=False):
        tried.append(obj)
        return False

    monkeypatch.setattr(hooks, "trylock", busy)
    do_madvise(mm, BASE, MIB2, MADV_DONTNEED)
    assert tried == [outer] and tables(mm) == 2 and pmd_of(mm, BASE)[0] == 0


def test_swap_entries_are_refused(booted):
    mm = process(booted)
    mmap(BASE, MIB2)
    touch(BASE)
    pte = pte_offset_kernel(pmd_of(mm, BASE), BASE)
    pte[0] = 0x1234 << 12
    with pytest.raises(Unported, match="do_swap_page"):
        touch(BASE)
