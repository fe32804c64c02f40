# SPDX-License-Identifier: GPL-2.0-only
"""Judge scenarios on a kernel: build, boot, explore, and tell what was found.

One scenario on one kernel is a :class:`~kmm.harness.outcome.Check`.  A counterexample is cut to the
events that matter, replayed in a fresh world with a recorder attached, and told as a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kmm.harness.kernels import Recipe
from kmm.harness.litmus import Scenario, ScenarioError, find
from kmm.harness.outcome import FORMAT, Check, Report
from kmm.harness.schedule import ScheduleError
from kmm.harness.search import explore
from kmm.harness.world import BootError, boot
from kmm.kconfig import ConfigError
from kmm.linker import LinkError
from kmm.overlay import OverlayError

if TYPE_CHECKING:

    from kmm.harness.outcome import KernelInfo, Verdict

__all__ = ["NOT_MODELLED", "BadInput", "Options", "check_all", "check_one", "replay_file"]

ALGORITHM = "source-DPOR with sleep sets"
MEMORY_MODEL = "sequential consistency"

#: What no verdict covers; every report repeats it.
NOT_MODELLED = [
    "weak memory: every access is sequentially consistent",
    "time: work and callbacks may run at any moment after they are queued",
    "NMIs, CPU hotplug and memory hotplug",
    "preemption between tasks of one CPU: each task has a CPU of its own",
    "PCIDs that are not loaded: what they hold is checked when they are loaded again",
]


class BadInput(ValueError):
    """What the user gave cannot be used: one line that names it, the reason and the way out."""


@dataclass(frozen=True, slots=True)
class Options:
    """What ``kmm check`` was asked.

    :ivar scenarios: names or files.
    :ivar config: a ``.config``, or None for the default of x86-64.
    :ivar settings: ``X=y`` strings.
    :ivar overlays: paths, in the order in which they apply.
    :ivar max_executions: stop after so many schedules.
    :ivar stop_at_first: do not look for the shortest counterexample.
    :ivar save_dir: where schedules go, or None.
    """

    scenarios: tuple[str, ...]
    config: Path | None = None
    settings: tuple[str, ...] = ()
    overlays: tuple[Path, ...] = ()
    max_executions: int | None = None
    stop_at_first: bool = False
    save_dir: Path | None = None


class Watcher(Protocol):
    """Hears what a run of checks does; :class:`kmm.harness.console.Observer` is one."""

    def kernel(self, info: KernelInfo) -> None: ...
    def begin(self, scenario: str) -> None: ...
    def progress(self, scenario: str, executions: int, estimate: float | None) -> None: ...
    def done(self, check: Check) -> None: ...


def check_all(options: Options, watcher: Watcher) -> Report:
    """Judge every scenario of *options*.

    :raises BadInput: a config, overlay, scenario or setting cannot be used.
    """
    try:
        recipe = Recipe.of(options.config, options.settings, options.overlays)
        scenarios = [find(name) for name in options.scenarios]
        info = recipe.info()
        watcher.kernel(info)
        checks = []
        for scenario in scenarios:
            watcher.begin(scenario.name)
            check = check_one(recipe, scenario, watcher, max_executions=options.max_executions,
                              stop_at_first=options.stop_at_first, save_dir=options.save_dir)
            checks.append(check)
            watcher.done(check)
    except (ConfigError, OverlayError, ScenarioError, LinkError, BootError, ScheduleError) as error:
        raise BadInput(str(error)) from error
    return Report(FORMAT, info, checks, NOT_MODELLED)


def check_one(recipe: Recipe, scenario: Scenario, watcher: Watcher, *, max_executions: int | None = None,
              stop_at_first: bool = False, save_dir: Path | None = None) -> Check:
    """Explore *scenario* on the kernel of *recipe*."""
    kernel = recipe.build()
    world = boot(kernel, scenario)
    result = explore(world.start, world.reset, finish=world.finish, max_executions=max_executions,
                     stop_at_first=stop_at_first,
                     on_progress=lambda state: watcher.progress(scenario.name, state.executions, state.estimate))
    findings = [_finding(recipe, scenario, kernel, world, found, save_dir) for found in _distinct(result)]
    verdict: Verdict = "violated" if findings else "holds" if result.complete else "bounded"
    return Check(scenario.name, world.program.title, verdict, recipe.expected(scenario.name), result.executions,
                 result.blocked, result.events, result.complete, result.bound, ALGORITHM, MEMORY_MODEL, findings)
