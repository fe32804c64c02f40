# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/mm_init.c (Linux 7.2): the zero page.

``zero_pfn()`` and ``is_zero_pfn()`` stand in include/linux/pgtable.h in C; they live beside the
variable that they read, because an int imported from another module is a copy.

:deviation: the zero page comes from the page allocator, in C it is part of the kernel image.
"""

from __future__ import annotations

from kmm.include.linux.gfp import alloc_page, gfp_t
from kmm.include.linux.gfp_types import __GFP_ZERO, GFP_KERNEL
from kmm.include.linux.mm import page_to_pfn

#: Frame that reads of untouched anonymous memory see; -1 until boot has made it.
zero_page_pfn: int = -1


def init_zero_page_pfn() -> None:
    """Make the zero page. :context: boot, with the page allocator up."""
    global zero_page_pfn
    page = alloc_page(gfp_t(GFP_KERNEL | __GFP_ZERO))
    assert page is not None
    zero_page_pfn = page_to_pfn(page)


def zero_pfn(addr: int) -> int:
    """The frame of the zero page."""
    assert zero_page_pfn >= 0, "init_zero_page_pfn() was not called"
    return zero_page_pfn


def is_zero_pfn(pfn: int) -> bool:
    """Whether *pfn* is the zero page."""
    return pfn == zero_page_pfn
