# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/pgtable_64.h (Linux 7.2).

The stores behind set_pte() and its kin. CONFIG symbols: SMP, MITIGATION_PAGE_TABLE_ISOLATION.
Left out: the fixmap and the tables of the kernel image.

:deviation: ``swapper_pg_dir()`` is a function. The kernel image is not modelled: boot takes a frame
    (two with page-table isolation) for the kernel's own pgd and stores it in ``init_mm.pgd``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import __VIRTUAL_MASK_SHIFT
from kmm.arch.x86.include.asm.pgtable_64_types import pgtable_l5_enabled
from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_BIT_PROTNONE,
    native_make_p4d,
    native_make_pgd,
    native_make_pmd,
    native_make_pte,
    native_make_pud,
    native_p4d_val,
    native_pgd_val,
    p4d_ptr,
    p4d_t,
    pgd_ptr,
    pgd_t,
    pmd_ptr,
    pmd_t,
    pte_ptr,
    pte_t,
    pud_ptr,
    pud_t,
)
from kmm.c import ulong
from kmm.include.generated.autoconf import CONFIG_MITIGATION_PAGE_TABLE_ISOLATION, CONFIG_SMP
from kmm.include.linux.compiler import WRITE_ONCE

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct


def swapper_pg_dir() -> pgd_ptr:
    """The kernel's own top-level table (``init_top_pgt``)."""
    return init_mm.pgd


def pte_ERROR(e: pte_t) -> None:
    """Complain about a pte that makes no sense."""
    pr_err(f"bad pte {e:016x}")


def pmd_ERROR(e: pmd_t) -> None:
    """Complain about a pmd entry that makes no sense."""
    pr_err(f"bad pmd {e:016x}")


def pud_ERROR(e: pud_t) -> None:
    """Complain about a pud entry that makes no sense."""
    pr_err(f"bad pud {e:016x}")


def p4d_ERROR(e: p4d_t) -> None:
    """Complain about a p4d entry that makes no sense."""
    pr_err(f"bad p4d {e:016x}")


def pgd_ERROR(e: pgd_t) -> None:
    """Complain about a pgd entry that makes no sense."""
    pr_err(f"bad pgd {e:016x}")


def mm_p4d_folded(mm: mm_struct) -> bool:
    """Whether a p4d is the pgd entry itself."""
    return not pgtable_l5_enabled()


def native_set_pte(ptep: pte_ptr, pte: pte_t) -> None:
    """Store a pte."""
    WRITE_ONCE(ptep, pte)


def native_pte_clear(mm: mm_struct | None, addr: int, ptep: pte_ptr) -> None:
    """Empty a pte."""
    native_set_pte(ptep, native_make_pte(0))


def native_set_pte_atomic(ptep: pte_ptr, pte: pte_t) -> None:
    """Store a pte."""
    native_set_pte(ptep, pte)


def native_set_pmd(pmdp: pmd_ptr, pmd: pmd_t) -> None:
    """Store a pmd entry."""
    WRITE_ONCE(pmdp, pmd)


def native_pmd_clear(pmd: pmd_ptr) -> None:
    """Empty a pmd entry."""
    native_set_pmd(pmd, native_make_pmd(0))


def native_ptep_get_and_clear(xp: pte_ptr) -> pte_t:
    """Empty a pte; the old value. One access, so that the CPU can set no bit in between."""
    if CONFIG_SMP:
        return native_make_pte(hooks.xchg(xp, 8, 0))
    else:
        ret = xp[0]
        native_pte_clear(None, 0, xp)
        return ret


def native_pmdp_get_and_clear(xp: pmd_ptr) -> pmd_t:
    """Empty a pmd entry; the old value."""
    if CONFIG_SMP:
        return native_make_pmd(hooks.xchg(xp, 8, 0))
    else:
        ret = xp[0]
        native_pmd_clear(xp)
        return ret


def native_set_pud(pudp: pud_ptr, pud: pud_t) -> None:
    """Store a pud entry."""
    WRITE_ONCE(pudp, pud)


def native_pud_clear(pud: pud_ptr) -> None:
    """Empty a pud entry."""
    native_set_pud(pud, native_make_pud(0))


def native_pudp_get_and_clear(xp: pud_ptr) -> pud_t:
    """Empty a pud entry; the old value."""
    if CONFIG_SMP:
        return native_make_pud(hooks.xchg(xp, 8, 0))
    else:
        ret = xp[0]

        native_pud_clear(xp)
        return ret


def native_set_p4d(p4dp: p4d_ptr, p4d: p4d_t) -> None:
    """Store a p4d entry; with four levels it is a top-level entry, which isolation must mirror."""
    if pgtable_l5_enabled() or not CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        WRITE_ONCE(p4dp, p4d)
        return

    pgd = native_make_pgd(native_p4d_val(p4d))
    pgd = pti_set_user_pgtbl(pgd_ptr(p4dp), pgd)
    WRITE_ONCE(p4dp, native_make_p4d(native_pgd_val(pgd)))


def native_p4d_clear(p4d: p4d_ptr) -> None:
    """Empty a p4d entry."""
    native_set_p4d(p4d, native_make_p4d(0))


def native_set_pgd(pgdp: pgd_ptr, pgd: pgd_t) -> None:
    """Store a pgd entry, and in the user's pgd too if there is one."""
    WRITE_ONCE(pgdp, pti_set_user_pgtbl(pgdp, pgd))


def native_pgd_clear(pgd: pgd_ptr) -> None:
    """Empty a pgd entry."""
    native_set_pgd(pgd, native_make_pgd(0))


SWP_TYPE_BITS = 5
SWP_OFFSET_FIRST_BIT = _PAGE_BIT_PROTNONE + 1
SWP_OFFSET_SHIFT = SWP_OFFSET_FIRST_BIT + SWP_TYPE_BITS


class swp_entry_t(NamedTuple):
    """``swp_entry_t``: what a not-present entry says, in the machine's bits."""

    val: int


def __swp_type(x: swp_entry_t) -> int:
    """The kind of swap entry: the top five bits."""
    return x.val >> (64 - SWP_TYPE_BITS)


def __swp_offset(x: swp_entry_t) -> int:
    """The offset, which is stored inverted so that its address bits name no real memory."""
    return ulong(ulong(~x.val) << SWP_TYPE_BITS) >> SWP_OFFSET_SHIFT


def __swp_entry(type: int, offset: int) -> swp_entry_t:
    """A swap entry."""
    return swp_entry_t((ulong(ulong(~offset) << SWP_OFFSET_SHIFT) >> SWP_TYPE_BITS) |
                       ulong(type << (64 - SWP_TYPE_BITS)))


def __pte_to_swp_entry(pte: pte_t) -> swp_entry_t:
    """A not-present pte as a swap entry."""
    return swp_entry_t(pte)


def __pmd_to_swp_entry(pmd: pmd_t) -> swp_entry_t:
    """A not-present pmd entry as a swap entry."""
    return swp_entry_t(pmd)


def __swp_entry_to_pte(x: swp_entry_t) -> pte_t:
    """A swap entry as a pte."""
    return native_make_pte(x.val)


def __swp_entry_to_pmd(x: swp_entry_t) -> pmd_t:
    """A swap entry as a pmd entry."""
    return native_make_pmd(x.val)


def gup_fast_permitted(start: int, end: int) -> bool:
    """Whether a range lies in the lower half."""
    if end >> __VIRTUAL_MASK_SHIFT():
        return False
    return True


# Declared here, defined there:
from kmm.arch.x86.include.asm.pgtable import pti_set_user_pgtbl
from kmm.include.linux.printk import pr_err
from kmm.mm.init_mm import init_mm
