# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/huge_mm.h (Linux 7.2): sizes of huge pages, and locks of huge entries.

CONFIG symbols: TRANSPARENT_HUGEPAGE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SHIFT, PUD_SHIFT
from kmm.c import ulong

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pmd_ptr, pmd_t
    from kmm.include.linux.mm_types import vm_area_struct
    from kmm.include.linux.spinlock import spinlock_t

HPAGE_PMD_SHIFT = PMD_SHIFT
HPAGE_PMD_SIZE = 1 << HPAGE_PMD_SHIFT
HPAGE_PMD_MASK = ulong(~(HPAGE_PMD_SIZE - 1))
HPAGE_PMD_ORDER = HPAGE_PMD_SHIFT - 12
HPAGE_PMD_NR = 1 << HPAGE_PMD_ORDER

HPAGE_PUD_SHIFT = PUD_SHIFT
HPAGE_PUD_SIZE = 1 << HPAGE_PUD_SHIFT
HPAGE_PUD_MASK = ulong(~(HPAGE_PUD_SIZE - 1))


def pmd_is_huge(pmd: pmd_t) -> bool:
    """Whether a pmd entry maps, or stands for, a huge page."""
    if pmd_present(pmd):
        return bool(pmd_trans_huge(pmd))
    return not pmd_none(pmd)


def __pmd_trans_huge_lock(pmd: pmd_ptr, vma: vm_area_struct) -> spinlock_t | None:
    """Take the lock of a pmd entry if it is huge (mm/huge_memory.c); the lock, else None."""
    ptl = pmd_lock(vma.vm_mm, pmd)
    if pmd_is_huge(pmd[0]):
        return ptl
    spin_unlock(ptl)
    return None


def pmd_trans_huge_lock(pmd: pmd_ptr, vma: vm_area_struct) -> spinlock_t | None:
    """Take the lock of a pmd entry if it is huge; the lock, else None."""
    if pmd_is_huge(pmd[0]):
        return __pmd_trans_huge_lock(pmd, vma)

    return None


# Included first in C:
from kmm.arch.x86.include.asm.pgtable import pmd_none, pmd_present
from kmm.arch.x86.include.asm.pgtable import pmd_trans_huge as pmd_trans_huge
from kmm.arch.x86.include.asm.pgtable import pud_trans_huge as pud_trans_huge
from kmm.include.linux.mm import pmd_lock
from kmm.include.linux.spinlock import spin_unlock
