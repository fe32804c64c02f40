# SPDX-License-Identifier: GPL-2.0-only
"""Spinlocks, mutexes and what a context remembers of the locks it holds."""

from __future__ import annotations

import pytest


@pytest.fixture
def lock(bare):
    return bare.thing()


def adds(bare, counter, lock=None):
    """An actor that adds 1 in two steps."""
    def body():
        if lock is not None:
            bare.locks.lock(lock, "spin")
        bare.memory.read(counter, "value")
        value = counter.value
        bare.memory.write(counter, "value")
        counter.value = value + 1
        bare.seen.append(counter.value)
        if lock is not None:
            bare.locks.unlock(lock, "spin")
    return body


def test_without_a_lock_an_update_is_lost(bare):
    counter = bare.thing()
    runs = bare.explore(cpu0=adds(bare, counter), cpu1=adds(bare, counter))
    assert {max(run.seen) for run in runs} == {1, 2}


def test_a_lock_excludes(bare, lock):
    counter = bare.thing()
    runs = bare.explore(cpu0=adds(bare, counter, lock), cpu1=adds(bare, counter, lock))
    assert {run.seen for run in runs} == {(1, 2)}
    assert len(runs) == 2, "one for each order of the critical sections"


def test_two_locks_do_not_exclude(bare, lock):
    counter = bare.thing()
    runs = bare.explore(cpu0=adds(bare, counter, lock), cpu1=adds(bare, counter, bare.thing()))
    assert {max(run.seen) for run in runs} == {1, 2}


def test_trylock_takes_it_or_not(bare, lock):
    def tries():
        taken = bare.locks.trylock(lock, "spin")
        bare.seen.append(taken)
        if taken:
            bare.locks.unlock(lock, "spin")

    runs = bare.explore(cpu0=tries, cpu1=tries)
    assert {run.seen for run in runs} == {(True, True), (True, False)}


def test_a_lock_taken_twice_is_a_deadlock(bare, lock):
    def twice():
        bare.locks.lock(lock, "spin")
        bare.locks.lock(lock, "spin")

    assert [run.status for run in bare.explore(cpu0=twice)] == ["deadlock"]


def test_held_is_about_the_caller(bare, lock):
    def holder():
        assert not bare.locks.lock_held(lock)
        bare.locks.lock(lock, "spin")
        assert bare.locks.lock_held(lock) and bare.locks.lock_is_locked(lock)
        bare.asserts.lockdep_assert_held(lock, "here")
        bare.sync.spawn_worker("other", other)

    def other():
        assert not bare.locks.lock_held(lock)
        assert bare.locks.lock_is_locked(lock)
        bare.asserts.lockdep_assert_held(lock, "there")

    assert bare.run(cpu0=holder).rules == ("lock-not-held",)


def test_lock_is_locked_sees_both_answers(bare, lock):
    def holder():
        bare.locks.lock(lock, "mutex")
        bare.locks.unlock(lock, "mutex")

    runs = bare.explore(cpu0=holder, cpu1=lambda: bare.seen.append(bare.locks.lock_is_locked(lock)))
    assert {run.seen for run in runs} == {(True,), (False,)}


def test_unlock_of_what_is_not_held_is_reported_and_left(bare, lock):
    assert bare.run(cpu0=lambda: bare.locks.unlock(lock, "spin")).rules == ("lock-not-held",)


@pytest.mark.parametrize(("kind", "rules"), [("spin", ()), ("mutex", ("sleep-in-atomic",)),
                                             ("rwsem", ("sleep-in-atomic",))])
def test_only_sleeping_locks_need_a_task_that_may_sleep(bare, lock, kind, rules):
    def atomic():
        bare.cpu.local_irq_disable()
        bare.locks.lock(lock, kind)
        bare.locks.unlock(lock, kind)
        bare.cpu.local_irq_enable()

    assert bare.run(cpu0=atomic).rules == rules


def test_locks_are_released_by_the_name_of_the_object(bare, lock):
    """Out of order, as hand-over-hand locking does."""
    other = bare.thing()

    def hand_over_hand():
        bare.locks.lock(lock, "spin")
        bare.locks.lock(other, "spin")
        bare.locks.unlock(lock, "spin")
        bare.seen.append((bare.locks.lock_held(lock), bare.locks.lock_held(other)))
        bare.locks.unlock(other, "spin")

    assert {run.seen for run in bare.explore(cpu0=hand_over_hand, cpu1=hand_over_hand)} == {((False, True),) * 2}
