# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/swap.c (Linux 7.2): what happens when the last reference of a folio goes.

Left out: LRU lists, memory cgroups, huge zero folio, zone device. Hugetlb folios raise Unported.
"""

from __future__ import annotations

from kmm import hooks


def __folio_put(folio: folio) -> None:
    """Free a folio that nobody refers to any more."""
    if folio.page.page_type >> 24 == PGTY_hugetlb:
        raise hooks.Unported("mm/hugetlb.c", "free_huge_folio")

    free_frozen_pages(folio.page, compound_order(folio.page))


def folios_put_refs(folios: folio_batch, refs: list[int] | None) -> None:
    """Drop references of several folios (one each without *refs*); free those that have no more.

    The batch is empty afterwards.
    """
    j = 0
    for i in range(folios.nr):
        folio = folios.folios[i]
        nr_refs = refs[i] if refs else 1

        if not folio_ref_sub_and_test(folio, nr_refs):
            continue

        if folio.page.page_type >> 24 == PGTY_hugetlb:
            raise hooks.Unported("mm/hugetlb.c", "free_huge_folio")

        if j != i:
            folios.folios[j] = folio
        j += 1
    if not j:
        folio_batch_reinit(folios)
        return

    folios.nr = j
    free_unref_folios(folios)


# Declared in mm/internal.h:
from kmm.include.linux.mm import compound_order, folio_ref_sub_and_test
from kmm.include.linux.mm_types import folio
from kmm.include.linux.page_flags import PGTY_hugetlb
from kmm.include.linux.pagevec import folio_batch, folio_batch_reinit
from kmm.mm.page_alloc import free_frozen_pages, free_unref_folios
