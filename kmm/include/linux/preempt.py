# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/preempt.h.

The count itself belongs to the machine, which knows from it whether the CPU may sleep, may be
preempted, and is inside an RCU read-side section. It is kept whatever CONFIG_PREEMPT_COUNT says,
as checkers need it; only :func:`preemptible` depends on CONFIG_PREEMPT_COUNT in C.
"""

from __future__ import annotations

from kmm import hooks

PREEMPT_BITS = 8
SOFTIRQ_BITS = 8
HARDIRQ_BITS = 4
NMI_BITS = 4

PREEMPT_SHIFT = 0
SOFTIRQ_SHIFT = PREEMPT_SHIFT + PREEMPT_BITS
HARDIRQ_SHIFT = SOFTIRQ_SHIFT + SOFTIRQ_BITS
NMI_SHIFT = HARDIRQ_SHIFT + HARDIRQ_BITS

PREEMPT_MASK = ((1 << PREEMPT_BITS) - 1) << PREEMPT_SHIFT
SOFTIRQ_MASK = ((1 << SOFTIRQ_BITS) - 1) << SOFTIRQ_SHIFT
HARDIRQ_MASK = ((1 << HARDIRQ_BITS) - 1) << HARDIRQ_SHIFT
NMI_MASK = ((1 << NMI_BITS) - 1) << NMI_SHIFT

PREEMPT_OFFSET = 1 << PREEMPT_SHIFT
SOFTIRQ_OFFSET = 1 << SOFTIRQ_SHIFT
HARDIRQ_OFFSET = 1 << HARDIRQ_SHIFT
NMI_OFFSET = 1 << NMI_SHIFT
SOFTIRQ_DISABLE_OFFSET = 2 * SOFTIRQ_OFFSET


def preempt_count() -> int:
    """The preempt count of this CPU."""
    return hooks.preempt_count()


def preempt_count_add(val: int) -> None:
    """Add to the preempt count of this CPU."""
    hooks.preempt_count_add(val)


def preempt_count_sub(val: int) -> None:
    """Subtract from the preempt count of this CPU."""
    hooks.preempt_count_sub(val)


def preempt_disable() -> None:
    """Keep this task on this CPU until :func:`preempt_enable`."""
    hooks.preempt_count_add(PREEMPT_OFFSET)


def preempt_enable() -> None:
    """Undo one :func:`preempt_disable`."""
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def preempt_disable_notrace() -> None:
    """:func:`preempt_disable` for tracers."""
    hooks.preempt_count_add(PREEMPT_OFFSET)


def preempt_enable_notrace() -> None:
    """:func:`preempt_enable` for tracers."""
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def preempt_enable_no_resched() -> None:
    """:func:`preempt_enable` that leaves rescheduling to the caller."""
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def hardirq_count() -> int:
    """The hardirq bits of the count."""
    return hooks.preempt_count() & HARDIRQ_MASK


def softirq_count() -> int:
    """The softirq bits of the count."""
    return hooks.preempt_count() & SOFTIRQ_MASK


def irq_count() -> int:
    """The softirq, hardirq and NMI bits of the count."""
    return hooks.preempt_count() & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_MASK)


def in_nmi() -> bool:
    """Whether this is NMI context."""
    return hooks.preempt_count() & NMI_MASK != 0


def in_hardirq() -> bool:
    """Whether this is an interrupt handler."""
    return hardirq_count() != 0


def in_serving_softirq() -> bool:
    """Whether this is a softirq handler."""
    return softirq_count() & SOFTIRQ_OFFSET != 0


def in_softirq() -> bool:
    """Whether this is a softirq handler or softirqs are disabled."""
    return softirq_count() != 0


def in_interrupt() -> bool:
    """Whether this is interrupt context or softirqs are disabled."""
    return irq_count() != 0


def in_task() -> bool:
    """Whether this is task context."""
    return not (in_nmi() or in_hardirq() or in_serving_softirq())


def in_atomic() -> bool:
    """Whether the count is not zero."""
    return hooks.preempt_count() != 0


def preemptible() -> bool:
    """Whether this task may be preempted here."""
    return hooks.preempt_count() == 0 and not hooks.irqs_disabled()


def migrate_disable() -> None:
    """Keep this task on this CPU; tasks never migrate here."""


def migrate_enable() -> None:
    """Undo one :func:`migrate_disable`."""
