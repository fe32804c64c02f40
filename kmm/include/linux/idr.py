# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/idr.h and lib/idr.c: allocating small numbers.

The lowest free number of the range is handed out, as in the kernel.
"""

from __future__ import annotations

from kmm import hooks
from kmm.c import INT_MAX, Ptr, struct
from kmm.include.linux.errno import ENOMEM, ENOSPC
from kmm.include.linux.types import gfp_t


class ida(struct):
    """A set of numbers in use. ``ids`` is NULL until the first one."""

    ids: Ptr[dict[int, None]]


class idr(struct):
    """Numbers in use, each with a pointer. ``ptrs`` is NULL until the first one."""

    ptrs: Ptr[dict[int, object]]
    idr_next: int


def ida_init(ida: ida) -> None:
    """No number is in use."""
    ida.ids = {}


def DEFINE_IDA() -> ida:
    """``DEFINE_IDA(name)``: no number is in use."""
    new = ida.zeroed()
    new.ids = {}
    return new


def ida_alloc_range(ida: ida, min: int, max: int, gfp: gfp_t) -> int:
    """The lowest free number of ``min..max``; ``-ENOSPC`` or ``-ENOMEM``."""
    if hooks.may_fail("ida", gfp):
        return -ENOMEM
    hooks.write(ida, "ids")
    if ida.ids is None:
        ida.ids = {}
    id = min
    while id in ida.ids:
        id += 1
    if id > max or id > INT_MAX:
        return -ENOSPC
    ida.ids[id] = None
    return id


def ida_alloc(ida: ida, gfp: gfp_t) -> int:
    """The lowest free number."""
    return ida_alloc_range(ida, 0, INT_MAX, gfp)


def ida_alloc_min(ida: ida, min: int, gfp: gfp_t) -> int:
    """The lowest free number from *min*."""
    return ida_alloc_range(ida, min, INT_MAX, gfp)


def ida_alloc_max(ida: ida, max: int, gfp: gfp_t) -> int:
    """The lowest free number up to *max*."""
    return ida_alloc_range(ida, 0, max, gfp)


def ida_free(ida: ida, id: int) -> None:
    """Give a number back; it must be in use."""
    hooks.write(ida, "ids")
    if ida.ids is None or id not in ida.ids:
        hooks.warn("ida_free", f"called for id={id} which is not allocated")
        return
    del ida.ids[id]


def ida_is_empty(ida: ida) -> bool:
    """Whether no number is in use."""
    hooks.read(ida, "ids")
    return not ida.ids


def ida_destroy(ida: ida) -> None:
    """Give all numbers back."""
    hooks.write(ida, "ids")
    ida.ids = {}


def idr_init(idr: idr) -> None:
    """No number is in use."""
    idr.ptrs = {}
    idr.idr_next = 0


def DEFINE_IDR() -> idr:
    """``DEFINE_IDR(name)``: no number is in use."""
    new = idr.zeroed()
    idr_init(new)
    return new


def idr_alloc(idr: idr, ptr: object, start: int, end: int, gfp: gfp_t) -> int:
    """Give *ptr* the lowest free number of ``start..end-1`` (*end* 0: no limit)."""
    if hooks.may_fail("idr", gfp):
        return -ENOMEM
    hooks.write(idr, "ptrs")
    id = start
    while id in idr.ptrs:
        id += 1
    if id >= (end if end > 0 else INT_MAX):
        return -ENOSPC
    idr.ptrs[id] = ptr
    return id


def idr_find(idr: idr, id: int) -> object | None:
    """The pointer of a number, NULL if it is not in use."""
    hooks.read(idr, "ptrs")
    return idr.ptrs.get(id)


def idr_remove(idr: idr, id: int) -> object | None:
    """Give a number back; its pointer."""
    hooks.write(idr, "ptrs")
    return idr.ptrs.pop(id, None)
