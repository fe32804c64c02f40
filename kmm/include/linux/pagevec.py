# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/pagevec.h (Linux 7.2): up to 31 folios at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.c import struct

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio

# What makes struct folio_batch a power of two in size.
FOLIO_BATCH_SIZE = 31


class folio_batch(struct):
    """``struct folio_batch``."""

    nr: int
    i: int
    percpu_pvec_drained: bool
    folios: list[Any]


def folio_batch_init(fbatch: folio_batch) -> None:
    """Make a batch empty."""
    fbatch.nr = 0
    fbatch.i = 0
    fbatch.percpu_pvec_drained = False
    fbatch.folios = [None] * FOLIO_BATCH_SIZE


def folio_batch_reinit(fbatch: folio_batch) -> None:
    """Make a batch empty again."""
    fbatch.nr = 0
    fbatch.i = 0


def folio_batch_count(fbatch: folio_batch) -> int:
    """Number of folios."""
    return fbatch.nr


def folio_batch_space(fbatch: folio_batch) -> int:
    """Number of free slots."""
    return FOLIO_BATCH_SIZE - fbatch.nr


def folio_batch_add(fbatch: folio_batch, folio: folio) -> int:
    """Add a folio; the number of free slots left."""
    fbatch.folios[fbatch.nr] = folio
    fbatch.nr += 1
    return folio_batch_space(fbatch)
