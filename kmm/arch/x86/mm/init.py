# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/init.c (Linux 7.2): the direct map, and how CPUs start to use PCIDs.

Memory runs from physical address 0 to the end without holes, so the walk over the memory map
(``memory_map_top_down``) is one call. Left out: the brk buffer of early tables (pages come from the
page allocator), PAT tables, text poking, trampolines, kernels with 32 bits, INVLPG errata.

Reads CONFIG_ADDRESS_MASKING.

:deviation: ``__supported_pte_mask`` is a constant; a CPU without global pages ignores their bit.
    Under PTI the direct map is built without the global bit, as ``__default_kernel_pte_mask`` has it
    in C, but the constant PAGE_KERNEL keeps it.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.cpufeature import (
    X86_FEATURE_GBPAGES,
    X86_FEATURE_PCID,
    X86_FEATURE_PGE,
    X86_FEATURE_PSE,
    X86_FEATURE_PTI,
    boot_cpu_has,
    cpu_feature_enabled,
)
from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT
from kmm.arch.x86.include.asm.pgtable_64 import swapper_pg_dir
from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, PUD_SIZE
from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_GLOBAL,
    PAGE_KERNEL,
    PG_LEVEL_1G,
    PG_LEVEL_2M,
    __pgprot,
    pgprot_t,
    pgprot_val,
)
from kmm.arch.x86.include.asm.processor import load_cr3
from kmm.arch.x86.include.asm.processor_flags import X86_CR4_PCIDE, X86_CR4_PGE, X86_CR4_PSE
from kmm.arch.x86.include.asm.tlbflush import TLB_NR_DYN_ASIDS, cr4_set_bits, tlb_context, tlb_state
from kmm.c import struct, ulong
from kmm.include.generated.autoconf import CONFIG_ADDRESS_MASKING
from kmm.include.linux.gfp import __get_free_pages
from kmm.include.linux.gfp_types import __GFP_ZERO, GFP_ATOMIC
from kmm.include.linux.kernel import round_down, round_up
from kmm.include.linux.percpu import DEFINE_PER_CPU
from kmm.include.linux.types import gfp_t
from kmm.mm.init_mm import init_mm

if CONFIG_ADDRESS_MASKING:
    from kmm.include.linux.percpu import DEFINE_PER_CPU_SCALAR

after_bootmem: int = 0
direct_gbpages: int = 1

#: CR4 bits that CPUs get before they run C code.
mmu_cr4_features: int = 0


def set_after_bootmem() -> None:
    """The assignment in mem_init() of init_64.c: the page allocator owns all memory now."""
    global after_bootmem
    after_bootmem = 1


def alloc_low_pages(num: int) -> int:
    """*num* zeroed pages for kernel page tables; their direct-map address.

    :deviation: from the page allocator also during boot, where C takes memblock.
    """
    order = (num - 1).bit_length()
    return __get_free_pages(gfp_t(GFP_ATOMIC | __GFP_ZERO), order)


class map_range(struct):
    """Physical memory that is mapped with leaves of the same sizes."""

    start: int
    end: int
    page_size_mask: int


page_size_mask: int = 0


def cr4_set_bits_and_update_boot(mask: int) -> None:
    """Set CR4 bits here, and on every CPU that comes up later."""
    global mmu_cr4_features
    mmu_cr4_features |= mask
    cr4_set_bits(mask)


def probe_page_size_mask() -> None:
    """Which sizes of leaves the direct map may have, and whether global pages exist."""
    global page_size_mask, direct_gbpages

    if boot_cpu_has(X86_FEATURE_PSE):
        page_size_mask |= 1 << PG_LEVEL_2M
    else:
        direct_gbpages = 0

    if boot_cpu_has(X86_FEATURE_PSE):
        cr4_set_bits_and_update_boot(X86_CR4_PSE)

    if boot_cpu_has(X86_FEATURE_PGE):
        cr4_set_bits_and_update_boot(X86_CR4_PGE)

    if direct_gbpages and boot_cpu_has(X86_FEATURE_GBPAGES):
        page_size_mask |= 1 << PG_LEVEL_1G
    else:
        direct_gbpages = 0


def setup_pcid() -> None:
    """Turn PCIDs on for the boot CPU. Other CPUs do it when they come up: the bit needs long mode."""
    if not boot_cpu_has(X86_FEATURE_PCID):
        return

    if boot_cpu_has(X86_FEATURE_PGE):
        cr4_set_bits(X86_CR4_PCIDE)
    else:
        # flush_tlb_all() could not flush other PCIDs; no processor is like that.
        raise hooks.Unported("arch/x86/mm/init.c", "setup_pcid (PCID without PGE)")


NR_RANGE_MR = 5


def save_mr(mr: list[map_range], start_pfn: int, end_pfn: int, page_size_mask: int) -> None:
    """Append a range unless it is empty."""
    if start_pfn < end_pfn:
        assert len(mr) < NR_RANGE_MR, "run out of range for init_memory_mapping"
        range = map_range()
        range.start = start_pfn << PAGE_SHIFT
        range.end = end_pfn << PAGE_SHIFT
        range.page_size_mask = page_size_mask
        mr.append(range)


def memblock_is_region_memory(base: int, size: int) -> bool:
    """Whether a physical range is all memory."""
    return base + size <= hooks.memory_frames() << PAGE_SHIFT


def adjust_range_page_size_mask(mr: list[map_range]) -> None:
    """Use big leaves for small ranges too, if the memory around them is there."""
    for range in mr:
        if page_size_mask & (1 << PG_LEVEL_2M) and not range.page_size_mask & (1 << PG_LEVEL_2M):
            start = round_down(range.start, PMD_SIZE)
            end = round_up(range.end, PMD_SIZE)

            if memblock_is_region_memory(start, end - start):
                range.page_size_mask |= 1 << PG_LEVEL_2M
        if page_size_mask & (1 << PG_LEVEL_1G) and not range.page_size_mask & (1 << PG_LEVEL_1G):
            start = round_down(range.start, PUD_SIZE)
            end = round_up(range.end, PUD_SIZE)

            if memblock_is_region_memory(start, end - start):
                range.page_size_mask |= 1 << PG_LEVEL_1G


def split_mem_range(start: int, end: int) -> list[map_range]:
    """Cut physical memory where the size of leaves changes: 4K, 2M, 1G, 2M, 4K.

    :deviation: returns the ranges that C stores through ``mr``.
    """
    mr: list[map_range] = []
    pmd_pages = PMD_SIZE >> PAGE_SHIFT
    pud_pages = PUD_SIZE >> PAGE_SHIFT

    limit_pfn = end >> PAGE_SHIFT

    pfn = start_pfn = start >> PAGE_SHIFT
    end_pfn = round_up(pfn, pmd_pages)
    end_pfn = min(end_pfn, limit_pfn)
    if start_pfn < end_pfn:
        save_mr(mr, start_pfn, end_pfn, 0)
        pfn = end_pfn

    start_pfn = round_up(pfn, pmd_pages)
    end_pfn = round_up(pfn, pud_pages)
    end_pfn = min(end_pfn, round_down(limit_pfn, pmd_pages))

    if start_pfn < end_pfn:
        save_mr(mr, start_pfn, end_pfn, page_size_mask & (1 << PG_LEVEL_2M))
        pfn = end_pfn

    start_pfn = round_up(pfn, pud_pages)
    end_pfn = round_down(limit_pfn, pud_pages)
    if start_pfn < end_pfn:
        save_mr(mr, start_pfn, end_pfn, page_size_mask & ((1 << PG_LEVEL_2M) | (1 << PG_LEVEL_1G)))
        pfn = end_pfn

    start_pfn = round_up(pfn, pmd_pages)
    end_pfn = round_down(limit_pfn, pmd_pages)
    if start_pfn < end_pfn:
        save_mr(mr, start_pfn, end_pfn, page_size_mask & (1 << PG_LEVEL_2M))
        pfn = end_pfn

    start_pfn = pfn
    end_pfn = limit_pfn
    save_mr(mr, start_pfn, end_pfn, 0)

    if not after_bootmem:
        adjust_range_page_size_mask(mr)

    i = 0
    while i < len(mr) - 1:
        if mr[i].end != mr[i + 1].start or mr[i].page_size_mask != mr[i + 1].page_size_mask:
            i += 1
            continue
        old_start = mr[i].start
        del mr[i]
        mr[i].start = old_start

    return mr


def init_memory_mapping(start: int, end: int, prot: pgprot_t) -> int:
    """Map physical memory at PAGE_OFFSET; the first frame behind what is mapped."""
    ret = 0

    for mr in split_mem_range(start, end):
        ret = kernel_physical_mapping_init(mr.start, mr.end, mr.page_size_mask, prot)

    return ret >> PAGE_SHIFT


def init_mem_mapping() -> None:
    """Build the direct map and load it.

    :context: boot CPU; ``init_mm.pgd`` is an empty page.
    """
    probe_page_size_mask()
    setup_pcid()

    end = hooks.memory_frames() << PAGE_SHIFT

    prot = PAGE_KERNEL
    if cpu_feature_enabled(X86_FEATURE_PTI):
        prot = __pgprot(pgprot_val(PAGE_KERNEL) & ~_PAGE_GLOBAL)
    init_memory_mapping(0, end, prot)

    load_cr3(swapper_pg_dir())
    __flush_tlb_all()


def __cpu_tlbstate() -> list[tlb_state]:
    """The initialiser of ``cpu_tlbstate``: every CPU starts on ``init_mm``."""
    var = DEFINE_PER_CPU(tlb_state)
    for state in var:
        state.loaded_mm = init_mm
        state.next_asid = 1
        # Fail hard if nobody initialises the shadow.
        state.cr4 = ulong(~0)
        state.ctxs = [tlb_context.zeroed() for _ in range(TLB_NR_DYN_ASIDS)]
    return var


cpu_tlbstate = __cpu_tlbstate()

if CONFIG_ADDRESS_MASKING:
    tlbstate_untag_mask = DEFINE_PER_CPU_SCALAR()

# Declared here, defined there:
from kmm.arch.x86.include.asm.tlbflush import __flush_tlb_all
from kmm.arch.x86.mm.init_64 import kernel_physical_mapping_init
