# SPDX-License-Identifier: GPL-2.0-only
"""A scenario for every rule: ``{...|...}`` marks what the bad twin does, and what the good one does instead."""

from __future__ import annotations

import re

MAPPED = """
    from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
    from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
    from kmm.include.linux.pgtable import pmd_off_k
    from kmm.mm.vmalloc import vmap_page_range, vunmap_range

    def start():
        return VMALLOC_START() + 16 * PMD_SIZE

    def setup():
        assert vmap_page_range(start(), start() + 4096, 4 << 30, PAGE_KERNEL) == 0
        vunmap_range(start(), start() + 4096)
"""

PROMOTION = MAPPED + """
    def cpu0():
        assert vmap_page_range(start(), start() + PMD_SIZE, 4 << 30, PAGE_KERNEL) == 0
"""


#: By rule: the scenario, and the kernel file that both twins patch, if any.
CASES = {
    "table-freed-while-cached": (PROMOTION, {
        "arch/x86/mm/pgtable.c": """
            def pmd_free_pte_page(pmd, addr):
                pt = page_ptdesc(pmd_page(pmd[0]))
                pmd_clear(pmd)
                {pass|flush_tlb_kernel_range(addr, addr + PAGE_SIZE - 1)}
                pagetable_dtor_free(pt)
                return 1
        """}),
    "table-freed-while-linked": (MAPPED + """
    from kmm.arch.x86.include.asm.pgtable import pmd_clear, pmd_page
    from kmm.arch.x86.mm.tlb import flush_tlb_kernel_range
    from kmm.include.linux.mm import page_ptdesc, pagetable_dtor_free

    def cpu0():
        pmd = pmd_off_k(start())
        table = page_ptdesc(pmd_page(pmd[0]))
        {pass|pmd_clear(pmd)}
        flush_tlb_kernel_range(start(), start() + 4095)
        pagetable_dtor_free(table)
    """, None),
    "freed-table-walked": (MAPPED + """
    from kmm.arch.x86.include.asm.page import __pa
    from kmm.arch.x86.include.asm.pgtable_types import _KERNPG_TABLE
    from kmm.include.linux.gfp import free_page
    from kmm.include.linux.gfp_types import GFP_KERNEL
    from kmm.mm.page_alloc import get_zeroed_page

    def cpu0():
        page = get_zeroed_page(GFP_KERNEL)
        {free_page(page)|pass}
        pmd_off_k(start() + PMD_SIZE)[0] = __pa(page) | _KERNPG_TABLE
    """, None),
    "freed-table-written": (MAPPED + """
    from kmm.arch.x86.include.asm.pgtable import pmd_clear, pmd_page
    from kmm.arch.x86.mm.tlb import flush_tlb_kernel_range
    from kmm.include.linux.gfp_types import GFP_KERNEL
    from kmm.include.linux.mm import page_ptdesc, pagetable_dtor_free
    from kmm.mm.page_alloc import get_zeroed_page

    def cpu0():
        pmd = pmd_off_k(start())
        table = page_ptdesc(pmd_page(pmd[0]))
        pmd_clear(pmd)
        {pass|flush_tlb_kernel_range(start(), start() + 4095)}
        pagetable_dtor_free(table)
        page = get_zeroed_page(GFP_KERNEL)
        hooks.store(page + 8, 8, 4 << 30 | 3)       # looks like an entry: present, writable
        hooks.access(start() + 4096, write=True, user=False)
    """, None),
    "use-after-free": ("""
    from kmm.include.linux.gfp import free_page
    from kmm.include.linux.gfp_types import GFP_KERNEL
    from kmm.mm.page_alloc import get_zeroed_page

    def cpu0():
        page = get_zeroed_page(GFP_KERNEL)
        {free_page(page)|pass}
        hooks.load(page, 8)
    """, None),
    "double-free": ("""
    from kmm.include.linux.gfp import free_page
    from kmm.include.linux.gfp_types import GFP_KERNEL
    from kmm.mm.page_alloc import get_zeroed_page

    def cpu0():
        page = get_zeroed_page(GFP_KERNEL)
        free_page(page)
        {free_page(page)|pass}
    """, None),
    "bad-page": ("""
    from kmm.arch.x86.include.asm.page import virt_to_page
    from kmm.include.linux.gfp import free_page
    from kmm.include.linux.gfp_types import GFP_KERNEL
    from kmm.mm.page_alloc import get_zeroed_page

    def cpu0():
        page = get_zeroed_page(GFP_KERNEL)
        virt_to_page(page)._mapcount.counter = {0|-1}
        free_page(page)
    """, None),
    "page-table-accounting": ("""
    from kmm.arch.x86.include.asm.page import virt_to_page
    from kmm.include.asm_generic.pgalloc import pte_alloc_one_kernel
    from kmm.include.linux.mm import page_ptdesc, pagetable_dtor, pagetable_free
    from kmm.mm.init_mm import init_mm

    def cpu0():
        table = page_ptdesc(virt_to_page(pte_alloc_one_kernel(init_mm)))
        pagetable_dtor(table)
        {pagetable_dtor(table)|pass}
        pagetable_free(table)
    """, None),
    "union-clobber": ("""
    from kmm.arch.x86.include.asm.page import virt_to_page
    from kmm.include.asm_generic.pgalloc import pte_alloc_one_kernel
    from kmm.include.linux.list import LIST_HEAD, list_add, list_del
    from kmm.include.linux.mm import page_ptdesc
    from kmm.kernel.rcu.tree import call_rcu
    from kmm.mm.init_mm import init_mm

    def cpu0():
        table = page_ptdesc(virt_to_page(pte_alloc_one_kernel(init_mm)))
        list_add(table.pt_list, LIST_HEAD())
        {call_rcu(table.pt_rcu_head, lambda head: None)|pass}
        list_del(table.pt_list)
    """, None),
    "list-corruption": ("""
    from kmm.include.linux.list import LIST_HEAD, list_add, list_del
    from kmm.include.linux.types import list_head

    def cpu0():
        node = list_head()
        list_add(node, LIST_HEAD())
        list_del(node)
        {list_del(node)|pass}
    """, None),
    "sleep-in-atomic": ("""
    from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock, mutex_unlock
    from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spin_lock, spin_unlock

    outer, inner = DEFINE_SPINLOCK(), DEFINE_MUTEX()

    def cpu0():
        {spin_lock(outer)|pass}
        mutex_lock(inner)
        mutex_unlock(inner)
        {spin_unlock(outer)|pass}
    """, None),
    "lock-not-held": ("""
    from kmm.include.linux.lockdep import lockdep_assert_held
    from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spin_lock

    lock = DEFINE_SPINLOCK()

    def cpu0():
        {pass|spin_lock(lock)}
        lockdep_assert_held(lock)
    """, None),
    "deadlock": ("""
    from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spin_lock, spin_unlock

    one, other = DEFINE_SPINLOCK(), DEFINE_SPINLOCK()

    def both(first, second):
        spin_lock(first)
        spin_lock(second)
        spin_unlock(second)
        spin_unlock(first)

    def cpu0():
        both(one, other)

    def cpu1():
        both({other, one|one, other})
    """, None),
    "work-before-workqueue": ("""
    from kmm.include.linux.workqueue import INIT_WORK, schedule_work, work_struct
    from kmm.include.linux.workqueue import workqueue_init, workqueue_init_early

    BOOT = "early"

    def cpu0():
        {pass|workqueue_init_early(); workqueue_init()}
        work = work_struct.zeroed()
        INIT_WORK(work, lambda work: None)
        schedule_work(work)
    """, None),
    "leak-at-quiescence": (PROMOTION, {
        "arch/x86/mm/pgtable.c": """
            def pmd_free_pte_page(pmd, addr):
                pt = page_ptdesc(pmd_page(pmd[0]))
                pmd_clear(pmd)
                flush_tlb_kernel_range(addr, addr + PAGE_SIZE - 1)
                {pass|pagetable_dtor_free(pt)}
                return 1
        """}),
    "kernel-bug": ("""
    from kmm.include.linux.bug import BUG_ON

    def cpu0():
        BUG_ON({True|False})
    """, None),
    "kernel-warning": ("""
    from kmm.include.linux.bug import WARN_ON

    def cpu0():
        WARN_ON({True|False})
    """, None),
    "ipi-with-irqs-off": ("""
    from kmm.include.linux.irqflags import local_irq_disable
    from kmm.kernel.smp import do_nothing, smp_call_function

    def cpu0():
        {local_irq_disable()|pass}
        smp_call_function(do_nothing, None, 1)
    """, None),
    "object-use-after-free": ("""
    from kmm.include.linux.compiler import WRITE_ONCE_FIELD
    from kmm.include.linux.types import list_head
    from kmm.mm.slab import kfree, kzalloc_obj

    def cpu0():
        node = kzalloc_obj(list_head)
        {kfree(node)|pass}
        WRITE_ONCE_FIELD(node, "next", None)
    """, None),
    "bad-free": ("""
    from kmm.include.linux.types import list_head
    from kmm.mm.slab import kfree, kzalloc_obj

    def cpu0():
        kfree({list_head()|kzalloc_obj(list_head)})
    """, None),
    "bad-page-map": ("""
    from kmm.arch.x86.include.asm.pgtable import pfn_pte
    from kmm.arch.x86.include.asm.pgtable_types import PAGE_SHARED
    from kmm.include.linux.mm_types import vm_area_struct
    from kmm.mm.memory import vm_normal_page

    def cpu0():
        vm_normal_page(vm_area_struct.zeroed(), 0, pfn_pte({1 << 30|1000}, PAGE_SHARED))
    """, None),
    "pgtables-bytes": ("""
    from kmm.include.linux.mm import mm_inc_nr_ptes
    from kmm.include.linux.sched.mm import mm_alloc
    from kmm.kernel.fork import mmput

    def cpu0():
        mm = mm_alloc()
        {mm_inc_nr_ptes(mm)|pass}
        mmput(mm)
    """, None),
    "self-check": ("""
    def cpu0():
        assert 2 + 2 == {5|4}, "arithmetic"
    """, None),
}

#: What a bad twin breaks besides its own rule.
ALSO = {
    "freed-table-written": {"table-freed-while-cached", "freed-table-walked"},
    "ipi-with-irqs-off": {"kernel-warning"},
}

#: Kernel tables are freed at once, not by a worker.
CONFIG = {"ASYNC_KERNEL_PGTABLE_FREE": "n"}

_CHOICE = re.compile(r"\{([^{}|]*)\|([^{}|]*)\}")


def choose(source: str, which: int) -> str:
    """One of the twins: 1 is the bad one, 2 the good one."""
    return _CHOICE.sub(lambda match: match[which], source)
