# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/sched.h: as much of a task as address spaces need.

``current`` is a macro in C and a function here: ``current()->mm`` reads ``current().mm``.
Rescheduling points (``cond_resched``) check that the caller may sleep and otherwise do nothing, since
any event already lets other actors run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.kernel import __might_sleep

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct

PF_EXITING = 0x00000004
PF_KTHREAD = 0x00200000

TASK_COMM_LEN = 16


class task_struct(struct):
    """A task."""

    flags: int
    lazy_mm: int
    mm: mm_struct | None
    active_mm: mm_struct | None
    pid: int
    tgid: int
    pasid_activated: int
    comm: str | None


def current() -> task_struct:
    """The running task."""
    return cast("task_struct", hooks.current())


get_current = current


def cond_resched() -> int:
    """Let others run, in kernels where that must be asked for; whether anyone did."""
    __might_sleep("cond_resched")
    return 0


def need_resched() -> bool:
    """Whether this task should let others run; never, here."""
    return False


def cond_resched_lock(lock: struct) -> int:
    """Let go of a spinlock for others; not needed, here."""
    return 0


def fatal_signal_pending(p: task_struct) -> bool:
    """Whether *p* is being killed; there are no signals."""
    return False


def signal_pending(p: task_struct) -> bool:
    """Whether *p* has a signal; there are none."""
    return False
