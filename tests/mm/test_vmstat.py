# SPDX-License-Identifier: GPL-2.0-only
"""mm/vmstat.c: counters that each CPU keeps for itself."""

from __future__ import annotations

from kmm.include.linux.vmstat import NR_PAGETABLE, global_node_page_state, mod_node_page_state
from kmm.mm.vmstat import raw_node_page_state


def test_readers_add_up_what_cpus_counted(world):
    mod_node_page_state(None, NR_PAGETABLE, 3)
    world.on_cpu(2, lambda: mod_node_page_state(None, NR_PAGETABLE, -1))
    assert global_node_page_state(NR_PAGETABLE) == 2
    assert not world.calls("write")


def test_an_imbalance_shows_below_zero(world):
    mod_node_page_state(None, NR_PAGETABLE, -1)
    assert global_node_page_state(NR_PAGETABLE) == 0
    assert raw_node_page_state(NR_PAGETABLE) == -1
