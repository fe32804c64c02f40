# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/vmalloc.c (Linux 7.2): mapping pages into kernel virtual memory.

The page-table half (down to ``vmalloc_to_page``) is a translation. The allocator of addresses is a
model: the same locks, the same first fit from below, the same lazy freeing (an area that was
unmapped keeps its addresses, and other CPUs their stale translations, until a purge flushes them),
but sorted lists instead of augmented trees, and a single node as C has it before ``vmalloc_init``
spreads areas over the CPUs. So there are no pools of ready areas and no purge helpers.

Left out: KASAN, KMSAN, kmemleak, memory cgroups, per-CPU blocks of small mappings
(``vm_map_ram``), percpu areas, ``/proc``, the shrinker, NUMA placement.

Reads CONFIG_HAVE_ARCH_HUGE_VMALLOC, CONFIG_HAVE_ARCH_HUGE_VMAP, CONFIG_HUGETLB_PAGE.

:deviation: ``*mask`` and ``*nr`` are cells, as they are read and written at every level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.page import page_to_phys, pfn_valid
from kmm.arch.x86.include.asm.pgtable import (
    p4d_bad,
    p4d_none,
    p4d_offset,
    p4d_page,
    p4d_present,
    pfn_pte,
    pgd_bad,
    pgd_none,
    pmd_bad,
    pmd_leaf,
    pmd_none,
    pmd_page,
    pmd_present,
    pte_none,
    pte_page,
    pte_present,
    ptep_get_and_clear,
    pud_bad,
    pud_leaf,
    pud_none,
    pud_page,
    pud_present,
)
from kmm.arch.x86.include.asm.pgtable_64_types import (
    ARCH_PAGE_TABLE_SYNC_MASK,
    P4D_SHIFT,
    P4D_SIZE,
    PMD_MASK,
    PMD_SHIFT,
    PMD_SIZE,
    PUD_MASK,
    PUD_SHIFT,
    PUD_SIZE,
    VMALLOC_END,
    VMALLOC_START,
)
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL, pgprot_nx
from kmm.arch.x86.include.asm.tlbflush import flush_tlb_kernel_range
from kmm.arch.x86.mm.init_64 import arch_sync_kernel_mappings
from kmm.c import BITS_PER_LONG, ULONG_MAX, Ptr, cell, struct
from kmm.include.asm_generic.cacheflush import flush_cache_vmap, flush_cache_vunmap
from kmm.include.generated.autoconf import CONFIG_HAVE_ARCH_HUGE_VMALLOC, CONFIG_HAVE_ARCH_HUGE_VMAP
from kmm.include.linux.atomic import (
    ATOMIC_LONG_INIT,
    atomic_long_add_return,
    atomic_long_sub,
)
from kmm.include.linux.bitops import fls
from kmm.include.linux.bug import BUG, BUG_ON, WARN, WARN_ON, WARN_ON_ONCE, WARN_ONCE
from kmm.include.linux.cpumask import num_online_cpus
from kmm.include.linux.errno import EBUSY, EINVAL, ENOMEM, ERANGE
from kmm.include.linux.gfp import __free_page, alloc_pages, gfpflags_allow_blocking
from kmm.include.linux.gfp_types import __GFP_NOFAIL, __GFP_ZERO, GFP_KERNEL
from kmm.include.linux.kernel import ALIGN, IS_ALIGNED, might_sleep, might_sleep_if
from kmm.include.linux.list import (
    INIT_LIST_HEAD,
    LIST_HEAD,
    list_add,
    list_add_tail,
    list_del_init,
    list_empty,
    list_first_entry,
    list_for_each_entry_safe,
    list_last_entry,
)
from kmm.include.linux.lockdep import lockdep_assert_held
from kmm.include.linux.mm import mk_pte, page_to_pfn, pfn_to_page
from kmm.include.linux.mmap_lock import mmap_read_trylock, mmap_read_unlock
from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock, mutex_unlock
from kmm.include.linux.pgtable import (
    PGTBL_P4D_MODIFIED,
    PGTBL_PGD_MODIFIED,
    PGTBL_PMD_MODIFIED,
    PGTBL_PTE_MODIFIED,
    PGTBL_PUD_MODIFIED,
    lazy_mmu_mode_disable,
    lazy_mmu_mode_enable,
    p4d_addr_end,
    p4d_clear_huge,
    p4d_free_pud_page,
    p4d_leaf,
    p4d_none_or_clear_bad,
    p4d_set_huge,
    pgd_addr_end,
    pgd_leaf,
    pgd_none_or_clear_bad,
    pgd_offset_k,
    pmd_addr_end,
    pmd_clear_huge,
    pmd_free_pte_page,
    pmd_none_or_clear_bad,
    pmd_offset,
    pmd_set_huge,
    pte_offset_kernel,
    ptep_get,
    pud_addr_end,
    pud_clear_huge,
    pud_free_pmd_page,
    pud_none_or_clear_bad,
    pud_offset,
    pud_set_huge,
    set_pte_at,
)
from kmm.include.linux.preempt import in_hardirq, in_interrupt, in_nmi
from kmm.include.linux.sched import cond_resched
from kmm.include.linux.slab import kfree, kmalloc_obj, kzalloc_obj
from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spin_lock, spin_lock_init, spin_unlock, spinlock_t
from kmm.include.linux.types import gfp_t, list_head
from kmm.include.linux.vmalloc import (
    IOREMAP_MAX_ORDER,
    VM_ALLOC,
    VM_ALLOW_HUGE_VMAP,
    VM_FLUSH_RESET_PERMS,
    VM_IOREMAP,
    VM_MAP_PUT_PAGES,
    VM_NO_GUARD,
    VM_UNINITIALIZED,
    arch_vmap_p4d_supported,
    arch_vmap_pmd_supported,
    arch_vmap_pte_range_map_size,
    arch_vmap_pte_range_unmap_size,
    arch_vmap_pte_supported_shift,
    arch_vmap_pud_supported,
    get_vm_area_size,
    vm_struct,
    vmap_area,
)
from kmm.include.linux.workqueue import __WORK_INITIALIZER, schedule_work, work_struct
from kmm.include.vdso.page import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE
from kmm.mm.init_mm import init_mm
from kmm.mm.page_alloc import split_page
from kmm.mm.pgalloc_track import (
    p4d_alloc_track,
    pmd_alloc_track,
    pte_alloc_kernel_track,
    pud_alloc_track,
)

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import p4d_ptr, pgd_ptr, pgprot_t, pmd_ptr, pud_ptr
    from kmm.include.linux.mm_types import page
    from kmm.include.linux.mm_types import page as page_t

if CONFIG_HAVE_ARCH_HUGE_VMAP:
    ioremap_max_page_shift = BITS_PER_LONG - 1
else:
    ioremap_max_page_shift = PAGE_SHIFT

vmap_allow_huge = CONFIG_HAVE_ARCH_HUGE_VMALLOC


def PAGE_ALIGNED(addr: int) -> bool:
    """Whether *addr* is the start of a page."""
    return IS_ALIGNED(addr, PAGE_SIZE)


def is_vmalloc_addr(x: int) -> bool:
    """Whether *x* lies in the vmalloc area."""
    return VMALLOC_START() <= x < VMALLOC_END()


# --- page-table manipulation ------------------------------------------------------------------------

def vmap_pte_range(pmd: pmd_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                   max_page_shift: int, mask: cell[int]) -> int:
    """Map contiguous physical memory by 4 KiB leaves below one *pmd*. 0 or an errno."""
    size = PAGE_SIZE

    if WARN_ON_ONCE(not PAGE_ALIGNED(end - addr)):
        return -EINVAL

    pfn = phys_addr >> PAGE_SHIFT
    pte = pte_alloc_kernel_track(pmd, addr, mask)
    if pte is None:
        return -ENOMEM

    lazy_mmu_mode_enable()

    while True:
        if not pte_none(ptep_get(pte)):
            BUG()

        size = arch_vmap_pte_range_map_size(addr, end, pfn, max_page_shift)
        if size != PAGE_SIZE:
            raise hooks.Unported("mm/vmalloc.c", "vmap_pte_range (huge pte)")
        set_pte_at(init_mm, addr, pte, pfn_pte(pfn, prot))
        pfn += 1
        pte += size >> PAGE_SHIFT
        addr += size
        if addr == end:
            break

    lazy_mmu_mode_disable()
    mask[0] |= PGTBL_PTE_MODIFIED
    return 0


def vmap_try_huge_pmd(pmd: pmd_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                      max_page_shift: int) -> int:
    """Map 2 MiB by one leaf if everything fits; nonzero if it did.

    A PTE table that is in the way is empty, and is freed under the read lock of ``init_mm``: who
    walks kernel tables that are not its own (ptdump) holds it for writing.
    """
    if max_page_shift < PMD_SHIFT:
        return 0

    if not arch_vmap_pmd_supported(prot):
        return 0

    if (end - addr) != PMD_SIZE:
        return 0

    if not IS_ALIGNED(addr, PMD_SIZE):
        return 0

    if not IS_ALIGNED(phys_addr, PMD_SIZE):
        return 0

    if not pmd_present(pmd[0]):
        return pmd_set_huge(pmd, phys_addr, prot)

    if not mmap_read_trylock(init_mm):
        return 0
    done = 0
    if pmd_free_pte_page(pmd, addr):
        done = pmd_set_huge(pmd, phys_addr, prot)
    mmap_read_unlock(init_mm)
    return done


def vmap_pmd_range(pud: pud_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                   max_page_shift: int, mask: cell[int]) -> int:
    """Map contiguous physical memory below one *pud*. 0 or an errno."""
    err = 0

    pmd = pmd_alloc_track(init_mm, pud, addr, mask)
    if pmd is None:
        return -ENOMEM
    while True:
        next = pmd_addr_end(addr, end)

        if vmap_try_huge_pmd(pmd, addr, next, phys_addr, prot, max_page_shift):
            mask[0] |= PGTBL_PMD_MODIFIED
        else:
            err = vmap_pte_range(pmd, addr, next, phys_addr, prot, max_page_shift, mask)
            if err:
                break
        pmd += 1
        phys_addr += next - addr
        addr = next
        if addr == end:
            break
    return err


def vmap_try_huge_pud(pud: pud_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                      max_page_shift: int) -> int:
    """Map 1 GiB by one leaf if everything fits; nonzero if it did."""
    if max_page_shift < PUD_SHIFT:
        return 0

    if not arch_vmap_pud_supported(prot):
        return 0

    if (end - addr) != PUD_SIZE:
        return 0

    if not IS_ALIGNED(addr, PUD_SIZE):
        return 0

    if not IS_ALIGNED(phys_addr, PUD_SIZE):
        return 0

    if not pud_present(pud[0]):
        return pud_set_huge(pud, phys_addr, prot)

    # See vmap_try_huge_pmd().
    if not mmap_read_trylock(init_mm):
        return 0
    done = 0
    if pud_free_pmd_page(pud, addr):
        done = pud_set_huge(pud, phys_addr, prot)
    mmap_read_unlock(init_mm)
    return done


def vmap_pud_range(p4d: p4d_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                   max_page_shift: int, mask: cell[int]) -> int:
    """Map contiguous physical memory below one *p4d*. 0 or an errno."""
    err = 0

    pud = pud_alloc_track(init_mm, p4d, addr, mask)
    if pud is None:
        return -ENOMEM
    while True:
        next = pud_addr_end(addr, end)

        if vmap_try_huge_pud(pud, addr, next, phys_addr, prot, max_page_shift):
            mask[0] |= PGTBL_PUD_MODIFIED
        else:
            err = vmap_pmd_range(pud, addr, next, phys_addr, prot, max_page_shift, mask)
            if err:
                break
        pud += 1
        phys_addr += next - addr
        addr = next
        if addr == end:
            break
    return err


def vmap_try_huge_p4d(p4d: p4d_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                      max_page_shift: int) -> int:
    """Map 512 GiB by one leaf if everything fits; nonzero if it did (never, on x86)."""
    if max_page_shift < P4D_SHIFT:
        return 0

    if not arch_vmap_p4d_supported(prot):
        return 0

    if (end - addr) != P4D_SIZE:
        return 0

    if not IS_ALIGNED(addr, P4D_SIZE):
        return 0

    if not IS_ALIGNED(phys_addr, P4D_SIZE):
        return 0

    if not p4d_present(p4d[0]):
        return p4d_set_huge(p4d, phys_addr, prot)

    # See vmap_try_huge_pmd().
    if not mmap_read_trylock(init_mm):
        return 0
    done = 0
    if p4d_free_pud_page(p4d, addr):
        done = p4d_set_huge(p4d, phys_addr, prot)
    mmap_read_unlock(init_mm)
    return done


def vmap_p4d_range(pgd: pgd_ptr, addr: int, end: int, phys_addr: int, prot: pgprot_t,
                   max_page_shift: int, mask: cell[int]) -> int:
    """Map contiguous physical memory below one *pgd*. 0 or an errno."""
    err = 0

    p4d = p4d_alloc_track(init_mm, pgd, addr, mask)
    if p4d is None:
        return -ENOMEM
    while True:
        next = p4d_addr_end(addr, end)

        if vmap_try_huge_p4d(p4d, addr, next, phys_addr, prot, max_page_shift):
            mask[0] |= PGTBL_P4D_MODIFIED
        else:
            err = vmap_pud_range(p4d, addr, next, phys_addr, prot, max_page_shift, mask)
            if err:
                break
        p4d += 1
        phys_addr += next - addr
        addr = next
        if addr == end:
            break
    return err


def vmap_range_noflush(addr: int, end: int, phys_addr: int, prot: pgprot_t, max_page_shift: int) -> int:
    """Map contiguous physical memory at ``[addr, end)`` with leaves as large as fit.

    :return: 0 or an errno; what was mapped before it stays mapped.
    :context: may sleep, may flush other CPUs.
    """
    mask = cell(0)

    might_sleep()
    BUG_ON(addr >= end)

    start = addr
    pgd = pgd_offset_k(addr)
    while True:
        next = pgd_addr_end(addr, end)
        err = vmap_p4d_range(pgd, addr, next, phys_addr, prot, max_page_shift, mask)
        if err:
            break
        pgd += 1
        phys_addr += next - addr
        addr = next
        if addr == end:
            break

    if mask[0] & ARCH_PAGE_TABLE_SYNC_MASK():
        arch_sync_kernel_mappings(start, end)

    return err


def vmap_page_range(addr: int, end: int, phys_addr: int, prot: pgprot_t) -> int:
    """Map contiguous physical memory, not executable. 0 or an errno."""
    err = vmap_range_noflush(addr, end, phys_addr, pgprot_nx(prot), ioremap_max_page_shift)
    flush_cache_vmap(addr, end)
    return err


def ioremap_page_range(addr: int, end: int, phys_addr: int, prot: pgprot_t) -> int:
    """Map device memory into an area that was reserved for it. 0 or an errno."""
    area = find_vm_area(addr)
    if area is None or not (area.flags & VM_IOREMAP):
        WARN_ONCE(1, "vm_area is not marked as VM_IOREMAP")
        return -EINVAL
    if addr != area.addr or end != area.addr + get_vm_area_size(area):
        WARN_ONCE(1, "ioremap request does not match vm_area")
        return -ERANGE
    return vmap_page_range(addr, end, phys_addr, prot)


def vunmap_pte_range(pmd: pmd_ptr, addr: int, end: int, mask: cell[int]) -> None:
    """Clear the entries of one PTE table; the table stays."""
    size = PAGE_SIZE

    pte = pte_offset_kernel(pmd, addr)
    lazy_mmu_mode_enable()

    while True:
        size = arch_vmap_pte_range_unmap_size(addr, pte)
        if size != PAGE_SIZE:
            raise hooks.Unported("mm/vmalloc.c", "vunmap_pte_range (huge pte)")
        ptent = ptep_get_and_clear(init_mm, addr, pte)
        WARN_ON(not pte_none(ptent) and not pte_present(ptent))
        pte += size >> PAGE_SHIFT
        addr += size
        if addr == end:
            break

    lazy_mmu_mode_disable()
    mask[0] |= PGTBL_PTE_MODIFIED


def vunmap_pmd_range(pud: pud_ptr, addr: int, end: int, mask: cell[int]) -> None:
    """Clear the entries below one PMD table; the tables stay."""
    pmd = pmd_offset(pud, addr)
    while True:
        next = pmd_addr_end(addr, end)

        cleared = pmd_clear_huge(pmd)
        if cleared or pmd_bad(pmd[0]):
            mask[0] |= PGTBL_PMD_MODIFIED

        if cleared:
            WARN_ON(next - addr < PMD_SIZE)
        elif not pmd_none_or_clear_bad(pmd):
            vunmap_pte_range(pmd, addr, next, mask)

            cond_resched()
        pmd += 1
        addr = next
        if addr == end:
            break


def vunmap_pud_range(p4d: p4d_ptr, addr: int, end: int, mask: cell[int]) -> None:
    """Clear the entries below one PUD table; the tables stay."""
    pud = pud_offset(p4d, addr)
    while True:
        next = pud_addr_end(addr, end)

        cleared = pud_clear_huge(pud)
        if cleared or pud_bad(pud[0]):
            mask[0] |= PGTBL_PUD_MODIFIED

        if cleared:
            WARN_ON(next - addr < PUD_SIZE)
        elif not pud_none_or_clear_bad(pud):
            vunmap_pmd_range(pud, addr, next, mask)
        pud += 1
        addr = next
        if addr == end:
            break


def vunmap_p4d_range(pgd: pgd_ptr, addr: int, end: int, mask: cell[int]) -> None:
    """Clear the entries below one P4D table; the tables stay."""
    p4d = p4d_offset(pgd, addr)
    while True:
        next = p4d_addr_end(addr, end)

        p4d_clear_huge(p4d)
        if p4d_bad(p4d[0]):
            mask[0] |= PGTBL_P4D_MODIFIED

        if not p4d_none_or_clear_bad(p4d):
            vunmap_pud_range(p4d, addr, next, mask)
        p4d += 1
        addr = next
        if addr == end:
            break


def __vunmap_range_noflush(start: int, end: int) -> None:
    """Clear kernel mappings; the caller flushes before the addresses are used again."""
    addr = start
    mask = cell(0)

    BUG_ON(addr >= end)
    pgd = pgd_offset_k(addr)
    while True:
        next = pgd_addr_end(addr, end)
        if pgd_bad(pgd[0]):
            mask[0] |= PGTBL_PGD_MODIFIED
        if not pgd_none_or_clear_bad(pgd):
            vunmap_p4d_range(pgd, addr, next, mask)
        pgd += 1
        addr = next
        if addr == end:
            break

    if mask[0] & ARCH_PAGE_TABLE_SYNC_MASK():
        arch_sync_kernel_mappings(start, end)


def vunmap_range_noflush(start: int, end: int) -> None:
    """Clear kernel mappings; the caller flushes before the addresses are used again."""
    __vunmap_range_noflush(start, end)


def vunmap_range(addr: int, end: int) -> None:
    """Clear kernel mappings and flush them everywhere. The tables stay."""
    flush_cache_vunmap(addr, end)
    vunmap_range_noflush(addr, end)
    flush_tlb_kernel_range(addr, end)


def vmap_pages_pte_range(pmd: pmd_ptr, addr: int, end: int, prot: pgprot_t, pages: list[page],
                         nr: cell[int], mask: cell[int]) -> int:
    """Map pages by 4 KiB leaves below one *pmd*.

    :param nr: index of the next page, moved on.
    :return: 0 or an errno.
    """
    err = 0

    pte = pte_alloc_kernel_track(pmd, addr, mask)
    if pte is None:
        return -ENOMEM

    lazy_mmu_mode_enable()

    while True:
        page = pages[nr[0]]

        if WARN_ON(not pte_none(ptep_get(pte))):
            err = -EBUSY
            break
        if WARN_ON(page is None):
            err = -ENOMEM
            break
        if WARN_ON(not pfn_valid(page_to_pfn(page))):
            err = -EINVAL
            break

        set_pte_at(init_mm, addr, pte, mk_pte(page, prot))
        nr[0] += 1
        pte += 1
        addr += PAGE_SIZE
        if addr == end:
            break

    lazy_mmu_mode_disable()
    mask[0] |= PGTBL_PTE_MODIFIED

    return err


def vmap_pages_pmd_range(pud: pud_ptr, addr: int, end: int, prot: pgprot_t, pages: list[page],
                         nr: cell[int], mask: cell[int]) -> int:
    """Map pages below one *pud*. 0 or ``-ENOMEM``, whatever went wrong."""
    pmd = pmd_alloc_track(init_mm, pud, addr, mask)
    if pmd is None:
        return -ENOMEM
    while True:
        next = pmd_addr_end(addr, end)
        if vmap_pages_pte_range(pmd, addr, next, prot, pages, nr, mask):
            return -ENOMEM
        pmd += 1
        addr = next
        if addr == end:
            break
    return 0


def vmap_pages_pud_range(p4d: p4d_ptr, addr: int, end: int, prot: pgprot_t, pages: list[page],
                         nr: cell[int], mask: cell[int]) -> int:
    """Map pages below one *p4d*. 0 or ``-ENOMEM``, whatever went wrong."""
    pud = pud_alloc_track(init_mm, p4d, addr, mask)
    if pud is None:
        return -ENOMEM
    while True:
        next = pud_addr_end(addr, end)
        if vmap_pages_pmd_range(pud, addr, next, prot, pages, nr, mask):
            return -ENOMEM
        pud += 1
        addr = next
        if addr == end:
            break
    return 0


def vmap_pages_p4d_range(pgd: pgd_ptr, addr: int, end: int, prot: pgprot_t, pages: list[page],
                         nr: cell[int], mask: cell[int]) -> int:
    """Map pages below one *pgd*. 0 or ``-ENOMEM``, whatever went wrong."""
    p4d = p4d_alloc_track(init_mm, pgd, addr, mask)
    if p4d is None:
        return -ENOMEM
    while True:
        next = p4d_addr_end(addr, end)
        if vmap_pages_pud_range(p4d, addr, next, prot, pages, nr, mask):
            return -ENOMEM
        p4d += 1
        addr = next
        if addr == end:
            break
    return 0


def vmap_small_pages_range_noflush(addr: int, end: int, prot: pgprot_t, pages: list[page]) -> int:
    """Map single pages at ``[addr, end)``. 0 or an errno; what was mapped before it stays mapped."""
    start = addr
    err = 0
    nr = cell(0)
    mask = cell(0)

    BUG_ON(addr >= end)
    pgd = pgd_offset_k(addr)
    while True:
        next = pgd_addr_end(addr, end)
        if pgd_bad(pgd[0]):
            mask[0] |= PGTBL_PGD_MODIFIED
        err = vmap_pages_p4d_range(pgd, addr, next, prot, pages, nr, mask)
        if err:
            break
        pgd += 1
        addr = next
        if addr == end:
            break

    if mask[0] & ARCH_PAGE_TABLE_SYNC_MASK():
        arch_sync_kernel_mappings(start, end)

    return err


def __vmap_pages_range_noflush(addr: int, end: int, prot: pgprot_t, pages: list[page],
                               page_shift: int) -> int:
    """Map pages at ``[addr, end)``, in units of ``1 << page_shift`` bytes. 0 or an errno."""
    nr = (end - addr) >> PAGE_SHIFT

    WARN_ON(page_shift < PAGE_SHIFT)

    if not CONFIG_HAVE_ARCH_HUGE_VMALLOC or page_shift == PAGE_SHIFT:
        return vmap_small_pages_range_noflush(addr, end, prot, pages)

    for i in range(0, nr, 1 << (page_shift - PAGE_SHIFT)):
        err = vmap_range_noflush(addr, addr + (1 << page_shift), page_to_phys(pages[i]), prot,
                                 page_shift)
        if err:
            return err

        addr += 1 << page_shift

    return 0


def vmap_pages_range_noflush(addr: int, end: int, prot: pgprot_t, pages: list[page], page_shift: int,
                             gfp_mask: gfp_t) -> int:
    """Map pages at ``[addr, end)``. 0 or an errno."""
    return __vmap_pages_range_noflush(addr, end, prot, pages, page_shift)


def __vmap_pages_range(addr: int, end: int, prot: pgprot_t, pages: list[page], page_shift: int,
                       gfp_mask: gfp_t) -> int:
    """Map pages at ``[addr, end)``. 0 or an errno."""
    err = vmap_pages_range_noflush(addr, end, prot, pages, page_shift, gfp_mask)
    flush_cache_vmap(addr, end)
    return err


def vmap_pages_range(addr: int, end: int, prot: pgprot_t, pages: list[page], page_shift: int) -> int:
    """Map pages at ``[addr, end)``.

    :param pages: ``struct page **``, always single pages, contiguous within each unit.
    :param page_shift: log2 of the largest leaf to use.
    :return: 0 or an errno.
    """
    return __vmap_pages_range(addr, end, prot, pages, page_shift, GFP_KERNEL)


def vmalloc_to_page(vmalloc_addr: int) -> page_t | None:
    """The page that a vmalloc address maps, found by walking the kernel's tables."""
    addr = vmalloc_addr
    page: page_t | None = None
    pgd = pgd_offset_k(addr)

    if pgd_none(pgd[0]):
        return None
    if WARN_ON_ONCE(pgd_leaf(pgd[0])):
        return None
    if WARN_ON_ONCE(pgd_bad(pgd[0])):
        return None

    p4d = p4d_offset(pgd, addr)
    if p4d_none(p4d[0]):
        return None
    if p4d_leaf(p4d[0]):
        return p4d_page(p4d[0])
    if WARN_ON_ONCE(p4d_bad(p4d[0])):
        return None

    pud = pud_offset(p4d, addr)
    if pud_none(pud[0]):
        return None
    if pud_leaf(pud[0]):
        return pfn_to_page(page_to_pfn(pud_page(pud[0])) + ((addr & ~PUD_MASK) >> PAGE_SHIFT))
    if WARN_ON_ONCE(pud_bad(pud[0])):
        return None

    pmd = pmd_offset(pud, addr)
    if pmd_none(pmd[0]):
        return None
    if pmd_leaf(pmd[0]):
        return pfn_to_page(page_to_pfn(pmd_page(pmd[0])) + ((addr & ~PMD_MASK) >> PAGE_SHIFT))
    if WARN_ON_ONCE(pmd_bad(pmd[0])):
        return None

    ptep = pte_offset_kernel(pmd, addr)
    pte = ptep_get(ptep)
    if pte_present(pte):
        page = pte_page(pte)

    return page


def vmalloc_to_pfn(vmalloc_addr: int) -> int:
    """The frame that a vmalloc address maps."""
    found = vmalloc_to_page(vmalloc_addr)
    assert found is not None
    return page_to_pfn(found)


# --- the allocator of addresses (model) --------------------------------------------------------------

#: Protects ``free_vmap_areas``.
free_vmap_area_lock = DEFINE_SPINLOCK()
vmap_initialized: bool = False


class free_vmap_space(struct):
    """Free addresses: ``[starts[i], ends[i])``, ascending and never adjacent."""

    starts: Ptr[list[int]]
    ends: Ptr[list[int]]


free_vmap_areas = free_vmap_space.zeroed()


class rb_list(struct):
    """Areas by address. ``areas`` is ascending."""

    areas: Ptr[list[vmap_area]]
    lock: spinlock_t


class vmap_node(struct):
    """Areas in use, and areas whose addresses wait for a flush."""

    busy: rb_list
    lazy: rb_list
    #: What the running purge has taken over.
    purge_list: list_head
    nr_purged: int


single = vmap_node.zeroed()
vmap_lazy_nr = ATOMIC_LONG_INIT(0)


def va_size(va: vmap_area) -> int:
    """Size of an area, guard page included."""
    return va.va_end - va.va_start


def __find_vmap_area(addr: int, root: rb_list) -> vmap_area | None:
    """The area that *addr* lies in. :context: the list's lock."""
    for va in root.areas:
        if va.va_start <= addr < va.va_end:
            return va
    return None


def insert_vmap_area(va: vmap_area, root: rb_list) -> None:
    """Add an area. :context: the list's lock."""
    at = 0
    while at < len(root.areas) and root.areas[at].va_start < va.va_start:
        at += 1
    root.areas.insert(at, va)


def unlink_va(va: vmap_area, root: rb_list) -> None:
    """Remove an area. :context: the list's lock."""
    root.areas.remove(va)


def merge_or_add_vmap_area(va: vmap_area, free: free_vmap_space) -> None:
    """Give an area's addresses back, joined with free neighbours. :context: ``free_vmap_area_lock``."""
    at = 0
    while at < len(free.starts) and free.starts[at] < va.va_start:
        at += 1
    free.starts.insert(at, va.va_start)
    free.ends.insert(at, va.va_end)
    if at + 1 < len(free.starts) and free.ends[at] == free.starts[at + 1]:
        free.ends[at] = free.ends[at + 1]
        del free.starts[at + 1], free.ends[at + 1]
    if at and free.ends[at - 1] == free.starts[at]:
        free.ends[at - 1] = free.ends[at]
        del free.starts[at], free.ends[at]
    kfree(va)


def __alloc_vmap_area(free: free_vmap_space, size: int, align: int, vstart: int, vend: int) -> int:
    """The lowest free address for *size* bytes in ``[vstart, vend)``, or a negative errno.

    :context: ``free_vmap_area_lock``.
    """
    for at in range(len(free.starts)):
        start, end = free.starts[at], free.ends[at]
        addr = ALIGN(max(start, vstart), align)
        if addr + size > min(end, vend):
            continue
        pieces = [(low, high) for low, high in ((start, addr), (addr + size, end)) if low < high]
        free.starts[at:at + 1] = [low for low, _ in pieces]
        free.ends[at:at + 1] = [high for _, high in pieces]
        return addr
    return -ENOMEM


def alloc_vmap_area(size: int, align: int, vstart: int, vend: int, node: int, gfp_mask: gfp_t,
                    va_flags: int, vm: vm_struct | None) -> vmap_area | int:
    """Reserve addresses, purging lazily freed ones if there are no others.

    :return: the area, or a negative errno (ERR_PTR in C).
    :context: may sleep if *gfp_mask* allows it.
    """
    if not size or size & ~PAGE_MASK or align & (align - 1):
        return -EINVAL

    if not vmap_initialized:
        return -EBUSY

    allow_block = gfpflags_allow_blocking(gfp_mask)
    might_sleep_if(allow_block)

    va = kmalloc_obj(vmap_area, gfp_mask)
    if va is None:
        return -ENOMEM
    va.embed("list", LIST_HEAD())
    purged = 0

    while True:
        spin_lock(free_vmap_area_lock)
        addr = __alloc_vmap_area(free_vmap_areas, size, align, vstart, vend)
        spin_unlock(free_vmap_area_lock)

        if allow_block:
            cond_resched()

        if addr >= 0:
            break
        if allow_block and not purged:
            reclaim_and_purge_vmap_areas()
            purged = 1
            continue
        kfree(va)
        return -EBUSY

    va.va_start = addr
    va.va_end = addr + size
    va.vm = None
    va.flags = va_flags

    if vm is not None:
        vm.addr = va.va_start
        vm.size = va_size(va)
        va.vm = vm

    vn = single

    spin_lock(vn.busy.lock)
    insert_vmap_area(va, vn.busy)
    spin_unlock(vn.busy.lock)

    BUG_ON(not IS_ALIGNED(va.va_start, align))
    BUG_ON(va.va_start < vstart)
    BUG_ON(va.va_end > vend)

    return va


def lazy_max_pages() -> int:
    """So many pages may be unmapped and not flushed before a purge starts by itself."""
    log = fls(num_online_cpus())

    return log * (32 * 1024 * 1024 // PAGE_SIZE)


#: One purge at a time.
vmap_purge_lock = DEFINE_MUTEX()


def reclaim_list_global(head: list_head) -> None:
    """Give the addresses of purged areas back."""
    if list_empty(head):
        return

    spin_lock(free_vmap_area_lock)
    for va, _n in list_for_each_entry_safe(vmap_area, head, "list"):
        merge_or_add_vmap_area(va, free_vmap_areas)
    spin_unlock(free_vmap_area_lock)


def purge_vmap_node(vn: vmap_node) -> None:
    """After the flush: the addresses of the areas taken over may be used again.

    :param vn: ``struct work_struct *`` in C, as purges of several nodes can be spread over workers.
    """
    nr_purged_pages = 0
    local_list = LIST_HEAD()

    vn.nr_purged = 0

    for va, _n_va in list_for_each_entry_safe(vmap_area, vn.purge_list, "list"):
        list_del_init(va.list)

        nr_purged_pages += va_size(va) >> PAGE_SHIFT
        vn.nr_purged += 1

        list_add(va.list, local_list)

    atomic_long_sub(nr_purged_pages, vmap_lazy_nr)

    reclaim_list_global(local_list)


def __purge_vmap_area_lazy(start: int, end: int, full_pool_decay: bool) -> bool:
    """Flush the range that spans all lazily freed areas, then give their addresses back.

    :return: whether there was any.
    :context: ``vmap_purge_lock`` held.
    """
    lockdep_assert_held(vmap_purge_lock)

    vn = single
    INIT_LIST_HEAD(vn.purge_list)

    if not vn.lazy.areas:
        return False

    spin_lock(vn.lazy.lock)
    for va in vn.lazy.areas:
        list_add_tail(va.list, vn.purge_list)
    vn.lazy.areas = []
    spin_unlock(vn.lazy.lock)

    start = min(start, list_first_entry(vn.purge_list, vmap_area, "list").va_start)

    end = max(end, list_last_entry(vn.purge_list, vmap_area, "list").va_end)

    flush_tlb_kernel_range(start, end)

    purge_vmap_node(vn)

    return vn.nr_purged > 0


def reclaim_and_purge_vmap_areas() -> None:
    """Flush and give back all lazily freed areas. :context: may sleep."""
    mutex_lock(vmap_purge_lock)
    __purge_vmap_area_lazy(ULONG_MAX, 0, True)
    mutex_unlock(vmap_purge_lock)


def drain_vmap_area_work(work: work_struct) -> None:
    """The worker that purges when too much is lazily freed."""
    mutex_lock(vmap_purge_lock)
    __purge_vmap_area_lazy(ULONG_MAX, 0, False)
    mutex_unlock(vmap_purge_lock)


drain_vmap_work = __WORK_INITIALIZER(drain_vmap_area_work)


def free_vmap_area_noflush(va: vmap_area) -> None:
    """Keep an unmapped area until the next purge. :context: takes the lazy list's lock."""
    nr_lazy_max = lazy_max_pages()

    if WARN_ON_ONCE(not list_empty(va.list)):
        return

    nr_lazy = atomic_long_add_return(va_size(va) >> PAGE_SHIFT, vmap_lazy_nr)

    vn = single

    spin_lock(vn.lazy.lock)
    insert_vmap_area(va, vn.lazy)
    spin_unlock(vn.lazy.lock)

    # From here on va may be freed at any time.
    if nr_lazy > nr_lazy_max:
        schedule_work(drain_vmap_work)


def free_unmap_vmap_area(va: vmap_area) -> None:
    """Clear an area's mappings. Other CPUs may keep stale translations until the purge."""
    flush_cache_vunmap(va.va_start, va.va_end)
    vunmap_range_noflush(va.va_start, va.va_end)

    free_vmap_area_noflush(va)


def find_vmap_area(addr: int) -> vmap_area | None:
    """The area in use that *addr* lies in."""
    if not vmap_initialized:
        return None

    vn = single
    spin_lock(vn.busy.lock)
    va = __find_vmap_area(addr, vn.busy)
    spin_unlock(vn.busy.lock)

    return va


def find_unlink_vmap_area(addr: int) -> vmap_area | None:
    """Take the area that *addr* lies in out of use."""
    vn = single
    spin_lock(vn.busy.lock)
    va = __find_vmap_area(addr, vn.busy)
    if va is not None:
        unlink_va(va, vn.busy)
    spin_unlock(vn.busy.lock)

    return va


def _vm_unmap_aliases(start: int, end: int, flush: int) -> None:
    """Make sure that no CPU has a stale translation of unmapped kernel memory.

    :param flush: flush ``[start, end)`` even if nothing waits to be purged.
    """
    if not vmap_initialized:
        return

    might_sleep()

    mutex_lock(vmap_purge_lock)
    if not __purge_vmap_area_lazy(start, end, False) and flush:
        flush_tlb_kernel_range(start, end)
    mutex_unlock(vmap_purge_lock)


def vm_unmap_aliases() -> None:
    """Make sure that no CPU has a stale translation of unmapped kernel memory. :context: may sleep."""
    _vm_unmap_aliases(ULONG_MAX, 0, 0)


def vm_area_page_order(vm: vm_struct) -> int:
    """log2 of the pages that one leaf of an area maps."""
    return vm.page_order if CONFIG_HAVE_ARCH_HUGE_VMALLOC else 0


def set_vm_area_page_order(vm: vm_struct, order: int) -> None:
    """Note with which leaves an area is mapped."""
    if CONFIG_HAVE_ARCH_HUGE_VMALLOC:
        vm.page_order = order
    else:
        BUG_ON(order != 0)


def clear_vm_uninitialized_flag(vm: vm_struct) -> None:
    """The area is complete."""
    vm.flags &= ~VM_UNINITIALIZED


def __get_vm_area_node(size: int, align: int, shift: int, flags: int, start: int, end: int, node: int,
                       gfp_mask: gfp_t, caller: str | None) -> vm_struct | None:
    """Reserve an area, with a guard page behind it; None if that fails."""
    requested_size = size

    BUG_ON(in_nmi() or in_hardirq())
    size = ALIGN(size, 1 << shift)
    if not size:
        return None

    if flags & VM_IOREMAP:
        align = 1 << min(max((size - 1).bit_length(), PAGE_SHIFT), IOREMAP_MAX_ORDER)

    area = kzalloc_obj(vm_struct, gfp_mask)
    if area is None:
        return None

    if not (flags & VM_NO_GUARD):
        size += PAGE_SIZE

    area.flags = flags
    area.caller = caller
    area.requested_size = requested_size

    va = alloc_vmap_area(size, align, start, end, node, gfp_mask, 0, area)
    if isinstance(va, int):
        kfree(area)
        return None

    return area


def get_vm_area(size: int, flags: int) -> vm_struct | None:
    """Reserve an area in the vmalloc range; None if that fails."""
    return __get_vm_area_node(size, 1, PAGE_SHIFT, flags, VMALLOC_START(), VMALLOC_END(), -1, GFP_KERNEL,
                              None)


def get_vm_area_caller(size: int, flags: int, caller: str | None) -> vm_struct | None:
    """Reserve an area in the vmalloc range; None if that fails."""
    return __get_vm_area_node(size, 1, PAGE_SHIFT, flags, VMALLOC_START(), VMALLOC_END(), -1, GFP_KERNEL,
                              caller)


def find_vm_area(addr: int) -> vm_struct | None:
    """The area in use that *addr* lies in. The caller keeps it alive."""
    va = find_vmap_area(addr)
    if va is None:
        return None

    return va.vm


def remove_vm_area(addr: int) -> vm_struct | None:
    """Unmap the area at *addr*; its addresses wait for a purge.

    :return: the area, for the caller to free.
    :context: may sleep.
    """
    might_sleep()

    if WARN(not PAGE_ALIGNED(addr), "Trying to vfree() bad address"):
        return None

    va = find_unlink_vmap_area(addr)
    if va is None or va.vm is None:
        return None
    vm = va.vm

    free_unmap_vmap_area(va)
    return vm


def vm_area_free_pages(vm: vm_struct, start_idx: int, end_idx: int) -> None:
    """Free pages of an area that is unmapped."""
    assert vm.pages is not None
    for i in range(start_idx, end_idx):
        __free_page(vm.pages[i])


def vfree(addr: int | None) -> None:
    """Free memory of vmalloc(). :context: task, may sleep."""
    if in_interrupt():
        raise hooks.Unported("mm/vmalloc.c", "vfree_atomic")

    BUG_ON(in_nmi())
    might_sleep()

    if not addr:
        return

    vm = remove_vm_area(addr)
    if vm is None:
        WARN(1, "Trying to vfree() nonexistent vm area")
        return

    if vm.flags & VM_FLUSH_RESET_PERMS:
        raise hooks.Unported("mm/vmalloc.c", "vm_reset_perms")

    vm_area_free_pages(vm, 0, vm.nr_pages)
    kfree(vm)


def vunmap(addr: int | None) -> None:
    """Undo vmap(); the pages stay. :context: task, may sleep."""
    BUG_ON(in_interrupt())
    might_sleep()

    if not addr:
        return
    vm = remove_vm_area(addr)
    if vm is None:
        WARN(1, "Trying to vunmap() nonexistent vm area")
        return
    kfree(vm)


def vmap(pages: list[page], count: int, flags: int, prot: pgprot_t) -> int | None:
    """Map pages one behind the other into kernel memory.

    :param pages: ``struct page **``
    :param flags: VM_MAP, or VM_MAP_PUT_PAGES to hand the pages over to vfree().
    :return: the address, or None.
    :context: may sleep.
    """
    might_sleep()

    if WARN_ON_ONCE(flags & VM_FLUSH_RESET_PERMS):
        return None

    # The guard page protects the neighbour too.
    if WARN_ON_ONCE(flags & VM_NO_GUARD):
        flags &= ~VM_NO_GUARD

    if count > hooks.memory_frames():
        return None

    size = count << PAGE_SHIFT
    area = get_vm_area_caller(size, flags, "vmap")
    if area is None:
        return None

    addr = area.addr
    if vmap_pages_range(addr, addr + size, pgprot_nx(prot), pages, PAGE_SHIFT) < 0:
        vunmap(area.addr)
        return None

    if flags & VM_MAP_PUT_PAGES:
        area.pages = pages
        area.nr_pages = count
    return area.addr


def vm_area_alloc_pages(gfp: gfp_t, nid: int, order: int, nr_pages: int) -> list[page]:
    """Allocate pages for an area, in blocks of ``1 << order``; fewer if memory runs out.

    :deviation: C tries larger blocks and bulk allocation first, and fills an array of the caller's.
    """
    pages: list[page] = []

    while len(pages) < nr_pages:
        page = alloc_pages(gfp, order)
        if page is None:
            break

        # Every page is freed by itself.
        if order:
            split_page(page, order)

        pages.extend(pfn_to_page(page_to_pfn(page) + i) for i in range(1 << order))

    return pages


def __vmalloc_area_node(area: vm_struct, gfp_mask: gfp_t, prot: pgprot_t, page_shift: int,
                        node: int) -> int | None:
    """Allocate pages for an area and map them; the address or None.

    :deviation: a failed area is torn down at once, in C by a worker (``defer_vm_area_cleanup``).
    """
    addr = area.addr
    size = get_vm_area_size(area)
    nr_small_pages = size >> PAGE_SHIFT

    set_vm_area_page_order(area, page_shift - PAGE_SHIFT)
    page_order = vm_area_page_order(area)

    area.pages = vm_area_alloc_pages(gfp_mask, node, page_order, nr_small_pages)
    area.nr_pages = len(area.pages)

    if area.nr_pages != nr_small_pages:
        vfree(area.addr)
        return None

    ret = __vmap_pages_range(addr, addr + size, prot, area.pages, page_shift, gfp_mask)

    if ret < 0:
        vfree(area.addr)
        return None

    return area.addr


def __vmalloc_node_range_noprof(size: int, align: int, start: int, end: int, gfp_mask: gfp_t,
                                prot: pgprot_t, vm_flags: int, node: int,
                                caller: str | None) -> int | None:
    """Allocate virtually contiguous memory.

    :param vm_flags: VM_ALLOW_HUGE_VMAP allows large leaves.
    :return: the address or None.
    :context: may sleep.
    """
    original_align = align
    shift = PAGE_SHIFT

    if gfp_mask & __GFP_NOFAIL:
        raise hooks.Unported("mm/vmalloc.c", "__vmalloc_node_range_noprof (__GFP_NOFAIL)")

    if WARN_ON_ONCE(not size):
        return None

    if (size >> PAGE_SHIFT) > hooks.memory_frames():
        return None

    if vmap_allow_huge and (vm_flags & VM_ALLOW_HUGE_VMAP):
        if arch_vmap_pmd_supported(prot) and size >= PMD_SIZE:
            shift = PMD_SHIFT
        else:
            shift = arch_vmap_pte_supported_shift(size)

        align = max(original_align, 1 << shift)

    while True:
        area = __get_vm_area_node(size, align, shift, VM_ALLOC | VM_UNINITIALIZED | vm_flags, start, end,
                                  node, gfp_mask, caller)
        if area is not None:
            ret = __vmalloc_area_node(area, gfp_mask, prot, shift, node)
            if ret is not None:
                break

        # Large leaves did not work out.
        if shift > PAGE_SHIFT:
            shift = PAGE_SHIFT
            align = original_align
            continue

        return None

    clear_vm_uninitialized_flag(area)

    return area.addr


def __vmalloc_node_noprof(size: int, align: int, gfp_mask: gfp_t, node: int,
                          caller: str | None) -> int | None:
    """Allocate virtually contiguous memory in the vmalloc range; the address or None."""
    return __vmalloc_node_range_noprof(size, align, VMALLOC_START(), VMALLOC_END(), gfp_mask, PAGE_KERNEL,
                                       0, node, caller)


def vmalloc_noprof(size: int) -> int | None:
    """Allocate virtually contiguous memory; the address or None."""
    return __vmalloc_node_noprof(size, 1, GFP_KERNEL, -1, "vmalloc")


def vmalloc_huge_node_noprof(size: int, gfp_mask: gfp_t, node: int) -> int | None:
    """Allocate virtually contiguous memory that may be mapped by large leaves; the address or None."""
    return __vmalloc_node_range_noprof(size, 1, VMALLOC_START(), VMALLOC_END(), gfp_mask, PAGE_KERNEL,
                                       VM_ALLOW_HUGE_VMAP, node, "vmalloc_huge")


def vzalloc_noprof(size: int) -> int | None:
    """Allocate virtually contiguous zeroed memory; the address or None."""
    return __vmalloc_node_noprof(size, 1, gfp_t(GFP_KERNEL | __GFP_ZERO), -1, "vzalloc")


def free_vm_area(area: vm_struct) -> None:
    """Free an area that get_vm_area() reserved, with what is mapped in it."""
    ret = remove_vm_area(area.addr)
    BUG_ON(ret is not area)
    kfree(area)


def vmap_init_free_space() -> None:
    """All addresses are free."""
    free_vmap_areas.starts = [1]
    free_vmap_areas.ends = [ULONG_MAX]


def vmap_init_nodes() -> None:
    """No area is in use."""
    vn = single
    vn.busy.areas = []
    spin_lock_init(vn.busy.lock)

    vn.lazy.areas = []
    spin_lock_init(vn.lazy.lock)
    INIT_LIST_HEAD(vn.purge_list)


def vmalloc_init() -> None:
    """Start the allocator of addresses. :context: boot."""
    global vmap_initialized

    vmap_init_nodes()

    vmap_init_free_space()
    vmap_initialized = True
