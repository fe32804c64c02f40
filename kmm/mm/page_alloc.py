# SPDX-License-Identifier: GPL-2.0-only
"""Model of mm/page_alloc.c: a buddy allocator with per-CPU lists, in one zone.

What a caller can see is as in the kernel: orders, reference counts, compound pages, zeroing, the checks
for bad pages, and which frame comes next. Blocks up to order 3 come from a list of the CPU that asks;
a freed block goes on top of the list of the CPU that frees, so it is the next one handed out there for
the same order. Only when a list runs empty, or grows beyond ``high``, does the CPU turn to the buddy
lists that all share; those, too, hand out what was freed last, and at first the lowest addresses.

Lists are plain data under a lock that is held for no longer than one event: ``hooks.write`` of the
per-CPU lists or of the zone stands for it. Boot fills the lists of every CPU, so that allocations on
different CPUs commute.

Two rules beyond the kernel: a page whose type is still set (a table that skipped its destructor) is a
bad page, where the kernel resets the type in silence; and a free of frames that are not allocated, or
not as one block of that order, is the violation ``double-free`` or ``bad-page``. The second kind of
check needs the dict ``allocated``, which the kernel does not have.

Reads CONFIG_DEBUG_VM. Left out: zones, nodes, migration types, watermarks, reclaim (without memory an
allocation fails), memblock (early boot allocates here, too), cgroups, isolation.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.page import page_to_virt, virt_to_page
from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT, PAGE_SIZE
from kmm.c import Ptr, struct
from kmm.include.asm_generic.memory_model import page_to_pfn, pfn_to_page
from kmm.include.linux.bug import WARN_ON_ONCE
from kmm.include.linux.cpumask import for_each_possible_cpu
from kmm.include.linux.gfp_types import (
    __GFP_COMP,
    __GFP_DIRECT_RECLAIM,
    __GFP_HIGHMEM,
    __GFP_NOFAIL,
    __GFP_ZERO,
)
from kmm.include.linux.kernel import __might_sleep
from kmm.include.linux.mm import (
    compound_order,
    folio_order,
    put_page_testzero,
    set_page_count,
)
from kmm.include.linux.mm_types import folio, page, set_page_private
from kmm.include.linux.mmdebug import VM_BUG_ON_PAGE
from kmm.include.linux.page_flags import (
    PageCompound,
    PageHead,
    PageTable,
    PageTail,
    PG_active,
    PG_hwpoison,
    PG_locked,
    PG_lru,
    PG_mlocked,
    PG_private,
    PG_private_2,
    PG_reserved,
    PG_unevictable,
    PG_writeback,
    __SetPageHead,
    clear_compound_head,
    page_folio,
    page_has_type,
    set_compound_head,
)
from kmm.include.linux.pagevec import folio_batch, folio_batch_reinit
from kmm.include.linux.percpu import DEFINE_PER_CPU, per_cpu_ptr, this_cpu_ptr
from kmm.include.linux.poison import LIST_POISON1, LIST_POISON2
from kmm.include.linux.types import gfp_t
from kmm.mm.vmstat import counted_tables

MAX_PAGE_ORDER = 10
NR_PAGE_ORDERS = MAX_PAGE_ORDER + 1
PAGE_ALLOC_COSTLY_ORDER = 3

PAGE_FLAGS_CHECK_AT_FREE = (1 << PG_lru | 1 << PG_locked | 1 << PG_private | 1 << PG_private_2
                            | 1 << PG_writeback | 1 << PG_reserved | 1 << PG_active
                            | 1 << PG_unevictable | 1 << PG_mlocked)
PAGE_FLAGS_CHECK_AT_PREP = ((1 << 24) - 1) & ~(1 << PG_hwpoison)

#: Pages of order 0 that boot puts on each CPU's list; half as many blocks for each order above.
PCP_BATCH = 63
PCP_HIGH = 4 * PCP_BATCH


class per_cpu_pages(struct):
    """One CPU's free blocks: a stack of frame numbers for each order, the top is the last element."""

    count: int
    high: int
    batch: int
    lists: Ptr[list[list[int]]]


class free_area(struct):
    """The free blocks of one order: first frames, in a dict for its order and quick removal."""

    free_list: Ptr[dict[int, None]]


class zone(struct):
    """All of memory."""

    managed_pages: int
    free_area: Ptr[list[free_area]]
    allocated: Ptr[dict[int, int]]


the_zone = zone.zeroed()
the_zone.free_area = []
the_zone.allocated = {}
for _order in range(NR_PAGE_ORDERS):
    _area = free_area.zeroed()
    _area.free_list = {}
    the_zone.free_area.append(_area)

boot_pageset = DEFINE_PER_CPU(per_cpu_pages)
for _pcp in boot_pageset:
    _pcp.lists = [[] for _ in range(PAGE_ALLOC_COSTLY_ORDER + 1)]
    _pcp.batch = 1


def memblock_free_all() -> None:
    """Give all of memory but frame 0 to the buddy lists. Boot; happens with the first allocation."""
    frames = hooks.memory_frames()
    the_zone.managed_pages = frames - 1
    pfn = frames
    # From the top down, since what is put in last comes out first.
    while pfn > 1:
        order = min(MAX_PAGE_ORDER, (pfn & -pfn).bit_length() - 1)
        while pfn - (1 << order) < 1:
            order -= 1
        pfn -= 1 << order
        the_zone.free_area[order].free_list[pfn] = None


def setup_per_cpu_pageset() -> None:
    """Boot: fill the lists of every CPU, and let them keep what is freed."""
    for cpu in for_each_possible_cpu():
        pcp = per_cpu_ptr(boot_pageset, cpu)
        pcp.batch = PCP_BATCH
        pcp.high = PCP_HIGH
        for order in range(PAGE_ALLOC_COSTLY_ORDER + 1):
            rmqueue_bulk(order, max(PCP_BATCH >> (2 * order), 1), pcp)


# --- the buddy lists: the caller has made the event ----------------------------------------------

def __rmqueue_smallest(order: int) -> int | None:
    """Take the last freed block of the smallest order that is large enough; its upper halves stay."""
    if not the_zone.managed_pages:
        memblock_free_all()
    for current_order in range(order, NR_PAGE_ORDERS):
        blocks = the_zone.free_area[current_order].free_list
        if not blocks:
            continue
        pfn, _ = blocks.popitem()
        expand(pfn, order, current_order)
        return pfn
    return None


def expand(pfn: int, low: int, high: int) -> None:
    """Put the upper halves of a block of order *high* back until order *low* is left."""
    while high > low:
        high -= 1
        the_zone.free_area[high].free_list[pfn + (1 << high)] = None


def __free_one_page(pfn: int, order: int) -> None:
    """Put a block back, merged with its buddies."""
    while order < MAX_PAGE_ORDER:
        buddy_pfn = pfn ^ (1 << order)
        blocks = the_zone.free_area[order].free_list
        if buddy_pfn not in blocks:
            break
        del blocks[buddy_pfn]
        pfn &= buddy_pfn
        order += 1
    the_zone.free_area[order].free_list[pfn] = None


# --- allocation ---------------------------------------------------------------------------------

def rmqueue_bulk(order: int, count: int, pcp: per_cpu_pages) -> int:
    """Move up to *count* blocks from the buddy lists under those of a CPU; how many blocks."""
    hooks.write(the_zone, "free_area")
    taken: list[int] = []
    for _ in range(count):
        pfn = __rmqueue_smallest(order)
        if pfn is None:
            break
        taken.append(pfn)
    pcp.lists[order][:0] = taken[::-1]
    pcp.count += len(taken) << order
    return len(taken)


def rmqueue_pcplist(order: int) -> int | None:
    """Take the top block of this CPU's list."""
    pcp = this_cpu_ptr(boot_pageset)
    hooks.write(pcp, "lists")
    if not pcp.lists[order] and not rmqueue_bulk(order, max(pcp.batch >> order, 1), pcp):
        return None
    pcp.count -= 1 << order
    return pcp.lists[order].pop()


def rmqueue(order: int) -> int | None:
    """Take a block; its first frame, None if there is none."""
    if order <= PAGE_ALLOC_COSTLY_ORDER:
        return rmqueue_pcplist(order)
    hooks.write(the_zone, "free_area")
    return __rmqueue_smallest(order)


def prep_compound_page(page: page, order: int) -> None:
    """Make a block one compound page."""
    pfn = page_to_pfn(page)

    __SetPageHead(page)
    for i in range(1, 1 << order):
        prep_compound_tail(pfn_to_page(pfn + i), page, order)

    prep_compound_head(page, order)


def prep_compound_tail(tail: page, head: page, order: int) -> None:
    """Make *tail* a tail page of *head*."""
    set_compound_head(tail, head, order)
    set_page_private(tail, 0)


def prep_compound_head(page: page, order: int) -> None:
    """Note the order in the first tail page's flags, where ``folio_large_order`` reads it."""
    tail = pfn_to_page(page_to_pfn(page) + 1)
    tail.flags.f = tail.flags.f & ~0xFF | order


def prep_new_page(page: page, order: int, gfp_flags: gfp_t) -> None:
    """Make free frames an allocation: contents, private word, compound links."""
    set_page_private(page, 0)

    hooks.frames_allocated(page_to_pfn(page), order, gfp_flags)
    if gfp_flags & __GFP_ZERO:
        hooks.fill(page_to_virt(page), PAGE_SIZE << order, 0)

    if order and gfp_flags & __GFP_COMP:
        prep_compound_page(page, order)


def check_new_page(page: page) -> bool:
    """Whether a page that was free is in a state that no free page may have; reports it."""
    if page_expected_state(page, PAGE_FLAGS_CHECK_AT_PREP):
        return False
    bad_page(page, page_bad_reason(page, PAGE_FLAGS_CHECK_AT_PREP))
    return True


def __alloc_frozen_pages_noprof(gfp: gfp_t, order: int) -> page | None:
    """A block with reference count 0."""
    if WARN_ON_ONCE(order > MAX_PAGE_ORDER):
        return None

    if gfp & __GFP_DIRECT_RECLAIM:
        __might_sleep("alloc_pages")
    if not gfp & __GFP_NOFAIL and hooks.may_fail("alloc_pages", gfp):
        return None

    while True:
        pfn = rmqueue(order)
        if pfn is None:
            return None
        # A bad page is not used, and lost.
        if not any(check_new_page(pfn_to_page(pfn + i)) for i in range(1 << order)):
            break

    the_zone.allocated[pfn] = order
    page = pfn_to_page(pfn)
    prep_new_page(page, order, gfp)
    return page


def set_page_refcounted(page: page) -> None:
    """Turn a frozen page (count 0) into one with a reference."""
    VM_BUG_ON_PAGE(PageTail(page), page)
    set_page_count(page, 1)


def __alloc_pages_noprof(gfp: gfp_t, order: int) -> page | None:
    """A block with one reference, NULL if there is none."""
    page = __alloc_frozen_pages_noprof(gfp, order)
    if page is not None:
        set_page_refcounted(page)
    return page


def alloc_pages_noprof(gfp: gfp_t, order: int) -> page | None:
    """``1 << order`` pages with one reference, NULL if there are none.

    :context: may sleep if *gfp* says so.
    """
    return __alloc_pages_noprof(gfp, order)


alloc_pages = alloc_pages_noprof


def alloc_pages_node(nid: int, gfp_mask: gfp_t, order: int) -> page | None:
    """:func:`alloc_pages` from one node."""
    return __alloc_pages_noprof(gfp_mask, order)


def folio_alloc(gfp: gfp_t, order: int) -> folio | None:
    """A folio with one reference, NULL if there is none."""
    page = __alloc_pages_noprof(gfp_t(gfp | __GFP_COMP), order)
    return page_folio(page) if page is not None else None


folio_alloc_noprof = folio_alloc


def get_free_pages_noprof(gfp_mask: gfp_t, order: int) -> int:
    """The direct-map address of ``1 << order`` pages, 0 if there are none."""
    page = alloc_pages_noprof(gfp_t(gfp_mask & ~__GFP_HIGHMEM), order)
    if page is None:
        return 0
    return page_to_virt(page)


__get_free_pages = get_free_pages_noprof


def get_zeroed_page_noprof(gfp_mask: gfp_t) -> int:
    """The direct-map address of a zeroed page, 0 if there is none."""
    return get_free_pages_noprof(gfp_t(gfp_mask | __GFP_ZERO), 0)


get_zeroed_page = get_zeroed_page_noprof


# --- freeing ------------------------------------------------------------------------------------

def bad_page(page: page, reason: str) -> None:
    """Report a page in a state that it must not have where it changes hands."""
    hooks.violation("bad-page", "bad_page", pfn=page_to_pfn(page), reason=reason)
    # Leave it in a state that reports no more.
    page._mapcount.counter = -1


def page_expected_state(page: page, check_flags: int) -> bool:
    """Whether a page is in the state of a free one."""
    return page_bad_reason(page, check_flags) == ""


def page_bad_reason(page: page, flags: int) -> str:
    """What is wrong with a free page; the last reason counts."""
    bad_reason = ""

    if page._mapcount.counter != -1:
        bad_reason = "nonzero mapcount"
    if page.mapping is not None:
        bad_reason = "non-NULL mapping"
    if page._refcount.counter != 0:
        bad_reason = "nonzero _refcount"
    if page.flags.f & flags:
        if flags == PAGE_FLAGS_CHECK_AT_PREP:
            bad_reason = "PAGE_FLAGS_CHECK_AT_PREP flag(s) set"
        else:
            bad_reason = "PAGE_FLAGS_CHECK_AT_FREE flag(s) set"
    return bad_reason


def free_page_is_bad(page: page) -> bool:
    """Whether a page that is being freed is in a bad state; reports it."""
    if page_expected_state(page, PAGE_FLAGS_CHECK_AT_FREE):
        return False

    bad_page(page, page_bad_reason(page, PAGE_FLAGS_CHECK_AT_FREE))
    return True


def free_tail_page_prepare(head_page: page, page: page) -> int:
    """Take a tail page off its head; 1 if it was none of its tails."""
    ret = 1

    if not PageTail(page):
        bad_page(page, "PageTail not set")
    elif page_folio(page) is not page_folio(head_page):
        bad_page(page, "compound_head not consistent")
    else:
        ret = 0
    page.mapping = None
    clear_compound_head(page)
    return ret


def __free_pages_prepare(page: page, order: int) -> bool:
    """Check and strip a block that is being freed; false if it must not be used again."""
    bad = 0
    compound = PageCompound(page)
    pfn = page_to_pfn(page)

    VM_BUG_ON_PAGE(PageTail(page), page)
    VM_BUG_ON_PAGE(compound and compound_order(page) != order, page)

    if order:
        if compound:
            first_tail = pfn_to_page(pfn + 1)
            first_tail.flags.f &= ~0xFF
        for i in range(1, 1 << order):
            tail = pfn_to_page(pfn + i)
            if compound:
                bad += free_tail_page_prepare(page, tail)
            if free_page_is_bad(tail):
                bad += 1
                continue
            tail.flags.f &= ~PAGE_FLAGS_CHECK_AT_PREP

    if page_has_type(page):
        bad_page(page, "page type still set: freed without its destructor")
        if PageTable(page):
            hooks.frame_is_table(pfn, False)
    elif counted_tables.get(pfn):
        hooks.violation("page-table-accounting", "free_pages_prepare", pfn=pfn,
                        summary="a page table is freed that NR_PAGETABLE still counts")
    counted_tables.pop(pfn, None)

    if free_page_is_bad(page):
        bad += 1
    if bad:
        return False

    page.flags.f &= ~PAGE_FLAGS_CHECK_AT_PREP
    page.private = 0
    # Free pages are linked through this word; whoever still uses it for something else finds out.
    page.lru.next = LIST_POISON1
    page.lru.prev = LIST_POISON2
    return True


def __take_back(pfn: int, order: int) -> bool:
    """Whether these frames are allocated as one block; reports it if not."""
    if the_zone.allocated.get(pfn) == order:
        del the_zone.allocated[pfn]
        return True
    if pfn in the_zone.allocated:
        hooks.violation("bad-page", "free_pages", pfn=pfn, order=order,
                        reason=f"allocated with order {the_zone.allocated[pfn]}")
    else:
        hooks.violation("double-free", "free_pages", pfn=pfn, order=order)
    return False


def __free_frozen_pages(page: page, order: int) -> None:
    """Take back a block whose reference count is 0.

    :context: any.
    """
    pfn = page_to_pfn(page)

    if not __take_back(pfn, order):
        return
    if not __free_pages_prepare(page, order):
        return

    hooks.frames_freed(pfn, order)

    if order <= PAGE_ALLOC_COSTLY_ORDER:
        free_frozen_page_commit(pfn, order)
    else:
        hooks.write(the_zone, "free_area")
        __free_one_page(pfn, order)


def free_frozen_page_commit(pfn: int, order: int) -> None:
    """Put a block on top of this CPU's list, and the oldest blocks back when there are too many."""
    pcp = this_cpu_ptr(boot_pageset)
    hooks.write(pcp, "lists")
    pcp.lists[order].append(pfn)
    pcp.count += 1 << order
    if pcp.count > pcp.high:
        free_pcppages_bulk(max(pcp.batch, pcp.count - pcp.high), pcp)


def free_pcppages_bulk(count: int, pcp: per_cpu_pages) -> None:
    """Put at least *count* pages of a CPU back on the buddy lists, the oldest of each order first."""
    hooks.write(the_zone, "free_area")
    order = 0
    while count > 0 and pcp.count > 0:
        if pcp.lists[order]:
            __free_one_page(pcp.lists[order].pop(0), order)
            pcp.count -= 1 << order
            count -= 1 << order
        order = (order + 1) % (PAGE_ALLOC_COSTLY_ORDER + 1)


def free_frozen_pages(page: page, order: int) -> None:
    """Take back a block whose reference count is 0."""
    __free_frozen_pages(page, order)


def free_unref_folio(folio: folio) -> None:
    """Take back a folio whose reference count is 0."""
    __free_frozen_pages(folio.page, folio_order(folio))


def free_unref_folios(folios: folio_batch) -> None:
    """Free the folios of a batch, none of which has references, and empty the batch."""
    for i in range(folios.nr):
        folio = folios.folios[i]
        free_frozen_pages(folio.page, folio_order(folio))
    folio_batch_reinit(folios)


def __free_pages(page: page, order: int) -> None:
    """Drop a reference to a block; the last one frees it.

    :context: any.
    """
    pfn = page_to_pfn(page)
    head = PageHead(page)

    if page._refcount.counter == 0 and pfn not in the_zone.allocated:
        hooks.violation("double-free", "__free_pages", pfn=pfn, order=order)
        return

    if put_page_testzero(page):
        __free_frozen_pages(page, order)
    elif not head and order:
        # Somebody holds the first page; the others are freed without it.
        if the_zone.allocated.get(pfn) == order:
            for sub in range(order):
                the_zone.allocated[pfn + (1 << sub)] = sub
            the_zone.allocated[pfn] = 0
        while order > 0:
            order -= 1
            __free_frozen_pages(pfn_to_page(pfn + (1 << order)), order)


def free_pages(addr: int, order: int) -> None:
    """Drop a reference to the block at a direct-map address; 0 is allowed."""
    if addr != 0:
        __free_pages(virt_to_page(addr), order)


def split_page(page: page, order: int) -> None:
    """Turn a block that is not compound into single pages with a reference each."""
    pfn = page_to_pfn(page)
    VM_BUG_ON_PAGE(PageCompound(page), page)
    for i in range(1 << order):
        the_zone.allocated[pfn + i] = 0
        if i:
            set_page_refcounted(pfn_to_page(pfn + i))


def get_order(size: int) -> int:
    """The order of the smallest block that holds *size* bytes (include/asm-generic/getorder.h)."""
    return ((size - 1) >> PAGE_SHIFT).bit_length()


def alloc_pages_exact(size: int, gfp_mask: gfp_t) -> int:
    """The address of just enough pages for *size* bytes, 0 if there are none."""
    order = get_order(size)

    if WARN_ON_ONCE(gfp_mask & (__GFP_COMP | __GFP_HIGHMEM)):
        gfp_mask = gfp_t(gfp_mask & ~(__GFP_COMP | __GFP_HIGHMEM))

    addr = get_free_pages_noprof(gfp_mask, order)
    if addr:
        nr = (size + PAGE_SIZE - 1) >> PAGE_SHIFT
        page = virt_to_page(addr)
        split_page(page, order)
        for i in range(nr, 1 << order):
            __free_pages(pfn_to_page(page_to_pfn(page) + i), 0)
    return addr


def free_pages_exact(virt: int, size: int) -> None:
    """Free what :func:`alloc_pages_exact` returned."""
    for addr in range(virt, virt + size, PAGE_SIZE):
        free_pages(addr, 0)


def nr_free_pages() -> int:
    """Number of free pages, those on the CPUs' lists included."""
    nr = sum(len(area.free_list) << order for order, area in enumerate(the_zone.free_area))
    return nr + sum(pcp.count for pcp in boot_pageset)
