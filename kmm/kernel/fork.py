# SPDX-License-Identifier: GPL-2.0-only
"""Port of kernel/fork.c (Linux 7.2): the life of an address space as a whole.

Left out: fork itself (``dup_mmap``), tasks, AIO, KSM, khugepaged, uprobes, futexes, resident-set
counters, scheduler data, the list of mms for swapoff.

Reads CONFIG_MMU_LAZY_TLB_SHOOTDOWN.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.mmu_context import destroy_context, init_new_context, switch_mm
from kmm.arch.x86.mm.pgtable import pgd_alloc, pgd_free
from kmm.c import container_of
from kmm.include.generated.autoconf import CONFIG_MMU_LAZY_TLB_SHOOTDOWN
from kmm.include.linux.atomic import atomic_dec_and_test, atomic_read, atomic_set
from kmm.include.linux.bug import BUG_ON, WARN_ON_ONCE
from kmm.include.linux.errno import ENOMEM
from kmm.include.linux.iommu import mm_pasid_drop, mm_pasid_init
from kmm.include.linux.kernel import might_sleep
from kmm.include.linux.list import INIT_LIST_HEAD
from kmm.include.linux.maple_tree import mt_init
from kmm.include.linux.mm import mm_pgtables_bytes, mm_pgtables_bytes_init
from kmm.include.linux.mm_inline import init_tlb_flush_pending
from kmm.include.linux.mm_types import mm_cpumask, mm_init_cpumask, mm_struct
from kmm.include.linux.mmap_lock import mmap_init_lock
from kmm.include.linux.mmdebug import VM_BUG_ON
from kmm.include.linux.mmu_notifier import (
    mmu_notifier_subscriptions_destroy,
    mmu_notifier_subscriptions_init,
)
from kmm.include.linux.sched import current, task_struct
from kmm.include.linux.sched.mm import mmdrop
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.smp import on_each_cpu_mask
from kmm.include.linux.spinlock import spin_lock_init
from kmm.include.linux.workqueue import INIT_WORK, schedule_work, work_struct
from kmm.mm.init_mm import init_mm
from kmm.mm.mmap import exit_mmap


def mm_alloc_pgd(mm: mm_struct) -> int:
    """Give an mm its root table. 0 or ``-ENOMEM``."""
    pgd = pgd_alloc(mm)
    if pgd is None:
        return -ENOMEM
    mm.pgd = pgd
    return 0


def mm_free_pgd(mm: mm_struct) -> None:
    """Free the root table. No CPU may have it in CR3."""
    pgd_free(mm, mm.pgd)


def check_mm(mm: mm_struct) -> None:
    """Nothing may be left: complain about page tables that are still accounted to a dead mm."""
    if mm_pgtables_bytes(mm):
        hooks.violation("pgtables-bytes", "check_mm", bytes=mm_pgtables_bytes(mm))


def do_shoot_lazy_tlb(arg: mm_struct) -> None:
    """On every CPU that may borrow a dying mm: stop it. :context: hardirq."""
    mm = arg

    if current().active_mm is mm:
        WARN_ON_ONCE(current().mm)
        current().active_mm = init_mm
        switch_mm(mm, init_mm, current())


def cleanup_lazy_tlbs(mm: mm_struct) -> None:
    """Without references for borrowed mms: make all CPUs let go of *mm* now."""
    if not CONFIG_MMU_LAZY_TLB_SHOOTDOWN:
        return

    on_each_cpu_mask(mm_cpumask(mm), do_shoot_lazy_tlb, mm, 1)


def __mmdrop(mm: mm_struct) -> None:
    """The last reference to the struct is gone: free the root table and the struct."""
    BUG_ON(mm is init_mm)
    WARN_ON_ONCE(mm is current().mm)

    cleanup_lazy_tlbs(mm)

    WARN_ON_ONCE(mm is current().active_mm)
    mm_free_pgd(mm)
    destroy_context(mm)
    mmu_notifier_subscriptions_destroy(mm)
    check_mm(mm)
    mm_pasid_drop(mm)

    kfree(mm)


def mm_init(mm: mm_struct, p: task_struct) -> mm_struct | None:
    """Make an empty address space out of zeroed storage; None if memory ran out."""
    mt_init(mm.mm_mt)
    atomic_set(mm.mm_users, 1)
    atomic_set(mm.mm_count, 1)
    mmap_init_lock(mm)
    INIT_LIST_HEAD(mm.mmlist)
    mm_pgtables_bytes_init(mm)
    mm.map_count = 0
    spin_lock_init(mm.page_table_lock)
    mm_init_cpumask(mm)
    mm_pasid_init(mm)
    mmu_notifier_subscriptions_init(mm)
    init_tlb_flush_pending(mm)
    mm.flags = 0
    mm.def_flags = 0

    if mm_alloc_pgd(mm):
        kfree(mm)
        return None

    if init_new_context(p, mm):
        mm_free_pgd(mm)
        kfree(mm)
        return None

    return mm


def mm_alloc() -> mm_struct | None:
    """A new empty address space with one user; None if memory ran out. :context: may sleep."""
    mm = kzalloc_obj(mm_struct)
    if mm is None:
        return None

    return mm_init(mm, current())


def __mmput(mm: mm_struct) -> None:
    """The last user is gone: unmap everything. :context: may sleep."""
    VM_BUG_ON(atomic_read(mm.mm_users))

    exit_mmap(mm)
    mmdrop(mm)


def mmput(mm: mm_struct) -> None:
    """Give back a use of an address space. :context: may sleep."""
    might_sleep()

    if atomic_dec_and_test(mm.mm_users):
        __mmput(mm)


def mmput_async_fn(work: work_struct) -> None:
    """The worker of :func:`mmput_async`."""
    mm = container_of(work, mm_struct, "async_put_work")

    __mmput(mm)


def mmput_async(mm: mm_struct) -> None:
    """:func:`mmput` from any context: the last user's work is left to a worker."""
    if atomic_dec_and_test(mm.mm_users):
        INIT_WORK(mm.async_put_work, mmput_async_fn)
        schedule_work(mm.async_put_work)


def dup_mm(tsk: task_struct, oldmm: mm_struct) -> mm_struct | None:
    """Copy an address space: not ported."""
    raise hooks.Unported("mm/mmap.c", "dup_mmap")
