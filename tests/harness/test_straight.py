# SPDX-License-Identifier: GPL-2.0-only
"""The scheduler without a search: one order, always the same."""

from __future__ import annotations

import pytest

from kmm.harness.straight import Straight, Stuck


def run(*functions):
    """Run functions of a scheduler as actors; what they appended to their list."""
    seen = []
    straight = Straight()

    def program(scheduler):
        for number, function in enumerate(functions):
            scheduler.spawn(lambda function=function: function(scheduler, seen), f"actor{number}")

    straight.run(program)
    return seen


def test_actors_run_one_after_the_other():
    def actor(name):
        def body(scheduler, seen):
            for step in range(2):
                scheduler.step(1)
                seen.append((name, step))
        return body

    assert run(actor("a"), actor("b")) == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_step_when_lets_the_others_make_it_true():
    def waits(scheduler, seen):
        scheduler.step_when(1, lambda: "ready" in seen, [])
        seen.append("went on")

    def helps(scheduler, seen):
        seen.append("ready")

    assert run(waits, helps) == ["ready", "went on"]


def test_acquire_waits_for_the_holder():
    def first(scheduler, seen):
        scheduler.acquire(1, 7)
        scheduler.step_when(1, lambda: "second asks" in seen, [])
        seen.append("first has it")
        scheduler.release(1, 7)

    def second(scheduler, seen):
        seen.append("second asks")
        assert not scheduler.try_acquire(1, 7)
        scheduler.acquire(1, 7)
        seen.append("second has it")

    assert run(first, second) == ["second asks", "first has it", "second has it"]


def test_acquire_shared_is_shared():
    def reader(scheduler, seen):
        scheduler.acquire(1, 7, shared=True)
        seen.append(scheduler.try_acquire(1, 7, shared=True))
        seen.append(scheduler.try_acquire(1, 7))

    assert run(reader, reader) == [True, False, True, False]


def test_an_interrupt_waits_until_its_cpu_has_interrupts_on():
    seen = []
    straight = Straight()

    def task():
        straight.mask(0)
        straight.spawn_irq(lambda: seen.append("interrupt"), "irq", 0)
        straight.step(1)
        seen.append("masked")
        straight.unmask(0)
        straight.step_when(1, lambda: "interrupt" in seen, [])
        seen.append("after")

    straight.run(lambda scheduler: scheduler.bind(scheduler.spawn(task, "task"), 0))
    assert seen == ["masked", "interrupt", "after"]


def test_choose_takes_the_first_alternative():
    assert run(lambda scheduler, seen: seen.append(scheduler.choose(1, 3))) == [0]


def test_run_names_who_waits_for_ever():
    with pytest.raises(Stuck, match=r"no actor can run: actor0 waits for condition 4") as raised:
        run(lambda scheduler, seen: scheduler.step_when(4, lambda: False, []))
    assert raised.value.waiting == [("actor0", "condition 4")]


def test_abort_process_ends_one_actor_only():
    def aborts(scheduler, seen):
        scheduler.abort_process()
        seen.append("never")

    assert run(aborts, lambda scheduler, seen: seen.append("goes on")) == ["goes on"]


def test_violations_are_collected():
    straight = Straight()
    straight.run(lambda scheduler: scheduler.spawn(lambda: scheduler.violation("broken"), "actor"))
    assert straight.violations == ["broken"]
