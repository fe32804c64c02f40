# SPDX-License-Identifier: GPL-2.0-only
"""A device shares a process's page tables while two CPUs promote a vmap range each.

The sibling of ``sva_device_vs_huge_promotion`` with a second range: while the worker is busy with the PTE
table that one CPU queued, the other CPU unlinks and queues its own.  Whatever the worker then finds in its
list must have been unlinked before it flushed.
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

FIRST = VMALLOC_START + 16 * PMD_SIZE
SECOND = FIRST + PMD_SIZE
MMIO = 4 << 30


def setup() -> None:
    mm = mm_alloc()
    current().mm = mm
    assert not IS_ERR(iommu_sva_bind_device(hooks.device(0), mm))
    for start in (FIRST, SECOND):
        assert vmap_page_range(start, start + 4096, MMIO, PAGE_KERNEL) == 0
        vunmap_range(start, start + 4096)


def cpu0() -> None:
    assert vmap_page_range(FIRST, FIRST + PMD_SIZE, MMIO, PAGE_KERNEL) == 0


def cpu1() -> None:
    assert vmap_page_range(SECOND, SECOND + PMD_SIZE, MMIO, PAGE_KERNEL) == 0
