# SPDX-License-Identifier: GPL-2.0-only
"""The boot CPU frees a kernel page table before there are workqueues.

Early boot code frees a kernel page table while ``system_state`` is ``SYSTEM_BOOTING``.  A kernel that
defers such frees may queue the table, but must not schedule the work yet; and once the workqueues exist
somebody must, or the table waits forever.

Interrupts are on all the while, which they are not on the real boot CPU before ``workqueue_init_early()``.
"""

from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.arch.x86.mm.pgtable import pmd_free_pte_page
from kmm.include.linux.pgtable import pmd_off_k
from kmm.include.linux.rcupdate import rcu_init
from kmm.include.linux.workqueue import workqueue_init_early
from kmm.init.main import kernel_init, rest_init
from kmm.mm.page_alloc import setup_per_cpu_pageset
from kmm.mm.vmalloc import vmap_page_range

VERDICT = "never"
BOOT = "early"
MMIO = 4 << 30


def start() -> int:
    return VMALLOC_START() + 16 * PMD_SIZE


def cpu0() -> None:
    assert vmap_page_range(start(), start() + 4096, MMIO, PAGE_KERNEL) == 0
    assert pmd_free_pte_page(pmd_off_k(start()), start())
    workqueue_init_early()
    rcu_init()
    setup_per_cpu_pageset()
    rest_init()
    kernel_init()
