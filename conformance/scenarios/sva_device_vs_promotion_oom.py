# SPDX-License-Identifier: GPL-2.0-only
"""A device shares a process's page tables while a range is promoted and small allocations fail.

``sva_device_vs_huge_promotion`` with a ``kmalloc()`` that may fail whenever the promotion calls it.  What is
needed to make a table safe to free must not depend on memory that may not be there.
"""

from kmm import hooks
from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device
from kmm.include.linux.err import IS_ERR
from kmm.include.linux.sched import current
from kmm.include.linux.sched.mm import mm_alloc
from kmm.mm.vmalloc import vmap_page_range, vunmap_range

VERDICT = "never"
FAILING = ("kmalloc",)
MMIO = 4 << 30

def start() -> int:
    return VMALLOC_START() + 16 * PMD_SIZE


def setup() -> None:
    mm = mm_alloc()
    current().mm = mm
    assert not IS_ERR(iommu_sva_bind_device(hooks.device(0), mm))
    assert vmap_page_range(start(), start() + 4096, MMIO, PAGE_KERNEL) == 0
    vunmap_range(start(), start() + 4096)


def cpu0() -> None:
    assert vmap_page_range(start(), start() + PMD_SIZE, MMIO, PAGE_KERNEL) == 0
