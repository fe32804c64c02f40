# SPDX-License-Identifier: GPL-2.0-only
"""A device shares a process's page tables while the kernel unmaps a vmap range and maps it anew.

``vunmap_range()`` clears the PTEs and flushes the CPUs, but leaves the empty PTE tables linked: on x86 a
kernel page table is freed when a huge mapping takes its place.  So the range is unmapped and then mapped
again with huge entries, as ``iounmap()`` and the next ``ioremap()`` of that address do.  The device may
hold the PMD entries that lead to the tables all the while.  The range has two tables, so the second is
freed while whatever the first free has set in motion goes on.
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
MMIO = 4 << 30

def middle() -> int:
    return VMALLOC_START() + 16 * PMD_SIZE


def setup() -> None:
    mm = mm_alloc()
    current().mm = mm
    assert not IS_ERR(iommu_sva_bind_device(hooks.device(0), mm))
    assert vmap_page_range(middle() - 4096, middle() + 4096, MMIO - 4096, PAGE_KERNEL) == 0


def cpu0() -> None:
    vunmap_range(middle() - 4096, middle() + 4096)
    assert vmap_page_range(middle() - PMD_SIZE, middle() + PMD_SIZE, MMIO - PMD_SIZE, PAGE_KERNEL) == 0
