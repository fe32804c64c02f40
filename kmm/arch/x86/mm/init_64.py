# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/init_64.c (Linux 7.2): kernel page tables of the direct map and of vmalloc.

Left out: fixmaps, memory hotplug, the vmemmap (``struct page`` is no simulated memory), the kernel
image, page counts of ``/proc``, and in the direct map whatever the memory map says of holes: memory
has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm import hooks
from kmm.arch.x86.include.asm.page import __pa, __va
from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kmm.arch.x86.include.asm.pgalloc import (
    p4d_populate,
    p4d_populate_safe,
    pgd_populate,
    pgd_populate_safe,
    pmd_populate_kernel,
    pmd_populate_kernel_safe,
    pud_populate,
    pud_populate_safe,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_index,
    set_p4d,
    set_pgd,
    set_pmd,
    set_pmd_safe,
    set_pte,
    set_pte_safe,
    set_pud,
    set_pud_safe,
)
from kmm.arch.x86.include.asm.pgtable_64_types import (
    P4D_MASK,
    P4D_SIZE,
    PGDIR_MASK,
    PGDIR_SIZE,
    PMD_MASK,
    PMD_SIZE,
    PTRS_PER_PMD,
    PTRS_PER_PTE,
    PTRS_PER_PUD,
    PUD_MASK,
    PUD_SIZE,
    VMALLOC_START,
    VMEMORY_END,
    pgtable_l5_enabled,
)
from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_PAT,
    _PAGE_PSE,
    PAGE_KERNEL,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    __pgprot,
    p4d_ptr,
    pgd_ptr,
    pgprot_t,
    pgprot_val,
    pmd_ptr,
    pte_ptr,
    pte_t,
    pud_ptr,
)
from kmm.arch.x86.mm.fault import pgd_list, pgd_lock
from kmm.arch.x86.mm.mm_internal import alloc_low_page
from kmm.c import ulong
from kmm.include.linux.bug import BUG_ON, WARN_ON_ONCE
from kmm.include.linux.kernel import ALIGN
from kmm.include.linux.list import list_for_each_entry
from kmm.include.linux.mm import p4d_alloc, page_address, pud_alloc
from kmm.include.linux.mm_types import page_t
from kmm.include.linux.pgtable import (
    p4d_none,
    p4d_offset,
    p4d_pgtable,
    pfn_pmd,
    pfn_pte,
    pfn_pud,
    pgd_index,
    pgd_none,
    pgd_offset_k,
    pgd_page_vaddr,
    pgd_val,
    pmd_index,
    pmd_leaf,
    pmd_none,
    pmd_offset,
    pmd_page_vaddr,
    pte_clrhuge,
    pte_index,
    pte_none,
    pte_pgprot,
    pud_index,
    pud_leaf,
    pud_none,
    pud_offset,
)
from kmm.include.linux.spinlock import spin_lock, spin_unlock
from kmm.mm.init_mm import init_mm

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pmd_t, pud_t
    from kmm.include.linux.mm_types import mm_struct


# "safe" variants know that nothing was mapped before, so that no flush is owed.

def p4d_populate_init(mm: mm_struct, p4d: p4d_ptr, pud: pud_ptr, init: bool) -> None:
    """Link a PUD table, for the first time if *init*."""
    if init:
        p4d_populate_safe(mm, p4d, pud)
    else:
        p4d_populate(mm, p4d, pud)


def pgd_populate_init(mm: mm_struct, pgd: pgd_ptr, p4d: p4d_ptr, init: bool) -> None:
    """Link a P4D table, for the first time if *init*."""
    if init:
        pgd_populate_safe(mm, pgd, p4d)
    else:
        pgd_populate(mm, pgd, p4d)


def pud_populate_init(mm: mm_struct, pud: pud_ptr, pmd: pmd_ptr, init: bool) -> None:
    """Link a PMD table, for the first time if *init*."""
    if init:
        pud_populate_safe(mm, pud, pmd)
    else:
        pud_populate(mm, pud, pmd)


def pmd_populate_kernel_init(mm: mm_struct, pmd: pmd_ptr, pte: pte_ptr, init: bool) -> None:
    """Link a PTE table, for the first time if *init*."""
    if init:
        pmd_populate_kernel_safe(mm, pmd, pte)
    else:
        pmd_populate_kernel(mm, pmd, pte)


def set_pud_init(arg1: pud_ptr, arg2: pud_t, init: bool) -> None:
    """Set a 1 GiB leaf, for the first time if *init*."""
    if init:
        set_pud_safe(arg1, arg2)
    else:
        set_pud(arg1, arg2)


def set_pmd_init(arg1: pmd_ptr, arg2: pmd_t, init: bool) -> None:
    """Set a 2 MiB leaf, for the first time if *init*."""
    if init:
        set_pmd_safe(arg1, arg2)
    else:
        set_pmd(arg1, arg2)


def set_pte_init(arg1: pte_ptr, arg2: pte_t, init: bool) -> None:
    """Set a 4 KiB leaf, for the first time if *init*."""
    if init:
        set_pte_safe(arg1, arg2)
    else:
        set_pte(arg1, arg2)


def prot_sethuge(prot: pgprot_t) -> pgprot_t:
    """The same protection for a large leaf."""
    WARN_ON_ONCE(pgprot_val(prot) & _PAGE_PAT)

    return __pgprot(pgprot_val(prot) | _PAGE_PSE)


def sync_global_pgds_l5(start: int, end: int) -> None:
    """Copy the kernel's pgd entries of a range to every pgd. :context: takes ``pgd_lock``."""
    addr = start
    while addr <= end:
        pgd_ref = pgd_offset_k(addr)

        if addr < start:
            break

        if not pgd_none(pgd_ref[0]):
            spin_lock(pgd_lock)
            for page in list_for_each_entry(page_t, pgd_list, "lru"):
                pgd = pgd_ptr(page_address(page)) + pgd_index(addr)

                if not pgd_none(pgd_ref[0]) and not pgd_none(pgd[0]):
                    BUG_ON(pgd_page_vaddr(pgd[0]) != pgd_page_vaddr(pgd_ref[0]))

                if pgd_none(pgd[0]):
                    set_pgd(pgd, pgd_ref[0])
            spin_unlock(pgd_lock)
        addr = ulong(ALIGN(addr + 1, PGDIR_SIZE()))


def sync_global_pgds_l4(start: int, end: int) -> None:
    """Copy the kernel's p4d entries of a range to every pgd: with four levels they are the top.

    :context: takes ``pgd_lock``.
    """
    addr = start
    while addr <= end:
        pgd_ref = pgd_offset_k(addr)
        p4d_ref = p4d_offset(pgd_ref, addr)

        if not p4d_none(p4d_ref[0]):
            spin_lock(pgd_lock)
            for page in list_for_each_entry(page_t, pgd_list, "lru"):
                pgd = pgd_ptr(page_address(page)) + pgd_index(addr)
                p4d = p4d_offset(pgd, addr)

                if not p4d_none(p4d_ref[0]) and not p4d_none(p4d[0]):
                    BUG_ON(p4d_pgtable(p4d[0]) != p4d_pgtable(p4d_ref[0]))

                if p4d_none(p4d[0]):
                    set_p4d(p4d, p4d_ref[0])
            spin_unlock(pgd_lock)
        # The last entry of the address space is followed by none.
        addr = ALIGN(addr + 1, PGDIR_SIZE())


def sync_global_pgds(start: int, end: int) -> None:
    """Make new top-level kernel entries of a range known to every address space."""
    if pgtable_l5_enabled():
        sync_global_pgds_l5(start, end)
    else:
        sync_global_pgds_l4(start, end)


def arch_sync_kernel_mappings(start: int, end: int) -> None:
    """Make new kernel mappings visible in all page tables. Only the top level has copies."""
    sync_global_pgds(start, end)


def phys_pte_init(pte_page: pte_ptr, paddr: int, paddr_end: int, prot: pgprot_t, init: bool) -> int:
    """Map physical memory by 4 KiB leaves in one table; the last physical address mapped."""
    paddr_last = paddr_end
    pte = pte_page + pte_index(paddr)

    for _i in range(pte_index(paddr), PTRS_PER_PTE):
        paddr_next = (paddr & PAGE_MASK) + PAGE_SIZE
        # What is mapped already stays.
        if paddr < paddr_end and pte_none(pte[0]):
            set_pte_init(pte, pfn_pte(paddr >> PAGE_SHIFT, prot), init)
            paddr_last = (paddr & PAGE_MASK) + PAGE_SIZE
        paddr = paddr_next
        pte += 1

    return paddr_last


def phys_pmd_init(pmd_page: pmd_ptr, paddr: int, paddr_end: int, page_size_mask: int, prot: pgprot_t,
                  init: bool) -> int:
    """Map physical memory by 2 MiB leaves, or tables, in one table; the last address mapped."""
    paddr_last = paddr_end

    for _i in range(pmd_index(paddr), PTRS_PER_PMD):
        pmd = pmd_page + pmd_index(paddr)
        new_prot = prot

        paddr_next = (paddr & PMD_MASK) + PMD_SIZE
        if paddr >= paddr_end:
            paddr = paddr_next
            continue

        if not pmd_none(pmd[0]):
            if not pmd_leaf(pmd[0]):
                spin_lock(init_mm.page_table_lock)
                pte = pte_ptr(pmd_page_vaddr(pmd[0]))
                paddr_last = phys_pte_init(pte, paddr, paddr_end, prot, init)
                spin_unlock(init_mm.page_table_lock)
                paddr = paddr_next
                continue
            # An existing leaf is kept, or split with the same bits: old and new translations must
            # not differ except in size.
            if page_size_mask & (1 << PG_LEVEL_2M):
                paddr_last = paddr_next
                paddr = paddr_next
                continue
            new_prot = pte_pgprot(pte_clrhuge(cast("pte_t", pmd[0])))

        if page_size_mask & (1 << PG_LEVEL_2M):
            spin_lock(init_mm.page_table_lock)
            set_pmd_init(pmd, pfn_pmd(paddr >> PAGE_SHIFT, prot_sethuge(prot)), init)
            spin_unlock(init_mm.page_table_lock)
            paddr_last = paddr_next
            paddr = paddr_next
            continue

        pte = pte_ptr(alloc_low_page())
        paddr_last = phys_pte_init(pte, paddr, paddr_end, new_prot, init)

        spin_lock(init_mm.page_table_lock)
        pmd_populate_kernel_init(init_mm, pmd, pte, init)
        spin_unlock(init_mm.page_table_lock)
        paddr = paddr_next

    return paddr_last


def phys_pud_init(pud_page: pud_ptr, paddr: int, paddr_end: int, page_size_mask: int, _prot: pgprot_t,
                  init: bool) -> int:
    """Map physical memory by 1 GiB leaves, or tables, in one table; the last address mapped."""
    paddr_last = paddr_end

    for _i in range(pud_index(__va(paddr)), PTRS_PER_PUD):
        prot = _prot

        pud = pud_page + pud_index(__va(paddr))
        paddr_next = (paddr & PUD_MASK) + PUD_SIZE

        if paddr >= paddr_end:
            paddr = paddr_next
            continue

        if not pud_none(pud[0]):
            if not pud_leaf(pud[0]):
                pmd = pmd_offset(pud, 0)
                paddr_last = phys_pmd_init(pmd, paddr, paddr_end, page_size_mask, prot, init)
                paddr = paddr_next
                continue
            if page_size_mask & (1 << PG_LEVEL_1G):
                paddr_last = paddr_next
                paddr = paddr_next
                continue
            prot = pte_pgprot(pte_clrhuge(cast("pte_t", pud[0])))

        if page_size_mask & (1 << PG_LEVEL_1G):
            spin_lock(init_mm.page_table_lock)
            set_pud_init(pud, pfn_pud(paddr >> PAGE_SHIFT, prot_sethuge(prot)), init)
            spin_unlock(init_mm.page_table_lock)
            paddr_last = paddr_next
            paddr = paddr_next
            continue

        pmd = pmd_ptr(alloc_low_page())
        paddr_last = phys_pmd_init(pmd, paddr, paddr_end, page_size_mask, prot, init)

        spin_lock(init_mm.page_table_lock)
        pud_populate_init(init_mm, pud, pmd, init)
        spin_unlock(init_mm.page_table_lock)
        paddr = paddr_next

    return paddr_last


def phys_p4d_init(p4d_page: p4d_ptr, paddr: int, paddr_end: int, page_size_mask: int, prot: pgprot_t,
                  init: bool) -> int:
    """Map physical memory below one P4D table; the last physical address mapped."""
    paddr_last = paddr_end
    vaddr = __va(paddr)
    vaddr_end = __va(paddr_end)

    if not pgtable_l5_enabled():
        return phys_pud_init(pud_ptr(p4d_page), paddr, paddr_end, page_size_mask, prot, init)

    while vaddr < vaddr_end:
        p4d = p4d_page + p4d_index(vaddr)

        vaddr_next = (vaddr & P4D_MASK) + P4D_SIZE
        paddr = __pa(vaddr)

        if paddr < paddr_end:
            if not p4d_none(p4d[0]):
                pud = pud_offset(p4d, 0)
                paddr_last = phys_pud_init(pud, paddr, __pa(vaddr_end), page_size_mask, prot, init)
            else:
                pud = pud_ptr(alloc_low_page())
                paddr_last = phys_pud_init(pud, paddr, __pa(vaddr_end), page_size_mask, prot, init)

                spin_lock(init_mm.page_table_lock)
                p4d_populate_init(init_mm, p4d, pud, init)
                spin_unlock(init_mm.page_table_lock)
        vaddr = vaddr_next

    return paddr_last


def __kernel_physical_mapping_init(paddr_start: int, paddr_end: int, page_size_mask: int,
                                   prot: pgprot_t, init: bool) -> int:
    """Map physical memory at PAGE_OFFSET; the last physical address mapped."""
    pgd_changed = False

    paddr_last = paddr_end
    vaddr = __va(paddr_start)
    vaddr_end = __va(paddr_end)
    vaddr_start = vaddr

    while vaddr < vaddr_end:
        pgd = pgd_offset_k(vaddr)

        vaddr_next = (vaddr & PGDIR_MASK()) + PGDIR_SIZE()

        if pgd_val(pgd[0]):
            p4d = p4d_ptr(pgd_page_vaddr(pgd[0]))
            paddr_last = phys_p4d_init(p4d, __pa(vaddr), __pa(vaddr_end), page_size_mask, prot, init)
            vaddr = vaddr_next
            continue

        p4d = p4d_ptr(alloc_low_page())
        paddr_last = phys_p4d_init(p4d, __pa(vaddr), __pa(vaddr_end), page_size_mask, prot, init)

        spin_lock(init_mm.page_table_lock)
        if pgtable_l5_enabled():
            pgd_populate_init(init_mm, pgd, p4d, init)
        else:
            p4d_populate_init(init_mm, p4d_offset(pgd, vaddr), pud_ptr(p4d), init)

        spin_unlock(init_mm.page_table_lock)
        pgd_changed = True
        vaddr = vaddr_next

    if pgd_changed:
        sync_global_pgds(vaddr_start, vaddr_end - 1)

    return paddr_last


def kernel_physical_mapping_init(paddr_start: int, paddr_end: int, page_size_mask: int,
                                 prot: pgprot_t) -> int:
    """Map physical memory that is not mapped yet; the last physical address mapped."""
    return __kernel_physical_mapping_init(paddr_start, paddr_end, page_size_mask, prot, True)


def kernel_physical_mapping_change(paddr_start: int, paddr_end: int, page_size_mask: int) -> int:
    """Map physical memory that may be mapped already. The caller flushes."""
    return __kernel_physical_mapping_init(paddr_start, paddr_end, page_size_mask, PAGE_KERNEL, False)


def preallocate_vmalloc_pages() -> None:
    """Allocate all tables of the second level of the vmalloc area.

    New top-level entries would have to be copied to every address space; so there will be none.

    :context: boot. Running out of memory stops it.
    """
    addr = VMALLOC_START()
    while addr <= VMEMORY_END():
        pgd = pgd_offset_k(addr)

        p4d = p4d_alloc(init_mm, pgd, addr)
        if p4d is None:
            raise hooks.Unported("arch/x86/mm/init_64.c", "preallocate_vmalloc_pages (panic)")

        if not pgtable_l5_enabled():
            # The p4d is folded: the second level of the hardware is the PUD table.
            pud = pud_alloc(init_mm, p4d, addr)
            if pud is None:
                raise hooks.Unported("arch/x86/mm/init_64.c", "preallocate_vmalloc_pages (panic)")
        addr = ALIGN(addr + 1, PGDIR_SIZE())


def mem_init() -> None:
    """The page allocator owns all memory now: prepare the vmalloc area. :context: boot."""
    set_after_bootmem()

    preallocate_vmalloc_pages()


# Declared here, defined there:
from kmm.arch.x86.mm.init import set_after_bootmem
