# SPDX-License-Identifier: GPL-2.0-only
"""A world: a kernel booted on a machine, ready to run one scenario again and again.

Building a world costs milliseconds; it is done once.  :meth:`World.reset` takes it back to the
moment after ``setup()``: memory by its dirty frames, kernel data by the snapshot of its static
objects, the hardware by its own undo.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kmm.harness.context import Level
from kmm.harness.device_port import Unit
from kmm.harness.litmus import Program, Scenario
from kmm.harness.machine import Machine, MachineSpec
from kmm.harness.platform import Platform
from kmm.harness.straight import Straight
from kmm_ext.snapshot import Image

if TYPE_CHECKING:
    from collections.abc import Callable

    from kmm.harness.recorder import Recorder
    from kmm.harness.scheduler import Scheduler
    from kmm.harness.violation import Violation
    from kmm.linker import Kernel
    from kmm_ext.explorer import Core

__all__ = ["BootError", "World", "boot"]


class BootError(RuntimeError):
    """The kernel broke a rule while it booted, so nothing it does later says anything.

    :ivar violations: what it broke.
    """

    def __init__(self, phase: str, violations: list[Violation]) -> None:
        self.violations = violations
        super().__init__(f"{phase} already breaks a rule: {violations[0]}")


@dataclass(slots=True)
class World:
    """A booted kernel with a scenario linked into it.

    :ivar prelude: rules that ``setup()`` broke already.
    :ivar seen: violations of the last execution, those of its end included.
    """

    kernel: Kernel
    machine: Machine
    platform: Platform
    program: Program
    image: Image
    prelude: list[Violation] = field(default_factory=list)
    seen: list[Violation] = field(default_factory=list)

    def reset(self) -> None:
        """Back to the moment after ``setup()``."""
        self.machine.memory.restore()
        self.machine.translations.restore()
        self.machine.memory_port.restore()
        self.image.restore()

    def start(self, scheduler: Scheduler) -> None:
        """Spawn the scenario's actors under *scheduler* (one execution's program)."""
        machine = self.machine
        machine.begin_execution(scheduler)
        for name, kind, number, function in self.program.actors:
            if kind == "cpu":
                machine.start(name, function, cpu=number)
            else:
                machine.start(name, function, cpu=-1, level=Level.DEVICE)

    def at_end(self, core: Core, status: str) -> list[Violation]:
        """Everything has ended, or is stuck: what that breaks.

        :param core: the core that ran the execution.
        :param status: ``"done"`` or ``"deadlock"``.
        :return: violations of the rules about the end.
        """
        self.seen = list(self.machine.violations)
        found = self.machine.deadlock(core.blocked_on) if status == "deadlock" else self._at_quiescence()
        self.seen += found
        return found

    def _at_quiescence(self) -> list[Violation]:
        machine = self.machine
        leaks = machine.memory_port.leaks()
        machine.begin_execution(Straight())
        for violation in leaks:
            machine.report(violation)
        if self.program.finish is not None:
            finish = self.program.finish
            straight = Straight()
            machine.scheduler = straight
            straight.run(lambda _: machine.start("finish", finish, cpu=0))
        return list(machine.violations)


def _straight(machine: Machine, function: Callable[[], None], name: str) -> list[Violation]:
    straight = Straight()
    machine.begin_execution(straight)
    straight.run(lambda _: machine.start(name, function, cpu=0))
    return machine.violations


def boot(kernel: Kernel, scenario: Scenario, *, recorder: Recorder | None = None,
         spec: MachineSpec | None = None) -> World:
    """Boot *kernel* on a machine made for *scenario* and run its ``setup()``.

    :param recorder: collects the story from the first instruction on.
    :param spec: the machine; by default what the scenario asks for.
    :raises ScenarioError: the scenario does not say what it must.
    :raises BootError: the boot broke a rule.
    """
    module = kernel.insmod(scenario.source)
    program = Program.of(scenario.name, module)
    machine = Machine(spec or MachineSpec(cpus=program.cpus, failing=program.failing))
    machine.recorder = recorder
    machine.install(kernel.hooks)
    platform = Platform(kernel, machine)
    broken = _straight(machine, platform.boot_early if program.early else platform.boot, "boot")
    if broken:
        raise BootError("the boot", broken)
    prelude: list[Violation] = []
    if recorder is not None:
        recorder.phase = "setup"
    if program.setup is not None and not program.early:
        prelude = _straight(machine, program.setup, "setup")
    if recorder is not None:
        recorder.phase = "run"
    namespaces = {name: (vars(module), kernel.rebound[name]) for name, module in kernel.modules.items()}
    namespaces[scenario.source.name] = (vars(module), frozenset())
    machine.locations.number_static((f"{name}:{key}", value) for name, (space, _) in namespaces.items()
                                    for key, value in space.items() if not key.startswith("__"))
    image = Image(namespaces, {"tasks": platform.tasks}, leaves=(Unit,))
    machine.memory.snapshot()
    machine.translations.snapshot()
    machine.memory_port.snapshot()
    return World(kernel, machine, platform, program, image, prelude)
