# SPDX-License-Identifier: GPL-2.0-only
"""A device shares a process's page tables while the kernel promotes a vmap range to a huge page.

A 4 KiB mapping was made and unmapped in a 2 MiB range of vmalloc space: the PTE table stays linked,
empty.  A device is bound to a process (SVA), so the IOMMU may hold the PMD entry that leads to that
table.  Mapping the whole range with one huge entry makes ``pmd_free_pte_page()`` unlink the table,
flush the CPUs and free it.
"""

from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.arch.x86.include.asm.pgtable_64_types import VMALLOC_START
from kmm.mm.vmalloc import vmap_page_range, vunmap_range

from scenario_support import bind_process, map_and_unmap, PMD_SIZE, MMIO

VERDICT = "never"

START = VMALLOC_START + 16 * PMD_SIZE


def setup() -> None:
    bind_process(0)
    map_and_unmap(START)


def cpu0() -> None:
    vmap_page_range(START, START + PMD_SIZE, MMIO, PAGE_KERNEL)
