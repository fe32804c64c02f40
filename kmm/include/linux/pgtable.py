# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/pgtable.h (Linux 7.2), as far as an x86-64 kernel uses it.

Walking down, reading and changing entries, what the generic code provides where the architecture
does not. CONFIG symbols: TRANSPARENT_HUGEPAGE, HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD, HAVE_ARCH_HUGE_VMAP,
GUP_GET_PXX_LOW_HIGH.
Left out: lazy MMU mode of paravirtual kernels (the calls do nothing), page_table_check, soft-dirty
and pfnmap tracking stubs, HIGHPTE.

``p?d_offset()`` take a pointer to an entry, in memory or on the stack (``cell``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

# asm/pgtable.h needs pgd_index() and the comparisons, so they come before it is included.
from kmm.arch.x86.include.asm.pgtable_64_types import (
    P4D_MASK,
    P4D_SIZE,
    PGDIR_MASK,
    PGDIR_SHIFT,
    PGDIR_SIZE,
    PMD_MASK,
    PMD_SHIFT,
    PMD_SIZE,
    PTRS_PER_PGD,
    PTRS_PER_PMD,
    PTRS_PER_PTE,
    PTRS_PER_PUD,
    PUD_MASK,
    PUD_SHIFT,
    PUD_SIZE,
)
from kmm.arch.x86.include.asm.pgtable_types import (
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
from kmm.c import cell, struct, ulong
from kmm.include.generated.autoconf import (
    CONFIG_ARCH_HAS_NONLEAF_PMD_YOUNG,
    CONFIG_HAVE_ARCH_HUGE_VMAP,
    CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD,
    CONFIG_TRANSPARENT_HUGEPAGE,
)
from kmm.include.linux.compiler import READ_ONCE
from kmm.include.vdso.page import PAGE_SHIFT, PAGE_SIZE

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgprot_t
    from kmm.include.linux.mm_types import folio, mm_struct, page, vm_area_struct

PGTBL_PGD_MODIFIED = 1 << 0
PGTBL_P4D_MODIFIED = 1 << 1
PGTBL_PUD_MODIFIED = 1 << 2
PGTBL_PMD_MODIFIED = 1 << 3
PGTBL_PTE_MODIFIED = 1 << 4


def pmd_pgtable(pmd: pmd_t) -> page:
    """The page table that a pmd entry names, as a ``pgtable_t``."""
    return pmd_page(pmd)


def pmd_folio(pmd: pmd_t) -> folio:
    """The folio of what a pmd entry names."""
    return page_folio(pmd_page(pmd))


def pte_index(address: int) -> int:
    """Index into a PTE table."""
    return (address >> PAGE_SHIFT) & (PTRS_PER_PTE - 1)


def pmd_index(address: int) -> int:
    """Index into a PMD table."""
    return (address >> PMD_SHIFT) & (PTRS_PER_PMD - 1)


def pud_index(address: int) -> int:
    """Index into a PUD table."""
    return (address >> PUD_SHIFT) & (PTRS_PER_PUD - 1)


def pgd_index(a: int) -> int:
    """Index into a top-level table."""
    return (a >> PGDIR_SHIFT()) & (PTRS_PER_PGD - 1)


def pte_offset_kernel(pmd: pmd_ptr | cell[pmd_t], address: int) -> pte_ptr:
    """The pte of an address in the table that ``*pmd`` names."""
    return pte_ptr(pmd_page_vaddr(pmd[0])) + pte_index(address)


def __pte_map(pmd: pmd_ptr | cell[pmd_t], address: int) -> pte_ptr:
    """pte_offset_kernel(); 64-bit kernels map every table."""
    return pte_offset_kernel(pmd, address)


def pte_unmap(pte: pte_ptr) -> None:
    """End what pte_offset_map() began: the RCU read side."""
    rcu_read_unlock()


def pmd_offset(pud: pud_ptr | cell[pud_t], address: int) -> pmd_ptr:
    """The pmd entry of an address in the table that ``*pud`` names."""
    return pud_pgtable(pud[0]) + pmd_index(address)


def pud_offset(p4d: p4d_ptr | cell[p4d_t], address: int) -> pud_ptr:
    """The pud entry of an address in the table that ``*p4d`` names."""
    return p4d_pgtable(p4d[0]) + pud_index(address)


def pgd_offset_pgd(pgd: pgd_ptr, address: int) -> pgd_ptr:
    """The entry of an address in a top-level table."""
    return pgd + pgd_index(address)


def pgd_offset(mm: mm_struct, address: int) -> pgd_ptr:
    """The top-level entry of an address in *mm*."""
    return pgd_offset_pgd(mm.pgd, address)


def pgd_offset_k(address: int) -> pgd_ptr:
    """The top-level entry of a kernel address."""
    return pgd_offset(init_mm, address)


def pmd_off(mm: mm_struct, va: int) -> pmd_ptr:
    """The pmd entry of an address whose upper tables exist."""
    return pmd_offset(pud_offset(p4d_offset(pgd_offset(mm, va), va), va), va)


def pmd_off_k(va: int) -> pmd_ptr:
    """The pmd entry of a kernel address whose upper tables exist."""
    return pmd_offset(pud_offset(p4d_offset(pgd_offset_k(va), va), va), va)


def virt_to_kpte(vaddr: int) -> pte_ptr | None:
    """The pte of a kernel address, or None without a PTE table."""
    pmd = pmd_off_k(vaddr)

    return None if pmd_none(pmd[0]) else pte_offset_kernel(pmd, vaddr)


def lazy_mmu_mode_enable() -> None:
    """Nothing to batch on bare metal."""


def lazy_mmu_mode_disable() -> None:
    """Nothing was batched."""


def lazy_mmu_mode_pause() -> None:
    """Nothing is batched."""


def lazy_mmu_mode_resume() -> None:
    """Nothing to batch on bare metal."""


def pte_batch_hint(ptep: pte_ptr, pte: pte_t) -> int:
    """How many ptes from here on may be handled as one."""
    return 1


def pte_next_pfn(pte: pte_t) -> pte_t:
    """The same entry for the next frame."""
    return pte_advance_pfn(pte, 1)


def set_ptes(mm: mm_struct, addr: int, ptep: pte_ptr, pte: pte_t, nr: int) -> None:
    """Map *nr* consecutive frames, one store each."""
    while True:
        set_pte(ptep, pte)
        nr -= 1
        if nr == 0:
            break
        ptep += 1
        pte = pte_next_pfn(pte)


def set_pte_at(mm: mm_struct, addr: int, ptep: pte_ptr, pte: pte_t) -> None:
    """Store a pte of *mm*."""
    set_ptes(mm, addr, ptep, pte, 1)


def ptep_get(ptep: pte_ptr) -> pte_t:
    """Load a pte."""
    return READ_ONCE(ptep)


def pmdp_get(pmdp: pmd_ptr) -> pmd_t:
    """Load a pmd entry."""
    return READ_ONCE(pmdp)


def pudp_get(pudp: pud_ptr) -> pud_t:
    """Load a pud entry."""
    return READ_ONCE(pudp)


def p4dp_get(p4dp: p4d_ptr) -> p4d_t:
    """Load a p4d entry."""
    return READ_ONCE(p4dp)


def pgdp_get(pgdp: pgd_ptr) -> pgd_t:
    """Load a top-level entry."""
    return READ_ONCE(pgdp)


def arch_has_hw_nonleaf_pmd_young() -> bool:
    """Whether the CPU sets A in entries that name tables."""
    return CONFIG_ARCH_HAS_NONLEAF_PMD_YOUNG


def ptep_clear(mm: mm_struct, addr: int, ptep: pte_ptr) -> None:
    """Empty a pte whose old value does not matter."""
    ptep_get(ptep)

    pte_clear(mm, addr, ptep)


def ptep_get_lockless(ptep: pte_ptr) -> pte_t:
    """Load a pte without its lock; one access suffices for 64 bits."""
    return ptep_get(ptep)


def pmdp_get_lockless(pmdp: pmd_ptr) -> pmd_t:
    """Load a pmd entry without its lock; one access suffices for 64 bits."""
    return pmdp_get(pmdp)


def pmdp_get_lockless_sync() -> None:
    """Nothing to wait for where a load is one access."""


def pmdp_huge_get_and_clear_full(vma: vm_area_struct, address: int, pmdp: pmd_ptr, full: int) -> pmd_t:
    """Empty a huge pmd entry; *full* makes no difference here."""
    return pmdp_huge_get_and_clear(vma.vm_mm, address, pmdp)


def pudp_huge_get_and_clear_full(vma: vm_area_struct, address: int, pudp: pud_ptr, full: int) -> pud_t:
    """Empty a huge pud entry; *full* makes no difference here."""
    return pudp_huge_get_and_clear(vma.vm_mm, address, pudp)


def get_and_clear_full_ptes(mm: mm_struct, addr: int, ptep: pte_ptr, nr: int, full: int) -> pte_t:
    """Empty *nr* ptes of one folio; the first old value, with D and A gathered from all."""
    pte = ptep_get_and_clear_full(mm, addr, ptep, full)
    while True:
        nr -= 1
        if not nr:
            break
        ptep += 1
        addr += PAGE_SIZE
        tmp_pte = ptep_get_and_clear_full(mm, addr, ptep, full)
        if pte_dirty(tmp_pte):
            pte = pte_mkdirty(pte)
        if pte_young(tmp_pte):
            pte = pte_mkyoung(pte)
    return pte


def get_and_clear_ptes(mm: mm_struct, addr: int, ptep: pte_ptr, nr: int) -> pte_t:
    """get_and_clear_full_ptes() in a living address space."""
    return get_and_clear_full_ptes(mm, addr, ptep, nr, 0)


def clear_full_ptes(mm: mm_struct, addr: int, ptep: pte_ptr, nr: int, full: int) -> None:
    """Empty *nr* ptes whose old values do not matter."""
    while True:
        ptep_get_and_clear_full(mm, addr, ptep, full)
        nr -= 1
        if nr == 0:
            break
        ptep += 1
        addr += PAGE_SIZE


def update_mmu_tlb(vma: vm_area_struct, address: int, ptep: pte_ptr) -> None:
    """Nothing: a TLB that hardware fills needs no telling."""


def pte_clear_not_present_full(mm: mm_struct, address: int, ptep: pte_ptr, full: int) -> None:
    """Empty a pte that is not present."""
    pte_clear(mm, address, ptep)


def clear_not_present_full_ptes(mm: mm_struct, addr: int, ptep: pte_ptr, nr: int, full: int) -> None:
    """Empty *nr* ptes that are not present."""
    while True:
        pte_clear_not_present_full(mm, addr, ptep, full)
        nr -= 1
        if nr == 0:
            break
        ptep += 1
        addr += PAGE_SIZE


def wrprotect_ptes(mm: mm_struct, addr: int, ptep: pte_ptr, nr: int) -> None:
    """Write protect *nr* ptes."""
    while True:
        ptep_set_wrprotect(mm, addr, ptep)
        nr -= 1
        if nr == 0:
            break
        ptep += 1
        addr += PAGE_SIZE


def pte_sw_mkyoung(pte: pte_t) -> pte_t:
    """Unchanged: the CPU sets A itself."""
    return pte


def pudp_set_wrprotect(mm: mm_struct, address: int, pudp: pud_ptr) -> None:
    """Write protect a huge pud entry."""
    old_pud = pudp[0]

    set_pud_at(mm, address, pudp, pud_wrprotect(old_pud))


def arch_needs_pgtable_deposit() -> bool:
    """Whether huge mappings of files too need a table in reserve."""
    return False


def pte_unused(pte: pte_t) -> int:
    """Never: only s390 keeps such a note."""
    return 0


def pmd_same(pmd_a: pmd_t, pmd_b: pmd_t) -> int:
    """Equal bits."""
    return pmd_a == pmd_b


def pud_same(pud_a: pud_t, pud_b: pud_t) -> int:
    """Equal bits."""
    return pud_a == pud_b


def p4d_same(p4d_a: p4d_t, p4d_b: p4d_t) -> int:
    """Equal bits."""
    return p4d_a == p4d_b


def pgd_same(pgd_a: pgd_t, pgd_b: pgd_t) -> int:
    """Equal bits."""
    return pgd_a == pgd_b


def flush_tlb_fix_spurious_fault_pmd(vma: vm_area_struct, address: int, pmdp: pmd_ptr) -> None:
    """Nothing: the CPU drops the entry it faulted on."""


# The boundary is compared less one, so that an end of 0 means the end of the address space.
def pgd_addr_end(addr: int, end: int) -> int:
    """The end of what *addr*'s top-level entry maps, at most *end*."""
    __boundary = ulong(addr + PGDIR_SIZE()) & PGDIR_MASK()
    return __boundary if ulong(__boundary - 1) < ulong(end - 1) else end


def p4d_addr_end(addr: int, end: int) -> int:
    """The end of what *addr*'s p4d entry maps, at most *end*."""
    __boundary = ulong(addr + P4D_SIZE) & P4D_MASK
    return __boundary if ulong(__boundary - 1) < ulong(end - 1) else end


def pud_addr_end(addr: int, end: int) -> int:
    """The end of what *addr*'s pud entry maps, at most *end*."""
    __boundary = ulong(addr + PUD_SIZE) & PUD_MASK
    return __boundary if ulong(__boundary - 1) < ulong(end - 1) else end


def pmd_addr_end(addr: int, end: int) -> int:
    """The end of what *addr*'s pmd entry maps, at most *end*."""
    __boundary = ulong(addr + PMD_SIZE) & PMD_MASK
    return __boundary if ulong(__boundary - 1) < ulong(end - 1) else end


def pgd_none_or_clear_bad(pgd: pgd_ptr) -> int:
    """Whether there is nothing below a top-level entry; one that makes no sense is emptied."""
    if pgd_none(pgd[0]):
        return 1
    if pgd_bad(pgd[0]):
        pgd_clear_bad(pgd)
        return 1
    return 0


def p4d_none_or_clear_bad(p4d: p4d_ptr) -> int:
    """Whether there is nothing below a p4d entry; one that makes no sense is emptied."""
    if p4d_none(p4d[0]):
        return 1
    if p4d_bad(p4d[0]):
        p4d_clear_bad(p4d)
        return 1
    return 0


def pud_none_or_clear_bad(pud: pud_ptr) -> int:
    """Whether there is nothing below a pud entry; one that makes no sense is emptied."""
    if pud_none(pud[0]):
        return 1
    if pud_bad(pud[0]):
        pud_clear_bad(pud)
        return 1
    return 0


def pmd_none_or_clear_bad(pmd: pmd_ptr) -> int:
    """Whether there is nothing below a pmd entry; one that makes no sense is emptied."""
    if pmd_none(pmd[0]):
        return 1
    if pmd_bad(pmd[0]):
        pmd_clear_bad(pmd)
        return 1
    return 0


def __ptep_modify_prot_start(vma: vm_area_struct, addr: int, ptep: pte_ptr) -> pte_t:
    """Empty a pte, so that the CPU sets no more bits in it; the old value."""
    return ptep_get_and_clear(vma.vm_mm, addr, ptep)


def __ptep_modify_prot_commit(vma: vm_area_struct, addr: int, ptep: pte_ptr, pte: pte_t) -> None:
    """Store the changed pte."""
    set_pte_at(vma.vm_mm, addr, ptep, pte)


def ptep_modify_prot_start(vma: vm_area_struct, addr: int, ptep: pte_ptr) -> pte_t:
    """Begin to change a pte's protection; the old value.

    :context: the pte's lock is held until ptep_modify_prot_commit().
    """
    return __ptep_modify_prot_start(vma, addr, ptep)


def ptep_modify_prot_commit(vma: vm_area_struct, addr: int, ptep: pte_ptr, old_pte: pte_t,
                            pte: pte_t) -> None:
    """End what ptep_modify_prot_start() began."""
    __ptep_modify_prot_commit(vma, addr, ptep, pte)


class __zero_page_pfn(struct):
    """The variable ``unsigned long zero_page_pfn``, 0 until boot has taken a frame for it."""

    value: int


zero_page_pfn = __zero_page_pfn.zeroed()


def is_zero_pfn(pfn: int) -> bool:
    """Whether a frame is the shared page of zeroes."""
    return pfn == zero_page_pfn.value


def zero_pfn(addr: int) -> int:
    """The shared page of zeroes."""
    return zero_page_pfn.value


USER_PGTABLES_CEILING = 0
FIRST_USER_ADDRESS = 0


def pud_trans_unstable(pud: pud_ptr) -> int:
    """Whether a pud entry, read without its lock, names no table."""
    if CONFIG_TRANSPARENT_HUGEPAGE and CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD:
        pudval = pudp_get(pud)

        if pud_none(pudval) or pud_trans_huge(pudval):
            return 1
        if pud_bad(pudval):
            pud_clear_bad(pud)
            return 1
    return 0


if CONFIG_HAVE_ARCH_HUGE_VMAP:
    def p4d_free_pud_page(p4d: p4d_ptr, addr: int) -> int:
        """Declared only: x86 has no huge p4d and compiles the call away."""
        BUILD_BUG()

if not CONFIG_HAVE_ARCH_HUGE_VMAP:
    def p4d_set_huge(p4d: p4d_ptr, addr: int, prot: pgprot_t) -> int:
        """Never."""
        return 0

    def pud_set_huge(pud: pud_ptr, addr: int, prot: pgprot_t) -> int:
        """Never."""
        return 0

    def pmd_set_huge(pmd: pmd_ptr, addr: int, prot: pgprot_t) -> int:
        """Never."""
        return 0

    def p4d_clear_huge(p4d: p4d_ptr) -> None:
        """Nothing can be huge."""

    def pud_clear_huge(pud: pud_ptr) -> int:
        """Nothing can be huge."""
        return 0

    def pmd_clear_huge(pmd: pmd_ptr) -> int:
        """Nothing can be huge."""
        return 0

    def p4d_free_pud_page(p4d: p4d_ptr, addr: int) -> int:
        """Never."""
        return 0

    def pud_free_pmd_page(pud: pud_ptr, addr: int) -> int:
        """Never."""
        return 0

    def pmd_free_pte_page(pmd: pmd_ptr, addr: int) -> int:
        """Never."""
        return 0


if CONFIG_TRANSPARENT_HUGEPAGE:
    def flush_pmd_tlb_range(vma: vm_area_struct, addr: int, end: int) -> None:
        """Flush a range that huge pmd entries map."""
        flush_tlb_range(vma, addr, end)

    def flush_pud_tlb_range(vma: vm_area_struct, addr: int, end: int) -> None:
        """Flush a range that huge pud entries map."""
        flush_tlb_range(vma, addr, end)
else:
    def flush_pmd_tlb_range(vma: vm_area_struct, addr: int, end: int) -> None:
        """Not reached without huge pages."""
        BUILD_BUG()

    def flush_pud_tlb_range(vma: vm_area_struct, addr: int, end: int) -> None:
        """Not reached without huge pages."""
        BUILD_BUG()


def mm_pud_folded(mm: mm_struct) -> bool:
    """Whether a pud is the p4d entry itself: never on x86-64."""
    return False


def mm_pmd_folded(mm: mm_struct) -> bool:
    """Whether a pmd is the pud entry itself: never on x86-64."""
    return False


# A walk without locks must go on with the value it checked: these take the value, not the pointer.
def p4d_offset_lockless(pgdp: pgd_ptr, pgd: pgd_t, address: int) -> p4d_ptr:
    """The p4d entry below a top-level entry that was already read."""
    if not pgtable_l5_enabled():
        return p4d_ptr(pgdp)
    return p4d_ptr(pgd_page_vaddr(pgd)) + p4d_index(address)


def pud_offset_lockless(p4dp: p4d_ptr, p4d: p4d_t, address: int) -> pud_ptr:
    """The pud entry below a p4d entry that was already read."""
    return pud_offset(cell(p4d), address)


def pmd_offset_lockless(pudp: pud_ptr, pud: pud_t, address: int) -> pmd_ptr:
    """The pmd entry below a pud entry that was already read."""
    return pmd_offset(cell(pud), address)


def pgd_leaf(x: pgd_t) -> bool:
    """Never: no architecture maps memory at the top level."""
    return False


def p4d_leaf(x: p4d_t) -> bool:
    """Never: no processor has 512 GiB pages."""
    return False


MAX_PTRS_PER_PTE = PTRS_PER_PTE
MAX_PTRS_PER_PMD = PTRS_PER_PMD
MAX_PTRS_PER_PUD = PTRS_PER_PUD

# asm/pgtable.h, which this header includes first in C, and what is declared here and defined there:
from kmm.arch.x86.include.asm.pgtable import (
    KERNEL_PGD_BOUNDARY as KERNEL_PGD_BOUNDARY,
)
from kmm.arch.x86.include.asm.pgtable import (
    KERNEL_PGD_PTRS as KERNEL_PGD_PTRS,
)
from kmm.arch.x86.include.asm.pgtable import (
    __p4d as __p4d,
)
from kmm.arch.x86.include.asm.pgtable import (
    __pgd as __pgd,
)
from kmm.arch.x86.include.asm.pgtable import (
    __pmd as __pmd,
)
from kmm.arch.x86.include.asm.pgtable import (
    __pte as __pte,
)
from kmm.arch.x86.include.asm.pgtable import (
    __pud as __pud,
)
from kmm.arch.x86.include.asm.pgtable import (
    arch_flush_lazy_mmu_mode as arch_flush_lazy_mmu_mode,
)
from kmm.arch.x86.include.asm.pgtable import (
    check_pgprot as check_pgprot,
)
from kmm.arch.x86.include.asm.pgtable import (
    clone_pgd_range as clone_pgd_range,
)
from kmm.arch.x86.include.asm.pgtable import (
    flush_tlb_fix_spurious_fault as flush_tlb_fix_spurious_fault,
)
from kmm.arch.x86.include.asm.pgtable import (
    massage_pgprot as massage_pgprot,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_bad as p4d_bad,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_clear as p4d_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_index as p4d_index,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_none as p4d_none,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_offset as p4d_offset,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_page as p4d_page,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_pfn as p4d_pfn,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_pgprot as p4d_pgprot,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_pgtable as p4d_pgtable,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_present as p4d_present,
)
from kmm.arch.x86.include.asm.pgtable import (
    p4d_val as p4d_val,
)
from kmm.arch.x86.include.asm.pgtable import (
    page_level_mask as page_level_mask,
)
from kmm.arch.x86.include.asm.pgtable import (
    page_level_shift as page_level_shift,
)
from kmm.arch.x86.include.asm.pgtable import (
    page_level_size as page_level_size,
)
from kmm.arch.x86.include.asm.pgtable import (
    pfn_pmd as pfn_pmd,
)
from kmm.arch.x86.include.asm.pgtable import (
    pfn_pte as pfn_pte,
)
from kmm.arch.x86.include.asm.pgtable import (
    pfn_pud as pfn_pud,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_bad as pgd_bad,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_clear as pgd_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_none as pgd_none,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_page as pgd_page,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_page_vaddr as pgd_page_vaddr,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_pfn as pgd_pfn,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_present as pgd_present,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgd_val as pgd_val,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgdp_maps_userspace as pgdp_maps_userspace,
)
from kmm.arch.x86.include.asm.pgtable import (
    pgprot_modify as pgprot_modify,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_access_permitted as pmd_access_permitted,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_bad as pmd_bad,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_clear as pmd_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_clear_flags as pmd_clear_flags,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_clear_saveddirty as pmd_clear_saveddirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_clear_uffd_wp as pmd_clear_uffd_wp,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_dirty as pmd_dirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_leaf as pmd_leaf,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkclean as pmd_mkclean,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkdirty as pmd_mkdirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkhuge as pmd_mkhuge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkinvalid as pmd_mkinvalid,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkold as pmd_mkold,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mksaveddirty as pmd_mksaveddirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkuffd_wp as pmd_mkuffd_wp,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkwrite_novma as pmd_mkwrite_novma,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkwrite_shstk as pmd_mkwrite_shstk,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_mkyoung as pmd_mkyoung,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_modify as pmd_modify,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_none as pmd_none,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_page as pmd_page,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_page_vaddr as pmd_page_vaddr,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_pfn as pmd_pfn,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_pgprot as pmd_pgprot,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_present as pmd_present,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_protnone as pmd_protnone,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_set_flags as pmd_set_flags,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_shstk as pmd_shstk,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_trans_huge as pmd_trans_huge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_uffd_wp as pmd_uffd_wp,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_val as pmd_val,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_write as pmd_write,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_wrprotect as pmd_wrprotect,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmd_young as pmd_young,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmdp_establish as pmdp_establish,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmdp_huge_get_and_clear as pmdp_huge_get_and_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    pmdp_set_wrprotect as pmdp_set_wrprotect,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_access_permitted as pte_access_permitted,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_accessible as pte_accessible,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_advance_pfn as pte_advance_pfn,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_clear as pte_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_clear_flags as pte_clear_flags,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_clear_saveddirty as pte_clear_saveddirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_clear_uffd_wp as pte_clear_uffd_wp,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_clrglobal as pte_clrglobal,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_clrhuge as pte_clrhuge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_dirty as pte_dirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_exec as pte_exec,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_flags_pkey as pte_flags_pkey,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_global as pte_global,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_huge as pte_huge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkclean as pte_mkclean,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkdirty as pte_mkdirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkexec as pte_mkexec,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkglobal as pte_mkglobal,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkhuge as pte_mkhuge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkold as pte_mkold,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mksaveddirty as pte_mksaveddirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkspecial as pte_mkspecial,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkuffd_wp as pte_mkuffd_wp,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkwrite_novma as pte_mkwrite_novma,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkwrite_shstk as pte_mkwrite_shstk,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_mkyoung as pte_mkyoung,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_modify as pte_modify,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_none as pte_none,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_page as pte_page,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_pfn as pte_pfn,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_pgprot as pte_pgprot,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_present as pte_present,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_protnone as pte_protnone,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_same as pte_same,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_set_flags as pte_set_flags,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_shstk as pte_shstk,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_special as pte_special,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_swp_clear_exclusive as pte_swp_clear_exclusive,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_swp_exclusive as pte_swp_exclusive,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_swp_mkexclusive as pte_swp_mkexclusive,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_uffd_wp as pte_uffd_wp,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_val as pte_val,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_write as pte_write,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_wrprotect as pte_wrprotect,
)
from kmm.arch.x86.include.asm.pgtable import (
    pte_young as pte_young,
)
from kmm.arch.x86.include.asm.pgtable import (
    ptep_get_and_clear as ptep_get_and_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    ptep_get_and_clear_full as ptep_get_and_clear_full,
)
from kmm.arch.x86.include.asm.pgtable import (
    ptep_set_wrprotect as ptep_set_wrprotect,
)
from kmm.arch.x86.include.asm.pgtable import (
    ptep_try_set as ptep_try_set,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_access_permitted as pud_access_permitted,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_bad as pud_bad,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_clear as pud_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_clear_flags as pud_clear_flags,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_clear_saveddirty as pud_clear_saveddirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_dirty as pud_dirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_leaf as pud_leaf,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkclean as pud_mkclean,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkdirty as pud_mkdirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkhuge as pud_mkhuge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkinvalid as pud_mkinvalid,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkold as pud_mkold,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mksaveddirty as pud_mksaveddirty,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkwrite as pud_mkwrite,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_mkyoung as pud_mkyoung,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_modify as pud_modify,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_none as pud_none,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_page as pud_page,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_pfn as pud_pfn,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_pgprot as pud_pgprot,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_pgtable as pud_pgtable,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_present as pud_present,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_set_flags as pud_set_flags,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_shstk as pud_shstk,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_trans_huge as pud_trans_huge,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_val as pud_val,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_write as pud_write,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_wrprotect as pud_wrprotect,
)
from kmm.arch.x86.include.asm.pgtable import (
    pud_young as pud_young,
)
from kmm.arch.x86.include.asm.pgtable import (
    pudp_huge_get_and_clear as pudp_huge_get_and_clear,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_p4d as set_p4d,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_p4d_safe as set_p4d_safe,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pgd as set_pgd,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pgd_safe as set_pgd_safe,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pmd as set_pmd,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pmd_at as set_pmd_at,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pmd_safe as set_pmd_safe,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pte as set_pte,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pte_atomic as set_pte_atomic,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pte_safe as set_pte_safe,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pud as set_pud,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pud_at as set_pud_at,
)
from kmm.arch.x86.include.asm.pgtable import (
    set_pud_safe as set_pud_safe,
)
from kmm.arch.x86.include.asm.pgtable import (
    update_mmu_cache as update_mmu_cache,
)
from kmm.arch.x86.include.asm.pgtable import (
    update_mmu_cache_pmd as update_mmu_cache_pmd,
)
from kmm.arch.x86.include.asm.pgtable import (
    update_mmu_cache_pud as update_mmu_cache_pud,
)
from kmm.arch.x86.include.asm.pgtable import (
    update_mmu_cache_range as update_mmu_cache_range,
)
from kmm.arch.x86.include.asm.pgtable_64_types import pgtable_l5_enabled
from kmm.arch.x86.include.asm.tlbflush import flush_tlb_range
from kmm.arch.x86.mm.pgtable import (
    arch_check_zapped_pte as arch_check_zapped_pte,
)
from kmm.arch.x86.mm.pgtable import (
    pmd_mkwrite as pmd_mkwrite,
)
from kmm.arch.x86.mm.pgtable import (
    pte_mkwrite as pte_mkwrite,
)
from kmm.arch.x86.mm.pgtable import (
    ptep_clear_flush_young as ptep_clear_flush_young,
)
from kmm.arch.x86.mm.pgtable import (
    ptep_set_access_flags as ptep_set_access_flags,
)
from kmm.arch.x86.mm.pgtable import (
    ptep_test_and_clear_young as ptep_test_and_clear_young,
)
from kmm.include.linux.bug import BUILD_BUG
from kmm.include.linux.page_flags import page_folio
from kmm.include.linux.rcupdate import rcu_read_unlock
from kmm.mm.init_mm import init_mm
from kmm.mm.pgtable_generic import (
    p4d_clear_bad,
    pgd_clear_bad,
    pmd_clear_bad,
    pud_clear_bad,
)

if CONFIG_HAVE_ARCH_HUGE_VMAP:
    from kmm.arch.x86.mm.pgtable import p4d_clear_huge as p4d_clear_huge
    from kmm.arch.x86.mm.pgtable import p4d_set_huge as p4d_set_huge
    from kmm.arch.x86.mm.pgtable import pmd_clear_huge as pmd_clear_huge
    from kmm.arch.x86.mm.pgtable import pmd_free_pte_page as pmd_free_pte_page
    from kmm.arch.x86.mm.pgtable import pmd_set_huge as pmd_set_huge
    from kmm.arch.x86.mm.pgtable import pud_clear_huge as pud_clear_huge
    from kmm.arch.x86.mm.pgtable import pud_free_pmd_page as pud_free_pmd_page
    from kmm.arch.x86.mm.pgtable import pud_set_huge as pud_set_huge
