# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/internal.h (Linux 7.2): what the files of mm/ share, as far as it is ported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.include.linux.compiler import smp_rmb
from kmm.include.linux.mm_types import vm_fault_t
from kmm.include.linux.page_flags import PageAnonExclusive, folio_test_anon, page_folio

if TYPE_CHECKING:
    from kmm.include.linux.mm import vm_fault
    from kmm.include.linux.mm_types import page, vm_area_struct

# GUP's public flags, of include/linux/mm_types.h:
FOLL_WRITE = 1 << 0
FOLL_GET = 1 << 1
FOLL_DUMP = 1 << 2
FOLL_FORCE = 1 << 3
FOLL_NOWAIT = 1 << 4
FOLL_NOFAULT = 1 << 5
FOLL_HWPOISON = 1 << 6
FOLL_ANON = 1 << 7
FOLL_LONGTERM = 1 << 8
FOLL_SPLIT_PMD = 1 << 9
FOLL_PCI_P2PDMA = 1 << 10
FOLL_INTERRUPTIBLE = 1 << 11
FOLL_HONOR_NUMA_FAULT = 1 << 12

# GUP's internal flags:
FOLL_TOUCH = 1 << 16
FOLL_TRIED = 1 << 17
FOLL_REMOTE = 1 << 18
FOLL_PIN = 1 << 19
FOLL_FAST_ONLY = 1 << 20
FOLL_UNLOCKABLE = 1 << 21
FOLL_MADV_POPULATE = 1 << 22

INTERNAL_GUP_FLAGS = (FOLL_TOUCH | FOLL_TRIED | FOLL_REMOTE | FOLL_PIN | FOLL_FAST_ONLY
                      | FOLL_UNLOCKABLE | FOLL_MADV_POPULATE)


def gup_must_unshare(vma: vm_area_struct | None, flags: int, page: page) -> bool:
    """Whether a page that is mapped read-only must be copied before it may be pinned."""
    # A writable entry of anonymous memory maps a page that is exclusive anyway.
    if (flags & (FOLL_WRITE | FOLL_PIN)) != FOLL_PIN:
        return False
    if not folio_test_anon(page_folio(page)):
        if not (flags & FOLL_LONGTERM):
            return False

        if vma is None:
            return True

        return is_cow_mapping(vma.vm_flags)

    smp_rmb()

    return not PageAnonExclusive(page)


def vmf_anon_prepare(vmf: vm_fault) -> vm_fault_t:
    """Make sure that the VMA can have anonymous pages; 0.

    :context: ``mmap_lock`` held, as there are no per-VMA locks.
    """
    if vmf.vma.anon_vma is None:
        __anon_vma_prepare(vmf.vma)
    return vm_fault_t(0)


# Declared here, defined there:
from kmm.include.linux.mm import is_cow_mapping
from kmm.mm.memory import free_pgtables as free_pgtables
from kmm.mm.memory import pmd_install as pmd_install
from kmm.mm.memory import unmap_vmas as unmap_vmas
from kmm.mm.rmap import __anon_vma_prepare
from kmm.mm.rmap import flush_tlb_batched_pending as flush_tlb_batched_pending
