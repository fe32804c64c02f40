# SPDX-License-Identifier: GPL-2.0-only
"""A device writes through a kernel address while the page table of that address is freed and reused.

What becomes of ``sva_device_vs_huge_promotion`` when the device uses what it may hold.  The freed PTE table
is allocated again, as data; its new owner stores what looks like a user-writable entry.  A device that
still holds the PMD entry walks that page, finds the entry, and writes Accessed and Dirty bits into it.
"""

from kmm import hooks
from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device, iommu_sva_get_pasid
from kmm.include.linux.err import IS_ERR
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.include.linux.sched import current
from kmm.include.linux.sched.mm import mm_alloc
from kmm.mm.page_alloc import get_zeroed_page
from kmm.mm.vmalloc import vmap_page_range, vunmap_range

VERDICT = "never"
MMIO = 4 << 30
PRESENT_WRITE_USER = 7

pasids: list[int] = []


def start() -> int:
    return VMALLOC_START() + 16 * PMD_SIZE


def setup() -> None:
    mm = mm_alloc()
    current().mm = mm
    bond = iommu_sva_bind_device(hooks.device(0), mm)
    assert not IS_ERR(bond)
    pasids.append(iommu_sva_get_pasid(bond))
    assert vmap_page_range(start(), start() + 4096, MMIO, PAGE_KERNEL) == 0
    vunmap_range(start(), start() + 4096)


def cpu0() -> None:
    assert vmap_page_range(start(), start() + PMD_SIZE, MMIO, PAGE_KERNEL) == 0
    page = get_zeroed_page(GFP_KERNEL)
    hooks.store(page + 8, 8, MMIO | PRESENT_WRITE_USER)


def device0() -> None:
    hooks.dma(0, pasids[0], start() + 4096, write=True)
