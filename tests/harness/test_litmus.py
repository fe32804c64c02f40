# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios as files: what they must say, and how they are found."""

from __future__ import annotations

from types import ModuleType

import pytest

from kmm.harness.litmus import Program, ScenarioError, find, names, scenarios_dir
from kmm.linker import build


def module(**names):
    made = ModuleType("scenario.probe", names.pop("doc", "A title.\n\nAnd a story."))
    vars(made).update({"VERDICT": "never", "cpu0": lambda: None, **names})
    return made


def test_program_of_reads_what_a_module_defines():
    def setup(): ...
    def finish(): ...
    def actor(): ...
    program = Program.of("probe", module(setup=setup, finish=finish, cpu2=actor, device0=actor, helper=actor,
                                         FAILING=("kmalloc",)))
    assert program.title == "A title."
    assert program.verdict == "never"
    assert [(name, kind, number) for name, kind, number, _ in program.actors] == [
        ("cpu0", "cpu", 0), ("cpu2", "cpu", 2), ("device0", "device", 0)]
    assert program.failing == {"kmalloc"}
    assert (program.setup, program.finish, program.early) == (setup, finish, False)


def test_program_of_gives_workers_a_cpu_of_their_own():
    assert Program.of("probe", module()).cpus == 2
    assert Program.of("probe", module(cpu3=print)).cpus == 5
    assert Program.of("probe", module(CPUS=1)).cpus == 1


def test_program_of_takes_a_boot():
    assert Program.of("probe", module(BOOT="early")).early


@pytest.mark.parametrize(("changes", "says"), [
    ({"doc": None}, "needs a docstring"), ({"doc": "  "}, "needs a docstring"),
    ({"VERDICT": "maybe"}, "VERDICT must be 'never', 'sometimes' or 'always', not 'maybe'"),
    ({"cpu0": 3}, "no actor; define cpu0"), ({"CPUS": "2"}, "CPUS must be a number from 1 to 64, not '2'"),
    ({"CPUS": 65}, "not 65"), ({"cpu1": print, "CPUS": 1}, "CPUS must be a number from 2 to 64, not 1"),
], ids=str)
def test_program_of_refuses(changes, says):
    with pytest.raises(ScenarioError, match=says):
        Program.of("probe", module(**changes))


def test_every_shipped_scenario_is_found_by_name_and_by_path():
    assert names() == sorted(names()) and len(names()) >= 6
    for name in names():
        shipped, mine = find(name), find(str(scenarios_dir() / f"{name}.py"))
        assert (shipped.name, shipped.shipped) == (name, True)
        assert (mine.name, mine.shipped) == (name, False)
        assert shipped.fingerprint == mine.fingerprint


def test_every_shipped_scenario_tells_a_story():
    kernel = build()
    for name in names():
        scenario = find(name)
        program = Program.of(name, kernel.insmod(scenario.source))
        assert program.title.endswith("."), name
        assert len(program.title) <= 100, name
        assert "\n\n" in scenario.source.text.split('"""')[1], f"{name}: a title and nothing behind it"


def test_find_lists_what_there_is():
    with pytest.raises(ScenarioError, match=r"no such scenario; there are sva_\w+, "):
        find("nosuch")
    with pytest.raises(ScenarioError, match=r"^\./nosuch\.py: no such scenario file$"):
        find("./nosuch.py")
