# SPDX-License-Identifier: GPL-2.0-only
"""Cut a counterexample to what matters: the causal past of one event, in the fewest switches.

Whatever did not happen before the violating event is left out.  What is left is put in the order that
changes actors least often: a search over the runs of actors.  Letting an actor run on as far as it can
never costs a switch, since all of its events must come some time; so a state is how far each actor has
come, and a step is one whole run.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm_ext.explorer import Core

__all__ = ["shrink"]

_STATES = 50_000


def shrink(core: Core, index: int) -> list[tuple[int, int]]:
    """A schedule that leads to event *index* of the last execution, with fewer events and switches.

    :param core: the core that ran it.
    :param index: number of the event.
    :return: a script for :meth:`kmm_ext.explorer.Core.follow`. Replay it: the caller decides whether
        what it shows is still the same.
    """
    script = core.schedule()
    past = [i for i in range(index) if core.happens_before(i, index)] + [index]
    order = _fewest_switches(core, past, script)
    return [script[i] for i in order]


def _fewest_switches(core: Core, past: list[int], script: list[tuple[int, int]]) -> list[int]:
    actors: dict[int, list[int]] = {}
    for event in past:
        actors.setdefault(script[event][0], []).append(event)
    lanes = list(actors.values())
    position = {event: (lane, nth) for lane, events in enumerate(lanes) for nth, event in enumerate(events)}
    # What each event needs of every other lane: how many of its events must have run.
    needs = {event: [0] * len(lanes) for event in past}
    for event in past:
        for earlier in past:
            if earlier < event and core.happens_before(earlier, event):
                lane, nth = position[earlier]
                needs[event][lane] = max(needs[event][lane], nth + 1)
    goal = tuple(len(events) for events in lanes)
    start = (0,) * len(lanes)
    came: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {start: (start, -1)}
    queue = deque([start])
    while queue and goal not in came and len(came) < _STATES:
        state = queue.popleft()
        for lane, events in enumerate(lanes):
            done = state[lane]
            while done < len(events) and all(
                    need <= have for other, (need, have) in enumerate(zip(needs[events[done]], state, strict=True))
                    if other != lane):
                done += 1
            if done == state[lane]:
                continue
            after = (*state[:lane], done, *state[lane + 1:])
            if after not in came:
                came[after] = (state, lane)
                queue.append(after)
    if goal not in came:
        return past
    runs: list[list[int]] = []
    state = goal
    while state != start:
        before, lane = came[state]
        runs.append(lanes[lane][before[lane]:state[lane]])
        state = before
    return [event for run in reversed(runs) for event in run]
