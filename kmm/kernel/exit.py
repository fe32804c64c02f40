# SPDX-License-Identifier: GPL-2.0-only
"""Port of kernel/exit.c (Linux 7.2): a task leaves its address space."""

from __future__ import annotations

from kmm.arch.x86.include.asm.mmu_context import enter_lazy_tlb
from kmm.include.linux.bug import BUG_ON
from kmm.include.linux.irqflags import local_irq_disable, local_irq_enable
from kmm.include.linux.mmap_lock import mmap_read_lock, mmap_read_unlock
from kmm.include.linux.sched import current
from kmm.include.linux.sched.mm import mmgrab_lazy_tlb, mmput


def exit_mm() -> None:
    """The current task goes on without an mm, borrowing the one it had.

    :context: task; takes ``mmap_lock`` for reading, may sleep.
    """
    mm = current().mm

    if not mm:
        return

    mmap_read_lock(mm)
    mmgrab_lazy_tlb(mm)
    BUG_ON(mm is not current().active_mm)
    local_irq_disable()
    current().mm = None
    enter_lazy_tlb(mm, current())
    local_irq_enable()
    mmap_read_unlock(mm)
    mmput(mm)
