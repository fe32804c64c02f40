# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""The draft with three lists."""

from kmm.include.linux.gfp import __free_page, __free_pages
from kmm.include.linux.mm import compound_order, page_ptdesc, pagetable_dtor_free, ptdesc_page


class __kernel_pgtable_lists(struct):
    """The type of ``kernel_pgtable_work``. ``lock`` protects the lists."""

    dtor: list_head
    page: list_head
    pages: list_head
    lock: spinlock_t
    work: work_struct


kernel_pgtable_work = __kernel_pgtable_lists.zeroed()


def kernel_pgtable_work_func(work):
    """Drop what devices have cached of the tables that are queued, then free each in its own way.

    :context: worker; may sleep.
    """
    dtor = LIST_HEAD()
    page = LIST_HEAD()
    pages = LIST_HEAD()

    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail_init(kernel_pgtable_work.dtor, dtor)
    list_splice_tail_init(kernel_pgtable_work.page, page)
    list_splice_tail_init(kernel_pgtable_work.pages, pages)
    spin_unlock(kernel_pgtable_work.lock)

    iommu_sva_invalidate_kva_range(0, TLB_FLUSH_ALL)

    for pt, _next in list_for_each_entry_safe(ptdesc, dtor, "pt_list"):
        list_del(pt.pt_list)
        pagetable_dtor_free(pt)
    for pt, _next in list_for_each_entry_safe(ptdesc, page, "pt_list"):
        list_del(pt.pt_list)
        __free_page(ptdesc_page(pt))
    for pt, _next in list_for_each_entry_safe(ptdesc, pages, "pt_list"):
        list_del(pt.pt_list)
        __free_pages(ptdesc_page(pt), compound_order(ptdesc_page(pt)))


def kernel_pgtable_async_free_dtor(pt):
    """Queue a table whose destructor the worker runs."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(pt.pt_list, kernel_pgtable_work.dtor)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def kernel_pgtable_async_free_page(page):
    """Queue one page that holds no constructed table."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(page_ptdesc(page).pt_list, kernel_pgtable_work.page)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def kernel_pgtable_async_free_pages(page):
    """Queue a compound page that holds no constructed table."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(page_ptdesc(page).pt_list, kernel_pgtable_work.pages)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def pagetable_free_kernel(pt):
    """The callers of the draft are not in the base: a table that was destructed is pages."""
    if compound_order(ptdesc_page(pt)):
        kernel_pgtable_async_free_pages(ptdesc_page(pt))
    else:
        kernel_pgtable_async_free_page(ptdesc_page(pt))


def schedule_kernel_pgtable_free():
    """Not there yet: the base's initcall, which calls it, has nothing to do."""


# The static initialiser of kernel_pgtable_work:
INIT_LIST_HEAD(kernel_pgtable_work.dtor)
INIT_LIST_HEAD(kernel_pgtable_work.page)
INIT_LIST_HEAD(kernel_pgtable_work.pages)
spin_lock_init(kernel_pgtable_work.lock)
INIT_WORK(kernel_pgtable_work.work, kernel_pgtable_work_func)
