# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/mm_init.c (Linux 7.2): the zero page.

:deviation: the zero page comes from the page allocator, in C it is part of the kernel image.
"""

from __future__ import annotations

from kmm.include.linux.gfp import alloc_page
from kmm.include.linux.gfp_types import __GFP_ZERO, GFP_KERNEL
from kmm.include.linux.mm import page_to_pfn
from kmm.include.linux.pgtable import zero_page_pfn
from kmm.include.linux.types import gfp_t


def init_zero_page_pfn() -> None:
    """Make the page that reads of untouched anonymous memory see. :context: boot."""
    page = alloc_page(gfp_t(GFP_KERNEL | __GFP_ZERO))
    assert page is not None
    zero_page_pfn.value = page_to_pfn(page)
