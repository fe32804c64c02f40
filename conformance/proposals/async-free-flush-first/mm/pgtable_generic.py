# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""The draft's order: flush before taking the list."""


def kernel_pgtable_work_func(work):
    """Drop what devices have cached, then free the kernel tables that are queued by now.

    :context: worker; may sleep.
    """
    page_list = LIST_HEAD()

    iommu_sva_invalidate_kva_range(PAGE_OFFSET(), TLB_FLUSH_ALL)

    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail_init(kernel_pgtable_work.list, page_list)
    spin_unlock(kernel_pgtable_work.lock)

    for pt, _next in list_for_each_entry_safe(ptdesc, page_list, "pt_list"):
        __pagetable_free(pt)
