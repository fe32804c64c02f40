# SPDX-License-Identifier: GPL-2.0-only
"""Model of init/main.c: boot, as far as page tables care.

The order is the kernel's: interrupts are off until the core is set up, ``system_state`` moves from
SYSTEM_BOOTING to SYSTEM_SCHEDULING when the first threads could run, kworkers exist only after that, the
other CPUs come up after the early initcalls, initcalls run level by level, and then the system is running.
What each step calls is what exists here; the steps without a counterpart are left out in silence.

:func:`start_kernel` ends where the boot task becomes the idle task, in ``rest_init``;
:func:`kernel_init` is what the first thread does. Whoever boots a kernel calls one after the other, both
on CPU 0, with ``current()`` a task without an mm.

:deviation: the decision about five levels, which early assembly takes, comes first here. The page
    allocator serves early boot, too; there is no memblock. A CPU other than the boot CPU starts as if by
    an interrupt, and is online when that is over.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.boot.startup.map_kernel import check_la57_support
from kmm.arch.x86.kernel.cpu.common import cpu_init
from kmm.arch.x86.kernel.setup import setup_arch
from kmm.arch.x86.kernel.smpboot import start_secondary
from kmm.arch.x86.mm.init_64 import mem_init
from kmm.include.linux.cpumask import (
    cpu_online,
    cpu_online_mask,
    for_each_possible_cpu,
    set_cpu_online,
    set_cpu_possible,
)
from kmm.include.linux.init import initcall_early, initcall_levels, initcall_t
from kmm.include.linux.irqflags import irqs_disabled, local_irq_disable, local_irq_enable
from kmm.include.linux.kernel import (
    SYSTEM_FREEING_INITMEM,
    SYSTEM_RUNNING,
    SYSTEM_SCHEDULING,
    system_state,
)
from kmm.include.linux.mm import ptlock_cache_init
from kmm.include.linux.preempt import preempt_count
from kmm.include.linux.rcupdate import rcu_init
from kmm.include.linux.workqueue import workqueue_init, workqueue_init_early
from kmm.mm.mm_init import init_zero_page_pfn
from kmm.mm.page_alloc import setup_per_cpu_pageset
from kmm.mm.vmalloc import vmalloc_init


def boot_cpu_init() -> None:
    """The boot CPU is online; the others are possible (kernel/cpu.c)."""
    for cpu in for_each_possible_cpu():
        set_cpu_possible(cpu, True)
    set_cpu_online(hooks.smp_processor_id(), True)


def trap_init() -> None:
    """Set up the boot CPU (arch/x86/kernel/traps.c)."""
    cpu_init()


def mm_core_init() -> None:
    """Set up memory management (mm/mm_init.c)."""
    init_zero_page_pfn()
    mem_init()
    ptlock_cache_init()
    vmalloc_init()


def start_kernel() -> None:
    """Boot until the scheduler could start other tasks.

    :context: CPU 0, nothing else runs.
    """
    local_irq_disable()

    boot_cpu_init()
    check_la57_support()
    setup_arch()
    trap_init()
    mm_core_init()
    workqueue_init_early()
    rcu_init()

    if not irqs_disabled():
        hooks.warn("start_kernel", "Interrupts were enabled early")
    local_irq_enable()

    setup_per_cpu_pageset()

    rest_init()


def rest_init() -> None:
    """The first threads can run from here on."""
    system_state.value = SYSTEM_SCHEDULING


def kernel_init() -> None:
    """What the first thread does: finish booting.

    :context: task on CPU 0; may sleep.
    """
    kernel_init_freeable()

    system_state.value = SYSTEM_FREEING_INITMEM
    system_state.value = SYSTEM_RUNNING


def kernel_init_freeable() -> None:
    """Kworkers, the other CPUs, and all initcalls."""
    workqueue_init()

    do_pre_smp_initcalls()

    smp_init()

    do_basic_setup()


def smp_init() -> None:
    """Bring up the other CPUs (kernel/smp.c)."""
    for cpu in for_each_possible_cpu():
        if not cpu_online(cpu):
            cpu_up(cpu)


def cpu_up(cpu: int) -> None:
    """Start one CPU and wait until it is online (kernel/cpu.c).

    :context: task; may sleep.
    """
    hooks.send_ipi(cpu, "start_secondary", bringup_cpu)
    hooks.wait("cpu_up", lambda: cpu_online(cpu), cpu_online_mask)


def bringup_cpu() -> None:
    """What the new CPU does, on that CPU with interrupts off."""
    start_secondary()
    hooks.write(cpu_online_mask, "bits")
    set_cpu_online(hooks.smp_processor_id(), True)


def do_basic_setup() -> None:
    """The machine works from here on: set up everything else."""
    do_initcalls()


def do_one_initcall(fn: initcall_t) -> int:
    """Run an initcall; it must leave preemption and interrupts as they were."""
    count = preempt_count()

    ret = fn()

    if preempt_count() != count:
        hooks.warn("do_one_initcall", f"{getattr(fn, '__name__', fn)}: preemption imbalance")
    if irqs_disabled():
        hooks.warn("do_one_initcall", f"{getattr(fn, '__name__', fn)}: disabled interrupts")
        local_irq_enable()
    return ret


def do_pre_smp_initcalls() -> None:
    """Run the early initcalls."""
    for fn in initcall_early:
        do_one_initcall(fn)


def do_initcall_level(level: int) -> None:
    """Run the initcalls of one level."""
    for fn in initcall_levels[level]:
        do_one_initcall(fn)


def do_initcalls() -> None:
    """Run all other initcalls, level by level."""
    for level in range(len(initcall_levels)):
        do_initcall_level(level)
