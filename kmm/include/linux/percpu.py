# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/percpu-defs.h and percpu.h.

A per-CPU variable is a list with one struct for each CPU that a machine may have, so that it is plain
static data: CONFIG_NR_CPUS of them, but no more than PERCPU_AREAS. ``this_cpu_read(var.field)`` is
``this_cpu_read(var, "field")``; a scalar is a :class:`percpu_word`, whose field is ``value`` and need not
be named. These accessors are events, since interrupts of this CPU and other CPUs may look;
``this_cpu_ptr(var).field`` is a plain access.
"""

from __future__ import annotations

from typing import Any, TypeVar

from kmm import hooks
from kmm.c import struct
from kmm.include.generated.autoconf import CONFIG_NR_CPUS
from kmm.include.linux.preempt import preempt_disable, preempt_enable

#: Distributions build for thousands of CPUs; a machine here has a few, and Linux as well makes areas
#: only for those that are possible.
PERCPU_AREAS = min(CONFIG_NR_CPUS, 16)

S = TypeVar("S", bound=struct)
T = TypeVar("T")


class percpu_word(struct):
    """One CPU's copy of a scalar per-CPU variable."""

    value: Any


def DEFINE_PER_CPU(kind: type[S]) -> list[S]:
    """``DEFINE_PER_CPU(type, name)``: zeroed storage for every CPU."""
    return [kind.zeroed() for _ in range(PERCPU_AREAS)]


DEFINE_PER_CPU_ALIGNED = DEFINE_PER_CPU
DEFINE_PER_CPU_SHARED_ALIGNED = DEFINE_PER_CPU
DEFINE_PER_CPU_READ_MOSTLY = DEFINE_PER_CPU
DEFINE_PER_CPU_CACHE_HOT = DEFINE_PER_CPU


def DEFINE_PER_CPU_SCALAR(value: Any = 0) -> list[percpu_word]:
    """``DEFINE_PER_CPU(int, name) = value``, for numbers and pointers."""
    words = []
    for _ in range(PERCPU_AREAS):
        word = percpu_word()
        word.value = value
        words.append(word)
    return words


def alloc_percpu(kind: type[S]) -> list[S]:
    """Zeroed storage for every CPU."""
    return DEFINE_PER_CPU(kind)


def free_percpu(var: list[S] | None) -> None:
    """Give the storage back."""


def per_cpu(var: list[T], cpu: int) -> T:
    """The copy of *cpu*."""
    return var[cpu]


def per_cpu_ptr(var: list[T], cpu: int) -> T:
    """The address of the copy of *cpu*."""
    return var[cpu]


def this_cpu_ptr(var: list[T]) -> T:
    """The address of this CPU's copy; the caller must be unable to move."""
    return var[hooks.smp_processor_id()]


def raw_cpu_ptr(var: list[T]) -> T:
    """The address of this CPU's copy, whether or not the caller may move."""
    return var[hooks.smp_processor_id()]


def get_cpu_ptr(var: list[T]) -> T:
    """The address of this CPU's copy, with preemption off until :func:`put_cpu_ptr`."""
    preempt_disable()
    return var[hooks.smp_processor_id()]


def put_cpu_ptr(var: list[T]) -> None:
    """Undo :func:`get_cpu_ptr`."""
    preempt_enable()


def get_cpu_var(var: list[T]) -> T:
    """This CPU's copy, with preemption off until :func:`put_cpu_var`."""
    preempt_disable()
    return var[hooks.smp_processor_id()]


def put_cpu_var(var: list[T]) -> None:
    """Undo :func:`get_cpu_var`."""
    preempt_enable()


def this_cpu_read(var: list[S], field: str = "value") -> Any:
    """Read a field of this CPU's copy."""
    copy = var[hooks.smp_processor_id()]
    hooks.read(copy, field)
    return getattr(copy, field)


def this_cpu_write(var: list[S], val: Any, field: str = "value") -> None:
    """Write a field of this CPU's copy. The value comes before the field."""
    copy = var[hooks.smp_processor_id()]
    hooks.write(copy, field)
    setattr(copy, field, val)


def this_cpu_add_return(var: list[S], val: int, field: str = "value") -> int:
    """Add to a field of this CPU's copy; the new value."""
    copy = var[hooks.smp_processor_id()]
    hooks.write(copy, field)
    new: int = getattr(copy, field) + val
    setattr(copy, field, new)
    return new


def this_cpu_add(var: list[S], val: int, field: str = "value") -> None:
    """Add to a field of this CPU's copy."""
    this_cpu_add_return(var, val, field)


def this_cpu_sub(var: list[S], val: int, field: str = "value") -> None:
    """Subtract from a field of this CPU's copy."""
    this_cpu_add_return(var, -val, field)


def this_cpu_inc(var: list[S], field: str = "value") -> None:
    """Add 1 to a field of this CPU's copy."""
    this_cpu_add_return(var, 1, field)


def this_cpu_dec(var: list[S], field: str = "value") -> None:
    """Subtract 1 from a field of this CPU's copy."""
    this_cpu_add_return(var, -1, field)


def this_cpu_inc_return(var: list[S], field: str = "value") -> int:
    """Add 1 to a field of this CPU's copy; the new value."""
    return this_cpu_add_return(var, 1, field)


def this_cpu_xchg(var: list[S], val: Any, field: str = "value") -> Any:
    """Exchange a field of this CPU's copy; the old value."""
    copy = var[hooks.smp_processor_id()]
    hooks.write(copy, field)
    old = getattr(copy, field)
    setattr(copy, field, val)
    return old


def this_cpu_or(var: list[S], val: int, field: str = "value") -> None:
    """Set bits of a field of this CPU's copy."""
    copy = var[hooks.smp_processor_id()]
    hooks.write(copy, field)
    setattr(copy, field, getattr(copy, field) | val)


raw_cpu_read = __this_cpu_read = this_cpu_read
raw_cpu_write = __this_cpu_write = this_cpu_write
__this_cpu_inc = this_cpu_inc
__this_cpu_dec = this_cpu_dec
__this_cpu_add = this_cpu_add
