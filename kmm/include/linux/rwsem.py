# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/rwsem.h and kernel/locking/rwsem.c.

The machine owns the state of a lock. It is fair: a reader queues behind a writer that waits, so a
nested ``down_read`` of one task can deadlock, as in the kernel.
"""

from __future__ import annotations

import sys

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.kernel import __might_sleep


class rw_semaphore(struct):
    """A sleeping lock with one writer or many readers."""

    magic: int


RWSEM_MAGIC = 0x72777365


def init_rwsem(sem: rw_semaphore) -> None:
    """Make *sem* a free lock."""
    sem.magic = RWSEM_MAGIC


def DECLARE_RWSEM() -> rw_semaphore:
    """``DECLARE_RWSEM(name)``: a free lock."""
    sem = rw_semaphore.zeroed()
    sem.magic = RWSEM_MAGIC
    return sem


def rwsem_is_locked(sem: rw_semaphore) -> bool:
    """Whether anyone holds *sem*."""
    return hooks.lock_is_locked(sem)


def rwsem_assert_held(sem: rw_semaphore) -> None:
    """The caller must hold *sem*."""
    hooks.lockdep_assert_held(sem, sys._getframe(1).f_code.co_name)


def rwsem_assert_held_write(sem: rw_semaphore) -> None:
    """The caller must hold *sem* for writing (the mode is not checked)."""
    hooks.lockdep_assert_held(sem, sys._getframe(1).f_code.co_name)


def down_read(sem: rw_semaphore) -> None:
    """Take *sem* for reading.

    :context: may sleep.
    """
    __might_sleep("down_read")
    hooks.lock(sem, "rwsem", shared=True)


def down_read_nested(sem: rw_semaphore, subclass: int) -> None:
    """:func:`down_read`; *subclass* tells lockdep that nesting is intended."""
    __might_sleep("down_read_nested")
    hooks.lock(sem, "rwsem", shared=True)


def down_read_killable(sem: rw_semaphore) -> int:
    """:func:`down_read` that a fatal signal could end; there are none. Always 0."""
    down_read(sem)
    return 0


def down_read_interruptible(sem: rw_semaphore) -> int:
    """:func:`down_read` that a signal could end; there are none. Always 0."""
    down_read(sem)
    return 0


def down_read_trylock(sem: rw_semaphore) -> bool:
    """Take *sem* for reading if that is possible at once."""
    return hooks.trylock(sem, "rwsem", shared=True)


def down_write(sem: rw_semaphore) -> None:
    """Take *sem* for writing.

    :context: may sleep.
    """
    __might_sleep("down_write")
    hooks.lock(sem, "rwsem")


def down_write_nested(sem: rw_semaphore, subclass: int) -> None:
    """:func:`down_write`; *subclass* tells lockdep that nesting is intended."""
    __might_sleep("down_write_nested")
    hooks.lock(sem, "rwsem")


def down_write_killable(sem: rw_semaphore) -> int:
    """:func:`down_write` that a fatal signal could end; there are none. Always 0."""
    down_write(sem)
    return 0


def down_write_trylock(sem: rw_semaphore) -> bool:
    """Take *sem* for writing if it is free."""
    return hooks.trylock(sem, "rwsem")


def up_read(sem: rw_semaphore) -> None:
    """Release *sem* held for reading."""
    hooks.unlock(sem, "rwsem", shared=True)


def up_write(sem: rw_semaphore) -> None:
    """Release *sem* held for writing."""
    hooks.unlock(sem, "rwsem")


def downgrade_write(sem: rw_semaphore) -> None:
    """Turn a write hold of *sem* into a read hold, letting no writer in between."""
    hooks.downgrade(sem, "rwsem")
