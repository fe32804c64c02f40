# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/pgalloc-track.h (Linux 7.2): allocate kernel tables and note which level changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.pgtable import p4d_none, p4d_offset, pgd_none, pmd_none, pud_none
from kmm.include.linux.pgtable import (
    PGTBL_P4D_MODIFIED,
    PGTBL_PGD_MODIFIED,
    PGTBL_PMD_MODIFIED,
    PGTBL_PUD_MODIFIED,
    pmd_offset,
    pte_offset_kernel,
    pud_offset,
)
from kmm.mm.memory import __p4d_alloc, __pmd_alloc, __pte_alloc_kernel, __pud_alloc

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import p4d_ptr, pgd_ptr, pmd_ptr, pte_ptr, pud_ptr
    from kmm.c import cell
    from kmm.include.linux.mm_types import mm_struct


def p4d_alloc_track(mm: mm_struct, pgd: pgd_ptr, address: int, mod_mask: cell[int]) -> p4d_ptr | None:
    """``p4d_alloc()`` that sets PGTBL_PGD_MODIFIED if it made a table."""
    if pgd_none(pgd[0]):
        if __p4d_alloc(mm, pgd, address):
            return None
        mod_mask[0] |= PGTBL_PGD_MODIFIED

    return p4d_offset(pgd, address)


def pud_alloc_track(mm: mm_struct, p4d: p4d_ptr, address: int, mod_mask: cell[int]) -> pud_ptr | None:
    """``pud_alloc()`` that sets PGTBL_P4D_MODIFIED if it made a table."""
    if p4d_none(p4d[0]):
        if __pud_alloc(mm, p4d, address):
            return None
        mod_mask[0] |= PGTBL_P4D_MODIFIED

    return pud_offset(p4d, address)


def pmd_alloc_track(mm: mm_struct, pud: pud_ptr, address: int, mod_mask: cell[int]) -> pmd_ptr | None:
    """``pmd_alloc()`` that sets PGTBL_PUD_MODIFIED if it made a table."""
    if pud_none(pud[0]):
        if __pmd_alloc(mm, pud, address):
            return None
        mod_mask[0] |= PGTBL_PUD_MODIFIED

    return pmd_offset(pud, address)


def pte_alloc_kernel_track(pmd: pmd_ptr, address: int, mask: cell[int]) -> pte_ptr | None:
    """``pte_alloc_kernel()`` that sets PGTBL_PMD_MODIFIED if it made a table."""
    if pmd_none(pmd[0]):
        if __pte_alloc_kernel(pmd):
            return None
        mask[0] |= PGTBL_PMD_MODIFIED

    return pte_offset_kernel(pmd, address)
