# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/page-flags.h (Linux 7.2): flag bits, compound pages, page types.

Whether a page is a tail page is read without an event: it can not change while its frame is
allocated. CONFIG symbols: none. Left out: flag policies and the flags that only reclaim and files use.

:deviation: ``compound_info`` of a tail page holds the head's frame number shifted left by one, with
    bit 0 set, not a pointer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm import hooks
from kmm.c import UINT_MAX

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio, page

# enum pageflags
PG_locked = 0
PG_writeback = 1
PG_referenced = 2
PG_uptodate = 3
PG_dirty = 4
PG_lru = 5
PG_head = 6
PG_waiters = 7
PG_active = 8
PG_workingset = 9
PG_owner_priv_1 = 10
PG_owner_2 = 11
PG_arch_1 = 12
PG_reserved = 13
PG_private = 14
PG_private_2 = 15
PG_reclaim = 16
PG_swapbacked = 17
PG_unevictable = 18
PG_dropbehind = 19
PG_mlocked = 20
PG_hwpoison = 21
PG_anon_exclusive = PG_owner_2


def compound_head(page: page) -> page:
    """The page itself, or the head if it is a tail."""
    info = page.compound_info
    if info & 1:
        return pfn_to_page(info >> 1)
    return page


def set_compound_head(tail: page, head: page, order: int) -> None:
    """Make *tail* a tail page of *head*."""
    tail.compound_info = head._pfn << 1 | 1


def clear_compound_head(page: page) -> None:
    """Make a tail page a page of its own."""
    page.compound_info = 0


def page_folio(p: page) -> folio:
    """The folio that a page is part of."""
    return cast("folio", compound_head(p))


def folio_page(folio: folio, n: int) -> page:
    """The *n*-th page of a folio."""
    return pfn_to_page(folio.page._pfn + n)


def PageTail(page: page) -> int:
    """Whether a page is a tail page."""
    return page.compound_info & 1


def PageCompound(page: page) -> int:
    """Whether a page is part of a compound page."""
    return bool(page.flags.f >> PG_head & 1) or page.compound_info & 1


def PageHead(page: page) -> int:
    """Whether a page is the head of a compound page."""
    return page.flags.f >> PG_head & 1


def __SetPageHead(page: page) -> None:
    """Make a page the head of a compound page."""
    page.flags.f |= 1 << PG_head


def __ClearPageHead(page: page) -> None:
    """Undo __SetPageHead()."""
    page.flags.f &= ~(1 << PG_head)


def PageReserved(page: page) -> int:
    """Whether a page never belonged to the allocator."""
    return test_bit(PG_reserved, page.flags, "f")


def folio_test_large(folio: folio) -> bool:
    """Whether a folio has more than one page."""
    return bool(folio.flags.f >> PG_head & 1)


def folio_test_anon(folio: folio) -> bool:
    """Whether a folio is anonymous memory: what C tells from low bits of ``mapping``."""
    return isinstance(folio.mapping, anon_vma)


def __folio_mark_uptodate(folio: folio) -> None:
    """The contents of a new folio are complete. Nobody else sees it yet."""
    folio.flags.f |= 1 << PG_uptodate


def PageAnonExclusive(page: page) -> bool:
    """Whether an anonymous page belongs to one process only."""
    return test_bit(PG_anon_exclusive, page.flags, "f")


def SetPageAnonExclusive(page: page) -> None:
    """An anonymous page belongs to one process only."""
    page.flags.f |= 1 << PG_anon_exclusive


def ClearPageAnonExclusive(page: page) -> None:
    """Undo SetPageAnonExclusive()."""
    page.flags.f &= ~(1 << PG_anon_exclusive)


# enum pagetype: the upper byte of page_type
PGTY_buddy = 0xf0
PGTY_offline = 0xf1
PGTY_table = 0xf2
PGTY_guard = 0xf3
PGTY_hugetlb = 0xf4
PGTY_slab = 0xf5
PGTY_zsmalloc = 0xf6
PGTY_unaccepted = 0xf7
PGTY_large_kmalloc = 0xf8
PGTY_mapcount_underflow = 0xff


def page_type_has_type(page_type: int) -> bool:
    """Whether a value is a page type, not a map count."""
    signed = page_type - (1 << 32) if page_type & (1 << 31) else page_type
    return signed < (PGTY_mapcount_underflow << 24) - (1 << 32)


def page_mapcount_is_type(mapcount: int) -> bool:
    """Whether a map count is really a page type."""
    return page_type_has_type((mapcount - 1) & UINT_MAX)


def page_has_type(page: page) -> bool:
    """Whether a page has a type."""
    return page_type_has_type(page.page_type)


def folio_test_pgtable(folio: folio) -> bool:
    """Whether a folio is a page table."""
    return folio.page.page_type >> 24 == PGTY_table


def __folio_set_pgtable(folio: folio) -> None:
    """Mark a folio as a page table."""
    if folio_test_pgtable(folio):
        return
    VM_BUG_ON_FOLIO(folio.page.page_type != UINT_MAX, folio)
    folio.page.page_type = PGTY_table << 24
    hooks.frame_is_table(folio.page._pfn, True)


def __folio_clear_pgtable(folio: folio) -> None:
    """Undo __folio_set_pgtable(). A folio without any type is left alone, silently."""
    if folio.page.page_type == UINT_MAX:
        return
    VM_BUG_ON_FOLIO(not folio_test_pgtable(folio), folio)
    folio.page.page_type = UINT_MAX
    hooks.frame_is_table(folio.page._pfn, False)


def PageTable(page: page) -> int:
    """Whether a page is a page table."""
    return page.page_type >> 24 == PGTY_table


def __SetPageTable(page: page) -> None:
    """Mark a page as a page table."""
    if PageTable(page):
        return
    VM_BUG_ON_PAGE(page.page_type != UINT_MAX, page)
    page.page_type = PGTY_table << 24
    hooks.frame_is_table(page._pfn, True)


def __ClearPageTable(page: page) -> None:
    """Undo __SetPageTable()."""
    if page.page_type == UINT_MAX:
        return
    VM_BUG_ON_PAGE(not PageTable(page), page)
    page.page_type = UINT_MAX
    hooks.frame_is_table(page._pfn, False)


def PageBuddy(page: page) -> int:
    """Whether a page is free, in the buddy allocator."""
    return page.page_type >> 24 == PGTY_buddy


def __SetPageBuddy(page: page) -> None:
    """Mark a page as free."""
    if PageBuddy(page):
        return
    VM_BUG_ON_PAGE(page.page_type != UINT_MAX, page)
    page.page_type = PGTY_buddy << 24


def __ClearPageBuddy(page: page) -> None:
    """Undo __SetPageBuddy()."""
    if page.page_type == UINT_MAX:
        return
    VM_BUG_ON_PAGE(not PageBuddy(page), page)
    page.page_type = UINT_MAX


# memory_model.h needs mm_types.h:
from kmm.include.asm_generic.memory_model import pfn_to_page
from kmm.include.linux.bitops import test_bit
from kmm.include.linux.mmdebug import VM_BUG_ON_FOLIO, VM_BUG_ON_PAGE
from kmm.include.linux.rmap import anon_vma
