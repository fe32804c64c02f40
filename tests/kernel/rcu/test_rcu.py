# SPDX-License-Identifier: GPL-2.0-only
"""kernel/rcu: callbacks, grace periods, sleepable readers."""

from __future__ import annotations

import pytest
from fake_world import Deadlock

from kmm.c import container_of, struct
from kmm.include.linux.preempt import in_serving_softirq
from kmm.include.linux.rcupdate import (
    call_rcu,
    kfree_rcu,
    rcu_assign_pointer,
    rcu_dereference,
    rcu_head,
    rcu_read_lock,
    rcu_read_unlock,
    synchronize_rcu,
)
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.srcu import DEFINE_SRCU, call_srcu, srcu_read_lock, srcu_read_unlock, synchronize_srcu


class node(struct):
    rcu: rcu_head
    next: node | None


def test_call_rcu_runs_in_softirq_after_the_readers(world):
    n, log = node.zeroed(), []
    rcu_read_lock()
    call_rcu(n.rcu, lambda head: log.append((container_of(head, node, "rcu"), in_serving_softirq())))
    world.run_pending()
    assert log == []
    rcu_read_unlock()
    world.run_pending()
    assert log == [(n, True)]


def test_call_rcu_twice_is_reported(world):
    n = node.zeroed()
    call_rcu(n.rcu, lambda head: None)
    call_rcu(n.rcu, lambda head: None)
    world.expect("rcu-misuse")


def test_kfree_rcu_frees_later(world):
    n = kzalloc_obj(node)
    kfree_rcu(n, "rcu")
    rcu_assign_pointer(n, "next", None)
    world.run_pending()
    rcu_dereference(n, "next")
    assert world.expect("use-after-free")["freed_by"] == "_kvfree_rcu_cb"
    kfree(n)
    world.expect("double-free")


def test_synchronize_rcu_inside_a_reader(world):
    rcu_read_lock()
    with pytest.raises(Deadlock):
        synchronize_rcu()
    world.expect("sleep-in-atomic")


def test_srcu_waits_for_the_sections_that_were_open(world):
    ssp = DEFINE_SRCU()
    first = srcu_read_lock(ssp)
    second = srcu_read_lock(ssp)
    assert (first, second) == (0, 1)
    srcu_read_unlock(ssp, first)
    with pytest.raises(Deadlock):
        synchronize_srcu(ssp)
    srcu_read_unlock(ssp, second)
    synchronize_srcu(ssp)


def test_srcu_readers_do_not_depend_on_each_other(world):
    ssp = DEFINE_SRCU()
    srcu_read_lock(ssp)
    srcu_read_lock(ssp)
    written = [writes for _, _, writes, *_ in world.calls("mutates")]
    assert written[0][0] is not written[1][0] and ssp not in (*written[0], *written[1])


def test_call_srcu_runs_in_a_worker(world):
    ssp, n, log = DEFINE_SRCU(), node.zeroed(), []
    call_srcu(ssp, n.rcu, log.append)
    world.run_pending()
    assert log == [n.rcu]
