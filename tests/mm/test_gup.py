# SPDX-License-Identifier: GPL-2.0-only
"""mm/gup.c: the lockless walk, and what it notices when the tables change under it."""

from __future__ import annotations

import pytest
from user_space import BASE, MIB2, mmap, process, touch

from kmm import hooks
from kmm.hooks import Unported
from kmm.include.linux.errno import EFAULT
from kmm.include.linux.mm import folio_ref_count, put_page
from kmm.include.linux.page_flags import page_folio
from kmm.include.linux.pgtable import p4d_offset, pgd_offset, pmd_offset, pte_offset_kernel, pud_offset
from kmm.include.vdso.page import PAGE_SIZE
from kmm.mm.gup import (
    GUP_PIN_COUNTING_BIAS,
    get_user_pages_fast,
    get_user_pages_fast_only,
    pin_user_pages_fast,
    unpin_user_pages,
)
from kmm.mm.internal import FOLL_WRITE
from kmm.mm.mmap import sys_munmap


@pytest.fixture
def mapped(booted):
    mm = process(booted)
    mmap(BASE, MIB2)
    touch(BASE)
    touch(BASE + PAGE_SIZE)
    return mm


def pmd_of(mm, addr):
    return pmd_offset(pud_offset(p4d_offset(pgd_offset(mm, addr), addr), addr), addr)


def pte_of(mm, addr):
    return pte_offset_kernel(pmd_of(mm, addr), addr)


def test_fast_references_pages_up_to_the_first_hole(booted, mapped):
    pages = []
    assert get_user_pages_fast_only(BASE, 3, FOLL_WRITE, pages) == 2 == len(pages)
    assert [folio_ref_count(page_folio(page)) for page in pages] == [2, 2]
    for page in pages:
        put_page(page)


def test_fast_walks_with_interrupts_off_from_first_to_last_load(booted, mapped):
    booted.events.clear()
    pages = []
    get_user_pages_fast_only(BASE, 1, 0, pages)
    names = [event[0] for event in booted.events]
    walk = [at for at, name in enumerate(names) if name == "load"]
    assert names.index("local_irq_disable") < walk[0]
    assert walk[-1] < names.index("local_irq_enable")
    put_page(pages[0])


def test_fast_refuses_to_write_through_the_zero_page(booted, mapped):
    touch(BASE + 2 * PAGE_SIZE, write=False)
    assert get_user_pages_fast_only(BASE + 2 * PAGE_SIZE, 1, FOLL_WRITE, []) == 0
    assert get_user_pages_fast_only(BASE + 2 * PAGE_SIZE, 1, 0, []) == 0, "a special entry"


@pytest.mark.parametrize("entry", [pte_of, pmd_of])
def test_fast_drops_the_reference_if_an_entry_changed_meanwhile(booted, mapped, monkeypatch, entry):
    """The reference comes first and the second look afterwards; the other order would miss this."""
    page = []
    get_user_pages_fast_only(BASE, 1, 0, page)
    folio = page_folio(page[0])
    victim, write = entry(mapped, BASE), hooks.write
    saved = victim[0]

    def write_then_clear(obj, field):
        write(obj, field)
        if obj is folio._refcount and booted.irqs_disabled():
            booted.store(victim, 8, 0)

    monkeypatch.setattr(hooks, "write", write_then_clear)
    before = folio_ref_count(folio)
    assert get_user_pages_fast_only(BASE, 1, 0, []) == 0
    assert folio_ref_count(folio) == before
    monkeypatch.setattr(hooks, "write", write)
    victim[0] = saved
    put_page(page[0])


def test_page_held_by_gup_survives_munmap(booted, mapped):
    pages = []
    get_user_pages_fast_only(BASE, 1, 0, pages)
    pfn = pages[0]._pfn
    sys_munmap(BASE, MIB2)
    assert pfn in booted.allocated
    put_page(pages[0])
    assert pfn not in booted.allocated


def test_pin_counts_apart_from_references(booted, mapped):
    pages = []
    assert pin_user_pages_fast(BASE, 2, FOLL_WRITE, pages) == 2
    assert folio_ref_count(page_folio(pages[0])) == 1 + GUP_PIN_COUNTING_BIAS
    unpin_user_pages(pages)
    assert folio_ref_count(page_folio(pages[0])) == 1


def test_kernel_addresses_are_refused(booted, mapped):
    assert get_user_pages_fast_only(1 << 47, 1, 0, []) == -EFAULT


def test_slow_path_is_refused(booted, mapped):
    with pytest.raises(Unported, match="longterm_locked"):
        get_user_pages_fast(BASE + 5 * PAGE_SIZE, 1, 0, [])
