# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""A flush of kernel mappings reaches the IOMMU too, some time later."""

from kmm.include.linux.iommu import iommu_sva_invalidate_kva_range


def flush_tlb_kernel_range(start: int, end: int) -> None:
    """Flush kernel mappings on every CPU, and have a worker flush every IOMMU.

    :context: interrupts on; waits for all CPUs. guard(preempt) holds to the end of the function.
    """
    preempt_disable()

    info = get_flush_tlb_info(None, start, end, PAGE_SHIFT, False, TLB_GENERATION_INVALID)

    if info.end == TLB_FLUSH_ALL:
        kernel_tlb_flush_all(info)
    else:
        kernel_tlb_flush_range(info)

    put_flush_tlb_info()
    iommu_sva_invalidate_kva_range(start, end)
    preempt_enable()
