# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/irqflags.h.

``local_irq_save(flags)`` assigns to its argument in C; here it returns the flags:
``flags = local_irq_save()``. They are the interrupt bit of RFLAGS.
"""

from __future__ import annotations

from kmm import hooks

X86_EFLAGS_IF = 1 << 9


def local_irq_disable() -> None:
    """Mask interrupts on this CPU."""
    hooks.local_irq_disable()


def local_irq_enable() -> None:
    """Unmask interrupts on this CPU."""
    hooks.local_irq_enable()


def local_save_flags() -> int:
    """The interrupt flag of this CPU."""
    return 0 if hooks.irqs_disabled() else X86_EFLAGS_IF


def local_irq_save() -> int:
    """Mask interrupts on this CPU; the flag as it was."""
    flags = local_save_flags()
    hooks.local_irq_disable()
    return flags


def local_irq_restore(flags: int) -> None:
    """Put the interrupt flag back to what :func:`local_irq_save` returned."""
    if flags & X86_EFLAGS_IF:
        hooks.local_irq_enable()


def irqs_disabled() -> bool:
    """Whether interrupts are masked on this CPU."""
    return hooks.irqs_disabled()


def irqs_disabled_flags(flags: int) -> bool:
    """Whether *flags* say that interrupts are masked."""
    return not flags & X86_EFLAGS_IF


def raw_irqs_disabled_flags(flags: int) -> bool:
    """Whether *flags* say that interrupts are masked."""
    return not flags & X86_EFLAGS_IF


raw_local_irq_save = local_irq_save
raw_local_irq_restore = local_irq_restore
raw_local_irq_disable = local_irq_disable
raw_local_irq_enable = local_irq_enable
raw_irqs_disabled = irqs_disabled
