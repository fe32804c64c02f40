# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/rwlock.h: spinning locks with shared holders."""

from __future__ import annotations

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.irqflags import local_irq_restore, local_irq_save
from kmm.include.linux.preempt import PREEMPT_OFFSET


class rwlock_t(struct):
    """A spinning reader-writer lock; the machine owns its state."""

    magic: int


RWLOCK_MAGIC = 0xDEAF1EED


def rwlock_init(lock: rwlock_t) -> None:
    """Make *lock* a free lock."""
    lock.magic = RWLOCK_MAGIC


def DEFINE_RWLOCK() -> rwlock_t:
    """``DEFINE_RWLOCK(name)``: a free lock."""
    lock = rwlock_t.zeroed()
    rwlock_init(lock)
    return lock


def read_lock(lock: rwlock_t) -> None:
    """Take *lock* shared, with preemption off."""
    hooks.preempt_count_add(PREEMPT_OFFSET)
    hooks.lock(lock, "rwlock", shared=True)


def read_unlock(lock: rwlock_t) -> None:
    """Release *lock* held shared."""
    hooks.unlock(lock, "rwlock", shared=True)
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def write_lock(lock: rwlock_t) -> None:
    """Take *lock* alone, with preemption off."""
    hooks.preempt_count_add(PREEMPT_OFFSET)
    hooks.lock(lock, "rwlock")


def write_unlock(lock: rwlock_t) -> None:
    """Release *lock* held alone."""
    hooks.unlock(lock, "rwlock")
    hooks.preempt_count_sub(PREEMPT_OFFSET)


def write_lock_irqsave(lock: rwlock_t) -> int:
    """Take *lock* alone with interrupts off; the interrupt flag as it was."""
    flags = local_irq_save()
    write_lock(lock)
    return flags


def write_unlock_irqrestore(lock: rwlock_t, flags: int) -> None:
    """Release *lock* held alone and put the interrupt flag back."""
    hooks.unlock(lock, "rwlock")
    local_irq_restore(flags)
    hooks.preempt_count_sub(PREEMPT_OFFSET)
