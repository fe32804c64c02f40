# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/mutex.h and kernel/locking/mutex.c; the machine owns the state of a lock."""

from __future__ import annotations

import sys

from kmm import hooks
from kmm.c import struct
from kmm.include.generated.autoconf import CONFIG_DEBUG_MUTEXES
from kmm.include.linux.kernel import __might_sleep

MUTEX_MAGIC = 0x6D757478


class mutex(struct):
    """A sleeping lock with one holder."""

    magic: int


def mutex_init(lock: mutex) -> None:
    """Make *lock* a free lock."""
    lock.magic = MUTEX_MAGIC


def DEFINE_MUTEX() -> mutex:
    """``DEFINE_MUTEX(name)``: a free lock."""
    lock = mutex.zeroed()
    lock.magic = MUTEX_MAGIC
    return lock


if CONFIG_DEBUG_MUTEXES:
    def debug_mutex_lock_common(lock: mutex) -> None:
        """Report a lock that was never initialised."""
        if lock.magic != MUTEX_MAGIC:
            hooks.warn(sys._getframe(2).f_code.co_name, "mutex bad magic: not initialised")
else:
    def debug_mutex_lock_common(lock: mutex) -> None:
        """Nothing without CONFIG_DEBUG_MUTEXES."""


def mutex_lock(lock: mutex) -> None:
    """Take *lock*.

    :context: may sleep.
    """
    debug_mutex_lock_common(lock)
    __might_sleep("mutex_lock")
    hooks.lock(lock, "mutex")


def mutex_lock_nested(lock: mutex, subclass: int) -> None:
    """:func:`mutex_lock`; *subclass* tells lockdep that nesting is intended."""
    debug_mutex_lock_common(lock)
    __might_sleep("mutex_lock_nested")
    hooks.lock(lock, "mutex")


def mutex_lock_killable(lock: mutex) -> int:
    """:func:`mutex_lock` that a fatal signal could end; there are none. Always 0."""
    mutex_lock(lock)
    return 0


def mutex_lock_interruptible(lock: mutex) -> int:
    """:func:`mutex_lock` that a signal could end; there are none. Always 0."""
    mutex_lock(lock)
    return 0


def mutex_trylock(lock: mutex) -> bool:
    """Take *lock* if it is free."""
    debug_mutex_lock_common(lock)
    return hooks.trylock(lock, "mutex")


def mutex_unlock(lock: mutex) -> None:
    """Release *lock*."""
    hooks.unlock(lock, "mutex")


def mutex_is_locked(lock: mutex) -> bool:
    """Whether anyone holds *lock*."""
    return hooks.lock_is_locked(lock)


def mutex_destroy(lock: mutex) -> None:
    """Mark *lock* unusable."""
    lock.magic = 0
