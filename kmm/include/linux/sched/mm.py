# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/sched/mm.h (Linux 7.2): references to an address space.

``mm_count`` keeps the struct and the root table, ``mm_users`` keeps the mappings; all users together
hold one ``mm_count``. A CPU that only borrows an mm holds an ``mm_count`` too, if
CONFIG_MMU_LAZY_TLB_REFCOUNT, and otherwise is interrupted before the mm goes.

Left out: PREEMPT_RT, mmap layout, memalloc scopes, membarrier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.include.generated.autoconf import CONFIG_MMU_LAZY_TLB_REFCOUNT
from kmm.include.linux.atomic import atomic_dec_and_test, atomic_inc, atomic_inc_not_zero
from kmm.include.linux.compiler import smp_mb, smp_mb__after_atomic

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct


def mmgrab(mm: mm_struct) -> None:
    """Keep the struct and the root table of *mm*, not its mappings."""
    atomic_inc(mm.mm_count)


def smp_mb__after_mmgrab() -> None:
    """Full barrier after :func:`mmgrab`."""
    smp_mb__after_atomic()


def mmdrop(mm: mm_struct) -> None:
    """Give back what :func:`mmgrab` took; the last one frees the root table."""
    if atomic_dec_and_test(mm.mm_count):
        __mmdrop(mm)


def mmdrop_sched(mm: mm_struct) -> None:
    """:func:`mmdrop` from the scheduler."""
    mmdrop(mm)


def mmgrab_lazy_tlb(mm: mm_struct) -> None:
    """A kernel thread starts to borrow *mm*."""
    if CONFIG_MMU_LAZY_TLB_REFCOUNT:
        mmgrab(mm)


def mmdrop_lazy_tlb(mm: mm_struct) -> None:
    """A kernel thread stops borrowing *mm*."""
    if CONFIG_MMU_LAZY_TLB_REFCOUNT:
        mmdrop(mm)
    else:
        smp_mb()


def mmdrop_lazy_tlb_sched(mm: mm_struct) -> None:
    """:func:`mmdrop_lazy_tlb` from the scheduler."""
    if CONFIG_MMU_LAZY_TLB_REFCOUNT:
        mmdrop_sched(mm)
    else:
        smp_mb()


def mmget(mm: mm_struct) -> None:
    """Keep the mappings of *mm*; the caller knows that they are alive."""
    atomic_inc(mm.mm_users)


def mmget_not_zero(mm: mm_struct) -> bool:
    """Keep the mappings of *mm* unless they are gone already; whether it could."""
    return atomic_inc_not_zero(mm.mm_users)


# Declared here, defined there:
from kmm.kernel.fork import __mmdrop
from kmm.kernel.fork import mm_alloc as mm_alloc
from kmm.kernel.fork import mmput as mmput
from kmm.kernel.fork import mmput_async as mmput_async
