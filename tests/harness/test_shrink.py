# SPDX-License-Identifier: GPL-2.0-only
"""Shorter schedules lead to the same event, which saw the same."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from explorer_programs import lastzero
from generated_programs import begin, generate

from kmm.harness.shrink import shrink
from kmm_ext.explorer import Core

if TYPE_CHECKING:
    from collections.abc import Callable


def replay(core: Core, script: list[tuple[int, int]], program: Callable[[Core], Any]) -> Core:
    """Run *script*, found on *core*, in a core of its own."""
    again = Core("replay")
    again.adopt(core.actor_keys())
    again.follow(script)
    again.execute(program)
    return again


def switches(script: list[tuple[int, int]]) -> int:
    return sum(one[0] != two[0] for one, two in pairwise(script))


def test_shrink_leaves_out_what_did_not_matter() -> None:
    def program(core: Core) -> None:
        def busy(loc: int) -> None:
            for _ in range(3):
                core.step(1)
                core.write(loc)

        def reader() -> None:
            core.step(2)
            core.read(1)

        for loc in (1, 2, 3):
            core.spawn(lambda loc=loc: busy(loc), f"busy {loc}")  # type: ignore[misc]
        core.spawn(reader, "reader")

    core = Core("replay")
    core.execute(program)
    assert core.last_length == 3 * 4 + 2
    script = shrink(core, core.last_length - 1)
    assert script == [(0, 0)] * 4 + [(3, 0)] * 2


def test_shrink_takes_the_fewest_switches() -> None:
    """Two actors alternate although only the last event needs both."""
    def program(core: Core) -> None:
        def writer(loc: int) -> None:
            for _ in range(4):
                core.step(1)
                core.write(loc)

        def reader() -> None:
            core.step(2)
            core.read(1)
            core.read(2)

        core.spawn(lambda: writer(1), "one")
        core.spawn(lambda: writer(2), "two")
        core.spawn(reader, "reader")

    core = Core("replay")
    core.follow([(0, 0), (1, 0)] * 5 + [(2, 0)] * 2)
    core.execute(program)
    script = shrink(core, core.last_length - 1)
    assert len(script) == core.last_length
    assert switches(script) == 2


def test_shrink_keeps_choices() -> None:
    def program(core: Core) -> None:
        def chooser() -> None:
            core.write(10 + core.choose(1, 3))

        core.spawn(chooser, "chooser")

    core = Core("replay")
    core.follow([(0, 0), (0, 2)])
    core.execute(program)
    assert shrink(core, 1) == [(0, 0), (0, 2)]


def test_shrink_of_the_end_keeps_all_events() -> None:
    """What is wrong at the end of an execution depends on the whole of it."""
    program = lastzero(4)
    core = Core("random", seed=3)
    first: dict[Any, Any] = {}
    core.execute(lambda core: program(core, first))
    script = shrink(core, core.last_length)
    assert sorted(script) == sorted(core.schedule())
    assert switches(script) < switches(core.schedule())
    second: dict[Any, Any] = {}
    replay(core, script, lambda core: program(core, second))
    assert second == first


def test_shrink_of_many_actors_stays_bounded() -> None:
    """Eighteen actors can have come 2^36 ways; the answer need not be the best one."""
    program = lastzero(17)
    core = Core("random", seed=5)
    core.execute(lambda core: program(core, {}))
    script = shrink(core, core.last_length)
    assert sorted(script) == sorted(core.schedule())
    assert switches(script) <= switches(core.schedule())
    assert replay(core, script, lambda core: program(core, {})).last_length == core.last_length


@pytest.mark.parametrize("block", range(4))
def test_shrink_leads_to_the_same_event(block: int) -> None:
    """What is left touches what it touched: each event reads from what it read from."""
    for seed in range(50 * block, 50 * block + 50):
        program = generate(seed, 10)
        core = Core("random", seed=seed + 1)
        core.execute(lambda core: begin(program, core))  # noqa: B023
        before = dict(numbered(core))
        for index in range(core.last_length):
            script = shrink(core, index)
            assert len(script) <= index + 1
            assert switches(script) <= switches(core.schedule()[:index + 1])
            again = replay(core, script, lambda core: begin(program, core))  # noqa: B023
            after = numbered(again)[:len(script)]
            assert after[-1] == numbered(core)[index]
            for event, what in after:
                assert before[event] == what


def numbered(core: Core) -> list[tuple[tuple[int, int], Any]]:
    """Each event as ``((actor, which of its events), what it did)``."""
    counts: dict[int, int] = {}
    events = []
    for (pid, *what), (_, value) in zip(core.trace(), core.schedule(), strict=True):
        events.append(((pid, counts.get(pid, 0)), (*what, value)))
        counts[pid] = counts.get(pid, 0) + 1
    return events
