# SPDX-License-Identifier: GPL-2.0-only
"""Judge scenarios on a kernel: build, boot, explore, and tell what was found.

One scenario on one kernel is a :class:`~kmm.harness.outcome.Check`.  A counterexample is cut to the
events that matter, replayed in a fresh world with a recorder attached, and told as a report.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kmm.harness.blame import BadInput, one_line
from kmm.harness.kernels import Recipe
from kmm.harness.litmus import Scenario, find
from kmm.harness.outcome import FORMAT, Check, Finding, Report, StoryLine
from kmm.harness.recorder import Recorder
from kmm.harness.report import describe, diagram, render
from kmm.harness.schedule import Schedule, ScheduleError
from kmm.harness.search import Found, explore, run_script
from kmm.harness.shrink import shrink
from kmm.harness.story import tell
from kmm.harness.world import boot
from kmm_ext.explorer import Nondeterminism

if TYPE_CHECKING:
    from kmm.harness.outcome import KernelInfo, Verdict
    from kmm.harness.violation import Violation
    from kmm.linker import Kernel

__all__ = ["NOT_MODELLED", "BadInput", "Options", "check_all", "check_one", "replay_file"]

ALGORITHM = "source-DPOR with sleep sets"
MEMORY_MODEL = "sequential consistency"

#: Schedules to look for a shorter counterexample in, once there is one.
PATIENCE = 5000

#: What no verdict covers; every report repeats it.
NOT_MODELLED = [
    "weak memory: every access is sequentially consistent",
    "time: work and callbacks may run at any moment after they are queued",
    "NMIs, CPU hotplug and memory hotplug",
    "preemption between tasks of one CPU: each task has a CPU of its own; workers run on the last one, in "
    "parallel even where preemption is off",
    "PCIDs that are not loaded: what they hold is checked when they are loaded again",
]


Pairs = list[tuple[int, int]]


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
    with one_line():
        recipe = Recipe.of(options.config, options.settings, options.overlays)
        scenarios = [find(name) for name in options.scenarios]
    with one_line(recipe.overlays):
        info = recipe.info()
    watcher.kernel(info)
    checks = []
    for scenario in scenarios:
        watcher.begin(scenario.name)
        with one_line(recipe.overlays, scenario):
            check = check_one(recipe, scenario, watcher, max_executions=options.max_executions,
                              stop_at_first=options.stop_at_first, save_dir=options.save_dir)
        checks.append(check)
        watcher.done(check)
    return Report(FORMAT, info, checks, NOT_MODELLED)


def check_one(recipe: Recipe, scenario: Scenario, watcher: Watcher, *, max_executions: int | None = None,
              stop_at_first: bool = False, save_dir: Path | None = None) -> Check:
    """Explore *scenario* on the kernel of *recipe*."""
    kernel = recipe.build()
    world = boot(kernel, scenario)
    result = explore(
        world.start, world.reset, key=lambda violation: violation.key, at_end=world.at_end,
        max_executions=max_executions, patience=PATIENCE, stop_at_first=stop_at_first,
        on_progress=lambda state: watcher.progress(scenario.name, state.executions, state.estimate))
    prelude = [Found(violation, 0, (), ()) for violation in world.prelude]
    findings = [_finding(recipe, scenario, kernel, found, save_dir)
                for found in _first_causes([*prelude, *result.found])]
    verdict: Verdict = "violated" if findings else "holds" if result.complete else "bounded"
    return Check(scenario.name, world.program.title, verdict, recipe.expected(scenario.name, world.program.verdict),
                 result.executions,
                 result.blocked, result.events, result.complete, result.bound, ALGORITHM, MEMORY_MODEL, findings)


def _first_causes(everything: list[Found]) -> list[Found]:
    """One finding per rule, shortest execution first: the rest is mostly damage done by the first."""
    by_rule: dict[str, Found] = {}
    for found in sorted(everything, key=lambda found: (found.index, found.payload.key)):
        by_rule.setdefault(found.payload.slug, found)
    return list(by_rule.values())


# --- one counterexample -------------------------------------------------------------------------------

def _finding(recipe: Recipe, scenario: Scenario, kernel: Kernel, found: Found, save_dir: Path | None) -> Finding:
    """Cut the schedule to what matters, replay it in a recorded world, and tell it."""
    violation: Violation = found.payload
    script, actors = _shortest(recipe, scenario, found)
    schedule = Schedule(scenario.name if scenario.shipped else str(scenario.source.path), scenario.fingerprint,
                        kernel.fingerprint, tuple(overlay.origin for overlay in recipe.overlays), recipe.settings,
                        recipe.config_file, violation.slug, tuple(actors), tuple(script))
    replay = ""
    if save_dir is not None:
        path = _save(schedule, save_dir, scenario.name, violation.slug)
        replay = f"kmm replay {path}"
    return _told(recipe, scenario, schedule, replay)


def _shortest(recipe: Recipe, scenario: Scenario, found: Found) -> tuple[Pairs, Pairs]:
    """A shorter schedule that breaks the same rule, or the one that was found; and its actors."""
    if not found.script:
        return [], []
    world = boot(recipe.build(), scenario)
    world.reset()
    core, _ = run_script(world.start, found.script, found.actors)
    if found.index >= core.last_length:
        return list(found.script), list(found.actors)
    script = shrink(core, found.index)
    world.reset()
    again, _ = run_script(world.start, script, core.actor_keys())
    if any(payload.key == found.payload.key for _, payload in again.violations):
        return script, again.actor_keys()
    return list(found.script), list(found.actors)


def _told(recipe: Recipe, scenario: Scenario, schedule: Schedule, replay: str) -> Finding:
    """Replay *schedule* with a recorder attached from the first instruction of the boot."""
    recorder = Recorder()
    world = boot(recipe.build(), scenario, recorder=recorder)
    core, status = run_script(world.start, schedule.script, schedule.actors)
    world.at_end(core, status)
    everything = [*world.prelude, *world.seen]
    violation = next((payload for payload in everything if payload.slug == schedule.rule), None)
    if violation is None:
        raise ScheduleError(f"the schedule runs, but does not break {schedule.rule}: it was edited, or this "
                            "is not the kernel it was found on")
    story = tell(recorder, violation)
    report = render(recorder, story, replay)
    lines = [StoryLine(record.seq, record.phase, record.what or record.kind.name.lower(), record.actor,
                       record.place.function, record.place.file, describe(recorder, record))
             for record in (*story.life, *story.scene)]
    lines = sorted({line.seq: line for line in lines}.values(), key=lambda line: line.seq)
    switches = sum(1 for one, two in zip(schedule.script, schedule.script[1:], strict=False) if one[0] != two[0])
    rule = violation.rule
    return Finding(rule.slug, rule.id, rule.contract, rule.source, violation.summary, story.missing, violation.actor,
                   violation.place.function, violation.place.file, lines, diagram(recorder, story), switches,
                   len(schedule.script), schedule.format(), report)


def _save(schedule: Schedule, folder: Path, scenario: str, slug: str) -> Path:
    path = folder / f"{scenario}.{slug}.schedule"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(schedule.format(), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: cannot write the schedule: {error.strerror}") from None
    return path


def replay_file(path: Path) -> str:
    """Replay a saved schedule: the report of what it breaks.

    :raises BadInput: it cannot be read, or was found on another kernel, scenario or machine.
    """
    with one_line():
        schedule = _loaded(path)
        recipe = Recipe.of(Path(schedule.config) if schedule.config else None, schedule.settings,
                           [Path(overlay) for overlay in schedule.overlays])
        scenario = find(schedule.scenario)
    if scenario.fingerprint != schedule.scenario_hash:
        raise BadInput(f"{path}: the scenario {schedule.scenario} is not the one this schedule was found "
                       "on: its text has changed; run kmm check --save again")
    with one_line(recipe.overlays, scenario):
        kernel = recipe.build()
        if kernel.fingerprint != schedule.kernel:
            raise BadInput(f"{path}: found on kernel {schedule.kernel[:12]}, but this one is "
                           f"{kernel.fingerprint[:12]} (sources, configuration or overlays differ); "
                           "run kmm check --save again")
        try:
            return _told(recipe, scenario, schedule, f"kmm replay {path}").report
        except Nondeterminism as error:
            raise BadInput(f"{path}: the schedule does not fit: {error}") from error
        except ScheduleError as error:
            raise BadInput(f"{path}: {error}") from error


def _loaded(path: Path) -> Schedule:
    try:
        return Schedule.load(path)
    except ScheduleError as error:
        raise BadInput(str(error)) from error
