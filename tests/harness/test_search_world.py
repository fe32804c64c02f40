# SPDX-License-Identifier: GPL-2.0-only
"""The reduced search against the unreduced one, on kernel code: fewer schedules, the same verdicts.

``dfs`` tries every order of every two events, ``sleep`` leaves out what only swaps independent ones, and
``source`` is what kmm uses.  They agree on which rules can be broken and on every final state.
"""

from __future__ import annotations

import pytest
from explorer_programs import canonical
from judging import explored, world_of

from kmm.harness.search import explore

#: Two CPUs each link a PTE table at the same address; the second finds the first one's.
POPULATE = """
    from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
    from kmm.include.linux.pgtable import pmd_off_k
    from kmm.mm.memory import __pte_alloc_kernel
    from kmm.mm.vmalloc import vmap_page_range
    from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL

    def at():
        return VMALLOC_START() + 16 * PMD_SIZE

    def setup():
        assert vmap_page_range(at() - 4096, at(), 4 << 30, PAGE_KERNEL) == 0

    def links():
        hooks.wait("none", lambda: True)
        assert __pte_alloc_kernel(pmd_off_k(at())) == 0

    cpu0 = links
    cpu1 = links
"""

#: A list under a lock, and one who looks without it.
LIST = """
    from kmm.include.linux.list import LIST_HEAD, list_add, list_del, list_empty
    from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spin_lock, spin_unlock
    from kmm.include.linux.types import list_head

    lock, head = DEFINE_SPINLOCK(), LIST_HEAD()

    def cpu0():
        node = list_head()
        spin_lock(lock)
        list_add(node, head)
        spin_unlock(lock)

    def cpu1():
        spin_lock(lock)
        if not list_empty(head):
            list_del(head.next)
        spin_unlock(lock)
"""

#: Without the lock: both may see an empty list, and neither sees the other's node.
UNLOCKED = LIST.replace("spin_lock(lock)", "pass").replace("spin_unlock(lock)", "pass")

#: One frees an object that another may still use under RCU.
RCU = """
    from kmm.c import struct
    from kmm.include.linux.compiler import READ_ONCE_FIELD, WRITE_ONCE_FIELD
    from kmm.include.linux.rcupdate import rcu_read_lock, rcu_read_unlock
    from kmm.include.linux.types import rcu_head
    from kmm.kernel.rcu.tree import call_rcu
    from kmm.mm.slab import kfree, kzalloc_obj

    class item(struct):
        rcu: rcu_head
        value: int

    class slot(struct):
        item: item | None

    published = slot.zeroed()

    def setup():
        published.item = kzalloc_obj(item)

    def cpu0():
        rcu_read_lock()
        found = READ_ONCE_FIELD(published, "item")
        if found is not None:
            READ_ONCE_FIELD(found, "value")
        rcu_read_unlock()

    def cpu1():
        old = published.item
        WRITE_ONCE_FIELD(published, "item", None)
        {free}
"""

SCENARIOS = {
    "a list under a lock": (LIST, set()),
    "a list without one": (UNLOCKED, set()),
    "RCU": (RCU.replace("{free}", "call_rcu(old.rcu, lambda head: kfree(old))"), set()),
    "no grace period": (RCU.replace("{free}", "kfree(old)"), {"object-use-after-free"}),
}


def final_state(world):
    """What is left: memory and every static object that is not as it was."""
    return hash(bytes(world.machine.memory.buffer)), tuple(world.image.differences())


@pytest.mark.parametrize("name", SCENARIOS)
def test_modes_agree(name):
    text, rules = SCENARIOS[name]
    world = world_of(text)
    judged = {mode: explored(world, mode=mode, observe=final_state) for mode in ("source", "sleep", "dfs")}
    for mode, other in judged.items():
        assert other.result.complete, mode
        assert other.rules == rules, mode
        assert set(other.observed) == set(judged["source"].observed), mode
        assert set(other.executions) == set(judged["source"].executions), mode
    schedules = {mode: other.result.executions for mode, other in judged.items()}
    assert schedules["source"] <= schedules["sleep"] <= schedules["dfs"]
    assert schedules["source"] < schedules["dfs"]


def test_modes_agree_on_kernel_tables():
    """Two CPUs populate one PMD entry: either's table is linked, and the other's freed. Too much for dfs."""
    world = world_of(POPULATE, config={"ASYNC_KERNEL_PGTABLE_FREE": "n"})
    source = explored(world, observe=final_state)
    sleep = explored(world, mode="sleep", observe=final_state)
    assert source.result.executions == sleep.result.executions == 2
    assert source.rules == sleep.rules == set()
    assert set(source.observed) == set(sleep.observed) and len(set(source.observed)) == 2


@pytest.mark.parametrize("name", SCENARIOS)
def test_source_runs_no_trace_twice(name):
    """Two schedules that order the conflicting events alike are one trace, and optimal is once each."""
    world = world_of(SCENARIOS[name][0])
    traces = []

    def at_end(core, status):
        traces.append(canonical(core))
        return world.at_end(core, status)

    result = explore(world.start, world.reset, at_end=at_end)
    assert len(set(traces)) == len(traces) == result.executions
