# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/madvise.c (Linux 7.2): MADV_DONTNEED, which may free page tables under the read lock.

Other advice raises Unported. C first tries the lock of a single VMA; here it is always ``mmap_lock``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_SIZE
from kmm.include.asm_generic.tlb import mmu_gather
from kmm.include.linux.errno import EINVAL, ENOMEM
from kmm.include.linux.kernel import round_up
from kmm.include.linux.mm import zap_details
from kmm.include.linux.mmap_lock import mmap_read_lock, mmap_read_unlock
from kmm.mm.memory import zap_vma_range_batched
from kmm.mm.mmap import find_vma
from kmm.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct, vm_area_struct

MADV_DONTNEED = 4


def madvise_dontneed_single_vma(tlb: mmu_gather, vma: vm_area_struct, start: int, end: int) -> int:
    """Drop the pages of a range of one VMA, and tables that become empty. 0."""
    details = zap_details.zeroed()
    details.reclaim_pt = True

    zap_vma_range_batched(tlb, vma, start, end - start, details)
    return 0


def do_madvise(mm: mm_struct, start: int, len_in: int, behavior: int) -> int:
    """madvise(). 0, or ``-ENOMEM`` if a part of the range is not mapped.

    :context: takes ``mmap_lock`` for reading, may sleep.
    """
    if behavior != MADV_DONTNEED:
        raise hooks.Unported("mm/madvise.c", "madvise_vma_behavior")
    if start & ~PAGE_MASK:
        return -EINVAL
    end = start + round_up(len_in, PAGE_SIZE)
    unmapped_error = 0
    tlb = mmu_gather()

    mmap_read_lock(mm)
    tlb_gather_mmu(tlb, mm)
    while start < end:
        vma = find_vma(mm, start)
        if vma is None or vma.vm_start >= end:
            unmapped_error = -ENOMEM
            break
        if start < vma.vm_start:
            unmapped_error = -ENOMEM
            start = vma.vm_start
        tmp = min(vma.vm_end, end)
        madvise_dontneed_single_vma(tlb, vma, start, tmp)
        start = tmp
    tlb_finish_mmu(tlb)
    mmap_read_unlock(mm)
    return unmapped_error
