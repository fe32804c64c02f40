# SPDX-License-Identifier: GPL-2.0-only
"""Model of arch/x86/kernel/setup.c and head64.c: the boot CPU, as far as page tables go."""

from __future__ import annotations

from kmm.arch.x86.include.asm.pgalloc import pgd_allocation_order
from kmm.arch.x86.include.asm.pgtable_types import pgd_ptr
from kmm.arch.x86.include.asm.tlbflush import cr4_init_shadow
from kmm.arch.x86.kernel.head_64 import common_startup_64
from kmm.arch.x86.mm.init import alloc_low_pages, init_mem_mapping
from kmm.mm.init_mm import init_mm


def setup_arch() -> None:
    """Build the kernel's own page tables and load them.

    :context: boot CPU; ``check_la57_support()`` has run and the page allocator works.
    :deviation: C runs on tables of the kernel image before, and frees no page to the allocator until
        the direct map is complete.
    """
    # Page-table isolation keeps the user's half of each pgd in a second page.
    init_mm.pgd = pgd_ptr(alloc_low_pages(1 << pgd_allocation_order()))
    common_startup_64()
    cr4_init_shadow()
    init_mem_mapping()
