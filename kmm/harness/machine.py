# SPDX-License-Identifier: GPL-2.0-only
"""The machine a kernel runs on: memory, CPUs, IOMMU, and the actors that use them.

:class:`Machine` owns the hardware and the contexts and turns each call of :mod:`kmm.hooks` into an
event for the scheduler.  The calls themselves live in ports, one subject each:
:mod:`~kmm.harness.memory_port`, :mod:`~kmm.harness.cpu_port`, :mod:`~kmm.harness.sync_port`,
:mod:`~kmm.harness.lock_port`, :mod:`~kmm.harness.device_port` and :mod:`~kmm.harness.assert_port`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from kmm.harness.assert_port import AssertPort
from kmm.harness.context import Context, Level
from kmm.harness.cpu_port import CpuPort
from kmm.harness.device_port import DevicePort
from kmm.harness.locations import Locations
from kmm.harness.lock_port import LockPort
from kmm.harness.memory_port import MemoryPort
from kmm.harness.straight import Straight
from kmm.harness.sync_port import SyncPort
from kmm.harness.translations import Translations
from kmm.harness.violation import Place, Violation
from kmm_ext.memory import Memory

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from kmm.harness.kinds import Kind
    from kmm.harness.recorder import Recorder
    from kmm.harness.scheduler import Scheduler

__all__ = ["Machine", "MachineSpec"]


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """What machine to make.

    :ivar cpus: number of CPUs; workers run on the last one.
    :ivar frames: frames of 4 KiB of physical memory.
    :ivar features: CPU features by their kernel names without ``X86_FEATURE_``.
    :ivar failing: labels of allocations that may fail, see :func:`kmm.hooks.may_fail`.
    """

    cpus: int = 2
    frames: int = 2048
    features: frozenset[str] = frozenset({"PCID", "INVPCID", "PGE", "PSE", "GBPAGES", "NX"})
    failing: frozenset[str] = field(default_factory=frozenset)


class Machine:
    """Hardware and actors of one world.

    :param spec: what to make.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self.memory = Memory(spec.frames)
        self.locations = Locations()
        self.scheduler: Scheduler = Straight()
        self.recorder: Recorder | None = None
        self.contexts: list[Context] = []
        self.violations: list[Violation] = []
        self.tasks: list[Any] = []
        self.context = Context("boot", "boot", 0, Level.TASK)
        self.translations = Translations(self)
        self.memory_port = MemoryPort(self)
        self.cpu_port = CpuPort(self)
        self.sync_port = SyncPort(self)
        self.lock_port = LockPort(self)
        self.device_port = DevicePort(self)
        self.assert_port = AssertPort(self)

    # --- hooks ------------------------------------------------------------------------------------

    def install(self, hooks: ModuleType) -> None:
        """Rebind every function of a kernel's private copy of :mod:`kmm.hooks` to this machine.

        :raises LookupError: a hook has no implementation here.
        """
        ports = (self.memory_port, self.cpu_port, self.sync_port, self.lock_port,
                 self.device_port, self.assert_port)
        for name, value in list(vars(hooks).items()):
            if name.startswith("_") or not isinstance(value, FunctionType):
                continue
            method = next((getattr(port, name) for port in ports if hasattr(type(port), name)), None)
            if method is None:
                raise LookupError(f"no port implements hooks.{name}")
            setattr(hooks, name, method)

    # --- events -----------------------------------------------------------------------------------

    def event(self, kind: Kind, detail: str = "") -> Context:
        """A scheduling point; on return the running actor performs its next event.

        :return: the running actor's context.
        """
        context = self.context
        self.scheduler.step(kind)
        self.context = context
        if not context.reader and (context.preempt or context.irqs_off or context.rcu):
            self.note_reader(context)
        if self.recorder is not None:
            self.recorder.event(context, kind, detail)
        return context

    def resumed(self, context: Context) -> None:
        """The scheduler came back to *context*, whose next event begins."""
        self.context = context
        if not context.reader:
            self.note_reader(context)

    def note_reader(self, context: Context) -> None:
        """An RCU reader that opened since the last event becomes visible to grace periods now.

        Nothing of this actor lies between, so no other moment could be told apart.
        """
        if not context.reader and context.reads_rcu:
            context.reader = True
            self.scheduler.write(self.reader_loc(context))

    def close_reader(self, context: Context) -> None:
        """The reader of *context* ended, as part of its current event."""
        if context.reader and not context.reads_rcu:
            context.reader = False
            context.section += 1
            self.scheduler.write(self.reader_loc(context))

    def reader_loc(self, context: Context) -> int:
        """The location that stands for "does this actor hold off grace periods"."""
        return self.locations.named("reader", context.key)

    def report(self, violation: Violation) -> None:
        """A rule was broken by the current event; the actor goes on."""
        self.violations.append(violation)
        if self.recorder is not None:
            self.recorder.violation(self.context, violation)
        self.scheduler.violation(violation)

    def deadlock(self, blocked: list[tuple[int, str, int, int]]) -> list[Violation]:
        """No actor can go on.

        :param blocked: ``(pid, name, kind, lock)`` of each.
        """
        names = " and ".join(name for _, name, _, _ in blocked)
        violation = Violation("deadlock", blocked[0][1], Place("", "schedule"),
                              f"{names} wait for something that nobody will do")
        self.report(violation)
        return [violation]

    # --- actors -----------------------------------------------------------------------------------

    def start(self, name: str, function: Callable[[], None], *, cpu: int,
              level: Level = Level.TASK) -> Context:
        """Create an actor, as part of the running event (or before the first one).

        :param cpu: its CPU, -1 for a device.
        :param level: a ``HARDIRQ`` or ``SOFTIRQ`` actor waits until its CPU has interrupts on and holds
            them off while it runs.
        """
        parent = self.context
        task = self.tasks[cpu] if cpu >= 0 and self.tasks else None
        context = Context(f"{parent.key}.{parent.children}", name, cpu, level, task=task,
                          home=cpu if cpu >= 0 else parent.home)
        parent.children += 1
        self.contexts.append(context)
        interrupt = level in (Level.HARDIRQ, Level.SOFTIRQ)

        def body() -> None:
            self.context = context
            if interrupt:
                context.irqs_off = True
            try:
                function()
            except AssertionError as error:
                if not self.assert_port.failed(error):
                    raise
            self.ended(context)

        if interrupt:
            context.pid = self.scheduler.spawn_irq(body, name, cpu)
        else:
            context.pid = self.scheduler.spawn(body, name)
            if cpu >= 0:
                self.scheduler.bind(context.pid, cpu)
        return context

    def ended(self, context: Context) -> None:
        """An actor has ended: it holds off nothing any more."""
        context.ended = True
        context.preempt = context.rcu = 0
        context.irqs_off = False
        self.close_reader(context)

    def begin_execution(self, scheduler: Scheduler) -> None:
        """Forget the actors of the last execution; the next ones run under *scheduler*."""
        self.scheduler = scheduler
        self.contexts = []
        self.violations = []
        self.memory_port.unlinked.clear()
        self.lock_port.reset()
        self.device_port.reset()
        self.context = Context("program", "program", -1, Level.TASK)
