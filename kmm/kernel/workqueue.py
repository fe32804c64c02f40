# SPDX-License-Identifier: GPL-2.0-only
"""Model of kernel/workqueue.c.

Every time a work is queued, one kworker is started for it; it clears PENDING before it calls the
function, so that the function may be queued again while it runs, and waits first for an earlier run of
the same work, which never runs concurrently with itself. Works of an ordered queue run one at a time,
in the order queued. A function may free its own work.

Before ``workqueue_init_early()`` there is no queue: queueing is the violation
``work-before-workqueue``. Until ``workqueue_init()`` works are kept, and no kworker runs.

Left out: pools, concurrency management, CPU affinity, freezing, rescuers, timers of delayed works,
``drain_workqueue``, disabling works.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.c import Ptr, struct
from kmm.include.linux.bitops import test_and_set_bit
from kmm.include.linux.kernel import __might_sleep
from kmm.include.linux.workqueue import (
    __WQ_ORDERED,
    WORK_STRUCT_PENDING,
    WORK_STRUCT_PENDING_BIT,
    WQ_UNBOUND,
    delayed_work,
    work_struct,
    workqueue_struct,
)

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER_QUEUED = 0
WORKER_RUNNING = 1
WORKER_DONE = 2
WORKER_CANCELLED = 3


class worker(struct):
    """One run of a work. ``previous`` is the run that must be over before this one starts."""

    state: int
    current_work: Ptr[work_struct]
    previous: worker | None


class workqueue_state(struct):
    """How far boot has brought the work queues: 0 nothing, 1 may queue, 2 kworkers run."""

    online: int
    waiting: Ptr[list[worker]]


wq_state = workqueue_state.zeroed()
wq_state.waiting = []


def __new_workqueue(name: str, flags: int) -> workqueue_struct:
    wq = workqueue_struct.zeroed()
    wq.name = name
    wq.flags = flags
    wq.workers = []
    return wq


system_wq = __new_workqueue("events", 0)
system_percpu_wq = system_wq
system_unbound_wq = __new_workqueue("events_unbound", WQ_UNBOUND)
system_dfl_wq = system_unbound_wq


def __over(w: worker) -> bool:
    return w.state >= WORKER_DONE


def __wait_for(what: str, w: worker) -> None:
    hooks.wait(what, lambda: __over(w), w)


def process_one_work(w: worker, work: work_struct) -> None:
    """One kworker's work, from waking up to being idle again.

    :context: task (kworker).
    """
    if w.previous is not None:
        __wait_for("process_one_work", w.previous)
        w.previous = None

    hooks.write(w, "state")
    if w.state == WORKER_CANCELLED:
        return
    w.state = WORKER_RUNNING

    # From here on the work may be queued again; PENDING must be clear before the function looks
    # at whatever its queuer changed.
    hooks.write(work.data, "counter")
    work.data.counter &= ~WORK_STRUCT_PENDING
    f = work.func
    assert f is not None
    f(work)

    # The function may have freed the work.
    hooks.write(w, "state")
    w.state = WORKER_DONE


def __start(w: worker) -> None:
    hooks.spawn_worker(getattr(w.current_work.func, "__name__", "kworker"), __body(w))


def __body(w: worker) -> Callable[[], None]:
    work = w.current_work
    return lambda: process_one_work(w, work)


def __queue_work(wq: workqueue_struct, work: work_struct) -> None:
    """Queue a work whose PENDING bit the caller has just set."""
    w = worker.zeroed()
    w.current_work = work
    if wq is not system_wq and wq is not system_unbound_wq:
        # A flush takes stock of the queue; the system queues are never flushed.
        hooks.write(wq, "workers")
    w.previous = work.worker if not wq.flags & __WQ_ORDERED else wq.workers[-1] if wq.workers else None
    work.worker = w
    wq.workers[:] = [other for other in wq.workers if not __over(other)]
    wq.workers.append(w)
    if wq_state.online < 2:
        wq_state.waiting.append(w)
    else:
        __start(w)


def queue_work_on(cpu: int, wq: workqueue_struct, work: work_struct) -> bool:
    """Queue a work.

    :param cpu: where it should run; not followed, all kworkers are on one CPU.
    :return: false if it is pending already.
    :context: any.
    """
    if not wq_state.online:
        hooks.violation("work-before-workqueue", "queue_work_on",
                        function=getattr(work.func, "__name__", "?"))
        return False
    if wq.flags & __WQ_ORDERED:
        # The order of works in such a queue is what the queue is for.
        hooks.write(wq, "workers")
    elif wq is not system_wq and wq is not system_unbound_wq:
        # __flush_workqueue() takes stock of the queue; the system queues are never flushed.
        hooks.read(wq, "workers")
    if not test_and_set_bit(WORK_STRUCT_PENDING_BIT, work.data, "counter"):
        __queue_work(wq, work)
        return True
    return False


def flush_work(work: work_struct) -> bool:
    """Wait until the latest run of a work is over.

    :return: whether there was anything to wait for.
    :context: may sleep.
    """
    __might_sleep("flush_work")
    hooks.read(work.data, "counter")
    w = work.worker
    if w is None or __over(w):
        return False
    __wait_for("flush_work", w)
    return True


def flush_delayed_work(dwork: delayed_work) -> bool:
    """:func:`flush_work` of a delayed work."""
    return flush_work(dwork.work)


def cancel_work(work: work_struct) -> bool:
    """Take a work off its queue if it has not started; whether it was pending."""
    hooks.write(work.data, "counter")
    if not work.data.counter & WORK_STRUCT_PENDING:
        return False
    w = work.worker
    hooks.write(w, "state")
    if w.state != WORKER_QUEUED:
        return False
    w.state = WORKER_CANCELLED
    work.data.counter &= ~WORK_STRUCT_PENDING
    return True


def cancel_work_sync(work: work_struct) -> bool:
    """:func:`cancel_work`, then wait for a run that has started.

    :context: may sleep.
    """
    ret = cancel_work(work)
    w: worker | None = work.worker
    if w is not None and ret:
        w = w.previous
    if w is not None and not __over(w):
        __might_sleep("cancel_work_sync")
        __wait_for("cancel_work_sync", w)
    return ret


def cancel_delayed_work(dwork: delayed_work) -> bool:
    """:func:`cancel_work` of a delayed work."""
    return cancel_work(dwork.work)


def cancel_delayed_work_sync(dwork: delayed_work) -> bool:
    """:func:`cancel_work_sync` of a delayed work."""
    return cancel_work_sync(dwork.work)


def __flush_workqueue(wq: workqueue_struct) -> None:
    """Wait until the works that are queued now are over.

    :context: may sleep.
    """
    __might_sleep("__flush_workqueue")
    if wq is system_wq or wq is system_unbound_wq:
        hooks.warn("__flush_workqueue", "flushing system-wide workqueues is not supported")
    hooks.write(wq, "workers")
    for w in [w for w in wq.workers if not __over(w)]:
        __wait_for("__flush_workqueue", w)


flush_workqueue = __flush_workqueue


def alloc_workqueue(fmt: str, flags: int, max_active: int = 0, *args: object) -> workqueue_struct | None:
    """A new queue."""
    return __new_workqueue(fmt % args if args else fmt, flags)


def alloc_ordered_workqueue(fmt: str, flags: int, *args: object) -> workqueue_struct | None:
    """A new queue that runs one work at a time, in the order queued."""
    return alloc_workqueue(fmt, WQ_UNBOUND | __WQ_ORDERED | flags, 1, *args)


def destroy_workqueue(wq: workqueue_struct) -> None:
    """Give a queue back, after waiting for its works.

    :context: may sleep.
    """
    __flush_workqueue(wq)


def workqueue_init_early() -> None:
    """Boot: works may be queued from here on."""
    wq_state.online = 1


def workqueue_init() -> None:
    """Boot: kworkers run from here on, also what was queued before."""
    wq_state.online = 2
    waiting = list(wq_state.waiting)
    wq_state.waiting.clear()
    for w in waiting:
        __start(w)
