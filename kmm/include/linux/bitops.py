# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/bitops.h and the atomic bit operations of asm/bitops.h.

The address of a flags word is a pair: ``set_bit(nr, &obj->flags)`` is ``set_bit(nr, obj, "flags")``.
Atomic operations and ``test_bit`` are one event each; the non-atomic ``__`` forms are plain accesses,
for words that nobody else can reach or that a lock protects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.include.linux.bits import BIT as BIT
from kmm.include.linux.bits import BIT_MASK as BIT_MASK
from kmm.include.linux.bits import BIT_ULL as BIT_ULL
from kmm.include.linux.bits import GENMASK as GENMASK
from kmm.include.linux.bits import GENMASK_ULL as GENMASK_ULL

if TYPE_CHECKING:
    from kmm.c import struct


def set_bit(nr: int, obj: struct, field: str) -> None:
    """Atomically set a bit."""
    hooks.write(obj, field)
    setattr(obj, field, getattr(obj, field) | (1 << nr))


def clear_bit(nr: int, obj: struct, field: str) -> None:
    """Atomically clear a bit."""
    hooks.write(obj, field)
    setattr(obj, field, getattr(obj, field) & ~(1 << nr))


def clear_bit_unlock(nr: int, obj: struct, field: str) -> None:
    """Atomically clear a bit, with release ordering."""
    clear_bit(nr, obj, field)


def change_bit(nr: int, obj: struct, field: str) -> None:
    """Atomically toggle a bit."""
    hooks.write(obj, field)
    setattr(obj, field, getattr(obj, field) ^ (1 << nr))


def test_and_set_bit(nr: int, obj: struct, field: str) -> bool:
    """Atomically set a bit; whether it was set before."""
    hooks.write(obj, field)
    old: int = getattr(obj, field)
    setattr(obj, field, old | (1 << nr))
    return bool(old >> nr & 1)


def test_and_set_bit_lock(nr: int, obj: struct, field: str) -> bool:
    """``test_and_set_bit`` with acquire ordering."""
    return test_and_set_bit(nr, obj, field)


def test_and_clear_bit(nr: int, obj: struct, field: str) -> bool:
    """Atomically clear a bit; whether it was set before."""
    hooks.write(obj, field)
    old: int = getattr(obj, field)
    setattr(obj, field, old & ~(1 << nr))
    return bool(old >> nr & 1)


def test_bit(nr: int, obj: struct, field: str) -> bool:
    """Whether a bit is set."""
    hooks.read(obj, field)
    return bool(getattr(obj, field) >> nr & 1)


def test_bit_acquire(nr: int, obj: struct, field: str) -> bool:
    """``test_bit`` with acquire ordering."""
    return test_bit(nr, obj, field)


def __set_bit(nr: int, obj: struct, field: str) -> None:
    """Set a bit, not atomically."""
    setattr(obj, field, getattr(obj, field) | (1 << nr))


def __clear_bit(nr: int, obj: struct, field: str) -> None:
    """Clear a bit, not atomically."""
    setattr(obj, field, getattr(obj, field) & ~(1 << nr))


def __test_and_set_bit(nr: int, obj: struct, field: str) -> bool:
    """Set a bit, not atomically; whether it was set before."""
    old: int = getattr(obj, field)
    setattr(obj, field, old | (1 << nr))
    return bool(old >> nr & 1)


def __test_and_clear_bit(nr: int, obj: struct, field: str) -> bool:
    """Clear a bit, not atomically; whether it was set before."""
    old: int = getattr(obj, field)
    setattr(obj, field, old & ~(1 << nr))
    return bool(old >> nr & 1)


def fls(x: int) -> int:
    """Number of the last set bit, counted from 1; 0 for 0."""
    return x.bit_length()


def fls64(x: int) -> int:
    """``fls`` of 64 bits."""
    return x.bit_length()


def fls_long(x: int) -> int:
    """``fls`` of an ``unsigned long``."""
    return x.bit_length()


def __fls(word: int) -> int:
    """Number of the last set bit, counted from 0; undefined for 0 as in C."""
    return word.bit_length() - 1


def __ffs(word: int) -> int:
    """Number of the first set bit, counted from 0; undefined for 0 as in C."""
    return (word & -word).bit_length() - 1


def ffs(x: int) -> int:
    """Number of the first set bit, counted from 1; 0 for 0."""
    return (x & -x).bit_length()


def ffz(word: int) -> int:
    """Number of the first zero bit."""
    return __ffs(~word)


def hweight_long(w: int) -> int:
    """Number of set bits."""
    return w.bit_count()


def hweight64(w: int) -> int:
    """Number of set bits."""
    return w.bit_count()


def ilog2(n: int) -> int:
    """Base-2 logarithm, rounded down (include/linux/log2.h)."""
    return n.bit_length() - 1


def is_power_of_2(n: int) -> bool:
    """Whether *n* is a power of two (include/linux/log2.h)."""
    return n != 0 and n & (n - 1) == 0


def order_base_2(n: int) -> int:
    """Base-2 logarithm, rounded up (include/linux/log2.h)."""
    return (n - 1).bit_length() if n > 1 else 0


def roundup_pow_of_two(n: int) -> int:
    """The least power of two not below *n* (include/linux/log2.h)."""
    return 1 << (n - 1).bit_length()


def rounddown_pow_of_two(n: int) -> int:
    """The greatest power of two not above *n* (include/linux/log2.h)."""
    return 1 << (n.bit_length() - 1)
