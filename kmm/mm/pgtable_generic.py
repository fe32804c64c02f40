# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/pgtable-generic.c (Linux 7.2): what page tables do on most architectures.

Bad entries, changing entries with a flush, PTE tables in reserve below huge pages, mapping and locking
a PTE table that may go away, and kernel page tables that are freed by a worker once no device can
walk them. CONFIG symbols: TRANSPARENT_HUGEPAGE, HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD,
GUP_GET_PXX_LOW_HIGH, SMP, PREEMPT_RCU, ASYNC_KERNEL_PGTABLE_FREE.
Left out: what x86-64 has versions of its own of, in arch/x86/mm/pgtable.c.

Out-parameters become results: ``pte_offset_map_lock()`` gives ``(pte, ptl)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET
from kmm.arch.x86.include.asm.pgtable_types import (
    p4d_ptr,
    pgd_ptr,
    pmd_ptr,
    pmd_t,
    pte_ptr,
    pte_t,
    pud_ptr,
    pud_t,
)
from kmm.c import cell, container_of, struct
from kmm.include.generated.autoconf import (
    CONFIG_ASYNC_KERNEL_PGTABLE_FREE,
    CONFIG_GUP_GET_PXX_LOW_HIGH,
    CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD,
    CONFIG_PREEMPT_RCU,
    CONFIG_SMP,
    CONFIG_TRANSPARENT_HUGEPAGE,
)
from kmm.include.linux.types import list_head

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgtable_t
    from kmm.include.linux.mm_types import mm_struct, vm_area_struct
    from kmm.include.linux.types import rcu_head


# An entry that makes no sense is reported and then emptied.
def pgd_clear_bad(pgd: pgd_ptr) -> None:
    """Report and empty a top-level entry."""
    pgd_ERROR(pgd[0])
    pgd_clear(pgd)


def p4d_clear_bad(p4d: p4d_ptr) -> None:
    """Report and empty a p4d entry."""
    p4d_ERROR(p4d[0])
    p4d_clear(p4d)


def pud_clear_bad(pud: pud_ptr) -> None:
    """Report and empty a pud entry."""
    pud_ERROR(pud[0])
    pud_clear(pud)


def pmd_clear_bad(pmd: pmd_ptr) -> None:
    """Report and empty a pmd entry."""
    pmd_ERROR(pmd[0])
    pmd_clear(pmd)


def ptep_clear_flush(vma: vm_area_struct, address: int, ptep: pte_ptr) -> pte_t:
    """Empty a pte and flush it; the old value.

    :context: the pte's lock is held.
    """
    mm = vma.vm_mm
    pte = ptep_get_and_clear(mm, address, ptep)
    if pte_accessible(mm, pte):
        flush_tlb_page(vma, address)
    return pte


if CONFIG_TRANSPARENT_HUGEPAGE:
    def pmdp_huge_clear_flush(vma: vm_area_struct, address: int, pmdp: pmd_ptr) -> pmd_t:
        """Empty a huge pmd entry and flush it; the old value."""
        VM_BUG_ON(address & ~HPAGE_PMD_MASK)
        VM_BUG_ON(pmd_present(pmdp[0]) and not pmd_trans_huge(pmdp[0]))
        pmd = pmdp_huge_get_and_clear(vma.vm_mm, address, pmdp)
        flush_pmd_tlb_range(vma, address, address + HPAGE_PMD_SIZE)
        return pmd

    if CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD:
        def pudp_huge_clear_flush(vma: vm_area_struct, address: int, pudp: pud_ptr) -> pud_t:
            """Empty a huge pud entry and flush it; the old value."""
            VM_BUG_ON(address & ~HPAGE_PUD_MASK)
            VM_BUG_ON(not pud_trans_huge(pudp[0]))
            pud = pudp_huge_get_and_clear(vma.vm_mm, address, pudp)
            flush_pud_tlb_range(vma, address, address + HPAGE_PUD_SIZE)
            return pud

    def pgtable_trans_huge_deposit(mm: mm_struct, pmdp: pmd_ptr, pgtable: pgtable_t) -> None:
        """Keep a PTE table in reserve, for when the huge page at *pmdp* is split.

        :context: the lock of *pmdp* is held.
        """
        assert_spin_locked(pmd_lockptr(mm, pmdp))

        # The newest is taken first: it becomes the head.
        reserve = pmd_huge_pte(mm, pmdp)
        if not reserve:
            INIT_LIST_HEAD(pgtable.lru)
        else:
            list_add(pgtable.lru, reserve.lru)
        set_pmd_huge_pte(mm, pmdp, pgtable)

    def pgtable_trans_huge_withdraw(mm: mm_struct, pmdp: pmd_ptr) -> pgtable_t:
        """Take a PTE table out of the reserve; there is one.

        :context: the lock of *pmdp* is held.
        """
        assert_spin_locked(pmd_lockptr(mm, pmdp))

        pgtable = pmd_huge_pte(mm, pmdp)
        # C goes on with a NULL pointer.
        BUG_ON(pgtable is None)
        assert pgtable is not None
        set_pmd_huge_pte(mm, pmdp, list_first_entry_or_null(pgtable.lru, page, "lru"))
        if pmd_huge_pte(mm, pmdp):
            list_del(pgtable.lru)
        return pgtable

    def pmdp_invalidate(vma: vm_area_struct, address: int, pmdp: pmd_ptr) -> pmd_t:
        """Make a huge pmd entry not present to the CPU, keeping its frame, and flush; the old value."""
        VM_WARN_ON_ONCE(not pmd_present(pmdp[0]))
        old = pmdp_establish(vma, address, pmdp, pmd_mkinvalid(pmdp[0]))
        flush_pmd_tlb_range(vma, address, address + HPAGE_PMD_SIZE)
        return old

    def pmdp_collapse_flush(vma: vm_area_struct, address: int, pmdp: pmd_ptr) -> pmd_t:
        """Unhook a PTE table that a huge page replaces, and flush what it mapped; the old entry."""
        VM_BUG_ON(address & ~HPAGE_PMD_MASK)
        VM_BUG_ON(pmd_trans_huge(pmdp[0]))
        pmd = pmdp_huge_get_and_clear(vma.vm_mm, address, pmdp)

        # What may be cached are ptes, not a huge page.
        flush_tlb_range(vma, address, address + HPAGE_PMD_SIZE)
        return pmd

    def pte_free_now(head: rcu_head) -> None:
        """The grace period of a PTE table is over."""
        page_ = container_of(head, page, "rcu_head")
        pte_free(None, page_)

    def pte_free_defer(mm: mm_struct, pgtable: pgtable_t) -> None:
        """Free a PTE table after a grace period: pte_offset_map() walkers may be in it."""
        page = pgtable
        call_rcu(page.rcu_head, pte_free_now)

if CONFIG_GUP_GET_PXX_LOW_HIGH and (CONFIG_SMP or CONFIG_PREEMPT_RCU):
    # Two halves that do not belong together can be read only if a flush comes between two updates,
    # and the flush waits while interrupts are off.
    def pmdp_get_lockless_start() -> int:
        """Turn interrupts off."""
        return local_irq_save()

    def pmdp_get_lockless_end(irqflags: int) -> None:
        """Undo pmdp_get_lockless_start()."""
        local_irq_restore(irqflags)
else:
    def pmdp_get_lockless_start() -> int:
        """An entry is read in one access."""
        return 0

    def pmdp_get_lockless_end(irqflags: int) -> None:
        """An entry is read in one access."""


def __pte_offset_map(pmd: pmd_ptr, addr: int) -> tuple[pte_ptr | None, pmd_t]:
    """The pte of an address, and the pmd entry that was found.

    :return: None instead of the pte if there is no PTE table: an empty, huge or bad pmd entry.
    :context: with a pte, inside the RCU read side that pte_unmap() leaves: the table may be unhooked
        meanwhile, but not freed.
    """
    rcu_read_lock()
    irqflags = pmdp_get_lockless_start()
    pmdval = pmdp_get_lockless(pmd)
    pmdp_get_lockless_end(irqflags)

    def nomap() -> tuple[pte_ptr | None, pmd_t]:
        rcu_read_unlock()
        return None, pmdval

    if pmd_none(pmdval) or not pmd_present(pmdval):
        return nomap()
    if pmd_trans_huge(pmdval):
        return nomap()
    if pmd_bad(pmdval):
        pmd_clear_bad(pmd)
        return nomap()
    return __pte_map(cell(pmdval), addr), pmdval


def pte_offset_map_ro_nolock(mm: mm_struct, pmd: pmd_ptr,
                             addr: int) -> tuple[pte_ptr | None, spinlock_t | None]:
    """The pte of an address and the lock it would have, for reading; nothing is locked."""
    ptl = None

    pte, pmdval = __pte_offset_map(pmd, addr)
    if pte:
        ptl = pte_lockptr(mm, cell(pmdval))
    return pte, ptl


def pte_offset_map_rw_nolock(mm: mm_struct, pmd: pmd_ptr,
                             addr: int) -> tuple[pte_ptr | None, pmd_t, spinlock_t | None]:
    """The pte of an address, the pmd entry that was found, and the lock; nothing is locked.

    A caller that takes the lock and wants to write must first see that ``*pmd`` is still the same.
    """
    ptl = None

    pte, pmdval = __pte_offset_map(pmd, addr)
    if pte:
        ptl = pte_lockptr(mm, cell(pmdval))
    return pte, pmdval, ptl


def pte_offset_map_lock(mm: mm_struct, pmd: pmd_ptr,
                        addr: int) -> tuple[pte_ptr | None, spinlock_t | None]:
    """Map and lock the PTE table of an address.

    :return: the pte and its lock; (None, None) if there is no PTE table.
    :context: takes the PTE table's lock inside an RCU read side; pte_unmap_unlock() undoes both. The
        pmd entry is looked at again under the lock, so the table is still hooked and stays so until
        the lock is dropped.
    """
    while True:
        pte, pmdval = __pte_offset_map(pmd, addr)
        if not pte:
            return pte, None
        ptl = pte_lockptr(mm, cell(pmdval))
        spin_lock(ptl)
        if pmd_same(pmdval, pmdp_get_lockless(pmd)):
            return pte, ptl
        pte_unmap_unlock(pte, ptl)


# Included first in C:
from kmm.arch.x86.include.asm.pgalloc import pte_free
from kmm.arch.x86.include.asm.pgtable import (
    p4d_clear,
    pgd_clear,
    pmd_bad,
    pmd_clear,
    pmd_mkinvalid,
    pmd_none,
    pmd_present,
    pmd_trans_huge,
    pmdp_establish,
    pmdp_huge_get_and_clear,
    pte_accessible,
    ptep_get_and_clear,
    pud_clear,
    pud_trans_huge,
    pudp_huge_get_and_clear,
)
from kmm.arch.x86.include.asm.pgtable_64 import p4d_ERROR, pgd_ERROR, pmd_ERROR, pud_ERROR
from kmm.arch.x86.include.asm.tlbflush import TLB_FLUSH_ALL, flush_tlb_page, flush_tlb_range
from kmm.include.linux.bug import BUG_ON
from kmm.include.linux.huge_mm import (
    HPAGE_PMD_MASK,
    HPAGE_PMD_SIZE,
    HPAGE_PUD_MASK,
    HPAGE_PUD_SIZE,
)
from kmm.include.linux.init import core_initcall
from kmm.include.linux.iommu import iommu_sva_invalidate_kva_range
from kmm.include.linux.irqflags import local_irq_restore, local_irq_save
from kmm.include.linux.kernel import SYSTEM_BOOTING, system_state
from kmm.include.linux.list import (
    INIT_LIST_HEAD,
    LIST_HEAD,
    list_add,
    list_del,
    list_first_entry_or_null,
    list_for_each_entry_safe,
    list_splice_tail_init,
)
from kmm.include.linux.mm import (
    __pagetable_free,
    pmd_huge_pte,
    pmd_lockptr,
    pte_lockptr,
    pte_unmap_unlock,
    set_pmd_huge_pte,
)
from kmm.include.linux.mm_types import page, ptdesc
from kmm.include.linux.mmdebug import VM_BUG_ON, VM_WARN_ON_ONCE
from kmm.include.linux.pgtable import (
    __pte_map,
    flush_pmd_tlb_range,
    flush_pud_tlb_range,
    pmd_same,
    pmdp_get_lockless,
)
from kmm.include.linux.rcupdate import call_rcu, rcu_read_lock, rcu_read_unlock
from kmm.include.linux.spinlock import (
    assert_spin_locked,
    spin_lock,
    spin_lock_init,
    spin_unlock,
    spinlock_t,
)
from kmm.include.linux.workqueue import INIT_WORK, schedule_work, work_struct

if CONFIG_ASYNC_KERNEL_PGTABLE_FREE:
    class __kernel_pgtable_work(struct):
        """The type of ``kernel_pgtable_work``. ``lock`` protects ``list``."""

        list: list_head
        lock: spinlock_t
        work: work_struct

    kernel_pgtable_work = __kernel_pgtable_work.zeroed()

    def kernel_pgtable_work_func(work: work_struct) -> None:
        """Free the kernel tables that are queued, once no device can have cached entries in them.

        Newest first: they were added at the head. They are not unlinked one by one, so a freed table's
        list pointers still name its neighbours. What is queued meanwhile waits for the next run.

        :context: worker; may sleep.
        """
        page_list = LIST_HEAD()

        spin_lock(kernel_pgtable_work.lock)
        list_splice_tail_init(kernel_pgtable_work.list, page_list)
        spin_unlock(kernel_pgtable_work.lock)

        iommu_sva_invalidate_kva_range(PAGE_OFFSET(), TLB_FLUSH_ALL)
        for pt, _next in list_for_each_entry_safe(ptdesc, page_list, "pt_list"):
            __pagetable_free(pt)

    def schedule_kernel_pgtable_free() -> None:
        """Have the worker run."""
        schedule_work(kernel_pgtable_work.work)

    def pagetable_free_kernel(pt: ptdesc) -> None:
        """Queue a kernel table, already destructed, for the worker to free.

        :context: any where a spinlock may be taken.
        """
        spin_lock(kernel_pgtable_work.lock)
        list_add(pt.pt_list, kernel_pgtable_work.list)
        spin_unlock(kernel_pgtable_work.lock)

        # While booting there may be no workqueue yet; kernel_pgtable_drain_early() comes later.
        if system_state != SYSTEM_BOOTING:
            schedule_kernel_pgtable_free()

    def kernel_pgtable_drain_early() -> int:
        """Free what was queued while booting."""
        schedule_kernel_pgtable_free()
        return 0

    # The static initialiser of kernel_pgtable_work:
    INIT_LIST_HEAD(kernel_pgtable_work.list)
    spin_lock_init(kernel_pgtable_work.lock)
    INIT_WORK(kernel_pgtable_work.work, kernel_pgtable_work_func)

    core_initcall(kernel_pgtable_drain_early)
