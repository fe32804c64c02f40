# SPDX-License-Identifier: GPL-2.0-only
"""Model of kernel/smp.c: running a function on other CPUs.

The decisions (whom to call, in which order, what to wait for) follow the C. The transport does not:
each call is one interrupt of its own, where the kernel chains calls to one CPU on a lock-less list and
handles all of them in one interrupt. An interrupt arrives when its CPU has interrupts enabled.

Left out: irq_work, remote wakeups, hotplug, the csd lock debugger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.bug import WARN_ON_ONCE
from kmm.include.linux.cpumask import (
    __cpumask_clear_cpu,
    cpu_online,
    cpu_online_mask,
    cpumask,
    cpumask_and,
    cpumask_any_and_but,
    cpumask_test_cpu,
    for_each_cpu,
    nr_cpu_ids,
)
from kmm.include.linux.errno import ENXIO
from kmm.include.linux.irqflags import irqs_disabled, local_irq_restore, local_irq_save
from kmm.include.linux.lockdep import lockdep_assert_irqs_enabled, lockdep_assert_preemption_disabled
from kmm.include.linux.percpu import DEFINE_PER_CPU, PERCPU_AREAS, this_cpu_ptr
from kmm.include.linux.preempt import in_task, preempt_disable, preempt_enable
from kmm.include.linux.smp import (
    CSD_FLAG_LOCK,
    CSD_TYPE_ASYNC,
    CSD_TYPE_SYNC,
    call_single_data,
    get_cpu,
    put_cpu,
    smp_call_func_t,
    smp_cond_func_t,
    smp_processor_id,
)

SCF_WAIT = 1 << 0
SCF_RUN_LOCAL = 1 << 1

if TYPE_CHECKING:
    from collections.abc import Callable


class call_function_data(struct):
    """What one CPU needs to call many: one call for each target, and who is to be called."""

    cpumask: cpumask


cfd_data = DEFINE_PER_CPU(call_function_data)
#: ``cfd_data.csd`` is itself per CPU: ``cfd_csd[caller][target]``.
cfd_csd = [DEFINE_PER_CPU(call_single_data) for _ in range(PERCPU_AREAS)]
#: ``csd_data``: for asynchronous calls to a single CPU, by caller.
csd_data = DEFINE_PER_CPU(call_single_data)


def csd_lock_wait(csd: call_single_data) -> None:
    """Wait until the call was carried out (synchronous) or taken off the queue (asynchronous).

    :context: interrupts enabled; with them disabled two CPUs can wait for each other.
    """
    if irqs_disabled():
        hooks.violation("ipi-with-irqs-off", "csd_lock_wait",
                        summary="a CPU waits for another CPU's interrupt with its own disabled")
    hooks.wait("csd_lock_wait", lambda: not csd.u_flags & CSD_FLAG_LOCK, csd)


def csd_lock(csd: call_single_data) -> None:
    """Claim *csd* once its previous call is through."""
    csd_lock_wait(csd)
    csd.u_flags |= CSD_FLAG_LOCK


def csd_unlock(csd: call_single_data) -> None:
    """Let the caller go on, or use *csd* again."""
    WARN_ON_ONCE(not csd.u_flags & CSD_FLAG_LOCK)
    hooks.write(csd, "u_flags")
    csd.u_flags = 0


def __flush_smp_call_function_queue(csd: call_single_data) -> None:
    """Carry out one call.

    :context: hardirq.
    """
    func = csd.func
    info = csd.info
    assert func is not None
    if csd.u_flags & CSD_TYPE_SYNC:
        func(info)
        csd_unlock(csd)
    else:
        csd_unlock(csd)
        func(info)


def __smp_call_single_queue(cpu: int, csd: call_single_data) -> None:
    """Queue one call and interrupt its CPU."""
    assert csd.func is not None
    name = getattr(csd.func, "__name__", "smp_call_function")
    hooks.send_ipi(cpu, name, _call(csd))


def _call(csd: call_single_data) -> Callable[[], None]:
    return lambda: __flush_smp_call_function_queue(csd)


def generic_exec_single(cpu: int, csd: call_single_data) -> int:
    """Queue one call, or carry it out if it is for this CPU; 0 or ``-ENXIO``."""
    if cpu == smp_processor_id():
        func = csd.func
        info = csd.info
        assert func is not None
        csd_unlock(csd)
        flags = local_irq_save()
        func(info)
        local_irq_restore(flags)
        return 0

    if not 0 <= cpu < nr_cpu_ids() or not cpu_online(cpu):
        csd_unlock(csd)
        return -ENXIO

    __smp_call_single_queue(cpu, csd)

    return 0


def smp_call_function_single(cpu: int, func: smp_call_func_t, info: object, wait: int) -> int:
    """Run *func* on one CPU.

    :param wait: whether to wait until it has run.
    :return: 0, or a negative errno.
    :context: task, interrupts enabled.
    """
    csd_stack = call_single_data.zeroed()
    csd_stack.u_flags = CSD_FLAG_LOCK | CSD_TYPE_SYNC

    this_cpu = get_cpu()

    WARN_ON_ONCE(cpu_online(this_cpu) and irqs_disabled())
    WARN_ON_ONCE(not in_task())

    csd = csd_stack
    if not wait:
        csd = this_cpu_ptr(csd_data)
        csd_lock(csd)
        csd.u_flags = CSD_FLAG_LOCK | CSD_TYPE_ASYNC

    csd.func = func
    csd.info = info

    err = generic_exec_single(cpu, csd)

    if wait:
        csd_lock_wait(csd)

    put_cpu()

    return err


def smp_call_function_any(mask: cpumask, func: smp_call_func_t, info: object, wait: int) -> int:
    """Run *func* on some CPU of *mask*: this one if it is in it, else the first."""
    cpu = get_cpu()
    if not cpumask_test_cpu(cpu, mask):
        cpu = cpumask_any_and_but(mask, cpu_online_mask, cpu)

    ret = smp_call_function_single(cpu, func, info, wait)
    put_cpu()
    return ret


def smp_call_function_many_cond(mask: cpumask, func: smp_call_func_t, info: object, scf_flags: int,
                                cond_func: smp_cond_func_t | None) -> None:
    """Run *func* on the other CPUs of *mask* for which *cond_func* is true, and maybe on this one.

    :param scf_flags: SCF_WAIT to wait until all have run, SCF_RUN_LOCAL to run here too.
    :context: task, preemption off, interrupts enabled.
    """
    this_cpu = smp_processor_id()
    wait = scf_flags & SCF_WAIT
    run_remote = False
    csds = cfd_csd[this_cpu]

    lockdep_assert_preemption_disabled()

    if cpu_online(this_cpu):
        lockdep_assert_irqs_enabled()

    WARN_ON_ONCE(not in_task())

    if cpumask_any_and_but(mask, cpu_online_mask, this_cpu) < nr_cpu_ids():
        cfd = this_cpu_ptr(cfd_data)
        cpumask_and(cfd.cpumask, mask, cpu_online_mask)
        __cpumask_clear_cpu(this_cpu, cfd.cpumask)

        for cpu in for_each_cpu(cfd.cpumask):
            csd = csds[cpu]

            if cond_func is not None and not cond_func(cpu, info):
                __cpumask_clear_cpu(cpu, cfd.cpumask)
                continue

            run_remote = True

            csd_lock(csd)
            if wait:
                csd.u_flags |= CSD_TYPE_SYNC
            csd.func = func
            csd.info = info
            __smp_call_single_queue(cpu, csd)

    if scf_flags & SCF_RUN_LOCAL and cpumask_test_cpu(this_cpu, mask) and (
            cond_func is None or cond_func(this_cpu, info)):
        flags = local_irq_save()
        func(info)
        local_irq_restore(flags)

    if run_remote and wait:
        for cpu in for_each_cpu(cfd.cpumask):
            csd_lock_wait(csds[cpu])


def smp_call_function_many(mask: cpumask, func: smp_call_func_t, info: object, wait: bool) -> None:
    """Run *func* on the other CPUs of *mask*.

    :context: task, preemption off, interrupts enabled.
    """
    smp_call_function_many_cond(mask, func, info, wait * SCF_WAIT, None)


def smp_call_function(func: smp_call_func_t, info: object, wait: int) -> None:
    """Run *func* on all other CPUs.

    :context: task, interrupts enabled.
    """
    preempt_disable()
    smp_call_function_many(cpu_online_mask, func, info, bool(wait))
    preempt_enable()


def on_each_cpu_cond_mask(cond_func: smp_cond_func_t | None, func: smp_call_func_t, info: object, wait: int,
                          mask: cpumask) -> None:
    """Run *func* on the CPUs of *mask* for which *cond_func* is true, this one included.

    :context: task, interrupts enabled.
    """
    scf_flags = SCF_RUN_LOCAL

    if wait:
        scf_flags |= SCF_WAIT

    preempt_disable()
    smp_call_function_many_cond(mask, func, info, scf_flags, cond_func)
    preempt_enable()


def do_nothing(unused: object) -> None:
    """Nothing."""


def kick_all_cpus_sync() -> None:
    """Make every other CPU leave and re-enter kernel mode once."""
    smp_call_function(do_nothing, None, 1)
