# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/pgtable_types.h (Linux 7.2), 64-bit.

The five entry types, the pointers to them, and the meaning of their bits. Entries are plain ints at
run time and five different types to mypy; so are the pointers (``pte_ptr`` is the C ``pte_t *``).
CONFIG symbols: X86_INTEL_MEMORY_PROTECTION_KEYS, MEM_SOFT_DIRTY, HAVE_ARCH_USERFAULTFD_WP.
Left out: PAE, memory encryption (_PAGE_ENC is 0), fewer than five configured levels, PAT tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType, TypeAlias

from kmm.arch.x86.include.asm.page_types import (
    PHYSICAL_PAGE_MASK,
    PHYSICAL_PMD_PAGE_MASK,
    PHYSICAL_PUD_PAGE_MASK,
)
from kmm.arch.x86.include.asm.pgtable_64_types import (
    p4dval_t,
    pgdval_t,
    pgprotval_t,
    pmdval_t,
    pteval_t,
    pudval_t,
)
from kmm.c import entry_ptr, ulong
from kmm.include.generated.autoconf import (
    CONFIG_HAVE_ARCH_USERFAULTFD_WP,
    CONFIG_MEM_SOFT_DIRTY,
    CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS,
)

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import page

    pgtable_t: TypeAlias = page
else:
    pgtable_t = object

_PAGE_BIT_PRESENT = 0
_PAGE_BIT_RW = 1
_PAGE_BIT_USER = 2
_PAGE_BIT_PWT = 3
_PAGE_BIT_PCD = 4
_PAGE_BIT_ACCESSED = 5
_PAGE_BIT_DIRTY = 6
_PAGE_BIT_PSE = 7
_PAGE_BIT_PAT = 7
_PAGE_BIT_GLOBAL = 8
_PAGE_BIT_SOFTW1 = 9
_PAGE_BIT_SOFTW2 = 10
_PAGE_BIT_SOFTW3 = 11
_PAGE_BIT_PAT_LARGE = 12
_PAGE_BIT_SOFTW4 = 57
_PAGE_BIT_SOFTW5 = 58
_PAGE_BIT_PKEY_BIT0 = 59
_PAGE_BIT_PKEY_BIT1 = 60
_PAGE_BIT_PKEY_BIT2 = 61
_PAGE_BIT_PKEY_BIT3 = 62
_PAGE_BIT_NX = 63

_PAGE_BIT_SPECIAL = _PAGE_BIT_SOFTW1
_PAGE_BIT_CPA_TEST = _PAGE_BIT_SOFTW1
_PAGE_BIT_UFFD_WP = _PAGE_BIT_SOFTW2
_PAGE_BIT_SOFT_DIRTY = _PAGE_BIT_SOFTW3
_PAGE_BIT_KERNEL_4K = _PAGE_BIT_SOFTW3

_PAGE_BIT_SAVED_DIRTY = _PAGE_BIT_SOFTW5
_PAGE_BIT_NOPTISHADOW = _PAGE_BIT_SOFTW5

# In an entry that is not present, the global bit says PROT_NONE.
_PAGE_BIT_PROTNONE = _PAGE_BIT_GLOBAL

_PAGE_PRESENT = 1 << _PAGE_BIT_PRESENT
_PAGE_RW = 1 << _PAGE_BIT_RW
_PAGE_USER = 1 << _PAGE_BIT_USER
_PAGE_PWT = 1 << _PAGE_BIT_PWT
_PAGE_PCD = 1 << _PAGE_BIT_PCD
_PAGE_ACCESSED = 1 << _PAGE_BIT_ACCESSED
_PAGE_DIRTY = 1 << _PAGE_BIT_DIRTY
_PAGE_PSE = 1 << _PAGE_BIT_PSE
_PAGE_GLOBAL = 1 << _PAGE_BIT_GLOBAL
_PAGE_SOFTW1 = 1 << _PAGE_BIT_SOFTW1
_PAGE_SOFTW2 = 1 << _PAGE_BIT_SOFTW2
_PAGE_SOFTW3 = 1 << _PAGE_BIT_SOFTW3
_PAGE_PAT = 1 << _PAGE_BIT_PAT
_PAGE_PAT_LARGE = 1 << _PAGE_BIT_PAT_LARGE
_PAGE_SPECIAL = 1 << _PAGE_BIT_SPECIAL
_PAGE_CPA_TEST = 1 << _PAGE_BIT_CPA_TEST
_PAGE_KERNEL_4K = 1 << _PAGE_BIT_KERNEL_4K
if CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS:
    _PAGE_PKEY_BIT0 = 1 << _PAGE_BIT_PKEY_BIT0
    _PAGE_PKEY_BIT1 = 1 << _PAGE_BIT_PKEY_BIT1
    _PAGE_PKEY_BIT2 = 1 << _PAGE_BIT_PKEY_BIT2
    _PAGE_PKEY_BIT3 = 1 << _PAGE_BIT_PKEY_BIT3
else:
    _PAGE_PKEY_BIT0 = 0
    _PAGE_PKEY_BIT1 = 0
    _PAGE_PKEY_BIT2 = 0
    _PAGE_PKEY_BIT3 = 0

_PAGE_PKEY_MASK = _PAGE_PKEY_BIT0 | _PAGE_PKEY_BIT1 | _PAGE_PKEY_BIT2 | _PAGE_PKEY_BIT3

# One processor sets A and D in entries it does not use: empty means empty but for these.
_PAGE_KNL_ERRATUM_MASK = _PAGE_DIRTY | _PAGE_ACCESSED

if CONFIG_MEM_SOFT_DIRTY:
    _PAGE_SOFT_DIRTY = 1 << _PAGE_BIT_SOFT_DIRTY
    _PAGE_SWP_SOFT_DIRTY = _PAGE_RW
else:
    _PAGE_SOFT_DIRTY = 0
    _PAGE_SWP_SOFT_DIRTY = 0

if CONFIG_HAVE_ARCH_USERFAULTFD_WP:
    _PAGE_UFFD_WP = 1 << _PAGE_BIT_UFFD_WP
    _PAGE_SWP_UFFD_WP = _PAGE_USER
else:
    _PAGE_UFFD_WP = 0
    _PAGE_SWP_UFFD_WP = 0

_PAGE_NX = 1 << _PAGE_BIT_NX
_PAGE_SOFTW4 = 1 << _PAGE_BIT_SOFTW4

# Write=0, Dirty=1 means shadow stack to the processor; an ordinary read-only dirty page keeps its
# dirtiness here instead.
_PAGE_SAVED_DIRTY = 1 << _PAGE_BIT_SAVED_DIRTY

_PAGE_DIRTY_BITS = _PAGE_DIRTY | _PAGE_SAVED_DIRTY

_PAGE_PROTNONE = 1 << _PAGE_BIT_PROTNONE

_PAGE_NOPTISHADOW = 1 << _PAGE_BIT_NOPTISHADOW

_PAGE_CC = 0
_PAGE_ENC = 0

# Extracts the address from an entry of a 4 KiB page; the rest is flags.
PTE_PFN_MASK = PHYSICAL_PAGE_MASK
PTE_FLAGS_MASK = ulong(~PTE_PFN_MASK)

_COMMON_PAGE_CHG_MASK = (PTE_PFN_MASK | _PAGE_PCD | _PAGE_PWT | _PAGE_SPECIAL | _PAGE_ACCESSED |
                         _PAGE_DIRTY_BITS | _PAGE_SOFT_DIRTY | _PAGE_CC | _PAGE_UFFD_WP)
_PAGE_CHG_MASK = _COMMON_PAGE_CHG_MASK | _PAGE_PAT
_HPAGE_CHG_MASK = _COMMON_PAGE_CHG_MASK | _PAGE_PSE | _PAGE_PAT_LARGE

_PAGE_CACHE_MASK = _PAGE_PWT | _PAGE_PCD | _PAGE_PAT
_PAGE_LARGE_CACHE_MASK = _PAGE_PWT | _PAGE_PCD | _PAGE_PAT_LARGE

_PAGE_NOCACHE = _PAGE_PWT | _PAGE_PCD

pgprot_t = NewType("pgprot_t", int)


def pgprot_val(x: pgprot_t) -> pgprotval_t:
    """The bits of a protection."""
    return x


def __pgprot(x: pgprotval_t) -> pgprot_t:
    """A protection from bits."""
    return pgprot_t(x)


PAGE_NONE = __pgprot(_PAGE_ACCESSED | _PAGE_GLOBAL)
PAGE_SHARED = __pgprot(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX)
PAGE_SHARED_EXEC = __pgprot(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED)
PAGE_COPY_NOEXEC = __pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX)
PAGE_COPY_EXEC = __pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED)
PAGE_COPY = __pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX)
PAGE_READONLY = __pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX)
PAGE_READONLY_EXEC = __pgprot(_PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED)

_KERNPG_TABLE_NOENC = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY
_KERNPG_TABLE = _KERNPG_TABLE_NOENC | _PAGE_ENC
_PAGE_TABLE_NOENC = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY
_PAGE_TABLE = _PAGE_TABLE_NOENC | _PAGE_ENC

__PAGE_KERNEL_RO = _PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_NX | _PAGE_GLOBAL
__PAGE_KERNEL_ROX = _PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_GLOBAL
__PAGE_KERNEL = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_NX | _PAGE_DIRTY | _PAGE_GLOBAL
__PAGE_KERNEL_EXEC = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_GLOBAL
__PAGE_KERNEL_NOCACHE = __PAGE_KERNEL | _PAGE_NOCACHE
__PAGE_KERNEL_LARGE = __PAGE_KERNEL | _PAGE_PSE
__PAGE_KERNEL_LARGE_EXEC = __PAGE_KERNEL_EXEC | _PAGE_PSE

__supported_pte_mask: pteval_t = ulong(~0)
__default_kernel_pte_mask: pteval_t = ulong(~0)


def __pgprot_mask(x: pgprotval_t) -> pgprot_t:
    """A protection without the bits that this kernel may not use in its own mappings."""
    return __pgprot(x & __default_kernel_pte_mask)


PAGE_KERNEL = __pgprot_mask(__PAGE_KERNEL | _PAGE_ENC)
PAGE_KERNEL_RO = __pgprot_mask(__PAGE_KERNEL_RO | _PAGE_ENC)
PAGE_KERNEL_EXEC = __pgprot_mask(__PAGE_KERNEL_EXEC | _PAGE_ENC)
PAGE_KERNEL_ROX = __pgprot_mask(__PAGE_KERNEL_ROX | _PAGE_ENC)
PAGE_KERNEL_NOCACHE = __pgprot_mask(__PAGE_KERNEL_NOCACHE | _PAGE_ENC)
PAGE_KERNEL_LARGE = __pgprot_mask(__PAGE_KERNEL_LARGE | _PAGE_ENC)
PAGE_KERNEL_LARGE_EXEC = __pgprot_mask(__PAGE_KERNEL_LARGE_EXEC | _PAGE_ENC)

# From pgtable_64_types.h, which C includes further down than _PAGE_PWT:
_PAGE_SWP_EXCLUSIVE = _PAGE_PWT

pte_t = NewType("pte_t", int)
pmd_t = NewType("pmd_t", int)
pud_t = NewType("pud_t", int)
p4d_t = NewType("p4d_t", int)
pgd_t = NewType("pgd_t", int)


class pte_ptr(entry_ptr):
    """``pte_t *``"""

    __slots__ = ()
    if TYPE_CHECKING:
        def __getitem__(self, n: int) -> pte_t: ...
        def __setitem__(self, n: int, value: pte_t) -> None: ...  # type: ignore[override]


class pmd_ptr(entry_ptr):
    """``pmd_t *``"""

    __slots__ = ()
    if TYPE_CHECKING:
        def __getitem__(self, n: int) -> pmd_t: ...
        def __setitem__(self, n: int, value: pmd_t) -> None: ...  # type: ignore[override]


class pud_ptr(entry_ptr):
    """``pud_t *``"""

    __slots__ = ()
    if TYPE_CHECKING:
        def __getitem__(self, n: int) -> pud_t: ...
        def __setitem__(self, n: int, value: pud_t) -> None: ...  # type: ignore[override]


class p4d_ptr(entry_ptr):
    """``p4d_t *``"""

    __slots__ = ()
    if TYPE_CHECKING:
        def __getitem__(self, n: int) -> p4d_t: ...
        def __setitem__(self, n: int, value: p4d_t) -> None: ...  # type: ignore[override]


class pgd_ptr(entry_ptr):
    """``pgd_t *``"""

    __slots__ = ()
    if TYPE_CHECKING:
        def __getitem__(self, n: int) -> pgd_t: ...
        def __setitem__(self, n: int, value: pgd_t) -> None: ...  # type: ignore[override]


def pgprot_nx(prot: pgprot_t) -> pgprot_t:
    """The same protection, not executable."""
    return __pgprot(pgprot_val(prot) | _PAGE_NX)


def native_make_pgd(val: pgdval_t) -> pgd_t:
    """A pgd entry from bits."""
    return pgd_t(val)


def native_pgd_val(pgd: pgd_t) -> pgdval_t:
    """The bits of a pgd entry."""
    return pgd


def pgd_flags(pgd: pgd_t) -> pgdval_t:
    """The bits of a pgd entry that are not its address."""
    return native_pgd_val(pgd) & PTE_FLAGS_MASK


def native_make_p4d(val: pudval_t) -> p4d_t:
    """A p4d entry from bits."""
    return p4d_t(val)


def native_p4d_val(p4d: p4d_t) -> p4dval_t:
    """The bits of a p4d entry."""
    return p4d


def native_make_pud(val: pmdval_t) -> pud_t:
    """A pud entry from bits."""
    return pud_t(val)


def native_pud_val(pud: pud_t) -> pudval_t:
    """The bits of a pud entry."""
    return pud


def native_make_pmd(val: pmdval_t) -> pmd_t:
    """A pmd entry from bits."""
    return pmd_t(val)


def native_pmd_val(pmd: pmd_t) -> pmdval_t:
    """The bits of a pmd entry."""
    return pmd


def p4d_pfn_mask(p4d: p4d_t) -> p4dval_t:
    """The address bits: no processor has 512 GiB pages."""
    return PTE_PFN_MASK


def p4d_flags_mask(p4d: p4d_t) -> p4dval_t:
    """All bits but the address."""
    return ulong(~p4d_pfn_mask(p4d))


def p4d_flags(p4d: p4d_t) -> p4dval_t:
    """The flags of a p4d entry."""
    return native_p4d_val(p4d) & p4d_flags_mask(p4d)


def pud_pfn_mask(pud: pud_t) -> pudval_t:
    """The address bits: fewer in a 1 GiB leaf."""
    if native_pud_val(pud) & _PAGE_PSE:
        return PHYSICAL_PUD_PAGE_MASK
    else:
        return PTE_PFN_MASK


def pud_flags_mask(pud: pud_t) -> pudval_t:
    """All bits but the address."""
    return ulong(~pud_pfn_mask(pud))


def pud_flags(pud: pud_t) -> pudval_t:
    """The flags of a pud entry."""
    return native_pud_val(pud) & pud_flags_mask(pud)


def pmd_pfn_mask(pmd: pmd_t) -> pmdval_t:
    """The address bits: fewer in a 2 MiB leaf."""
    if native_pmd_val(pmd) & _PAGE_PSE:
        return PHYSICAL_PMD_PAGE_MASK
    else:
        return PTE_PFN_MASK


def pmd_flags_mask(pmd: pmd_t) -> pmdval_t:
    """All bits but the address."""
    return ulong(~pmd_pfn_mask(pmd))


def pmd_flags(pmd: pmd_t) -> pmdval_t:
    """The flags of a pmd entry."""
    return native_pmd_val(pmd) & pmd_flags_mask(pmd)


def native_make_pte(val: pteval_t) -> pte_t:
    """A pte from bits."""
    return pte_t(val)


def native_pte_val(pte: pte_t) -> pteval_t:
    """The bits of a pte."""
    return pte


def pte_flags(pte: pte_t) -> pteval_t:
    """The flags of a pte."""
    return native_pte_val(pte) & PTE_FLAGS_MASK


def protval_4k_2_large(val: pgprotval_t) -> pgprotval_t:
    """Move the PAT bit to where a large page has it."""
    return ((val & ~(_PAGE_PAT | _PAGE_PAT_LARGE)) |
            ((val & _PAGE_PAT) << (_PAGE_BIT_PAT_LARGE - _PAGE_BIT_PAT)))


def pgprot_4k_2_large(pgprot: pgprot_t) -> pgprot_t:
    """A small page's protection for a large page."""
    return __pgprot(protval_4k_2_large(pgprot_val(pgprot)))


def protval_large_2_4k(val: pgprotval_t) -> pgprotval_t:
    """Move the PAT bit to where a small page has it."""
    return ((val & ~(_PAGE_PAT | _PAGE_PAT_LARGE)) |
            ((val & _PAGE_PAT_LARGE) >> (_PAGE_BIT_PAT_LARGE - _PAGE_BIT_PAT)))


def pgprot_large_2_4k(pgprot: pgprot_t) -> pgprot_t:
    """A large page's protection for a small page."""
    return __pgprot(protval_large_2_4k(pgprot_val(pgprot)))


PG_LEVEL_NONE = 0
PG_LEVEL_4K = 1
PG_LEVEL_2M = 2
PG_LEVEL_1G = 3
PG_LEVEL_512G = 4
PG_LEVEL_256T = 5
PG_LEVEL_NUM = 6
