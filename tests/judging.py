# SPDX-License-Identifier: GPL-2.0-only
"""Scenarios written down in a test, and what exploring them shows.

``judge(text)`` links *text* as a scenario into a kernel, boots it on a machine and explores every
schedule that matters. What came of it is a :class:`Judged`; ``judged.rules`` is what most tests compare.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kmm.harness.litmus import Scenario
from kmm.harness.search import explore
from kmm.harness.world import World, boot
from kmm.kconfig import Config
from kmm.linker import ScenarioSource, build
from kmm.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kmm.harness.search import Result
    from kmm.harness.violation import Violation

HEAD = '"""A probe."""\n\nfrom kmm import hooks\n\nVERDICT = "never"\n'


def scenario(text: str, name: str = "probe") -> Scenario:
    """A scenario whose docstring, verdict and import of the hooks are given."""
    source = ScenarioSource(f"scenario.{name}", Path(f"{name}.py"), HEAD + textwrap.dedent(text))
    return Scenario(name, source, shipped=False)


@dataclass
class Judged:
    """What exploring a scenario showed.

    :ivar executions: per schedule that ran to its end, the rules that it broke.
    :ivar violations: one of each that differs, by rule.
    :ivar observed: per schedule, what the test's ``observe`` made of the world at its end.
    """

    world: World
    result: Result
    executions: list[frozenset[str]]
    violations: dict[str, Violation]
    observed: list[Any] = field(default_factory=list)

    @property
    def rules(self) -> set[str]:
        """The rules that some schedule breaks."""
        return set(self.violations)

    @property
    def often(self) -> str:
        """How often some rule is broken: never, sometimes, always."""
        bad = sum(bool(rules) for rules in self.executions)
        return "never" if not bad else "always" if bad == len(self.executions) else "sometimes"


def world_of(text: str | Scenario, *, patch: Mapping[str, str] | None = None,
             config: Mapping[str, str] | None = None, recorder: Any = None) -> World:
    """A booted world for a scenario.

    :param patch: Python text by kernel file, laid over the kernel.
    :param config: options that differ from the default.
    """
    files = {file: textwrap.dedent(body) for file, body in (patch or {}).items()}
    overlays = [Overlay.of("patch", files)] if files else []
    settings = Config.default().with_set(dict(config)) if config else Config.default()
    one = scenario(text) if isinstance(text, str) else text
    return boot(build(settings, overlays), one, recorder=recorder)


def explored(world: World, *, mode: str = "source", observe: Callable[[World], Any] | None = None,
             **options: Any) -> Judged:
    """Explore a world's scenario."""
    judged = Judged(world, None, [], {})  # type: ignore[arg-type]

    def at_end(core: Any, status: str) -> list[Violation]:
        found = world.at_end(core, status)
        judged.executions.append(frozenset(violation.slug for violation in world.seen))
        for violation in world.seen:
            judged.violations.setdefault(violation.slug, violation)
        if observe is not None:
            judged.observed.append(observe(world))
        return found

    judged.result = explore(world.start, world.reset, mode=mode, key=lambda violation: violation.key,
                            at_end=at_end, **options)
    return judged


def judge(text: str | Scenario, *, patch: Mapping[str, str] | None = None,
          config: Mapping[str, str] | None = None, mode: str = "source",
          observe: Callable[[World], Any] | None = None) -> Judged:
    """Explore *text* on a kernel."""
    judged = explored(world_of(text, patch=patch, config=config), mode=mode, observe=observe)
    assert judged.result.complete
    return judged
