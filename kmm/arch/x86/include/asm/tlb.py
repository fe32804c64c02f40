# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/tlb.h (Linux 7.2): x86's tlb_flush(), INVLPG and INVLPGB.

CONFIG symbols: BROADCAST_TLB_FLUSH, MMU_GATHER_NO_GATHER. The machine has no hook for INVLPGB and
TLBSYNC: executing them raises Unported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import PAGE_MASK
from kmm.include.generated.autoconf import (
    CONFIG_BROADCAST_TLB_FLUSH,
    CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE,
    CONFIG_MMU_GATHER_NO_GATHER,
)

if TYPE_CHECKING:
    from kmm.include.asm_generic.tlb import mmu_gather
    from kmm.include.linux.mm_types import page, ptdesc


def tlb_flush(tlb: mmu_gather) -> None:
    """Flush what a gather recorded: its range, or the whole mm."""
    start = 0
    end = TLB_FLUSH_ALL
    stride_shift = tlb_get_unmap_shift(tlb)

    if not tlb.fullmm and not tlb.need_flush_all:
        start = tlb.start
        end = tlb.end

    flush_tlb_mm_range(tlb.mm, start, end, stride_shift, bool(tlb.freed_tables))


def invlpg(addr: int) -> None:
    """Drop the translation of an address, global or not, and all paging-structure caches."""
    hooks.invlpg(addr)


# enum addr_stride
PTE_STRIDE = 0
PMD_STRIDE = 1

INVLPGB_FLAG_VA = 1 << 0
INVLPGB_FLAG_PCID = 1 << 1
INVLPGB_FLAG_ASID = 1 << 2
INVLPGB_FLAG_INCLUDE_GLOBAL = 1 << 3
INVLPGB_FLAG_FINAL_ONLY = 1 << 4
INVLPGB_FLAG_INCLUDE_NESTED = 1 << 5

INVLPGB_MODE_ALL_NONGLOBALS = 0

if CONFIG_BROADCAST_TLB_FLUSH:
    def __invlpgb(asid: int, pcid: int, addr: int, nr_pages: int, stride: int, flags: int) -> None:
        """Drop translations on every CPU; __tlbsync() waits for it."""
        VM_WARN_ON_ONCE(addr & ~PAGE_MASK)
        raise hooks.Unported("arch/x86/include/asm/tlb.h", "__invlpgb")

    def __invlpgb_all(asid: int, pcid: int, flags: int) -> None:
        """__invlpgb() of every address."""
        __invlpgb(asid, pcid, 0, 1, 0, flags)

    def __tlbsync() -> None:
        """Wait for the INVLPGBs of this CPU."""
        raise hooks.Unported("arch/x86/include/asm/tlb.h", "__tlbsync")
else:
    def __invlpgb(asid: int, pcid: int, addr: int, nr_pages: int, stride: int, flags: int) -> None:
        """Never called."""

    def __invlpgb_all(asid: int, pcid: int, flags: int) -> None:
        """Never called."""

    def __tlbsync() -> None:
        """Never called."""


def invlpgb_flush_user_nr_nosync(pcid: int, addr: int, nr: int, stride: bool) -> None:
    """Drop *nr* pages (or 2 MiB strides) of a PCID everywhere, without waiting."""
    str_ = PMD_STRIDE if stride else PTE_STRIDE
    flags = INVLPGB_FLAG_PCID | INVLPGB_FLAG_VA

    __invlpgb(0, pcid, addr, nr, str_, flags)


def invlpgb_flush_single_pcid_nosync(pcid: int) -> None:
    """Drop a PCID everywhere, but not global pages, without waiting."""
    __invlpgb_all(0, pcid, INVLPGB_FLAG_PCID)


def invlpgb_flush_all() -> None:
    """Drop everything everywhere."""
    preempt_disable()
    __invlpgb_all(0, 0, INVLPGB_FLAG_INCLUDE_GLOBAL)
    __tlbsync()
    preempt_enable()


def invlpgb_flush_addr_nosync(addr: int, nr: int) -> None:
    """Drop *nr* pages of every PCID everywhere, without waiting."""
    __invlpgb(0, 0, addr, nr, PTE_STRIDE, INVLPGB_FLAG_INCLUDE_GLOBAL)


def invlpgb_flush_all_nonglobals() -> None:
    """Drop everything everywhere but global pages."""
    preempt_disable()
    __invlpgb_all(0, 0, INVLPGB_MODE_ALL_NONGLOBALS)
    __tlbsync()
    preempt_enable()


if CONFIG_MMU_GATHER_NO_GATHER:
    def __tlb_remove_page_size(tlb: mmu_gather, page: page, page_size: int) -> bool:
        """What an architecture without a page queue must bring, as s390 does: free the page at once.

        :deviation: x86 never has MMU_GATHER_NO_GATHER; this is arch/s390/include/asm/tlb.h.
        """
        free_folio_and_swap_cache(page_folio(page))
        return False

    def __tlb_remove_folio_pages(tlb: mmu_gather, page: page, nr_pages: int, delay_rmap: bool) -> bool:
        """Free consecutive pages of one folio at once."""
        encoded_pages = [
            encode_page(page, ENCODED_PAGE_BIT_NR_PAGES_NEXT),
            encode_nr_pages(nr_pages),
        ]

        VM_WARN_ON_ONCE(delay_rmap)

        free_pages_and_swap_cache(encoded_pages, len(encoded_pages))
        return False

if CONFIG_HAVE_ARCH_TLB_REMOVE_TABLE:
    def __tlb_remove_table(table: ptdesc) -> None:
        """What an architecture with tables of its own must bring: destruct and free one.

        :deviation: x86 never has HAVE_ARCH_TLB_REMOVE_TABLE; its tables are pages here too.
        """
        pagetable_dtor_free(table)


# Included first in C:
from kmm.arch.x86.include.asm.tlbflush import TLB_FLUSH_ALL
from kmm.arch.x86.mm.tlb import flush_tlb_mm_range
from kmm.include.asm_generic.tlb import tlb_get_unmap_shift
from kmm.include.linux.mm import pagetable_dtor_free
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE
from kmm.include.linux.preempt import preempt_disable, preempt_enable

if CONFIG_MMU_GATHER_NO_GATHER:
    from kmm.include.linux.mm_types import (
        ENCODED_PAGE_BIT_NR_PAGES_NEXT,
        encode_nr_pages,
        encode_page,
    )
    from kmm.include.linux.page_flags import page_folio
    from kmm.mm.swap_state import free_folio_and_swap_cache, free_pages_and_swap_cache
