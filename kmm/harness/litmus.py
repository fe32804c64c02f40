# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios: small programs that are linked into the kernel under test.

A scenario is a Python module, linked as by insmod, so that it calls ``kmm.mm...`` by name and gets
the functions of *that* kernel.  What it defines says what it is:

* its docstring: the first line is the title, the rest the story;
* ``VERDICT``: ``"never"``, ``"sometimes"`` or ``"always"``: how often a rule is broken on an
  unpatched kernel of the default configuration;
* ``setup()``: runs once after boot, straight through, in task context on CPU 0;
* ``cpu0()``, ``cpu1()``…: what the task on that CPU does; the explorer interleaves them;
* ``device0()``…: what a device does, one access after the other;
* ``finish()``: runs when every actor, worker and callback has ended; it may assert;
* ``CPUS``, ``FAILING``, ``BOOT``: machine options (see :class:`kmm.harness.machine.MachineSpec`);
  ``BOOT = "early"`` explores the boot itself: ``setup`` is skipped and ``cpu0`` starts while
  ``system_state`` is ``SYSTEM_BOOTING``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmm.linker import ScenarioSource

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

__all__ = ["Scenario", "ScenarioError", "find", "names", "scenarios_dir"]

_ACTOR = re.compile(r"^(cpu|device)(\d+)$")


class ScenarioError(ValueError):
    """A scenario that does not exist or does not say what it must."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario's source and where it came from.

    :ivar name: its short name, as given to ``kmm check``.
    :ivar source: what is linked.
    :ivar shipped: it comes with kmm.
    """

    name: str
    source: ScenarioSource
    shipped: bool = True

    @property
    def fingerprint(self) -> str:
        """Hash of the text."""
        return self.source.fingerprint


@dataclass(frozen=True, slots=True)
class Program:
    """A scenario linked into one kernel.

    :ivar title: first line of its docstring.
    :ivar actors: ``(name, kind, number, function)`` in the order of definition.
    """

    title: str
    verdict: str
    cpus: int
    failing: frozenset[str]
    early: bool
    setup: Callable[[], None] | None
    actors: tuple[tuple[str, str, int, Callable[[], None]], ...]
    finish: Callable[[], None] | None

    @classmethod
    def of(cls, name: str, module: ModuleType) -> Program:
        """Read what a linked scenario module defines.

        :raises ScenarioError: it has no actor, no verdict or no docstring.
        """
        namespace: dict[str, Any] = vars(module)
        doc = (namespace.get("__doc__") or "").strip()
        if not doc:
            raise ScenarioError(f"{name}: a scenario needs a docstring; its first line is the title")
        verdict = namespace.get("VERDICT")
        if verdict not in ("never", "sometimes", "always"):
            raise ScenarioError(f"{name}: VERDICT must be 'never', 'sometimes' or 'always', not {verdict!r}")
        actors = []
        for key, value in namespace.items():
            match = _ACTOR.match(key)
            if match and callable(value):
                actors.append((key, match[1], int(match[2]), value))
        if not actors:
            raise ScenarioError(f"{name}: no actor; define cpu0(), cpu1()... or device0()...")
        used = 1 + max([number for _, kind, number, _ in actors if kind == "cpu"], default=0)
        cpus = namespace.get("CPUS", used + 1)
        if not isinstance(cpus, int) or not used <= cpus <= 64:
            raise ScenarioError(f"{name}: CPUS must be a number from {used} to 64, not {cpus!r}")
        return cls(doc.splitlines()[0], verdict, cpus, frozenset(namespace.get("FAILING", ())),
                   namespace.get("BOOT") == "early", namespace.get("setup"), tuple(actors),
                   namespace.get("finish"))


def scenarios_dir() -> Path:
    """Where the scenarios that come with kmm are."""
    here = Path(__file__).resolve().parent.parent
    installed = here / "conformance" / "scenarios"
    return installed if installed.is_dir() else here.parent / "conformance" / "scenarios"


def names() -> list[str]:
    """The scenarios that come with kmm, sorted."""
    return sorted(path.stem for path in scenarios_dir().glob("[a-z]*.py"))


def find(name: str) -> Scenario:
    """A scenario by name, or by the path of a file of yours.

    :raises ScenarioError: there is none; the message lists what there is.
    """
    path = Path(name)
    shipped = False
    if name.endswith(".py") or "/" in name:
        if not path.is_file():
            raise ScenarioError(f"{name}: no such scenario file")
    else:
        shipped = True
        path = scenarios_dir() / f"{name}.py"
        if not path.is_file():
            raise ScenarioError(f"{name}: no such scenario; there are {', '.join(names())}")
    return Scenario(path.stem, ScenarioSource.load(path, f"scenario.{path.stem}"), shipped)
