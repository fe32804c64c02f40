# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/rmap.h: who maps a page is counted, not recorded.

Left out: the trees that lead from a page to its mappings, and everything that walks them.
"""

from __future__ import annotations

from kmm.c import struct

RMAP_NONE = 0
RMAP_EXCLUSIVE = 1 << 0
RMAP_COMPOUND = 1 << 1


class anon_vma(struct):
    """What anonymous pages of a VMA have in common. Only its presence means anything here."""

    num_active_vmas: int


# Declared here, defined there:
from kmm.mm.rmap import folio_add_new_anon_rmap as folio_add_new_anon_rmap
from kmm.mm.rmap import folio_remove_rmap_ptes as folio_remove_rmap_ptes
