# SPDX-License-Identifier: GPL-2.0-only
"""mm/vmalloc.c: kernel mappings, and addresses that are free only after a flush."""

from __future__ import annotations

import pytest
from user_space import MIB2, hardware, process

from kmm.arch.x86.include.asm.pgtable import pmd_leaf
from kmm.arch.x86.include.asm.pgtable_64_types import PUD_SIZE, VMALLOC_START
from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
from kmm.include.linux.errno import EINVAL
from kmm.include.linux.gfp import alloc_page, alloc_pages
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.include.linux.mm import page_to_pfn
from kmm.include.linux.mmap_lock import mmap_write_lock, mmap_write_unlock
from kmm.include.linux.pgtable import pmd_off_k
from kmm.include.linux.vmalloc import VM_IOREMAP, VM_MAP, vmalloc_huge
from kmm.include.vdso.page import PAGE_SIZE
from kmm.mm import vmalloc as module
from kmm.mm.init_mm import init_mm
from kmm.mm.vmalloc import (
    find_vm_area,
    get_vm_area,
    ioremap_page_range,
    vfree,
    vm_unmap_aliases,
    vmalloc_noprof,
    vmalloc_to_page,
    vmalloc_to_pfn,
    vmap,
    vmap_pages_range,
    vmap_range_noflush,
    vunmap,
    vunmap_range,
)
from kmm_ext.x86 import PageFault


def some_pages(count):
    return [alloc_page(GFP_KERNEL) for _ in range(count)]


def test_vmap_pages_range_builds_what_the_processor_walks(booted):
    """Across the end of a PTE table, so that two of them are needed."""
    pages = some_pages(4)
    start = VMALLOC_START() + MIB2 - 2 * PAGE_SIZE
    assert vmap_pages_range(start, start + 4 * PAGE_SIZE, PAGE_KERNEL, pages, 12) == 0
    cpu = hardware(booted)
    for n, page in enumerate(pages):
        assert cpu.translate(start + n * PAGE_SIZE, write=True, user=False) == page_to_pfn(page) << 12
        assert vmalloc_to_page(start + n * PAGE_SIZE) is page
    for wrong in (start - PAGE_SIZE, start + 4 * PAGE_SIZE):
        assert vmalloc_to_page(wrong) is None
        with pytest.raises(PageFault):
            cpu.translate(wrong, user=False)


def test_vmap_is_seen_in_every_address_space(booted):
    process(booted)
    (page,) = some_pages(1)
    addr = vmap([page], 1, VM_MAP, PAGE_KERNEL)
    assert hardware(booted).translate(addr, user=False) == page_to_pfn(page) << 12


def test_vmap_leaves_a_guard_page(booted):
    pages = some_pages(3)
    first = vmap(pages[:2], 2, VM_MAP, PAGE_KERNEL)
    second = vmap(pages[2:], 1, VM_MAP, PAGE_KERNEL)
    assert second == first + 3 * PAGE_SIZE
    assert find_vm_area(first + PAGE_SIZE) is find_vm_area(first)


def test_vunmap_puts_addresses_aside_until_a_purge_has_flushed_them(booted):
    pages = some_pages(1)
    addr = vmap(pages, 1, VM_MAP, PAGE_KERNEL)
    booted.events.clear()
    vunmap(addr)
    assert vmalloc_to_page(addr) is None and find_vm_area(addr) is None
    assert booted.calls("invlpg") == [], "other CPUs still have it"
    other = vmap(pages, 1, VM_MAP, PAGE_KERNEL)
    assert other != addr
    booted.events.clear()
    vm_unmap_aliases()
    assert (addr,) in booted.calls("invlpg") and len(booted.calls("send_ipi")) == booted.cpus - 1
    assert module.vmap_lazy_nr.counter == 0
    assert vmap(pages, 1, VM_MAP, PAGE_KERNEL) == addr


def test_purge_flushes_one_range_over_all_areas(booted):
    pages = some_pages(1)
    areas = [vmap(pages, 1, VM_MAP, PAGE_KERNEL) for _ in range(3)]
    vunmap(areas[0])
    vunmap(areas[2])
    booted.events.clear()
    vm_unmap_aliases()
    flushed = sorted({addr for (addr,) in booted.calls("invlpg")})
    assert (flushed[0], flushed[-1]) == (areas[0], areas[2] + PAGE_SIZE)
    assert len(flushed) == (areas[2] - areas[0]) // PAGE_SIZE + 2


def test_too_much_lazily_freed_starts_a_worker(booted, monkeypatch):
    monkeypatch.setattr(module.single, "nr_purged", 0)
    addr = vmap(some_pages(1), 1, VM_MAP, PAGE_KERNEL)
    module.vmap_lazy_nr.counter = module.lazy_max_pages()
    vunmap(addr)
    booted.run_pending()
    assert module.single.nr_purged == 1 and not module.single.lazy.areas


def test_alloc_purges_when_addresses_run_out(booted):
    pages = some_pages(1)
    module.free_vmap_areas.starts = [VMALLOC_START()]
    module.free_vmap_areas.ends = [VMALLOC_START() + 2 * PAGE_SIZE]
    addr = vmap(pages, 1, VM_MAP, PAGE_KERNEL)
    assert vmap(pages, 1, VM_MAP, PAGE_KERNEL) is None
    vunmap(addr)
    assert vmap(pages, 1, VM_MAP, PAGE_KERNEL) == addr


def test_vmalloc_and_vfree_balance_pages_but_keep_tables(booted):
    vfree(vmalloc_noprof(PAGE_SIZE))
    before, tables = dict(booted.allocated), dict(booted.tables)
    addr = vmalloc_noprof(5 * PAGE_SIZE)
    assert len({vmalloc_to_pfn(addr + n * PAGE_SIZE) for n in range(5)}) == 5
    vfree(addr)
    assert booted.allocated == before and booted.tables == tables


def test_vmalloc_without_pages_gives_its_addresses_back(booted, monkeypatch):
    from kmm import hooks

    pages = iter([False, False, False, True])
    monkeypatch.setattr(hooks, "may_fail", lambda label, gfp: label != "kmalloc" and next(pages, False))
    assert vmalloc_noprof(8 * PAGE_SIZE) is None
    assert module.single.busy.areas == []


def test_vmalloc_huge_maps_by_large_leaves_that_split_when_freed(booted):
    addr = vmalloc_huge(MIB2, GFP_KERNEL)
    assert addr % MIB2 == 0 and pmd_leaf(pmd_off_k(addr)[0])
    assert hardware(booted).translate(addr + 0x1234, user=False) == (vmalloc_to_pfn(addr) << 12) + 0x1234
    before = len(booted.allocated)
    vfree(addr)
    assert pmd_off_k(addr)[0] == 0 and len(booted.allocated) < before


def promotable(booted):
    """An area of 2 MiB whose PTE table is empty and still there."""
    start = VMALLOC_START() + PUD_SIZE
    assert vmap_pages_range(start, start + PAGE_SIZE, PAGE_KERNEL, some_pages(1), 12) == 0
    vunmap_range(start, start + PAGE_SIZE)
    assert pmd_off_k(start)[0] and not pmd_leaf(pmd_off_k(start)[0])
    return start, page_to_pfn(alloc_pages(GFP_KERNEL, 9)) << 12


def test_huge_promotion_frees_the_table_in_the_way_after_a_flush(booted):
    start, phys = promotable(booted)
    booted.events.clear()
    assert vmap_range_noflush(start, start + MIB2, phys, PAGE_KERNEL, 21) == 0
    assert pmd_leaf(pmd_off_k(start)[0])
    assert (start,) in booted.calls("invlpg")
    tables = len(booted.tables)
    booted.run_pending()
    assert len(booted.tables) <= tables
    assert hardware(booted).translate(start + 0x5000, user=False) == phys + 0x5000


def test_huge_promotion_falls_back_to_pages_while_init_mm_is_locked(booted):
    start, phys = promotable(booted)
    mmap_write_lock(init_mm)
    assert vmap_range_noflush(start, start + MIB2, phys, PAGE_KERNEL, 21) == 0
    mmap_write_unlock(init_mm)
    assert not pmd_leaf(pmd_off_k(start)[0])
    assert hardware(booted).translate(start + 0x5000, user=False) == phys + 0x5000


def test_ioremap_page_range_wants_the_area_that_was_reserved(booted):
    area = get_vm_area(PAGE_SIZE, VM_IOREMAP)
    assert ioremap_page_range(area.addr, area.addr + PAGE_SIZE, 0x40_0000, PAGE_KERNEL) == 0
    other = get_vm_area(PAGE_SIZE, VM_MAP)
    assert ioremap_page_range(other.addr, other.addr + PAGE_SIZE, 0x40_0000, PAGE_KERNEL) == -EINVAL
    assert "VM_IOREMAP" in booted.expect("warn")["condition"]


def test_mapping_what_is_mapped_is_a_bug(booted):
    from fake_world import KernelBug

    start = VMALLOC_START()
    vmap_range_noflush(start, start + PAGE_SIZE, 0x40_0000, PAGE_KERNEL, 12)
    with pytest.raises(KernelBug):
        vmap_range_noflush(start, start + PAGE_SIZE, 0x50_0000, PAGE_KERNEL, 12)
