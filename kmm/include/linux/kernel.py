# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/kernel.h, minmax.h, align.h, math.h, and array_size.h, in part.

``system_state`` is an enum variable in C. A Python module cannot share a variable by importing its
name, so it is an object that compares like the number in it: ``if system_state == SYSTEM_BOOTING`` and
``system_state < SYSTEM_RUNNING`` read as in C, and ``system_state.value = SYSTEM_RUNNING`` assigns.
"""

from __future__ import annotations

import sys

from kmm import hooks
from kmm.c import struct

SYSTEM_BOOTING = 0
SYSTEM_SCHEDULING = 1
SYSTEM_FREEING_INITMEM = 2
SYSTEM_RUNNING = 3
SYSTEM_HALT = 4
SYSTEM_POWER_OFF = 5
SYSTEM_RESTART = 6
SYSTEM_SUSPEND = 7


class system_states(struct):
    """The variable ``enum system_states system_state``."""

    value: int

    def __eq__(self, other: object) -> bool:
        return self.value == other

    def __hash__(self) -> int:
        return object.__hash__(self)

    def __lt__(self, other: int) -> bool:
        return self.value < other

    def __le__(self, other: int) -> bool:
        return self.value <= other

    def __gt__(self, other: int) -> bool:
        return self.value > other

    def __ge__(self, other: int) -> bool:
        return self.value >= other

    def __int__(self) -> int:
        return self.value


system_state = system_states.zeroed()


def __might_sleep(where: str) -> None:
    """The function called *where* may sleep; during early boot nobody else is there to notice."""
    if system_state.value == SYSTEM_BOOTING or system_state.value > SYSTEM_RUNNING:
        return
    hooks.might_sleep(where)


def might_sleep() -> None:
    """The caller may sleep here."""
    __might_sleep(sys._getframe(1).f_code.co_name)


def might_sleep_if(cond: object) -> None:
    """The caller may sleep here if *cond*."""
    if cond:
        __might_sleep(sys._getframe(1).f_code.co_name)


def might_alloc(gfp_mask: int) -> None:
    """The caller may allocate with *gfp_mask* here, hence sleep if that allows direct reclaim."""
    if gfp_mask & (1 << 10):
        __might_sleep(sys._getframe(1).f_code.co_name)


def ALIGN(x: int, a: int) -> int:
    """*x* rounded up to a multiple of *a*, a power of two."""
    return (x + a - 1) & ~(a - 1)


def ALIGN_DOWN(x: int, a: int) -> int:
    """*x* rounded down to a multiple of *a*, a power of two."""
    return x & ~(a - 1)


def IS_ALIGNED(x: int, a: int) -> bool:
    """Whether *x* is a multiple of *a*, a power of two."""
    return x & (a - 1) == 0


def round_up(x: int, y: int) -> int:
    """*x* rounded up to a multiple of *y*, a power of two."""
    return ((x - 1) | (y - 1)) + 1


def round_down(x: int, y: int) -> int:
    """*x* rounded down to a multiple of *y*, a power of two."""
    return x & ~(y - 1)


def roundup(x: int, y: int) -> int:
    """*x* rounded up to a multiple of *y*."""
    return -(-x // y) * y


def rounddown(x: int, y: int) -> int:
    """*x* rounded down to a multiple of *y*."""
    return x - x % y


def DIV_ROUND_UP(n: int, d: int) -> int:
    """Quotient rounded up."""
    return -(-n // d)


def clamp(val: int, lo: int, hi: int) -> int:
    """*val* brought into ``lo..hi``."""
    return min(max(val, lo), hi)


def min_t(kind: type, a: int, b: int) -> int:
    """The smaller of two numbers that are already of the type named."""
    return min(a, b)


def max_t(kind: type, a: int, b: int) -> int:
    """The greater of two numbers that are already of the type named."""
    return max(a, b)


def min_not_zero(x: int, y: int) -> int:
    """The smaller of two numbers of which 0 means none."""
    return y if x == 0 else x if y == 0 else min(x, y)


def ARRAY_SIZE(arr: list[object]) -> int:
    """Number of elements."""
    return len(arr)


def upper_32_bits(n: int) -> int:
    """Bits 32 to 63."""
    return n >> 32 & 0xFFFF_FFFF


def lower_32_bits(n: int) -> int:
    """Bits 0 to 31."""
    return n & 0xFFFF_FFFF
