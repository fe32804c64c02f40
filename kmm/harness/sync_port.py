# SPDX-License-Identifier: GPL-2.0-only
"""Hooks for RCU, interrupts of other CPUs, workers and conditions.

RCU: a grace period is two events.  The first notes which actors hold it off at that moment
(explicit sections, preemption off, interrupts off), the second waits until each of those sections
has ended.  A callback then runs in softirq context on the CPU that queued it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.harness.context import HARDIRQ_OFFSET, SOFTIRQ_OFFSET, Context, Level
from kmm.harness.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from kmm.harness.machine import Machine

__all__ = ["SyncPort"]


class SyncPort:
    """Implements the synchronisation hooks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    # --- RCU --------------------------------------------------------------------------------------

    def rcu_read_lock(self) -> None:
        """See :func:`kmm.hooks.rcu_read_lock`."""
        context = self.machine.context
        if not context.rcu:
            self.machine.event(Kind.RCU_LOCK)
        context.rcu += 1
        self.machine.note_reader(context)

    def rcu_read_unlock(self) -> None:
        """See :func:`kmm.hooks.rcu_read_unlock`."""
        context = self.machine.context
        if context.rcu == 1:
            self.machine.event(Kind.RCU_UNLOCK)
        context.rcu -= 1
        self.machine.close_reader(context)

    def call_rcu(self, head: object, function: Callable[[Any], None]) -> None:
        """See :func:`kmm.hooks.call_rcu`."""
        machine = self.machine
        context = machine.event(Kind.CALL_RCU)
        machine.scheduler.write(machine.locations.object(head, context))
        cpu = context.cpu

        def callback() -> None:
            machine.context.preempt += SOFTIRQ_OFFSET
            function(head)

        def grace_period() -> None:
            self._wait_for_readers()
            machine.start("rcu callback", callback, cpu=cpu, level=Level.SOFTIRQ)

        machine.start("rcu", grace_period, cpu=-1, level=Level.DEVICE)

    def synchronize_rcu(self) -> None:
        """See :func:`kmm.hooks.synchronize_rcu`."""
        self.machine.assert_port.might_sleep("synchronize_rcu()")
        self._wait_for_readers()

    def _wait_for_readers(self) -> None:
        machine = self.machine
        me = machine.event(Kind.GRACE_PERIOD)
        locs = []
        open_sections: list[tuple[Context, int]] = []
        for context in machine.contexts:
            if context is me:
                continue
            machine.scheduler.read(machine.reader_loc(context))
            if context.ended:
                continue
            if context.reader:
                open_sections.append((context, context.section))
                locs.append(machine.reader_loc(context))
        if open_sections:
            machine.scheduler.step_when(
                Kind.GRACE_PERIOD,
                lambda: all(not c.reader or c.section != section for c, section in open_sections), locs)
            machine.resumed(me)

    # --- other CPUs, workers, conditions -----------------------------------------------------------

    def send_ipi(self, cpu: int, name: str, handler: Callable[[], None]) -> None:
        """See :func:`kmm.hooks.send_ipi`."""
        machine = self.machine
        machine.event(Kind.IPI, f"to CPU{cpu}")
        machine.start(f"IPI {name} on CPU{cpu}", self._hardirq(handler), cpu=cpu, level=Level.HARDIRQ)

    def _hardirq(self, handler: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            self.machine.context.preempt += HARDIRQ_OFFSET
            handler()
        return run

    def spawn_worker(self, name: str, function: Callable[[], None]) -> None:
        """See :func:`kmm.hooks.spawn_worker`."""
        machine = self.machine
        machine.start(f"kworker {name}", function, cpu=machine.spec.cpus - 1)

    def wait(self, what: str, condition: Callable[[], bool], *objects: Any) -> None:
        """See :func:`kmm.hooks.wait`."""
        machine = self.machine
        context = machine.context
        locs = []
        for obj in objects:
            if isinstance(obj, int):
                locs.append(machine.locations.word(machine.memory_port.physical(obj)))
            else:
                locs.append(machine.locations.object(obj, context))
                locs += [machine.locations.field(obj, name, context) for name in type(obj).__slots__]
        machine.scheduler.step_when(Kind.WAIT, condition, locs)
        machine.resumed(context)
        if machine.recorder is not None:
            machine.recorder.event(context, Kind.WAIT, what)
