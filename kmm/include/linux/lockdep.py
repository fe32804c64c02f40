# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/lockdep.h.

The machine keeps owners and the order of acquisition; these calls are assertions which checkers hear.
They report with the name of the function they stand in.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kmm import hooks

if TYPE_CHECKING:
    from kmm.c import struct

SINGLE_DEPTH_NESTING = 1


def lockdep_is_held(lock: struct) -> bool:
    """Whether the caller holds *lock*."""
    return hooks.lock_held(lock)


def lockdep_assert_held(lock: struct) -> None:
    """The caller must hold *lock*."""
    hooks.lockdep_assert_held(lock, sys._getframe(1).f_code.co_name)


def lockdep_assert_held_write(lock: struct) -> None:
    """The caller must hold *lock* (for writing; the mode is not checked)."""
    hooks.lockdep_assert_held(lock, sys._getframe(1).f_code.co_name)


def lockdep_assert_held_read(lock: struct) -> None:
    """The caller must hold *lock* (for reading; the mode is not checked)."""
    hooks.lockdep_assert_held(lock, sys._getframe(1).f_code.co_name)


def lockdep_assert_held_once(lock: struct) -> None:
    """The caller must hold *lock*."""
    hooks.lockdep_assert_held(lock, sys._getframe(1).f_code.co_name)


def lockdep_assert_not_held(lock: struct) -> None:
    """The caller must not hold *lock*."""
    if hooks.lock_held(lock):
        hooks.warn(sys._getframe(1).f_code.co_name, "lockdep_assert_not_held")


def lockdep_assert_irqs_enabled() -> None:
    """Interrupts must be enabled on this CPU."""
    if hooks.irqs_disabled():
        hooks.warn(sys._getframe(1).f_code.co_name, "lockdep_assert_irqs_enabled")


def lockdep_assert_irqs_disabled() -> None:
    """Interrupts must be disabled on this CPU."""
    if not hooks.irqs_disabled():
        hooks.warn(sys._getframe(1).f_code.co_name, "lockdep_assert_irqs_disabled")


def lockdep_assert_preemption_disabled() -> None:
    """The caller must be unable to be preempted."""
    if hooks.preempt_count() == 0 and not hooks.irqs_disabled():
        hooks.warn(sys._getframe(1).f_code.co_name, "lockdep_assert_preemption_disabled")


def lockdep_assert_preemption_enabled() -> None:
    """The caller must be preemptible."""
    if hooks.preempt_count() != 0 or hooks.irqs_disabled():
        hooks.warn(sys._getframe(1).f_code.co_name, "lockdep_assert_preemption_enabled")
