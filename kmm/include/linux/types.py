# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/types.h (Linux 7.2).

The scalar typedefs are distinct types to the type checker and plain ints at run time. ``spinlock_t``
and the other lock types live with their operations, as in C.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType

from kmm.c import Ptr, struct

gfp_t = NewType("gfp_t", int)
phys_addr_t = int
dma_addr_t = int
resource_size_t = int
pgoff_t = int
pid_t = int
irq_hw_number_t = int


class atomic_t(struct):
    """``int`` that is only touched by atomic operations."""

    counter: int


class atomic64_t(struct):
    """``s64`` that is only touched by atomic operations."""

    counter: int


atomic_long_t = atomic64_t


class list_head(struct):
    """Node or head of a circular doubly linked list."""

    next: Ptr[list_head]
    prev: Ptr[list_head]


class hlist_head(struct):
    """Head of a singly linked list whose nodes can still unlink themselves."""

    first: hlist_node | None


class hlist_node(struct):
    """Node of a :class:`hlist_head` list.

    ``pprev`` is a ``struct hlist_node **`` in C, the address of the pointer to this node; here it is
    the head or the node which holds that pointer.
    """

    next: hlist_node | None
    pprev: hlist_head | hlist_node | None


class callback_head(struct):
    """What ``call_rcu`` and ``task_work_add`` need inside an object."""

    next: Ptr[callback_head]
    func: Callable[[callback_head], None] | None


rcu_head = callback_head
