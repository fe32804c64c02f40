# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/completion.h and kernel/sched/completion.c."""

from __future__ import annotations

from kmm import hooks
from kmm.c import UINT_MAX, struct
from kmm.include.linux.kernel import __might_sleep


class completion(struct):
    """Something to wait for: how many waiters may go on."""

    done: int


def init_completion(x: completion) -> None:
    """Nothing has happened yet."""
    x.done = 0


reinit_completion = init_completion


def DECLARE_COMPLETION() -> completion:
    """``DECLARE_COMPLETION(work)``: nothing has happened yet."""
    return completion.zeroed()


DECLARE_COMPLETION_ONSTACK = DECLARE_COMPLETION


def complete(x: completion) -> None:
    """Let one waiter go on."""
    hooks.write(x, "done")
    if x.done != UINT_MAX:
        x.done += 1


def complete_all(x: completion) -> None:
    """Let every waiter go on, now and later."""
    hooks.write(x, "done")
    x.done = UINT_MAX


def try_wait_for_completion(x: completion) -> bool:
    """Go on if that is possible at once."""
    hooks.write(x, "done")
    if not x.done:
        return False
    if x.done != UINT_MAX:
        x.done -= 1
    return True


def completion_done(x: completion) -> bool:
    """Whether a waiter could go on."""
    hooks.read(x, "done")
    return x.done != 0


def wait_for_completion(x: completion) -> None:
    """Wait for :func:`complete`.

    :context: may sleep.
    """
    __might_sleep("wait_for_completion")
    while not try_wait_for_completion(x):
        hooks.wait("wait_for_completion", lambda: x.done != 0, x)
