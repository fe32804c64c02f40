# SPDX-License-Identifier: GPL-2.0-only
"""What runs on a CPU: a task, a softirq or a hardirq, with its flags and what it holds.

Every actor of an execution has one :class:`Context` for its whole life.  A CPU has one task in this
version; interrupt handlers and softirqs are actors of their own that hold the CPU's interrupt token
from their first event to their last, so the task below them stands still.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

__all__ = ["HARDIRQ_OFFSET", "PREEMPT_OFFSET", "SOFTIRQ_OFFSET", "Context", "Held", "Level"]

# include/linux/preempt.h: bits 0-7 preemption depth, 8-15 softirq, 16-19 hardirq.
PREEMPT_OFFSET = 1
SOFTIRQ_OFFSET = 1 << 8
HARDIRQ_OFFSET = 1 << 16


class Level(Enum):
    """What kind of context code runs in."""

    TASK = "task"
    SOFTIRQ = "softirq"
    HARDIRQ = "hardirq"
    DEVICE = "device"


@dataclass(slots=True)
class Held:
    """A lock that a context holds."""

    lock: Any
    kind: str
    shared: bool


@dataclass(slots=True)
class Context:
    """One actor.

    :ivar key: its structural name, the same in every execution (parent's key, n-th child).
    :ivar cpu: CPU number, or -1 for a device.
    :ivar home: the CPU on whose behalf it works: its own, or for a device that of whoever started it.
    :ivar preempt: the preempt count with softirq and hardirq bits.
    :ivar irqs_off: the interrupt flag is clear.
    :ivar rcu: nesting of explicit RCU read sections.
    :ivar reader: the explorer has been told that an RCU reader is open.
    :ivar section: how many RCU readers of this actor have ended.
    :ivar objects: how many objects this actor has named (see :mod:`kmm.harness.locations`).
    """

    key: str
    name: str
    cpu: int
    level: Level
    task: Any = None
    home: int = -1
    preempt: int = 0
    irqs_off: bool = False
    rcu: int = 0
    reader: bool = False
    section: int = 0
    pid: int = -1
    objects: int = 0
    children: int = 0
    ended: bool = False
    held: list[Held] = field(default_factory=list)

    @property
    def reads_rcu(self) -> bool:
        """Interrupts off, preemption off or an explicit section: a grace period waits for it."""
        return bool(self.rcu or self.preempt or self.irqs_off)

    @property
    def may_sleep(self) -> bool:
        """``!in_atomic() && !irqs_disabled()``, and no RCU reader."""
        return not (self.preempt or self.irqs_off or self.rcu) and self.level is Level.TASK

    def why_atomic(self) -> str:
        """The reasons why this context may not sleep, for a report."""
        reasons = []
        if self.level is not Level.TASK:
            reasons.append(f"in {self.level.value} context")
        if self.preempt & 0xFF:
            reasons.append("preemption is disabled")
        if self.irqs_off:
            reasons.append("interrupts are disabled")
        if self.rcu:
            reasons.append("inside an RCU read-side section")
        reasons += [f"holds a {held.kind}lock" for held in self.held if held.kind == "spin"]
        return ", ".join(reasons)
