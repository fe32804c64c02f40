# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/asm-generic/pgalloc.h (Linux 7.2): allocate and free tables of each level.

Kernel tables (of ``init_mm``, and every table of pte_alloc_one_kernel()) are marked so that
pagetable_free() treats them with care. CONFIG symbols: none; five levels are configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.pgtable_types import p4d_ptr, pgd_ptr, pmd_ptr, pte_ptr, pud_ptr
from kmm.include.linux.gfp_types import __GFP_ACCOUNT, __GFP_SKIP_KASAN, __GFP_ZERO, GFP_KERNEL
from kmm.include.linux.types import gfp_t
from kmm.include.vdso.page import PAGE_SIZE

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgtable_t
    from kmm.include.linux.mm_types import mm_struct, page

GFP_PGTABLE_KERNEL = gfp_t(GFP_KERNEL | __GFP_ZERO | __GFP_SKIP_KASAN)
GFP_PGTABLE_USER = gfp_t(GFP_PGTABLE_KERNEL | __GFP_ACCOUNT)


def __pte_alloc_one_kernel(mm: mm_struct) -> pte_ptr | None:
    """A PTE table for the kernel, marked as such whatever *mm* is; None without memory."""
    ptdesc = pagetable_alloc(GFP_PGTABLE_KERNEL, 0)

    if not ptdesc:
        return None
    if not pagetable_pte_ctor(mm, ptdesc):
        pagetable_free(ptdesc)
        return None

    ptdesc_set_kernel(ptdesc)

    return pte_ptr(ptdesc_address(ptdesc))


def pte_alloc_one_kernel(mm: mm_struct) -> pte_ptr | None:
    """A PTE table for the kernel; None without memory."""
    return __pte_alloc_one_kernel(mm)


def pte_free_kernel(mm: mm_struct, pte: pte_ptr) -> None:
    """Free a PTE table of the kernel: destructed now, its memory when pagetable_free() thinks fit."""
    pagetable_dtor_free(virt_to_ptdesc(pte))


def __pte_alloc_one(mm: mm_struct, gfp: gfp_t) -> pgtable_t | None:
    """A PTE table for user space, as a page; None without memory."""
    ptdesc = pagetable_alloc(gfp, 0)
    if not ptdesc:
        return None
    if not pagetable_pte_ctor(mm, ptdesc):
        pagetable_free(ptdesc)
        return None

    return ptdesc_page(ptdesc)


def pte_free(mm: mm_struct | None, pte_page: page) -> None:
    """Free a PTE table of user space."""
    ptdesc = page_ptdesc(pte_page)

    pagetable_dtor_free(ptdesc)


def pmd_alloc_one(mm: mm_struct, addr: int) -> pmd_ptr | None:
    """A PMD table; None without memory."""
    gfp = GFP_PGTABLE_USER

    if mm is init_mm:
        gfp = GFP_PGTABLE_KERNEL
    ptdesc = pagetable_alloc(gfp, 0)
    if not ptdesc:
        return None
    if not pagetable_pmd_ctor(mm, ptdesc):
        pagetable_free(ptdesc)
        return None

    if mm is init_mm:
        ptdesc_set_kernel(ptdesc)

    return pmd_ptr(ptdesc_address(ptdesc))


def pmd_free(mm: mm_struct, pmd: pmd_ptr) -> None:
    """Free a PMD table."""
    ptdesc = virt_to_ptdesc(pmd)

    BUG_ON(int(pmd) & (PAGE_SIZE - 1))
    pagetable_dtor_free(ptdesc)


def __pud_alloc_one(mm: mm_struct, addr: int) -> pud_ptr | None:
    """A PUD table; None without memory."""
    gfp = GFP_PGTABLE_USER

    if mm is init_mm:
        gfp = GFP_PGTABLE_KERNEL

    ptdesc = pagetable_alloc(gfp, 0)
    if not ptdesc:
        return None

    pagetable_pud_ctor(ptdesc)

    if mm is init_mm:
        ptdesc_set_kernel(ptdesc)

    return pud_ptr(ptdesc_address(ptdesc))


def pud_alloc_one(mm: mm_struct, addr: int) -> pud_ptr | None:
    """A PUD table; None without memory."""
    return __pud_alloc_one(mm, addr)


def __pud_free(mm: mm_struct, pud: pud_ptr) -> None:
    """Free a PUD table."""
    ptdesc = virt_to_ptdesc(pud)

    BUG_ON(int(pud) & (PAGE_SIZE - 1))
    pagetable_dtor_free(ptdesc)


def pud_free(mm: mm_struct, pud: pud_ptr) -> None:
    """Free a PUD table."""
    __pud_free(mm, pud)


def __p4d_alloc_one(mm: mm_struct, addr: int) -> p4d_ptr | None:
    """A P4D table; None without memory."""
    gfp = GFP_PGTABLE_USER

    if mm is init_mm:
        gfp = GFP_PGTABLE_KERNEL

    ptdesc = pagetable_alloc(gfp, 0)
    if not ptdesc:
        return None

    pagetable_p4d_ctor(ptdesc)

    if mm is init_mm:
        ptdesc_set_kernel(ptdesc)

    return p4d_ptr(ptdesc_address(ptdesc))


def p4d_alloc_one(mm: mm_struct, addr: int) -> p4d_ptr | None:
    """A P4D table; None without memory."""
    return __p4d_alloc_one(mm, addr)


def __p4d_free(mm: mm_struct, p4d: p4d_ptr) -> None:
    """Free a P4D table."""
    ptdesc = virt_to_ptdesc(p4d)

    BUG_ON(int(p4d) & (PAGE_SIZE - 1))
    pagetable_dtor_free(ptdesc)


def p4d_free(mm: mm_struct, p4d: p4d_ptr) -> None:
    """Free a P4D table, unless it is folded into the pgd."""
    if not mm_p4d_folded(mm):
        __p4d_free(mm, p4d)


def __pgd_alloc(mm: mm_struct, order: int) -> pgd_ptr | None:
    """A top-level table of ``2**order`` pages; None without memory."""
    gfp = GFP_PGTABLE_USER

    if mm is init_mm:
        gfp = GFP_PGTABLE_KERNEL

    ptdesc = pagetable_alloc(gfp, order)
    if not ptdesc:
        return None

    pagetable_pgd_ctor(ptdesc)

    if mm is init_mm:
        ptdesc_set_kernel(ptdesc)

    return pgd_ptr(ptdesc_address(ptdesc))


def __pgd_free(mm: mm_struct, pgd: pgd_ptr) -> None:
    """Free a top-level table."""
    ptdesc = virt_to_ptdesc(pgd)

    BUG_ON(int(pgd) & (PAGE_SIZE - 1))
    pagetable_dtor_free(ptdesc)


# Included first in C:
from kmm.arch.x86.include.asm.pgtable_64 import mm_p4d_folded
from kmm.include.linux.bug import BUG_ON
from kmm.include.linux.mm import (
    pagetable_alloc,
    pagetable_dtor_free,
    pagetable_free,
    pagetable_p4d_ctor,
    pagetable_pgd_ctor,
    pagetable_pmd_ctor,
    pagetable_pte_ctor,
    pagetable_pud_ctor,
    ptdesc_address,
    ptdesc_set_kernel,
    virt_to_ptdesc,
)
from kmm.include.linux.mm_types import page_ptdesc, ptdesc_page
from kmm.mm.init_mm import init_mm
