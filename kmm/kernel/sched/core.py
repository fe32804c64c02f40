# SPDX-License-Identifier: GPL-2.0-only
"""Port of kernel/sched/core.c (Linux 7.2): what a context switch does to address spaces.

Who runs when is the machine's business. It calls ``context_switch`` when it replaces the task of a
CPU; the registers and the stack are its own affair.

:deviation: ``finish_task_switch`` runs at the end of ``context_switch``, on the CPU that switched, as
    there; in C the next task returns into it from its own stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.mmu_context import enter_lazy_tlb
from kmm.arch.x86.mm.tlb import switch_mm_irqs_off
from kmm.c import struct
from kmm.include.linux.irqflags import local_irq_disable, local_irq_enable
from kmm.include.linux.percpu import DEFINE_PER_CPU, this_cpu_ptr
from kmm.include.linux.sched.mm import mmdrop_lazy_tlb_sched, mmgrab_lazy_tlb

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct
    from kmm.include.linux.sched import task_struct


class rq(struct):
    """A CPU's run queue: only what is handed from one task to the next."""

    #: A borrowed mm to let go of once the next task runs.
    prev_mm: mm_struct | None


runqueues = DEFINE_PER_CPU(rq)


def finish_task_switch(prev: task_struct) -> rq:
    """The next task runs: let go of the mm that the previous one borrowed."""
    this_rq = this_cpu_ptr(runqueues)
    mm = this_rq.prev_mm

    this_rq.prev_mm = None

    # finish_lock_switch()
    local_irq_enable()

    if mm is not None:
        mmdrop_lazy_tlb_sched(mm)

    return this_rq


def context_switch(prev: task_struct, next: task_struct) -> rq:
    """Replace *prev* by *next* on this CPU.

    A kernel thread has no mm of its own and borrows the previous one's (lazy TLB). Who leaves user
    mode passes a reference along with it, which the next user task's switch gives back.

    :context: task, interrupts on.
    """
    this_rq = this_cpu_ptr(runqueues)

    # __schedule() takes the run queue's lock.
    local_irq_disable()

    if not next.mm:
        assert prev.active_mm is not None
        enter_lazy_tlb(prev.active_mm, next)

        next.active_mm = prev.active_mm
        if prev.mm:
            mmgrab_lazy_tlb(prev.active_mm)
        else:
            prev.active_mm = None
    else:
        switch_mm_irqs_off(prev.active_mm, next.mm, next)

        if not prev.mm:
            # finish_task_switch() gives it back.
            this_rq.prev_mm = prev.active_mm
            prev.active_mm = None

    return finish_task_switch(prev)
