# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: F821 - executed in the namespace of the file it patches
# mypy: ignore-errors
"""The callers of the draft: who frees a kernel table leaves its destructor to the worker."""

from kmm.mm.pgtable_generic import kernel_pgtable_async_free_dtor


def pagetable_dtor_free(ptdesc):
    """Destructor, then free; for a kernel table the worker does both."""
    if ptdesc_test_kernel(ptdesc):
        ptdesc_clear_kernel(ptdesc)
        kernel_pgtable_async_free_dtor(ptdesc)
        return
    pagetable_dtor(ptdesc)
    pagetable_free(ptdesc)
