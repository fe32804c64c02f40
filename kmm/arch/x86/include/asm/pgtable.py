# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/pgtable.h and pgtable-invert.h (Linux 7.2), 64-bit, not paravirtual.

What entries mean and how they are changed. CONFIG symbols: SMP, DEBUG_VM, TRANSPARENT_HUGEPAGE,
HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD, HAVE_ARCH_USERFAULTFD_WP, HAVE_ARCH_SOFT_DIRTY, NUMA_BALANCING,
MITIGATION_PAGE_TABLE_ISOLATION, X86_INTEL_MEMORY_PROTECTION_KEYS.
Left out: page_table_check, memory types, encryption, SGX, Xen; ``KERNEL_PGD_BOUNDARY()`` and
``KERNEL_PGD_PTRS()`` are functions because they depend on the number of levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import (
    PAGE_MASK,
    PAGE_OFFSET,
    PAGE_SHIFT,
    PHYSICAL_PMD_PAGE_MASK,
    PHYSICAL_PUD_PAGE_MASK,
)
from kmm.arch.x86.include.asm.pgtable_64_types import (
    P4D_SHIFT,
    PGD_KERNEL_START,
    PTRS_PER_P4D,
    PTRS_PER_PGD,
    pgprotval_t,
    pgtable_l5_enabled,
)
from kmm.arch.x86.include.asm.pgtable_types import (
    _HPAGE_CHG_MASK,
    _KERNPG_TABLE,
    _PAGE_ACCESSED,
    _PAGE_BIT_DIRTY,
    _PAGE_BIT_PKEY_BIT0,
    _PAGE_BIT_RW,
    _PAGE_BIT_SAVED_DIRTY,
    _PAGE_CHG_MASK,
    _PAGE_DIRTY,
    _PAGE_DIRTY_BITS,
    _PAGE_GLOBAL,
    _PAGE_KNL_ERRATUM_MASK,
    _PAGE_NX,
    _PAGE_PKEY_MASK,
    _PAGE_PRESENT,
    _PAGE_PROTNONE,
    _PAGE_PSE,
    _PAGE_RW,
    _PAGE_SOFT_DIRTY,
    _PAGE_SPECIAL,
    _PAGE_SWP_EXCLUSIVE,
    _PAGE_UFFD_WP,
    _PAGE_USER,
    PTE_PFN_MASK,
    __pgprot,
    __supported_pte_mask,
    native_make_p4d,
    native_make_pgd,
    native_make_pmd,
    native_make_pte,
    native_make_pud,
    native_p4d_val,
    native_pgd_val,
    native_pmd_val,
    native_pte_val,
    native_pud_val,
    p4d_flags,
    p4d_pfn_mask,
    p4d_ptr,
    p4d_t,
    pgd_flags,
    pgd_ptr,
    pgd_t,
    pgprot_t,
    pgprot_val,
    pmd_flags,
    pmd_pfn_mask,
    pmd_ptr,
    pmd_t,
    pte_flags,
    pte_ptr,
    pte_t,
    pud_flags,
    pud_pfn_mask,
    pud_ptr,
    pud_t,
)
from kmm.c import ulong
from kmm.include.generated.autoconf import (
    CONFIG_DEBUG_VM,
    CONFIG_HAVE_ARCH_SOFT_DIRTY,
    CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD,
    CONFIG_HAVE_ARCH_USERFAULTFD_WP,
    CONFIG_MITIGATION_PAGE_TABLE_ISOLATION,
    CONFIG_NUMA_BALANCING,
    CONFIG_SMP,
    CONFIG_TRANSPARENT_HUGEPAGE,
    CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS,
)
from kmm.include.linux.compiler import READ_ONCE, WRITE_ONCE

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct, page, vm_area_struct


# --- asm/pgtable-invert.h -------------------------------------------------------------------------

def __pte_needs_invert(val: int) -> bool:
    """Whether the address bits of an entry are stored inverted: it is neither empty nor present."""
    return bool(val and not (val & _PAGE_PRESENT))


def protnone_mask(val: int) -> int:
    """What to xor an entry with to get its real address bits."""
    return ulong(~0) if __pte_needs_invert(val) else 0


def flip_protnone_guard(oldval: int, val: int, mask: int) -> int:
    """Invert the address bits if the entry becomes, or stops being, one that is stored inverted."""
    if __pte_needs_invert(oldval) != __pte_needs_invert(val):
        val = (val & ~mask) | (~val & mask)
    return val


# --- setting ----------------------------------------------------------------------------------------

def set_pte(ptep: pte_ptr, pte: pte_t) -> None:
    """Store a pte."""
    native_set_pte(ptep, pte)


def set_pte_atomic(ptep: pte_ptr, pte: pte_t) -> None:
    """Store a pte in one access."""
    native_set_pte_atomic(ptep, pte)


def set_pmd(pmdp: pmd_ptr, pmd: pmd_t) -> None:
    """Store a pmd entry."""
    native_set_pmd(pmdp, pmd)


def set_pgd(pgdp: pgd_ptr, pgd: pgd_t) -> None:
    """Store a pgd entry."""
    native_set_pgd(pgdp, pgd)


def pgd_clear(pgd: pgd_ptr) -> None:
    """Empty a pgd entry; nothing where the p4d is folded into it."""
    if pgtable_l5_enabled():
        native_pgd_clear(pgd)


def set_p4d(p4dp: p4d_ptr, p4d: p4d_t) -> None:
    """Store a p4d entry."""
    native_set_p4d(p4dp, p4d)


def p4d_clear(p4d: p4d_ptr) -> None:
    """Empty a p4d entry."""
    native_p4d_clear(p4d)


def set_pud(pudp: pud_ptr, pud: pud_t) -> None:
    """Store a pud entry."""
    native_set_pud(pudp, pud)


def pud_clear(pud: pud_ptr) -> None:
    """Empty a pud entry."""
    native_pud_clear(pud)


def pte_clear(mm: mm_struct | None, addr: int, ptep: pte_ptr) -> None:
    """Empty a pte."""
    native_pte_clear(mm, addr, ptep)


def pmd_clear(pmd: pmd_ptr) -> None:
    """Empty a pmd entry."""
    native_pmd_clear(pmd)


def pgd_val(x: pgd_t) -> int:
    """The bits of a pgd entry."""
    return native_pgd_val(x)


def __pgd(x: int) -> pgd_t:
    """A pgd entry from bits."""
    return native_make_pgd(x)


def p4d_val(x: p4d_t) -> int:
    """The bits of a p4d entry."""
    return native_p4d_val(x)


def __p4d(x: int) -> p4d_t:
    """A p4d entry from bits."""
    return native_make_p4d(x)


def pud_val(x: pud_t) -> int:
    """The bits of a pud entry."""
    return native_pud_val(x)


def __pud(x: int) -> pud_t:
    """A pud entry from bits."""
    return native_make_pud(x)


def pmd_val(x: pmd_t) -> int:
    """The bits of a pmd entry."""
    return native_pmd_val(x)


def __pmd(x: int) -> pmd_t:
    """A pmd entry from bits."""
    return native_make_pmd(x)


def pte_val(x: pte_t) -> int:
    """The bits of a pte entry."""
    return native_pte_val(x)


def __pte(x: int) -> pte_t:
    """A pte entry from bits."""
    return native_make_pte(x)


def arch_flush_lazy_mmu_mode() -> None:
    """Nothing is queued on bare metal."""


def pmd_set_flags(pmd: pmd_t, set: int) -> pmd_t:
    """With bits set."""
    v = native_pmd_val(pmd)

    return native_make_pmd(v | set)


def pmd_clear_flags(pmd: pmd_t, clear: int) -> pmd_t:
    """With bits cleared."""
    v = native_pmd_val(pmd)

    return native_make_pmd(v & ~clear)


def pud_set_flags(pud: pud_t, set: int) -> pud_t:
    """With bits set."""
    v = native_pud_val(pud)

    return native_make_pud(v | set)


def pud_clear_flags(pud: pud_t, clear: int) -> pud_t:
    """With bits cleared."""
    v = native_pud_val(pud)

    return native_make_pud(v & ~clear)


# The following mean something only if the entry is present.
def pte_dirty(pte: pte_t) -> bool:
    """Written to since it was last clean."""
    return bool(pte_flags(pte) & _PAGE_DIRTY_BITS)


def pte_shstk(pte: pte_t) -> bool:
    """Shadow stack memory: dirty and not writable, on a CPU that has them."""
    return (cpu_feature_enabled(X86_FEATURE_SHSTK) and
            (pte_flags(pte) & (_PAGE_RW | _PAGE_DIRTY)) == _PAGE_DIRTY)


def pte_young(pte: pte_t) -> int:
    """Accessed."""
    return pte_flags(pte) & _PAGE_ACCESSED


def pmd_dirty(pmd: pmd_t) -> bool:
    """Written to since it was last clean."""
    return bool(pmd_flags(pmd) & _PAGE_DIRTY_BITS)


def pmd_shstk(pmd: pmd_t) -> bool:
    """A shadow stack leaf."""
    return (cpu_feature_enabled(X86_FEATURE_SHSTK) and
            (pmd_flags(pmd) & (_PAGE_RW | _PAGE_DIRTY | _PAGE_PSE)) == (_PAGE_DIRTY | _PAGE_PSE))


def pmd_young(pmd: pmd_t) -> int:
    """Accessed."""
    return pmd_flags(pmd) & _PAGE_ACCESSED


def pud_dirty(pud: pud_t) -> bool:
    """Written to since it was last clean."""
    return bool(pud_flags(pud) & _PAGE_DIRTY_BITS)


def pud_shstk(pud: pud_t) -> bool:
    """A shadow stack leaf."""
    return (cpu_feature_enabled(X86_FEATURE_SHSTK) and
            (pud_flags(pud) & (_PAGE_RW | _PAGE_DIRTY | _PAGE_PSE)) == (_PAGE_DIRTY | _PAGE_PSE))


def pud_young(pud: pud_t) -> int:
    """Accessed."""
    return pud_flags(pud) & _PAGE_ACCESSED


def pte_write(pte: pte_t) -> int:
    """Writable; shadow stacks count although their RW bit is clear."""
    return (pte_flags(pte) & _PAGE_RW) or pte_shstk(pte)


def pmd_write(pmd: pmd_t) -> int:
    """Writable; shadow stacks count although their RW bit is clear."""
    return (pmd_flags(pmd) & _PAGE_RW) or pmd_shstk(pmd)


def pud_write(pud: pud_t) -> int:
    """Writable."""
    return pud_flags(pud) & _PAGE_RW


def pte_huge(pte: pte_t) -> int:
    """The size bit."""
    return pte_flags(pte) & _PAGE_PSE


def pte_global(pte: pte_t) -> int:
    """The global bit."""
    return pte_flags(pte) & _PAGE_GLOBAL


def pte_exec(pte: pte_t) -> int:
    """Executable."""
    return not (pte_flags(pte) & _PAGE_NX)


def pte_special(pte: pte_t) -> int:
    """Maps something that has no struct page to count."""
    return pte_flags(pte) & _PAGE_SPECIAL


PFN_PTE_SHIFT = PAGE_SHIFT


def pte_pfn(pte: pte_t) -> int:
    """The frame a pte names."""
    pfn = pte_val(pte)
    pfn ^= protnone_mask(pfn)
    return (pfn & PTE_PFN_MASK) >> PAGE_SHIFT


def pmd_pfn(pmd: pmd_t) -> int:
    """The frame, or first frame, a pmd entry names."""
    pfn = pmd_val(pmd)
    pfn ^= protnone_mask(pfn)
    return (pfn & pmd_pfn_mask(pmd)) >> PAGE_SHIFT


def pud_pfn(pud: pud_t) -> int:
    """The frame, or first frame, a pud entry names."""
    pfn = pud_val(pud)
    pfn ^= protnone_mask(pfn)
    return (pfn & pud_pfn_mask(pud)) >> PAGE_SHIFT


def p4d_pfn(p4d: p4d_t) -> int:
    """The frame a p4d entry names."""
    return (p4d_val(p4d) & p4d_pfn_mask(p4d)) >> PAGE_SHIFT


def pgd_pfn(pgd: pgd_t) -> int:
    """The frame a pgd entry names."""
    return (pgd_val(pgd) & PTE_PFN_MASK) >> PAGE_SHIFT


def pte_page(pte: pte_t) -> page:
    """The page a pte maps."""
    return pfn_to_page(pte_pfn(pte))


def pmd_leaf(pte: pmd_t) -> bool:
    """Whether a pmd entry maps memory itself."""
    return bool(pmd_flags(pte) & _PAGE_PSE)


if CONFIG_TRANSPARENT_HUGEPAGE:
    def pmd_trans_huge(pmd: pmd_t) -> int:
        """Whether a pmd entry maps a huge page."""
        return (pmd_val(pmd) & _PAGE_PSE) == _PAGE_PSE

    if CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD:
        def pud_trans_huge(pud: pud_t) -> int:
            """Whether a pud entry maps a huge page."""
            return (pud_val(pud) & _PAGE_PSE) == _PAGE_PSE
    else:
        def pud_trans_huge(pud: pud_t) -> int:
            """include/linux/pgtable.h: never."""
            return 0

    def has_transparent_hugepage() -> int:
        """Whether the CPU has huge pages."""
        return boot_cpu_has(X86_FEATURE_PSE)
else:
    def pmd_trans_huge(pmd: pmd_t) -> int:
        """include/linux/pgtable.h: never."""
        return 0

    def pud_trans_huge(pud: pud_t) -> int:
        """include/linux/pgtable.h: never."""
        return 0


def pte_set_flags(pte: pte_t, set: int) -> pte_t:
    """With bits set."""
    v = native_pte_val(pte)

    return native_make_pte(v | set)


def pte_clear_flags(pte: pte_t, clear: int) -> pte_t:
    """With bits cleared."""
    v = native_pte_val(pte)

    return native_make_pte(v & ~clear)


def mksaveddirty_shift(v: pgprotval_t) -> pgprotval_t:
    """Move Dirty to SavedDirty in a value that is not writable, so that it is no shadow stack."""
    cond = (~v >> _PAGE_BIT_RW) & 1

    v |= ((v >> _PAGE_BIT_DIRTY) & cond) << _PAGE_BIT_SAVED_DIRTY
    v &= ~(cond << _PAGE_BIT_DIRTY)

    return v


def clear_saveddirty_shift(v: pgprotval_t) -> pgprotval_t:
    """Move SavedDirty back to Dirty in a value that is writable."""
    cond = (v >> _PAGE_BIT_RW) & 1

    v |= ((v >> _PAGE_BIT_SAVED_DIRTY) & cond) << _PAGE_BIT_DIRTY
    v &= ~(cond << _PAGE_BIT_SAVED_DIRTY)

    return v


def pte_mksaveddirty(pte: pte_t) -> pte_t:
    """See mksaveddirty_shift()."""
    v = native_pte_val(pte)

    v = mksaveddirty_shift(v)
    return native_make_pte(v)


def pte_clear_saveddirty(pte: pte_t) -> pte_t:
    """See clear_saveddirty_shift()."""
    v = native_pte_val(pte)

    v = clear_saveddirty_shift(v)
    return native_make_pte(v)


def pte_wrprotect(pte: pte_t) -> pte_t:
    """Not writable, and no shadow stack by accident."""
    pte = pte_clear_flags(pte, _PAGE_RW)

    return pte_mksaveddirty(pte)


if CONFIG_HAVE_ARCH_USERFAULTFD_WP:
    def pte_uffd_wp(pte: pte_t) -> int:
        """Write protected for userfaultfd."""
        return pte_flags(pte) & _PAGE_UFFD_WP

    def pte_mkuffd_wp(pte: pte_t) -> pte_t:
        """Write protect for userfaultfd."""
        return pte_wrprotect(pte_set_flags(pte, _PAGE_UFFD_WP))

    def pte_clear_uffd_wp(pte: pte_t) -> pte_t:
        """Forget userfaultfd."""
        return pte_clear_flags(pte, _PAGE_UFFD_WP)
else:
    def pte_uffd_wp(pte: pte_t) -> int:
        """Never."""
        return 0

    def pte_mkuffd_wp(pte: pte_t) -> pte_t:
        """Unchanged."""
        return pte

    def pte_clear_uffd_wp(pte: pte_t) -> pte_t:
        """Unchanged."""
        return pte


def pte_mkclean(pte: pte_t) -> pte_t:
    """Not dirty."""
    return pte_clear_flags(pte, _PAGE_DIRTY_BITS)


def pte_mkold(pte: pte_t) -> pte_t:
    """Not accessed."""
    return pte_clear_flags(pte, _PAGE_ACCESSED)


def pte_mkexec(pte: pte_t) -> pte_t:
    """Executable."""
    return pte_clear_flags(pte, _PAGE_NX)


def pte_mkdirty(pte: pte_t) -> pte_t:
    """Dirty, in the bit that its writability asks for."""
    pte = pte_set_flags(pte, _PAGE_DIRTY | _PAGE_SOFT_DIRTY)

    return pte_mksaveddirty(pte)


def pte_mkwrite_shstk(pte: pte_t) -> pte_t:
    """Shadow stack memory."""
    pte = pte_clear_flags(pte, _PAGE_RW)

    return pte_set_flags(pte, _PAGE_DIRTY)


def pte_mkyoung(pte: pte_t) -> pte_t:
    """Accessed."""
    return pte_set_flags(pte, _PAGE_ACCESSED)


def pte_mkwrite_novma(pte: pte_t) -> pte_t:
    """Writable, whatever the VMA says."""
    return pte_set_flags(pte, _PAGE_RW)


def pte_mkhuge(pte: pte_t) -> pte_t:
    """With the size bit."""
    return pte_set_flags(pte, _PAGE_PSE)


def pte_clrhuge(pte: pte_t) -> pte_t:
    """Without the size bit."""
    return pte_clear_flags(pte, _PAGE_PSE)


def pte_mkglobal(pte: pte_t) -> pte_t:
    """Global."""
    return pte_set_flags(pte, _PAGE_GLOBAL)


def pte_clrglobal(pte: pte_t) -> pte_t:
    """Not global."""
    return pte_clear_flags(pte, _PAGE_GLOBAL)


def pte_mkspecial(pte: pte_t) -> pte_t:
    """Special."""
    return pte_set_flags(pte, _PAGE_SPECIAL)


def pmd_mksaveddirty(pmd: pmd_t) -> pmd_t:
    """See mksaveddirty_shift()."""
    v = native_pmd_val(pmd)

    v = mksaveddirty_shift(v)
    return native_make_pmd(v)


def pmd_clear_saveddirty(pmd: pmd_t) -> pmd_t:
    """See clear_saveddirty_shift()."""
    v = native_pmd_val(pmd)

    v = clear_saveddirty_shift(v)
    return native_make_pmd(v)


def pmd_wrprotect(pmd: pmd_t) -> pmd_t:
    """Not writable, and no shadow stack by accident."""
    pmd = pmd_clear_flags(pmd, _PAGE_RW)

    return pmd_mksaveddirty(pmd)


if CONFIG_HAVE_ARCH_USERFAULTFD_WP:
    def pmd_uffd_wp(pmd: pmd_t) -> int:
        """Write protected for userfaultfd."""
        return pmd_flags(pmd) & _PAGE_UFFD_WP

    def pmd_mkuffd_wp(pmd: pmd_t) -> pmd_t:
        """Write protect for userfaultfd."""
        return pmd_wrprotect(pmd_set_flags(pmd, _PAGE_UFFD_WP))

    def pmd_clear_uffd_wp(pmd: pmd_t) -> pmd_t:
        """Forget userfaultfd."""
        return pmd_clear_flags(pmd, _PAGE_UFFD_WP)
else:
    def pmd_uffd_wp(pmd: pmd_t) -> int:
        """Never."""
        return 0

    def pmd_mkuffd_wp(pmd: pmd_t) -> pmd_t:
        """Unchanged."""
        return pmd

    def pmd_clear_uffd_wp(pmd: pmd_t) -> pmd_t:
        """Unchanged."""
        return pmd


def pmd_mkold(pmd: pmd_t) -> pmd_t:
    """Not accessed."""
    return pmd_clear_flags(pmd, _PAGE_ACCESSED)


def pmd_mkclean(pmd: pmd_t) -> pmd_t:
    """Not dirty."""
    return pmd_clear_flags(pmd, _PAGE_DIRTY_BITS)


def pmd_mkdirty(pmd: pmd_t) -> pmd_t:
    """Dirty, in the bit that its writability asks for."""
    pmd = pmd_set_flags(pmd, _PAGE_DIRTY | _PAGE_SOFT_DIRTY)

    return pmd_mksaveddirty(pmd)


def pmd_mkwrite_shstk(pmd: pmd_t) -> pmd_t:
    """Shadow stack memory."""
    pmd = pmd_clear_flags(pmd, _PAGE_RW)

    return pmd_set_flags(pmd, _PAGE_DIRTY)


def pmd_mkhuge(pmd: pmd_t) -> pmd_t:
    """A leaf."""
    return pmd_set_flags(pmd, _PAGE_PSE)


def pmd_mkyoung(pmd: pmd_t) -> pmd_t:
    """Accessed."""
    return pmd_set_flags(pmd, _PAGE_ACCESSED)


def pmd_mkwrite_novma(pmd: pmd_t) -> pmd_t:
    """Writable, whatever the VMA says."""
    return pmd_set_flags(pmd, _PAGE_RW)


def pud_mksaveddirty(pud: pud_t) -> pud_t:
    """See mksaveddirty_shift()."""
    v = native_pud_val(pud)

    v = mksaveddirty_shift(v)
    return native_make_pud(v)


def pud_clear_saveddirty(pud: pud_t) -> pud_t:
    """See clear_saveddirty_shift()."""
    v = native_pud_val(pud)

    v = clear_saveddirty_shift(v)
    return native_make_pud(v)


def pud_mkold(pud: pud_t) -> pud_t:
    """Not accessed."""
    return pud_clear_flags(pud, _PAGE_ACCESSED)


def pud_mkclean(pud: pud_t) -> pud_t:
    """Not dirty."""
    return pud_clear_flags(pud, _PAGE_DIRTY_BITS)


def pud_wrprotect(pud: pud_t) -> pud_t:
    """Not writable, and no shadow stack by accident."""
    pud = pud_clear_flags(pud, _PAGE_RW)

    return pud_mksaveddirty(pud)


def pud_mkdirty(pud: pud_t) -> pud_t:
    """Dirty, in the bit that its writability asks for."""
    pud = pud_set_flags(pud, _PAGE_DIRTY | _PAGE_SOFT_DIRTY)

    return pud_mksaveddirty(pud)


def pud_mkhuge(pud: pud_t) -> pud_t:
    """A leaf."""
    return pud_set_flags(pud, _PAGE_PSE)


def pud_mkyoung(pud: pud_t) -> pud_t:
    """Accessed."""
    return pud_set_flags(pud, _PAGE_ACCESSED)


def pud_mkwrite(pud: pud_t) -> pud_t:
    """Writable; its saved dirtiness becomes the hardware's again."""
    pud = pud_set_flags(pud, _PAGE_RW)

    return pud_clear_saveddirty(pud)


if CONFIG_HAVE_ARCH_SOFT_DIRTY:
    def pte_soft_dirty(pte: pte_t) -> int:
        """Written to since user space last asked."""
        return pte_flags(pte) & _PAGE_SOFT_DIRTY

    def pte_mksoft_dirty(pte: pte_t) -> pte_t:
        """Soft-dirty."""
        return pte_set_flags(pte, _PAGE_SOFT_DIRTY)

    def pte_clear_soft_dirty(pte: pte_t) -> pte_t:
        """Not soft-dirty."""
        return pte_clear_flags(pte, _PAGE_SOFT_DIRTY)

    def pmd_soft_dirty(pmd: pmd_t) -> int:
        """Written to since user space last asked."""
        return pmd_flags(pmd) & _PAGE_SOFT_DIRTY

    def pmd_mksoft_dirty(pmd: pmd_t) -> pmd_t:
        """Soft-dirty."""
        return pmd_set_flags(pmd, _PAGE_SOFT_DIRTY)

    def pmd_clear_soft_dirty(pmd: pmd_t) -> pmd_t:
        """Not soft-dirty."""
        return pmd_clear_flags(pmd, _PAGE_SOFT_DIRTY)

    def pud_soft_dirty(pud: pud_t) -> int:
        """Written to since user space last asked."""
        return pud_flags(pud) & _PAGE_SOFT_DIRTY

    def pud_mksoft_dirty(pud: pud_t) -> pud_t:
        """Soft-dirty."""
        return pud_set_flags(pud, _PAGE_SOFT_DIRTY)

    def pud_clear_soft_dirty(pud: pud_t) -> pud_t:
        """Not soft-dirty."""
        return pud_clear_flags(pud, _PAGE_SOFT_DIRTY)


def massage_pgprot(pgprot: pgprot_t) -> pgprotval_t:
    """Without the bits that this CPU does not have, if present."""
    protval = pgprot_val(pgprot)

    if protval & _PAGE_PRESENT:
        protval &= __supported_pte_mask

    return protval


def check_pgprot(pgprot: pgprot_t) -> pgprotval_t:
    """massage_pgprot() that warns if there was anything to mask."""
    massaged_val = massage_pgprot(pgprot)

    if CONFIG_DEBUG_VM:
        WARN_ONCE(pgprot_val(pgprot) != massaged_val, "attempted to set unsupported pgprot")

    return massaged_val


def pfn_pte(page_nr: int, pgprot: pgprot_t) -> pte_t:
    """A pte that maps a frame."""
    pfn = page_nr << PAGE_SHIFT
    # This combination would be shadow stack memory.
    WARN_ON_ONCE((pgprot_val(pgprot) & (_PAGE_DIRTY | _PAGE_RW)) == _PAGE_DIRTY)
    pfn ^= protnone_mask(pgprot_val(pgprot))
    pfn &= PTE_PFN_MASK
    return __pte(pfn | check_pgprot(pgprot))


def pfn_pmd(page_nr: int, pgprot: pgprot_t) -> pmd_t:
    """A pmd entry that maps 2 MiB from a frame."""
    pfn = page_nr << PAGE_SHIFT
    pfn ^= protnone_mask(pgprot_val(pgprot))
    pfn &= PHYSICAL_PMD_PAGE_MASK
    return __pmd(pfn | check_pgprot(pgprot))


def pfn_pud(page_nr: int, pgprot: pgprot_t) -> pud_t:
    """A pud entry that maps 1 GiB from a frame."""
    pfn = page_nr << PAGE_SHIFT
    pfn ^= protnone_mask(pgprot_val(pgprot))
    pfn &= PHYSICAL_PUD_PAGE_MASK
    return __pud(pfn | check_pgprot(pgprot))


def pmd_mkinvalid(pmd: pmd_t) -> pmd_t:
    """The same leaf, not present to the hardware; pmd_present() still says yes."""
    return pfn_pmd(pmd_pfn(pmd),
                   __pgprot(pmd_flags(pmd) & ~(_PAGE_PRESENT | _PAGE_PROTNONE)))


def pud_mkinvalid(pud: pud_t) -> pud_t:
    """The same leaf, not present to the hardware."""
    return pfn_pud(pud_pfn(pud),
                   __pgprot(pud_flags(pud) & ~(_PAGE_PRESENT | _PAGE_PROTNONE)))


def pte_modify(pte: pte_t, newprot: pgprot_t) -> pte_t:
    """The same frame and history with a new protection."""
    val = oldval = pte_val(pte)

    val &= _PAGE_CHG_MASK
    val |= check_pgprot(newprot) & ~_PAGE_CHG_MASK
    val = flip_protnone_guard(oldval, val, PTE_PFN_MASK)

    pte_result = __pte(val)

    # Write=1 to Write=0 must not leave Dirty behind: that would be a shadow stack.
    if oldval & _PAGE_RW:
        pte_result = pte_mksaveddirty(pte_result)
    else:
        pte_result = pte_clear_saveddirty(pte_result)

    return pte_result


def pmd_modify(pmd: pmd_t, newprot: pgprot_t) -> pmd_t:
    """The same frame and history with a new protection."""
    val = oldval = pmd_val(pmd)

    val &= _HPAGE_CHG_MASK
    val |= check_pgprot(newprot) & ~_HPAGE_CHG_MASK
    val = flip_protnone_guard(oldval, val, PHYSICAL_PMD_PAGE_MASK)

    pmd_result = __pmd(val)

    if oldval & _PAGE_RW:
        pmd_result = pmd_mksaveddirty(pmd_result)
    else:
        pmd_result = pmd_clear_saveddirty(pmd_result)

    return pmd_result


def pud_modify(pud: pud_t, newprot: pgprot_t) -> pud_t:
    """The same frame and history with a new protection."""
    val = oldval = pud_val(pud)

    val &= _HPAGE_CHG_MASK
    val |= check_pgprot(newprot) & ~_HPAGE_CHG_MASK
    val = flip_protnone_guard(oldval, val, PHYSICAL_PUD_PAGE_MASK)

    pud_result = __pud(val)

    if oldval & _PAGE_RW:
        pud_result = pud_mksaveddirty(pud_result)
    else:
        pud_result = pud_clear_saveddirty(pud_result)

    return pud_result


def pgprot_modify(oldprot: pgprot_t, newprot: pgprot_t) -> pgprot_t:
    """*newprot* with what a protection change must keep of *oldprot*."""
    preservebits = pgprot_val(oldprot) & _PAGE_CHG_MASK
    addbits = pgprot_val(newprot) & ~_PAGE_CHG_MASK
    return __pgprot(preservebits | addbits)


def pte_pgprot(x: pte_t) -> pgprot_t:
    """The flags as a protection."""
    return __pgprot(pte_flags(x))


def pmd_pgprot(x: pmd_t) -> pgprot_t:
    """The flags as a protection."""
    return __pgprot(pmd_flags(x))


def pud_pgprot(x: pud_t) -> pgprot_t:
    """The flags as a protection."""
    return __pgprot(pud_flags(x))


def p4d_pgprot(x: p4d_t) -> pgprot_t:
    """The flags as a protection."""
    return __pgprot(p4d_flags(x))


if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
    def pti_set_user_pgtbl(pgdp: pgd_ptr, pgd: pgd_t) -> pgd_t:
        """Copy an entry of the user half to the user's pgd; what the kernel's pgd must hold.

        :return: ``pgd_t``, with NX added for user entries if page-table isolation is on.
        """
        if not static_cpu_has(X86_FEATURE_PTI):
            return pgd
        return __pti_set_user_pgtbl(pgdp, pgd)
else:
    def pti_set_user_pgtbl(pgdp: pgd_ptr, pgd: pgd_t) -> pgd_t:
        """There is no user copy."""
        return pgd


def pte_none(pte: pte_t) -> int:
    """Empty, but for what the hardware may write into any entry."""
    return not (pte & ~_PAGE_KNL_ERRATUM_MASK)


def pte_same(a: pte_t, b: pte_t) -> int:
    """Equal bits."""
    return a == b


def pte_advance_pfn(pte: pte_t, nr: int) -> pte_t:
    """The same entry for a frame *nr* further."""
    if __pte_needs_invert(pte_val(pte)):
        return __pte(pte_val(pte) - (nr << PFN_PTE_SHIFT))
    return __pte(pte_val(pte) + (nr << PFN_PTE_SHIFT))


def pte_present(a: pte_t) -> int:
    """Maps a page, for the CPU or (PROT_NONE) for the kernel only."""
    return pte_flags(a) & (_PAGE_PRESENT | _PAGE_PROTNONE)


def pte_accessible(mm: mm_struct, a: pte_t) -> bool:
    """Whether a CPU may hold a translation of it.

    A PROT_NONE entry may still be cached while somebody has a flush outstanding.
    """
    if pte_flags(a) & _PAGE_PRESENT:
        return True

    return bool((pte_flags(a) & _PAGE_PROTNONE) and atomic_read(mm.tlb_flush_pending))


def pmd_present(pmd: pmd_t) -> int:
    """Names a table or a huge page; PSE counts because splitting clears only P for a while."""
    return pmd_flags(pmd) & (_PAGE_PRESENT | _PAGE_PROTNONE | _PAGE_PSE)


if CONFIG_NUMA_BALANCING:
    def pte_protnone(pte: pte_t) -> int:
        """PROT_NONE and not present."""
        return (pte_flags(pte) & (_PAGE_PROTNONE | _PAGE_PRESENT)) == _PAGE_PROTNONE

    def pmd_protnone(pmd: pmd_t) -> int:
        """PROT_NONE and not present."""
        return (pmd_flags(pmd) & (_PAGE_PROTNONE | _PAGE_PRESENT)) == _PAGE_PROTNONE
else:
    def pte_protnone(pte: pte_t) -> int:
        """include/linux/pgtable.h: nobody asks without NUMA balancing."""
        return 0

    def pmd_protnone(pmd: pmd_t) -> int:
        """include/linux/pgtable.h: nobody asks without NUMA balancing."""
        return 0


def pmd_none(pmd: pmd_t) -> int:
    """Empty, but for what the hardware may write into any entry."""
    val = native_pmd_val(pmd)
    return (val & ~_PAGE_KNL_ERRATUM_MASK) == 0


def pmd_page_vaddr(pmd: pmd_t) -> int:
    """Direct-map address of what a pmd entry names."""
    return __va(pmd_val(pmd) & pmd_pfn_mask(pmd))


def pmd_page(pmd: pmd_t) -> page:
    """The page of what a pmd entry names."""
    return pfn_to_page(pmd_pfn(pmd))


def pmd_bad(pmd: pmd_t) -> int:
    """Neither empty nor a proper table entry (a leaf is bad too)."""
    return (pmd_flags(pmd) & ~(_PAGE_USER | _PAGE_ACCESSED)) != (_KERNPG_TABLE & ~_PAGE_ACCESSED)


def pud_none(pud: pud_t) -> int:
    """Empty, but for what the hardware may write into any entry."""
    return (native_pud_val(pud) & ~_PAGE_KNL_ERRATUM_MASK) == 0


def pud_present(pud: pud_t) -> int:
    """Names a table or a huge page."""
    return pud_flags(pud) & _PAGE_PRESENT


def pud_pgtable(pud: pud_t) -> pmd_ptr:
    """The PMD table that a pud entry names."""
    return pmd_ptr(__va(pud_val(pud) & pud_pfn_mask(pud)))


def pud_page(pud: pud_t) -> page:
    """The page of what a pud entry names."""
    return pfn_to_page(pud_pfn(pud))


def pud_leaf(pud: pud_t) -> bool:
    """Whether a pud entry maps memory itself."""
    return bool(pud_val(pud) & _PAGE_PSE)


def pud_bad(pud: pud_t) -> int:
    """Has flags that a table entry must not have."""
    return (pud_flags(pud) & ~(_KERNPG_TABLE | _PAGE_USER)) != 0


def p4d_none(p4d: p4d_t) -> int:
    """Empty, but for what the hardware may write into any entry."""
    return (native_p4d_val(p4d) & ~_PAGE_KNL_ERRATUM_MASK) == 0


def p4d_present(p4d: p4d_t) -> int:
    """Names a PUD table."""
    return p4d_flags(p4d) & _PAGE_PRESENT


def p4d_pgtable(p4d: p4d_t) -> pud_ptr:
    """The PUD table that a p4d entry names."""
    return pud_ptr(__va(p4d_val(p4d) & p4d_pfn_mask(p4d)))


def p4d_page(p4d: p4d_t) -> page:
    """The page of the table that a p4d entry names."""
    return pfn_to_page(p4d_pfn(p4d))


def p4d_bad(p4d: p4d_t) -> int:
    """Has flags that a table entry must not have; NX is page-table isolation's."""
    ignore_flags = _KERNPG_TABLE | _PAGE_USER

    if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        ignore_flags |= _PAGE_NX

    return (p4d_flags(p4d) & ~ignore_flags) != 0


def p4d_index(address: int) -> int:
    """Index into a P4D table: 0 when it is folded."""
    return (address >> P4D_SHIFT) & (PTRS_PER_P4D() - 1)


def pgd_present(pgd: pgd_t) -> int:
    """Names a P4D table; always, where the p4d is the pgd entry itself."""
    if not pgtable_l5_enabled():
        return 1
    return pgd_flags(pgd) & _PAGE_PRESENT


def pgd_page_vaddr(pgd: pgd_t) -> int:
    """Direct-map address of the table that a pgd entry names."""
    return __va(pgd_val(pgd) & PTE_PFN_MASK)


def pgd_page(pgd: pgd_t) -> page:
    """The page of the table that a pgd entry names."""
    return pfn_to_page(pgd_pfn(pgd))


def p4d_offset(pgd: pgd_ptr, address: int) -> p4d_ptr:
    """The p4d entry of an address: with four levels the pgd entry itself, and nothing is loaded."""
    if not pgtable_l5_enabled():
        return p4d_ptr(pgd)
    return p4d_ptr(pgd_page_vaddr(pgd[0])) + p4d_index(address)


def pgd_bad(pgd: pgd_t) -> int:
    """Not a proper table entry; never, where the p4d is folded."""
    ignore_flags = _PAGE_USER

    if not pgtable_l5_enabled():
        return 0

    if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        ignore_flags |= _PAGE_NX

    return (pgd_flags(pgd) & ~ignore_flags) != _KERNPG_TABLE


def pgd_none(pgd: pgd_t) -> int:
    """Empty; never, where the p4d is folded: then the p4d is asked."""
    if not pgtable_l5_enabled():
        return 0
    return not native_pgd_val(pgd)


def KERNEL_PGD_BOUNDARY() -> int:
    """Index of the first pgd entry that belongs to the kernel."""
    return pgd_index(PAGE_OFFSET())


def KERNEL_PGD_PTRS() -> int:
    """Number of pgd entries that belong to the kernel."""
    return PTRS_PER_PGD - KERNEL_PGD_BOUNDARY()


def native_local_ptep_get_and_clear(ptep: pte_ptr) -> pte_t:
    """Read and empty a pte that no CPU walks any more: a load and a store."""
    res = ptep[0]

    native_pte_clear(None, 0, ptep)
    return res


def native_local_pmdp_get_and_clear(pmdp: pmd_ptr) -> pmd_t:
    """Read and empty a pmd entry that no CPU walks any more."""
    res = pmdp[0]

    native_pmd_clear(pmdp)
    return res


def native_local_pudp_get_and_clear(pudp: pud_ptr) -> pud_t:
    """Read and empty a pud entry that no CPU walks any more."""
    res = pudp[0]

    native_pud_clear(pudp)
    return res


def set_pmd_at(mm: mm_struct, addr: int, pmdp: pmd_ptr, pmd: pmd_t) -> None:
    """Store a pmd entry of *mm*."""
    set_pmd(pmdp, pmd)


def set_pud_at(mm: mm_struct, addr: int, pudp: pud_ptr, pud: pud_t) -> None:
    """Store a pud entry of *mm*."""
    native_set_pud(pudp, pud)


def ptep_get_and_clear(mm: mm_struct, addr: int, ptep: pte_ptr) -> pte_t:
    """Empty a pte atomically, so that no A or D bit set meanwhile is lost; the old value."""
    pte = native_ptep_get_and_clear(ptep)
    return pte


def ptep_get_and_clear_full(mm: mm_struct, addr: int, ptep: pte_ptr, full: int) -> pte_t:
    """ptep_get_and_clear(), without atomicity if the whole address space goes (*full*)."""
    if full:
        pte = native_local_ptep_get_and_clear(ptep)
    else:
        pte = ptep_get_and_clear(mm, addr, ptep)
    return pte


def ptep_set_wrprotect(mm: mm_struct, addr: int, ptep: pte_ptr) -> None:
    """Write protect; a dirty bit that the CPU sets meanwhile is moved, not lost."""
    old_pte = READ_ONCE(ptep)
    while True:
        new_pte = pte_wrprotect(old_pte)
        seen = pte_t(hooks.cmpxchg(ptep, 8, old_pte, new_pte))
        if seen == old_pte:
            break
        old_pte = seen


def ptep_try_set(ptep: pte_ptr, new_pte: pte_t) -> bool:
    """Store a pte if the entry is all zeroes; whether it was."""
    old_pte = __pte(0)

    return hooks.cmpxchg(ptep, 8, old_pte, new_pte) == old_pte


def flush_tlb_fix_spurious_fault(vma: vm_area_struct, address: int, ptep: pte_ptr) -> None:
    """The CPU drops the entry it faulted on."""


def pmdp_huge_get_and_clear(mm: mm_struct, addr: int, pmdp: pmd_ptr) -> pmd_t:
    """Empty a pmd entry atomically; the old value."""
    pmd = native_pmdp_get_and_clear(pmdp)

    return pmd


def pudp_huge_get_and_clear(mm: mm_struct, addr: int, pudp: pud_ptr) -> pud_t:
    """Empty a pud entry atomically; the old value."""
    pud = native_pudp_get_and_clear(pudp)

    return pud


def pmdp_set_wrprotect(mm: mm_struct, addr: int, pmdp: pmd_ptr) -> None:
    """Write protect; a dirty bit that the CPU sets meanwhile is moved, not lost."""
    old_pmd = READ_ONCE(pmdp)
    while True:
        new_pmd = pmd_wrprotect(old_pmd)
        seen = pmd_t(hooks.cmpxchg(pmdp, 8, old_pmd, new_pmd))
        if seen == old_pmd:
            break
        old_pmd = seen


def pmdp_establish(vma: vm_area_struct, address: int, pmdp: pmd_ptr, pmd: pmd_t) -> pmd_t:
    """Replace a pmd entry; the old value, with every bit the CPU set in it."""
    if CONFIG_SMP:
        return pmd_t(hooks.xchg(pmdp, 8, pmd))
    else:
        old = pmdp[0]
        WRITE_ONCE(pmdp, pmd)
        return old


if CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD:
    def pudp_establish(vma: vm_area_struct, address: int, pudp: pud_ptr, pud: pud_t) -> pud_t:
        """Replace a pud entry; the old value, with every bit the CPU set in it."""
        if CONFIG_SMP:
            return pud_t(hooks.xchg(pudp, 8, pud))
        else:
            old = pudp[0]
            WRITE_ONCE(pudp, pud)
            return old


def pgdp_maps_userspace(__ptr: int) -> bool:
    """Whether an entry lies in the lower half of its top-level table."""
    ptr = int(__ptr)

    return ((ptr & ~PAGE_MASK) // 8) < PGD_KERNEL_START


if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
    # The kernel's pgd is the first page of two, the user's the second.
    PTI_PGTABLE_SWITCH_BIT = PAGE_SHIFT

    def ptr_set_bit(ptr: int, bit: int) -> int:
        """The pointer with one bit set."""
        return int(ptr) | (1 << bit)

    def ptr_clear_bit(ptr: int, bit: int) -> int:
        """The pointer with one bit cleared."""
        return int(ptr) & ~(1 << bit)

    def kernel_to_user_pgdp(pgdp: pgd_ptr) -> pgd_ptr:
        """The same entry of the user's pgd."""
        return pgd_ptr(ptr_set_bit(pgdp, PTI_PGTABLE_SWITCH_BIT))

    def user_to_kernel_pgdp(pgdp: pgd_ptr) -> pgd_ptr:
        """The same entry of the kernel's pgd."""
        return pgd_ptr(ptr_clear_bit(pgdp, PTI_PGTABLE_SWITCH_BIT))

    def kernel_to_user_p4dp(p4dp: p4d_ptr) -> p4d_ptr:
        """The same folded entry of the user's pgd."""
        return p4d_ptr(ptr_set_bit(p4dp, PTI_PGTABLE_SWITCH_BIT))

    def user_to_kernel_p4dp(p4dp: p4d_ptr) -> p4d_ptr:
        """The same folded entry of the kernel's pgd."""
        return p4d_ptr(ptr_clear_bit(p4dp, PTI_PGTABLE_SWITCH_BIT))


def clone_pgd_range(dst: pgd_ptr, src: pgd_ptr, count: int) -> None:
    """Copy *count* pgd entries, those of the user's pgd too if there is one."""
    hooks.copy(dst, src, count * 8)
    if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        if not static_cpu_has(X86_FEATURE_PTI):
            return
        hooks.copy(kernel_to_user_pgdp(dst), kernel_to_user_pgdp(src), count * 8)


PTE_SHIFT = 9


def page_level_shift(level: int) -> int:
    """Bits of an address below the index at a level (PG_LEVEL_4K: 12)."""
    return (PAGE_SHIFT - PTE_SHIFT) + level * PTE_SHIFT


def page_level_size(level: int) -> int:
    """Bytes that one entry of a level maps."""
    return 1 << page_level_shift(level)


def page_level_mask(level: int) -> int:
    """Mask of the address bits from a level's index up."""
    return ulong(~(page_level_size(level) - 1))


def update_mmu_cache(vma: vm_area_struct, addr: int, ptep: pte_ptr) -> None:
    """The tables are all the MMU needs."""


def update_mmu_cache_range(vmf: object, vma: vm_area_struct, addr: int, ptep: pte_ptr, nr: int) -> None:
    """The tables are all the MMU needs."""


def update_mmu_cache_pmd(vma: vm_area_struct, addr: int, pmd: pmd_ptr) -> None:
    """The tables are all the MMU needs."""


def update_mmu_cache_pud(vma: vm_area_struct, addr: int, pud: pud_ptr) -> None:
    """The tables are all the MMU needs."""


def pte_swp_mkexclusive(pte: pte_t) -> pte_t:
    """Swap entry of a page that only one mm has."""
    return pte_set_flags(pte, _PAGE_SWP_EXCLUSIVE)


def pte_swp_exclusive(pte: pte_t) -> bool:
    """Whether only one mm has the swapped page."""
    return bool(pte_flags(pte) & _PAGE_SWP_EXCLUSIVE)


def pte_swp_clear_exclusive(pte: pte_t) -> pte_t:
    """Swap entry of a page that several mms may have."""
    return pte_clear_flags(pte, _PAGE_SWP_EXCLUSIVE)


if CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS:
    def pte_flags_pkey(pte_flags: int) -> int:
        """The protection key."""
        return (pte_flags & _PAGE_PKEY_MASK) >> _PAGE_BIT_PKEY_BIT0
else:
    def pte_flags_pkey(pte_flags: int) -> int:
        """There are no protection keys."""
        return 0


def __pkru_allows_pkey(pkey: int, write: bool) -> bool:
    """Whether PKRU lets the current task touch a key.

    :deviation: PKRU is not part of the kernel's model: every key is allowed.
    """
    return True


def __pte_access_permitted(pteval: int, write: bool) -> bool:
    """Whether user space may access a leaf entry of any level."""
    need_pte_bits = _PAGE_PRESENT | _PAGE_USER

    if write:
        need_pte_bits |= _PAGE_RW

    if (pteval & need_pte_bits) != need_pte_bits:
        return False

    return __pkru_allows_pkey(pte_flags_pkey(pteval), write)


def pte_access_permitted(pte: pte_t, write: bool) -> bool:
    """Whether user space may access a pte."""
    return __pte_access_permitted(pte_val(pte), write)


def pmd_access_permitted(pmd: pmd_t, write: bool) -> bool:
    """Whether user space may access a pmd leaf."""
    return __pte_access_permitted(pmd_val(pmd), write)


def pud_access_permitted(pud: pud_t, write: bool) -> bool:
    """Whether user space may access a pud leaf."""
    return __pte_access_permitted(pud_val(pud), write)


def set_pte_safe(ptep: pte_ptr, pte: pte_t) -> None:
    """set_pte() where no flush will be needed: the entry was not present, or does not change."""
    WARN_ON_ONCE(pte_present(ptep[0]) and not pte_same(ptep[0], pte))
    set_pte(ptep, pte)


def set_pmd_safe(pmdp: pmd_ptr, pmd: pmd_t) -> None:
    """set_pmd() where no flush will be needed: the entry was not present, or does not change."""
    WARN_ON_ONCE(pmd_present(pmdp[0]) and not pmd_same(pmdp[0], pmd))
    set_pmd(pmdp, pmd)


def set_pud_safe(pudp: pud_ptr, pud: pud_t) -> None:
    """set_pud() where no flush will be needed: the entry was not present, or does not change."""
    WARN_ON_ONCE(pud_present(pudp[0]) and not pud_same(pudp[0], pud))
    set_pud(pudp, pud)


def set_p4d_safe(p4dp: p4d_ptr, p4d: p4d_t) -> None:
    """set_p4d() where no flush will be needed: the entry was not present, or does not change."""
    WARN_ON_ONCE(p4d_present(p4dp[0]) and not p4d_same(p4dp[0], p4d))
    set_p4d(p4dp, p4d)


def set_pgd_safe(pgdp: pgd_ptr, pgd: pgd_t) -> None:
    """set_pgd() where no flush will be needed: the entry was not present, or does not change."""
    WARN_ON_ONCE(pgd_present(pgdp[0]) and not pgd_same(pgdp[0], pgd))
    set_pgd(pgdp, pgd)


# Declared here, defined there:
from kmm.arch.x86.include.asm.cpufeature import (
    X86_FEATURE_PSE,
    X86_FEATURE_PTI,
    X86_FEATURE_SHSTK,
    boot_cpu_has,
    cpu_feature_enabled,
    static_cpu_has,
)
from kmm.arch.x86.include.asm.page import __va, pfn_to_page
from kmm.arch.x86.include.asm.pgtable_64 import (
    native_p4d_clear,
    native_pgd_clear,
    native_pmd_clear,
    native_pmdp_get_and_clear,
    native_pte_clear,
    native_ptep_get_and_clear,
    native_pud_clear,
    native_pudp_get_and_clear,
    native_set_p4d,
    native_set_pgd,
    native_set_pmd,
    native_set_pte,
    native_set_pte_atomic,
    native_set_pud,
)
from kmm.include.linux.atomic import atomic_read
from kmm.include.linux.bug import WARN_ON_ONCE, WARN_ONCE
from kmm.include.linux.pgtable import p4d_same, pgd_index, pgd_same, pmd_same, pud_same

if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
    from kmm.arch.x86.mm.pti import __pti_set_user_pgtbl
