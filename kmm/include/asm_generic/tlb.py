# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/asm-generic/tlb.h (Linux 7.2): gather what is unmapped, flush, then free.

A page, or a page table, may be freed only when no TLB leads to it any more: first unhook, then
invalidate, then free. An ``mmu_gather`` collects what was unhooked and which range and levels to
invalidate. CONFIG symbols: every MMU_GATHER_*, HAVE_ARCH_TLB_REMOVE_TABLE, SMP,
HUGETLB_PMD_PAGE_TABLE_SHARING, INIT_STACK_ALL_ZERO.

:deviation: ``#ifdef tlb_flush`` is CONFIG_KMM_ARCH_TLB_FLUSH here. Two combinations that C refuses to
    compile are kept: MMU_GATHER_TABLE_FREE without MMU_GATHER_RCU_TABLE_FREE (there is no
    tlb_needs_table_invalidate() then; here it says yes), and MMU_GATHER_NO_RANGE on an architecture
    with its own tlb_flush() (which is then ignored).
:deviation: a batch overlays the page that was allocated for it; its fields are kept beside the page,
    not in its bytes. ``_addr`` is the address of that page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.c import Ptr, struct, uint, ulong
from kmm.include.generated.autoconf import (
    CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE,
    CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING,
    CONFIG_INIT_STACK_ALL_ZERO,
    CONFIG_KMM_ARCH_TLB_FLUSH,
    CONFIG_MMU_GATHER_MERGE_VMAS,
    CONFIG_MMU_GATHER_NO_FLUSH_CACHE,
    CONFIG_MMU_GATHER_NO_GATHER,
    CONFIG_MMU_GATHER_NO_RANGE,
    CONFIG_MMU_GATHER_PAGE_SIZE,
    CONFIG_MMU_GATHER_RCU_TABLE_FREE,
    CONFIG_MMU_GATHER_TABLE_FREE,
    CONFIG_SMP,
)
from kmm.include.linux.types import rcu_head
from kmm.include.vdso.page import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import (
        p4d_ptr,
        pgtable_t,
        pmd_ptr,
        pte_ptr,
        pud_ptr,
    )
    from kmm.include.linux.hugetlb import hstate
    from kmm.include.linux.mm_types import mm_struct, page, ptdesc, vm_area_struct

if CONFIG_MMU_GATHER_TABLE_FREE:
    class mmu_table_batch(struct):
        """``struct mmu_table_batch``: tables that are freed together."""

        if CONFIG_MMU_GATHER_RCU_TABLE_FREE:
            rcu: rcu_head
        nr: int
        tables: list[Any]
        _addr: int

        def __init__(self, addr: int) -> None:
            super().__init__()
            if CONFIG_MMU_GATHER_RCU_TABLE_FREE:
                self.embed("rcu", rcu_head())
            self.tables = [None] * MAX_TABLE_BATCH
            self._addr = addr

    # What offsetof(struct mmu_table_batch, tables) is on 64 bits: two pointers of rcu_head, nr, padding.
    MAX_TABLE_BATCH = (PAGE_SIZE - ((16 if CONFIG_MMU_GATHER_RCU_TABLE_FREE else 0) + 8)) // 8

    if not CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE:
        def __tlb_remove_table(table: ptdesc) -> None:
            """Destruct and free a table that nothing can reach any more."""
            ptdesc = table

            pagetable_dtor_free(ptdesc)
else:
    def tlb_remove_table(tlb: mmu_gather, table: ptdesc) -> None:
        """Queue a table for freeing, as the page it is.

        Its destructor runs now, before the flush.
        """
        ptdesc = table

        pagetable_dtor(ptdesc)
        tlb_remove_page(tlb, ptdesc_page(ptdesc))


def tlb_needs_table_invalidate() -> bool:
    """Whether the CPUs walk the tables that are freed: yes, on x86."""
    return True


if not CONFIG_MMU_GATHER_RCU_TABLE_FREE:
    def tlb_remove_table_sync_one() -> None:
        """The flush has already interrupted everybody."""

    def tlb_remove_table_sync_rcu() -> None:
        """The flush has already interrupted everybody."""


if not CONFIG_MMU_GATHER_NO_GATHER:
    # Slots of the batch inside the gather, used alone when no page can be had for a bigger one.
    MMU_GATHER_BUNDLE = 8

    # offsetof(struct mmu_gather_batch, encoded_pages) is 16 on 64 bits: next, nr, max.
    MAX_GATHER_BATCH = (PAGE_SIZE - 16) // 8

    # So that a flush frees 10,000 pages at most, for kernels that can not be preempted.
    MAX_GATHER_BATCH_COUNT = 10000 // MAX_GATHER_BATCH

    class mmu_gather_batch(struct):
        """``struct mmu_gather_batch``: pages that wait for the flush."""

        next: mmu_gather_batch | None
        nr: int
        max: int
        encoded_pages: list[Any]
        _addr: int

        def __init__(self, addr: int = 0, slots: int = MAX_GATHER_BATCH) -> None:
            super().__init__()
            self.encoded_pages = [None] * slots
            self._addr = addr


if not CONFIG_MMU_GATHER_NO_GATHER and CONFIG_SMP:
    def tlb_delay_rmap(tlb: mmu_gather) -> bool:
        """Note that rmap removals of this gather wait for the flush; true."""
        tlb.delayed_rmap = 1
        return True
else:
    # Nobody else can see the page in between.
    def tlb_delay_rmap(tlb: mmu_gather) -> bool:
        """False: rmap removal need not wait for a flush."""
        return False

    def tlb_flush_rmaps(tlb: mmu_gather, vma: vm_area_struct) -> None:
        """Nothing waits."""


class mmu_gather(struct):
    """``struct mmu_gather``: what one unmapping operation has to flush and to free.

    ``vma_exec`` and ``vma_huge`` are not set by tlb_gather_mmu(): unless the compiler zeroes stacks
    (CONFIG_INIT_STACK_ALL_ZERO) they can not be read before tlb_start_vma().
    """

    mm: Ptr[mm_struct]
    if CONFIG_MMU_GATHER_TABLE_FREE:
        batch: mmu_table_batch | None
    start: int
    end: int
    fullmm: int
    need_flush_all: int
    freed_tables: int
    delayed_rmap: int
    cleared_ptes: int
    cleared_pmds: int
    cleared_puds: int
    cleared_p4ds: int
    vma_exec: int
    vma_huge: int
    vma_pfn: int
    unshared_tables: int
    fully_unshared_tables: int
    batch_count: int
    if not CONFIG_MMU_GATHER_NO_GATHER:
        active: Ptr[mmu_gather_batch]
        local: mmu_gather_batch
        if CONFIG_MMU_GATHER_PAGE_SIZE:
            page_size: int

    def __init__(self) -> None:
        super().__init__()
        if not CONFIG_MMU_GATHER_NO_GATHER:
            self.embed("local", mmu_gather_batch(slots=MMU_GATHER_BUNDLE))
        if CONFIG_INIT_STACK_ALL_ZERO:
            self.vma_exec = self.vma_huge = self.need_flush_all = self.batch_count = 0


def __tlb_adjust_range(tlb: mmu_gather, address: int, range_size: int) -> None:
    """Widen the range to flush.

    :param range_size: ``unsigned int``: 4 GiB is 0.
    """
    tlb.start = min(tlb.start, address)
    tlb.end = max(tlb.end, ulong(address + uint(range_size)))


def __tlb_reset_range(tlb: mmu_gather) -> None:
    """Nothing to flush so far. What is known about the VMA stays: tlb_start_vma() will not come again."""
    if tlb.fullmm:
        tlb.start = tlb.end = ulong(~0)
    else:
        tlb.start = TASK_SIZE()
        tlb.end = 0
    tlb.freed_tables = 0
    tlb.cleared_ptes = 0
    tlb.cleared_pmds = 0
    tlb.cleared_puds = 0
    tlb.cleared_p4ds = 0
    tlb.unshared_tables = 0


if CONFIG_MMU_GATHER_NO_RANGE:
    def tlb_flush(tlb: mmu_gather) -> None:
        """Flush everything, if there is anything."""
        if tlb.end:
            flush_tlb_mm(tlb.mm)
elif not CONFIG_KMM_ARCH_TLB_FLUSH:
    def tlb_flush(tlb: mmu_gather) -> None:
        """Flush the range, or everything if that is what is unmapped."""
        if tlb.fullmm or tlb.need_flush_all:
            flush_tlb_mm(tlb.mm)
        elif tlb.end:
            vma = vm_area_struct_.zeroed()
            vma.vm_mm = tlb.mm
            vma.vm_flags = (VM_EXEC if tlb.vma_exec else 0) | (VM_HUGETLB if tlb.vma_huge else 0)

            flush_tlb_range(vma, tlb.start, tlb.end)


def tlb_update_vma_flags(tlb: mmu_gather, vma: vm_area_struct) -> None:
    """Remember what tlb_flush() has to know about the VMA."""
    tlb.vma_huge = int(is_vm_hugetlb_page(vma))
    tlb.vma_exec = int(bool(vma.vm_flags & VM_EXEC))

    # Stays set for later VMAs, see tlb_free_vmas().
    tlb.vma_pfn |= int(bool(vma.vm_flags & (VM_PFNMAP | VM_MIXEDMAP)))


def tlb_flush_mmu_tlbonly(tlb: mmu_gather) -> None:
    """Flush, if anything was recorded, and begin a new range. Frees nothing."""
    # Whoever widens the range sets one of these as well.
    if not (tlb.freed_tables or tlb.cleared_ptes or tlb.cleared_pmds or
            tlb.cleared_puds or tlb.cleared_p4ds or tlb.unshared_tables):
        return

    tlb_flush(tlb)
    __tlb_reset_range(tlb)


def tlb_remove_page_size(tlb: mmu_gather, page: page, page_size: int) -> None:
    """Queue a page for freeing; flush and free if the queue is full then."""
    if __tlb_remove_page_size(tlb, page, page_size):
        tlb_flush_mmu(tlb)


def tlb_remove_page(tlb: mmu_gather, page: page) -> None:
    """Queue a page for freeing; flush and free if the queue is full then."""
    return tlb_remove_page_size(tlb, page, PAGE_SIZE)


def tlb_remove_ptdesc(tlb: mmu_gather, pt: ptdesc) -> None:
    """Queue a table for freeing."""
    tlb_remove_table(tlb, pt)


def tlb_change_page_size(tlb: mmu_gather, page_size: int) -> None:
    """Say the size of what is unmapped next; a change flushes where flushing depends on it."""
    if CONFIG_MMU_GATHER_PAGE_SIZE:
        if tlb.page_size and tlb.page_size != page_size:
            if not tlb.fullmm and not tlb.need_flush_all:
                tlb_flush_mmu(tlb)

        tlb.page_size = page_size


def tlb_get_unmap_shift(tlb: mmu_gather) -> int:
    """log2 of the smallest size that was unmapped in the range."""
    if tlb.cleared_ptes:
        return PAGE_SHIFT
    if tlb.cleared_pmds:
        return PMD_SHIFT
    if tlb.cleared_puds:
        return PUD_SHIFT
    if tlb.cleared_p4ds:
        return P4D_SHIFT

    return PAGE_SHIFT


def tlb_get_unmap_size(tlb: mmu_gather) -> int:
    """The smallest size that was unmapped in the range."""
    return 1 << tlb_get_unmap_shift(tlb)


def tlb_start_vma(tlb: mmu_gather, vma: vm_area_struct) -> None:
    """What follows belongs to *vma*. Irrelevant if everything goes."""
    if tlb.fullmm:
        return

    tlb_update_vma_flags(tlb, vma)
    if not CONFIG_MMU_GATHER_NO_FLUSH_CACHE:
        flush_cache_range(vma, vma.vm_start, vma.vm_end)


def tlb_end_vma(tlb: mmu_gather, vma: vm_area_struct) -> None:
    """The end of *vma*: flush, so that the range does not grow over the hole behind it."""
    if tlb.fullmm or CONFIG_MMU_GATHER_MERGE_VMAS:
        return

    tlb_flush_mmu_tlbonly(tlb)


def tlb_free_vmas(tlb: mmu_gather) -> None:
    """VMAs are about to be unlinked.

    Where frames are mapped whose pages are not counted, nothing but the flush keeps a later
    unmap_mapping_range(), which does not find the VMA any more, from returning too early.
    """
    if tlb.fullmm:
        return

    if tlb.vma_pfn:
        tlb_flush_mmu_tlbonly(tlb)


def tlb_flush_pte_range(tlb: mmu_gather, address: int, size: int) -> None:
    """Ptes were cleared."""
    __tlb_adjust_range(tlb, address, size)
    tlb.cleared_ptes = 1


def tlb_flush_pmd_range(tlb: mmu_gather, address: int, size: int) -> None:
    """Pmd entries were cleared."""
    __tlb_adjust_range(tlb, address, size)
    tlb.cleared_pmds = 1


def tlb_flush_pud_range(tlb: mmu_gather, address: int, size: int) -> None:
    """Pud entries were cleared."""
    __tlb_adjust_range(tlb, address, size)
    tlb.cleared_puds = 1


def tlb_flush_p4d_range(tlb: mmu_gather, address: int, size: int) -> None:
    """P4d entries were cleared."""
    __tlb_adjust_range(tlb, address, size)
    tlb.cleared_p4ds = 1


def __tlb_remove_tlb_entry(tlb: mmu_gather, ptep: pte_ptr, address: int) -> None:
    """Nothing more to record."""


def tlb_remove_tlb_entry(tlb: mmu_gather, ptep: pte_ptr, address: int) -> None:
    """A pte that was present is cleared."""
    tlb_flush_pte_range(tlb, address, PAGE_SIZE)
    __tlb_remove_tlb_entry(tlb, ptep, address)


def tlb_remove_tlb_entries(tlb: mmu_gather, ptep: pte_ptr, nr: int, address: int) -> None:
    """*nr* consecutive ptes that were present are cleared."""
    tlb_flush_pte_range(tlb, address, PAGE_SIZE * nr)
    while True:
        __tlb_remove_tlb_entry(tlb, ptep, address)
        nr -= 1
        if nr == 0:
            break
        ptep += 1
        address += PAGE_SIZE


def tlb_remove_huge_tlb_entry(h: hstate, tlb: mmu_gather, ptep: pte_ptr, address: int) -> None:
    """An entry of hugetlbfs that was present is cleared."""
    _sz = huge_page_size(h)
    if _sz >= P4D_SIZE:
        tlb_flush_p4d_range(tlb, address, _sz)
    elif _sz >= PUD_SIZE:
        tlb_flush_pud_range(tlb, address, _sz)
    elif _sz >= PMD_SIZE:
        tlb_flush_pmd_range(tlb, address, _sz)
    else:
        tlb_flush_pte_range(tlb, address, _sz)
    __tlb_remove_tlb_entry(tlb, ptep, address)


def __tlb_remove_pmd_tlb_entry(tlb: mmu_gather, pmdp: pmd_ptr, address: int) -> None:
    """Nothing more to record."""


def tlb_remove_pmd_tlb_entry(tlb: mmu_gather, pmdp: pmd_ptr, address: int) -> None:
    """A huge pmd entry is cleared."""
    tlb_flush_pmd_range(tlb, address, PMD_SIZE)
    __tlb_remove_pmd_tlb_entry(tlb, pmdp, address)


def __tlb_remove_pud_tlb_entry(tlb: mmu_gather, pudp: pud_ptr, address: int) -> None:
    """Nothing more to record."""


def tlb_remove_pud_tlb_entry(tlb: mmu_gather, pudp: pud_ptr, address: int) -> None:
    """A huge pud entry is cleared."""
    tlb_flush_pud_range(tlb, address, PUD_SIZE)
    __tlb_remove_pud_tlb_entry(tlb, pudp, address)


# A table is freed when the entry above it was cleared: its level is that entry's. One page is range
# enough, since flushing any address drops the paging-structure caches that lead to it.
def pte_free_tlb(tlb: mmu_gather, ptep: pgtable_t, address: int) -> None:
    """Free a PTE table that was unhooked from its pmd entry."""
    tlb_flush_pmd_range(tlb, address, PAGE_SIZE)
    tlb.freed_tables = 1
    __pte_free_tlb(tlb, ptep, address)


def pmd_free_tlb(tlb: mmu_gather, pmdp: pmd_ptr, address: int) -> None:
    """Free a PMD table that was unhooked from its pud entry."""
    tlb_flush_pud_range(tlb, address, PAGE_SIZE)
    tlb.freed_tables = 1
    __pmd_free_tlb(tlb, pmdp, address)


def pud_free_tlb(tlb: mmu_gather, pudp: pud_ptr, address: int) -> None:
    """Free a PUD table that was unhooked from its p4d entry."""
    tlb_flush_p4d_range(tlb, address, PAGE_SIZE)
    tlb.freed_tables = 1
    __pud_free_tlb(tlb, pudp, address)


def p4d_free_tlb(tlb: mmu_gather, pudp: p4d_ptr, address: int) -> None:
    """Free a P4D table that was unhooked from its pgd entry. No level bit: the stride is a page."""
    __tlb_adjust_range(tlb, address, PAGE_SIZE)
    tlb.freed_tables = 1
    __p4d_free_tlb(tlb, pudp, address)


if CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING:
    def tlb_unshare_pmd_ptdesc(tlb: mmu_gather, pt: ptdesc, addr: int) -> None:
        """A PMD table that other mms share was unhooked here.

        :context: until tlb_flush_unshared_tables() the caller keeps the table from being unshared by
            all others and used again.
        """
        VM_WARN_ON_ONCE(not ptdesc_pmd_is_shared(pt))
        ptdesc_pmd_pts_dec(pt)

        # What was cleared is a pud entry, but the leaves are in the PMD table.
        tlb_flush_pmd_range(tlb, addr & PUD_MASK, PUD_SIZE)

        if not ptdesc_pmd_is_shared(pt):
            tlb.fully_unshared_tables = 1
        tlb.unshared_tables = 1

    def tlb_flush_unshared_tables(tlb: mmu_gather) -> None:
        """Make sure that no walker is in a table that was shared, before it can be used again."""
        if tlb.unshared_tables:
            tlb_flush_mmu_tlbonly(tlb)

        # GUP-fast walks with interrupts off; only the last sharer has to wait for it.
        if tlb.fully_unshared_tables:
            tlb_remove_table_sync_one()
            tlb.fully_unshared_tables = 0


# Included first in C, or declared here and defined there:
from kmm.arch.x86.include.asm.page_types import TASK_SIZE
from kmm.arch.x86.include.asm.pgalloc import (
    __p4d_free_tlb,
    __pmd_free_tlb,
    __pte_free_tlb,
    __pud_free_tlb,
)
from kmm.arch.x86.include.asm.pgtable_64_types import (
    P4D_SHIFT,
    P4D_SIZE,
    PMD_SHIFT,
    PMD_SIZE,
    PUD_MASK,
    PUD_SHIFT,
    PUD_SIZE,
)
from kmm.arch.x86.include.asm.tlbflush import flush_tlb_mm, flush_tlb_range
from kmm.include.asm_generic.cacheflush import flush_cache_range
from kmm.include.linux.hugetlb import huge_page_size
from kmm.include.linux.mm import (
    VM_EXEC,
    VM_HUGETLB,
    VM_MIXEDMAP,
    VM_PFNMAP,
    is_vm_hugetlb_page,
    pagetable_dtor,
    pagetable_dtor_free,
)
from kmm.include.linux.mm_types import ptdesc_page
from kmm.include.linux.mm_types import vm_area_struct as vm_area_struct_
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE
from kmm.mm.mmu_gather import tlb_flush_mmu as tlb_flush_mmu

if not CONFIG_MMU_GATHER_NO_RANGE and CONFIG_KMM_ARCH_TLB_FLUSH:
    from kmm.arch.x86.include.asm.tlb import tlb_flush
if CONFIG_MMU_GATHER_NO_GATHER:
    from kmm.arch.x86.include.asm.tlb import __tlb_remove_folio_pages as __tlb_remove_folio_pages
    from kmm.arch.x86.include.asm.tlb import __tlb_remove_page_size
else:
    from kmm.mm.mmu_gather import __tlb_remove_folio_pages as __tlb_remove_folio_pages
    from kmm.mm.mmu_gather import __tlb_remove_page_size
    if CONFIG_SMP:
        from kmm.mm.mmu_gather import tlb_flush_rmaps as tlb_flush_rmaps
if CONFIG_MMU_GATHER_TABLE_FREE:
    from kmm.mm.mmu_gather import tlb_remove_table
if CONFIG_MMU_GATHER_RCU_TABLE_FREE:
    from kmm.mm.mmu_gather import tlb_remove_table_sync_one
    from kmm.mm.mmu_gather import tlb_remove_table_sync_rcu as tlb_remove_table_sync_rcu
if CONFIG_HUGETLB_PMD_PAGE_TABLE_SHARING:
    from kmm.include.linux.mm_types import ptdesc_pmd_is_shared, ptdesc_pmd_pts_dec
