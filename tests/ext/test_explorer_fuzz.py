# SPDX-License-Identifier: GPL-2.0-only
"""The reduced search against the unreduced ones, on generated programs.

Every maximal trace that ``sleep`` (or ``dfs``, where that is feasible) reaches must be reached by
``source`` exactly once, with the same final state: memory, what each actor saw, who is blocked on what.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from generated_programs import World, begin, generate

from kmm_ext.explorer import Core


@dataclass
class Search:
    """Traces and final states of one search.

    :ivar complete: the tree was emptied.
    :ivar repeated: traces that ran more than once.
    """

    complete: bool
    traces: dict[int, str]
    repeated: int
    executions: int


def search(program: Any, mode: str, limit: int, padding: int = 0) -> Search:
    """Run *program*, at most *limit* executions."""
    core = Core(mode, verify=True)
    traces: dict[int, str] = {}
    executions = repeated = 0
    while True:
        worlds: list[World] = []
        status = core.execute(lambda core, worlds=worlds: worlds.append(begin(program, core, padding)))  # type: ignore[misc]
        executions += 1
        if status != "blocked":
            trace = core.trace_hash()
            repeated += trace in traces
            traces[trace] = repr((status, worlds[0].memory, sorted(worlds[0].logs.items()), sorted(core.blocked_on)))
        if not core.advance():
            return Search(True, traces, repeated, executions)
        if executions >= limit:
            return Search(False, traces, repeated, executions)


def compare(program: Any, limit: int, padding: int = 0) -> bool:
    """Whether *program* was small enough to be compared; asserts what must hold.

    The final states are compared as sets too: an error in the footprints would make the traces agree.
    """
    source = search(program, "source", limit, padding)
    assert not source.repeated, f"{source.repeated} traces ran twice: {program!r}"
    if not source.complete:
        return False
    compared = False
    for mode in ("sleep", "dfs"):
        oracle = search(program, mode, limit, padding)
        if not oracle.complete:
            return compared
        compared = True
        assert set(oracle.traces.values()) == set(source.traces.values()), f"{mode} sees other states: {program!r}"
        assert set(oracle.traces) == set(source.traces), f"{mode} sees other traces: {program!r}"
    return True


# --- tests -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("block", range(10))
def test_source_equals_its_oracles(block: int) -> None:
    compared = sum(compare(generate(seed, 6), 400) for seed in range(30 * block, 30 * block + 30))
    assert compared >= 20


@pytest.mark.parametrize("padding", [55, 60, 120, 250])
def test_source_equals_its_oracles_however_long_an_execution_is(padding: int) -> None:
    """Sets of events cross the words that they are kept in."""
    compared = sum(compare(generate(seed, 6), 150, padding) for seed in range(60))
    assert compared >= 30


@pytest.mark.long
@pytest.mark.parametrize("block", range(100))
def test_source_equals_its_oracles_on_larger_programs(block: int) -> None:
    compared = sum(compare(generate(seed, 9), 6000) for seed in range(1000 + 30 * block, 1030 + 30 * block))
    assert compared >= 20


# Programs that an earlier version got wrong, by what it got wrong.
FOUND = {
    "an actor sleeps by outcome of its choice": (
        (-1, (("look", 1, 2),)), (-1, (("add", 1),)), (-1, (("add", 2),))),
    "a condition holds for a moment": (
        (-1, (("add", 1), ("write", 1, 2))), (-1, (("write", 1, 0),)), (-1, (("await", (1, "==", 1)),))),
    "two conditions hold together only if two actors interleave": (
        (-1, (("write", 0, 1), ("write", 0, 0))), (-1, (("write", 1, 1), ("write", 1, 0))),
        (-1, (("await", (0, "==", 1), (1, "==", 1)),))),
    "a failed trylock races with the reader in its way": (
        (-1, (("lock", 10, True), ("write", 1, 0), ("unlock", 10, True))), (-1, (("try", 10, False, (("add", 2),)),))),
    "who is stuck in a redundant execution races too": (
        (-1, (("write", 0, 1),)),
        (0, (("irq", 0, (("await", (2, ">=", 2)),)), ("mask", (("irq", 0, (("add", 2), ("write", 0, 0))),))))),
    "what is kept before a reversed event wakes its actor": (
        (-1, (("irq", 0, (("add", 0),)), ("irq", 1, (("await", (0, ">=", 0)),)))), (0, (("write", 0, 0),)),
        (0, (("mask", (("await", (0, "!=", 1)),)),))),
    "a writer runs between two readers, of whom one keeps the lock": (
        (-1, (("lock", 11, False),)), (-1, (("lock", 11, True),)), (-1, (("lock", 11, True), ("unlock", 11, True)))),
    "a lock is held across a section with interrupts off": (
        (1, (("lock", 11, True), ("mask", ()))), (1, (("lock", 11, False),))),
    "a lock is kept while a handler wants it": (
        (0, (("irq", 0, (("write", 1, 1),)), ("lock", 11, False))), (-1, (("lock", 11, True),))),
    "a lock is taken again, and kept": (
        (-1, (("lock", 10, False),)), (-1, (("lock", 10, False), ("unlock", 10, False), ("lock", 10, True)))),
    "a failed trylock hides who has the lock": (
        (-1, (("read", 1), ("lock", 11, True))), (-1, (("lock", 11, False),)),
        (-1, (("write", 1, 2), ("try", 11, False, ())))),
    "a lock is kept while a handler takes another": (
        (1, (("lock", 10, False),)), (-1, (("lock", 10, False),)), (-1, (("irq", 1, (("lock", 11, False),)),))),
}


@pytest.mark.parametrize("what", FOUND)
def test_source_equals_its_oracles_where(what: str) -> None:
    assert compare(FOUND[what], 100_000)
