# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/io.h (Linux 7.2): addresses of the direct map.

Leaves out: port I/O, ioremap and its friends.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.page import __pa, __va


def virt_to_phys(address: int) -> int:
    """Physical address of a direct-map address."""
    return __pa(address)


def phys_to_virt(address: int) -> int:
    """Direct-map address of a physical address."""
    return __va(address)
