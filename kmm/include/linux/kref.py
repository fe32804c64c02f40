# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/kref.h (Linux 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import struct
from kmm.include.linux.refcount import (
    refcount_dec_and_test,
    refcount_inc,
    refcount_inc_not_zero,
    refcount_read,
    refcount_set,
    refcount_t,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class kref(struct):
    """A reference count inside an object."""

    refcount: refcount_t


def kref_init(kref: kref) -> None:
    """Start with one reference."""
    refcount_set(kref.refcount, 1)


def kref_read(kref: kref) -> int:
    """Number of references."""
    return refcount_read(kref.refcount)


def kref_get(kref: kref) -> None:
    """Take a reference."""
    refcount_inc(kref.refcount)


def kref_put(kref: kref, release: Callable[[kref], None]) -> int:
    """Drop a reference; *release* on the last one. Whether it was."""
    if refcount_dec_and_test(kref.refcount):
        release(kref)
        return 1
    return 0


def kref_get_unless_zero(kref: kref) -> bool:
    """Take a reference unless there is none left; whether it was taken."""
    return refcount_inc_not_zero(kref.refcount)
