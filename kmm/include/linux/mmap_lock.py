# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mmap_lock.h (Linux 7.2), the lock of an address space.

Left out: tracepoints, per-VMA locks (``vma_start_write`` and friends) and the sequence counter of
speculative readers that they share with it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kmm import hooks
from kmm.include.linux.rwsem import (
    down_read,
    down_read_killable,
    down_read_trylock,
    down_write,
    down_write_killable,
    down_write_nested,
    down_write_trylock,
    downgrade_write,
    init_rwsem,
    rwsem_is_locked,
    up_read,
    up_write,
)

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct


def mmap_init_lock(mm: mm_struct) -> None:
    """Make the lock of a new address space."""
    init_rwsem(mm.mmap_lock)


def mmap_assert_locked(mm: mm_struct) -> None:
    """The caller must hold the lock."""
    hooks.lockdep_assert_held(mm.mmap_lock, sys._getframe(1).f_code.co_name)


def mmap_assert_write_locked(mm: mm_struct) -> None:
    """The caller must hold the lock for writing (the mode is not checked)."""
    hooks.lockdep_assert_held(mm.mmap_lock, sys._getframe(1).f_code.co_name)


def mmap_write_lock(mm: mm_struct) -> None:
    """Take the lock for writing. Context: may sleep."""
    down_write(mm.mmap_lock)


def mmap_write_lock_nested(mm: mm_struct, subclass: int) -> None:
    """Take the lock for writing inside that of another address space. Context: may sleep."""
    down_write_nested(mm.mmap_lock, subclass)


def mmap_write_lock_killable(mm: mm_struct) -> int:
    """Take the lock for writing; always 0. Context: may sleep."""
    return down_write_killable(mm.mmap_lock)


def mmap_write_trylock(mm: mm_struct) -> bool:
    """Take the lock for writing if it is free."""
    return down_write_trylock(mm.mmap_lock)


def mmap_write_unlock(mm: mm_struct) -> None:
    """Release the lock held for writing."""
    up_write(mm.mmap_lock)


def mmap_write_downgrade(mm: mm_struct) -> None:
    """Turn a write hold into a read hold."""
    downgrade_write(mm.mmap_lock)


def mmap_read_lock(mm: mm_struct) -> None:
    """Take the lock for reading. Context: may sleep."""
    down_read(mm.mmap_lock)


def mmap_read_lock_killable(mm: mm_struct) -> int:
    """Take the lock for reading; always 0. Context: may sleep."""
    return down_read_killable(mm.mmap_lock)


def mmap_read_trylock(mm: mm_struct) -> bool:
    """Take the lock for reading if that is possible at once."""
    return down_read_trylock(mm.mmap_lock)


def mmap_read_unlock(mm: mm_struct) -> None:
    """Release the lock held for reading."""
    up_read(mm.mmap_lock)


def mmap_read_unlock_non_owner(mm: mm_struct) -> None:
    """Release the lock that another task took for reading."""
    up_read(mm.mmap_lock)


def mmap_lock_is_contended(mm: mm_struct) -> bool:
    """Whether someone waits for the lock and the holder should let go; never, here."""
    return False


def mmap_is_locked(mm: mm_struct) -> bool:
    """Whether anyone holds the lock."""
    return rwsem_is_locked(mm.mmap_lock)
