# SPDX-License-Identifier: GPL-2.0-only
"""Schedules as text: out and in again; how a broken one is refused is tested in ``tests/test_cli.py``."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmm.harness.schedule import Schedule, ScheduleError

repeatable = settings(max_examples=100, deadline=None, derandomize=True)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@st.composite
def schedules(draw):
    """Actors that come from others, and choices among them."""
    actors, children = [], {}
    for number in range(draw(st.integers(1, 6))):
        parent = draw(st.integers(-1, number - 1))
        actors.append((parent, children.get(parent, 0)))
        children[parent] = children.get(parent, 0) + 1
    script = draw(st.lists(st.tuples(st.integers(0, len(actors) - 1), st.integers(0, 3)), max_size=200))
    return Schedule(draw(names), "0" * 64, "1" * 64, tuple(draw(st.lists(names, max_size=2))),
                    tuple(draw(st.lists(names, max_size=2))), draw(st.none() | names), "double-free",
                    tuple(actors), tuple(script))


@repeatable
@given(schedules())
def test_parse_reads_what_format_wrote(schedule):
    text = schedule.format()
    assert Schedule.parse(text) == schedule
    assert Schedule.parse(text).format() == text
    assert all(len(line) <= 105 for line in text.splitlines())


@repeatable
@given(schedules(), st.data())
def test_parse_takes_no_text_that_was_cut(schedule, data):
    """Cut anywhere: an error of its own kind, or another schedule; nothing else."""
    text = schedule.format()
    try:
        Schedule.parse(text[:data.draw(st.integers(0, len(text)))])
    except ScheduleError as error:
        assert str(error).startswith("schedule: ")


@repeatable
@given(st.text())
def test_parse_refuses_anything_else(text):
    with pytest.raises(ScheduleError):
        Schedule.parse(text)


def test_format_counts_runs():
    schedule = Schedule("s", "0", "1", (), (), None, "double-free", ((-1, 0), (0, 0)),
                        ((0, 0),) * 17 + ((1, 0), (0, 2), (0, 0)))
    assert schedule.format().splitlines()[-1] == "run: 0*17 1 0=2 0"
    assert schedule.format().splitlines()[-2] == "actors: -1.0 0.0"
