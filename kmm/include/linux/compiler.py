# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/compiler.h, asm-generic/rwonce.h and asm-generic/barrier.h.

Memory is sequentially consistent and the compiler reorders nothing, so the barriers are calls that do
nothing. They stay in ported code because they document an ordering, and because a weaker memory model
can be layered under them.

``&obj->field`` has no Python counterpart, so marked accesses to struct fields name the field:
``READ_ONCE(mm->flags)`` is ``READ_ONCE_FIELD(mm, "flags")``. Through a pointer to an entry or to a
stack variable the C form stays: ``READ_ONCE(pmdp)`` for ``READ_ONCE(*pmdp)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from kmm import hooks

if TYPE_CHECKING:
    from kmm.c import struct

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
T_contra = TypeVar("T_contra", contravariant=True)


class _readable(Protocol[T_co]):
    def __getitem__(self, n: int, /) -> T_co: ...


class _writable(Protocol[T_contra]):
    def __setitem__(self, n: int, value: T_contra, /) -> None: ...


def READ_ONCE(ptr: _readable[T]) -> T:
    """``READ_ONCE(*ptr)``: one event if *ptr* points into simulated memory."""
    return ptr[0]


def WRITE_ONCE(ptr: _writable[T], val: T) -> None:
    """``WRITE_ONCE(*ptr, val)``: one event if *ptr* points into simulated memory."""
    ptr[0] = val


def READ_ONCE_FIELD(obj: struct, field: str) -> Any:
    """``READ_ONCE(obj->field)``, one event."""
    hooks.read(obj, field)
    return getattr(obj, field)


def WRITE_ONCE_FIELD(obj: struct, field: str, val: Any) -> None:
    """``WRITE_ONCE(obj->field, val)``, one event."""
    hooks.write(obj, field)
    setattr(obj, field, val)


def data_race(value: T) -> T:
    """Mark an expression as intentionally racy; the plain access makes no event."""
    return value


def smp_load_acquire(obj: struct, field: str) -> Any:
    """``smp_load_acquire(&obj->field)``, one event."""
    hooks.read(obj, field)
    return getattr(obj, field)


def smp_store_release(obj: struct, field: str, val: Any) -> None:
    """``smp_store_release(&obj->field, val)``, one event."""
    hooks.write(obj, field)
    setattr(obj, field, val)


def smp_store_mb(obj: struct, field: str, val: Any) -> None:
    """``smp_store_mb(obj->field, val)``: store, then a full barrier; one event."""
    hooks.write(obj, field)
    setattr(obj, field, val)


def xchg(obj: struct, field: str, val: Any) -> Any:
    """``xchg(&obj->field, val)``: the old value, one event."""
    hooks.write(obj, field)
    old = getattr(obj, field)
    setattr(obj, field, val)
    return old


def cmpxchg(obj: struct, field: str, old: Any, new: Any) -> Any:
    """``cmpxchg(&obj->field, old, new)``: the value seen, one event. Pointers compare by identity."""
    hooks.write(obj, field)
    seen = getattr(obj, field)
    if seen is old or (isinstance(seen, int) and seen == old):
        setattr(obj, field, new)
    return seen


def try_cmpxchg(obj: struct, field: str, old: Any, new: Any) -> tuple[bool, Any]:
    """``try_cmpxchg(&obj->field, &old, new)``: whether it was exchanged, and the value seen."""
    seen = cmpxchg(obj, field, old, new)
    return seen is old or (isinstance(seen, int) and seen == old), seen


def likely(x: T) -> T:
    """Branch hint."""
    return x


def unlikely(x: T) -> T:
    """Branch hint."""
    return x


def barrier() -> None:
    """Compiler barrier; nothing to do, see the module."""


def mb() -> None:
    """Full barrier against devices too; nothing to do, see the module."""


def rmb() -> None:
    """Read barrier; nothing to do, see the module."""


def wmb() -> None:
    """Write barrier; nothing to do, see the module."""


def dma_rmb() -> None:
    """Read barrier against devices that snoop; nothing to do, see the module."""


def dma_wmb() -> None:
    """Write barrier against devices that snoop; nothing to do, see the module."""


def smp_mb() -> None:
    """Full barrier; nothing to do, see the module."""


def smp_rmb() -> None:
    """Read barrier; nothing to do, see the module."""


def smp_wmb() -> None:
    """Write barrier; nothing to do, see the module."""


def smp_mb__before_atomic() -> None:
    """Full barrier before an atomic operation; nothing to do, see the module."""


def smp_mb__after_atomic() -> None:
    """Full barrier after an atomic operation; nothing to do, see the module."""


def smp_mb__after_spinlock() -> None:
    """Full barrier after taking a spinlock; nothing to do, see the module."""


def smp_acquire__after_ctrl_dep() -> None:
    """Turn a control dependency into an acquire; nothing to do, see the module."""
