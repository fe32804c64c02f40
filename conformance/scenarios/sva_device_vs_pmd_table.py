# SPDX-License-Identifier: GPL-2.0-only
"""A device shares a process's page tables while the kernel promotes a range to a 1 GiB page.

The sibling of ``sva_device_vs_huge_promotion`` one level up: ``pud_free_pmd_page()`` frees a PMD table and
the PTE table below it.  The device may hold the PUD entry that leads to the one and the PMD entry that
leads to the other.
"""

from kmm import hooks
from kmm.arch.x86.include.asm.pgtable_64_types import PUD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device
from kmm.include.linux.err import IS_ERR
from kmm.include.linux.sched import current
from kmm.include.linux.sched.mm import mm_alloc
from kmm.mm.vmalloc import vmap_page_range, vunmap_range

VERDICT = "never"
MMIO = 4 << 30

def start() -> int:
    return (VMALLOC_START() + 4 * PUD_SIZE) & ~(PUD_SIZE - 1)


def setup() -> None:
    mm = mm_alloc()
    current().mm = mm
    assert not IS_ERR(iommu_sva_bind_device(hooks.device(0), mm))
    assert vmap_page_range(start(), start() + 4096, MMIO, PAGE_KERNEL) == 0
    vunmap_range(start(), start() + 4096)


def cpu0() -> None:
    assert vmap_page_range(start(), start() + PUD_SIZE, MMIO, PAGE_KERNEL) == 0
