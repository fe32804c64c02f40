# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/jiffies.h: time stands still, so nothing ever times out."""

from __future__ import annotations

from kmm.c import ulong

HZ = 250
jiffies = 0
MAX_JIFFY_OFFSET = (1 << 62) - 1


def msecs_to_jiffies(m: int) -> int:
    """Milliseconds as ticks, rounded up."""
    return -(-m * HZ // 1000)


def time_after(a: int, b: int) -> bool:
    """Whether tick *a* is after *b*."""
    return ulong(b - a) >> 63 != 0


def time_before(a: int, b: int) -> bool:
    """Whether tick *a* is before *b*."""
    return time_after(b, a)
