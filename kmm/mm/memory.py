# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/memory.c (Linux 7.2): the life of user page tables.

How tables are allocated and linked, how mappings and then tables are taken down, and a page fault on
anonymous memory. Left out: fork (``copy_page_range``), files, swap, COW, NUMA hints, userfaultfd,
hugetlb, huge leaves, ``remap_pfn_range`` and everything behind ``access_process_vm``; a path that
leads there raises Unported. Resident-set counters, large folios, memory cgroups, uprobes and the LRU
are left out without a trace: they do not touch page tables.

Reads CONFIG_PT_RECLAIM.

:deviation: C writes ``*force_flush``, ``*any_skipped`` and the like through pointers; here they are
    extra results, in the same order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm import hooks
from kmm.arch.x86.include.asm.mmu_context import arch_vma_access_permitted
from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_SIZE
from kmm.arch.x86.include.asm.pgalloc import (
    p4d_populate,
    pgd_populate,
    pmd_populate,
    pmd_populate_kernel,
    pud_populate,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_trans_huge,
    ptep_get_and_clear_full,
    pud_trans_huge,
)
from kmm.arch.x86.include.asm.pgtable_64_types import (
    P4D_MASK,
    PGDIR_MASK,
    PMD_MASK,
    PMD_SIZE,
    PTRS_PER_PTE,
    PUD_MASK,
)
from kmm.arch.x86.mm.pgtable import pte_alloc_one
from kmm.c import ulong
from kmm.include.asm_generic.pgalloc import (
    p4d_alloc_one,
    p4d_free,
    pmd_alloc_one,
    pmd_free,
    pte_alloc_one_kernel,
    pte_free,
    pte_free_kernel,
    pud_alloc_one,
    pud_free,
)
from kmm.include.asm_generic.tlb import (
    __tlb_remove_folio_pages,
    mmu_gather,
    p4d_free_tlb,
    pmd_free_tlb,
    pte_free_tlb,
    pud_free_tlb,
    tlb_change_page_size,
    tlb_end_vma,
    tlb_flush_mmu_tlbonly,
    tlb_flush_rmaps,
    tlb_free_vmas,
    tlb_remove_tlb_entry,
    tlb_start_vma,
)
from kmm.include.generated.autoconf import CONFIG_PT_RECLAIM, CONFIG_SPLIT_PTE_PTLOCKS
from kmm.include.linux.bug import WARN_ON_ONCE
from kmm.include.linux.compiler import barrier, smp_wmb
from kmm.include.linux.err import IS_ERR
from kmm.include.linux.errno import EBUSY, ENOMEM
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.include.linux.highmem import vma_alloc_zeroed_movable_folio
from kmm.include.linux.huge_mm import pmd_is_huge
from kmm.include.linux.lockdep import SINGLE_DEPTH_NESTING
from kmm.include.linux.maple_tree import mas_find
from kmm.include.linux.mm import (
    VM_DROPPABLE,
    VM_MAYWRITE,
    VM_MIXEDMAP,
    VM_PFNMAP,
    VM_SHARED,
    VM_WRITE,
    ZAP_FLAG_DROP_MARKER,
    ZAP_FLAG_UNMAP,
    folio_mk_pte,
    folio_put,
    is_cow_mapping,
    is_vm_hugetlb_page,
    linear_page_index,
    mm_dec_nr_pmds,
    mm_dec_nr_ptes,
    mm_dec_nr_puds,
    mm_inc_nr_pmds,
    mm_inc_nr_ptes,
    mm_inc_nr_puds,
    p4d_alloc,
    pfn_to_page,
    pmd_alloc,
    pmd_lock,
    pmd_lockptr,
    pte_alloc,
    pte_alloc_map_lock,
    pte_offset_map_lock,
    pte_offset_map_rw_nolock,
    pte_unmap,
    pte_unmap_unlock,
    pud_alloc,
    pud_lock,
    range_in_vma,
    vm_fault,
    vma_is_anonymous,
    zap_details,
)
from kmm.include.linux.mm_types import (
    FAULT_FLAG_INSTRUCTION,
    FAULT_FLAG_ORIG_PTE_VALID,
    FAULT_FLAG_REMOTE,
    FAULT_FLAG_RETRY_NOWAIT,
    FAULT_FLAG_UNSHARE,
    FAULT_FLAG_VMA_LOCK,
    FAULT_FLAG_WRITE,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_FAULT_SIGSEGV,
    vm_fault_t,
)
from kmm.include.linux.mm_types_task import ALLOC_SPLIT_PTLOCKS
from kmm.include.linux.mmdebug import VM_BUG_ON, VM_WARN_ON_ONCE
from kmm.include.linux.mmu_notifier import (
    MMU_NOTIFY_CLEAR,
    MMU_NOTIFY_UNMAP,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_invalidate_range_start_nonblock,
    mmu_notifier_range,
    mmu_notifier_range_init,
)
from kmm.include.linux.page_flags import (
    __folio_mark_uptodate,
    folio_test_anon,
    folio_test_large,
    page_folio,
)
from kmm.include.linux.pgtable import (
    is_zero_pfn,
    lazy_mmu_mode_disable,
    lazy_mmu_mode_enable,
    p4d_addr_end,
    p4d_clear,
    p4d_none_or_clear_bad,
    p4d_offset,
    p4d_present,
    pfn_pte,
    pgd_addr_end,
    pgd_clear,
    pgd_none_or_clear_bad,
    pgd_offset,
    pgd_present,
    pmd_addr_end,
    pmd_clear,
    pmd_none,
    pmd_none_or_clear_bad,
    pmd_offset,
    pmd_pgtable,
    pmd_present,
    pmdp_get,
    pmdp_get_lockless,
    pte_mkdirty,
    pte_mkspecial,
    pte_mkwrite,
    pte_mkyoung,
    pte_none,
    pte_pfn,
    pte_present,
    pte_protnone,
    pte_same,
    pte_special,
    pte_sw_mkyoung,
    pte_write,
    ptep_get,
    ptep_get_lockless,
    ptep_set_access_flags,
    pud_addr_end,
    pud_clear,
    pud_none_or_clear_bad,
    pud_offset,
    pud_present,
    set_pte_at,
    set_ptes,
    update_mmu_cache,
    update_mmu_tlb,
    zero_pfn,
)
from kmm.include.linux.rmap import RMAP_EXCLUSIVE, folio_add_new_anon_rmap, folio_remove_rmap_ptes
from kmm.include.linux.sched import cond_resched, need_resched
from kmm.include.linux.slab import kmem_cache, kmem_cache_alloc, kmem_cache_create, kmem_cache_free
from kmm.include.linux.spinlock import (
    spin_lock,
    spin_lock_nested,
    spin_trylock,
    spin_unlock,
    spinlock_t,
)
from kmm.mm.init_mm import init_mm
from kmm.mm.internal import flush_tlb_batched_pending, vmf_anon_prepare
from kmm.mm.mmu_gather import (
    tlb_finish_mmu,
    tlb_flush_mmu,
    tlb_gather_mmu,
)

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import (
        p4d_ptr,
        pgd_ptr,
        pgtable_t,
        pmd_ptr,
        pmd_t,
        pte_ptr,
        pte_t,
        pud_ptr,
    )
    from kmm.include.linux.mm_types import folio, mm_struct, page, ptdesc, vm_area_struct
    from kmm.mm.vma_h import unmap_desc


def free_pte_range(tlb: mmu_gather, pmd: pmd_ptr, addr: int) -> None:
    """Unlink the PTE table under *pmd* and give it to the gather. Its pages are gone already."""
    token = pmd_pgtable(pmd[0])
    pmd_clear(pmd)
    pte_free_tlb(tlb, token, addr)
    mm_dec_nr_ptes(tlb.mm)


def free_pmd_range(tlb: mmu_gather, pud: pud_ptr, addr: int, end: int, floor: int,
                   ceiling: int) -> None:
    """Free the tables under the PMD table of *pud*, and that table if nobody else needs it.

    :param floor: ``unsigned long``, below it somebody else's mappings may need tables.
    :param ceiling: ``unsigned long``, the same above; 0 is the top of the address space.
    """
    start = addr
    pmd = pmd_offset(pud, addr)
    while True:
        next = pmd_addr_end(addr, end)
        if not pmd_none_or_clear_bad(pmd):
            free_pte_range(tlb, pmd, addr)
        pmd += 1
        addr = next
        if addr == end:
            break

    start &= PUD_MASK
    if start < floor:
        return
    if ceiling:
        ceiling &= PUD_MASK
        if not ceiling:
            return
    if ulong(end - 1) > ulong(ceiling - 1):
        return

    pmd = pmd_offset(pud, start)
    pud_clear(pud)
    pmd_free_tlb(tlb, pmd, start)
    mm_dec_nr_pmds(tlb.mm)


def free_pud_range(tlb: mmu_gather, p4d: p4d_ptr, addr: int, end: int, floor: int,
                   ceiling: int) -> None:
    """Free the tables under the PUD table of *p4d*, and that table if nobody else needs it."""
    start = addr
    pud = pud_offset(p4d, addr)
    while True:
        next = pud_addr_end(addr, end)
        if not pud_none_or_clear_bad(pud):
            free_pmd_range(tlb, pud, addr, next, floor, ceiling)
        pud += 1
        addr = next
        if addr == end:
            break

    start &= P4D_MASK
    if start < floor:
        return
    if ceiling:
        ceiling &= P4D_MASK
        if not ceiling:
            return
    if ulong(end - 1) > ulong(ceiling - 1):
        return

    pud = pud_offset(p4d, start)
    p4d_clear(p4d)
    pud_free_tlb(tlb, pud, start)
    mm_dec_nr_puds(tlb.mm)


def free_p4d_range(tlb: mmu_gather, pgd: pgd_ptr, addr: int, end: int, floor: int,
                   ceiling: int) -> None:
    """Free the tables under the P4D table of *pgd*, and that table if nobody else needs it."""
    start = addr
    p4d = p4d_offset(pgd, addr)
    while True:
        next = p4d_addr_end(addr, end)
        if not p4d_none_or_clear_bad(p4d):
            free_pud_range(tlb, p4d, addr, next, floor, ceiling)
        p4d += 1
        addr = next
        if addr == end:
            break

    start &= PGDIR_MASK()
    if start < floor:
        return
    if ceiling:
        ceiling &= PGDIR_MASK()
        if not ceiling:
            return
    if ulong(end - 1) > ulong(ceiling - 1):
        return

    p4d = p4d_offset(pgd, start)
    pgd_clear(pgd)
    p4d_free_tlb(tlb, p4d, start)


def free_pgd_range(tlb: mmu_gather, addr: int, end: int, floor: int, ceiling: int) -> None:
    """Free the user page tables of ``[addr, end)`` that no mapping outside of it needs.

    The unmapped range is clipped to whole PTE tables first: usually nothing is left then. Address 0
    and floor 0 are the bottom of the address space, *ceiling* 0 is its top; hence every comparison
    of ends subtracts one and must wrap.

    :param floor: ``unsigned long``, end of the mapping below.
    :param ceiling: ``unsigned long``, start of the mapping above, 0 if there is none.
    :context: page-table entries of the range are clear; nobody can fault there.
    """
    addr &= PMD_MASK
    if addr < floor:
        addr = ulong(addr + PMD_SIZE)
        if not addr:
            return
    if ceiling:
        ceiling &= PMD_MASK
        if not ceiling:
            return
    if ulong(end - 1) > ulong(ceiling - 1):
        end = ulong(end - PMD_SIZE)
    if addr > ulong(end - 1):
        return
    # Tables are gathered as pages; flush if larger leaves are pending.
    tlb_change_page_size(tlb, PAGE_SIZE)
    pgd = pgd_offset(tlb.mm, addr)
    while True:
        next = pgd_addr_end(addr, end)
        if not pgd_none_or_clear_bad(pgd):
            free_p4d_range(tlb, pgd, addr, next, floor, ceiling)
        pgd += 1
        addr = next
        if addr == end:
            break


def free_pgtables(tlb: mmu_gather, unmap: unmap_desc) -> None:
    """Free the page tables under a list of VMAs that were unmapped.

    Neighbours at most one PTE table apart are done in one call, so that the table between them goes.

    :param unmap: where the VMAs are and how far their tables may reach.
    :context: ``mmap_lock`` held for writing if ``unmap->mm_wr_locked``.
    :deviation: reverse maps and per-VMA locks are not modelled: nothing is unlinked, no VMA is
        locked.
    """
    mas = unmap.mas
    vma = unmap.first

    # pg_end may be 0, the top of the address space.
    WARN_ON_ONCE(ulong(unmap.vma_end - 1) > ulong(unmap.pg_end - 1))

    tlb_free_vmas(tlb)

    while True:
        addr = vma.vm_start

        next = mas_find(mas, ulong(unmap.tree_end - 1))

        while next is not None and next.vm_start <= vma.vm_end + PMD_SIZE:
            vma = next
            next = mas_find(mas, ulong(unmap.tree_end - 1))

        free_pgd_range(tlb, addr, vma.vm_end, unmap.pg_start,
                       next.vm_start if next is not None else unmap.pg_end)
        if next is None:
            break
        vma = next


def pmd_install(mm: mm_struct, pmd: pmd_ptr, pte: pgtable_t) -> pgtable_t | None:
    """Link the PTE table *pte* under *pmd* unless another table is there already.

    :return: None if it was linked, else *pte*, which the caller keeps (C clears ``*pte``).
    :context: takes the lock of *pmd*.
    """
    left: pgtable_t | None = pte
    ptl = pmd_lock(mm, pmd)

    if pmd_none(pmd[0]):
        mm_inc_nr_ptes(mm)
        # The table's contents must be visible before the entry that leads to it.
        smp_wmb()
        pmd_populate(mm, pmd, pte)
        left = None
    spin_unlock(ptl)
    return left


def __pte_alloc(mm: mm_struct, pmd: pmd_ptr) -> int:
    """Give *pmd* a PTE table; it may have got one in between. 0 or ``-ENOMEM``."""
    new: pgtable_t | None = pte_alloc_one(mm)
    if new is None:
        return -ENOMEM

    new = pmd_install(mm, pmd, new)
    if new is not None:
        pte_free(mm, new)
    return 0


def __pte_alloc_kernel(pmd: pmd_ptr) -> int:
    """Give a kernel *pmd* a PTE table; it may have got one in between. 0 or ``-ENOMEM``."""
    new: pte_ptr | None = pte_alloc_one_kernel(init_mm)
    if new is None:
        return -ENOMEM

    spin_lock(init_mm.page_table_lock)
    if pmd_none(pmd[0]):
        smp_wmb()
        pmd_populate_kernel(init_mm, pmd, new)
        new = None
    spin_unlock(init_mm.page_table_lock)
    if new is not None:
        pte_free_kernel(init_mm, new)
    return 0


def vm_normal_page(vma: vm_area_struct, addr: int, pte: pte_t) -> page | None:
    """The page that *pte* maps if it is a counted one; None for special mappings and the zero page."""
    pfn = pte_pfn(pte)

    if pte_special(pte):
        if vma.vm_flags & (VM_PFNMAP | VM_MIXEDMAP):
            return None
        if is_zero_pfn(pfn):
            return None

        print_bad_page_map(vma, addr, pte, None)
        return None

    if pfn >= hooks.memory_frames():
        print_bad_page_map(vma, addr, pte, None)
        return None
    VM_WARN_ON_ONCE(is_zero_pfn(pfn))
    return pfn_to_page(pfn)


def print_bad_page_map(vma: vm_area_struct, addr: int, entry: int, page: page | None) -> None:
    """Report an entry that no kernel code can have written."""
    hooks.violation("bad-page-map", "print_bad_page_map", address=addr, entry=entry)


def should_zap_cows(details: zap_details | None) -> bool:
    """Whether private copies go too. They do unless the caller says otherwise."""
    if details is None:
        return True

    VM_WARN_ON_ONCE(details.skip_cows and details.reclaim_pt)

    return not details.skip_cows


def should_zap_folio(details: zap_details | None, folio: folio) -> bool:
    """Whether this folio's mapping goes."""
    if should_zap_cows(details):
        return True

    raise hooks.Unported("mm/memory.c", "should_zap_folio (skip_cows)")


def zap_present_folio_ptes(tlb: mmu_gather, vma: vm_area_struct, folio: folio, page: page,
                           pte: pte_ptr, ptent: pte_t, nr: int, addr: int,
                           details: zap_details | None) -> tuple[bool, bool]:
    """Clear the entry of one small anonymous folio and queue the page behind it.

    :return: whether the gather is full: ``*force_flush`` and ``*force_break``.
    """
    mm = tlb.mm

    if not folio_test_anon(folio):
        raise hooks.Unported("mm/memory.c", "zap_present_folio_ptes (file folio)")
    # Accessed and dirty bits of anonymous pages do not matter any more.
    ptep_get_and_clear_full(mm, addr, pte, tlb.fullmm)
    tlb_remove_tlb_entry(tlb, pte, addr)

    folio_remove_rmap_ptes(folio, page, nr, vma)
    if __tlb_remove_folio_pages(tlb, page, nr, False):
        return True, True
    return False, False


def zap_present_ptes(tlb: mmu_gather, vma: vm_area_struct, pte: pte_ptr, ptent: pte_t, max_nr: int,
                     addr: int, details: zap_details | None) -> tuple[int, bool, bool, bool]:
    """Clear a present entry.

    :return: entries dealt with, ``*force_flush``, ``*force_break``, ``*any_skipped``.
    """
    mm = tlb.mm

    page = vm_normal_page(vma, addr, ptent)
    if page is None:
        ptep_get_and_clear_full(mm, addr, pte, tlb.fullmm)
        tlb_remove_tlb_entry(tlb, pte, addr)
        return 1, False, False, False

    folio = page_folio(page)
    if not should_zap_folio(details, folio):
        return 1, False, False, True

    if folio_test_large(folio):
        raise hooks.Unported("mm/memory.c", "zap_present_ptes (large folio)")
    force_flush, force_break = zap_present_folio_ptes(tlb, vma, folio, page, pte, ptent, 1, addr,
                                                      details)
    return 1, force_flush, force_break, False


def zap_nonpresent_ptes(tlb: mmu_gather, vma: vm_area_struct, pte: pte_ptr, ptent: pte_t, max_nr: int,
                        addr: int, details: zap_details | None) -> tuple[int, bool]:
    """Swap, migration and marker entries. Not ported: nothing here makes them."""
    raise hooks.Unported("mm/memory.c", "zap_nonpresent_ptes")


def do_zap_pte_range(tlb: mmu_gather, vma: vm_area_struct, pte: pte_ptr, addr: int, end: int,
                     details: zap_details | None) -> tuple[int, bool, bool, bool]:
    """Skip empty entries, then clear one that is not.

    :return: entries dealt with, ``*force_flush``, ``*force_break``, ``*any_skipped``.
    """
    ptent = ptep_get(pte)
    max_nr = (end - addr) // PAGE_SIZE
    nr = 0

    if pte_none(ptent):
        nr = 1
        while nr < max_nr:
            ptent = ptep_get(pte + nr)
            if not pte_none(ptent):
                break
            nr += 1
        max_nr -= nr
        if not max_nr:
            return nr, False, False, False
        pte += nr
        addr += nr * PAGE_SIZE

    if pte_present(ptent):
        done, force_flush, force_break, any_skipped = zap_present_ptes(
            tlb, vma, pte, ptent, max_nr, addr, details)
        return nr + done, force_flush, force_break, any_skipped

    done, any_skipped = zap_nonpresent_ptes(tlb, vma, pte, ptent, max_nr, addr, details)
    return nr + done, False, False, any_skipped


def pte_table_reclaim_possible(start: int, end: int, details: zap_details | None) -> bool:
    """Whether the PTE table may go too: the caller asks for it and covers all of it."""
    if not CONFIG_PT_RECLAIM:
        return False
    return details is not None and details.reclaim_pt and end - start >= PMD_SIZE


def zap_empty_pte_table(mm: mm_struct, pmd: pmd_ptr, ptl: spinlock_t) -> tuple[bool, pmd_t]:
    """Unlink a PTE table that the holder of its lock has just emptied.

    The locks nest the other way round, so the lock of *pmd* is only tried.

    :return: whether it is unlinked, and what *pmd* was (``*pmdval``).
    :context: *ptl* held.
    """
    pml = pmd_lockptr(mm, pmd)

    if ptl is not pml and not spin_trylock(pml):
        return False, cast("pmd_t", 0)

    pmdval = pmdp_get(pmd)
    pmd_clear(pmd)
    if ptl is not pml:
        spin_unlock(pml)
    return True, pmdval


def zap_pte_table_if_empty(mm: mm_struct, pmd: pmd_ptr, addr: int) -> tuple[bool, pmd_t]:
    """Look at every entry of a PTE table under both locks, and unlink it if all are empty.

    :return: whether it is unlinked, and what *pmd* was (``*pmdval``).
    """
    ptl: spinlock_t | None = None
    start_pte: pte_ptr | None = None
    pmdval = cast("pmd_t", 0)

    def out_ptl() -> tuple[bool, pmd_t]:
        if start_pte is not None:
            assert ptl is not None
            pte_unmap_unlock(start_pte, ptl)
        if ptl is not pml:
            spin_unlock(pml)
        return False, pmdval

    pml = pmd_lock(mm, pmd)
    start_pte, pmdval, ptl = pte_offset_map_rw_nolock(mm, pmd, addr)
    if start_pte is None:
        return out_ptl()
    assert ptl is not None
    if ptl is not pml:
        spin_lock_nested(ptl, SINGLE_DEPTH_NESTING)

    pte = start_pte
    for _i in range(PTRS_PER_PTE):
        if not pte_none(ptep_get(pte)):
            return out_ptl()
        pte += 1
    pte_unmap(start_pte)

    pmd_clear(pmd)

    if ptl is not pml:
        spin_unlock(ptl)
    spin_unlock(pml)
    return True, pmdval


def zap_pte_range(tlb: mmu_gather, vma: vm_area_struct, pmd: pmd_ptr, addr: int, end: int,
                  details: zap_details | None) -> int:
    """Clear the entries of ``[addr, end)`` in one PTE table; free the table too if that was asked for.

    The table is gathered for *start*, the address that it maps: *addr* has moved on by then.

    :return: where it stopped: *end*, or earlier if the table has gone.
    :context: takes the page-table lock.
    """
    can_reclaim_pt = pte_table_reclaim_possible(addr, end, details)
    force_flush = force_break = False
    mm = tlb.mm
    pmdval = cast("pmd_t", 0)
    start = addr
    direct_reclaim = True

    while True:
        tlb_change_page_size(tlb, PAGE_SIZE)
        start_pte, ptl = pte_offset_map_lock(mm, pmd, addr)
        pte = start_pte
        if start_pte is None or pte is None or ptl is None:
            return addr

        flush_tlb_batched_pending(mm)
        lazy_mmu_mode_enable()
        while True:
            if need_resched():
                direct_reclaim = False
                break

            nr, flush, break_, any_skipped = do_zap_pte_range(tlb, vma, pte, addr, end, details)
            force_flush |= flush
            force_break |= break_
            if any_skipped:
                can_reclaim_pt = False
            if force_break:
                addr += nr * PAGE_SIZE
                direct_reclaim = False
                break
            pte += nr
            addr += PAGE_SIZE * nr
            if addr == end:
                break

        # While the lock is still held the table is known to be empty. Otherwise every entry must
        # be looked at again below: others may have filled them.
        if can_reclaim_pt and direct_reclaim and addr == end:
            direct_reclaim, pmdval = zap_empty_pte_table(mm, pmd, ptl)

        lazy_mmu_mode_disable()

        # Before the lock goes.
        if force_flush:
            tlb_flush_mmu_tlbonly(tlb)
            tlb_flush_rmaps(tlb, vma)
        pte_unmap_unlock(start_pte, ptl)

        if force_flush:
            tlb_flush_mmu(tlb)

        if addr != end:
            cond_resched()
            force_flush = False
            force_break = False
            continue
        break

    if can_reclaim_pt:
        unlinked = direct_reclaim
        if not unlinked:
            unlinked, pmdval = zap_pte_table_if_empty(mm, pmd, start)
        if unlinked:
            pte_free_tlb(tlb, pmd_pgtable(pmdval), start)
            mm_dec_nr_ptes(mm)

    return addr


def zap_pmd_range(tlb: mmu_gather, vma: vm_area_struct, pud: pud_ptr, addr: int, end: int,
                  details: zap_details | None) -> int:
    """Clear the entries below one PMD table; where it stopped."""
    pmd = pmd_offset(pud, addr)
    while True:
        next = pmd_addr_end(addr, end)
        if pmd_is_huge(pmd[0]):
            raise hooks.Unported("mm/huge_memory.c", "zap_huge_pmd")
        if details is not None and details.single_folio is not None:
            raise hooks.Unported("mm/memory.c", "zap_pmd_range (single_folio)")
        if pmd_none(pmd[0]):
            addr = next
        else:
            addr = zap_pte_range(tlb, vma, pmd, addr, next, details)
            if addr != next:
                pmd -= 1
        pmd += 1
        cond_resched()
        if addr == end:
            break

    return addr


def zap_pud_range(tlb: mmu_gather, vma: vm_area_struct, p4d: p4d_ptr, addr: int, end: int,
                  details: zap_details | None) -> int:
    """Clear the entries below one PUD table; where it stopped."""
    pud = pud_offset(p4d, addr)
    while True:
        next = pud_addr_end(addr, end)
        if pud_trans_huge(pud[0]):
            raise hooks.Unported("mm/huge_memory.c", "zap_huge_pud")
        if not pud_none_or_clear_bad(pud):
            next = zap_pmd_range(tlb, vma, pud, addr, next, details)
            cond_resched()
        pud += 1
        addr = next
        if addr == end:
            break

    return addr


def zap_p4d_range(tlb: mmu_gather, vma: vm_area_struct, pgd: pgd_ptr, addr: int, end: int,
                  details: zap_details | None) -> int:
    """Clear the entries below one P4D table; where it stopped."""
    p4d = p4d_offset(pgd, addr)
    while True:
        next = p4d_addr_end(addr, end)
        if not p4d_none_or_clear_bad(p4d):
            next = zap_pud_range(tlb, vma, p4d, addr, next, details)
        p4d += 1
        addr = next
        if addr == end:
            break

    return addr


def __zap_vma_range(tlb: mmu_gather, vma: vm_area_struct, start: int, end: int,
                    details: zap_details | None) -> None:
    """Clear every entry of ``[start, end)`` of one VMA."""
    VM_WARN_ON_ONCE(start >= end or not range_in_vma(vma, start, end))

    if is_vm_hugetlb_page(vma):
        raise hooks.Unported("mm/hugetlb.c", "__unmap_hugepage_range")

    addr = start

    tlb_start_vma(tlb, vma)
    pgd = pgd_offset(vma.vm_mm, addr)
    while True:
        next = pgd_addr_end(addr, end)
        if not pgd_none_or_clear_bad(pgd):
            next = zap_p4d_range(tlb, vma, pgd, addr, next, details)
        pgd += 1
        addr = next
        if addr == end:
            break
    tlb_end_vma(tlb, vma)


def zap_vma_for_reaping(vma: vm_area_struct) -> int:
    """Clear a VMA for the OOM reaper, without sleeping. 0, or ``-EBUSY`` if a notifier must sleep."""
    details = zap_details.zeroed()
    details.reaping = True
    range = mmu_notifier_range()
    tlb = mmu_gather()

    mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, vma.vm_mm, vma.vm_start, vma.vm_end)
    tlb_gather_mmu(tlb, vma.vm_mm)
    if mmu_notifier_invalidate_range_start_nonblock(range):
        tlb_finish_mmu(tlb)
        return -EBUSY
    __zap_vma_range(tlb, vma, range.start, range.end, details)
    mmu_notifier_invalidate_range_end(range)
    tlb_finish_mmu(tlb)
    return 0


def unmap_vmas(tlb: mmu_gather, unmap: unmap_desc) -> None:
    """Clear every entry of a list of VMAs. The caller flushes what is left afterwards.

    :param unmap: the VMAs, in ascending order, and the range to clear.
    """
    details = zap_details.zeroed()
    details.zap_flags = ZAP_FLAG_DROP_MARKER | ZAP_FLAG_UNMAP
    range = mmu_notifier_range()

    vma = unmap.first
    mmu_notifier_range_init(range, MMU_NOTIFY_UNMAP, 0, vma.vm_mm, unmap.vma_start, unmap.vma_end)
    mmu_notifier_invalidate_range_start(range)
    while True:
        start = max(vma.vm_start, unmap.vma_start)
        end = min(vma.vm_end, unmap.vma_end)

        __zap_vma_range(tlb, vma, start, end, details)
        vma = mas_find(unmap.mas, ulong(unmap.tree_end - 1))
        if vma is None:
            break
    mmu_notifier_invalidate_range_end(range)


def zap_vma_range_batched(tlb: mmu_gather, vma: vm_area_struct, address: int, size: int,
                          details: zap_details | None) -> None:
    """Clear the entries of a range of one VMA into the caller's gather.

    :param details: what to spare; NULL clears everything.
    """
    end = address + size
    range = mmu_notifier_range()

    VM_WARN_ON_ONCE(tlb is None or tlb.mm is not vma.vm_mm)

    if not size:
        return

    mmu_notifier_range_init(range, MMU_NOTIFY_CLEAR, 0, vma.vm_mm, address, end)
    mmu_notifier_invalidate_range_start(range)
    __zap_vma_range(tlb, vma, address, end, details)
    mmu_notifier_invalidate_range_end(range)


def zap_vma_range(vma: vm_area_struct, address: int, size: int) -> None:
    """Clear the entries of a range of one VMA."""
    tlb = mmu_gather()

    tlb_gather_mmu(tlb, vma.vm_mm)
    zap_vma_range_batched(tlb, vma, address, size, None)
    tlb_finish_mmu(tlb)


def zap_special_vma_range(vma: vm_area_struct, address: int, size: int) -> None:
    """Clear the entries of a range of a VMA of device memory; other VMAs are left alone."""
    if not range_in_vma(vma, address, address + size) or not (vma.vm_flags & (VM_PFNMAP | VM_MIXEDMAP)):
        return

    zap_vma_range(vma, address, size)


def walk_to_pmd(mm: mm_struct, addr: int) -> pmd_ptr | None:
    """Allocate the tables down to the pmd of *addr*; None if memory ran out."""
    pgd = pgd_offset(mm, addr)
    p4d = p4d_alloc(mm, pgd, addr)
    if p4d is None:
        return None
    pud = pud_alloc(mm, p4d, addr)
    if pud is None:
        return None
    pmd = pmd_alloc(mm, pud, addr)
    if pmd is None:
        return None

    VM_BUG_ON(pmd_trans_huge(pmd[0]))
    return pmd


def get_locked_pte(mm: mm_struct, addr: int) -> tuple[pte_ptr | None, spinlock_t | None]:
    """Allocate the tables of *addr* and lock its entry.

    :return: the entry (NULL if memory ran out) and its lock (``*ptl``).
    """
    pmd = walk_to_pmd(mm, addr)

    if pmd is None:
        return None, None
    return pte_alloc_map_lock(mm, pmd, addr)


# --- page faults ----------------------------------------------------------------------------------

def vmf_pte_changed(vmf: vm_fault) -> bool:
    """Whether the entry is no longer what the fault handler saw before it took the lock."""
    assert vmf.pte is not None
    if vmf.flags & FAULT_FLAG_ORIG_PTE_VALID:
        return not pte_same(ptep_get(vmf.pte), vmf.orig_pte)

    return not pte_none(ptep_get(vmf.pte))


def folio_prealloc(src_mm: mm_struct, vma: vm_area_struct, addr: int, need_zero: bool) -> folio | None:
    """A new page for *vma*, zeroed if asked; None if memory ran out."""
    if not need_zero:
        raise hooks.Unported("mm/memory.c", "folio_prealloc (copy)")
    return vma_alloc_zeroed_movable_folio(vma, addr)


def alloc_anon_folio(vmf: vm_fault) -> folio | None:
    """A new zeroed page for anonymous memory.

    :deviation: no large folios, as if every size were set to "never" in sysfs.
    """
    vma = vmf.vma
    return folio_prealloc(vma.vm_mm, vma, vmf.address, True)


def map_anon_folio_pte_nopf(folio: folio, pte: pte_ptr, vma: vm_area_struct, addr: int,
                            uffd_wp: bool) -> None:
    """Map a new anonymous page at *pte*, which is empty. :context: page-table lock held."""
    nr_pages = 1
    entry = folio_mk_pte(folio, vma.vm_page_prot)

    entry = pte_sw_mkyoung(entry)

    if vma.vm_flags & VM_WRITE:
        entry = pte_mkwrite(pte_mkdirty(entry), vma)

    folio_add_new_anon_rmap(folio, vma, addr, RMAP_EXCLUSIVE)
    set_ptes(vma.vm_mm, addr, pte, entry, nr_pages)
    update_mmu_cache(vma, addr, pte)


def map_anon_folio_pte_pf(folio: folio, pte: pte_ptr, vma: vm_area_struct, addr: int,
                          uffd_wp: bool) -> None:
    """Map a new anonymous page because of a page fault."""
    map_anon_folio_pte_nopf(folio, pte, vma, addr, uffd_wp)


def do_anonymous_page(vmf: vm_fault) -> vm_fault_t:
    """A fault on an empty entry of anonymous memory: map the zero page, or a page of our own.

    :return: 0, also when somebody else was faster, or an error.
    :context: ``mmap_lock`` or the VMA lock held; takes the page-table lock.
    """
    vma = vmf.vma
    addr = vmf.address

    def unlock(ret: int) -> vm_fault_t:
        if vmf.pte is not None:
            pte_unmap_unlock(vmf.pte, vmf.ptl)
        return vm_fault_t(ret)

    # A file mapping without operations.
    if vma.vm_flags & VM_SHARED:
        return VM_FAULT_SIGBUS

    if pte_alloc(vma.vm_mm, vmf.pmd):
        return VM_FAULT_OOM

    if not (vmf.flags & FAULT_FLAG_WRITE):
        entry = pte_mkspecial(pfn_pte(zero_pfn(vmf.address), vma.vm_page_prot))
        vmf.pte, ptl = pte_offset_map_lock(vma.vm_mm, vmf.pmd, vmf.address)
        if vmf.pte is None or ptl is None:
            return unlock(0)
        vmf.ptl = ptl
        if vmf_pte_changed(vmf):
            update_mmu_tlb(vma, vmf.address, vmf.pte)
            return unlock(0)
        set_pte_at(vma.vm_mm, addr, vmf.pte, entry)

        # Nothing to flush: entries that are not present are not cached.
        update_mmu_cache(vma, addr, vmf.pte)
        return unlock(0)

    ret = vmf_anon_prepare(vmf)
    if ret:
        return ret
    folio = alloc_anon_folio(vmf)
    if IS_ERR(folio):
        return vm_fault_t(0)
    if folio is None:
        return VM_FAULT_OOM

    def release() -> vm_fault_t:
        folio_put(folio)
        return unlock(0)

    # Orders the page's contents before the entry that maps it.
    __folio_mark_uptodate(folio)

    vmf.pte, ptl = pte_offset_map_lock(vma.vm_mm, vmf.pmd, addr)
    if vmf.pte is None or ptl is None:
        return release()
    vmf.ptl = ptl
    if vmf_pte_changed(vmf):
        update_mmu_tlb(vma, addr, vmf.pte)
        return release()

    map_anon_folio_pte_pf(folio, vmf.pte, vma, addr, False)
    return unlock(0)


def do_pte_missing(vmf: vm_fault) -> vm_fault_t:
    """A fault on an empty entry."""
    if vma_is_anonymous(vmf.vma):
        return do_anonymous_page(vmf)
    raise hooks.Unported("mm/memory.c", "do_fault")


def handle_pte_fault(vmf: vm_fault) -> vm_fault_t:
    """A fault in a range that is mapped by PTEs. :context: ``mmap_lock`` or the VMA lock held."""
    if pmd_none(vmf.pmd[0]):
        # The table comes later: an empty one must not be shown to others before it is needed.
        vmf.pte = None
        vmf.flags &= ~FAULT_FLAG_ORIG_PTE_VALID
    else:
        vmf.pte, _dummy_pmdval, ptl = pte_offset_map_rw_nolock(vmf.vma.vm_mm, vmf.pmd, vmf.address)
        if vmf.pte is None or ptl is None:
            return vm_fault_t(0)
        vmf.ptl = ptl
        vmf.orig_pte = ptep_get_lockless(vmf.pte)
        vmf.flags |= FAULT_FLAG_ORIG_PTE_VALID

        if pte_none(vmf.orig_pte):
            pte_unmap(vmf.pte)
            vmf.pte = None

    if vmf.pte is None:
        return do_pte_missing(vmf)

    if not pte_present(vmf.orig_pte):
        raise hooks.Unported("mm/memory.c", "do_swap_page")

    if pte_protnone(vmf.orig_pte):
        raise hooks.Unported("mm/memory.c", "do_numa_page")

    spin_lock(vmf.ptl)
    entry = vmf.orig_pte

    def unlock() -> vm_fault_t:
        assert vmf.pte is not None
        pte_unmap_unlock(vmf.pte, vmf.ptl)
        return vm_fault_t(0)

    if not pte_same(ptep_get(vmf.pte), entry):
        update_mmu_tlb(vmf.vma, vmf.address, vmf.pte)
        return unlock()
    if vmf.flags & (FAULT_FLAG_WRITE | FAULT_FLAG_UNSHARE):
        if not pte_write(entry):
            raise hooks.Unported("mm/memory.c", "do_wp_page")
        if vmf.flags & FAULT_FLAG_WRITE:
            entry = pte_mkdirty(entry)
    entry = pte_mkyoung(entry)
    if ptep_set_access_flags(vmf.vma, vmf.address, vmf.pte, entry, vmf.flags & FAULT_FLAG_WRITE):
        update_mmu_cache(vmf.vma, vmf.address, vmf.pte)
    # else a spurious fault: x86 has nothing to flush for it (flush_tlb_fix_spurious_fault).
    return unlock()


def __handle_mm_fault(vma: vm_area_struct, address: int, flags: int) -> vm_fault_t:
    """Allocate the tables down to the pmd, then handle the fault below it.

    :context: ``mmap_lock`` or the VMA lock held.
    :deviation: huge pages are never made, as if transparent huge pages were set to "never".
    """
    vmf = vm_fault.zeroed()
    vmf.vma = vma
    vmf.address = address & PAGE_MASK
    vmf.real_address = address
    vmf.flags = flags
    vmf.pgoff = linear_page_index(vma, address)
    mm = vma.vm_mm

    pgd = pgd_offset(mm, address)
    p4d = p4d_alloc(mm, pgd, address)
    if p4d is None:
        return VM_FAULT_OOM

    pud = pud_alloc(mm, p4d, address)
    if pud is None:
        return VM_FAULT_OOM
    vmf.pud = pud
    orig_pud = vmf.pud[0]

    barrier()
    if pud_trans_huge(orig_pud):
        raise hooks.Unported("mm/huge_memory.c", "huge_pud_set_accessed")

    pmd = pmd_alloc(mm, vmf.pud, address)
    if pmd is None:
        return VM_FAULT_OOM
    vmf.pmd = pmd

    orig_pmd = pmdp_get_lockless(vmf.pmd)
    if not pmd_none(orig_pmd):
        if not pmd_present(orig_pmd):
            raise hooks.Unported("mm/huge_memory.c", "pmd_migration_entry_wait")
        if pmd_trans_huge(orig_pmd):
            raise hooks.Unported("mm/huge_memory.c", "huge_pmd_set_accessed")

    return handle_pte_fault(vmf)


def sanitize_fault_flags(vma: vm_area_struct, flags: int) -> tuple[vm_fault_t, int]:
    """Refuse flags that contradict the VMA.

    :return: 0 or VM_FAULT_SIGSEGV, and the flags (``*flags``).
    """
    if flags & FAULT_FLAG_UNSHARE:
        if WARN_ON_ONCE(flags & FAULT_FLAG_WRITE):
            return VM_FAULT_SIGSEGV, flags
        if not is_cow_mapping(vma.vm_flags):
            flags &= ~FAULT_FLAG_UNSHARE
    elif flags & FAULT_FLAG_WRITE:
        if WARN_ON_ONCE(not (vma.vm_flags & VM_MAYWRITE)):
            return VM_FAULT_SIGSEGV, flags
        if WARN_ON_ONCE(not (vma.vm_flags & VM_WRITE) and not is_cow_mapping(vma.vm_flags)):
            return VM_FAULT_SIGSEGV, flags
    if WARN_ON_ONCE((flags & (FAULT_FLAG_VMA_LOCK | FAULT_FLAG_RETRY_NOWAIT))
                    == (FAULT_FLAG_VMA_LOCK | FAULT_FLAG_RETRY_NOWAIT)):
        return VM_FAULT_SIGSEGV, flags

    return vm_fault_t(0), flags


def handle_mm_fault(vma: vm_area_struct, address: int, flags: int, regs: object = None) -> vm_fault_t:
    """Handle a page fault at *address*, which lies in *vma*.

    :param flags: FAULT_FLAG_*.
    :param regs: not looked at (accounting).
    :return: 0 when the access can be tried again, else VM_FAULT_* bits.
    :context: ``mmap_lock`` or the VMA lock held; may sleep.
    """
    ret, flags = sanitize_fault_flags(vma, flags)
    if ret:
        return ret

    if not arch_vma_access_permitted(vma, bool(flags & FAULT_FLAG_WRITE),
                                     bool(flags & FAULT_FLAG_INSTRUCTION),
                                     bool(flags & FAULT_FLAG_REMOTE)):
        return VM_FAULT_SIGSEGV

    is_droppable = bool(vma.vm_flags & VM_DROPPABLE)

    if is_vm_hugetlb_page(vma):
        raise hooks.Unported("mm/hugetlb.c", "hugetlb_fault")
    ret = __handle_mm_fault(vma, address, flags)

    if is_droppable:
        ret = vm_fault_t(ret & ~VM_FAULT_OOM)

    return ret


# --- allocation of upper tables --------------------------------------------------------------------

def __p4d_alloc(mm: mm_struct, pgd: pgd_ptr, address: int) -> int:
    """Give *pgd* a P4D table; it may have got one in between. 0 or ``-ENOMEM``.

    :context: takes ``mm->page_table_lock``.
    """
    new = p4d_alloc_one(mm, address)
    if new is None:
        return -ENOMEM

    spin_lock(mm.page_table_lock)
    if pgd_present(pgd[0]):
        p4d_free(mm, new)
    else:
        smp_wmb()
        pgd_populate(mm, pgd, new)
    spin_unlock(mm.page_table_lock)
    return 0


def __pud_alloc(mm: mm_struct, p4d: p4d_ptr, address: int) -> int:
    """Give *p4d* a PUD table; it may have got one in between. 0 or ``-ENOMEM``.

    :context: takes ``mm->page_table_lock``.
    """
    new = pud_alloc_one(mm, address)
    if new is None:
        return -ENOMEM

    spin_lock(mm.page_table_lock)
    if not p4d_present(p4d[0]):
        mm_inc_nr_puds(mm)
        smp_wmb()
        p4d_populate(mm, p4d, new)
    else:
        pud_free(mm, new)
    spin_unlock(mm.page_table_lock)
    return 0


def __pmd_alloc(mm: mm_struct, pud: pud_ptr, address: int) -> int:
    """Give *pud* a PMD table; it may have got one in between. 0 or ``-ENOMEM``.

    :context: takes the lock of *pud*.
    """
    new = pmd_alloc_one(mm, address)
    if new is None:
        return -ENOMEM

    ptl = pud_lock(mm, pud)
    if not pud_present(pud[0]):
        mm_inc_nr_pmds(mm)
        smp_wmb()
        pud_populate(mm, pud, new)
    else:
        pmd_free(mm, new)
    spin_unlock(ptl)
    return 0


if CONFIG_SPLIT_PTE_PTLOCKS and ALLOC_SPLIT_PTLOCKS:
    def ptlock_cache_init() -> None:
        """Locks that do not fit into a ptdesc come from a cache of their own. :context: boot."""
        global page_ptl_cachep
        page_ptl_cachep = kmem_cache_create("page->ptl", spinlock_t)

    def ptlock_alloc(ptdesc: ptdesc) -> bool:
        """Give a page table its lock; whether memory sufficed."""
        assert page_ptl_cachep is not None, "ptlock_cache_init() was not called"
        ptl = kmem_cache_alloc(page_ptl_cachep, GFP_KERNEL)
        if ptl is None:
            return False
        ptdesc.ptl = cast("spinlock_t", ptl)
        return True

    def ptlock_free(ptdesc: ptdesc) -> None:
        """Take the lock of a page table away."""
        assert page_ptl_cachep is not None
        if ptdesc.ptl is not None:
            kmem_cache_free(page_ptl_cachep, ptdesc.ptl)


page_ptl_cachep: kmem_cache | None = None
