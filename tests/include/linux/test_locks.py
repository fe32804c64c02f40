# SPDX-License-Identifier: GPL-2.0-only
"""Locks, interrupt flags and preemption: spinlock.h, mutex.h, rwsem.h, irqflags.h, preempt.h."""

from __future__ import annotations

import pytest
from fake_world import Deadlock

from kmm.c import struct
from kmm.include.linux.bottom_half import local_bh_disable, local_bh_enable
from kmm.include.linux.irqflags import irqs_disabled, local_irq_disable, local_irq_restore, local_irq_save
from kmm.include.linux.kernel import SYSTEM_BOOTING, might_sleep, system_state
from kmm.include.linux.lockdep import (
    lockdep_assert_held,
    lockdep_assert_irqs_disabled,
    lockdep_assert_preemption_disabled,
)
from kmm.include.linux.mmap_lock import (
    mmap_assert_locked,
    mmap_init_lock,
    mmap_read_lock,
    mmap_read_trylock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
)
from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock, mutex_trylock, mutex_unlock
from kmm.include.linux.preempt import (
    in_atomic,
    in_interrupt,
    in_task,
    preempt_count,
    preempt_disable,
    preempt_enable,
    preemptible,
)
from kmm.include.linux.rwlock import DEFINE_RWLOCK, read_lock, read_unlock, write_lock, write_unlock
from kmm.include.linux.rwsem import rw_semaphore
from kmm.include.linux.spinlock import (
    DEFINE_SPINLOCK,
    spin_is_locked,
    spin_lock,
    spin_lock_bh,
    spin_lock_irqsave,
    spin_trylock,
    spin_unlock,
    spin_unlock_bh,
    spin_unlock_irqrestore,
)


class mm(struct):
    mmap_lock: rw_semaphore


def test_spin_lock_turns_preemption_off_first(world):
    lock = DEFINE_SPINLOCK()
    spin_lock(lock)
    assert [e[0] for e in world.events] == ["preempt_count_add", "lock"]
    assert in_atomic() and spin_is_locked(lock)
    assert not spin_trylock(lock)
    spin_unlock(lock)
    assert preempt_count() == 0


def test_spin_lock_irqsave_nests(world):
    lock = DEFINE_SPINLOCK()
    outer = local_irq_save()
    inner = spin_lock_irqsave(lock)
    spin_unlock_irqrestore(lock, inner)
    assert irqs_disabled()
    local_irq_restore(outer)
    assert not irqs_disabled() and preemptible()


def test_spin_lock_bh_counts_softirqs(world):
    lock = DEFINE_SPINLOCK()
    spin_lock_bh(lock)
    assert in_interrupt() and in_task()
    spin_unlock_bh(lock)
    local_bh_disable()
    assert preempt_count() == 0x200
    local_bh_enable()


def test_spin_lock_twice_deadlocks(world):
    lock = DEFINE_SPINLOCK()
    spin_lock(lock)
    with pytest.raises(Deadlock):
        spin_lock(lock)


def test_rwlock_readers_share(world):
    lock = DEFINE_RWLOCK()
    read_lock(lock)
    read_lock(lock)
    read_unlock(lock)
    with pytest.raises(Deadlock):
        write_lock(lock)
    preempt_enable()
    read_unlock(lock)
    write_lock(lock)
    write_unlock(lock)


def test_mutex_in_atomic_context_is_reported(world):
    lock = DEFINE_MUTEX()
    preempt_disable()
    mutex_lock(lock)
    assert world.expect("sleep-in-atomic")["where"] == "mutex_lock"
    assert not mutex_trylock(lock)
    mutex_unlock(lock)
    preempt_enable()


def test_might_sleep_is_silent_while_booting(world):
    local_irq_disable()
    might_sleep()
    assert world.expect("sleep-in-atomic")["where"] == "test_might_sleep_is_silent_while_booting"
    system_state.value = SYSTEM_BOOTING
    might_sleep()


def test_mmap_lock_downgrades_to_a_shared_hold(world):
    m = mm.zeroed()
    mmap_init_lock(m)
    mmap_write_lock(m)
    assert not mmap_read_trylock(m)
    mmap_write_downgrade(m)
    mmap_read_lock(m)
    mmap_read_unlock(m)
    mmap_assert_locked(m)
    mmap_read_unlock(m)
    mmap_assert_locked(m)
    world.expect("lock-not-held")


def test_lockdep_assertions_name_the_function(world):
    lock = DEFINE_SPINLOCK()
    lockdep_assert_held(lock)
    assert world.expect("lock-not-held")["where"] == "test_lockdep_assertions_name_the_function"
    lockdep_assert_irqs_disabled()
    lockdep_assert_preemption_disabled()
    assert world.expect("warn")["condition"] == "lockdep_assert_irqs_disabled"
    assert world.expect("warn")["condition"] == "lockdep_assert_preemption_disabled"
