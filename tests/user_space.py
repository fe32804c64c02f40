# SPDX-License-Identifier: GPL-2.0-only
"""Processes for unit tests on a booted :class:`fake_world.FakeWorld`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.include.linux.mm_types import FAULT_FLAG_WRITE
from kmm.include.linux.mmap_lock import mmap_read_lock, mmap_read_unlock
from kmm.include.linux.sched import current, task_struct
from kmm.include.linux.sched.mm import mmget
from kmm.kernel.fork import mm_alloc
from kmm.kernel.sched.core import context_switch
from kmm.mm.memory import handle_mm_fault
from kmm.mm.mmap import (
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_PRIVATE,
    PROT_READ,
    PROT_WRITE,
    find_vma,
    vm_mmap,
)
from kmm_ext.memory import Memory
from kmm_ext.x86 import CPU

if TYPE_CHECKING:
    from fake_world import FakeWorld

    from kmm.include.linux.mm_types import mm_struct, vm_fault_t

#: Start of a top-level entry's range, so that every table below it is new.
BASE = 0x7F00_0000_0000
MIB2 = 2 << 20


def switch(world: FakeWorld, cpu: int, task: task_struct) -> None:
    """Run *task* on *cpu* from now on, and make it the CPU that the test continues on."""
    world.cpu = cpu
    prev = world.task[cpu]
    world.task[cpu] = task
    context_switch(prev, task)


def process(world: FakeWorld, cpu: int = 0) -> mm_struct:
    """A new process with an empty address space, running on *cpu*."""
    mm = mm_alloc()
    assert mm is not None
    switch(world, cpu, thread(mm))
    return mm


def thread(mm: mm_struct) -> task_struct:
    """A task of *mm*; the first one uses the reference that mm_alloc() gave."""
    task = task_struct.zeroed()
    task.mm = task.active_mm = mm
    return task


def second_thread(world: FakeWorld, mm: mm_struct, cpu: int) -> task_struct:
    """Another task of *mm*, running on *cpu*; the test goes on where it was."""
    here = world.cpu
    mmget(mm)
    task = thread(mm)
    switch(world, cpu, task)
    world.cpu = here
    return task


def kthread() -> task_struct:
    """A task without an address space."""
    return task_struct.zeroed()


def mmap(addr: int, size: int) -> None:
    """Private anonymous memory of the current process."""
    assert vm_mmap(None, addr, size, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, 0) == addr


def touch(addr: int, *, write: bool = True) -> vm_fault_t:
    """A page fault of the current process at *addr*."""
    mm = current().mm
    assert mm is not None
    mmap_read_lock(mm)
    vma = find_vma(mm, addr)
    assert vma is not None and vma.vm_start <= addr
    ret = handle_mm_fault(vma, addr, FAULT_FLAG_WRITE if write else 0)
    mmap_read_unlock(mm)
    return ret


def hardware(world: FakeWorld) -> CPU:
    """A processor that sees the world's memory as it is now, through the root of the world's CPU."""
    memory = Memory(world.frames)
    for frame, content in world._memory.items():
        pfn = frame - (world.page_offset() >> 12)
        if 0 <= pfn < world.frames:
            memory.write_bytes(pfn << 12, content)
    cpu = CPU(memory, levels=5 if "LA57" in world.features else 4)
    cpu.write_cr3(world.cr3[world.cpu] & ~0xFFF)
    return cpu
