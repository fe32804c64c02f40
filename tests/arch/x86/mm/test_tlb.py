# SPDX-License-Identifier: GPL-2.0-only
"""arch/x86/mm/tlb.c: what a switch flushes, whom a flush reaches, and what it may leave out."""

from __future__ import annotations

import pytest
from user_space import BASE, kthread, process, second_thread, switch, thread

from kmm import hooks
from kmm.arch.x86.include.asm.tlbflush import TLB_NR_DYN_ASIDS, cpu_tlbstate, cpu_tlbstate_shared
from kmm.arch.x86.mm.tlb import (
    flush_tlb_all,
    flush_tlb_kernel_range,
    flush_tlb_mm_range,
    get_flush_tlb_info,
    leave_mm,
)
from kmm.include.linux.mm_types import mm_cpumask
from kmm.include.vdso.page import PAGE_SIZE
from kmm.kernel.fork import mm_alloc
from kmm.mm.init_mm import init_mm

NOFLUSH = 1 << 63
PAGES = 4
ALL = (1 << 64) - 1


def flush(mm, pages=PAGES, *, freed_tables=False):
    flush_tlb_mm_range(mm, BASE, BASE + pages * PAGE_SIZE, 12, freed_tables)


def test_switch_loads_a_new_mm_with_a_flush_and_a_known_one_without(booted):
    first = process(booted)
    second = process(booted)
    booted.events.clear()
    switch(booted, 0, thread(first))
    switch(booted, 0, thread(second))
    loads = [cr3 for (cr3,) in booted.calls("write_cr3")]
    assert [bool(cr3 & NOFLUSH) for cr3 in loads] == [True, True]
    assert len({cr3 & 0xFFF for cr3 in loads}) == 2, "each address space has a PCID of its own"


def test_switch_flushes_what_was_missed_while_another_mm_ran(booted):
    mm = process(booted)
    process(booted)
    booted.cpu = 1
    flush(mm)
    booted.cpu = 0
    booted.events.clear()
    switch(booted, 0, thread(mm))
    (cr3,), = booted.calls("write_cr3")
    assert not cr3 & NOFLUSH


def test_switch_recycles_the_oldest_slot_with_a_flush(booted):
    mms = [process(booted) for _ in range(TLB_NR_DYN_ASIDS + 1)]
    booted.events.clear()
    switch(booted, 0, thread(mms[-2]))
    switch(booted, 0, thread(mms[0]))
    kept, lost = (cr3 for (cr3,) in booted.calls("write_cr3"))
    assert kept & NOFLUSH and not lost & NOFLUSH


def test_switch_enters_the_mask_before_it_reads_the_generation(booted):
    """Else a flush between the two would reach neither the mask nor the generation."""
    mm = mm_alloc()
    booted.events.clear()
    switch(booted, 0, thread(mm))
    names = [(event[0], event[2]) for event in booted.events if event[0] in ("read", "write")
             and event[1] in (mm_cpumask(mm), mm.context.tlb_gen)]
    assert names.index(("write", "bits")) < names.index(("read", "counter"))


def test_switch_without_pcid_always_flushes(booted):
    booted.features -= {"PCID", "INVPCID"}
    for state in cpu_tlbstate:
        state.loaded_mm_asid = 0
    booted.cr3 = [cr3 & ~0xFFF for cr3 in booted.cr3]
    first = process(booted)
    process(booted)
    booted.events.clear()
    switch(booted, 0, thread(first))
    (cr3,), = booted.calls("write_cr3")
    assert cr3 & 0xFFF == 0 and not cr3 & NOFLUSH


def test_enter_lazy_tlb_keeps_the_mm_loaded(booted):
    mm = process(booted)
    root = booted.cr3[0]
    switch(booted, 0, kthread())
    assert booted.cr3[0] == root and cpu_tlbstate[0].loaded_mm is mm
    assert cpu_tlbstate_shared[0].is_lazy and mm_cpumask(mm).bits == 1
    leave_mm()
    assert cpu_tlbstate[0].loaded_mm is init_mm and not cpu_tlbstate_shared[0].is_lazy


def test_flush_of_a_local_mm_sends_no_interrupt(booted):
    mm = process(booted)
    booted.events.clear()
    flush(mm)
    assert booted.calls("send_ipi") == []
    assert booted.calls("invlpg") == [(BASE + n * PAGE_SIZE,) for n in range(PAGES)]


def test_flush_of_a_long_range_flushes_everything(booted):
    mm = process(booted)
    booted.events.clear()
    flush(mm, 34)
    assert booted.calls("invlpg") == [] and len(booted.calls("write_cr3")) == 1


def test_flush_reaches_threads_on_other_cpus(booted):
    mm = process(booted)
    second_thread(booted, mm, 1)
    booted.events.clear()
    flush(mm)
    assert [cpu for cpu, *_ in booted.calls("send_ipi")] == [1]
    assert len(booted.calls("invlpg")) == 2 * PAGES


@pytest.mark.parametrize("freed_tables", [False, True])
def test_flush_spares_lazy_cpus_unless_tables_go(booted, freed_tables):
    mm = process(booted)
    second_thread(booted, mm, 1)
    switch(booted, 1, kthread())
    booted.cpu = 0
    booted.events.clear()
    flush(mm, freed_tables=freed_tables)
    assert bool(booted.calls("send_ipi")) is freed_tables
    # A lazy CPU that is interrupted gives the mm up for good: it loads init_mm.
    assert (cpu_tlbstate[1].loaded_mm is init_mm) is freed_tables


def test_flush_of_a_lazy_cpu_is_made_up_for_when_it_wakes(booted):
    mm = process(booted)
    task = second_thread(booted, mm, 1)
    switch(booted, 1, kthread())
    booted.cpu = 0
    flush(mm)
    booted.events.clear()
    switch(booted, 1, task)
    (cr3,), = booted.calls("write_cr3")
    assert not cr3 & NOFLUSH, "tlb_gen has moved on"


def test_flush_func_on_a_cpu_that_left_takes_it_out_of_the_mask(booted):
    mm = process(booted)
    second_thread(booted, mm, 1)
    process(booted, 1)
    booted.cpu = 0
    assert mm_cpumask(mm).bits == 0b11
    booted.events.clear()
    flush(mm, freed_tables=True)
    assert mm_cpumask(mm).bits == 0b01
    assert len(booted.calls("invlpg")) == PAGES, "only the sender had anything to flush"


def test_flush_func_two_generations_behind_flushes_everything(booted):
    """The range of the second flush says nothing about the first."""
    mm = process(booted)
    second_thread(booted, mm, 1)
    cpu_tlbstate[1].ctxs[cpu_tlbstate[1].loaded_mm_asid].tlb_gen -= 1
    mm.context.tlb_gen.counter += 1
    booted.events.clear()
    flush(mm)
    assert booted.calls("invlpg") == [] and len(booted.calls("write_cr3")) == 2


def test_flush_func_already_up_to_date_does_nothing(booted):
    mm = process(booted)
    flush(mm)
    state = cpu_tlbstate[0]
    assert state.ctxs[state.loaded_mm_asid].tlb_gen == mm.context.tlb_gen.counter
    state.ctxs[state.loaded_mm_asid].tlb_gen += 1
    booted.events.clear()
    flush(mm)
    assert booted.calls("invlpg") == [] and booted.calls("write_cr3") == []


def test_flush_tlb_kernel_range_reaches_every_cpu(booted):
    booted.events.clear()
    flush_tlb_kernel_range(BASE, BASE + 2 * PAGE_SIZE)
    assert sorted(cpu for cpu, *_ in booted.calls("send_ipi")) == [1, 2, 3]
    assert len(booted.calls("invlpg")) == 2 * booted.cpus
    booted.events.clear()
    flush_tlb_kernel_range(0, ALL)
    assert booted.calls("invpcid") == [(2, 0, 0)] * booted.cpus


def test_flush_tlb_all_without_invpcid_toggles_global_pages(booted):
    booted.features.remove("INVPCID")
    booted.events.clear()
    flush_tlb_all()
    values = [cr4 for (cr4,) in booted.calls("write_cr4")]
    assert len(values) == 2 * booted.cpus
    assert all(off ^ on == 1 << 7 for off, on in zip(values[::2], values[1::2], strict=True))


def test_flush_of_one_kernel_page_with_pti_reaches_the_user_pcid_and_marks_the_rest(booted):
    booted.features.add("PTI")
    other = process(booted)
    process(booted)
    booted.events.clear()
    flush_tlb_kernel_range(BASE, BASE + PAGE_SIZE)
    kernel = cpu_tlbstate[0].loaded_mm_asid + 1
    assert (0, kernel | 1 << 11, BASE) in booted.calls("invpcid")
    assert cpu_tlbstate[0].invalidate_other
    process(booted)
    assert not cpu_tlbstate[0].invalidate_other
    booted.events.clear()
    switch(booted, 0, thread(other))
    (cr3,), = booted.calls("write_cr3")
    assert not cr3 & NOFLUSH, "its kernel translations may be stale"


def test_get_flush_tlb_info_refuses_to_nest(booted):
    from fake_world import KernelBug

    hooks.preempt_count_add(1)
    get_flush_tlb_info(None, 0, PAGE_SIZE, 12, False, 0)
    with pytest.raises(KernelBug):
        get_flush_tlb_info(None, 0, PAGE_SIZE, 12, False, 0)
