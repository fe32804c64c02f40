# SPDX-License-Identifier: GPL-2.0-only
"""kernel/workqueue.c: what a work may count on."""

from __future__ import annotations

import pytest
from fake_world import Deadlock

from kmm.c import struct
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.workqueue import (
    __WORK_INITIALIZER,
    INIT_WORK,
    alloc_ordered_workqueue,
    alloc_workqueue,
    cancel_work,
    cancel_work_sync,
    flush_work,
    flush_workqueue,
    queue_work,
    schedule_work,
    work_pending,
    work_struct,
    workqueue_init,
    workqueue_init_early,
)


class holder(struct):
    work: work_struct


def noting(log, name):
    return __WORK_INITIALIZER(lambda work: log.append(name))


def test_a_work_queued_twice_runs_once(world):
    log = []
    work = noting(log, "a")
    assert schedule_work(work)
    assert not schedule_work(work)
    world.run_pending()
    assert log == ["a"] and not work_pending(work)


def test_pending_is_cleared_before_the_function_runs(world):
    log = []

    def again(work):
        log.append(work_pending(work))
        if len(log) < 3:
            assert schedule_work(work)

    schedule_work(__WORK_INITIALIZER(again))
    world.run_pending()
    assert log == [False, False, False]


def test_a_work_never_runs_beside_itself(world):
    log = []

    def nested(work):
        log.append("in")
        if len(log) == 1:
            schedule_work(work)
            with pytest.raises(Deadlock, match="process_one_work"):
                world.run_pending()  # the second run can not start before the first is over
        log.append("out")

    schedule_work(__WORK_INITIALIZER(nested))
    world.run_pending()
    assert log == ["in", "out"]


def test_flush_work_waits_for_the_latest_run(world):
    log = []
    work = noting(log, "a")
    assert not flush_work(work)
    schedule_work(work)
    assert flush_work(work)
    assert log == ["a"]
    assert not flush_work(work)


def test_cancel_work_takes_back_what_has_not_started(world):
    log = []
    work = noting(log, "a")
    assert not cancel_work(work)
    schedule_work(work)
    assert cancel_work_sync(work)
    assert not work_pending(work)
    schedule_work(work)
    world.run_pending()
    assert log == ["a"]


def test_a_function_may_free_its_work(world):
    obj = kzalloc_obj(holder)
    INIT_WORK(obj.work, lambda work: kfree(obj))
    schedule_work(obj.work)
    world.run_pending()


def test_freeing_a_pending_work_is_a_use_after_free(world):
    obj = kzalloc_obj(holder)
    INIT_WORK(obj.work, lambda work: None)
    schedule_work(obj.work)
    kfree(obj)
    world.run_pending()
    assert world.expect("use-after-free")["freed_by"].startswith("test_freeing")


def test_an_ordered_queue_runs_in_the_order_queued(world):
    log = []
    wq = alloc_ordered_workqueue("iopf/%s", 0, "x")
    assert wq.name == "iopf/x"
    for name in "abc":
        queue_work(wq, noting(log, name))
    world.workers.reverse()
    world.run_pending()
    assert log == ["a", "b", "c"]


def test_flush_workqueue_waits_for_all(world):
    log = []
    wq = alloc_workqueue("q", 0, 0)
    for name in "ab":
        queue_work(wq, noting(log, name))
    flush_workqueue(wq)
    assert log == ["a", "b"]


def test_work_before_the_queues_exist(bare_world):
    log = []
    work = noting(log, "a")
    assert not schedule_work(work)
    bare_world.expect("work-before-workqueue")
    workqueue_init_early()
    assert schedule_work(work)
    assert bare_world.workers == []
    workqueue_init()
    bare_world.run_pending()
    assert log == ["a"]
