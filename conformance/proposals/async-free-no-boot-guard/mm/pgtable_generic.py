# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""Before 2fb552b0bee7."""


def pagetable_free_kernel(pt):
    """Queue a kernel table, already destructed, for the worker to free."""
    spin_lock(kernel_pgtable_work.lock)
    list_add(pt.pt_list, kernel_pgtable_work.list)
    spin_unlock(kernel_pgtable_work.lock)

    schedule_work(kernel_pgtable_work.work)


def schedule_kernel_pgtable_free():
    """Not there yet: the base's initcall, which calls it, has nothing to do."""
