# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/pgalloc.h (Linux 7.2), five levels, not paravirtual.

How an entry is made to name a table, and who queues a table for freeing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT
from kmm.arch.x86.include.asm.pgtable_64_types import pgtable_l5_enabled
from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_TABLE,
    p4d_ptr,
    pgd_ptr,
    pmd_ptr,
    pte_ptr,
    pud_ptr,
)

if TYPE_CHECKING:
    from kmm.include.asm_generic.tlb import mmu_gather
    from kmm.include.linux.mm_types import mm_struct, page


def __paravirt_pgd_alloc(mm: mm_struct) -> int:
    """Success."""
    return 0


def paravirt_pgd_alloc(mm: mm_struct) -> int:
    """A hypervisor would be told."""
    return __paravirt_pgd_alloc(mm)


def paravirt_pgd_free(mm: mm_struct, pgd: pgd_ptr) -> None:
    """A hypervisor would be told."""


def paravirt_alloc_pte(mm: mm_struct, pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_alloc_pmd(mm: mm_struct, pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_alloc_pud(mm: mm_struct, pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_alloc_p4d(mm: mm_struct, pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_release_pte(pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_release_pmd(pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_release_pud(pfn: int) -> None:
    """A hypervisor would be told."""


def paravirt_release_p4d(pfn: int) -> None:
    """A hypervisor would be told."""


def pgd_allocation_order() -> int:
    """0; 1 with page-table isolation, whose user table is the second page."""
    if cpu_feature_enabled(X86_FEATURE_PTI):
        return 1
    return 0


def __pte_free_tlb(tlb: mmu_gather, pte: page, address: int) -> None:
    """Queue a PTE table for freeing."""
    ___pte_free_tlb(tlb, pte)


def pmd_populate_kernel(mm: mm_struct, pmd: pmd_ptr, pte: pte_ptr) -> None:
    """Make a pmd entry name a PTE table, given by address."""
    paravirt_alloc_pte(mm, __pa(pte) >> PAGE_SHIFT)
    set_pmd(pmd, __pmd(__pa(pte) | _PAGE_TABLE))


def pmd_populate_kernel_safe(mm: mm_struct, pmd: pmd_ptr, pte: pte_ptr) -> None:
    """pmd_populate_kernel() where no flush will be needed."""
    paravirt_alloc_pte(mm, __pa(pte) >> PAGE_SHIFT)
    set_pmd_safe(pmd, __pmd(__pa(pte) | _PAGE_TABLE))


def pmd_populate(mm: mm_struct, pmd: pmd_ptr, pte: page) -> None:
    """Make a pmd entry name a PTE table, given as a page."""
    pfn = page_to_pfn(pte)

    paravirt_alloc_pte(mm, pfn)
    set_pmd(pmd, __pmd((pfn << PAGE_SHIFT) | _PAGE_TABLE))


def __pmd_free_tlb(tlb: mmu_gather, pmd: pmd_ptr, address: int) -> None:
    """Queue a PMD table for freeing."""
    ___pmd_free_tlb(tlb, pmd)


def pud_populate(mm: mm_struct, pud: pud_ptr, pmd: pmd_ptr) -> None:
    """Make a pud entry name a PMD table."""
    paravirt_alloc_pmd(mm, __pa(pmd) >> PAGE_SHIFT)
    set_pud(pud, __pud(_PAGE_TABLE | __pa(pmd)))


def pud_populate_safe(mm: mm_struct, pud: pud_ptr, pmd: pmd_ptr) -> None:
    """pud_populate() where no flush will be needed."""
    paravirt_alloc_pmd(mm, __pa(pmd) >> PAGE_SHIFT)
    set_pud_safe(pud, __pud(_PAGE_TABLE | __pa(pmd)))


def p4d_populate(mm: mm_struct, p4d: p4d_ptr, pud: pud_ptr) -> None:
    """Make a p4d entry name a PUD table."""
    paravirt_alloc_pud(mm, __pa(pud) >> PAGE_SHIFT)
    set_p4d(p4d, __p4d(_PAGE_TABLE | __pa(pud)))


def p4d_populate_safe(mm: mm_struct, p4d: p4d_ptr, pud: pud_ptr) -> None:
    """p4d_populate() where no flush will be needed."""
    paravirt_alloc_pud(mm, __pa(pud) >> PAGE_SHIFT)
    set_p4d_safe(p4d, __p4d(_PAGE_TABLE | __pa(pud)))


def __pud_free_tlb(tlb: mmu_gather, pud: pud_ptr, address: int) -> None:
    """Queue a PUD table for freeing."""
    ___pud_free_tlb(tlb, pud)


def pgd_populate(mm: mm_struct, pgd: pgd_ptr, p4d: p4d_ptr) -> None:
    """Make a pgd entry name a P4D table; nothing where that is folded into the pgd."""
    if not pgtable_l5_enabled():
        return
    paravirt_alloc_p4d(mm, __pa(p4d) >> PAGE_SHIFT)
    set_pgd(pgd, __pgd(_PAGE_TABLE | __pa(p4d)))


def pgd_populate_safe(mm: mm_struct, pgd: pgd_ptr, p4d: p4d_ptr) -> None:
    """pgd_populate() where no flush will be needed."""
    if not pgtable_l5_enabled():
        return
    paravirt_alloc_p4d(mm, __pa(p4d) >> PAGE_SHIFT)
    set_pgd_safe(pgd, __pgd(_PAGE_TABLE | __pa(p4d)))


def __p4d_free_tlb(tlb: mmu_gather, p4d: p4d_ptr, address: int) -> None:
    """Queue a P4D table for freeing, if there is one."""
    if pgtable_l5_enabled():
        ___p4d_free_tlb(tlb, p4d)


# Included first in C, or declared here and defined there:
from kmm.arch.x86.include.asm.cpufeature import X86_FEATURE_PTI, cpu_feature_enabled
from kmm.arch.x86.include.asm.page import __pa, page_to_pfn
from kmm.arch.x86.include.asm.pgtable import (
    __p4d,
    __pgd,
    __pmd,
    __pud,
    set_p4d,
    set_p4d_safe,
    set_pgd,
    set_pgd_safe,
    set_pmd,
    set_pmd_safe,
    set_pud,
    set_pud_safe,
)
from kmm.arch.x86.mm.pgtable import (
    ___p4d_free_tlb,
    ___pmd_free_tlb,
    ___pte_free_tlb,
    ___pud_free_tlb,
)
from kmm.arch.x86.mm.pgtable import pgd_alloc as pgd_alloc
from kmm.arch.x86.mm.pgtable import pgd_free as pgd_free
from kmm.arch.x86.mm.pgtable import pte_alloc_one as pte_alloc_one
from kmm.include.asm_generic.pgalloc import GFP_PGTABLE_KERNEL as GFP_PGTABLE_KERNEL
from kmm.include.asm_generic.pgalloc import GFP_PGTABLE_USER as GFP_PGTABLE_USER
from kmm.include.asm_generic.pgalloc import p4d_alloc_one as p4d_alloc_one
from kmm.include.asm_generic.pgalloc import p4d_free as p4d_free
from kmm.include.asm_generic.pgalloc import pmd_alloc_one as pmd_alloc_one
from kmm.include.asm_generic.pgalloc import pmd_free as pmd_free
from kmm.include.asm_generic.pgalloc import pte_alloc_one_kernel as pte_alloc_one_kernel
from kmm.include.asm_generic.pgalloc import pte_free as pte_free
from kmm.include.asm_generic.pgalloc import pte_free_kernel as pte_free_kernel
from kmm.include.asm_generic.pgalloc import pud_alloc_one as pud_alloc_one
from kmm.include.asm_generic.pgalloc import pud_free as pud_free
