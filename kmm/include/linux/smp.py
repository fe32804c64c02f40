# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/smp.h (Linux 7.2), in part.

Left out: hotplug, ``smp_call_on_cpu``, self-IPIs, rescheduling IPIs. Reads CONFIG_SMP; without it the
machine has one CPU and the same functions run everything locally.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.preempt import preempt_disable, preempt_enable

smp_call_func_t = Callable[[Any], None]
smp_cond_func_t = Callable[[int, Any], bool]

CSD_FLAG_LOCK = 0x01
CSD_TYPE_ASYNC = 0x00
CSD_TYPE_SYNC = 0x10


class call_single_data(struct):
    """A function call queued to one CPU. ``u_flags`` stands in for ``node.u_flags``."""

    u_flags: int
    func: smp_call_func_t | None
    info: object | None


call_single_data_t = call_single_data


def smp_processor_id() -> int:
    """The CPU the caller runs on; it must be unable to move."""
    return hooks.smp_processor_id()


def raw_smp_processor_id() -> int:
    """The CPU the caller runs on at this moment."""
    return hooks.smp_processor_id()


def __smp_processor_id() -> int:
    """The CPU the caller runs on."""
    return hooks.smp_processor_id()


def get_cpu() -> int:
    """The CPU the caller runs on, and stays on until :func:`put_cpu`."""
    preempt_disable()
    return hooks.smp_processor_id()


def put_cpu() -> None:
    """Undo one :func:`get_cpu`."""
    preempt_enable()


def on_each_cpu(func: smp_call_func_t, info: object, wait: int) -> None:
    """Run *func* on all online CPUs."""
    on_each_cpu_cond_mask(None, func, info, wait, cpu_online_mask)


def on_each_cpu_mask(mask: cpumask, func: smp_call_func_t, info: object, wait: int) -> None:
    """Run *func* on the CPUs of *mask*."""
    on_each_cpu_cond_mask(None, func, info, wait, mask)


def on_each_cpu_cond(cond_func: smp_cond_func_t, func: smp_call_func_t, info: object, wait: int) -> None:
    """Run *func* on the online CPUs for which *cond_func* is true."""
    on_each_cpu_cond_mask(cond_func, func, info, wait, cpu_online_mask)


# Declared here, defined there:
from kmm.include.linux.cpumask import cpu_online_mask, cpumask
from kmm.kernel.smp import kick_all_cpus_sync as kick_all_cpus_sync
from kmm.kernel.smp import on_each_cpu_cond_mask as on_each_cpu_cond_mask
from kmm.kernel.smp import smp_call_function as smp_call_function
from kmm.kernel.smp import smp_call_function_any as smp_call_function_any
from kmm.kernel.smp import smp_call_function_many as smp_call_function_many
from kmm.kernel.smp import smp_call_function_single as smp_call_function_single
