# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mm.h (Linux 7.2): page tables, references to pages, VMA flags.

The life of a page table is here: ``pagetable_alloc()``, a constructor per level (lock, page type,
accounting), ``pagetable_dtor()``, ``pagetable_free()``; and the lock that guards each entry.
CONFIG symbols: SPLIT_PTE_PTLOCKS, SPLIT_PMD_PTLOCKS (and ALLOC_SPLIT_PTLOCKS), TRANSPARENT_HUGEPAGE,
ASYNC_KERNEL_PGTABLE_FREE, MEM_SOFT_DIRTY.
Left out: nearly all else of a header of 5,000 lines.

Out-parameters become results: ``pte_offset_map_lock()`` gives ``(pte, ptl)``, both None without a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm.arch.x86.include.asm.pgtable_64_types import PTRS_PER_PMD, PTRS_PER_PTE, PTRS_PER_PUD
from kmm.arch.x86.include.asm.pgtable_types import (
    p4d_ptr,
    pgd_ptr,
    pmd_ptr,
    pmd_t,
    pte_ptr,
    pte_t,
    pud_ptr,
)
from kmm.c import Ptr, cell, struct
from kmm.include.generated.autoconf import (
    CONFIG_ASYNC_KERNEL_PGTABLE_FREE,
    CONFIG_INIT_ON_FREE_DEFAULT_ON,
    CONFIG_MEM_SOFT_DIRTY,
    CONFIG_PAGE_POISONING,
    CONFIG_SPLIT_PMD_PTLOCKS,
    CONFIG_SPLIT_PTE_PTLOCKS,
    CONFIG_TRANSPARENT_HUGEPAGE,
)
from kmm.include.linux.maple_tree import mtree_load
from kmm.include.linux.mm_types import folio
from kmm.include.linux.mm_types_task import ALLOC_SPLIT_PTLOCKS
from kmm.include.linux.types import gfp_t
from kmm.include.vdso.page import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgprot_t, pgtable_t
    from kmm.include.linux.mm_types import page as page_t

# --- VMA flags ----------------------------------------------------------------------------------------

VM_NONE = 0
VM_READ = 1 << 0
VM_WRITE = 1 << 1
VM_EXEC = 1 << 2
VM_SHARED = 1 << 3
VM_MAYREAD = 1 << 4
VM_MAYWRITE = 1 << 5
VM_MAYEXEC = 1 << 6
VM_MAYSHARE = 1 << 7
VM_GROWSDOWN = 1 << 8
VM_UFFD_MISSING = 1 << 9
VM_PFNMAP = 1 << 10
VM_MAYBE_GUARD = 1 << 11
VM_UFFD_WP = 1 << 12
VM_LOCKED = 1 << 13
VM_IO = 1 << 14
VM_SEQ_READ = 1 << 15
VM_RAND_READ = 1 << 16
VM_DONTCOPY = 1 << 17
VM_DONTEXPAND = 1 << 18
VM_LOCKONFAULT = 1 << 19
VM_ACCOUNT = 1 << 20
VM_NORESERVE = 1 << 21
VM_HUGETLB = 1 << 22
VM_SYNC = 1 << 23
VM_ARCH_1 = 1 << 24
VM_WIPEONFORK = 1 << 25
VM_DONTDUMP = 1 << 26
VM_SOFTDIRTY = 1 << 27 if CONFIG_MEM_SOFT_DIRTY else VM_NONE
VM_MIXEDMAP = 1 << 28
VM_HUGEPAGE = 1 << 29
VM_NOHUGEPAGE = 1 << 30
VM_MERGEABLE = 1 << 31
VM_STACK = VM_GROWSDOWN
VM_PKEY_SHIFT = 32
VM_SHADOW_STACK = 1 << 37
VM_DROPPABLE = 1 << 40
VM_UFFD_MINOR = 1 << 41
VM_SEALED = 1 << 42
VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP
VM_NO_KHUGEPAGED = VM_SPECIAL | VM_HUGETLB


class vm_fault(struct):
    """``struct vm_fault``: one page fault on its way down."""

    vma: Ptr[vm_area_struct]
    gfp_mask: int
    pgoff: int
    address: int
    real_address: int
    flags: int
    pmd: Ptr[pmd_ptr]
    pud: Ptr[pud_ptr]
    orig_pte: pte_t
    orig_pmd: pmd_t
    cow_page: page_t | None
    page: page_t | None
    pte: pte_ptr | None
    ptl: Ptr[spinlock_t]
    prealloc_pte: page_t | None


def vma_is_anonymous(vma: vm_area_struct) -> bool:
    """Whether no file and no driver stands behind a VMA."""
    return not vma.vm_ops


def is_vm_hugetlb_page(vma: vm_area_struct) -> bool:
    """Whether hugetlbfs stands behind a VMA (include/linux/hugetlb_inline.h)."""
    return bool(vma.vm_flags & VM_HUGETLB)


# --- references ---------------------------------------------------------------------------------------

def folio_large_order(folio: folio) -> int:
    """The order of a folio of several pages."""
    return folio._flags_1 & 0xff


def compound_order(page: page) -> int:
    """The order of the compound page that *page* is the head of, else 0."""
    folio = cast("folio_t", page)

    if not (folio.flags.f >> 6 & 1):
        return 0
    return folio_large_order(folio)


def folio_order(folio: folio) -> int:
    """The order of a folio."""
    return compound_order(folio.page)


def folio_nr_pages(folio: folio) -> int:
    """Number of pages of a folio."""
    return 1 << compound_order(folio.page)


def page_ref_count(page: page) -> int:
    """The reference count (include/linux/page_ref.h)."""
    return atomic_read(page._refcount)


def folio_ref_count(folio: folio) -> int:
    """The reference count."""
    return page_ref_count(folio.page)


def set_page_count(page: page, v: int) -> None:
    """Set the reference count."""
    atomic_set(page._refcount, v)


def init_page_count(page: page) -> None:
    """One reference."""
    set_page_count(page, 1)


def page_ref_add(page: page, nr: int) -> None:
    """Take references."""
    atomic_add(nr, page._refcount)


def page_ref_inc(page: page) -> None:
    """Take a reference."""
    atomic_inc(page._refcount)


def folio_ref_add(folio: folio, nr: int) -> None:
    """Take references."""
    page_ref_add(folio.page, nr)


def folio_ref_inc(folio: folio) -> None:
    """Take a reference."""
    page_ref_inc(folio.page)


def folio_ref_sub_and_test(folio: folio, nr: int) -> bool:
    """Drop references; whether that were the last."""
    return atomic_sub_and_test(nr, folio.page._refcount)


def page_ref_dec_and_test(page: page) -> bool:
    """Drop a reference; whether it was the last."""
    return atomic_dec_and_test(page._refcount)


def put_page_testzero(page: page) -> bool:
    """Drop a reference; whether it was the last."""
    VM_BUG_ON_PAGE(page._refcount.counter == 0, page)
    return page_ref_dec_and_test(page)


def folio_put_testzero(folio: folio) -> bool:
    """Drop a reference; whether it was the last."""
    return put_page_testzero(folio.page)


def folio_get(folio: folio) -> None:
    """Take a reference to a folio that is known to have one."""
    VM_BUG_ON_FOLIO(folio._refcount.counter + 127 <= 127, folio)
    folio_ref_inc(folio)


def get_page(page: page) -> None:
    """Take a reference to the folio of a page."""
    folio = page_folio(page)
    folio_get(folio)


def try_get_page(page: page) -> bool:
    """Take a reference unless the count says that the page is free."""
    page = compound_head(page)
    if WARN_ON_ONCE(page_ref_count(page) <= 0):
        return False
    page_ref_inc(page)
    return True


def folio_put(folio: folio) -> None:
    """Drop a reference; the last one frees the folio."""
    if folio_put_testzero(folio):
        __folio_put(folio)


def folio_put_refs(folio: folio, refs: int) -> None:
    """Drop several references."""
    if folio_ref_sub_and_test(folio, refs):
        __folio_put(folio)


def put_page(page: page) -> None:
    """Drop a reference to the folio of a page."""
    folio = page_folio(page)
    folio_put(folio)


def is_cow_mapping(flags: int) -> bool:
    """Whether a VMA with these flags copies on write."""
    return (flags & (VM_SHARED | VM_MAYWRITE)) == VM_MAYWRITE


def page_address(page: page) -> int:
    """Direct-map address of a page."""
    return page_to_virt(page)


def folio_address(folio: folio) -> int:
    """Direct-map address of a folio."""
    return page_address(folio.page)


if CONFIG_PAGE_POISONING:
    def page_poisoning_enabled_static() -> bool:
        """Whether freed pages are filled with a pattern."""
        return True
else:
    def page_poisoning_enabled_static() -> bool:
        """Whether freed pages are filled with a pattern."""
        return False


def want_init_on_free() -> bool:
    """Whether freed pages are zeroed."""
    return CONFIG_INIT_ON_FREE_DEFAULT_ON


def vma_lookup(mm: mm_struct, addr: int) -> vm_area_struct | None:
    """The VMA that covers an address."""
    return cast("vm_area_struct | None", mtree_load(mm.mm_mt, addr))


class zap_details(struct):
    """``struct zap_details``: how to unmap."""

    single_folio: folio_t | None
    skip_cows: bool
    reclaim_pt: bool
    reaping: bool
    zap_flags: int


ZAP_FLAG_DROP_MARKER = 1 << 0
ZAP_FLAG_UNMAP = 1 << 1


# --- accounting of tables -------------------------------------------------------------------------------

def mm_inc_nr_puds(mm: mm_struct) -> None:
    """Charge a PUD table to *mm*."""
    if mm_pud_folded(mm):
        return
    atomic_long_add(PTRS_PER_PUD * 8, mm.pgtables_bytes)


def mm_dec_nr_puds(mm: mm_struct) -> None:
    """Uncharge a PUD table."""
    if mm_pud_folded(mm):
        return
    atomic_long_sub(PTRS_PER_PUD * 8, mm.pgtables_bytes)


def mm_inc_nr_pmds(mm: mm_struct) -> None:
    """Charge a PMD table to *mm*."""
    if mm_pmd_folded(mm):
        return
    atomic_long_add(PTRS_PER_PMD * 8, mm.pgtables_bytes)


def mm_dec_nr_pmds(mm: mm_struct) -> None:
    """Uncharge a PMD table."""
    if mm_pmd_folded(mm):
        return
    atomic_long_sub(PTRS_PER_PMD * 8, mm.pgtables_bytes)


def mm_pgtables_bytes_init(mm: mm_struct) -> None:
    """*mm* has no tables."""
    atomic_long_set(mm.pgtables_bytes, 0)


def mm_pgtables_bytes(mm: mm_struct) -> int:
    """Bytes of page tables charged to *mm*; P4D tables and the top level are not counted."""
    return atomic_long_read(mm.pgtables_bytes)


def mm_inc_nr_ptes(mm: mm_struct) -> None:
    """Charge a PTE table to *mm*."""
    atomic_long_add(PTRS_PER_PTE * 8, mm.pgtables_bytes)


def mm_dec_nr_ptes(mm: mm_struct) -> None:
    """Uncharge a PTE table."""
    atomic_long_sub(PTRS_PER_PTE * 8, mm.pgtables_bytes)


def p4d_alloc(mm: mm_struct, pgd: pgd_ptr, address: int) -> p4d_ptr | None:
    """The p4d entry of an address, with a table made for it if there was none; None without memory."""
    return None if pgd_none(pgd[0]) and __p4d_alloc(mm, pgd, address) else p4d_offset(pgd, address)


def pud_alloc(mm: mm_struct, p4d: p4d_ptr, address: int) -> pud_ptr | None:
    """The pud entry of an address, with a table made for it if there was none; None without memory."""
    return None if p4d_none(p4d[0]) and __pud_alloc(mm, p4d, address) else pud_offset(p4d, address)


def pmd_alloc(mm: mm_struct, pud: pud_ptr, address: int) -> pmd_ptr | None:
    """The pmd entry of an address, with a table made for it if there was none; None without memory."""
    return None if pud_none(pud[0]) and __pmd_alloc(mm, pud, address) else pmd_offset(pud, address)


# --- page tables ----------------------------------------------------------------------------------------

# enum pt_flags: PG_referenced and PG_reserved
PT_kernel = 2
PT_reserved = 13


def virt_to_ptdesc(x: int) -> ptdesc:
    """The descriptor of the table that an address points into."""
    return page_ptdesc(virt_to_page(x))


def ptdesc_address(pt: ptdesc) -> int:
    """Direct-map address of a table."""
    return folio_address(ptdesc_folio(pt))


def pagetable_is_reserved(pt: ptdesc) -> bool:
    """Whether a table's frame never belonged to the allocator."""
    return test_bit(PT_reserved, pt.pt_flags, "f")


def ptdesc_set_kernel(ptdesc: ptdesc) -> None:
    """Mark a table that maps the kernel: freeing it needs special care."""
    set_bit(PT_kernel, ptdesc.pt_flags, "f")


def ptdesc_clear_kernel(ptdesc: ptdesc) -> None:
    """The special care has begun."""
    clear_bit(PT_kernel, ptdesc.pt_flags, "f")


def ptdesc_test_kernel(ptdesc: ptdesc) -> bool:
    """Whether a table maps the kernel."""
    return test_bit(PT_kernel, ptdesc.pt_flags, "f")


def pagetable_alloc_noprof(gfp: gfp_t, order: int) -> ptdesc | None:
    """Memory for a page table.

    :param order: 0, or 1 for the two top-level tables of page-table isolation.
    :return: ``struct ptdesc *``, not constructed, or None.
    :context: sleeps unless *gfp* says otherwise.
    """
    page = alloc_pages(gfp_t(gfp | __GFP_COMP), order)

    return page_ptdesc(page)


def pagetable_alloc(gfp: gfp_t, order: int) -> ptdesc | None:
    """pagetable_alloc_noprof()."""
    return pagetable_alloc_noprof(gfp, order)


def __pagetable_free(pt: ptdesc) -> None:
    """Give a table's memory back at once."""
    page = ptdesc_page(pt)

    __free_pages(page, compound_order(page))


if not CONFIG_ASYNC_KERNEL_PGTABLE_FREE:
    def pagetable_free_kernel(pt: ptdesc) -> None:
        """Give the memory of a kernel table back at once."""
        __pagetable_free(pt)


def pagetable_free(pt: ptdesc) -> None:
    """Give a table's memory back; a kernel table goes the way kernel tables go.

    :context: any where freeing pages is allowed. The destructor has run.
    """
    if ptdesc_test_kernel(pt):
        ptdesc_clear_kernel(pt)
        pagetable_free_kernel(pt)
    else:
        __pagetable_free(pt)


if CONFIG_SPLIT_PTE_PTLOCKS:
    if ALLOC_SPLIT_PTLOCKS:
        def ptlock_ptr(ptdesc: ptdesc) -> spinlock_t:
            """The lock of a table, allocated apart because it is too big for the descriptor."""
            return ptdesc.ptl
    else:
        def ptlock_cache_init() -> None:
            """The lock is in the descriptor."""

        def ptlock_alloc(ptdesc: ptdesc) -> bool:
            """The lock is in the descriptor."""
            return True

        def ptlock_free(ptdesc: ptdesc) -> None:
            """The lock is in the descriptor."""

        def ptlock_ptr(ptdesc: ptdesc) -> spinlock_t:
            """The lock of a table."""
            return ptdesc.ptl

    def pte_lockptr(mm: mm_struct, pmd: pmd_ptr | cell[pmd_t]) -> spinlock_t:
        """The lock of the PTE table that ``*pmd`` names."""
        return ptlock_ptr(page_ptdesc(pmd_page(pmd[0])))

    def ptep_lockptr(mm: mm_struct, pte: pte_ptr) -> spinlock_t:
        """The lock of the PTE table that *pte* points into."""
        return ptlock_ptr(virt_to_ptdesc(pte))

    def ptlock_init(ptdesc: ptdesc) -> bool:
        """Give a table its lock.

        :return: False without memory for it.
        :context: may sleep if the lock is allocated.
        """
        # page->private, the same word, was zeroed when the page was allocated.
        VM_BUG_ON_PAGE(ptdesc._pt_pad_2, ptdesc_page(ptdesc))
        if not ptlock_alloc(ptdesc):
            return False
        spin_lock_init(ptlock_ptr(ptdesc))
        return True
else:
    def pte_lockptr(mm: mm_struct, pmd: pmd_ptr | cell[pmd_t]) -> spinlock_t:
        """One lock guards all tables of *mm*."""
        return mm.page_table_lock

    def ptep_lockptr(mm: mm_struct, pte: pte_ptr) -> spinlock_t:
        """One lock guards all tables of *mm*."""
        return mm.page_table_lock

    def ptlock_cache_init() -> None:
        """Tables have no locks."""

    def ptlock_init(ptdesc: ptdesc) -> bool:
        """Tables have no locks."""
        return True

    def ptlock_free(ptdesc: ptdesc) -> None:
        """Tables have no locks."""


def __pagetable_ctor(ptdesc: ptdesc) -> None:
    """Type and account for a new table."""
    folio = ptdesc_folio(ptdesc)

    __folio_set_pgtable(folio)
    lruvec_stat_add_folio(folio, NR_PAGETABLE)


def pagetable_dtor(ptdesc: ptdesc) -> None:
    """Undo the constructor. A second call goes unnoticed by the type and is subtracted twice."""
    folio = ptdesc_folio(ptdesc)

    ptlock_free(ptdesc)
    __folio_clear_pgtable(folio)
    lruvec_stat_sub_folio(folio, NR_PAGETABLE)


def pagetable_dtor_free(ptdesc: ptdesc) -> None:
    """Destructor, then free."""
    pagetable_dtor(ptdesc)
    pagetable_free(ptdesc)


def pagetable_pte_ctor(mm: mm_struct, ptdesc: ptdesc) -> bool:
    """Construct a PTE table; the kernel's have no lock of their own.

    :return: False without memory for the lock.
    """
    if mm is not init_mm and not ptlock_init(ptdesc):
        return False
    __pagetable_ctor(ptdesc)
    return True


def pte_offset_map(pmd: pmd_ptr, addr: int) -> pte_ptr | None:
    """The pte of an address, or None without a PTE table.

    :context: enters an RCU read side that pte_unmap() leaves; nothing is locked.
    """
    return __pte_offset_map(pmd, addr)[0]


def pte_unmap_unlock(pte: pte_ptr, ptl: spinlock_t) -> None:
    """Undo pte_offset_map_lock()."""
    spin_unlock(ptl)
    pte_unmap(pte)


def pte_alloc(mm: mm_struct, pmd: pmd_ptr) -> int:
    """Make sure that there is a PTE table; nonzero without memory."""
    return pmd_none(pmd[0]) and __pte_alloc(mm, pmd)


def pte_alloc_map(mm: mm_struct, pmd: pmd_ptr, address: int) -> pte_ptr | None:
    """pte_alloc(), then pte_offset_map()."""
    return None if pte_alloc(mm, pmd) else pte_offset_map(pmd, address)


def pte_alloc_map_lock(mm: mm_struct, pmd: pmd_ptr,
                       address: int) -> tuple[pte_ptr | None, spinlock_t | None]:
    """pte_alloc(), then pte_offset_map_lock()."""
    return (None, None) if pte_alloc(mm, pmd) else pte_offset_map_lock(mm, pmd, address)


def pte_alloc_kernel(pmd: pmd_ptr, address: int) -> pte_ptr | None:
    """The pte of a kernel address, with a table made for it if there was none."""
    return None if pmd_none(pmd[0]) and __pte_alloc_kernel(pmd) else pte_offset_kernel(pmd, address)


if CONFIG_SPLIT_PMD_PTLOCKS:
    def pmd_pgtable_page(pmd: pmd_ptr) -> page:
        """The page of the PMD table that *pmd* points into."""
        mask = ~(PTRS_PER_PMD * 8 - 1)
        return virt_to_page(int(pmd) & mask)

    def pmd_ptdesc(pmd: pmd_ptr) -> ptdesc:
        """The descriptor of the PMD table that *pmd* points into."""
        return page_ptdesc(pmd_pgtable_page(pmd))

    def pmd_lockptr(mm: mm_struct, pmd: pmd_ptr) -> spinlock_t:
        """The lock of the PMD table that *pmd* points into."""
        return ptlock_ptr(pmd_ptdesc(pmd))

    def pmd_ptlock_init(ptdesc: ptdesc) -> bool:
        """Give a PMD table its lock and an empty reserve of PTE tables."""
        if CONFIG_TRANSPARENT_HUGEPAGE:
            ptdesc.pmd_huge_pte = None
        return ptlock_init(ptdesc)

    def pmd_huge_pte(mm: mm_struct, pmd: pmd_ptr) -> pgtable_t | None:
        """The first PTE table in reserve below a PMD table."""
        return pmd_ptdesc(pmd).pmd_huge_pte

    def set_pmd_huge_pte(mm: mm_struct, pmd: pmd_ptr, pgtable: pgtable_t | None) -> None:
        """``pmd_huge_pte(mm, pmd) = pgtable``: the macro is an lvalue in C."""
        pmd_ptdesc(pmd).pmd_huge_pte = pgtable
else:
    def pmd_lockptr(mm: mm_struct, pmd: pmd_ptr) -> spinlock_t:
        """One lock guards all PMD tables of *mm*."""
        return mm.page_table_lock

    def pmd_ptlock_init(ptdesc: ptdesc) -> bool:
        """PMD tables have no locks."""
        return True

    def pmd_huge_pte(mm: mm_struct, pmd: pmd_ptr) -> pgtable_t | None:
        """The first PTE table that *mm* has in reserve."""
        return mm.pmd_huge_pte

    def set_pmd_huge_pte(mm: mm_struct, pmd: pmd_ptr, pgtable: pgtable_t | None) -> None:
        """``pmd_huge_pte(mm, pmd) = pgtable``: the macro is an lvalue in C."""
        mm.pmd_huge_pte = pgtable


def pmd_lock(mm: mm_struct, pmd: pmd_ptr) -> spinlock_t:
    """Take the lock of a pmd entry; the lock."""
    ptl = pmd_lockptr(mm, pmd)
    spin_lock(ptl)
    return ptl


def pagetable_pmd_ctor(mm: mm_struct, ptdesc: ptdesc) -> bool:
    """Construct a PMD table; the kernel's have no lock of their own.

    :return: False without memory for the lock.
    """
    if mm is not init_mm and not pmd_ptlock_init(ptdesc):
        return False
    ptdesc_pmd_pts_init(ptdesc)
    __pagetable_ctor(ptdesc)
    return True


def pud_lockptr(mm: mm_struct, pud: pud_ptr) -> spinlock_t:
    """The lock of a pud entry: that of the whole *mm*."""
    return mm.page_table_lock


def pud_lock(mm: mm_struct, pud: pud_ptr) -> spinlock_t:
    """Take the lock of a pud entry; the lock."""
    ptl = pud_lockptr(mm, pud)

    spin_lock(ptl)
    return ptl


def pagetable_pud_ctor(ptdesc: ptdesc) -> None:
    """Construct a PUD table."""
    __pagetable_ctor(ptdesc)


def pagetable_p4d_ctor(ptdesc: ptdesc) -> None:
    """Construct a P4D table."""
    __pagetable_ctor(ptdesc)


def pagetable_pgd_ctor(ptdesc: ptdesc) -> None:
    """Construct a top-level table."""
    __pagetable_ctor(ptdesc)


def range_in_vma(vma: vm_area_struct | None, start: int, end: int) -> bool:
    """Whether a range lies inside a VMA."""
    if not vma:
        return False

    return vma.vm_start <= start and end <= vma.vm_end


def linear_page_index(vma: vm_area_struct, address: int) -> int:
    """Page offset into what a VMA maps (include/linux/pagemap.h)."""
    pgoff = (address - vma.vm_start) >> PAGE_SHIFT
    pgoff += vma.vm_pgoff
    return pgoff


def page_size(page: page) -> int:
    """Bytes of a (compound) page."""
    return PAGE_SIZE << compound_order(page)


def mk_pte(page: page, pgprot: pgprot_t) -> pte_t:
    """A pte that maps a page."""
    return pfn_pte(page_to_pfn(page), pgprot)


def folio_mk_pte(folio: folio, pgprot: pgprot_t) -> pte_t:
    """A pte that maps the first page of a folio."""
    return pfn_pte(page_to_pfn(folio.page), pgprot)


folio_t = folio

# Included first in C, or declared here and defined there:
from kmm.arch.x86.include.asm.page import page_to_pfn as page_to_pfn
from kmm.arch.x86.include.asm.page import page_to_virt, virt_to_page
from kmm.arch.x86.include.asm.page import pfn_to_page as pfn_to_page
from kmm.arch.x86.include.asm.pgtable import (
    p4d_none,
    p4d_offset,
    pfn_pte,
    pgd_none,
    pmd_none,
    pmd_page,
    pud_none,
)
from kmm.include.linux.atomic import (
    atomic_add,
    atomic_dec_and_test,
    atomic_inc,
    atomic_long_add,
    atomic_long_read,
    atomic_long_set,
    atomic_long_sub,
    atomic_read,
    atomic_set,
    atomic_sub_and_test,
)
from kmm.include.linux.bitops import clear_bit, set_bit, test_bit
from kmm.include.linux.bug import WARN_ON_ONCE
from kmm.include.linux.gfp import __free_pages, alloc_pages
from kmm.include.linux.gfp_types import __GFP_COMP
from kmm.include.linux.mm_types import (
    mm_struct,
    page,
    page_ptdesc,
    ptdesc,
    ptdesc_folio,
    ptdesc_page,
    ptdesc_pmd_pts_init,
    vm_area_struct,
)
from kmm.include.linux.mmdebug import VM_BUG_ON_FOLIO, VM_BUG_ON_PAGE
from kmm.include.linux.page_flags import (
    __folio_clear_pgtable,
    __folio_set_pgtable,
    compound_head,
    page_folio,
)
from kmm.include.linux.pgtable import (
    mm_pmd_folded,
    mm_pud_folded,
    pmd_offset,
    pte_offset_kernel,
    pud_offset,
)
from kmm.include.linux.pgtable import pte_unmap as pte_unmap
from kmm.include.linux.spinlock import spin_lock, spin_lock_init, spin_unlock, spinlock_t
from kmm.include.linux.vmstat import NR_PAGETABLE, lruvec_stat_add_folio, lruvec_stat_sub_folio
from kmm.mm.init_mm import init_mm as init_mm
from kmm.mm.memory import __p4d_alloc, __pmd_alloc, __pte_alloc, __pte_alloc_kernel, __pud_alloc
from kmm.mm.memory import handle_mm_fault as handle_mm_fault
from kmm.mm.pgtable_generic import __pte_offset_map
from kmm.mm.pgtable_generic import pte_offset_map_lock as pte_offset_map_lock
from kmm.mm.pgtable_generic import pte_offset_map_ro_nolock as pte_offset_map_ro_nolock
from kmm.mm.pgtable_generic import pte_offset_map_rw_nolock as pte_offset_map_rw_nolock
from kmm.mm.swap import __folio_put

if CONFIG_ASYNC_KERNEL_PGTABLE_FREE:
    from kmm.mm.pgtable_generic import pagetable_free_kernel
if CONFIG_SPLIT_PTE_PTLOCKS and ALLOC_SPLIT_PTLOCKS:
    from kmm.mm.memory import ptlock_alloc, ptlock_free
    from kmm.mm.memory import ptlock_cache_init as ptlock_cache_init
