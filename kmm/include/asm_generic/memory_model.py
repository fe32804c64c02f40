# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/asm-generic/memory_model.h (Linux 7.2), CONFIG_SPARSEMEM_VMEMMAP.

The array of ``struct page`` is a dict that fills as frames are first named: the object for a frame
is always the same one, so identity is pointer equality.
"""

from __future__ import annotations

from kmm import hooks

vmemmap: dict[int, page] = {}


def pfn_to_page(pfn: int) -> page:
    """The ``struct page`` of a frame number. As in C, it may lie outside memory; see pfn_valid()."""
    p = vmemmap.get(pfn)
    if p is None:
        p = vmemmap[pfn] = struct_page_of(pfn)
    return p


def page_to_pfn(page: page) -> int:
    """The frame number of a ``struct page``."""
    return page._pfn


def pfn_valid(pfn: int) -> bool:
    """Whether physical memory has this frame."""
    return 0 <= pfn < hooks.memory_frames()


# Needed only once something runs, so that headers may include each other:
from kmm.include.linux.mm_types import page, struct_page_of
