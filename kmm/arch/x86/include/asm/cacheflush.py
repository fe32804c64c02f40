# SPDX-License-Identifier: GPL-2.0-only
"""Model of arch/x86/include/asm/cacheflush.h and clflush_cache_range() of mm/pat/set_memory.c.

Data caches are not modelled: every agent sees memory as it is, so writing back has nothing to do.
"""

from __future__ import annotations


def clflush_cache_range(vaddr: int, size: int) -> None:
    """Write back and drop the cache lines of a range; nothing to do, see the module."""
