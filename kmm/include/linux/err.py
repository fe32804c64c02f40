# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/err.h (Linux 7.2).

In C an error travels in the pointer itself. A Python object has no such room, so ``ERR_PTR(-EINVAL)``
is an :class:`ErrPtr`, a distinct type that is neither NULL nor an object of the pointed-to type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import TypeIs

MAX_ERRNO = 4095


class ErrPtr(int):
    """A negative errno in place of a pointer."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"ERR_PTR({int(self)})"


def IS_ERR_VALUE(x: int) -> bool:
    """Whether an ``unsigned long`` lies in the last page of the address space."""
    return -MAX_ERRNO <= x < 0 or x >= (1 << 64) - MAX_ERRNO


def ERR_PTR(error: int) -> ErrPtr:
    """The pointer that carries *error* (a negative errno)."""
    return ErrPtr(error)


def PTR_ERR(ptr: object) -> int:
    """The errno carried by *ptr*."""
    assert isinstance(ptr, ErrPtr), "PTR_ERR of a pointer that is no error"
    return int(ptr)


def IS_ERR(ptr: object) -> TypeIs[ErrPtr]:
    """Whether *ptr* carries an errno."""
    return isinstance(ptr, ErrPtr)


def IS_ERR_OR_NULL(ptr: object) -> TypeIs[ErrPtr | None]:
    """Whether *ptr* is NULL or carries an errno."""
    return ptr is None or isinstance(ptr, ErrPtr)


def ERR_CAST(ptr: ErrPtr) -> ErrPtr:
    """The same errno as another pointer type."""
    return ptr


def PTR_ERR_OR_ZERO(ptr: object) -> int:
    """The errno carried by *ptr*, 0 if it is a good pointer."""
    if IS_ERR(ptr):
        return PTR_ERR(ptr)
    return 0
