# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/refcount.h and lib/refcount.c (Linux 7.2).

A counter that was wrong once saturates, so that it leaks instead of being freed early, and warns.
"""

from __future__ import annotations

from kmm import hooks
from kmm.c import INT_MAX, struct
from kmm.include.linux.atomic import (
    atomic_add_return,
    atomic_cmpxchg,
    atomic_fetch_add_unless,
    atomic_read,
    atomic_set,
)
from kmm.include.linux.types import atomic_t

REFCOUNT_SATURATED = -(1 << 30)
REFCOUNT_MAX = INT_MAX


class refcount_t(struct):
    """A reference count."""

    refs: atomic_t


def REFCOUNT_INIT(n: int) -> refcount_t:
    """An initialised ``refcount_t``."""
    r = refcount_t.zeroed()
    r.refs.counter = n
    return r


def refcount_warn_saturate(r: refcount_t, what: str) -> None:
    """Report a counter that went wrong, and saturate it."""
    r.refs.counter = REFCOUNT_SATURATED
    hooks.warn("refcount_warn_saturate", what)


def refcount_set(r: refcount_t, n: int) -> None:
    """Set the count."""
    atomic_set(r.refs, n)


def refcount_read(r: refcount_t) -> int:
    """The count."""
    return atomic_read(r.refs)


def refcount_add_not_zero(i: int, r: refcount_t) -> bool:
    """Add unless the count is 0; whether it was added."""
    old = atomic_fetch_add_unless(r.refs, i, 0)
    if old < 0 or old + i > REFCOUNT_MAX:
        refcount_warn_saturate(r, "saturated; leaking memory")
    return old != 0


def refcount_add(i: int, r: refcount_t) -> None:
    """Add; the count must not be 0."""
    old = atomic_add_return(i, r.refs) - i
    if old == 0:
        refcount_warn_saturate(r, "addition on 0; use-after-free")
    elif old < 0 or old + i > REFCOUNT_MAX:
        refcount_warn_saturate(r, "saturated; leaking memory")


def refcount_inc(r: refcount_t) -> None:
    """Add 1; the count must not be 0."""
    refcount_add(1, r)


def refcount_inc_not_zero(r: refcount_t) -> bool:
    """Add 1 unless the count is 0; whether it was added."""
    return refcount_add_not_zero(1, r)


def refcount_sub_and_test(i: int, r: refcount_t) -> bool:
    """Subtract; whether the result is 0."""
    old = atomic_add_return(-i, r.refs) + i
    if old > 0 and old == i:
        return True
    if old <= 0 or old - i < 0:
        refcount_warn_saturate(r, "underflow; use-after-free")
    return False


def refcount_dec_and_test(r: refcount_t) -> bool:
    """Subtract 1; whether the result is 0."""
    return refcount_sub_and_test(1, r)


def refcount_dec(r: refcount_t) -> None:
    """Subtract 1; the result must not be 0."""
    if atomic_add_return(-1, r.refs) <= 0:
        refcount_warn_saturate(r, "decrement hit 0; leaking memory")


def refcount_dec_if_one(r: refcount_t) -> bool:
    """Subtract 1 if the count is 1; whether it was."""
    return atomic_cmpxchg(r.refs, 1, 0) == 1


def refcount_dec_not_one(r: refcount_t) -> bool:
    """Subtract 1 unless the count is 1; whether it was subtracted."""
    return atomic_fetch_add_unless(r.refs, -1, 1) != 1
