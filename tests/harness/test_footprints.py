# SPDX-License-Identifier: GPL-2.0-only
"""Footprints are complete: the reduced search finds what the unreduced one finds.

``dfs`` runs every interleaving and compares no footprints, so a location that an event forgot shows as a
rule that only ``dfs`` breaks.  Each program here is tiny and once told the two apart.
"""

from __future__ import annotations

import pytest
from judging import judge

PRELUDE = '''\
"""A program of stores."""
from kmm import hooks
from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.mm.page_alloc import free_pages, get_zeroed_page

VERDICT = "sometimes"
pages = {}


def link(table, index, to):
    hooks.store(table + 8 * index, 8, to - PAGE_OFFSET() | 0x67 if to else 0)


def setup():
    for name in "UPTV":
        pages[name] = get_zeroed_page(GFP_KERNEL)
        hooks.frame_is_table((pages[name] - PAGE_OFFSET()) >> 12, name in TABLES)
    pages["pgd"] = (hooks.read_cr3() & 0x000F_FFFF_FFFF_F000) + PAGE_OFFSET()
    prepare(**pages)

'''

PROGRAMS = {
    # Linking a table makes everything below it reachable: what was there then is held.
    "link a subtree, clear an entry in it": '''
TABLES = ""

def prepare(pgd, U, **_):
    link(pgd, 300, U)

def cpu0():
    link(pages["P"], 5, pages["T"])
    link(pages["P"], 5, 0)
    free_pages(pages["T"], 0)

def cpu1():
    link(pages["U"], 7, pages["P"])
''',
    # An entry that appears below a table is held only if the table was linked at some moment since.
    "fill an entry, link and unlink the table above": '''
TABLES = ""

def prepare(pgd, U, **_):
    link(pgd, 300, U)

def cpu0():
    link(pages["P"], 5, pages["T"])

def cpu1():
    link(pages["U"], 7, pages["P"])
    link(pages["U"], 7, 0)
    hooks.invpcid(2, 0, 0)
    free_pages(pages["T"], 0)
''',
    # Who stored last must not decide whether a table is linked.
    "move a link from one table to another": '''
TABLES = "UVT"

def prepare(U, T, **_):
    link(U, 1, T)

def cpu0():
    link(pages["U"], 1, 0)

def cpu1():
    link(pages["V"], 1, pages["T"])
''',
}


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_source_breaks_the_rules_that_dfs_breaks(name: str) -> None:
    text = PRELUDE + PROGRAMS[name]
    every = judge(text, mode="dfs")
    some = judge(text)
    assert some.rules == every.rules
    assert len(some.executions) <= len(every.executions)


def test_dma_depends_on_the_structures_that_bind_it() -> None:
    """A request before its PASID is bound faults; the search tries it before and after."""
    judged = judge('''\
        """A device is faster than its driver."""
        from kmm import hooks
        from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device
        from kmm.include.linux.sched import current
        from kmm.include.linux.sched.mm import mm_alloc

        VERDICT = "never"

        def setup():
            current().mm = mm_alloc()

        def cpu0():
            iommu_sva_bind_device(hooks.device(0), current().mm)

        def device0():
            assert hooks.dma(0, 1, 0x1000) == "fault"
        ''')
    assert judged.rules == set()
    assert len(judged.executions) > 1
