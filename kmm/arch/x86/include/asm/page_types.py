# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/page_types.h (Linux 7.2), 64-bit.

``PAGE_OFFSET()`` and ``__VIRTUAL_MASK()`` are functions: in C they expand to variables that early
boot sets. Left out: the kernel image, encryption masks (CONFIG_DYNAMIC_PHYSICAL_MASK), devmem.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.page_64_types import (
    __PAGE_OFFSET,
    __PHYSICAL_MASK_SHIFT,
    __VIRTUAL_MASK_SHIFT,
    DEFAULT_MAP_WINDOW,
    TASK_SIZE,
    TASK_SIZE_LOW,
    TASK_SIZE_MAX,
    __START_KERNEL_map,
)
from kmm.c import ulong
from kmm.include.vdso.page import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE

__all__ = [
    "DEFAULT_MAP_WINDOW",
    "HPAGE_MASK",
    "HPAGE_SHIFT",
    "HPAGE_SIZE",
    "HUGETLB_PAGE_ORDER",
    "PAGE_MASK",
    "PAGE_OFFSET",
    "PAGE_SHIFT",
    "PAGE_SIZE",
    "PHYSICAL_PAGE_MASK",
    "PHYSICAL_PMD_PAGE_MASK",
    "PHYSICAL_PUD_PAGE_MASK",
    "TASK_SIZE",
    "TASK_SIZE_LOW",
    "TASK_SIZE_MAX",
    "__PAGE_OFFSET",
    "__PHYSICAL_MASK",
    "__PHYSICAL_MASK_SHIFT",
    "__VIRTUAL_MASK",
    "__VIRTUAL_MASK_SHIFT",
    "__START_KERNEL_map",
]


def __VIRTUAL_MASK() -> int:
    """The bits of an address that a user pointer may have set."""
    return (1 << __VIRTUAL_MASK_SHIFT()) - 1


__PHYSICAL_MASK = (1 << __PHYSICAL_MASK_SHIFT) - 1

# PMD_SHIFT and PUD_SHIFT are macros in C and may be named before they are defined.
PHYSICAL_PAGE_MASK = PAGE_MASK & __PHYSICAL_MASK
PHYSICAL_PMD_PAGE_MASK = ulong(~((1 << 21) - 1)) & __PHYSICAL_MASK
PHYSICAL_PUD_PAGE_MASK = ulong(~((1 << 30) - 1)) & __PHYSICAL_MASK

HPAGE_SHIFT = 21
HPAGE_SIZE = 1 << HPAGE_SHIFT
HPAGE_MASK = ulong(~(HPAGE_SIZE - 1))
HUGETLB_PAGE_ORDER = HPAGE_SHIFT - PAGE_SHIFT


def PAGE_OFFSET() -> int:
    """First kernel virtual address of the direct map."""
    return __PAGE_OFFSET()
