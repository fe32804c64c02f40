# SPDX-License-Identifier: GPL-2.0-only
"""The fair reader-writer semaphore, over all schedules."""

from __future__ import annotations

import pytest


@pytest.fixture
def sem(bare):
    return bare.thing()


@pytest.fixture
def hold(bare, sem):
    """An actor that takes the semaphore once and tells when it has it and when it gives it back."""
    shared_data = bare.thing()

    def make(name, *, shared=False, inside=None):
        def body():
            bare.locks.lock(sem, "rwsem", shared=shared)
            bare.seen.append(f"{name} in")
            (bare.memory.read if shared else bare.memory.write)(shared_data, "value")
            if inside is not None:
                inside()
            bare.seen.append(f"{name} out")
            bare.locks.unlock(sem, "rwsem", shared=shared)
        return body

    return make


def overlaps(seen, one, other):
    """Whether two actors were inside at once."""
    return (seen.index(f"{one} in") < seen.index(f"{other} out")
            and seen.index(f"{other} in") < seen.index(f"{one} out"))


def test_writer_excludes_readers_and_writers(bare, hold):
    runs = bare.explore(cpu0=hold("a"), cpu1=hold("b", shared=True), cpu1c=hold("c"))
    for run in runs:
        assert run.status == "done"
        assert not any(overlaps(run.seen, *pair) for pair in ("ab", "ac", "bc"))
    orders = {tuple(word[0] for word in run.seen if word.endswith("in")) for run in runs}
    assert len(orders) == 6, "everyone may be first, second and last"


def test_readers_share(bare, sem):
    other = bare.thing()

    def first():
        bare.locks.lock(sem, "rwsem", shared=True)
        bare.sync.wait("the other is in", lambda: other.value == 1, other)
        bare.locks.unlock(sem, "rwsem", shared=True)

    def second():
        bare.locks.lock(sem, "rwsem", shared=True)
        bare.memory.write(other, "value")
        other.value = 1
        bare.locks.unlock(sem, "rwsem", shared=True)

    assert {run.status for run in bare.explore(cpu0=first, cpu1=second)} == {"done"}


def test_two_readers_are_one_schedule(bare, sem):
    def reads():
        bare.locks.lock(sem, "rwsem", shared=True)

    assert len(bare.explore(cpu0=reads, cpu1=reads)) == 1


def test_a_reader_queues_behind_a_writer_that_waits(bare, sem):
    """So a nested read lock is a deadlock, if a writer asks in between, and only then."""
    def nested():
        bare.locks.lock(sem, "rwsem", shared=True)
        bare.locks.lock(sem, "rwsem", shared=True)
        bare.locks.unlock(sem, "rwsem", shared=True)
        bare.locks.unlock(sem, "rwsem", shared=True)

    def writes():
        bare.locks.lock(sem, "rwsem")
        bare.locks.unlock(sem, "rwsem")

    assert {run.status for run in bare.explore(cpu0=nested)} == {"done"}
    assert {run.status for run in bare.explore(cpu0=nested, cpu1=writes)} == {"done", "deadlock"}


def test_a_try_lock_for_reading_fails_while_a_writer_waits(bare, sem):
    def reads():
        bare.locks.lock(sem, "rwsem", shared=True)
        again = bare.locks.trylock(sem, "rwsem", shared=True)
        bare.seen.append(again)
        if again:
            bare.locks.unlock(sem, "rwsem", shared=True)
        bare.locks.unlock(sem, "rwsem", shared=True)

    def writes():
        bare.locks.lock(sem, "rwsem")
        bare.locks.unlock(sem, "rwsem")

    runs = bare.explore(cpu0=reads, cpu1=writes)
    assert {(run.status, run.seen) for run in runs} == {("done", (True,)), ("done", (False,))}


@pytest.mark.parametrize(("holder", "asker", "taken"), [(True, True, True), (True, False, False),
                                                        (False, True, False), (False, False, False)])
def test_try_lock_never_waits(bare, sem, holder, asker, taken):
    def body():
        bare.locks.lock(sem, "rwsem", shared=holder)
        bare.sync.spawn_worker("asker", lambda: bare.seen.append(bare.locks.trylock(sem, "rwsem", shared=asker)))

    assert bare.run(cpu0=body).seen == (taken,)


def test_downgrade_lets_readers_in_and_no_writer(bare, sem):
    shared = bare.thing()

    def downgrades():
        bare.locks.lock(sem, "rwsem")
        bare.seen.append("exclusive")
        bare.locks.downgrade(sem, "rwsem")
        bare.seen.append("shared")
        bare.sync.wait("a reader", lambda: shared.value == 1, shared)
        bare.seen.append("end")
        bare.locks.unlock(sem, "rwsem", shared=True)

    def reads():
        bare.locks.lock(sem, "rwsem", shared=True)
        bare.memory.write(shared, "value")
        shared.value = 1
        bare.locks.unlock(sem, "rwsem", shared=True)

    def writes():
        bare.locks.lock(sem, "rwsem")
        bare.seen.append("writer")
        bare.locks.unlock(sem, "rwsem")

    assert {run.status for run in bare.explore(cpu0=downgrades, cpu1=reads)} == {"done"}
    for run in bare.explore(cpu0=downgrades, cpu1=reads, cpu1w=writes):
        if run.status == "done":
            seen = run.seen
            assert seen.index("writer") < seen.index("exclusive") or seen.index("end") < seen.index("writer")


def test_a_semaphore_is_free_again_in_the_next_schedule(bare, sem):
    def leaves_it_locked():
        bare.locks.lock(sem, "rwsem")

    assert bare.run(cpu0=leaves_it_locked).status == "done"
    assert bare.run(cpu0=leaves_it_locked).status == "done"
