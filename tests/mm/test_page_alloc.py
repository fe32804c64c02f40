# SPDX-License-Identifier: GPL-2.0-only
"""mm/page_alloc.c: which frame comes next, and what a free page must look like."""

from __future__ import annotations

import pytest

from kmm import hooks
from kmm.include.linux.gfp import (
    __GFP_COMP,
    __GFP_ZERO,
    GFP_ATOMIC,
    GFP_KERNEL,
    __free_page,
    __free_pages,
    __get_free_page,
    __get_free_pages,
    alloc_page,
    alloc_pages,
    alloc_pages_exact,
    free_page,
    free_pages,
    free_pages_exact,
)
from kmm.include.linux.mm import get_page, page_ref_count, page_to_pfn, pfn_to_page, put_page
from kmm.include.linux.page_flags import PageHead, PageTail, __SetPageTable, compound_head
from kmm.include.linux.preempt import preempt_disable
from kmm.mm.page_alloc import (
    MAX_PAGE_ORDER,
    PCP_BATCH,
    nr_free_pages,
    setup_per_cpu_pageset,
    the_zone,
)


def pfn_of(page):
    assert page is not None
    return page_to_pfn(page)


@pytest.fixture
def total(world):
    """Free pages of a fresh world."""
    __free_page(alloc_page(GFP_KERNEL))
    return nr_free_pages()


def test_memory_starts_with_all_but_frame_0(total, world):
    assert total == world.frames - 1


def test_first_pages_come_from_the_lowest_addresses(world):
    assert [pfn_of(alloc_page(GFP_KERNEL)) for _ in range(4)] == [1, 2, 3, 4]


def test_a_freed_page_is_the_next_one_handed_out(world):
    setup_per_cpu_pageset()
    a, b = alloc_page(GFP_KERNEL), alloc_page(GFP_KERNEL)
    __free_page(a)
    __free_page(b)
    assert alloc_page(GFP_KERNEL) is b
    assert alloc_page(GFP_KERNEL) is a


def test_each_cpu_has_a_list_of_its_own(world):
    setup_per_cpu_pageset()
    page = alloc_page(GFP_KERNEL)
    world.on_cpu(1, lambda: __free_page(page))
    assert alloc_page(GFP_KERNEL) is not page
    assert world.on_cpu(1, lambda: alloc_page(GFP_KERNEL)) is page


def test_allocations_of_two_cpus_touch_different_lists(world):
    setup_per_cpu_pageset()
    world.events.clear()
    alloc_page(GFP_KERNEL)
    world.on_cpu(1, lambda: alloc_page(GFP_KERNEL))
    (mine, _), (theirs, _) = [c for c in world.calls("write") if c[1] in ("lists", "free_area")]
    assert mine is not theirs


def test_a_full_list_gives_back_to_the_buddies(total):
    setup_per_cpu_pageset()
    pages = [alloc_page(GFP_KERNEL) for _ in range(6 * PCP_BATCH)]
    for page in pages:
        __free_page(page)
    assert nr_free_pages() == total


def test_buddies_merge(total):
    blocks = {order: len(area.free_list) for order, area in enumerate(the_zone.free_area)}
    pages = [alloc_pages(GFP_KERNEL, order) for order in (0, 3, 5, 0, MAX_PAGE_ORDER)]
    for order, page in zip((0, 3, 5, 0, MAX_PAGE_ORDER), pages, strict=True):
        __free_pages(page, order)
    assert {order: len(area.free_list) for order, area in enumerate(the_zone.free_area)} == blocks
    assert nr_free_pages() == total


def test_blocks_are_aligned(world):
    for order in (1, 4, 9):
        assert pfn_of(alloc_pages(GFP_KERNEL, order)) % (1 << order) == 0


def test_gfp_zero_fills_and_nothing_else_does(world):
    addr = __get_free_page(GFP_KERNEL)
    hooks.store(addr, 8, 0x1234)
    free_page(addr)
    assert hooks.load(addr, 1) == 0xAA  # poisoned
    again = alloc_page(GFP_KERNEL | __GFP_ZERO)
    assert pfn_of(again) << 12 == addr - world.page_offset()
    assert hooks.load(addr, 8) == 0


def test_memory_runs_out(world):
    world.frames = 8
    assert sum(alloc_page(GFP_ATOMIC) is not None for _ in range(10)) == 7
    assert __get_free_pages(GFP_ATOMIC, 0) == 0


def test_failure_is_injected_by_label(world):
    world.fail("alloc_pages")
    assert alloc_page(GFP_KERNEL) is None
    assert alloc_page(GFP_KERNEL) is not None


def test_a_sleeping_allocation_in_atomic_context(world):
    preempt_disable()
    alloc_page(GFP_KERNEL)
    world.expect("sleep-in-atomic")


def test_references_keep_a_page(world):
    page = alloc_page(GFP_KERNEL)
    get_page(page)
    __free_page(page)
    assert page_ref_count(page) == 1 and not world.calls("frames_freed")
    put_page(page)
    assert world.calls("frames_freed") == [(pfn_of(page), 0)]


def test_compound_pages(world):
    page = alloc_pages(GFP_KERNEL | __GFP_COMP, 2)
    tail = pfn_to_page(pfn_of(page) + 3)
    assert PageHead(page) and PageTail(tail) and compound_head(tail) is page
    put_page(page)
    assert world.calls("frames_freed") == [(pfn_of(page), 2)]
    assert not PageHead(page) and not PageTail(tail)


def test_a_speculative_reference_keeps_only_the_first_page(total, world):
    page = alloc_pages(GFP_KERNEL, 2)
    get_page(page)
    __free_pages(page, 2)
    pfn = pfn_of(page)
    assert world.allocated == {pfn: pfn}
    assert [call[0] for call in world.calls("frames_freed")][-2:] == [pfn + 2, pfn + 1]


def test_double_free(world):
    page = alloc_page(GFP_KERNEL)
    __free_page(page)
    __free_page(page)
    assert world.expect("double-free")["pfn"] == pfn_of(page)
    assert alloc_page(GFP_KERNEL) is page
    assert alloc_page(GFP_KERNEL) is not page


def test_free_with_another_order(world):
    page = alloc_page(GFP_KERNEL)
    __free_pages(page, 1)
    assert world.expect("bad-page")["reason"] == "allocated with order 0"


def test_a_table_freed_without_its_destructor_is_bad(world):
    page = alloc_page(GFP_KERNEL)
    __SetPageTable(page)
    __free_page(page)
    assert world.expect("bad-page")["reason"].startswith("page type still set")


def test_a_page_with_references_is_no_free_page(world):
    page = alloc_page(GFP_KERNEL)
    __free_page(page)
    page._refcount.counter = 1
    assert alloc_page(GFP_KERNEL) is not page
    assert world.expect("bad-page")["reason"] == "nonzero _refcount"


def test_alloc_pages_exact_gives_the_rest_back(total):
    addr = alloc_pages_exact(5 * 4096, GFP_KERNEL)
    assert nr_free_pages() == total - 5
    free_pages_exact(addr, 5 * 4096)
    assert nr_free_pages() == total


def test_free_pages_of_nothing(world):
    free_pages(0, 0)
