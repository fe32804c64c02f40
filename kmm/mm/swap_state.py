# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/swap_state.c (Linux 7.2): drop references of pages that were unmapped.

There is no swap: free_swap_cache() finds nothing to free. CONFIG symbols: none.
"""

from __future__ import annotations

from typing import Any


def free_swap_cache(folio: folio) -> None:
    """Nothing is in the swap cache."""


def free_folio_and_swap_cache(folio: folio) -> None:
    """Drop one reference of a folio."""
    free_swap_cache(folio)
    folio_put(folio)


def free_pages_and_swap_cache(pages: list[Any], nr: int) -> None:
    """Drop the references that *nr* entries of an array of encoded pages stand for.

    A folio that has others lives on. A page with a count drops as many at once.

    :param pages: ``struct encoded_page **``.
    :param nr: entries, not pages.
    """
    folios = folio_batch()
    refs = [0] * FOLIO_BATCH_SIZE

    folio_batch_init(folios)
    i = 0
    while i < nr:
        folio = page_folio(encoded_page_ptr(pages[i]))

        free_swap_cache(folio)
        refs[folios.nr] = 1
        if encoded_page_flags(pages[i]) & ENCODED_PAGE_BIT_NR_PAGES_NEXT:
            at = folios.nr
            i += 1
            refs[at] = encoded_nr_pages(pages[i])

        if folio_batch_add(folios, folio) == 0:
            folios_put_refs(folios, refs)
        i += 1
    if folios.nr:
        folios_put_refs(folios, refs)


# Needed only once something runs, so that headers may include each other:
from kmm.include.linux.mm import folio_put
from kmm.include.linux.mm_types import (
    ENCODED_PAGE_BIT_NR_PAGES_NEXT,
    encoded_nr_pages,
    encoded_page_flags,
    encoded_page_ptr,
    folio,
)
from kmm.include.linux.page_flags import page_folio
from kmm.include.linux.pagevec import (
    FOLIO_BATCH_SIZE,
    folio_batch,
    folio_batch_add,
    folio_batch_init,
)
from kmm.mm.swap import folios_put_refs
