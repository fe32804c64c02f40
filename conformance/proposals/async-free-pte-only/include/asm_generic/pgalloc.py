# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""PMD tables of the kernel are freed at once."""

from kmm.include.linux.mm import __pagetable_free, pagetable_dtor, ptdesc_clear_kernel, ptdesc_test_kernel


def pmd_free(mm, pmd):
    """Free a PMD table, whoever's it is, without waiting for devices."""
    ptdesc = virt_to_ptdesc(pmd)

    BUG_ON(int(pmd) & (PAGE_SIZE - 1))
    pagetable_dtor(ptdesc)
    if ptdesc_test_kernel(ptdesc):
        ptdesc_clear_kernel(ptdesc)
    __pagetable_free(ptdesc)
