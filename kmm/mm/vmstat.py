# SPDX-License-Identifier: GPL-2.0-only
"""Model of mm/vmstat.c: counters of the one node.

Each CPU counts for itself and readers add up, so counting on different CPUs commutes and is no event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.include.linux.percpu import PERCPU_AREAS
from kmm.include.linux.vmstat import NR_VM_NODE_STAT_ITEMS

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import folio

#: ``vm_node_stat[cpu][item]``.
vm_node_stat = [[0] * NR_VM_NODE_STAT_ITEMS for _ in range(PERCPU_AREAS)]
#: How many pages NR_PAGETABLE counts for each table, by its first frame.
counted_tables: dict[int, int] = {}


def count_table(folio: folio, pages: int) -> None:
    """Watch the balance of constructors and destructors, which the kernel leaves to the sum."""
    pfn = folio.page._pfn
    counted = counted_tables.get(pfn, 0)
    if counted + pages not in (0, abs(pages)):
        verb = "constructed" if pages > 0 else "destructed"
        hooks.violation("page-table-accounting", "lruvec_stat_mod_folio", pfn=pfn,
                        summary=f"a page table is {verb} that is {verb} already")
        return
    counted_tables[pfn] = counted + pages


def mod_node_page_state(pgdat: object, item: int, delta: int) -> None:
    """Add to a counter. Context: any."""
    vm_node_stat[hooks.smp_processor_id()][item] += delta


def global_node_page_state(item: int) -> int:
    """A counter; negative values, which a sum can pass through, read as 0."""
    return max(sum(counters[item] for counters in vm_node_stat), 0)


def node_page_state(pgdat: object, item: int) -> int:
    """A counter of one node."""
    return global_node_page_state(item)


def raw_node_page_state(item: int) -> int:
    """A counter as it is, below 0 too: what the balance of constructors and destructors shows."""
    return sum(counters[item] for counters in vm_node_stat)
