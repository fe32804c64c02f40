# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""The draft with a destructor bit."""

from kmm.include.linux.bits import BIT
from kmm.include.linux.gfp import __free_page
from kmm.include.linux.list import list_splice_tail
from kmm.include.linux.mm import page_ptdesc, pagetable_dtor_free, ptdesc_page

#: Behind the last page flag; "a struct ptdesc that needs its destructor run".
NR_PAGEFLAGS = 24
ASYNC_PGTABLE_FREE_DTOR = BIT(NR_PAGEFLAGS)


def kernel_pgtable_work_func(work):
    """Drop what devices have cached of the tables that are queued, then free each in its own way.

    :context: worker; may sleep.
    """
    page_list = LIST_HEAD()

    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail_init(kernel_pgtable_work.list, page_list)
    spin_unlock(kernel_pgtable_work.lock)

    iommu_sva_invalidate_kva_range(0, TLB_FLUSH_ALL)

    for pt, _next in list_for_each_entry_safe(ptdesc, page_list, "pt_list"):
        list_del(pt.pt_list)
        if pt.pt_flags.f & ASYNC_PGTABLE_FREE_DTOR:
            pagetable_dtor_free(pt)
        else:
            __free_page(ptdesc_page(pt))


def kernel_pgtable_async_free_dtor(pt):
    """Queue a table whose destructor the worker runs."""
    spin_lock(kernel_pgtable_work.lock)
    pt.pt_flags.f |= ASYNC_PGTABLE_FREE_DTOR
    list_add(pt.pt_list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def kernel_pgtable_async_free_page_list(list):
    """Queue pages that hold no constructed table."""
    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail(list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def kernel_pgtable_async_free_page(page):
    """Queue one page that holds no constructed table."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(page_ptdesc(page).pt_list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def pagetable_free_kernel(pt):
    """The callers of the draft are not in the base: a table that was destructed is a plain page."""
    kernel_pgtable_async_free_page(ptdesc_page(pt))


def schedule_kernel_pgtable_free():
    """Not there yet: the base's initcall, which calls it, has nothing to do."""
