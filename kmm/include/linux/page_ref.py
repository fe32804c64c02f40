# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/page_ref.h (Linux 7.2): references taken without knowing that there is one.

The plain operations stand in :mod:`kmm.include.linux.mm`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.include.linux.atomic import atomic_add_unless

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio


def folio_ref_add_unless_zero(folio: folio, nr: int) -> bool:
    """Add references unless the folio is free; whether it was not."""
    return atomic_add_unless(folio._refcount, nr, 0)


def folio_ref_try_add(folio: folio, count: int) -> bool:
    """Add references unless the folio is free; whether it was not."""
    return folio_ref_add_unless_zero(folio, count)
