# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mmu_notifier.h (Linux 7.2).

Reads CONFIG_MMU_NOTIFIER. Structs and events are there without it too: who names them need not ask.

Leaves out: interval notifiers (``mmu_interval_*``), the young-bit callbacks, and the lockdep map of
``invalidate_range_start``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kmm.c import Ptr, struct
from kmm.include.generated.autoconf import CONFIG_MMU_NOTIFIER
from kmm.include.linux.kernel import might_sleep
from kmm.include.linux.types import hlist_node, rcu_head

if TYPE_CHECKING:
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.mm_types import mm_struct

# enum mmu_notifier_event
MMU_NOTIFY_UNMAP = 0
MMU_NOTIFY_CLEAR = 1
MMU_NOTIFY_PROTECTION_VMA = 2
MMU_NOTIFY_PROTECTION_PAGE = 3
MMU_NOTIFY_SOFT_DIRTY = 4
MMU_NOTIFY_RELEASE = 5
MMU_NOTIFY_MIGRATE = 6
MMU_NOTIFY_EXCLUSIVE = 7

MMU_NOTIFIER_RANGE_BLOCKABLE = 1 << 0


class mmu_notifier_ops(struct):
    """``struct mmu_notifier_ops``: what a secondary MMU wants to be told."""

    release: Callable[[mmu_notifier, mm_struct], None] | None
    invalidate_range_start: Callable[[mmu_notifier, mmu_notifier_range], int] | None
    invalidate_range_end: Callable[[mmu_notifier, mmu_notifier_range], None] | None
    arch_invalidate_secondary_tlbs: Callable[[mmu_notifier, mm_struct, int, int], None] | None
    alloc_notifier: Callable[[mm_struct], mmu_notifier | ErrPtr] | None
    free_notifier: Callable[[mmu_notifier], None] | None


class mmu_notifier(struct):
    """``struct mmu_notifier``: one subscription."""

    hlist: hlist_node
    ops: Ptr[mmu_notifier_ops]
    mm: Ptr[mm_struct]
    rcu: rcu_head
    users: int


class mmu_notifier_range(struct):
    """``struct mmu_notifier_range``: what is about to change."""

    mm: Ptr[mm_struct]
    start: int
    end: int
    flags: int
    event: int
    owner: object | None


if CONFIG_MMU_NOTIFIER:
    def mm_has_notifiers(mm: mm_struct) -> bool:
        """Whether anyone ever subscribed to *mm*."""
        return mm.notifier_subscriptions is not None

    def mmu_notifier_get(ops: mmu_notifier_ops, mm: mm_struct) -> mmu_notifier | ErrPtr:
        """:func:`mmu_notifier_get_locked` under the mmap lock.

        :context: may sleep.
        """
        mmap_write_lock(mm)
        ret = mmu_notifier_get_locked(ops, mm)
        mmap_write_unlock(mm)
        return ret

    def mmu_notifier_range_blockable(range: mmu_notifier_range) -> bool:
        """Whether a callback may sleep."""
        return bool(range.flags & MMU_NOTIFIER_RANGE_BLOCKABLE)

    def mmu_notifier_release(mm: mm_struct) -> None:
        """The address space goes away: every secondary MMU must stop using it."""
        if mm_has_notifiers(mm):
            __mmu_notifier_release(mm)

    def mmu_notifier_invalidate_range_start(range: mmu_notifier_range) -> None:
        """Entries of *range* are about to change.

        :context: may sleep.
        """
        might_sleep()

        if mm_has_notifiers(range.mm):
            range.flags |= MMU_NOTIFIER_RANGE_BLOCKABLE
            __mmu_notifier_invalidate_range_start(range)

    def mmu_notifier_invalidate_range_start_nonblock(range: mmu_notifier_range) -> int:
        """:func:`mmu_notifier_invalidate_range_start` that may not sleep; 0 or -EAGAIN."""
        ret = 0

        if mm_has_notifiers(range.mm):
            range.flags &= ~MMU_NOTIFIER_RANGE_BLOCKABLE
            ret = __mmu_notifier_invalidate_range_start(range)
        return ret

    def mmu_notifier_invalidate_range_end(range: mmu_notifier_range) -> None:
        """Entries of *range* have changed."""
        if mmu_notifier_range_blockable(range):
            might_sleep()

        if mm_has_notifiers(range.mm):
            __mmu_notifier_invalidate_range_end(range)

    def mmu_notifier_arch_invalidate_secondary_tlbs(mm: mm_struct, start: int, end: int) -> None:
        """Drop what devices that walk the CPU's own tables have cached of *mm*."""
        if mm_has_notifiers(mm):
            __mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end)

    def mmu_notifier_subscriptions_init(mm: mm_struct) -> None:
        """A new mm has no subscribers."""
        mm.notifier_subscriptions = None

    def mmu_notifier_subscriptions_destroy(mm: mm_struct) -> None:
        """Free what subscribing to *mm* allocated."""
        if mm_has_notifiers(mm):
            __mmu_notifier_subscriptions_destroy(mm)

    def mmu_notifier_range_init(range: mmu_notifier_range, event: int, flags: int, mm: mm_struct,
                                start: int, end: int) -> None:
        """Describe a change that is about to happen."""
        range.event = event
        range.mm = mm
        range.start = start
        range.end = end
        range.flags = flags

    def mmu_notifier_range_init_owner(range: mmu_notifier_range, event: int, flags: int, mm: mm_struct,
                                      start: int, end: int, owner: object) -> None:
        """:func:`mmu_notifier_range_init` with whose change it is."""
        mmu_notifier_range_init(range, event, flags, mm, start, end)
        range.owner = owner
else:
    def mm_has_notifiers(mm: mm_struct) -> bool:
        """Nobody can subscribe."""
        return False

    def mmu_notifier_range_blockable(range: mmu_notifier_range) -> bool:
        """Nobody can subscribe."""
        return True

    def mmu_notifier_release(mm: mm_struct) -> None:
        """Nobody can subscribe."""

    def mmu_notifier_invalidate_range_start(range: mmu_notifier_range) -> None:
        """Nobody can subscribe."""

    def mmu_notifier_invalidate_range_start_nonblock(range: mmu_notifier_range) -> int:
        """Nobody can subscribe."""
        return 0

    def mmu_notifier_invalidate_range_end(range: mmu_notifier_range) -> None:
        """Nobody can subscribe."""

    def mmu_notifier_arch_invalidate_secondary_tlbs(mm: mm_struct, start: int, end: int) -> None:
        """Nobody can subscribe."""

    def mmu_notifier_subscriptions_init(mm: mm_struct) -> None:
        """Nobody can subscribe."""

    def mmu_notifier_subscriptions_destroy(mm: mm_struct) -> None:
        """Nobody can subscribe."""

    def mmu_notifier_range_init(range: mmu_notifier_range, event: int, flags: int, mm: mm_struct,
                                start: int, end: int) -> None:
        """Describe a change that is about to happen."""
        range.start = start
        range.end = end

    def mmu_notifier_range_init_owner(range: mmu_notifier_range, event: int, flags: int, mm: mm_struct,
                                      start: int, end: int, owner: object) -> None:
        """:func:`mmu_notifier_range_init`."""
        range.start = start
        range.end = end


# Declared here, defined in other files:
from kmm.include.linux.mmap_lock import mmap_write_lock, mmap_write_unlock
from kmm.mm.mmu_notifier import (
    __mmu_notifier_arch_invalidate_secondary_tlbs,
    __mmu_notifier_invalidate_range_end,
    __mmu_notifier_invalidate_range_start,
    __mmu_notifier_register,
    __mmu_notifier_release,
    __mmu_notifier_subscriptions_destroy,
    mmu_notifier_get_locked,
    mmu_notifier_put,
    mmu_notifier_register,
    mmu_notifier_subscriptions,
    mmu_notifier_synchronize,
    mmu_notifier_unregister,
)

__all__ = [
    "MMU_NOTIFIER_RANGE_BLOCKABLE", "MMU_NOTIFY_CLEAR", "MMU_NOTIFY_EXCLUSIVE", "MMU_NOTIFY_MIGRATE",
    "MMU_NOTIFY_PROTECTION_PAGE", "MMU_NOTIFY_PROTECTION_VMA", "MMU_NOTIFY_RELEASE",
    "MMU_NOTIFY_SOFT_DIRTY", "MMU_NOTIFY_UNMAP", "__mmu_notifier_register", "mm_has_notifiers",
    "mmu_notifier", "mmu_notifier_arch_invalidate_secondary_tlbs", "mmu_notifier_get",
    "mmu_notifier_get_locked", "mmu_notifier_invalidate_range_end",
    "mmu_notifier_invalidate_range_start", "mmu_notifier_invalidate_range_start_nonblock",
    "mmu_notifier_ops", "mmu_notifier_put", "mmu_notifier_range", "mmu_notifier_range_blockable",
    "mmu_notifier_range_init", "mmu_notifier_range_init_owner", "mmu_notifier_register",
    "mmu_notifier_release", "mmu_notifier_subscriptions", "mmu_notifier_subscriptions_destroy",
    "mmu_notifier_subscriptions_init", "mmu_notifier_synchronize", "mmu_notifier_unregister",
]
