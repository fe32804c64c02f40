# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/xarray.h and lib/xarray.c: an array of pointers that may be sparse.

A call is one event on the whole array. Storing takes ``xa_lock`` in C for the time of the call, which
the event stands for; the ``__`` forms are for callers who hold it. Entries are NULL, objects or
``xa_mk_value`` numbers.

Left out: marks, multi-index entries, iterating from the middle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm import hooks
from kmm.c import Ptr, struct
from kmm.include.linux.err import ERR_PTR, ErrPtr
from kmm.include.linux.errno import EBUSY, ENOMEM
from kmm.include.linux.spinlock import (
    spin_lock,
    spin_lock_init,
    spin_lock_irqsave,
    spin_unlock,
    spin_unlock_irqrestore,
    spinlock_t,
)

if TYPE_CHECKING:
    from kmm.include.linux.types import gfp_t

XA_FLAGS_LOCK_IRQ = 1
XA_FLAGS_LOCK_BH = 2
XA_FLAGS_ALLOC = 4 | 1 << 25
XA_FLAGS_ALLOC1 = 8 | 1 << 25
ULONG_LIMIT = (1 << 64) - 1


class xa_limit(struct):
    """A range of indices, both ends included."""

    max: int
    min: int


class xa_value(int):
    """A number stored in the place of a pointer."""

    __slots__ = ()


class xa_tagged(struct):
    """A pointer with a tag in its low bits."""

    pointer: Ptr[Any]
    tag: int


class _zero_entry(struct):
    """The type of :data:`XA_ZERO_ENTRY`."""


#: What reserves an index: loads see NULL, insertions see that it is taken.
XA_ZERO_ENTRY = _zero_entry()


class xarray(struct):
    """An array of pointers. ``entries`` is NULL until the first store."""

    xa_lock: spinlock_t
    xa_flags: int
    entries: Ptr[dict[int, Any]]


def XA_LIMIT(_min: int, _max: int) -> xa_limit:
    """The range from *_min* to *_max*."""
    limit = xa_limit()
    limit.min = _min
    limit.max = _max
    return limit


xa_limit_32b = XA_LIMIT(0, (1 << 32) - 1)
xa_limit_31b = XA_LIMIT(0, (1 << 31) - 1)
xa_limit_16b = XA_LIMIT(0, (1 << 16) - 1)


def xa_init_flags(xa: xarray, flags: int) -> None:
    """Make an empty array."""
    spin_lock_init(xa.xa_lock)
    xa.xa_flags = flags
    xa.entries = {}


def xa_init(xa: xarray) -> None:
    """Make an empty array."""
    xa_init_flags(xa, 0)


def DEFINE_XARRAY_FLAGS(flags: int) -> xarray:
    """``DEFINE_XARRAY_FLAGS(name, flags)``: an empty array."""
    xa = xarray.zeroed()
    xa_init_flags(xa, flags)
    return xa


def DEFINE_XARRAY() -> xarray:
    """``DEFINE_XARRAY(name)``: an empty array."""
    return DEFINE_XARRAY_FLAGS(0)


def DEFINE_XARRAY_ALLOC() -> xarray:
    """``DEFINE_XARRAY_ALLOC(name)``: an empty array that hands out indices from 0."""
    return DEFINE_XARRAY_FLAGS(XA_FLAGS_ALLOC)


def DEFINE_XARRAY_ALLOC1() -> xarray:
    """``DEFINE_XARRAY_ALLOC1(name)``: an empty array that hands out indices from 1."""
    return DEFINE_XARRAY_FLAGS(XA_FLAGS_ALLOC1)


def xa_mk_value(v: int) -> xa_value:
    """An entry that holds a number."""
    return xa_value(v)


def xa_to_value(entry: xa_value) -> int:
    """The number in an entry."""
    return int(entry)


def xa_is_value(entry: object) -> bool:
    """Whether an entry holds a number."""
    return isinstance(entry, xa_value)


def xa_tag_pointer(p: Any, tag: int) -> xa_tagged:
    """An entry that holds a pointer and a tag (0, 1 or 3)."""
    entry = xa_tagged()
    entry.pointer = p
    entry.tag = tag
    return entry


def xa_untag_pointer(entry: xa_tagged) -> Any:
    """The pointer in an entry."""
    return entry.pointer


def xa_pointer_tag(entry: xa_tagged) -> int:
    """The tag in an entry."""
    return entry.tag


def xa_is_err(entry: object) -> bool:
    """Whether the result of a call is an error."""
    return isinstance(entry, ErrPtr)


def xa_err(entry: object) -> int:
    """The errno in the result of a call, 0 if it is none."""
    return int(entry) if isinstance(entry, ErrPtr) else 0


def _entries(xa: xarray) -> dict[int, Any]:
    if xa.entries is None:
        xa.entries = {}
    return xa.entries


def _visible(entry: Any) -> Any:
    """What callers get to see: a reservation looks like NULL."""
    return None if entry is XA_ZERO_ENTRY else entry


def xa_empty(xa: xarray) -> bool:
    """Whether there is no entry."""
    hooks.read(xa, "entries")
    return not xa.entries


def xa_load(xa: xarray, index: int) -> Any:
    """The entry at an index, NULL if there is none."""
    hooks.read(xa, "entries")
    return _visible(_entries(xa).get(index))


def __xa_store(xa: xarray, index: int, entry: Any, gfp: gfp_t) -> Any:
    """Store an entry; the old one, or an error pointer."""
    if hooks.may_fail("xarray", gfp):
        return ERR_PTR(-ENOMEM)
    hooks.write(xa, "entries")
    entries = _entries(xa)
    old = entries.get(index)
    if entry is None:
        entries.pop(index, None)
    else:
        entries[index] = entry
    return _visible(old)


xa_store = __xa_store


def __xa_erase(xa: xarray, index: int) -> Any:
    """Remove an entry; the old one."""
    hooks.write(xa, "entries")
    return _visible(_entries(xa).pop(index, None))


xa_erase = __xa_erase


def xa_insert(xa: xarray, index: int, entry: Any, gfp: gfp_t) -> int:
    """Store an entry where there is none; ``-EBUSY`` if there is one."""
    if hooks.may_fail("xarray", gfp):
        return -ENOMEM
    hooks.write(xa, "entries")
    entries = _entries(xa)
    if index in entries:
        return -EBUSY
    entries[index] = entry
    return 0


def xa_release(xa: xarray, index: int) -> None:
    """Give a reserved index back; one that holds an entry stays."""
    hooks.write(xa, "entries")
    if _entries(xa).get(index) is XA_ZERO_ENTRY:
        del xa.entries[index]


def xa_cmpxchg(xa: xarray, index: int, old: Any, entry: Any, gfp: gfp_t) -> Any:
    """Store *entry* if *old* is there (by identity); the entry seen, or an error pointer."""
    if entry is not None and hooks.may_fail("xarray", gfp):
        return ERR_PTR(-ENOMEM)
    hooks.write(xa, "entries")
    entries = _entries(xa)
    seen = entries.get(index)
    if seen is old:
        if entry is None:
            entries.pop(index, None)
        else:
            entries[index] = entry
    return seen


def xa_alloc(xa: xarray, entry: Any, limit: xa_limit, gfp: gfp_t) -> tuple[int, int]:
    """Store an entry at the lowest free index of a range; 0 or a negative errno, and the index."""
    if hooks.may_fail("xarray", gfp):
        return -ENOMEM, 0
    hooks.write(xa, "entries")
    entries = _entries(xa)
    index = max(limit.min, 1 if xa.xa_flags & 8 else 0)
    while index in entries:
        index += 1
    if index > limit.max:
        return -EBUSY, 0
    entries[index] = entry
    return 0, index


def xa_destroy(xa: xarray) -> None:
    """Remove all entries."""
    hooks.write(xa, "entries")
    xa.entries = {}


def xa_for_each(xa: xarray) -> list[tuple[int, Any]]:
    """``xa_for_each(xa, index, entry)``: the pairs as they are now, by index. One event."""
    hooks.read(xa, "entries")
    return sorted(((index, entry) for index, entry in _entries(xa).items() if entry is not XA_ZERO_ENTRY),
                  key=lambda item: item[0])


def xa_for_each_range(xa: xarray, start: int, last: int) -> list[tuple[int, Any]]:
    """``xa_for_each_range(xa, index, entry, start, last)``."""
    return [item for item in xa_for_each(xa) if start <= item[0] <= last]


def xa_find(xa: xarray, index: int, max: int = ULONG_LIMIT) -> tuple[Any, int]:
    """The first entry from *index* up to *max*, and its index; NULL if there is none."""
    for at, entry in xa_for_each_range(xa, index, max):
        return entry, at
    return None, index


def xa_lock(xa: xarray) -> None:
    """Take the lock of an array."""
    spin_lock(xa.xa_lock)


def xa_unlock(xa: xarray) -> None:
    """Release the lock of an array."""
    spin_unlock(xa.xa_lock)


def xa_lock_irqsave(xa: xarray) -> int:
    """Take the lock with interrupts off; the interrupt flag as it was."""
    return spin_lock_irqsave(xa.xa_lock)


def xa_unlock_irqrestore(xa: xarray, flags: int) -> None:
    """Release the lock and put the interrupt flag back."""
    spin_unlock_irqrestore(xa.xa_lock, flags)
