# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""A work item per flush, if there is memory for one."""

from kmm.c import container_of, struct
from kmm.include.linux.gfp import GFP_ATOMIC
from kmm.include.linux.workqueue import schedule_work, work_struct


class kva_invalidation_work_data(struct):
    """A flush that is still to be done."""

    work: work_struct
    start: int
    end: int


def invalidate_kva_func(work):
    """Flush a kernel range on every IOMMU, in every mm that is bound.

    :context: worker; may sleep.
    """
    data = container_of(work, kva_invalidation_work_data, "work")

    mutex_lock(iommu_sva_lock)
    for iommu_mm in list_for_each_entry(iommu_mm_data, iommu_sva_mms, "mm_list_elm"):
        mmu_notifier_arch_invalidate_secondary_tlbs(iommu_mm.mm, data.start, data.end)
    mutex_unlock(iommu_sva_lock)

    kfree(data)


def iommu_sva_invalidate_kva_range(start: int, end: int) -> None:
    """Have a worker flush a kernel range; without memory, do not.

    :context: any.
    """
    if not iommu_sva_present:
        return

    data = kzalloc_obj(kva_invalidation_work_data, GFP_ATOMIC)
    if not data:
        return

    data.start = start
    data.end = end
    INIT_WORK(data.work, invalidate_kva_func)
    schedule_work(data.work)
