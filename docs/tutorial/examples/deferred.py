# overlay: mm/pgtable-generic.c
# SPDX-License-Identifier: GPL-2.0-only
"""Queue the table; a worker, which may sleep, tells the IOMMU and frees what is queued."""


def kernel_pgtable_work_func(work):
    """Make devices forget kernel tables, then free those that are queued."""
    page_list = LIST_HEAD()

    iommu_sva_invalidate_kva_range(PAGE_OFFSET(), TLB_FLUSH_ALL)

    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail_init(kernel_pgtable_work.list, page_list)
    spin_unlock(kernel_pgtable_work.lock)

    for pt, _next in list_for_each_entry_safe(ptdesc, page_list, "pt_list"):
        __pagetable_free(pt)


def pagetable_free_kernel(pt):
    """Queue a kernel table for the worker."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(pt.pt_list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_kernel_pgtable_free()
