# SPDX-License-Identifier: GPL-2.0-only
"""The machine a kernel runs on: memory, CPUs, IOMMU, and the actors that use them.

:class:`Machine` owns the hardware and the contexts and turns each call of :mod:`kmm.hooks` into an
event for the scheduler.  The calls themselves live in ports, one subject each:
:mod:`~kmm.harness.memory_port`, :mod:`~kmm.harness.cpu_port`, :mod:`~kmm.harness.sync_port` and
:mod:`~kmm.harness.assert_port`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from kmm.harness.assert_port import AssertPort
from kmm.harness.context import Context, Level
from kmm.harness.cpu_port import CpuPort
from kmm.harness.kinds import Kind
from kmm.harness.locations import Locations
from kmm.harness.memory_port import MemoryPort
from kmm.harness.straight import Straight
from kmm.harness.sync_port import SyncPort
from kmm.harness.translations import Translations
from kmm_ext.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from kmm.harness.recorder import Recorder
    from kmm.harness.violation import Violation

__all__ = ["Machine", "MachineSpec", "Scheduler"]


class Scheduler(Protocol):
    """What the machine needs of a scheduler (:class:`kmm_ext.explorer.Core` or ``Straight``)."""

    def spawn(self, function: Callable[[], None], name: str) -> int: ...
    def spawn_irq(self, function: Callable[[], None], name: str, cpu: int) -> int: ...
    def bind(self, pid: int, cpu: int) -> None: ...
    def mask(self, cpu: int) -> None: ...
    def unmask(self, cpu: int) -> None: ...
    def step(self, kind: int) -> None: ...
    def step_when(self, kind: int, condition: Callable[[], bool], locs: Sequence[int]) -> None: ...
    def report(self, violation: Violation) -> None:
        """A rule was broken by the current event; the actor goes on."""
        self.violations.append(violation)
        if self.recorder is not None:
            self.recorder.violation(self.context, violation)
        self.scheduler.violation(violation)

    # --- actors -----------------------------------------------------------------------------------

    def start(self, name: str, function: Callable[[], None], *, cpu: int, level: Level = Level.TASK,
              task: Any = None) -> Context:
        """Create an actor, as part of the running event (or before the first one).

        :param cpu: its CPU, -1 for a device.
        :param level: a ``HARDIRQ`` or ``SOFTIRQ`` actor waits until its CPU has interrupts on and holds
            them off while it runs.
        """
        parent = self.context
        context = Context(f"{parent.key}.{parent.children}", name, cpu, level, task=task)
        parent.children += 1
        self.contexts.append(context)
        scheduler = self.scheduler

        def body() -> None:
            self.context = context
            if level in (Level.HARDIRQ, Level.SOFTIRQ):
                context.irqs_off = True
            function()
            context.ended = True
            self.close_all(context)

        if level in (Level.HARDIRQ, Level.SOFTIRQ):
            context.pid = scheduler.spawn_irq(body, name, cpu)
        else:
            context.pid = scheduler.spawn(body, name)
            if cpu >= 0:
                scheduler.bind(context.pid, cpu)
        return context

    def close_all(self, context: Context) -> None:
        """An actor has ended: it holds off nothing any more."""
        context.preempt = context.rcu = 0
        context.irqs_off = False
        self.close_reader(context)

    def begin_execution(self, scheduler: Scheduler) -> None:
        """Forget the actors of the last execution; the next ones run under *scheduler*."""
        self.scheduler = scheduler
        self.contexts = []
        self.violations = []
        self.context = Context("program", "program", 0, Level.TASK)
