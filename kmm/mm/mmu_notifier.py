# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/mmu_notifier.c (Linux 7.2): telling secondary MMUs what happens to an address space.

Leaves out: interval notifiers (a subscription with ``has_itree`` is Unported), the young-bit
callbacks, ``mmu_notifier_range_update_to_read_only``, lockdep maps, ``non_block_start``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import UINT_MAX, container_of, struct
from kmm.hooks import Unported
from kmm.include.linux.atomic import atomic_read
from kmm.include.linux.bug import BUG_ON, WARN_ON, WARN_ON_ONCE
from kmm.include.linux.compiler import smp_store_release
from kmm.include.linux.err import ERR_PTR, IS_ERR
from kmm.include.linux.errno import EAGAIN, EINVAL, ENOMEM, EOVERFLOW
from kmm.include.linux.list import INIT_HLIST_HEAD, hlist_empty, hlist_unhashed
from kmm.include.linux.lockdep import lockdep_is_held
from kmm.include.linux.rculist import hlist_add_head_rcu, hlist_del_init_rcu, hlist_for_each_entry_srcu
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.spinlock import spin_lock, spin_lock_init, spin_unlock, spinlock_t
from kmm.include.linux.srcu import (
    DEFINE_STATIC_SRCU,
    call_srcu,
    srcu_read_lock,
    srcu_read_lock_held,
    srcu_read_unlock,
    synchronize_srcu,
)
from kmm.include.linux.types import hlist_head, rcu_head

if TYPE_CHECKING:
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.mm_types import mm_struct
    from kmm.include.linux.mmu_notifier import mmu_notifier_ops, mmu_notifier_range

srcu = DEFINE_STATIC_SRCU()


class mmu_notifier_subscriptions(struct):
    """``struct mmu_notifier_subscriptions``: who subscribed to an mm.

    Allocated by the first subscriber, freed with the mm.
    """

    list: hlist_head
    has_itree: bool
    lock: spinlock_t
    invalidate_seq: int
    active_invalidate_ranges: int
    deferred_list: hlist_head


def mn_itree_release(subscriptions: mmu_notifier_subscriptions, mm: mm_struct) -> None:
    """Tell interval notifiers that the mm goes away."""
    raise Unported("mm/mmu_notifier.c", "mn_itree_release")


def mn_hlist_release(subscriptions: mmu_notifier_subscriptions, mm: mm_struct) -> None:
    """Call every ``release`` and take the subscriptions off the list.

    :context: may sleep. Runs with ``mm_users`` at 0, so nobody registers any more; callbacks of other
        notifications and :func:`mmu_notifier_unregister` may run at the same time.
    """
    id = srcu_read_lock(srcu)
    for subscription in hlist_for_each_entry_srcu(mmu_notifier, subscriptions.list, "hlist",
                                                  srcu_read_lock_held(srcu)):
        # The driver's only chance to stop its MMU before the pages of the mm are freed.
        if subscription.ops.release:
            subscription.ops.release(subscription, mm)

    spin_lock(subscriptions.lock)
    while not hlist_empty(subscriptions.list):
        first = subscriptions.list.first
        assert first is not None
        subscription = container_of(first, mmu_notifier, "hlist")
        # mmu_notifier_unregister() has not come yet; it will only wait for our callbacks.
        hlist_del_init_rcu(subscription.hlist)
    spin_unlock(subscriptions.lock)
    srcu_read_unlock(srcu, id)

    # If mmu_notifier_unregister() took a subscription off first, its release may still be running;
    # the pages may not be freed before it is done.
    synchronize_srcu(srcu)


def __mmu_notifier_release(mm: mm_struct) -> None:
    """The address space goes away.

    :context: may sleep.
    """
    subscriptions = mm.notifier_subscriptions

    assert subscriptions is not None
    if subscriptions.has_itree:
        mn_itree_release(subscriptions, mm)

    if not hlist_empty(subscriptions.list):
        mn_hlist_release(subscriptions, mm)


def mn_itree_invalidate(subscriptions: mmu_notifier_subscriptions, range: mmu_notifier_range) -> int:
    """Tell interval notifiers that entries change."""
    raise Unported("mm/mmu_notifier.c", "mn_itree_invalidate")


def mn_hlist_invalidate_range_start(subscriptions: mmu_notifier_subscriptions,
                                    range: mmu_notifier_range) -> int:
    """Call every ``invalidate_range_start``; 0, or -EAGAIN if one that may not sleep would have to."""
    ret = 0

    id = srcu_read_lock(srcu)
    for subscription in hlist_for_each_entry_srcu(mmu_notifier, subscriptions.list, "hlist",
                                                  srcu_read_lock_held(srcu)):
        ops = subscription.ops

        if ops.invalidate_range_start:
            _ret = ops.invalidate_range_start(subscription, range)
            if _ret:
                WARN_ON(mmu_notifier_range_blockable(range) or _ret != -EAGAIN)
                # All are called even so; who may refuse must not count on an end to match.
                WARN_ON(ops.invalidate_range_end)
                ret = _ret

    if ret:
        # Those that did start expect their end.
        for subscription in hlist_for_each_entry_srcu(mmu_notifier, subscriptions.list, "hlist",
                                                      srcu_read_lock_held(srcu)):
            if not subscription.ops.invalidate_range_end:
                continue

            subscription.ops.invalidate_range_end(subscription, range)
    srcu_read_unlock(srcu, id)

    return ret


def __mmu_notifier_invalidate_range_start(range: mmu_notifier_range) -> int:
    """Entries are about to change; 0 or -EAGAIN."""
    subscriptions = range.mm.notifier_subscriptions

    assert subscriptions is not None
    if subscriptions.has_itree:
        ret = mn_itree_invalidate(subscriptions, range)
        if ret:
            return ret
    if not hlist_empty(subscriptions.list):
        return mn_hlist_invalidate_range_start(subscriptions, range)
    return 0


def mn_hlist_invalidate_end(subscriptions: mmu_notifier_subscriptions, range: mmu_notifier_range) -> None:
    """Call every ``invalidate_range_end``."""
    id = srcu_read_lock(srcu)
    for subscription in hlist_for_each_entry_srcu(mmu_notifier, subscriptions.list, "hlist",
                                                  srcu_read_lock_held(srcu)):
        if subscription.ops.invalidate_range_end:
            subscription.ops.invalidate_range_end(subscription, range)
    srcu_read_unlock(srcu, id)


def __mmu_notifier_invalidate_range_end(range: mmu_notifier_range) -> None:
    """Entries have changed."""
    subscriptions = range.mm.notifier_subscriptions

    assert subscriptions is not None
    if subscriptions.has_itree:
        raise Unported("mm/mmu_notifier.c", "mn_itree_inv_end")

    if not hlist_empty(subscriptions.list):
        mn_hlist_invalidate_end(subscriptions, range)


def __mmu_notifier_arch_invalidate_secondary_tlbs(mm: mm_struct, start: int, end: int) -> None:
    """Call every ``arch_invalidate_secondary_tlbs``.

    :context: also called with the page-table lock held and interrupts off: callbacks may not sleep.
    """
    assert mm.notifier_subscriptions is not None
    id = srcu_read_lock(srcu)
    for subscription in hlist_for_each_entry_srcu(mmu_notifier, mm.notifier_subscriptions.list, "hlist",
                                                  srcu_read_lock_held(srcu)):
        if subscription.ops.arch_invalidate_secondary_tlbs:
            subscription.ops.arch_invalidate_secondary_tlbs(subscription, mm, start, end)
    srcu_read_unlock(srcu, id)


def __mmu_notifier_register(subscription: mmu_notifier | None, mm: mm_struct) -> int:
    """Subscribe to *mm*.

    :param subscription: ``struct mmu_notifier *``, NULL only makes room for interval notifiers.
    :return: 0 or -errno.
    :context: may sleep; the mmap lock is held for writing and ``mm_users`` is not 0.
    """
    subscriptions: mmu_notifier_subscriptions | None = None

    mmap_assert_write_locked(mm)
    BUG_ON(atomic_read(mm.mm_users) <= 0)

    # Devices that walk the CPU's tables want to know after, those with tables of their own before.
    if WARN_ON_ONCE(subscription is not None and subscription.ops.arch_invalidate_secondary_tlbs
                    and (subscription.ops.invalidate_range_start or subscription.ops.invalidate_range_end)):
        return -EINVAL

    if not mm.notifier_subscriptions:
        # Nothing can be allocated once all locks are taken.
        subscriptions = kzalloc_obj(mmu_notifier_subscriptions)
        if not subscriptions:
            return -ENOMEM

        INIT_HLIST_HEAD(subscriptions.list)
        spin_lock_init(subscriptions.lock)
        subscriptions.invalidate_seq = 2
        INIT_HLIST_HEAD(subscriptions.deferred_list)

    ret = mm_take_all_locks(mm)
    if ret:
        kfree(subscriptions)
        return ret

    # Readers look without a lock: the struct must be filled in before they can see it. It stays
    # until the mm is freed.
    if subscriptions:
        smp_store_release(mm, "notifier_subscriptions", subscriptions)

    assert mm.notifier_subscriptions is not None
    if subscription:
        mmgrab(mm)
        subscription.mm = mm
        subscription.users = 1

        spin_lock(mm.notifier_subscriptions.lock)
        hlist_add_head_rcu(subscription.hlist, mm.notifier_subscriptions.list)
        spin_unlock(mm.notifier_subscriptions.lock)
    else:
        mm.notifier_subscriptions.has_itree = True

    mm_drop_all_locks(mm)
    BUG_ON(atomic_read(mm.mm_users) <= 0)
    return 0


def mmu_notifier_register(subscription: mmu_notifier, mm: mm_struct) -> int:
    """:func:`__mmu_notifier_register` under the mmap lock.

    :context: may sleep; no lock of the mm held.
    """
    mmap_write_lock(mm)
    ret = __mmu_notifier_register(subscription, mm)
    mmap_write_unlock(mm)
    return ret


def find_get_mmu_notifier(mm: mm_struct, ops: mmu_notifier_ops) -> mmu_notifier | ErrPtr | None:
    """The subscription with these operations, with one more user."""
    assert mm.notifier_subscriptions is not None
    spin_lock(mm.notifier_subscriptions.lock)
    for subscription in hlist_for_each_entry_srcu(mmu_notifier, mm.notifier_subscriptions.list, "hlist",
                                                  lockdep_is_held(mm.notifier_subscriptions.lock)):
        if subscription.ops is not ops:
            continue

        found: mmu_notifier | ErrPtr = subscription
        if subscription.users != UINT_MAX:
            subscription.users += 1
        else:
            found = ERR_PTR(-EOVERFLOW)
        spin_unlock(mm.notifier_subscriptions.lock)
        return found
    spin_unlock(mm.notifier_subscriptions.lock)
    return None


def mmu_notifier_get_locked(ops: mmu_notifier_ops, mm: mm_struct) -> mmu_notifier | ErrPtr:
    """The one subscription of *ops* to *mm*, made if need be.

    :context: may sleep; the mmap lock is held for writing.
    """
    mmap_assert_write_locked(mm)

    if mm.notifier_subscriptions:
        found = find_get_mmu_notifier(mm, ops)
        if found is not None:
            return found

    assert ops.alloc_notifier is not None
    subscription = ops.alloc_notifier(mm)
    if IS_ERR(subscription):
        return subscription
    subscription.ops = ops
    ret = __mmu_notifier_register(subscription, mm)
    if ret:
        assert subscription.ops.free_notifier is not None
        subscription.ops.free_notifier(subscription)
        return ERR_PTR(ret)
    return subscription


def __mmu_notifier_subscriptions_destroy(mm: mm_struct) -> None:
    """Free the struct; nobody is subscribed any more.

    :deviation: C leaves a poison in the pointer, here it becomes NULL.
    """
    assert mm.notifier_subscriptions is not None
    BUG_ON(not hlist_empty(mm.notifier_subscriptions.list))
    kfree(mm.notifier_subscriptions)
    mm.notifier_subscriptions = None


def mmu_notifier_unregister(subscription: mmu_notifier, mm: mm_struct) -> None:
    """End a subscription; when this returns no callback runs any more.

    :context: may sleep. ``release`` is called unless the mm's exit did that.
    """
    BUG_ON(atomic_read(mm.mm_count) <= 0)

    if not hlist_unhashed(subscription.hlist):
        id = srcu_read_lock(srcu)
        # exit_mmap() waits for this reader before it frees pages.
        if subscription.ops.release:
            subscription.ops.release(subscription, mm)
        srcu_read_unlock(srcu, id)

        assert mm.notifier_subscriptions is not None
        spin_lock(mm.notifier_subscriptions.lock)
        # __mmu_notifier_release() may have been faster.
        hlist_del_init_rcu(subscription.hlist)
        spin_unlock(mm.notifier_subscriptions.lock)

    synchronize_srcu(srcu)

    BUG_ON(atomic_read(mm.mm_count) <= 0)

    mmdrop(mm)


def mmu_notifier_free_rcu(rcu: rcu_head) -> None:
    """No callback runs any more: free the subscription and drop its reference on the mm."""
    subscription = container_of(rcu, mmu_notifier, "rcu")
    mm = subscription.mm

    assert subscription.ops.free_notifier is not None
    subscription.ops.free_notifier(subscription)
    mmdrop(mm)


def mmu_notifier_put(subscription: mmu_notifier) -> None:
    """Drop a user; after the last one the subscription is freed asynchronously.

    ``release`` is called only by the mm's exit, so the caller has already stopped its MMU.
    """
    mm = subscription.mm

    assert mm.notifier_subscriptions is not None
    spin_lock(mm.notifier_subscriptions.lock)
    if WARN_ON(not subscription.users):
        spin_unlock(mm.notifier_subscriptions.lock)
        return
    subscription.users -= 1
    if subscription.users:
        spin_unlock(mm.notifier_subscriptions.lock)
        return
    hlist_del_init_rcu(subscription.hlist)
    spin_unlock(mm.notifier_subscriptions.lock)

    call_srcu(srcu, subscription.rcu, mmu_notifier_free_rcu)


def mmu_notifier_synchronize() -> None:
    """Wait until every subscription that was put has been freed.

    :context: may sleep.
    """
    synchronize_srcu(srcu)


# Included by the C file; these headers lead back here:
from kmm.include.linux.mmap_lock import mmap_assert_write_locked, mmap_write_lock, mmap_write_unlock
from kmm.include.linux.mmu_notifier import mmu_notifier, mmu_notifier_range_blockable
from kmm.include.linux.sched.mm import mmdrop, mmgrab
from kmm.mm.vma import mm_drop_all_locks, mm_take_all_locks
