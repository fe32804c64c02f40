# SPDX-License-Identifier: GPL-2.0-only
"""Two CPUs map the first pages of one empty gigabyte of vmalloc space.

Both find no PMD table and allocate one.  One installs its own; the other frees what it brought.
"""

from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, PUD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.mm.vmalloc import vmap_page_range

VERDICT = "never"
MMIO = 4 << 30


def start() -> int:
    return (VMALLOC_START() + 4 * PUD_SIZE) & ~(PUD_SIZE - 1)


def cpu0() -> None:
    assert vmap_page_range(start(), start() + 4096, MMIO, PAGE_KERNEL) == 0


def cpu1() -> None:
    there = start() + PMD_SIZE
    assert vmap_page_range(there, there + 4096, MMIO, PAGE_KERNEL) == 0
