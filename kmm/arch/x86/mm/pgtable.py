# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/pgtable.c (Linux 7.2), the 64-bit part.

Queueing tables for freeing, top-level tables, accessed and dirty bits, huge kernel mappings and the
tables they replace. CONFIG symbols: TRANSPARENT_HUGEPAGE, ARCH_HAS_NONLEAF_PMD_YOUNG,
HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD, HAVE_ARCH_HUGE_VMAP, PT_RECLAIM.
Left out: PAE (its preallocated PMD tables with free_pmds(), preallocate_pmds(), mop_up_one_pmd(),
pgd_prepopulate_pmd() and their callers' branches), the fixmap, MTRRs (every range is uniform).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT, PAGE_SIZE
from kmm.arch.x86.include.asm.pgtable_64_types import PTRS_PER_PMD
from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_ACCESSED,
    _PAGE_PSE,
    __pgprot,
    p4d_ptr,
    pgd_ptr,
    pgprot_t,
    pgprot_val,
    pmd_ptr,
    pmd_t,
    protval_4k_2_large,
    pte_ptr,
    pte_t,
    pud_ptr,
    pud_t,
)
from kmm.include.generated.autoconf import (
    CONFIG_ARCH_HAS_NONLEAF_PMD_YOUNG,
    CONFIG_HAVE_ARCH_HUGE_VMAP,
    CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD,
    CONFIG_TRANSPARENT_HUGEPAGE,
)

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgtable_t
    from kmm.include.asm_generic.tlb import mmu_gather
    from kmm.include.linux.mm_types import mm_struct, page, vm_area_struct


def pte_alloc_one(mm: mm_struct) -> pgtable_t | None:
    """A PTE table for user space, as a page; None without memory."""
    return __pte_alloc_one(mm, GFP_PGTABLE_USER)


def ___pte_free_tlb(tlb: mmu_gather, pte: page) -> None:
    """Queue a PTE table for freeing."""
    paravirt_release_pte(page_to_pfn(pte))
    tlb_remove_ptdesc(tlb, page_ptdesc(pte))


def ___pmd_free_tlb(tlb: mmu_gather, pmd: pmd_ptr) -> None:
    """Queue a PMD table for freeing."""
    paravirt_release_pmd(__pa(pmd) >> PAGE_SHIFT)
    tlb_remove_ptdesc(tlb, virt_to_ptdesc(pmd))


def ___pud_free_tlb(tlb: mmu_gather, pud: pud_ptr) -> None:
    """Queue a PUD table for freeing."""
    paravirt_release_pud(__pa(pud) >> PAGE_SHIFT)
    tlb_remove_ptdesc(tlb, virt_to_ptdesc(pud))


def ___p4d_free_tlb(tlb: mmu_gather, p4d: p4d_ptr) -> None:
    """Queue a P4D table for freeing."""
    paravirt_release_p4d(__pa(p4d) >> PAGE_SHIFT)
    tlb_remove_ptdesc(tlb, virt_to_ptdesc(p4d))


def pgd_list_add(pgd: pgd_ptr) -> None:
    """Put a top-level table on the list of all."""
    ptdesc = virt_to_ptdesc(pgd)

    list_add(ptdesc.pt_list, pgd_list)


def pgd_list_del(pgd: pgd_ptr) -> None:
    """Take a top-level table off the list of all."""
    ptdesc = virt_to_ptdesc(pgd)

    list_del(ptdesc.pt_list)


def pgd_set_mm(pgd: pgd_ptr, mm: mm_struct) -> None:
    """Note whose a top-level table is."""
    virt_to_ptdesc(pgd).pt_mm = mm


def pgd_page_get_mm(page: page) -> mm_struct | None:
    """Whose a top-level table is."""
    return page_ptdesc(page).pt_mm


def pgd_ctor(mm: mm_struct, pgd: pgd_ptr) -> None:
    """Copy the kernel's half into a new top-level table and make it known.

    :context: ``pgd_lock`` is held, so no change of the kernel's half is missed.
    """
    clone_pgd_range(pgd + KERNEL_PGD_BOUNDARY(), swapper_pg_dir() + KERNEL_PGD_BOUNDARY(),
                    KERNEL_PGD_PTRS())

    pgd_set_mm(pgd, mm)
    pgd_list_add(pgd)


def pgd_dtor(pgd: pgd_ptr) -> None:
    """Forget a top-level table."""
    spin_lock(pgd_lock)
    pgd_list_del(pgd)
    spin_unlock(pgd_lock)


def _pgd_alloc(mm: mm_struct) -> pgd_ptr | None:
    """Memory for a top-level table."""
    return __pgd_alloc(mm, pgd_allocation_order())


def _pgd_free(mm: mm_struct, pgd: pgd_ptr) -> None:
    """Free the memory of a top-level table."""
    __pgd_free(mm, pgd)


def pgd_alloc(mm: mm_struct) -> pgd_ptr | None:
    """Give *mm* a top-level table whose kernel half is the kernel's.

    :return: None without memory.
    :context: may sleep; takes ``pgd_lock``.
    """
    pgd = _pgd_alloc(mm)

    if pgd is None:
        return None

    mm.pgd = pgd

    if paravirt_pgd_alloc(mm) != 0:
        _pgd_free(mm, pgd)
        return None

    # Whoever walks pgd_list must not meet a table that is only half filled.
    spin_lock(pgd_lock)

    pgd_ctor(mm, pgd)

    spin_unlock(pgd_lock)

    return pgd


def pgd_free(mm: mm_struct, pgd: pgd_ptr) -> None:
    """Free the top-level table of *mm*.

    :context: takes ``pgd_lock``. No CPU may have it loaded.
    """
    pgd_dtor(pgd)
    paravirt_pgd_free(mm, pgd)
    _pgd_free(mm, pgd)


def ptep_set_access_flags(vma: vm_area_struct, address: int, ptep: pte_ptr, entry: pte_t,
                          dirty: int) -> int:
    """Store a more permissive pte after a fault, if it is one that may be written; whether it differs.

    The CPU sets A and D itself, so only a write fault has anything to store. No flush is needed: the
    CPU drops the translation it faulted on.
    """
    changed = not pte_same(ptep[0], entry)

    if changed and dirty:
        set_pte(ptep, entry)

    return changed


if CONFIG_TRANSPARENT_HUGEPAGE:
    def pmdp_set_access_flags(vma: vm_area_struct, address: int, pmdp: pmd_ptr, entry: pmd_t,
                              dirty: int) -> int:
        """ptep_set_access_flags() of a huge pmd entry."""
        changed = not pmd_same(pmdp[0], entry)

        VM_BUG_ON(address & ~HPAGE_PMD_MASK)

        if changed and dirty:
            set_pmd(pmdp, entry)

        return changed

    def pudp_set_access_flags(vma: vm_area_struct, address: int, pudp: pud_ptr, entry: pud_t,
                              dirty: int) -> int:
        """ptep_set_access_flags() of a huge pud entry."""
        changed = not pud_same(pudp[0], entry)

        VM_BUG_ON(address & ~HPAGE_PUD_MASK)

        if changed and dirty:
            set_pud(pudp, entry)

        return changed


def __test_and_clear_accessed(ptr: int) -> bool:
    """``test_and_clear_bit(_PAGE_BIT_ACCESSED, (unsigned long *)ptr)``."""
    return bool(hooks.atomic_and(ptr, 8, ~_PAGE_ACCESSED & 0xFFFF_FFFF_FFFF_FFFF) & _PAGE_ACCESSED)


def ptep_test_and_clear_young(vma: vm_area_struct, addr: int, ptep: pte_ptr) -> bool:
    """Clear A of a pte, atomically; whether it was set."""
    ret = False

    if pte_young(ptep[0]):
        ret = __test_and_clear_accessed(ptep)

    return ret


if CONFIG_TRANSPARENT_HUGEPAGE or CONFIG_ARCH_HAS_NONLEAF_PMD_YOUNG:
    def pmdp_test_and_clear_young(vma: vm_area_struct, addr: int, pmdp: pmd_ptr) -> bool:
        """Clear A of a pmd entry, atomically; whether it was set."""
        ret = False

        if pmd_young(pmdp[0]):
            ret = __test_and_clear_accessed(pmdp)

        return ret


if CONFIG_TRANSPARENT_HUGEPAGE:
    def pudp_test_and_clear_young(vma: vm_area_struct, addr: int, pudp: pud_ptr) -> bool:
        """Clear A of a pud entry, atomically; whether it was set."""
        ret = False

        if pud_young(pudp[0]):
            ret = __test_and_clear_accessed(pudp)

        return ret


def ptep_clear_flush_young(vma: vm_area_struct, address: int, ptep: pte_ptr) -> bool:
    """Clear A of a pte; whether it was set. Not flushed in spite of its name.

    A translation that stays cached only makes a page look younger or older than it is.
    """
    return ptep_test_and_clear_young(vma, address, ptep)


if CONFIG_TRANSPARENT_HUGEPAGE:
    def pmdp_clear_flush_young(vma: vm_area_struct, address: int, pmdp: pmd_ptr) -> bool:
        """Clear A of a huge pmd entry and flush if it was set; whether it was."""
        VM_BUG_ON(address & ~HPAGE_PMD_MASK)

        young = pmdp_test_and_clear_young(vma, address, pmdp)
        if young:
            flush_tlb_range(vma, address, address + HPAGE_PMD_SIZE)

        return young

    def pmdp_invalidate_ad(vma: vm_area_struct, address: int, pmdp: pmd_ptr) -> pmd_t:
        """Make a huge pmd entry not present to the CPU, which then sets no A or D in it; the old value.

        Not flushed.
        """
        VM_WARN_ON_ONCE(not pmd_present(pmdp[0]))

        return pmdp_establish(vma, address, pmdp, pmd_mkinvalid(pmdp[0]))


if CONFIG_TRANSPARENT_HUGEPAGE and CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD:
    def pudp_invalidate(vma: vm_area_struct, address: int, pudp: pud_ptr) -> pud_t:
        """Make a huge pud entry not present to the CPU, keeping its frame, and flush; the old value."""
        VM_WARN_ON_ONCE(not pud_present(pudp[0]))
        old = pudp_establish(vma, address, pudp, pud_mkinvalid(pudp[0]))
        flush_pud_tlb_range(vma, address, address + HPAGE_PUD_SIZE)
        return old


if CONFIG_HAVE_ARCH_HUGE_VMAP:
    def p4d_set_huge(p4d: p4d_ptr, addr: int, prot: pgprot_t) -> int:
        """0: no processor has 512 GiB pages."""
        return 0

    def p4d_clear_huge(p4d: p4d_ptr) -> None:
        """Nothing can be huge."""

    def pud_set_huge(pud: pud_ptr, addr: int, prot: pgprot_t) -> int:
        """Map 1 GiB of kernel space, unless a PMD table is there; 1 if mapped.

        :param addr: ``phys_addr_t``.
        """
        if pud_present(pud[0]) and not pud_leaf(pud[0]):
            return 0

        set_pte(pte_ptr(pud), pfn_pte(addr >> PAGE_SHIFT,
                                      __pgprot(protval_4k_2_large(pgprot_val(prot)) | _PAGE_PSE)))

        return 1

    def pmd_set_huge(pmd: pmd_ptr, addr: int, prot: pgprot_t) -> int:
        """Map 2 MiB of kernel space, unless a PTE table is there; 1 if mapped.

        :param addr: ``phys_addr_t``.
        """
        if pmd_present(pmd[0]) and not pmd_leaf(pmd[0]):
            return 0

        set_pte(pte_ptr(pmd), pfn_pte(addr >> PAGE_SHIFT,
                                      __pgprot(protval_4k_2_large(pgprot_val(prot)) | _PAGE_PSE)))

        return 1

    def pud_clear_huge(pud: pud_ptr) -> int:
        """Empty a pud entry if it is huge; 1 if it was."""
        if pud_leaf(pud[0]):
            pud_clear(pud)
            return 1

        return 0

    def pmd_clear_huge(pmd: pmd_ptr) -> int:
        """Empty a pmd entry if it is huge; 1 if it was."""
        if pmd_leaf(pmd[0]):
            pmd_clear(pmd)
            return 1

        return 0

    def pud_free_pmd_page(pud: pud_ptr, addr: int) -> int:
        """Unhook the PMD table below a pud entry, flush, and free it with the PTE tables below it.

        :return: 1.
        :context: kernel space. The range has no mappings left and its leaves have been flushed.
        """
        pmd = pud_pgtable(pud[0])

        pud_clear(pud)

        # No walk finds the tables any more; make cached ones forget them too.
        flush_tlb_kernel_range(addr, addr + PAGE_SIZE - 1)

        for i in range(PTRS_PER_PMD):
            if not pmd_none(pmd[i]):
                pt = page_ptdesc(pmd_page(pmd[i]))
                pagetable_dtor_free(pt)

        pmd_free(init_mm, pmd)

        return 1

    def pmd_free_pte_page(pmd: pmd_ptr, addr: int) -> int:
        """Unhook the PTE table below a pmd entry, flush, and free it.

        :return: 1.
        :context: kernel space. The range has no mappings left and its leaves have been flushed.
        """
        pt = page_ptdesc(pmd_page(pmd[0]))
        pmd_clear(pmd)

        # INVLPG of any address drops every paging-structure cache.
        flush_tlb_kernel_range(addr, addr + PAGE_SIZE - 1)

        pagetable_dtor_free(pt)

        return 1


def pte_mkwrite(pte: pte_t, vma: vm_area_struct) -> pte_t:
    """Writable, in the way the VMA's memory is."""
    if vma.vm_flags & VM_SHADOW_STACK:
        return pte_mkwrite_shstk(pte)

    pte = pte_mkwrite_novma(pte)

    return pte_clear_saveddirty(pte)


def pmd_mkwrite(pmd: pmd_t, vma: vm_area_struct) -> pmd_t:
    """Writable, in the way the VMA's memory is."""
    if vma.vm_flags & VM_SHADOW_STACK:
        return pmd_mkwrite_shstk(pmd)

    pmd = pmd_mkwrite_novma(pmd)

    return pmd_clear_saveddirty(pmd)


def arch_check_zapped_pte(vma: vm_area_struct, pte: pte_t) -> None:
    """A pte that looks like shadow stack was in a VMA that is none."""
    VM_WARN_ON_ONCE(not (vma.vm_flags & VM_SHADOW_STACK) and pte_shstk(pte))


def arch_check_zapped_pmd(vma: vm_area_struct, pmd: pmd_t) -> None:
    """arch_check_zapped_pte() of a huge pmd entry."""
    VM_WARN_ON_ONCE(not (vma.vm_flags & VM_SHADOW_STACK) and pmd_shstk(pmd))


def arch_check_zapped_pud(vma: vm_area_struct, pud: pud_t) -> None:
    """arch_check_zapped_pte() of a huge pud entry."""
    VM_WARN_ON_ONCE(not (vma.vm_flags & VM_SHADOW_STACK) and pud_shstk(pud))


# Included first in C:
from kmm.arch.x86.include.asm.page import __pa, page_to_pfn
from kmm.arch.x86.include.asm.pgalloc import (
    paravirt_pgd_alloc,
    paravirt_pgd_free,
    paravirt_release_p4d,
    paravirt_release_pmd,
    paravirt_release_pte,
    paravirt_release_pud,
    pgd_allocation_order,
)
from kmm.arch.x86.include.asm.pgtable import (
    KERNEL_PGD_BOUNDARY,
    KERNEL_PGD_PTRS,
    clone_pgd_range,
    pfn_pte,
    pmd_clear,
    pmd_clear_saveddirty,
    pmd_leaf,
    pmd_mkinvalid,
    pmd_mkwrite_novma,
    pmd_mkwrite_shstk,
    pmd_none,
    pmd_page,
    pmd_present,
    pmd_shstk,
    pmd_young,
    pmdp_establish,
    pte_clear_saveddirty,
    pte_mkwrite_novma,
    pte_mkwrite_shstk,
    pte_same,
    pte_shstk,
    pte_young,
    pud_clear,
    pud_leaf,
    pud_mkinvalid,
    pud_pgtable,
    pud_present,
    pud_shstk,
    pud_young,
    set_pmd,
    set_pte,
    set_pud,
)
from kmm.arch.x86.include.asm.pgtable_64 import swapper_pg_dir
from kmm.arch.x86.include.asm.tlbflush import flush_tlb_range
from kmm.arch.x86.mm.fault import pgd_list, pgd_lock
from kmm.arch.x86.mm.tlb import flush_tlb_kernel_range
from kmm.include.asm_generic.pgalloc import (
    GFP_PGTABLE_USER,
    __pgd_alloc,
    __pgd_free,
    __pte_alloc_one,
    pmd_free,
)
from kmm.include.asm_generic.tlb import tlb_remove_ptdesc
from kmm.include.linux.huge_mm import HPAGE_PMD_MASK, HPAGE_PMD_SIZE, HPAGE_PUD_MASK, HPAGE_PUD_SIZE
from kmm.include.linux.list import list_add, list_del
from kmm.include.linux.mm import VM_SHADOW_STACK, pagetable_dtor_free, virt_to_ptdesc
from kmm.include.linux.mm_types import page_ptdesc
from kmm.include.linux.mmdebug import VM_BUG_ON, VM_WARN_ON_ONCE
from kmm.include.linux.pgtable import flush_pud_tlb_range, pmd_same, pud_same
from kmm.include.linux.spinlock import spin_lock, spin_unlock
from kmm.mm.init_mm import init_mm

if CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD:
    from kmm.arch.x86.include.asm.pgtable import pudp_establish
