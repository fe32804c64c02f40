# overlay: mm/pgtable-generic.c
# SPDX-License-Identifier: GPL-2.0-only
"""Queue the table; a worker takes the list, tells the IOMMU, and frees what it took. While booting, wait."""


def kernel_pgtable_work_func(work):
    """Take what is queued, make devices forget kernel tables, then free what was taken."""
    page_list = LIST_HEAD()

    spin_lock(kernel_pgtable_work.lock)
    list_splice_tail_init(kernel_pgtable_work.list, page_list)
    spin_unlock(kernel_pgtable_work.lock)

    iommu_sva_invalidate_kva_range(PAGE_OFFSET(), TLB_FLUSH_ALL)

    for pt, _next in list_for_each_entry_safe(ptdesc, page_list, "pt_list"):
        __pagetable_free(pt)


def pagetable_free_kernel(pt):
    """Queue a kernel table for the worker."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(pt.pt_list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    if system_state != SYSTEM_BOOTING:
        schedule_kernel_pgtable_free()
