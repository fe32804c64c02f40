# SPDX-License-Identifier: GPL-2.0-only
"""Cut a counterexample to what matters: the causal past of one event, in the fewest switches.

Whatever did not happen before the violating event is left out.  What is left is put in the order that
changes actors least often: a search over the runs of actors.  Letting an actor run on as far as it can
never costs a switch, since all of its events must come some time; so a state is how far each actor has
come, and a step is one whole run.

Locks need no rule of their own: whoever took one after somebody else comes after that one's release,
so a section that was cut off is never entered by another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm_ext.explorer import Core

__all__ = ["shrink"]

# From so many states on, only the most advanced ones of each step are followed, so that time is bounded.
_STATES = 20_000
_WIDTH = 20

_State = tuple[int, ...]


def shrink(core: Core, index: int) -> list[tuple[int, int]]:
    """A schedule that leads to event *index* of the last execution, with fewer events and switches.

    :param core: the core that ran it.
    :param index: number of the event; the length of the execution for what was found at its end, which
        needs all events.
    :return: a script for :meth:`kmm_ext.explorer.Core.follow`. Replay it: the caller decides whether
        what it shows is still the same.
    :raises IndexError: there is no such event.
    """
    script = core.schedule()
    if not 0 <= index <= len(script):
        raise IndexError(f"the execution has {len(script)} events, there is no event {index}")
    past = [n for n in range(min(index + 1, len(script))) if index in (n, len(script)) or core.happens_before(n, index)]
    return [script[n] for n in _fewest_switches(core, past, script)]


def _fewest_switches(core: Core, past: list[int], script: list[tuple[int, int]]) -> list[int]:
    """The events *past*, reordered."""
    actors: dict[int, list[int]] = {}
    for event in past:
        actors.setdefault(script[event][0], []).append(event)
    lanes = list(actors.values())
    needs = {event: _needs(core, event, lanes) for event in past}
    start: _State = (0,) * len(lanes)
    goal: _State = tuple(len(events) for events in lanes)
    came: dict[_State, tuple[_State, int]] = {start: (start, -1)}
    frontier = [start]
    while frontier and goal not in came:
        reached: list[_State] = []
        for state in frontier:
            for lane, events in enumerate(lanes):
                done = state[lane]
                while done < len(events) and all(
                        have >= need for have, need in zip(state, needs[events[done]], strict=True)):
                    done += 1
                after = (*state[:lane], done, *state[lane + 1:])
                if after not in came:
                    came[after] = (state, lane)
                    reached.append(after)
        if len(came) > _STATES:
            reached.sort(key=sum, reverse=True)
            for state in reached[_WIDTH:]:
                del came[state]
            del reached[_WIDTH:]
        frontier = reached
    runs: list[list[int]] = []
    state = goal
    while state != start:
        before, lane = came[state]
        runs.append(lanes[lane][before[lane]:state[lane]])
        state = before
    return [event for run in reversed(runs) for event in run]


def _needs(core: Core, event: int, lanes: list[list[int]]) -> _State:
    """How many events of each other actor must come before *event*."""
    needs = []
    for events in lanes:
        low, high = 0, 0 if event in events else len(events)
        while low < high:                # its events happen before one another, so those are the first ones
            middle = (low + high) // 2
            if core.happens_before(events[middle], event):
                low = middle + 1
            else:
                high = middle
        needs.append(low)
    return tuple(needs)
