# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/boot/startup/map_kernel.c (Linux 7.2), the five-level decision only.

Building the identity map and the kernel image mapping belongs to the bench: a booted kmm kernel
starts with the direct map and nothing else.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.page_64_types import __PAGE_OFFSET_BASE_L5, set_page_offset_base
from kmm.arch.x86.include.asm.pgtable_64_types import set_pgtable_levels_5

__all__ = ["check_la57_support"]


def check_la57_support() -> bool:
    """Lay the kernel's address space out for five levels if the CPU runs with them.

    :return: whether it does.
    :context: boot, before anything computes an address.
    :deviation: takes over the assignments of x86_64_start_kernel() in arch/x86/kernel/head64.c.
    """
    if not hooks.cpu_has("LA57"):
        return False
    set_pgtable_levels_5()
    set_page_offset_base(__PAGE_OFFSET_BASE_L5)
    return True
