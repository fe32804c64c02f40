# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/pti.c (Linux 7.2), the mirror of user entries only.

Left out: cloning the entry code, the cpu_entry_area and the LDT into the user's pgd; kmm's user
half holds nothing that the kernel needs.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_NOPTISHADOW,
    _PAGE_NX,
    _PAGE_PRESENT,
    _PAGE_USER,
    __supported_pte_mask,
    pgd_ptr,
    pgd_t,
)

__all__ = ["__pti_set_user_pgtbl"]


def __pti_set_user_pgtbl(pgdp: pgd_ptr, pgd: pgd_t) -> pgd_t:
    """Copy a top-level entry of the user half to the user's pgd.

    :param pgdp: ``pgd_t *``, in the kernel's pgd.
    :return: what the kernel's pgd must hold: not executable, so that a kernel that returns to user
        space without switching tables faults at once.
    """
    if not pgdp_maps_userspace(pgdp) or (pgd & _PAGE_NOPTISHADOW):
        return pgd

    kernel_to_user_pgdp(pgdp)[0] = pgd

    if ((pgd & (_PAGE_USER | _PAGE_PRESENT)) == (_PAGE_USER | _PAGE_PRESENT) and
            (__supported_pte_mask & _PAGE_NX)):
        pgd = pgd_t(pgd | _PAGE_NX)

    return pgd


# Needed only once something runs, so that headers may include each other:
from kmm.arch.x86.include.asm.pgtable import kernel_to_user_pgdp, pgdp_maps_userspace
