# SPDX-License-Identifier: GPL-2.0-only
"""kernel/fork.c, kernel/exit.c, kernel/sched/core.c: who keeps an address space, and until when."""

from __future__ import annotations

from user_space import BASE, MIB2, kthread, mmap, process, second_thread, switch, touch

from kmm import hooks
from kmm.arch.x86.include.asm.page import __pa
from kmm.arch.x86.include.asm.tlbflush import cpu_tlbstate
from kmm.include.linux.mm import mm_pgtables_bytes
from kmm.include.linux.sched.mm import mmdrop, mmget, mmget_not_zero, mmgrab, mmput, mmput_async
from kmm.kernel.exit import exit_mm
from kmm.kernel.fork import mm_alloc
from kmm.mm.init_mm import init_mm


def alive(world, mm):
    """Whether the root table is still there."""
    return __pa(mm.pgd) >> 12 in world.allocated


def test_mm_alloc_and_mmput_leave_nothing(booted):
    before, tables = dict(booted.allocated), dict(booted.tables)
    mm = mm_alloc()
    assert alive(booted, mm) and mm.context.ctx_id > init_mm.context.ctx_id
    mmput(mm)
    assert booted.allocated == before and booted.tables == tables


def test_mm_alloc_without_memory_gives_none(booted, monkeypatch):
    before = dict(booted.allocated)
    for failing in range(2):
        calls = iter(range(10))
        monkeypatch.setattr(hooks, "may_fail", lambda label, gfp, at=failing, n=calls: next(n) == at)
        assert mm_alloc() is None
    assert booted.allocated == before


def test_ctx_ids_are_never_reused(booted):
    first = mm_alloc()
    mmput(first)
    second = mm_alloc()
    assert second.context.ctx_id == first.context.ctx_id + 1
    mmput(second)


def test_exit_frees_everything_but_the_root_that_is_still_borrowed(booted):
    before, tables = dict(booted.allocated), dict(booted.tables)
    idle = booted.task[0]
    mm = process(booted)
    mmap(BASE, 2 * MIB2)
    touch(BASE)
    touch(BASE + MIB2)
    exit_mm()
    booted.run_pending()
    assert mm_pgtables_bytes(mm) == 0 and alive(booted, mm)
    # The flush of the freed tables found this CPU lazy and made it load init_mm. The task still
    # borrows the mm; its reference goes with the switch to the next process.
    assert booted.cr3[0] & ~0xFFF == __pa(init_mm.pgd) and booted.task[0].active_mm is mm
    other = process(booted)
    assert not alive(booted, mm)
    exit_mm()
    switch(booted, 0, idle)
    process(booted)
    exit_mm()
    booted.run_pending()
    assert not alive(booted, other)
    assert len(booted.allocated) == len(before) + 1 and len(booted.tables) == len(tables) + 1


def test_last_thread_to_leave_unmaps(booted):
    mm = process(booted)
    mmap(BASE, MIB2)
    touch(BASE)
    second_thread(booted, mm, 1)
    exit_mm()
    assert mm_pgtables_bytes(mm)
    booted.cpu = 1
    exit_mm()
    assert not mm_pgtables_bytes(mm)


def test_context_switch_passes_the_borrowed_mm_from_kernel_thread_to_kernel_thread(booted):
    mm = process(booted)
    user = booted.task[0]
    first, second = kthread(), kthread()
    count = mm.mm_count.counter
    switch(booted, 0, first)
    assert first.active_mm is mm and mm.mm_count.counter == count + 1
    switch(booted, 0, second)
    assert first.active_mm is None and second.active_mm is mm and mm.mm_count.counter == count + 1
    booted.events.clear()
    switch(booted, 0, user)
    assert mm.mm_count.counter == count and booted.calls("write_cr3") == []


def test_mmget_not_zero_refuses_a_dying_mm(booted):
    mm = mm_alloc()
    assert mmget_not_zero(mm)
    mmput(mm)
    mmgrab(mm)
    mmput(mm)
    assert not mmget_not_zero(mm)
    mmdrop(mm)
    assert not alive(booted, mm)


def test_mmput_async_leaves_the_work_to_a_worker(booted):
    booted.run_pending()
    mm = mm_alloc()
    mmget(mm)
    mmput_async(mm)
    assert not booted.workers
    mmput_async(mm)
    assert alive(booted, mm)
    booted.run_pending()
    assert not alive(booted, mm)


def test_mmdrop_while_loaded_elsewhere_cannot_happen_with_references(booted):
    mm = process(booted, 1)
    switch(booted, 1, kthread())
    booted.cpu = 0
    mmput(mm)
    assert alive(booted, mm) and cpu_tlbstate[1].loaded_mm is mm
    process(booted, 1)
    assert not alive(booted, mm)
