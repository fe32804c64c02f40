# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/workqueue.h.

A delayed work is queued at once: time stands still here, and the schedule may let any amount of it
pass before the work runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kmm.c import Ptr, container_of, struct
from kmm.include.linux.list import INIT_LIST_HEAD
from kmm.include.linux.types import atomic_long_t, list_head

if TYPE_CHECKING:
    from kmm.kernel.workqueue import worker

WORK_STRUCT_PENDING_BIT = 0
WORK_STRUCT_PENDING = 1 << WORK_STRUCT_PENDING_BIT
WQ_UNBOUND = 1 << 1
WQ_FREEZABLE = 1 << 2
WQ_MEM_RECLAIM = 1 << 3
WQ_HIGHPRI = 1 << 4
WQ_PERCPU = 1 << 8
__WQ_ORDERED = 1 << 17
WORK_CPU_UNBOUND = 8192


class work_struct(struct):
    """A function to be called later, once for each time that it is queued while not pending.

    ``worker`` is kmm's own: the latest run of this work, queued, running or over. The kernel finds it
    in the worker pools.
    """

    data: atomic_long_t
    entry: list_head
    func: Callable[[work_struct], None] | None
    worker: Ptr[worker]


work_func_t = Callable[[work_struct], None]


class delayed_work(struct):
    """A work with a timer in front."""

    work: work_struct


class workqueue_struct(struct):
    """A queue of works."""

    name: str | None
    flags: int
    workers: Ptr[list[worker]]


def INIT_WORK(_work: work_struct, _func: work_func_t) -> None:
    """Make an idle work."""
    _work.data.counter = 0
    INIT_LIST_HEAD(_work.entry)
    _work.func = _func


INIT_WORK_ONSTACK = INIT_WORK


def __WORK_INITIALIZER(f: work_func_t) -> work_struct:
    """``__WORK_INITIALIZER(name, func)``: an idle work, for an initialiser."""
    work = work_struct.zeroed()
    INIT_WORK(work, f)
    return work


DECLARE_WORK = __WORK_INITIALIZER


def INIT_DELAYED_WORK(_work: delayed_work, _func: work_func_t) -> None:
    """Make an idle delayed work."""
    INIT_WORK(_work.work, _func)


def to_delayed_work(work: work_struct) -> delayed_work:
    """The delayed work around a work."""
    return container_of(work, delayed_work, "work")


def work_pending(work: work_struct) -> bool:
    """Whether a work is queued and has not started."""
    return test_bit(WORK_STRUCT_PENDING_BIT, work.data, "counter")


def queue_work(wq: workqueue_struct, work: work_struct) -> bool:
    """Queue a work; false if it is pending already."""
    return queue_work_on(WORK_CPU_UNBOUND, wq, work)


def queue_delayed_work(wq: workqueue_struct, dwork: delayed_work, delay: int) -> bool:
    """Queue a delayed work; false if it is pending already."""
    return queue_work_on(WORK_CPU_UNBOUND, wq, dwork.work)


def schedule_work_on(cpu: int, work: work_struct) -> bool:
    """Queue a work on the system queue for one CPU; false if it is pending already."""
    return queue_work_on(cpu, system_percpu_wq, work)


def schedule_work(work: work_struct) -> bool:
    """Queue a work on the system queue; false if it is pending already."""
    return queue_work(system_percpu_wq, work)


def schedule_delayed_work(dwork: delayed_work, delay: int) -> bool:
    """Queue a delayed work on the system queue; false if it is pending already."""
    return queue_delayed_work(system_percpu_wq, dwork, delay)


# Declared here, defined in kernel/workqueue.c:
from kmm.include.linux.bitops import test_bit
from kmm.kernel.workqueue import __flush_workqueue as __flush_workqueue
from kmm.kernel.workqueue import alloc_ordered_workqueue as alloc_ordered_workqueue
from kmm.kernel.workqueue import alloc_workqueue as alloc_workqueue
from kmm.kernel.workqueue import cancel_delayed_work as cancel_delayed_work
from kmm.kernel.workqueue import cancel_delayed_work_sync as cancel_delayed_work_sync
from kmm.kernel.workqueue import cancel_work as cancel_work
from kmm.kernel.workqueue import cancel_work_sync as cancel_work_sync
from kmm.kernel.workqueue import destroy_workqueue as destroy_workqueue
from kmm.kernel.workqueue import flush_delayed_work as flush_delayed_work
from kmm.kernel.workqueue import flush_work as flush_work
from kmm.kernel.workqueue import flush_workqueue as flush_workqueue
from kmm.kernel.workqueue import queue_work_on as queue_work_on
from kmm.kernel.workqueue import system_dfl_wq as system_dfl_wq
from kmm.kernel.workqueue import system_percpu_wq as system_percpu_wq
from kmm.kernel.workqueue import system_unbound_wq as system_unbound_wq
from kmm.kernel.workqueue import system_wq as system_wq
from kmm.kernel.workqueue import workqueue_init as workqueue_init
from kmm.kernel.workqueue import workqueue_init_early as workqueue_init_early
