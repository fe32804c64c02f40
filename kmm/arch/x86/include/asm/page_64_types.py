# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/page_64_types.h (Linux 7.2).

What the C macros read from variables that early boot sets (4 or 5 levels of tables) are functions
here: ``__PAGE_OFFSET()``, ``TASK_SIZE()``, ``__VIRTUAL_MASK_SHIFT()``.  Left out: stack orders, IST
indices and 32-bit tasks.

:deviation: ``page_offset_base`` of arch/x86/kernel/head64.c lives here, beside the macro that reads
    it, because an int imported from another module is a copy. ``set_page_offset_base`` writes it.
"""

from __future__ import annotations

from kmm.include.vdso.page import PAGE_SIZE

__PAGE_OFFSET_BASE_L5 = 0xff11000000000000
__PAGE_OFFSET_BASE_L4 = 0xffff888000000000

page_offset_base: int = __PAGE_OFFSET_BASE_L4


def set_page_offset_base(base: int) -> None:
    """What early boot does to ``page_offset_base`` when it finds five levels."""
    global page_offset_base
    page_offset_base = base


def __PAGE_OFFSET() -> int:
    """Where the direct map of all physical memory starts."""
    return page_offset_base


__START_KERNEL_map = 0xffffffff80000000

__PHYSICAL_MASK_SHIFT = 52


def __VIRTUAL_MASK_SHIFT() -> int:
    """Bits of a user address: 47, or 56 with five levels."""
    return 56 if pgtable_l5_enabled() else 47


def task_size_max() -> int:
    """``task_size_max()`` of page_64.h: one guard page below the canonical hole."""
    return ((1 << 56) if pgtable_l5_enabled() else (1 << 47)) - PAGE_SIZE


def TASK_SIZE_MAX() -> int:
    """First address that no task can ever map."""
    return task_size_max()


DEFAULT_MAP_WINDOW = (1 << 47) - PAGE_SIZE


def TASK_SIZE_LOW() -> int:
    """Where mmap looks for space unless asked for more."""
    return DEFAULT_MAP_WINDOW


def TASK_SIZE() -> int:
    """End of the address space of the current (64-bit) task."""
    return TASK_SIZE_MAX()


# Declared here, defined there:
from kmm.arch.x86.include.asm.pgtable_64_types import pgtable_l5_enabled
