# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/pgtable_64_types.h (Linux 7.2).

Levels, shifts and the kernel's address-space layout. A kernel built with CONFIG_PGTABLE_LEVELS=5
decides when it boots whether the fifth level exists: then ``PGDIR_SHIFT()`` is 48 and a p4d is a
table of its own; otherwise the p4d is the pgd entry itself (``PTRS_PER_P4D()`` is 1).

What expands to a variable in C is a function here: ``PGDIR_SHIFT()``, ``PTRS_PER_P4D()``,
``VMALLOC_START()``, ``VMALLOC_END()``, ``VMEMMAP_START()``. Left out: KMSAN, ESPFIX, EFI, modules.

:deviation: the variables of arch/x86/kernel/head64.c live here, beside the macros that read them,
    because an int imported from another module is a copy; ``check_la57_support`` sets them.
"""

from __future__ import annotations

from kmm.c import ulong
from kmm.include.vdso.page import PAGE_SIZE

pteval_t = int
pmdval_t = int
pudval_t = int
p4dval_t = int
pgdval_t = int
pgprotval_t = int

__pgtable_l5_enabled: int = 0
pgdir_shift: int = 39
ptrs_per_p4d: int = 1

__VMALLOC_BASE_L4 = 0xffffc90000000000
__VMALLOC_BASE_L5 = 0xffa0000000000000
VMALLOC_SIZE_TB_L4 = 32
VMALLOC_SIZE_TB_L5 = 12800
__VMEMMAP_BASE_L4 = 0xffffea0000000000
__VMEMMAP_BASE_L5 = 0xffd4000000000000

vmalloc_base: int = __VMALLOC_BASE_L4
vmemmap_base: int = __VMEMMAP_BASE_L4


def set_pgtable_levels_5() -> None:
    """The assignments of early boot on a CPU that runs with CR4.LA57 set."""
    global __pgtable_l5_enabled, pgdir_shift, ptrs_per_p4d, vmalloc_base, vmemmap_base
    __pgtable_l5_enabled = 1
    pgdir_shift = 48
    ptrs_per_p4d = 512
    vmalloc_base = __VMALLOC_BASE_L5
    vmemmap_base = __VMEMMAP_BASE_L5


def pgtable_l5_enabled() -> bool:
    """Whether the processor walks five levels."""
    return bool(__pgtable_l5_enabled)


# Bits of ARCH_PAGE_TABLE_SYNC_MASK, from include/linux/pgtable.h.
def ARCH_PAGE_TABLE_SYNC_MASK() -> int:
    """The level whose change must be copied to every pgd: PGD with five levels, else P4D."""
    return (1 << 0) if pgtable_l5_enabled() else (1 << 1)


def PGDIR_SHIFT() -> int:
    """Bits of an address below the pgd index."""
    return pgdir_shift


PTRS_PER_PGD = 512

P4D_SHIFT = 39
MAX_PTRS_PER_P4D = 512


def PTRS_PER_P4D() -> int:
    """Entries of a p4d: 1 when it is folded."""
    return ptrs_per_p4d


P4D_SIZE = 1 << P4D_SHIFT
P4D_MASK = ulong(~(P4D_SIZE - 1))

MAX_POSSIBLE_PHYSMEM_BITS = 52

PUD_SHIFT = 30
PTRS_PER_PUD = 512

PMD_SHIFT = 21
PTRS_PER_PMD = 512

PTRS_PER_PTE = 512

PMD_SIZE = 1 << PMD_SHIFT
PMD_MASK = ulong(~(PMD_SIZE - 1))
PUD_SIZE = 1 << PUD_SHIFT
PUD_MASK = ulong(~(PUD_SIZE - 1))


def PGDIR_SIZE() -> int:
    """What one pgd entry maps, in bytes."""
    return 1 << PGDIR_SHIFT()


def PGDIR_MASK() -> int:
    """Mask of the address bits from the pgd index up."""
    return ulong(~(PGDIR_SIZE() - 1))


GUARD_HOLE_PGD_ENTRY = -256
LDT_PGD_ENTRY = -240


def GUARD_HOLE_BASE_ADDR() -> int:
    """Start of the hole between user space and the kernel's half."""
    return ulong(GUARD_HOLE_PGD_ENTRY << PGDIR_SHIFT())


def LDT_BASE_ADDR() -> int:
    """Where PTI kernels remap the LDT."""
    return ulong(LDT_PGD_ENTRY << PGDIR_SHIFT())


def VMALLOC_START() -> int:
    """First address of the vmalloc area."""
    return vmalloc_base


def VMALLOC_SIZE_TB() -> int:
    """Size of the vmalloc area in TiB."""
    return VMALLOC_SIZE_TB_L5 if pgtable_l5_enabled() else VMALLOC_SIZE_TB_L4


def VMEMMAP_START() -> int:
    """First address of the array of struct page."""
    return vmemmap_base


def VMEMORY_END() -> int:
    """Last address of the vmalloc area (not one past it)."""
    return VMALLOC_START() + (VMALLOC_SIZE_TB() << 40) - 1


def VMALLOC_END() -> int:
    """Last address of the vmalloc area (not one past it)."""
    return VMEMORY_END()


PGD_KERNEL_START = (PAGE_SIZE // 2) // 8
