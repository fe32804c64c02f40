# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/bits.h and include/vdso/bits.h (Linux 7.2)."""

from __future__ import annotations

from kmm.c import BITS_PER_LONG, ULONG_MAX

BITS_PER_BYTE = 8


def BIT(nr: int) -> int:
    """``1UL << nr``."""
    return 1 << nr


def BIT_ULL(nr: int) -> int:
    """``1ULL << nr``."""
    return 1 << nr


def BIT_MASK(nr: int) -> int:
    """The bit *nr* within its ``unsigned long``."""
    return 1 << (nr % BITS_PER_LONG)


def GENMASK(h: int, l: int) -> int:
    """Bits *h* down to *l*, both included, as ``unsigned long``."""
    return (ULONG_MAX << l) & (ULONG_MAX >> (BITS_PER_LONG - 1 - h)) & ULONG_MAX


def GENMASK_ULL(h: int, l: int) -> int:
    """Bits *h* down to *l*, both included, as ``unsigned long long``."""
    return GENMASK(h, l)


def FIELD_GET(mask: int, reg: int) -> int:
    """The field of *reg* that *mask* covers, shifted down (include/linux/bitfield.h)."""
    return (reg & mask) >> ((mask & -mask).bit_length() - 1)


def FIELD_PREP(mask: int, val: int) -> int:
    """*val* shifted up into the field that *mask* covers (include/linux/bitfield.h)."""
    return (val << ((mask & -mask).bit_length() - 1)) & mask
