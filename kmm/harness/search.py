# SPDX-License-Identifier: GPL-2.0-only
"""Drive the explorer: run executions until the tree is empty or a bound is hit.

A search says what it did: how many schedules, how many of them redundant, whether it is complete, and
if not, which bound stopped it.  One execution in a hundred is run a second time and compared event by
event: if something outside the model decides what happens, no count means anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kmm_ext.explorer import Core, Nondeterminism

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Found", "Progress", "Result", "explore", "run_script"]

_RECHECK_EVERY = 100
_REPORT_EVERY = 25


@dataclass(frozen=True, slots=True)
class Found:
    """One violation, with the execution that showed it.

    :ivar payload: what the program reported.
    :ivar index: number of the event that broke the rule; the length of the execution for one that was
        found at its end.
    :ivar script: the choices of that execution, for :func:`run_script`.
    :ivar actors: where the actors of the script come from, by number: parent and n-th child.
    """

    payload: Any
    index: int
    script: tuple[tuple[int, int], ...]
    actors: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is.

    :ivar estimate: about how many executions there are in all, from the branching seen so far.
    """

    executions: int
    estimate: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a search did.

    :ivar executions: schedules that ran to their end.
    :ivar blocked: redundant ones that a sleep set cut off.
    :ivar events: scheduling points executed in all.
    :ivar complete: the tree is empty.
    :ivar bound: what stopped the search otherwise.
    :ivar rechecked: executions that were run twice and compared.
    :ivar found: violations, the shortest execution for each key.
    """

    executions: int
    blocked: int
    events: int
    complete: bool
    bound: str | None
    rechecked: int
    found: tuple[Found, ...] = field(default_factory=tuple)


def explore(program: Callable[[Core], None], reset: Callable[[], None], *, mode: str = "source",
            key: Callable[[Any], object] = lambda payload: payload,
            at_end: Callable[[Core, str], list[Any]] | None = None,
            max_executions: int | None = None, patience: int | None = None, stop_at_first: bool = False,
            on_progress: Callable[[Progress], None] | None = None) -> Result:
    """Run *program* under every schedule that matters.

    :param program: spawns the first actors on the core it is given.
    :param reset: puts the world back; called before every execution.
    :param mode: ``"source"`` (the default), or an oracle of it: ``"sleep"`` uses the same footprints and none
        of the race code, ``"dfs"`` uses neither and judges both.
    :param key: which violations count as the same one.
    :param at_end: called after each execution with its status (``"done"`` or ``"deadlock"``); gives
        further violations.
    :param max_executions: stop after so many schedules.
    :param patience: after the first counterexample, look for shorter ones in so many more schedules.
    :param stop_at_first: stop after the first execution with a violation.
    :raises kmm_ext.explorer.ActorError: an actor raised.
    :raises kmm_ext.explorer.Nondeterminism: a second run of a schedule differed from the first.
    """
    core = Core(mode)
    executions = blocked = events = rechecked = 0
    found: dict[object, Found] = {}
    bound: str | None = None
    first: int | None = None
    while True:
        reset()
        status = core.execute(program)
        if status == "blocked":
            blocked += 1
        else:
            executions += 1
            events += core.last_length
            payloads = list(core.violations)
            if at_end is not None:
                payloads += [(core.last_length, payload) for payload in at_end(core, status)]
            if payloads:
                _keep_shortest(core, payloads, found, key)
            if executions % _RECHECK_EVERY == 1:
                rechecked += 1
                _recheck(core, program, reset)
            if on_progress is not None and executions % _REPORT_EVERY == 1:
                on_progress(Progress(executions, core.estimate()))
        if not core.advance():
            break
        if stop_at_first and found:
            bound = "the first counterexample"
            break
        if found and first is None:
            first = executions
        if patience is not None and first is not None and executions >= first + patience:
            bound = f"the limit of {patience} schedules after the first counterexample"
            break
        if max_executions is not None and executions >= max_executions:
            bound = f"--max-executions {max_executions}"
            break
    return Result(executions, blocked, events, bound is None, bound, rechecked, tuple(found.values()))


def _keep_shortest(core: Core, payloads: list[tuple[int, Any]], found: dict[object, Found],
                   key: Callable[[Any], object]) -> None:
    for index, payload in payloads:
        name = key(payload)
        if name not in found or index < found[name].index:
            found[name] = Found(payload, index, tuple(core.schedule()), tuple(core.actor_keys()))


def _recheck(core: Core, program: Callable[[Core], None], reset: Callable[[], None]) -> None:
    """Run the last schedule again in a core of its own and compare every event."""
    expected = core.trace()
    again = Core("replay")
    again.adopt(core.actor_keys())
    again.follow(core.schedule())
    reset()
    again.execute(program)
    found = again.trace()
    for index, (before, now) in enumerate(zip(expected, found, strict=False)):
        if before[1:] != now[1:]:
            raise Nondeterminism(index, str(before[1:]), str(now[1:]))
    if len(expected) != len(found):
        raise Nondeterminism(min(len(expected), len(found)), f"{len(expected)} events", f"{len(found)} events")


def run_script(program: Callable[[Core], None], script: Sequence[tuple[int, int]],
               actors: Sequence[tuple[int, int]]) -> tuple[Core, str]:
    """Run one schedule; afterwards each actor goes on as long as it can.

    :param script: the choices.
    :param actors: what the numbers in it mean (:attr:`Found.actors`).
    :return: the core, for its trace and violations, and the status.
    :raises kmm_ext.explorer.Nondeterminism: a choice is impossible here.
    """
    core = Core("replay")
    core.adopt(actors)
    core.follow(script)
    status = core.execute(program)
    return core, status
