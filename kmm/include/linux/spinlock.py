# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/spinlock.h.

The machine owns the state of a lock; the struct carries only the magic number by which
CONFIG_DEBUG_SPINLOCK notices a lock that nobody initialised. A kernel without CONFIG_SMP takes the
same path: with preemption off such a lock is never contended.

``spin_lock_irqsave(lock, flags)`` assigns in C; here it returns the flags.
"""

from __future__ import annotations

import sys

from kmm import hooks
from kmm.c import struct
from kmm.include.generated.autoconf import CONFIG_DEBUG_SPINLOCK
from kmm.include.linux.irqflags import local_irq_restore, local_irq_save
from kmm.include.linux.preempt import PREEMPT_OFFSET, SOFTIRQ_DISABLE_OFFSET

SPINLOCK_MAGIC = 0xDEAD4EAD


class spinlock_t(struct):
    """A spinlock."""

    magic: int


raw_spinlock_t = spinlock_t


def spin_lock_init(lock: spinlock_t) -> None:
    """Make *lock* a free lock."""
    lock.magic = SPINLOCK_MAGIC


def DEFINE_SPINLOCK() -> spinlock_t:
    """``DEFINE_SPINLOCK(name)``: a free lock."""
    lock = spinlock_t.zeroed()
    lock.magic = SPINLOCK_MAGIC
    return lock


if CONFIG_DEBUG_SPINLOCK:
    def debug_spin_lock_before(lock: spinlock_t) -> None:
        """Report a lock that was never initialised."""
        if lock.magic != SPINLOCK_MAGIC:
            hooks.warn(sys._getframe(2).f_code.co_name, "spinlock bad magic: not initialised")
else:
    def debug_spin_lock_before(lock: spinlock_t) -> None:
        """Nothing without CONFIG_DEBUG_SPINLOCK."""


def spin_lock(lock: spinlock_t) -> None:
    """Take *lock* with preemption off."""
    debug_spin_lock_before(lock)
    hooks.preempt_count_add(PREEMPT_OFFSET)
    hooks.lock(lock, "spin")


def spin_lock_nested(lock: spinlock_t, subclass: int) -> None:
    """:func:`spin_lock`; *subclass* tells lockdep that nesting is intended."""
    debug_spin_lock_before(lock)
    hooks.preempt_count_add(PREEMPT_OFFSET)
    hooks.lock(lock, "spin")


def spin_trylock(lock: spinlock_t) -> bool:
    """Take *lock* if it is free."""
    debug_spin_lock_before(lock)
    hooks.preempt_count_add(PREEMPT_OFFSET)
    if hooks.trylock(lock, "spin"):
        return True
    hooks.preempt_count_sub(PREEMPT_OFFSET)
    return False


def spin_unlock(lock: spinlock_t) -> None:
    """Release *lock*."""
    hooks.unlock(lock, "spin")
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def spin_lock_irq(lock: spinlock_t) -> None:
    """Take *lock* with interrupts off."""
    debug_spin_lock_before(lock)
    hooks.local_irq_disable()
    hooks.preempt_count_add(PREEMPT_OFFSET)
    hooks.lock(lock, "spin")


def spin_unlock_irq(lock: spinlock_t) -> None:
    """Release *lock* and enable interrupts."""
    hooks.unlock(lock, "spin")
    hooks.local_irq_enable()
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def spin_lock_irqsave(lock: spinlock_t) -> int:
    """Take *lock* with interrupts off; the interrupt flag as it was."""
    debug_spin_lock_before(lock)
    flags = local_irq_save()
    hooks.preempt_count_add(PREEMPT_OFFSET)
    hooks.lock(lock, "spin")
    return flags


def spin_unlock_irqrestore(lock: spinlock_t, flags: int) -> None:
    """Release *lock* and put the interrupt flag back."""
    hooks.unlock(lock, "spin")
    local_irq_restore(flags)
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def spin_lock_bh(lock: spinlock_t) -> None:
    """Take *lock* with softirqs off."""
    debug_spin_lock_before(lock)
    hooks.preempt_count_add(SOFTIRQ_DISABLE_OFFSET)
    hooks.lock(lock, "spin")


def spin_unlock_bh(lock: spinlock_t) -> None:
    """Release *lock* and let softirqs run again."""
    hooks.unlock(lock, "spin")
    hooks.preempt_count_sub(SOFTIRQ_DISABLE_OFFSET)


def spin_is_locked(lock: spinlock_t) -> bool:
    """Whether anyone holds *lock*."""
    return hooks.lock_is_locked(lock)


def assert_spin_locked(lock: spinlock_t) -> None:
    """Someone must hold *lock*."""
    if not hooks.lock_is_locked(lock):
        hooks.bug(sys._getframe(1).f_code.co_name, "assert_spin_locked")


def spin_needbreak(lock: spinlock_t) -> bool:
    """Whether someone waits for *lock* and the holder should let go; never, here."""
    return False


__SPIN_LOCK_UNLOCKED = DEFINE_SPINLOCK
DEFINE_RAW_SPINLOCK = DEFINE_SPINLOCK
raw_spin_lock_init = spin_lock_init
raw_spin_lock = spin_lock
raw_spin_lock_nested = spin_lock_nested
raw_spin_trylock = spin_trylock
raw_spin_unlock = spin_unlock
raw_spin_lock_irq = spin_lock_irq
raw_spin_unlock_irq = spin_unlock_irq
raw_spin_lock_irqsave = spin_lock_irqsave
raw_spin_unlock_irqrestore = spin_unlock_irqrestore
raw_spin_is_locked = spin_is_locked
