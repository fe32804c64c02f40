# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/highmem.h (Linux 7.2): new pages for user memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.include.linux.gfp_types import __GFP_ZERO, GFP_HIGHUSER_MOVABLE
from kmm.include.linux.types import gfp_t

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio, vm_area_struct


def vma_alloc_zeroed_movable_folio(vma: vm_area_struct, vaddr: int) -> folio | None:
    """A zeroed page for *vma*, None if memory ran out. No memory policies."""
    return folio_alloc(gfp_t(GFP_HIGHUSER_MOVABLE | __GFP_ZERO), 0)


# Declared in gfp.h:
from kmm.include.linux.gfp import folio_alloc
