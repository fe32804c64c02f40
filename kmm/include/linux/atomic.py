# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/atomic.h.

Every operation is one event: it reads or writes ``v.counter`` as a whole. Ordering variants
(``_acquire``, ``_release``, ``_relaxed``) exist under the names that ported code uses and are equal,
because memory is sequentially consistent. Values wrap as ``int`` and ``s64`` do.
"""

from __future__ import annotations

from kmm import hooks
from kmm.include.linux.types import atomic64_t as atomic64_t
from kmm.include.linux.types import atomic_long_t as atomic_long_t
from kmm.include.linux.types import atomic_t as atomic_t


def __s32(value: int) -> int:
    return ((value + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


def __s64(value: int) -> int:
    return ((value + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def ATOMIC_INIT(i: int) -> atomic_t:
    """An initialised ``atomic_t``."""
    v = atomic_t.zeroed()
    v.counter = i
    return v


def atomic_read(v: atomic_t) -> int:
    """The value."""
    hooks.read(v, "counter")
    return v.counter


def atomic_read_acquire(v: atomic_t) -> int:
    """The value, with acquire ordering."""
    return atomic_read(v)


def atomic_set(v: atomic_t, i: int) -> None:
    """Set to *i*."""
    hooks.write(v, "counter")
    v.counter = i


def atomic_set_release(v: atomic_t, i: int) -> None:
    """Set to *i*, with release ordering."""
    atomic_set(v, i)


def atomic_add_return(i: int, v: atomic_t) -> int:
    """Add; the new value."""
    hooks.write(v, "counter")
    v.counter = __s32(v.counter + i)
    return v.counter


def atomic_fetch_add(i: int, v: atomic_t) -> int:
    """Add; the old value."""
    return __s32(atomic_add_return(i, v) - i)


def atomic_add(i: int, v: atomic_t) -> None:
    """Add."""
    atomic_add_return(i, v)


def atomic_sub(i: int, v: atomic_t) -> None:
    """Subtract."""
    atomic_add_return(-i, v)


def atomic_sub_return(i: int, v: atomic_t) -> int:
    """Subtract; the new value."""
    return atomic_add_return(-i, v)


def atomic_sub_and_test(i: int, v: atomic_t) -> bool:
    """Subtract; whether the result is 0."""
    return atomic_add_return(-i, v) == 0


def atomic_inc(v: atomic_t) -> None:
    """Add 1."""
    atomic_add_return(1, v)


def atomic_dec(v: atomic_t) -> None:
    """Subtract 1."""
    atomic_add_return(-1, v)


def atomic_inc_return(v: atomic_t) -> int:
    """Add 1; the new value."""
    return atomic_add_return(1, v)


def atomic_dec_return(v: atomic_t) -> int:
    """Subtract 1; the new value."""
    return atomic_add_return(-1, v)


def atomic_fetch_inc(v: atomic_t) -> int:
    """Add 1; the old value."""
    return atomic_fetch_add(1, v)


def atomic_inc_and_test(v: atomic_t) -> bool:
    """Add 1; whether the result is 0."""
    return atomic_add_return(1, v) == 0


def atomic_dec_and_test(v: atomic_t) -> bool:
    """Subtract 1; whether the result is 0."""
    return atomic_add_return(-1, v) == 0


def atomic_add_negative(i: int, v: atomic_t) -> bool:
    """Add; whether the result is negative."""
    return atomic_add_return(i, v) < 0


def atomic_xchg(v: atomic_t, new: int) -> int:
    """Exchange; the old value."""
    hooks.write(v, "counter")
    old, v.counter = v.counter, new
    return old


def atomic_cmpxchg(v: atomic_t, old: int, new: int) -> int:
    """Set to *new* if it is *old*; the value seen."""
    hooks.write(v, "counter")
    seen = v.counter
    if seen == old:
        v.counter = new
    return seen


def atomic_try_cmpxchg(v: atomic_t, old: int, new: int) -> tuple[bool, int]:
    """Set to *new* if it is *old*; whether it was, and the value seen."""
    seen = atomic_cmpxchg(v, old, new)
    return seen == old, seen


def atomic_fetch_add_unless(v: atomic_t, a: int, u: int) -> int:
    """Add *a* unless the value is *u*; the old value."""
    hooks.write(v, "counter")
    old = v.counter
    if old != u:
        v.counter = __s32(old + a)
    return old


def atomic_add_unless(v: atomic_t, a: int, u: int) -> bool:
    """Add *a* unless the value is *u*; whether it was added."""
    return atomic_fetch_add_unless(v, a, u) != u


def atomic_inc_not_zero(v: atomic_t) -> bool:
    """Add 1 unless the value is 0; whether it was added."""
    return atomic_fetch_add_unless(v, 1, 0) != 0


def atomic_dec_if_positive(v: atomic_t) -> int:
    """Subtract 1 unless that makes it negative; the value it has or would have had."""
    hooks.write(v, "counter")
    dec = v.counter - 1
    if dec >= 0:
        v.counter = dec
    return dec


def atomic_or(i: int, v: atomic_t) -> None:
    """Set bits."""
    hooks.write(v, "counter")
    v.counter |= i


def atomic_and(i: int, v: atomic_t) -> None:
    """Keep only the bits of *i*."""
    hooks.write(v, "counter")
    v.counter &= i


def ATOMIC64_INIT(i: int) -> atomic64_t:
    """An initialised ``atomic64_t``."""
    v = atomic64_t.zeroed()
    v.counter = i
    return v


def atomic64_read(v: atomic64_t) -> int:
    """The value."""
    hooks.read(v, "counter")
    return v.counter


def atomic64_set(v: atomic64_t, i: int) -> None:
    """Set to *i*."""
    hooks.write(v, "counter")
    v.counter = i


def atomic64_add_return(i: int, v: atomic64_t) -> int:
    """Add; the new value."""
    hooks.write(v, "counter")
    v.counter = __s64(v.counter + i)
    return v.counter


def atomic64_fetch_add(i: int, v: atomic64_t) -> int:
    """Add; the old value."""
    return __s64(atomic64_add_return(i, v) - i)


def atomic64_add(i: int, v: atomic64_t) -> None:
    """Add."""
    atomic64_add_return(i, v)


def atomic64_sub(i: int, v: atomic64_t) -> None:
    """Subtract."""
    atomic64_add_return(-i, v)


def atomic64_sub_return(i: int, v: atomic64_t) -> int:
    """Subtract; the new value."""
    return atomic64_add_return(-i, v)


def atomic64_inc(v: atomic64_t) -> None:
    """Add 1."""
    atomic64_add_return(1, v)


def atomic64_dec(v: atomic64_t) -> None:
    """Subtract 1."""
    atomic64_add_return(-1, v)


def atomic64_inc_return(v: atomic64_t) -> int:
    """Add 1; the new value."""
    return atomic64_add_return(1, v)


def atomic64_dec_return(v: atomic64_t) -> int:
    """Subtract 1; the new value."""
    return atomic64_add_return(-1, v)


def atomic64_xchg(v: atomic64_t, new: int) -> int:
    """Exchange; the old value."""
    hooks.write(v, "counter")
    old, v.counter = v.counter, new
    return old


def atomic64_cmpxchg(v: atomic64_t, old: int, new: int) -> int:
    """Set to *new* if it is *old*; the value seen."""
    hooks.write(v, "counter")
    seen = v.counter
    if seen == old:
        v.counter = new
    return seen


def atomic64_try_cmpxchg(v: atomic64_t, old: int, new: int) -> tuple[bool, int]:
    """Set to *new* if it is *old*; whether it was, and the value seen."""
    seen = atomic64_cmpxchg(v, old, new)
    return seen == old, seen


ATOMIC_LONG_INIT = ATOMIC64_INIT
atomic_long_read = atomic64_read
atomic_long_set = atomic64_set
atomic_long_add = atomic64_add
atomic_long_sub = atomic64_sub
atomic_long_add_return = atomic64_add_return
atomic_long_sub_return = atomic64_sub_return
atomic_long_fetch_add = atomic64_fetch_add
atomic_long_inc = atomic64_inc
atomic_long_dec = atomic64_dec
atomic_long_inc_return = atomic64_inc_return
atomic_long_dec_return = atomic64_dec_return
atomic_long_xchg = atomic64_xchg
atomic_long_cmpxchg = atomic64_cmpxchg
atomic_long_try_cmpxchg = atomic64_try_cmpxchg
