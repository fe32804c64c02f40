# SPDX-License-Identifier: GPL-2.0-only
"""The explorer's core: exact counts of known programs, and what each kind of event means."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from explorer_programs import (
    abba,
    canonical,
    explore,
    filesystem,
    indexer,
    lastzero,
    locks,
    readers,
    writers,
)
from greenlet import greenlet

from kmm_ext.explorer import ActorError, Core, Endless, Nondeterminism

MODES = ["source", "sleep", "dfs"]


# --- counts ---------------------------------------------------------------------------------------

@pytest.mark.parametrize(("program", "traces"), [
    pytest.param(readers(12), 4096, id="readers 12"),
    pytest.param(writers(6), 720, id="writers 6"),
    pytest.param(lastzero(5), 64, id="lastzero 5"),
    pytest.param(lastzero(10), 3328, id="lastzero 10"),
    pytest.param(indexer(12), 8, id="indexer 12"),
    pytest.param(indexer(15), 4096, id="indexer 15"),
    pytest.param(filesystem(14), 2, id="filesystem 14"),
    pytest.param(filesystem(16), 8, id="filesystem 16"),
    pytest.param(filesystem(18), 32, id="filesystem 18"),
    pytest.param(filesystem(22), 512, id="filesystem 22"),
    pytest.param(locks(5), 120, id="locks 5"),
])
def test_execute_runs_each_trace_once(program: Any, traces: int) -> None:
    result = explore(program)
    assert (result.executions, result.deadlocks) == (traces, 0)


def test_execute_finds_the_deadlock_of_two_locks() -> None:
    result = explore(abba)
    assert (result.executions, result.deadlocks) == (3, 1)


@pytest.mark.parametrize("mode", MODES)
def test_modes_reach_the_same_states(mode: str) -> None:
    assert explore(lastzero(2), mode).states == explore(lastzero(2)).states


def test_source_runs_less_than_its_oracles() -> None:
    counts = [explore(readers(3), mode).executions for mode in MODES]
    assert counts == sorted(counts)
    assert counts[0] == 8


# --- events ---------------------------------------------------------------------------------------

def test_choose_tries_every_value() -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        core.spawn(lambda: state.update(a=core.choose(1, 3), b=core.choose(1, 2)), "p")

    assert explore(program).executions == 6


@pytest.mark.parametrize("mode", MODES)
def test_choose_counts_what_every_value_touches(mode: str) -> None:
    """A sleeping actor wakes for any of its alternatives, not only for the last."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        shared = {1: 0, 2: 0}

        def chooser() -> None:
            loc = 1 + core.choose(1, 2)
            core.read(loc)
            state["saw"] = (loc, shared[loc])

        def writer(loc: int) -> None:
            core.step(2)
            core.write(loc)
            shared[loc] = 1

        core.spawn(chooser, "chooser")
        core.spawn(lambda: writer(1), "writer 1")
        core.spawn(lambda: writer(2), "writer 2")

    assert explore(program, mode).states == {f"done [('saw', ({loc}, {value}))]" for loc in (1, 2) for value in (0, 1)}


def test_spawn_comes_before_the_child() -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        def parent() -> None:
            core.step(1)
            core.write(1)
            core.spawn(child, "child")
            core.step(2)
            core.read(2)

        def child() -> None:
            core.step(3)
            core.read(1)
            core.write(2)

        core.spawn(parent, "parent")

    assert explore(program).executions == 2      # only "the child's write or the parent's read first"
    core = Core()
    core.execute(lambda core: program(core, {}))
    kinds = [event[2] for event in core.trace()]
    assert core.happens_before(kinds.index(1), kinds.index(3))
    assert not core.happens_before(kinds.index(3), kinds.index(1))


def test_spawn_numbers_children_by_parent() -> None:
    """The numbers do not depend on who ran first."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        def parent(i: int) -> None:
            core.step(1)
            core.write(1)
            state[i] = core.spawn(lambda: None, f"child of {i}")

        core.spawn(lambda: parent(0), "parent 0")
        core.spawn(lambda: parent(1), "parent 1")

    result = explore(program)
    assert (result.executions, len(result.states)) == (2, 1)


@pytest.mark.parametrize("mode", MODES)
def test_step_when_waits(mode: str) -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        flags = [0, 0]

        def setter(i: int) -> None:
            core.step(1)
            core.write(i)
            flags[i] = 1

        def waiter() -> None:
            core.step_when(2, lambda: flags == [1, 1], (0, 1))
            state["saw"] = tuple(flags)

        core.spawn(waiter, "waiter")
        core.spawn(lambda: setter(0), "setter 0")
        core.spawn(lambda: setter(1), "setter 1")

    result = explore(program, mode)
    assert result.states == {"done [('saw', (1, 1))]"}
    if mode == "source":
        assert result.executions == 1


@pytest.mark.parametrize("mode", MODES)
def test_step_when_sees_a_condition_that_holds_for_a_moment(mode: str) -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        value = [0]

        def writer() -> None:
            for new in (1, 2, 3):
                core.step(1)
                core.write(0)
                value[0] = new

        def waiter() -> None:
            core.step_when(2, lambda: value[0] == 1, (0,))
            state["saw"] = value[0]

        core.spawn(writer, "writer")
        core.spawn(waiter, "waiter")

    assert explore(program, mode).states == {"done [('saw', 1)]", "deadlock []"}


@pytest.mark.parametrize("mode", MODES)
def test_try_acquire_fails_while_held(mode: str) -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        def holder() -> None:
            core.acquire(1, 5)
            core.release(2, 5)

        def trier() -> None:
            state["taken"] = core.try_acquire(3, 5)
            if state["taken"]:
                core.release(2, 5)

        core.spawn(holder, "holder")
        core.spawn(trier, "trier")

    assert explore(program, mode).states == {"done [('taken', False)]", "done [('taken', True)]"}


@pytest.mark.parametrize("mode", MODES)
def test_try_acquire_fails_while_shared(mode: str) -> None:
    """Somebody who tries to lock out readers races with a reader's lock too."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        def reader() -> None:
            core.acquire(1, 5, True)
            core.release(2, 5, True)

        def trier() -> None:
            state["taken"] = core.try_acquire(3, 5)
            if state["taken"]:
                core.release(2, 5)

        core.spawn(trier, "trier")
        core.spawn(reader, "reader")

    assert explore(program, mode).states == {"done [('taken', False)]", "done [('taken', True)]"}


def test_acquire_shared_sections_overlap() -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        inside = [0]

        def reader() -> None:
            core.acquire(1, 5, True)
            inside[0] += 1
            core.release(2, 5, True)
            inside[0] -= 1

        def writer() -> None:
            core.acquire(3, 5)
            assert not inside[0]
            state["done"] = True
            core.release(4, 5)

        core.spawn(reader, "reader 0")
        core.spawn(reader, "reader 1")
        core.spawn(writer, "writer")

    result = explore(program)
    assert (result.executions, result.deadlocks) == (4, 0)   # each reader before or after the writer


# --- interrupt tokens -----------------------------------------------------------------------------

def interrupted(core: Core, state: dict[Any, Any], masked: bool) -> None:
    """A task in two events, and a handler on its CPU."""
    log: list[str] = []

    def task() -> None:
        core.step(1)
        core.write(1)
        if masked:
            core.mask(0)
        log.append("task 1")
        core.step(1)
        core.write(1)
        log.append("task 2")
        if masked:
            core.unmask(0)
        state["log"] = log

    def handler() -> None:
        core.write(1)
        log.append("handler 1")
        core.step(2)
        core.write(1)
        log.append("handler 2")

    core.bind(core.spawn(task, "task"), 0)
    core.spawn_irq(handler, "handler", 0)


@pytest.mark.parametrize("mode", MODES)
def test_spawn_irq_runs_between_two_events(mode: str) -> None:
    states = explore(lambda core, state: interrupted(core, state, False), mode).states
    handler, first, second = ("handler 1", "handler 2"), ("task 1",), ("task 2",)
    assert states == {f"done [('log', {list(order)})]" for order in (
        handler + first + second, first + handler + second, first + second + handler)}


@pytest.mark.parametrize("mode", MODES)
def test_mask_keeps_the_handler_out(mode: str) -> None:
    states = explore(lambda core, state: interrupted(core, state, True), mode).states
    handler, task = ["handler 1", "handler 2"], ["task 1", "task 2"]
    assert states == {f"done [('log', {handler + task})]", f"done [('log', {task + handler})]"}


# --- what else happens ----------------------------------------------------------------------------

def test_violation_does_not_end_the_execution() -> None:
    def program(core: Core) -> None:
        def actor() -> None:
            core.step(1)
            core.violation("bad")
            core.step(2)
            core.violation("worse")

        core.spawn(actor, "actor")

    core = Core()
    assert core.execute(program) == "done"
    assert core.violations == [(1, "bad"), (2, "worse")]
    assert core.last_length == 3


def test_abort_process_ends_one_actor() -> None:
    def program(core: Core, state: dict[Any, Any]) -> None:
        def stopped() -> None:
            core.step(1)
            state["before"] = True
            core.abort_process()
            state["after"] = True

        def other() -> None:
            core.step(2)
            state["other"] = True

        core.spawn(stopped, "stopped")
        core.spawn(other, "other")

    assert explore(program).states == {"done [('before', True), ('other', True)]"}


def test_execute_raises_what_an_actor_raised() -> None:
    def program(core: Core) -> None:
        def actor() -> None:
            core.step(1)
            core.choose(2, 2)
            raise ZeroDivisionError("wrong")

        core.spawn(actor, "actor")

    core = Core()
    with pytest.raises(ActorError, match="actor: ZeroDivisionError: wrong") as raised:
        core.execute(program)
    assert isinstance(raised.value.error, ZeroDivisionError)
    assert raised.value.schedule == [(0, 0), (0, 0), (0, 0)]
    assert core.status == "failed"


def test_execute_lets_an_interrupt_through() -> None:
    """What is no error of the actor's code does not become one."""
    def program(core: Core) -> None:
        def actor() -> None:
            core.step(1)
            raise KeyboardInterrupt

        core.spawn(actor, "actor")
        core.spawn(lambda: core.step(2), "other")

    core = Core()
    with pytest.raises(KeyboardInterrupt):
        core.execute(program)
    assert core.status == "failed"


def test_execute_blames_the_actor_whose_condition_raised() -> None:
    def program(core: Core) -> None:
        core.spawn(lambda: core.step_when(1, lambda: 1 // 0 > 0, (1,)), "waiter")
        core.spawn(lambda: core.step(2), "other")

    with pytest.raises(ActorError, match="waiter: ZeroDivisionError"):
        Core().execute(program)


def test_execute_raises_what_the_program_raised() -> None:
    core = Core()
    with pytest.raises(ZeroDivisionError):
        core.execute(lambda core: 1 // 0)
    assert core.execute(lambda core: writers(2)(core, {})) == "done"


def test_step_refuses_whoever_is_no_actor() -> None:
    core = Core()
    with pytest.raises(RuntimeError, match="only an actor"):
        core.step(1)
    with pytest.raises(RuntimeError, match="only an actor"):
        core.execute(lambda core: core.step(1))
    core.execute(lambda core: writers(2)(core, {}))
    with pytest.raises(RuntimeError, match="only an actor"):
        core.step(1)


def test_execute_works_from_any_greenlet_and_thread() -> None:
    from threading import Thread

    core = Core()
    statuses: list[str] = []
    while True:
        runner = greenlet(lambda: statuses.append(core.execute(lambda core: writers(3)(core, {}))))
        if len(statuses) % 2:
            runner.switch()
        else:
            thread = Thread(target=lambda: statuses.append(core.execute(lambda core: writers(3)(core, {}))))
            thread.start()
            thread.join()
        if not core.advance():
            break
    assert statuses == ["done"] * 6


def unsteady(core: Core, runs: list[int], what: str) -> None:
    """A program that does something else from its second run on."""
    runs.append(1)
    again = len(runs) > 1

    def first() -> None:
        core.step(2 if what == "kind" and again else 1)
        core.write(2 if what == "footprint" and again else 1)
        core.step(1)
        core.write(5)

    def second() -> None:
        core.step(1)
        core.write(5)

    if what == "actors" and again:
        return
    core.spawn(first, "first")
    core.spawn(second, "second")


@pytest.mark.parametrize("what", ["kind", "footprint", "actors"])
def test_execute_notices_nondeterminism(what: str) -> None:
    core = Core(verify=True)
    runs: list[int] = []
    core.execute(lambda core: unsteady(core, runs, what))
    with pytest.raises(Nondeterminism):
        while core.advance():
            core.execute(lambda core: unsteady(core, runs, what))


def test_execute_notices_a_choice_that_shrank() -> None:
    core = Core()
    runs: list[int] = []

    def program(core: Core) -> None:
        runs.append(1)
        core.spawn(lambda: core.choose(1, 3 if len(runs) == 1 else 1), "chooser")

    core.execute(program)
    assert core.advance()
    with pytest.raises(Nondeterminism):
        core.execute(program)


def test_blocked_on_tells_who_waits_for_what() -> None:
    core = Core()
    status = core.execute(lambda core: abba(core, {}))
    while status != "deadlock":
        assert core.advance()
        status = core.execute(lambda core: abba(core, {}))
    assert sorted(core.blocked_on) == [(0, "p", 1, 2), (1, "q", 1, 1)]


def test_follow_repeats_any_execution() -> None:
    core = Core()
    program = lastzero(3)
    while True:
        first: dict[Any, Any] = {}
        status = core.execute(lambda core, first=first: program(core, first))  # type: ignore[misc]
        if status != "blocked":
            again, second = Core("replay"), {}
            again.follow(core.schedule())
            assert again.execute(lambda core, second=second: program(core, second)) == status  # type: ignore[misc]
            assert second == first
            assert again.trace() == core.trace()
        if not core.advance():
            break


def test_follow_goes_on_where_the_script_ends() -> None:
    core = Core("replay")
    core.follow([(1, 0), (1, 0)])
    assert core.execute(lambda core: writers(3)(core, {})) == "done"
    assert [pid for pid, _ in core.schedule()] == [1, 1, 0, 0, 2, 2]


def test_follow_refuses_what_cannot_happen() -> None:
    core = Core("replay")
    core.follow([(1, 0), (1, 0), (1, 0)])
    with pytest.raises(Nondeterminism, match="event 2"):
        core.execute(lambda core: writers(3)(core, {}))


def test_execute_repeats_itself_until_advance() -> None:
    core = Core()
    program = lastzero(3)
    traces = []
    while True:
        core.execute(lambda core: program(core, {}))
        once = core.trace()
        core.execute(lambda core: program(core, {}))
        assert core.trace() == once
        traces.append(once)
        if not core.advance():
            break
    core.execute(lambda core: program(core, {}))     # the tree is empty: a new search begins
    assert core.trace() == traces[0]


def test_core_refuses_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match="no search mode 'fast'"):
        Core("fast")


# --- a search is a function of the program ---------------------------------------------------------

_TRACES = """
import hashlib
from explorer_programs import *
from kmm_ext.explorer import Core
digest = hashlib.sha256()
for program in (lastzero(4), locks(3), abba, filesystem(16)):
    core = Core()
    while True:
        digest.update(core.execute(lambda core: program(core, {})).encode())
        digest.update(repr(core.trace()).encode())
        if not core.advance():
            break
print(digest.hexdigest())
"""


def test_search_is_the_same_under_any_hash_seed() -> None:
    here = Path(__file__).parents[1]
    found = set()
    for seed in ("0", "1", "4711"):
        env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{here}{os.pathsep}{here.parent}"}
        found.add(subprocess.run([sys.executable, "-c", _TRACES], env=env, check=True, capture_output=True,
                                 text=True).stdout)
    assert len(found) == 1


def test_trace_hash_tells_traces_apart() -> None:
    """It is the same for two executions iff these are the same partial order."""
    core = Core("dfs")
    hashes: dict[Any, int] = {}
    while True:
        core.execute(lambda core: lastzero(2)(core, {}))
        assert hashes.setdefault(canonical(core), core.trace_hash()) == core.trace_hash()
        if not core.advance():
            break
    assert len(set(hashes.values())) == len(hashes)


def test_trace_hash_is_the_same_in_every_core() -> None:
    def hashes(mode: str) -> set[int]:
        core = Core(mode, seed=1)
        found = set()
        for _ in range(500):
            core.execute(lambda core: two_families(core, {}))
            found.add(core.trace_hash())
            if not core.advance() and mode == "source":
                break
        return found

    assert hashes("random") == hashes("source")
    assert len(hashes("source")) == 2


# --- greenlets --------------------------------------------------------------------------------------

def test_execute_leaves_no_greenlets() -> None:
    def live() -> int:
        gc.collect()
        return sum(isinstance(thing, greenlet) for thing in gc.get_objects())

    before = live()
    core = Core("random")
    for _ in range(10_000):
        core.execute(lambda core: abba(core, {}))
    during = live()
    assert during <= before + 16
    del core
    assert live() <= before


def test_killed_actors_run_their_finally() -> None:
    """What they do there belongs to no execution."""
    log: list[str] = []

    def program(core: Core) -> None:
        def stuck() -> None:
            try:
                core.step_when(1, lambda: False, (1,))
            finally:
                log.append("finally")
                core.write(7)
                core.violation("not of this execution")
                core.bind(core.spawn(stuck, "not of this execution"), 0)
                core.step(9)
                log.append("not reached")

        def other() -> None:
            core.step(2)
            core.write(1)

        core.spawn(stuck, "stuck")
        core.spawn(other, "other")

    core = Core()
    executions = 0
    while True:
        assert core.execute(program) == "deadlock"
        executions += 1
        assert [event[2] for event in core.trace()] == [0, 0, 2]
        assert core.violations == []
        if not core.advance():
            break
    assert log == ["finally"] * executions
    assert core.actor_names() == ["stuck", "other"]


def test_killed_actors_may_swallow_the_end() -> None:
    """An actor that catches everything ends all the same."""
    from greenlet import GreenletExit

    def program(core: Core) -> None:
        def stubborn() -> None:
            while True:
                try:
                    core.step_when(1, lambda: False, (1,))
                except GreenletExit:
                    return

        core.spawn(stubborn, "stubborn")

    core = Core("random")
    for _ in range(3):
        assert core.execute(program) == "deadlock"


# --- numbers of actors ------------------------------------------------------------------------------

def two_families(core: Core, state: dict[Any, Any]) -> None:
    """Two parents; who has a child first depends on the schedule."""
    def parent(i: int) -> None:
        core.step(1)
        core.write(1)
        core.spawn(lambda: None, f"child of {i}")

    core.spawn(lambda: parent(0), "parent 0")
    core.spawn(lambda: parent(1), "parent 1")


def test_adopt_makes_numbers_mean_the_same() -> None:
    core = Core()
    while True:
        core.execute(lambda core: two_families(core, {}))
        again = Core("replay")
        again.adopt(core.actor_keys())
        again.follow(core.schedule())
        again.execute(lambda core: two_families(core, {}))
        assert again.trace() == core.trace()
        assert again.actor_names() == core.actor_names()
        if not core.advance():
            break
    assert core.actor_keys() == [(-1, 0), (-1, 1), (0, 0), (1, 0)]


@pytest.mark.parametrize("keys", [[(0, 0)], [(-1, 1)], [(-1, 0), (-1, 0)], [(-2, 0)], [(-1, 0), (5, 0)]])
def test_adopt_refuses_what_no_core_gave(keys: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="comes too early"):
        Core("replay").adopt(keys)


def test_adopt_refuses_a_second_numbering() -> None:
    core = Core("replay")
    core.adopt([(-1, 0)])
    with pytest.raises(ValueError, match="already"):
        core.adopt([(-1, 0)])


# --- random modes -----------------------------------------------------------------------------------

def narrow(core: Core) -> None:
    """A violation between two events that lie next to each other, and late in another actor's life."""
    x = [0]

    def long() -> None:
        for _ in range(40):
            core.step(9)
        core.step(1)
        core.write(0)
        x[0] = 1

    def short() -> None:
        core.step(2)
        core.read(0)
        first = x[0]
        core.step(2)
        core.read(0)
        if first != x[0]:
            core.violation("changed")

    core.spawn(long, "long")
    core.spawn(short, "short")


def relay(core: Core) -> None:
    """A violation that needs three actors to stop at the right moment each."""
    x = [0, 0]

    def rest() -> None:
        for _ in range(10):
            core.step(9)

    def change(loc: int, value: int) -> None:
        core.step(1)
        core.write(loc)
        x[loc] = value

    def first() -> None:
        change(0, 1)
        rest()
        change(0, 2)

    def second() -> None:
        core.step(2)
        core.read(0)
        if x[0] == 1:
            change(1, 1)
            rest()
            change(1, 2)

    def third() -> None:
        rest()
        core.step(3)
        core.read(0)
        core.read(1)
        if x == [2, 1]:
            core.violation("both")

    for actor in (third, first, second):
        core.spawn(actor, actor.__name__)


def executions_until_violation(program: Any, mode: str, seed: int, limit: int) -> int:
    core = Core(mode, seed=seed, depth=4)
    for executed in range(1, limit + 1):
        core.execute(program)
        if core.violations:
            return executed
    return limit + 1


@pytest.mark.parametrize(("mode", "program", "limit"), [
    ("pct", narrow, 300), ("pos", narrow, 300), ("pct", relay, 1000), ("pos", relay, 100), ("random", relay, 100)])
def test_random_modes_find_what_is_hidden_deep(mode: str, program: Any, limit: int) -> None:
    for seed in range(1, 11):
        assert executions_until_violation(program, mode, seed, limit) <= limit


def test_random_walk_misses_what_is_narrow() -> None:
    """Why there are better modes."""
    assert executions_until_violation(narrow, "random", 1, 2000) > 2000


@pytest.mark.parametrize("mode", ["random", "pct", "pos"])
def test_random_modes_are_a_function_of_the_seed(mode: str) -> None:
    def traces(seed: int) -> list[Any]:
        core = Core(mode, seed=seed)
        found = []
        for _ in range(20):
            core.execute(relay)
            found.append(core.trace())
        return found

    assert traces(7) == traces(7) != traces(8)


@pytest.mark.parametrize("seed", [0, -1, 1 << 64, 0xffffffffffffffff])
def test_random_modes_take_any_seed(seed: int) -> None:
    core = Core("random", seed=seed)
    schedules = set()
    for _ in range(20):
        core.execute(relay)
        schedules.add(tuple(core.schedule()))
    assert len(schedules) > 10


@pytest.mark.parametrize("mode", MODES)
def test_execute_ends_an_execution_that_polls_for_ever(mode: str) -> None:
    core = Core(mode)

    def polls() -> None:
        while True:
            core.step(1)
            core.read(1)

    with pytest.raises(ActorError, match="more than 32768 events in one schedule") as raised:
        core.execute(lambda core: core.spawn(polls, "polls") and None)
    assert isinstance(raised.value.error, Endless)
