# SPDX-License-Identifier: GPL-2.0-only
"""Model of kernel/rcu/tree.c and kernel/rcu/update.c.

The machine knows the readers: explicit sections, and stretches with preemption or interrupts off. A
callback runs once, in softirq context, after all readers that were active when it was queued have
ended; different callbacks run in any order, as they do when they were queued on different CPUs.

Left out: ``rcu_barrier`` (no ported code waits for it), polled grace periods, lazy and offloaded
callbacks, batching in ``kvfree_rcu``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.include.linux.kernel import __might_sleep

if TYPE_CHECKING:
    from collections.abc import Callable

    from kmm.c import struct
    from kmm.include.linux.types import callback_head


def rcu_do_batch(rhp: callback_head) -> None:
    """Run one callback whose grace period is over.

    :context: softirq.
    """
    f = rhp.func
    assert f is not None
    rhp.func = None
    f(rhp)


def call_rcu(head: callback_head, func: Callable[[callback_head], None]) -> None:
    """Run ``func(head)`` once every reader that is active now has ended.

    :context: any.
    """
    hooks.call_rcu(head, rcu_do_batch)
    head.func = func
    head.next = None  # type: ignore[assignment]  # NULL ends the segmented list


def synchronize_rcu() -> None:
    """Wait until every reader that is active now has ended.

    :context: may sleep.
    """
    __might_sleep("synchronize_rcu")
    hooks.synchronize_rcu()


def synchronize_rcu_expedited() -> None:
    """:func:`synchronize_rcu` in a hurry."""
    synchronize_rcu()


def kvfree_rcu(ptr: struct, member: str) -> None:
    """``kfree(ptr)`` once every reader that is active now has ended; *member* is its ``rcu_head``."""
    call_rcu(getattr(ptr, member), _kvfree_rcu_cb)


kfree_rcu = kvfree_rcu


def _kvfree_rcu_cb(head: callback_head) -> None:
    assert head._container is not None
    kfree(head._container)


def rcu_barrier() -> None:
    """Wait until all callbacks that were queued have run."""
    raise hooks.Unported("kernel/rcu/tree.c", "rcu_barrier")


def rcu_init() -> None:
    """Boot: readers and callbacks need nothing."""


# Declared there, defined here:
from kmm.include.linux.slab import kfree
