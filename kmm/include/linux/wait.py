# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/wait.h.

``wait_event(wq_head, condition)`` evaluates its condition again at each wake-up; here the condition is a
function, and the objects whose fields it reads are named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.kernel import __might_sleep

if TYPE_CHECKING:
    from collections.abc import Callable


class wait_queue_head(struct):
    """Where tasks wait; conditions are watched directly, so there is nothing in it."""

    waiters: int


wait_queue_head_t = wait_queue_head


def init_waitqueue_head(wq_head: wait_queue_head) -> None:
    """Nobody waits."""
    wq_head.waiters = 0


def DECLARE_WAIT_QUEUE_HEAD() -> wait_queue_head:
    """``DECLARE_WAIT_QUEUE_HEAD(name)``: nobody waits."""
    return wait_queue_head.zeroed()


def wake_up(wq_head: wait_queue_head) -> None:
    """Make waiters look again; they watch what they wait for, so nothing is to be done."""


wake_up_all = wake_up


def wait_event(wq_head: wait_queue_head, condition: Callable[[], bool], *objects: object) -> None:
    """Wait until *condition*, which reads *objects*.

    :context: may sleep.
    """
    __might_sleep("wait_event")
    hooks.wait("wait_event", condition, *objects)
