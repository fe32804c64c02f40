# SPDX-License-Identifier: GPL-2.0-only
"""RCU, interrupts of other CPUs, workers and waits, over all schedules."""

from __future__ import annotations

import pytest

from kmm.harness.context import Level


def between(seen, what, first, last):
    """Whether *what* happened after *first* and before *last*."""
    return seen.index(first) < seen.index(what) < seen.index(last)


def reader(bare, shared, enter, leave):
    """A reader that looks at something twice; "in" and "out" are its first and last look."""
    def body():
        enter()
        bare.memory.read(shared, "value")
        bare.seen.append("in")
        bare.memory.read(shared, "value")
        bare.seen.append("out")
        leave()
    return body


def sections(bare):
    """What holds off a grace period, by name."""
    return {"explicit": (bare.sync.rcu_read_lock, bare.sync.rcu_read_unlock),
            "preemption off": (lambda: bare.cpu.preempt_count_add(1), lambda: bare.cpu.preempt_count_sub(1)),
            "interrupts off": (bare.cpu.local_irq_disable, bare.cpu.local_irq_enable)}


# --- RCU --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("section", ["explicit", "preemption off", "interrupts off"])
def test_call_rcu_waits_for_every_reader_that_is_active(bare, section):
    shared, head = bare.thing(), bare.thing()

    def frees():
        bare.memory.write(shared, "value")
        bare.seen.append("unlinked")
        bare.sync.call_rcu(head, lambda head: bare.seen.append("freed"))

    runs = bare.explore(cpu0=reader(bare, shared, *sections(bare)[section]), cpu1=frees)
    assert all(run.status == "done" and run.seen.count("freed") == 1 for run in runs)
    active = [run.seen for run in runs if between(run.seen, "unlinked", "in", "out")]
    assert active and not any(between(seen, "freed", "in", "out") for seen in active)


def test_call_rcu_does_not_wait_for_readers_that_come_later(bare):
    shared, head = bare.thing(), bare.thing()

    def frees():
        bare.sync.call_rcu(head, lambda head: bare.memory.write(shared, "value") or bare.seen.append("freed"))

    runs = bare.explore(cpu0=reader(bare, shared, *sections(bare)["explicit"]), cpu1=frees)
    assert any(between(run.seen, "freed", "in", "out") for run in runs)
    assert any(run.seen[0] == "freed" for run in runs) and any(run.seen[-1] == "freed" for run in runs)


def test_call_rcu_without_readers_is_one_schedule(bare):
    shared, head = bare.thing(), bare.thing()
    assert len(bare.explore(cpu0=lambda: bare.memory.read(shared, "value"),
                            cpu1=lambda: bare.sync.call_rcu(head, lambda head: None))) == 1


def test_call_rcu_callback_runs_in_a_softirq_of_the_caller(bare):
    def callback(head):
        context = bare.machine.context
        bare.seen.append((context.level, context.cpu, context.may_sleep, bare.cpu.preempt_count() >> 8))

    bare.run(cpu1=lambda: bare.sync.call_rcu(bare.thing(), callback))
    assert bare.seen == [(Level.SOFTIRQ, 1, False, 1)]


def test_nested_readers_end_with_the_outermost(bare):
    shared, head = bare.thing(), bare.thing()

    def nested():
        bare.sync.rcu_read_lock()
        bare.sync.rcu_read_lock()
        bare.memory.read(shared, "value")
        bare.seen.append("in")
        bare.sync.rcu_read_unlock()
        bare.memory.read(shared, "value")
        bare.seen.append("out")
        bare.sync.rcu_read_unlock()

    def frees():
        bare.memory.write(shared, "value")
        bare.seen.append("unlinked")
        bare.sync.call_rcu(head, lambda head: bare.seen.append("freed"))

    for run in bare.explore(cpu0=nested, cpu1=frees):
        if between(run.seen, "unlinked", "in", "out"):
            assert not between(run.seen, "freed", "in", "out")


def test_synchronize_rcu_waits_and_may_sleep(bare):
    shared = bare.thing()

    def frees():
        bare.memory.write(shared, "value")
        bare.seen.append("unlinked")
        bare.sync.synchronize_rcu()
        bare.seen.append("freed")

    runs = bare.explore(cpu0=reader(bare, shared, *sections(bare)["explicit"]), cpu1=frees)
    assert not any(between(run.seen, "unlinked", "in", "out") and between(run.seen, "freed", "in", "out")
                   for run in runs)
    assert {run.rules for run in runs} == {()}
    enter, leave = sections(bare)["preemption off"]
    assert bare.run(cpu0=lambda: (enter(), bare.sync.synchronize_rcu(), leave())).rules == ("sleep-in-atomic",)


def test_a_reader_that_waits_for_its_own_grace_period_is_stuck(bare):
    freed, head = bare.thing(), bare.thing()

    def waits():
        bare.sync.rcu_read_lock()
        bare.sync.call_rcu(head, lambda head: bare.memory.write(freed, "value"))
        bare.sync.wait("the callback", lambda: freed.value == 1, freed)

    assert {run.status for run in bare.explore(cpu0=waits)} == {"deadlock"}


# --- interrupts of other CPUs -----------------------------------------------------------------------

def test_send_ipi_runs_only_while_its_cpu_has_interrupts_on(bare):
    shared = bare.thing()

    def masked():
        bare.cpu.local_irq_disable()
        bare.memory.read(shared, "value")
        bare.seen.append("off")
        bare.memory.read(shared, "value")
        bare.seen.append("on")
        bare.cpu.local_irq_enable()

    runs = bare.explore(cpu0=lambda: bare.sync.send_ipi(1, "probe", lambda: bare.seen.append("interrupt")),
                        cpu1=masked)
    assert {run.seen for run in runs} == {("interrupt", "off", "on"), ("off", "on", "interrupt")}


def test_send_ipi_handler_stops_the_task_below_it(bare):
    shared = bare.thing()

    def handler():
        for step in "first", "second":
            bare.memory.write(shared, "value")
            bare.seen.append(step)

    def task():
        bare.memory.read(shared, "value")
        bare.seen.append("task")

    runs = bare.explore(cpu0=lambda: bare.sync.send_ipi(1, "probe", handler), cpu1=task)
    assert {run.seen for run in runs} == {("task", "first", "second"), ("first", "second", "task")}


def test_send_ipi_handler_runs_in_a_hardirq(bare):
    def handler():
        context = bare.machine.context
        bare.seen.append((context.level, context.cpu, bare.cpu.irqs_disabled(), bare.cpu.preempt_count() >> 16))

    bare.run(cpu0=lambda: bare.sync.send_ipi(1, "probe", handler))
    assert bare.seen == [(Level.HARDIRQ, 1, True, 1)]


def test_send_ipi_to_a_cpu_that_never_enables_interrupts_is_stuck(bare):
    done = bare.thing()

    def caller():
        bare.sync.send_ipi(1, "probe", lambda: bare.memory.write(done, "value"))
        bare.sync.wait("the interrupt", lambda: False, done)

    assert {run.status for run in bare.explore(cpu0=caller, cpu1=bare.cpu.local_irq_disable)} == {"deadlock"}


# --- workers and waits ------------------------------------------------------------------------------

def test_spawn_worker_runs_a_task_on_the_last_cpu(bare):
    bare.run(cpu0=lambda: bare.sync.spawn_worker("probe", lambda: bare.seen.append(bare.machine.context)))
    worker, = bare.seen
    assert (worker.name, worker.cpu, worker.may_sleep) == ("kworker probe", 1, True)


def test_wait_goes_on_when_the_condition_holds_in_every_schedule(bare):
    shared = bare.thing()

    def sets():
        for value in 1, 2:
            bare.memory.write(shared, "value")
            shared.value = value

    def waits():
        bare.sync.wait("2", lambda: shared.value == 2, shared)
        bare.seen.append(shared.value)

    assert {(run.status, run.seen) for run in bare.explore(cpu0=waits, cpu1=sets)} == {("done", (2,))}


def test_wait_for_a_word_of_memory(bare):
    address = bare.address(5)

    def waits():
        bare.sync.wait("the status word", lambda: bare.memory.peek(address, 4) == 1, address)
        bare.seen.append("went on")

    runs = bare.explore(cpu0=waits, cpu1=lambda: bare.memory.store(address, 4, 1))
    assert {run.seen for run in runs} == {("went on",)}


def test_wait_for_what_nobody_does_is_a_deadlock(bare):
    shared = bare.thing()
    runs = bare.explore(cpu0=lambda: bare.sync.wait("never", lambda: False, shared))
    assert [run.status for run in runs] == ["deadlock"]
