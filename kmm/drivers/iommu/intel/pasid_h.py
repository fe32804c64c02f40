# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/pasid.h (Linux 7.2): PASID directory and table entries.

Entries live in simulated memory. ``struct pasid_dir_entry *`` and ``struct pasid_entry *`` are
addresses of a type of their own; ``&pe->val[n]`` is ``pe.val(n)``, a pointer to one word.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.io import phys_to_virt
from kmm.arch.x86.include.asm.page_types import PAGE_MASK
from kmm.c import entry_ptr, struct, ulong
from kmm.drivers.iommu.intel.iommu_h import VTD_PAGE_MASK
from kmm.include.linux.bits import BIT, GENMASK_ULL
from kmm.include.linux.compiler import READ_ONCE, WRITE_ONCE, dma_wmb

PASID_MAX = 0x100000
PASID_PTE_MASK = 0x3F
PASID_PTE_PRESENT = 1
PASID_PTE_FPD = 2
PDE_PFN_MASK = PAGE_MASK
PASID_PDE_SHIFT = 6
MAX_NR_PASID_BITS = 20
PASID_TBL_ENTRIES = BIT(PASID_PDE_SHIFT)

PASID_FLAG_NESTED = BIT(1)
PASID_FLAG_PAGE_SNOOP = BIT(2)
PASID_FLAG_PWSNP = BIT(3)

# Same bit as PASID_FLAG_NESTED, as in C: the two are never used together.
PASID_FLAG_FL5LP = BIT(1)


class pasid_dir_entry(int):
    """``struct pasid_dir_entry *``: the address of an 8-byte directory entry."""

    __slots__ = ()

    def __add__(self, n: int) -> pasid_dir_entry:
        return pasid_dir_entry(int(self) + 8 * n)

    @property
    def val(self) -> entry_ptr:
        """``&pde->val``."""
        return entry_ptr(self)


class pasid_entry(int):
    """``struct pasid_entry *``: the address of a 64-byte table entry."""

    __slots__ = ()

    def __add__(self, n: int) -> pasid_entry:
        return pasid_entry(int(self) + 64 * n)

    def val(self, n: int) -> entry_ptr:
        """``&pe->val[n]``."""
        return entry_ptr(int(self) + 8 * n)


PASID_ENTRY_PGTT_FL_ONLY = 1
PASID_ENTRY_PGTT_SL_ONLY = 2
PASID_ENTRY_PGTT_NESTED = 3
PASID_ENTRY_PGTT_PT = 4


class pasid_table(struct):
    """``struct pasid_table``: the PASID directory of a device."""

    table: int
    max_pasid: int


def pasid_pde_is_present(pde: pasid_dir_entry) -> bool:
    """P of a directory entry."""
    return bool(READ_ONCE(pde.val) & PASID_PTE_PRESENT)


def get_pasid_table_from_pde(pde: pasid_dir_entry) -> pasid_entry | None:
    """The PASID table that a directory entry points at, NULL if none."""
    if not pasid_pde_is_present(pde):
        return None

    return pasid_entry(phys_to_virt(READ_ONCE(pde.val) & PDE_PFN_MASK))


def pasid_pte_is_present(pte: pasid_entry) -> bool:
    """P of a table entry."""
    return bool(READ_ONCE(pte.val(0)) & PASID_PTE_PRESENT)


def pasid_pte_is_fault_disabled(pte: pasid_entry) -> bool:
    """FPD of a table entry: faults are not recorded."""
    return bool(READ_ONCE(pte.val(0)) & PASID_PTE_FPD)


def pasid_pte_get_pgtt(pte: pasid_entry) -> int:
    """Translation type of a table entry."""
    return int(READ_ONCE(pte.val(0)) >> 6) & 0x7


def pasid_clear_entry(pe: pasid_entry) -> None:
    """Zero a table entry."""
    WRITE_ONCE(pe.val(0), 0)
    WRITE_ONCE(pe.val(1), 0)
    WRITE_ONCE(pe.val(2), 0)
    WRITE_ONCE(pe.val(3), 0)
    WRITE_ONCE(pe.val(4), 0)
    WRITE_ONCE(pe.val(5), 0)
    WRITE_ONCE(pe.val(6), 0)
    WRITE_ONCE(pe.val(7), 0)


def pasid_clear_entry_with_fpd(pe: pasid_entry) -> None:
    """Zero a table entry but for FPD."""
    WRITE_ONCE(pe.val(0), PASID_PTE_FPD)
    WRITE_ONCE(pe.val(1), 0)
    WRITE_ONCE(pe.val(2), 0)
    WRITE_ONCE(pe.val(3), 0)
    WRITE_ONCE(pe.val(4), 0)
    WRITE_ONCE(pe.val(5), 0)
    WRITE_ONCE(pe.val(6), 0)
    WRITE_ONCE(pe.val(7), 0)


def pasid_set_bits(ptr: entry_ptr, mask: int, bits: int) -> None:
    """Replace the bits of *mask* in one word."""
    old: int = READ_ONCE(ptr)
    WRITE_ONCE(ptr, (old & ulong(~mask)) | bits)


def pasid_get_bits(ptr: entry_ptr) -> int:
    """One word."""
    return int(READ_ONCE(ptr))


def pasid_set_domain_id(pe: pasid_entry, value: int) -> None:
    """Set DID, bits 64 to 79."""
    pasid_set_bits(pe.val(1), GENMASK_ULL(15, 0), value)


def pasid_get_domain_id(pe: pasid_entry) -> int:
    """DID, bits 64 to 79."""
    return int(READ_ONCE(pe.val(1)) & GENMASK_ULL(15, 0))


def pasid_set_slptr(pe: pasid_entry, value: int) -> None:
    """Set the second-stage table pointer, bits 12 to 63."""
    pasid_set_bits(pe.val(0), VTD_PAGE_MASK, value)


def pasid_set_address_width(pe: pasid_entry, value: int) -> None:
    """Set AW, bits 2 to 4."""
    pasid_set_bits(pe.val(0), GENMASK_ULL(4, 2), value << 2)


def pasid_set_translation_type(pe: pasid_entry, value: int) -> None:
    """Set PGTT, bits 6 to 8."""
    pasid_set_bits(pe.val(0), GENMASK_ULL(8, 6), value << 6)


def pasid_set_fault_enable(pe: pasid_entry) -> None:
    """Clear FPD, bit 1."""
    pasid_set_bits(pe.val(0), 1 << 1, 0)


def pasid_set_ssade(pe: pasid_entry) -> None:
    """Set SSADE, bit 9: second-stage accessed and dirty bits."""
    pasid_set_bits(pe.val(0), 1 << 9, 1 << 9)


def pasid_clear_ssade(pe: pasid_entry) -> None:
    """Clear SSADE, bit 9."""
    pasid_set_bits(pe.val(0), 1 << 9, 0)


def pasid_get_ssade(pe: pasid_entry) -> bool:
    """SSADE, bit 9."""
    return bool(pasid_get_bits(pe.val(0)) & (1 << 9))


def pasid_set_sre(pe: pasid_entry) -> None:
    """Set SRE, bit 128: supervisor requests are allowed."""
    pasid_set_bits(pe.val(2), 1 << 0, 1)


def pasid_set_wpe(pe: pasid_entry) -> None:
    """Set WPE, bit 132: supervisor requests obey R/W."""
    pasid_set_bits(pe.val(2), 1 << 4, 1 << 4)


def pasid_set_present(pe: pasid_entry) -> None:
    """Set P: from here on hardware owns the entry."""
    dma_wmb()
    pasid_set_bits(pe.val(0), 1 << 0, 1)


def pasid_clear_present(pe: pasid_entry) -> None:
    """Clear P; the entry is software's again only after the invalidations that follow."""
    pasid_set_bits(pe.val(0), 1 << 0, 0)
    dma_wmb()


def pasid_set_page_snoop(pe: pasid_entry, value: bool) -> None:
    """Set or clear PWSNP, bit 87: the walk itself snoops."""
    pasid_set_bits(pe.val(1), 1 << 23, int(value) << 23)


def pasid_set_pgsnp(pe: pasid_entry) -> None:
    """Set PGSNP, bit 88: accesses snoop."""
    pasid_set_bits(pe.val(1), 1 << 24, 1 << 24)


def pasid_set_flptr(pe: pasid_entry, value: int) -> None:
    """Set the first-stage table pointer, bits 140 to 191."""
    pasid_set_bits(pe.val(2), VTD_PAGE_MASK, value)


def pasid_set_flpm(pe: pasid_entry, value: int) -> None:
    """Set FSPM, bits 130 and 131: 0 walks four levels, 1 five."""
    pasid_set_bits(pe.val(2), GENMASK_ULL(3, 2), value << 2)


def pasid_set_eafe(pe: pasid_entry) -> None:
    """Set EAFE, bit 135: the extended accessed bit."""
    pasid_set_bits(pe.val(2), 1 << 7, 1 << 7)
