# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/pgalloc.h (Linux 7.2): top-level entries of the kernel's half.

The kernel's half of every pgd is a copy: a new top-level entry must be copied to all of them.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.pgtable_64_types import ARCH_PAGE_TABLE_SYNC_MASK
from kmm.arch.x86.include.asm.pgtable_types import p4d_ptr, pgd_ptr, pud_ptr


def pgd_populate_kernel(addr: int, pgd: pgd_ptr, p4d: p4d_ptr) -> None:
    """pgd_populate() of a kernel address, copied to every pgd if that is the level to copy."""
    pgd_populate(init_mm, pgd, p4d)
    if ARCH_PAGE_TABLE_SYNC_MASK() & PGTBL_PGD_MODIFIED:
        arch_sync_kernel_mappings(addr, addr)


def p4d_populate_kernel(addr: int, p4d: p4d_ptr, pud: pud_ptr) -> None:
    """p4d_populate() of a kernel address, copied to every pgd if that is the level to copy."""
    p4d_populate(init_mm, p4d, pud)
    if ARCH_PAGE_TABLE_SYNC_MASK() & PGTBL_P4D_MODIFIED:
        arch_sync_kernel_mappings(addr, addr)


# Defined in arch code:
from kmm.arch.x86.include.asm.pgalloc import p4d_alloc_one as p4d_alloc_one
from kmm.arch.x86.include.asm.pgalloc import p4d_free as p4d_free
from kmm.arch.x86.include.asm.pgalloc import p4d_populate as p4d_populate
from kmm.arch.x86.include.asm.pgalloc import pgd_alloc as pgd_alloc
from kmm.arch.x86.include.asm.pgalloc import pgd_free as pgd_free
from kmm.arch.x86.include.asm.pgalloc import pgd_populate as pgd_populate
from kmm.arch.x86.include.asm.pgalloc import pmd_alloc_one as pmd_alloc_one
from kmm.arch.x86.include.asm.pgalloc import pmd_free as pmd_free
from kmm.arch.x86.include.asm.pgalloc import pmd_populate as pmd_populate
from kmm.arch.x86.include.asm.pgalloc import pmd_populate_kernel as pmd_populate_kernel
from kmm.arch.x86.include.asm.pgalloc import pte_alloc_one as pte_alloc_one
from kmm.arch.x86.include.asm.pgalloc import pte_alloc_one_kernel as pte_alloc_one_kernel
from kmm.arch.x86.include.asm.pgalloc import pte_free as pte_free
from kmm.arch.x86.include.asm.pgalloc import pte_free_kernel as pte_free_kernel
from kmm.arch.x86.include.asm.pgalloc import pud_alloc_one as pud_alloc_one
from kmm.arch.x86.include.asm.pgalloc import pud_free as pud_free
from kmm.arch.x86.include.asm.pgalloc import pud_populate as pud_populate
from kmm.arch.x86.mm.init_64 import arch_sync_kernel_mappings
from kmm.include.linux.pgtable import PGTBL_P4D_MODIFIED, PGTBL_PGD_MODIFIED
from kmm.mm.init_mm import init_mm
