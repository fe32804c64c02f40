# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""v5 6/8 as posted: queue, and free later."""


def kernel_pgtable_work_func(work):
    """Free the kernel tables that are queued.

    :context: worker.
    """
    page_list = LIST_HEAD()

    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail_init(kernel_pgtable_work.list, page_list)
    spin_unlock(kernel_pgtable_work.lock)

    for pt, _next in list_for_each_entry_safe(ptdesc, page_list, "pt_list"):
        __pagetable_free(pt)


def pagetable_free_kernel(pt):
    """Queue a kernel table for the worker to free."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(pt.pt_list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def schedule_kernel_pgtable_free():
    """Not there yet: the base's initcall, which calls it, has nothing to do."""
