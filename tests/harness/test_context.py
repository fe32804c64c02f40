# SPDX-License-Identifier: GPL-2.0-only
"""Contexts: who may sleep, and who holds off a grace period."""

from __future__ import annotations

import pytest

from kmm.harness.context import HARDIRQ_OFFSET, PREEMPT_OFFSET, SOFTIRQ_OFFSET, Context, Held, Level

REASONS = {
    "preemption": ({"preempt": PREEMPT_OFFSET}, "preemption is disabled"),
    "interrupts": ({"irqs_off": True}, "interrupts are disabled"),
    "rcu": ({"rcu": 1}, "inside an RCU read-side section"),
    "softirq": ({"level": Level.SOFTIRQ, "preempt": SOFTIRQ_OFFSET}, "in softirq context"),
    "hardirq": ({"level": Level.HARDIRQ, "preempt": HARDIRQ_OFFSET}, "in hardirq context"),
}


def context(**fields):
    return Context("key", "name", 0, **{"level": Level.TASK, **fields})


def test_a_task_may_sleep_and_holds_off_nothing():
    task = context()
    assert task.may_sleep
    assert not task.reads_rcu
    assert task.why_atomic() == ""


@pytest.mark.parametrize("name", REASONS)
def test_what_forbids_sleep_is_an_rcu_reader_and_has_a_name(name):
    fields, reason = REASONS[name]
    atomic = context(**fields)
    assert not atomic.may_sleep
    assert atomic.reads_rcu
    assert atomic.why_atomic() == reason


def test_every_reason_is_told():
    atomic = context(preempt=1, irqs_off=True, held=[Held(object(), "spin", False)])
    assert atomic.why_atomic() == "preemption is disabled, interrupts are disabled, holds a spinlock"
