# SPDX-License-Identifier: GPL-2.0-only
"""A machine without a kernel: actors are Python functions that call the machine's ports.

``bare.explore(cpu0=..., cpu1=..., device0=...)`` runs them under every schedule that matters and gives one
:class:`Run` per schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kmm.c import struct
from kmm.harness.context import Level
from kmm.harness.machine import Machine, MachineSpec
from kmm.harness.search import explore
from kmm.harness.straight import Straight

if TYPE_CHECKING:
    from collections.abc import Callable


class thing(struct):
    """Something for actors to share."""

    value: int


@dataclass(frozen=True)
class Run:
    """One schedule.

    :ivar seen: what the actors appended to the list that they were given, in order.
    :ivar rules: the rules that were broken, in order.
    """

    status: str
    seen: tuple[Any, ...]
    rules: tuple[str, ...]


class BareMachine:
    """A machine and its ports, each by its short name.

    :ivar seen: actors append to it what they want to tell; empty at the start of each schedule.
    """

    def __init__(self, cpus: int = 2, **spec: Any) -> None:
        self.machine = Machine(MachineSpec(cpus=cpus, **spec))
        self.memory = self.machine.memory_port
        self.cpu = self.machine.cpu_port
        self.sync = self.machine.sync_port
        self.locks = self.machine.lock_port
        self.devices = self.machine.device_port
        self.asserts = self.machine.assert_port
        self.seen: list[Any] = []
        self.made: list[thing] = []
        self.snapshot()

    def snapshot(self) -> None:
        """Every schedule begins with memory and registers as they are now."""
        self.machine.memory.snapshot()
        self.machine.translations.snapshot()

    def thing(self) -> thing:
        """An object that every schedule begins with, its value 0."""
        self.made.append(thing.zeroed())
        self.machine.locations.number_static([(f"thing{len(self.made)}", self.made[-1])])
        return self.made[-1]

    def address(self, pfn: int) -> int:
        """Direct-map address of a frame."""
        return self.memory.base + (pfn << 12)

    def _program(self, scheduler: Any, actors: dict[str, Callable[[], None]]) -> None:
        self.machine.begin_execution(scheduler)
        for name, function in actors.items():
            cpu = int(name.removeprefix("cpu")[0]) if name.startswith("cpu") else -1
            self.machine.start(name, function, cpu=cpu, level=Level.TASK if cpu >= 0 else Level.DEVICE)

    def _reset(self) -> None:
        self.machine.memory.restore()
        self.machine.translations.restore()
        self.seen.clear()
        for one in self.made:
            one.value = 0

    def explore(self, mode: str = "source", **actors: Callable[[], None]) -> list[Run]:
        """Run the actors (``cpu0``, ``cpu1b``, ``device0``...) under every schedule that matters."""
        runs = []

        def at_end(core: Any, status: str) -> list[Any]:
            rules = tuple(violation.slug for violation in self.machine.violations)
            runs.append(Run(status, tuple(self.seen), rules))
            return []

        result = explore(lambda core: self._program(core, actors), self._reset, mode=mode, at_end=at_end)
        assert result.complete
        return runs

    def run(self, **actors: Callable[[], None]) -> Run:
        """Run the actors straight through."""
        self._reset()
        straight = Straight()
        straight.run(lambda _: self._program(straight, actors))
        return Run("done", tuple(self.seen), tuple(violation.slug for violation in self.machine.violations))
