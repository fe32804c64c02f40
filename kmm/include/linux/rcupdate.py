# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/rcupdate.h.

The machine tracks readers. ``rcu_dereference(p->field)`` is ``rcu_dereference(p, "field")`` and
``rcu_assign_pointer(p->field, v)`` is ``rcu_assign_pointer(p, "field", v)``, one event each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm import hooks

if TYPE_CHECKING:
    from kmm.c import struct


def rcu_read_lock() -> None:
    """Enter a read-side section."""
    hooks.rcu_read_lock()


def rcu_read_unlock() -> None:
    """Leave a read-side section."""
    hooks.rcu_read_unlock()


def rcu_read_lock_sched() -> None:
    """Enter a read-side section by turning preemption off."""
    preempt_disable()


def rcu_read_unlock_sched() -> None:
    """Undo :func:`rcu_read_lock_sched`."""
    preempt_enable()


def rcu_dereference(obj: struct, field: str) -> Any:
    """Read a pointer that writers publish."""
    hooks.read(obj, field)
    return getattr(obj, field)


def rcu_dereference_check(obj: struct, field: str, c: bool) -> Any:
    """:func:`rcu_dereference` where *c* says why it is safe without a read-side section."""
    return rcu_dereference(obj, field)


def rcu_dereference_protected(obj: struct, field: str, c: bool) -> Any:
    """Read a pointer that the caller's lock keeps from changing: a plain access."""
    return getattr(obj, field)


def rcu_access_pointer(obj: struct, field: str) -> Any:
    """Read a pointer without following it."""
    return rcu_dereference(obj, field)


def rcu_assign_pointer(obj: struct, field: str, v: Any) -> None:
    """Publish a pointer."""
    hooks.write(obj, field)
    setattr(obj, field, v)


def RCU_INIT_POINTER(obj: struct, field: str, v: Any) -> None:
    """Set a pointer that needs no publication."""
    hooks.write(obj, field)
    setattr(obj, field, v)


def rcu_replace_pointer(obj: struct, field: str, ptr: Any, c: bool) -> Any:
    """Publish a pointer; the old one."""
    hooks.write(obj, field)
    old = getattr(obj, field)
    setattr(obj, field, ptr)
    return old


def rcu_head_init(head: struct) -> None:
    """Prepare a head for debugging; nothing to do."""


def init_rcu_head(head: struct) -> None:
    """Prepare a head for debugging; nothing to do."""


# Declared here, defined there:
from kmm.include.linux.preempt import preempt_disable, preempt_enable
from kmm.include.linux.types import callback_head as callback_head
from kmm.include.linux.types import rcu_head as rcu_head
from kmm.kernel.rcu.tree import call_rcu as call_rcu
from kmm.kernel.rcu.tree import kfree_rcu as kfree_rcu
from kmm.kernel.rcu.tree import kvfree_rcu as kvfree_rcu
from kmm.kernel.rcu.tree import rcu_barrier as rcu_barrier
from kmm.kernel.rcu.tree import rcu_init as rcu_init
from kmm.kernel.rcu.tree import synchronize_rcu as synchronize_rcu
from kmm.kernel.rcu.tree import synchronize_rcu_expedited as synchronize_rcu_expedited
