# SPDX-License-Identifier: GPL-2.0-only
"""A kernel page table is freed while a PCID that is not loaded keeps the entry that led to it.

A question to the base kernel, not a proposal: ``flush_tlb_kernel_range()`` executes INVLPG on every CPU.  By
the letter of the SDM (vol. 3A, 4.10.4.1) INVLPG drops paging-structure-cache entries of the *current* PCID
only; global leaves go in every PCID, intermediate entries have no global bit.  Without page-table isolation
nothing marks the other PCIDs for a flush, so ``switch_mm()`` may load one again with bit 63 set, and the CPU
may still hold the PMD entry that led to the table.  (With isolation ``invalidate_other`` does it.)

Whether any processor keeps such an entry is not known to us.  The model takes every "may" of the SDM.
"""

from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.arch.x86.mm.tlb import switch_mm
from kmm.include.linux.sched import current
from kmm.include.linux.sched.mm import mm_alloc
from kmm.mm.vmalloc import vmap_page_range, vunmap_range

VERDICT = "sometimes"
MMIO = 4 << 30

mms = []


def start() -> int:
    return VMALLOC_START() + 16 * PMD_SIZE


def setup() -> None:
    mms.extend([mm_alloc(), mm_alloc()])
    assert vmap_page_range(start(), start() + 4096, MMIO, PAGE_KERNEL) == 0
    vunmap_range(start(), start() + 4096)
    task = current()
    task.mm = task.active_mm = mms[0]
    switch_mm(None, mms[0], task)
    switch_mm(mms[0], mms[1], task)


def cpu0() -> None:
    assert vmap_page_range(start(), start() + PMD_SIZE, MMIO, PAGE_KERNEL) == 0
    switch_mm(mms[1], mms[0], current())
