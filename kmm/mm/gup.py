# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/gup.c (Linux 7.2): getting user pages by walking page tables without a lock.

Interrupts are off during the walk, so that whoever frees tables (after an IPI to all CPUs, or a
grace period) waits for it. A page is referenced first and its entries are looked at again
afterwards: if they changed the reference is dropped.

The slow path, which faults pages in, is not ported, nor are hugetlb and large folios, files,
secretmem and device memory.

:deviation: fork is not ported, so ``write_protect_seq`` never moves and is not looked at.
:deviation: ``*nr`` is the length of *pages*, which callers give empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kmm import hooks
from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, TASK_SIZE_MAX
from kmm.arch.x86.include.asm.pgtable import (
    p4d_present,
    pgd_none,
    pmd_access_permitted,
    pmd_leaf,
    pmd_page,
    pmd_present,
    pmd_protnone,
    pmd_val,
    pmd_write,
    pte_access_permitted,
    pte_page,
    pte_pfn,
    pte_protnone,
    pte_special,
    pte_val,
    pte_write,
    pud_access_permitted,
    pud_leaf,
    pud_page,
    pud_present,
    pud_val,
    pud_write,
)
from kmm.arch.x86.include.asm.pgtable_64 import gup_fast_permitted
from kmm.arch.x86.include.asm.pgtable_64_types import PMD_MASK, PUD_MASK
from kmm.c import ULONG_MAX, cell
from kmm.include.linux.bug import WARN_ON_ONCE
from kmm.include.linux.compiler import smp_mb__after_atomic
from kmm.include.linux.errno import EFAULT, EINVAL, EOVERFLOW
from kmm.include.linux.irqflags import irqs_disabled, local_irq_restore, local_irq_save
from kmm.include.linux.kernel import might_sleep
from kmm.include.linux.mm import (
    folio_put_refs,
    folio_ref_add,
    folio_ref_count,
    page_to_pfn,
    pfn_to_page,
    pte_offset_map,
    pte_unmap,
)
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE, VM_WARN_ON_ONCE_PAGE
from kmm.include.linux.page_flags import (
    PageAnonExclusive,
    folio_test_anon,
    folio_test_large,
    page_folio,
)
from kmm.include.linux.page_ref import folio_ref_try_add
from kmm.include.linux.pgtable import (
    is_zero_pfn,
    p4d_addr_end,
    p4d_offset_lockless,
    p4dp_get,
    pgd_addr_end,
    pgd_offset,
    pgdp_get,
    pmd_addr_end,
    pmd_offset_lockless,
    pmdp_get_lockless,
    ptep_get_lockless,
    pud_addr_end,
    pud_offset_lockless,
    pudp_get,
)
from kmm.include.linux.sched import current
from kmm.mm.internal import (
    FOLL_FAST_ONLY,
    FOLL_FORCE,
    FOLL_GET,
    FOLL_HONOR_NUMA_FAULT,
    FOLL_LONGTERM,
    FOLL_NOFAULT,
    FOLL_PCI_P2PDMA,
    FOLL_PIN,
    FOLL_UNLOCKABLE,
    FOLL_WRITE,
    INTERNAL_GUP_FLAGS,
    gup_must_unshare,
)

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import (
        p4d_ptr,
        p4d_t,
        pgd_ptr,
        pgd_t,
        pmd_ptr,
        pmd_t,
        pte_ptr,
        pud_ptr,
        pud_t,
    )
    from kmm.include.linux.mm_types import folio, page

#: A pin of a small folio counts as so many references.
GUP_PIN_COUNTING_BIAS = 1 << 10


def sanity_check_pinned_pages(pages: list[page]) -> None:
    """Pinned anonymous pages must be exclusive: a copy on write would part them from their mapping."""
    for page in pages:
        folio = page_folio(page)

        if is_zero_pfn(page_to_pfn(page)) or not folio_test_anon(folio):
            continue
        VM_WARN_ON_ONCE_PAGE(not PageAnonExclusive(page), page)


def try_get_folio(page: page, refs: int) -> folio | None:
    """Reference the folio that *page* belongs to, if it is not free; None if it is."""
    while True:
        folio = page_folio(page)
        if WARN_ON_ONCE(folio_ref_count(folio) < 0):
            return None
        if not folio_ref_try_add(folio, refs):
            return None

        # It may have been freed or split before the reference; now it cannot any more.
        if page_folio(page) is not folio:
            folio_put_refs(folio, refs)
            continue

        return folio


def gup_put_folio(folio: folio, refs: int, flags: int) -> None:
    """Give back what try_grab_folio_fast() took."""
    if flags & FOLL_PIN:
        if is_zero_pfn(page_to_pfn(folio.page)):
            return
        if folio_test_large(folio):
            raise hooks.Unported("mm/gup.c", "gup_put_folio (large folio)")
        refs *= GUP_PIN_COUNTING_BIAS

    folio_put_refs(folio, refs)


def unpin_user_page(page: page) -> None:
    """Give a pinned page back."""
    sanity_check_pinned_pages([page])
    gup_put_folio(page_folio(page), 1, FOLL_PIN)


def gup_fast_unpin_user_pages(pages: list[page]) -> None:
    """Give back pages that were pinned in vain."""
    for page in pages:
        gup_put_folio(page_folio(page), 1, FOLL_PIN)


def unpin_user_pages(pages: list[page]) -> None:
    """Give pinned pages back."""
    sanity_check_pinned_pages(pages)
    for page in pages:
        gup_put_folio(page_folio(page), 1, FOLL_PIN)


def try_grab_folio_fast(page: page, refs: int, flags: int) -> folio | None:
    """Reference or pin a folio during the lockless walk; None if it is free.

    :context: interrupts off.
    """
    VM_WARN_ON_ONCE(not irqs_disabled())

    if WARN_ON_ONCE((flags & (FOLL_GET | FOLL_PIN)) == 0):
        return None

    if flags & FOLL_GET:
        return try_get_folio(page, refs)

    # The zero page needs no pin.
    if is_zero_pfn(page_to_pfn(page)):
        return page_folio(page)

    folio = try_get_folio(page, refs)
    if folio is None:
        return None

    if folio_test_large(folio):
        raise hooks.Unported("mm/gup.c", "try_grab_folio_fast (large folio)")
    folio_ref_add(folio, refs * (GUP_PIN_COUNTING_BIAS - 1))
    smp_mb__after_atomic()

    return folio


def gup_fast_folio_allowed(folio: folio, flags: int) -> bool:
    """Whether this folio may be had without asking its VMA."""
    reject_file_backed = False

    if (flags & (FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE)) == (FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE):
        reject_file_backed = True

    if not reject_file_backed:
        return True

    if folio_test_anon(folio):
        return True

    # Truncated, or not anonymous: the slow path knows.
    if folio.mapping is None:
        return False

    raise hooks.Unported("mm/gup.c", "gup_fast_folio_allowed (file folio)")


def gup_fast_pte_range(pmd: pmd_t, pmdp: pmd_ptr, addr: int, end: int, flags: int,
                       pages: list[page]) -> int:
    """Reference the pages that one PTE table maps; 1 if all could be had.

    The order matters: read the entry, reference the page, read the entry and the pmd again. Who
    clears an entry drops its reference later, so either this walk sees the change or the page is
    held. The pmd says whether the table is still in use: a table on its way out can still hold
    entries that look valid.

    :param pmd: what *pmdp* was; the table is the one it names.
    """
    ret = 0

    ptem = pte_offset_map(cast("pmd_ptr", cell(pmd)), addr)
    if ptem is None:
        return 0
    ptep: pte_ptr = ptem
    while True:
        pte = ptep_get_lockless(ptep)

        if pte_protnone(pte):
            break

        if not pte_access_permitted(pte, bool(flags & FOLL_WRITE)):
            break

        if pte_special(pte):
            break

        VM_WARN_ON_ONCE(pte_pfn(pte) >= hooks.memory_frames())
        page = pte_page(pte)

        folio = try_grab_folio_fast(page, 1, flags)
        if folio is None:
            break

        if (pmd_val(pmd) != pmd_val(pmdp_get_lockless(pmdp))
                or pte_val(pte) != pte_val(ptep_get_lockless(ptep))):
            gup_put_folio(folio, 1, flags)
            break

        if not gup_fast_folio_allowed(folio, flags):
            gup_put_folio(folio, 1, flags)
            break

        if not pte_write(pte) and gup_must_unshare(None, flags, page):
            gup_put_folio(folio, 1, flags)
            break

        pages.append(page)
        ptep += 1
        addr += PAGE_SIZE
        if addr == end:
            ret = 1
            break

    pte_unmap(ptem)
    return ret


def gup_fast_pmd_leaf(orig: pmd_t, pmdp: pmd_ptr, addr: int, end: int, flags: int,
                      pages: list[page]) -> int:
    """Reference pages of a 2 MiB leaf; 1 if they could be had."""
    if not pmd_access_permitted(orig, bool(flags & FOLL_WRITE)):
        return 0

    refs = (end - addr) >> PAGE_SHIFT
    pfn = page_to_pfn(pmd_page(orig)) + ((addr & ~PMD_MASK) >> PAGE_SHIFT)
    page = pfn_to_page(pfn)

    folio = try_grab_folio_fast(page, refs, flags)
    if folio is None:
        return 0

    if pmd_val(orig) != pmd_val(pmdp_get_lockless(pmdp)):
        gup_put_folio(folio, refs, flags)
        return 0

    if not gup_fast_folio_allowed(folio, flags):
        gup_put_folio(folio, refs, flags)
        return 0
    if not pmd_write(orig) and gup_must_unshare(None, flags, folio.page):
        gup_put_folio(folio, refs, flags)
        return 0

    pages.extend(pfn_to_page(pfn + i) for i in range(refs))
    return 1


def gup_fast_pud_leaf(orig: pud_t, pudp: pud_ptr, addr: int, end: int, flags: int,
                      pages: list[page]) -> int:
    """Reference pages of a 1 GiB leaf; 1 if they could be had."""
    if not pud_access_permitted(orig, bool(flags & FOLL_WRITE)):
        return 0

    refs = (end - addr) >> PAGE_SHIFT
    pfn = page_to_pfn(pud_page(orig)) + ((addr & ~PUD_MASK) >> PAGE_SHIFT)
    page = pfn_to_page(pfn)

    folio = try_grab_folio_fast(page, refs, flags)
    if folio is None:
        return 0

    if pud_val(orig) != pud_val(pudp_get(pudp)):
        gup_put_folio(folio, refs, flags)
        return 0

    if not gup_fast_folio_allowed(folio, flags):
        gup_put_folio(folio, refs, flags)
        return 0

    if not pud_write(orig) and gup_must_unshare(None, flags, folio.page):
        gup_put_folio(folio, refs, flags)
        return 0

    pages.extend(pfn_to_page(pfn + i) for i in range(refs))
    return 1


def gup_fast_pmd_range(pudp: pud_ptr, pud: pud_t, addr: int, end: int, flags: int,
                       pages: list[page]) -> int:
    """Reference the pages below the PMD table that *pud* names; 1 if all could be had."""
    pmdp = pmd_offset_lockless(pudp, pud, addr)
    while True:
        pmd = pmdp_get_lockless(pmdp)

        next = pmd_addr_end(addr, end)
        if not pmd_present(pmd):
            return 0

        if pmd_leaf(pmd):
            if pmd_protnone(pmd):
                return 0

            if not gup_fast_pmd_leaf(pmd, pmdp, addr, next, flags, pages):
                return 0

        elif not gup_fast_pte_range(pmd, pmdp, addr, next, flags, pages):
            return 0
        pmdp += 1
        addr = next
        if addr == end:
            break

    return 1


def gup_fast_pud_range(p4dp: p4d_ptr, p4d: p4d_t, addr: int, end: int, flags: int,
                       pages: list[page]) -> int:
    """Reference the pages below the PUD table that *p4d* names; 1 if all could be had."""
    pudp = pud_offset_lockless(p4dp, p4d, addr)
    while True:
        pud = pudp_get(pudp)

        next = pud_addr_end(addr, end)
        if not pud_present(pud):
            return 0
        if pud_leaf(pud):
            if not gup_fast_pud_leaf(pud, pudp, addr, next, flags, pages):
                return 0
        elif not gup_fast_pmd_range(pudp, pud, addr, next, flags, pages):
            return 0
        pudp += 1
        addr = next
        if addr == end:
            break

    return 1


def gup_fast_p4d_range(pgdp: pgd_ptr, pgd: pgd_t, addr: int, end: int, flags: int,
                       pages: list[page]) -> int:
    """Reference the pages below the P4D table that *pgd* names; 1 if all could be had."""
    p4dp = p4d_offset_lockless(pgdp, pgd, addr)
    while True:
        p4d = p4dp_get(p4dp)

        next = p4d_addr_end(addr, end)
        if not p4d_present(p4d):
            return 0
        if not gup_fast_pud_range(p4dp, p4d, addr, next, flags, pages):
            return 0
        p4dp += 1
        addr = next
        if addr == end:
            break

    return 1


def gup_fast_pgd_range(addr: int, end: int, flags: int, pages: list[page]) -> None:
    """Reference the pages of a user range of the current mm, up to the first that cannot be had."""
    mm = current().mm
    assert mm is not None
    pgdp = pgd_offset(mm, addr)
    while True:
        pgd = pgdp_get(pgdp)

        next = pgd_addr_end(addr, end)
        if pgd_none(pgd):
            return
        if not gup_fast_p4d_range(pgdp, pgd, addr, next, flags, pages):
            return
        pgdp += 1
        addr = next
        if addr == end:
            break


def gup_fast(start: int, end: int, gup_flags: int, pages: list[page]) -> int:
    """Walk the current mm's tables with interrupts off; the number of pages had."""
    if not gup_fast_permitted(start, end):
        return 0

    # Tables are not freed under this walk: that takes an IPI to this CPU, or a grace period.
    flags = local_irq_save()
    gup_fast_pgd_range(start, end, gup_flags, pages)
    local_irq_restore(flags)

    if gup_flags & FOLL_PIN:
        sanity_check_pinned_pages(pages)
    return len(pages)


def gup_fast_fallback(start: int, nr_pages: int, gup_flags: int, pages: list[page]) -> int:
    """The fast walk, then the slow one for the rest; the number of pages, or an errno."""
    if WARN_ON_ONCE(gup_flags & ~(FOLL_WRITE | FOLL_LONGTERM | FOLL_FORCE | FOLL_PIN | FOLL_GET
                                  | FOLL_FAST_ONLY | FOLL_NOFAULT | FOLL_PCI_P2PDMA
                                  | FOLL_HONOR_NUMA_FAULT)):
        return -EINVAL

    if not (gup_flags & FOLL_FAST_ONLY):
        might_sleep()

    start = start & PAGE_MASK
    len_ = nr_pages << PAGE_SHIFT
    end = start + len_
    if end > ULONG_MAX:
        return -EOVERFLOW
    if end > TASK_SIZE_MAX():
        return -EFAULT

    nr_pinned = gup_fast(start, end, gup_flags, pages)
    if nr_pinned == nr_pages or gup_flags & FOLL_FAST_ONLY:
        return nr_pinned

    raise hooks.Unported("mm/gup.c", "__gup_longterm_locked")


def is_valid_gup_args(pages: list[page] | None, locked: int | None, gup_flags: int,
                      to_set: int) -> tuple[bool, int]:
    """Whether flags of a caller make sense.

    :return: that, and the flags with *to_set* (``*gup_flags_p``).
    """
    before = gup_flags

    if WARN_ON_ONCE(gup_flags & INTERNAL_GUP_FLAGS):
        return False, before

    gup_flags |= to_set
    if locked is not None:
        if WARN_ON_ONCE(locked != 1):
            return False, before

        gup_flags |= FOLL_UNLOCKABLE

    if WARN_ON_ONCE((gup_flags & (FOLL_PIN | FOLL_GET)) == (FOLL_PIN | FOLL_GET)):
        return False, before

    if WARN_ON_ONCE(not (gup_flags & FOLL_PIN) and (gup_flags & FOLL_LONGTERM)):
        return False, before

    if WARN_ON_ONCE((gup_flags & (FOLL_GET | FOLL_PIN)) and pages is None):
        return False, before

    if WARN_ON_ONCE((gup_flags & FOLL_LONGTERM) and (gup_flags & FOLL_PCI_P2PDMA)):
        return False, before

    return True, gup_flags


def get_user_pages_fast_only(start: int, nr_pages: int, gup_flags: int, pages: list[page]) -> int:
    """Reference user pages of the current mm if no lock is needed for it.

    :param pages: ``struct page **``; an empty list that is filled.
    :return: the number of pages, or an errno.
    :context: any, interrupts may be off.
    """
    valid, gup_flags = is_valid_gup_args(pages, None, gup_flags, FOLL_GET | FOLL_FAST_ONLY)
    if not valid:
        return -EINVAL

    return gup_fast_fallback(start, nr_pages, gup_flags, pages)


def get_user_pages_fast(start: int, nr_pages: int, gup_flags: int, pages: list[page]) -> int:
    """Reference user pages of the current mm; the number of pages, or an errno."""
    valid, gup_flags = is_valid_gup_args(pages, None, gup_flags, FOLL_GET)
    if not valid:
        return -EINVAL
    return gup_fast_fallback(start, nr_pages, gup_flags, pages)


def pin_user_pages_fast(start: int, nr_pages: int, gup_flags: int, pages: list[page]) -> int:
    """Pin user pages of the current mm for access by others; the number of pages, or an errno."""
    valid, gup_flags = is_valid_gup_args(pages, None, gup_flags, FOLL_PIN)
    if not valid:
        return -EINVAL
    return gup_fast_fallback(start, nr_pages, gup_flags, pages)
