# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/mm_types.h: one storage per frame, seen as page, folio and ptdesc."""

from __future__ import annotations

import pytest


@pytest.fixture
def k(link):
    return link()


@pytest.fixture
def pt(k):
    return k.page_ptdesc(k.new_page())


def test_page_and_ptdesc_of_a_frame_are_one_object(k, pt):
    page = k.ptdesc_page(pt)
    assert k.page_ptdesc(page) is k.page_ptdesc(page) is pt
    assert k.ptdesc_folio(pt) is k.page_folio(page)
    assert k.pfn_to_page(k.page_to_pfn(page)) is page
    assert k.page_ptdesc(None) is None


def test_members_at_one_offset_are_one_member(k, pt):
    # the static_asserts behind struct ptdesc (TABLE_MATCH)
    page = k.ptdesc_page(pt)
    assert pt.pt_list is page.lru
    assert pt.pt_rcu_head is page.rcu_head
    assert pt.pt_flags is page.flags
    assert getattr(pt, "__page_refcount") is page._refcount
    page.page_type = 0xF2000000
    assert page._mapcount.counter == 0xF2000000 - (1 << 32)


def test_container_of_finds_the_descriptor_and_the_page(k, pt):
    assert k.container_of(pt.pt_rcu_head, k.ptdesc, "pt_rcu_head") is pt
    assert k.container_of(pt.pt_rcu_head, k.page, "rcu_head") is pt


def test_list_after_call_rcu_is_a_clobber(k, pt):
    head = k.LIST_HEAD()
    k.list_add(pt.pt_list, head)
    k.call_rcu(pt.pt_rcu_head, lambda head: None)
    assert head.next is pt.pt_list
    assert pt.pt_list.prev is not None
    facts = k.world.expect("union-clobber")
    assert (facts["read"], facts["last_written"], facts["pfn"]) == ("lru.prev", "rcu_head", pt._pfn)


def test_rcu_callback_of_a_table_that_was_listed_meanwhile_is_a_clobber(k, pt):
    k.call_rcu(pt.pt_rcu_head, lambda head: None)
    k.list_add(pt.pt_list, k.LIST_HEAD())
    assert callable(pt.pt_rcu_head.func)
    assert k.world.expect("union-clobber")["read"] == "rcu_head.func"


def test_reserve_of_a_pmd_table_does_not_survive_its_list(k, pt):
    pt.pmd_huge_pte = None
    assert pt.pmd_huge_pte is None
    k.INIT_LIST_HEAD(pt.pt_list)
    assert pt.pmd_huge_pte is None
    assert k.world.expect("union-clobber")["read"] == "pmd_huge_pte"


def test_the_owner_of_a_pgd_and_the_share_count_are_one_word(k, pt):
    mm = k.new_mm()
    pt.pt_mm = mm
    assert pt.pt_mm is mm
    k.ptdesc_pmd_pts_init(pt)
    assert pt.pt_mm is mm
    assert k.world.expect("union-clobber")["read"] == "pt_mm"


def test_writing_first_makes_reading_right(k, pt):
    k.INIT_LIST_HEAD(pt.pt_list)
    pt.pmd_huge_pte = None
    assert pt.pmd_huge_pte is None
    assert k.world.violations == []


def test_looking_for_a_tail_page_is_always_allowed(k, pt):
    k.INIT_LIST_HEAD(pt.pt_list)
    assert not k.PageTail(k.ptdesc_page(pt))
    assert k.world.violations == []


def test_storage_survives_in_the_words_that_were_not_written(k, pt):
    # compound_info is word 1 only
    pt.pmd_huge_pte = other = k.new_page()
    k.ptdesc_page(pt).compound_info = 0
    assert pt.pmd_huge_pte is other


@pytest.mark.parametrize("debug", ["y", "n"])
def test_private_and_the_lock_are_one_word(link, debug):
    k = link(DEBUG_SPINLOCK=debug)
    pt = k.page_ptdesc(k.new_page())
    assert k.ALLOC_SPLIT_PTLOCKS == (debug == "y")
    k.set_page_private(k.ptdesc_page(pt), 7)
    assert pt.ptl is None or debug == "n"
    assert k.world.expect("union-clobber")["read"] == "ptl"


def test_tail_pages_find_their_head(k):
    head = k.alloc_pages(k.GFP_KERNEL | getattr(k, "__GFP_COMP"), 2)
    tail = k.pfn_to_page(head._pfn + 3)
    assert k.PageTail(tail)
    assert k.compound_head(tail) is head
    assert k.page_folio(tail) is head
    assert (k.compound_order(head), k.compound_order(tail)) == (2, 0)


def test_encoded_page_carries_two_bits_or_a_count(k):
    page = k.new_page()
    encoded = k.encode_page(page, k.ENCODED_PAGE_BIT_NR_PAGES_NEXT)
    assert k.encoded_page_ptr(encoded) is page
    assert k.encoded_page_flags(encoded) == 2
    assert k.encoded_nr_pages(k.encode_nr_pages(512)) == 512
    assert k.encoded_page_flags(k.encode_nr_pages(512)) == 0


def test_maple_tree_keeps_ranges_apart_and_in_order(k):
    mt = k.maple_tree.zeroed()
    k.mtree_store_range(mt, 100, 199, "a")
    k.mtree_store_range(mt, 300, 399, "b")
    assert [k.mtree_load(mt, at) for at in (99, 100, 199, 200, 350)] == [None, "a", "a", None, "b"]
    k.mtree_store_range(mt, 150, 320, "c")
    assert (mt.starts, mt.lasts, mt.entries) == ([100, 150, 321], [149, 320, 399], ["a", "c", "b"])
    mas = k.ma_state.zeroed()
    k.mas_init(mas, mt, 120)
    assert [k.mas_find(mas, 2**64 - 1) for _ in range(4)] == ["a", "c", "b", None]
    assert k.mtree_erase(mt, 200) == "c"
    assert k.mtree_load(mt, 200) is None
