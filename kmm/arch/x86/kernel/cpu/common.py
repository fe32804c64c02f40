# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/kernel/cpu/common.c (Linux 7.2): CR4 and the TLB state of a CPU that comes up.

Left out: CPU identification, mitigations, segments, MSRs, CR pinning (``cr_pinning`` is off, as
early in boot) and everything else of ``cpu_init``.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.cpufeature import X86_FEATURE_PCID, boot_cpu_has
from kmm.arch.x86.include.asm.processor_flags import X86_CR4_PCIDE
from kmm.arch.x86.include.asm.special_insns import __read_cr4, __write_cr4
from kmm.arch.x86.include.asm.tlbflush import (
    cpu_tlbstate,
    enter_lazy_tlb,
    initialize_tlbstate_and_flush,
)
from kmm.c import ulong
from kmm.include.linux.bug import BUG_ON
from kmm.include.linux.lockdep import lockdep_assert_irqs_disabled
from kmm.include.linux.percpu import this_cpu_ptr
from kmm.include.linux.sched import current
from kmm.include.linux.sched.mm import mmgrab
from kmm.mm.init_mm import init_mm


def native_write_cr4(val: int) -> None:
    """MOV to CR4."""
    hooks.write_cr4(ulong(val))


def cr4_update_irqsoff(set: int, clear: int) -> None:
    """Change CR4 and its shadow, if there is anything to change. :context: interrupts off."""
    cr4 = this_cpu_ptr(cpu_tlbstate).cr4

    lockdep_assert_irqs_disabled()

    newval = (cr4 & ~clear) | set
    if newval != cr4:
        this_cpu_ptr(cpu_tlbstate).cr4 = newval
        __write_cr4(newval)


def cr4_read_shadow() -> int:
    """The shadow of this CPU's CR4."""
    return this_cpu_ptr(cpu_tlbstate).cr4


def cr4_init() -> None:
    """A CPU comes up: turn PCIDs on if they are used, and start the shadow of CR4."""
    cr4 = __read_cr4()

    if boot_cpu_has(X86_FEATURE_PCID):
        cr4 |= X86_CR4_PCIDE

    __write_cr4(cr4)

    this_cpu_ptr(cpu_tlbstate).cr4 = cr4


def cpu_init() -> None:
    """A CPU comes up: its idle task runs on ``init_mm``, with fresh TLB bookkeeping."""
    cur = current()

    mmgrab(init_mm)
    cur.active_mm = init_mm
    BUG_ON(cur.mm is not None)
    initialize_tlbstate_and_flush()
    enter_lazy_tlb(init_mm, cur)
