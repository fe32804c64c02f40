# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/mm_internal.h (Linux 7.2)."""

from __future__ import annotations


def alloc_low_page() -> int:
    """One zeroed page for a kernel page table; its direct-map address."""
    return alloc_low_pages(1)


# Declared here, defined there:
from kmm.arch.x86.mm.init import alloc_low_pages
