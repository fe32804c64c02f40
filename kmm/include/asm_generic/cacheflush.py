# SPDX-License-Identifier: GPL-2.0-only
"""Stub of include/asm-generic/cacheflush.h: caches that need no flushing.

Sound for architectures whose caches are physically tagged and snooped, which are those kmm models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct, vm_area_struct


def flush_cache_mm(mm: mm_struct) -> None:
    """Before all mappings of *mm* go: nothing."""


def flush_cache_range(vma: vm_area_struct, start: int, end: int) -> None:
    """Before mappings of a range go: nothing."""


def flush_cache_vmap(start: int, end: int) -> None:
    """After kernel mappings were made: nothing."""


def flush_cache_vunmap(start: int, end: int) -> None:
    """Before kernel mappings go: nothing."""
