# SPDX-License-Identifier: GPL-2.0-only
"""Saturating caches: what an agent may hold, rule by rule, and against a naive model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmm_ext.holds import Hold, Holds, Leaves, Structures
from kmm_ext.memory import Memory
from kmm_ext.x86 import CPU, PageFault

P, RW, US, A, D, PS, G = 1, 2, 4, 0x20, 0x40, 0x80, 0x100
TABLE = P | RW | US | A
PAGE = TABLE | D
FRAMES = 64
PGD, PUD, PMD, PTE, DATA, OTHER = 1, 2, 3, 4, 5, 6
VA = 0x1000          # PTE index 1
KERNEL = 0xFFFF_8000_0000_0000


def put(memory: Memory, frame: int, index: int, entry: int) -> None:
    memory.store(frame * 4096 + 8 * index, 8, entry)


def to(frame: int, flags: int = TABLE) -> int:
    return frame << 12 | flags


@pytest.fixture
def memory() -> Memory:
    """One mapping: VA -> frame DATA through PGD, PUD, PMD, PTE."""
    memory = Memory(FRAMES)
    put(memory, PGD, 0, to(PUD))
    put(memory, PUD, 0, to(PMD))
    put(memory, PMD, 0, to(PTE))
    put(memory, PTE, 1, to(DATA, PAGE))
    return memory


@pytest.fixture
def holds(memory: Memory) -> Holds:
    return Holds(memory)


def brief(found: list[Hold]) -> list[tuple[str, str, int, bool]]:
    return [(hold.context, hold.kind, hold.level, hold.stale) for hold in found]


def test_activate_holds_all_that_is_reachable_without_an_access(holds: Holds) -> None:
    """Rules 40 and 52."""
    cpu = holds.context("cpu0")
    assert holds.holders(PTE) == []
    holds.activate(cpu, PGD << 12)
    assert brief(holds.holders(PGD)) == [("cpu0", "root", 4, False)]
    assert holds.holders(PTE) == [
        Hold("cpu0", "intermediate", 1, 0, PTE, PMD << 12, to(PTE, P | RW | US), False, True)]
    assert holds.holders(DATA) == [
        Hold("cpu0", "leaf", 1, VA, DATA, (PTE << 12) + 8, to(DATA, P | RW | US | D), False, True)]
    assert holds.take_effects().added == (PGD, PUD, PMD, PTE)


def test_store_of_a_table_entry_holds_the_table_and_what_is_below(memory: Memory, holds: Holds) -> None:
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    put(memory, OTHER, 3, to(9, PAGE))
    assert not holds.is_held(OTHER)
    put(memory, PMD, 1, to(OTHER))
    assert brief(holds.holders(OTHER)) == [("cpu0", "intermediate", 1, False)]
    assert [hold.va for hold in holds.holders(9)] == [0x200000 + 0x3000]


def test_reserved_bits_and_absent_entries_are_never_held(memory: Memory) -> None:
    """Rule 39."""
    holds = Holds(memory, maxphyaddr=46)
    holds.activate(holds.context("cpu0"), PGD << 12)
    put(memory, PMD, 1, to(OTHER) | 1 << 50)
    put(memory, PMD, 2, to(OTHER) & ~P)
    put(memory, PMD, 3, to(OTHER) | PS)          # bits 20:13 of a 2 MiB page are reserved
    assert holds.holders(OTHER) == []


def test_cleared_entry_stays_held_until_an_invalidation_covers_it(memory: Memory, holds: Holds) -> None:
    """Rules 42, 54, 87, 88."""
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    put(memory, PMD, 0, 0)
    assert brief(holds.holders(PTE)) == [("cpu0", "intermediate", 1, True)]
    assert brief(holds.holders(DATA)) == [("cpu0", "leaf", 1, False)]
    put(memory, PTE, 1, 0)
    assert brief(holds.holders(DATA)) == [("cpu0", "leaf", 1, True)]
    holds.take_effects()
    holds.invlpg(cpu, VA)
    assert holds.holders(PTE) == holds.holders(DATA) == []
    effects = holds.take_effects()
    assert effects.dropped == (PTE,)
    assert set(effects.scanned) == {PGD, PUD, PMD, PTE}


def test_invalidation_before_the_store_proves_nothing(memory: Memory, holds: Holds) -> None:
    """Rule 92."""
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    holds.invlpg(cpu, VA)
    put(memory, PMD, 0, 0)
    assert holds.is_held(PTE)


def test_stale_intermediate_turns_garbage_into_translations(memory: Memory, holds: Holds) -> None:
    """Rule 56: a freed table that is still held is read, and may be written, as a table."""
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    put(memory, PMD, 0, 0)
    put(memory, PTE, 1, 0)
    put(memory, PTE, 7, to(33, P | RW | US))          # the frame now holds someone's data
    assert [(hold.va, hold.stale) for hold in holds.holders(33)] == [(0x7000, False)]
    assert holds.would_write(PTE)
    outcomes = holds.access(cpu, 0x7000, write=True)
    assert [outcome.fault for outcome in outcomes] == ["not-present", None]
    assert outcomes[1].pa == 33 << 12
    assert outcomes[1].via is not None and outcomes[1].via.pfn == PTE
    assert holds.perform(outcomes[1])
    assert memory.load((PTE << 12) + 56, 8) & (A | D) == A | D


def test_leaf_survives_the_loss_of_its_table(memory: Memory, holds: Holds) -> None:
    """Rules 61 and 62: INVLPG drops every structure entry, but one address's translations."""
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    put(memory, PTE, 2, to(9, PAGE))
    put(memory, PMD, 0, 0)
    holds.invlpg(cpu, VA)
    assert holds.holders(PTE) == holds.holders(DATA) == []
    assert brief(holds.holders(9)) == [("cpu0", "leaf", 1, False)]
    holds.invlpg(cpu, 0x2000)
    assert holds.holders(9) == []


def test_invpcid_0_keeps_structure_entries_of_other_addresses(memory: Memory, holds: Holds) -> None:
    """Rule 64."""
    agent = holds.agent("cpu0")
    cpu = holds.context("cpu0/pcid1", agent=agent, tag=1)
    holds.activate(cpu, PGD << 12)
    put(memory, PMD, 1, to(OTHER))
    put(memory, PMD, 0, 0)
    put(memory, PMD, 1, 0)
    holds.invpcid(agent, 0, 1, VA)
    assert not holds.is_held(PTE)
    assert holds.is_held(OTHER)
    holds.invpcid(agent, 1, 1)
    assert not holds.is_held(OTHER)


def test_global_leaves_survive_mov_cr3_and_serve_every_pcid(memory: Memory, holds: Holds) -> None:
    """Rules 44, 57, 60, 69, 70."""
    agent = holds.agent("cpu0")
    one = holds.context("cpu0/pcid1", agent=agent, tag=1)
    two = holds.context("cpu0/pcid2", agent=agent, tag=2)
    put(memory, PTE, 1, to(DATA, PAGE | G))
    holds.mov_cr3(one, PGD << 12)
    put(memory, PTE, 1, 0)
    put(memory, PMD, 0, 0)
    holds.mov_cr3(one, PGD << 12)                     # flushes the structure entries, not G
    assert not holds.is_held(PTE)
    assert brief(holds.holders(DATA)) == [("cpu0/pcid1", "leaf", 1, True)]
    holds.mov_cr3(two, OTHER << 12)
    assert [outcome.pa for outcome in holds.access(two, VA)] == [None, DATA << 12]
    holds.invlpg(two, VA)
    assert holds.holders(DATA, inactive=True) == []


def test_global_leaves_of_a_shared_table_survive_in_one_place(memory: Memory, holds: Holds) -> None:
    agent = holds.agent("cpu0")
    one = holds.context("cpu0/pcid1", agent=agent, tag=1)
    two = holds.context("cpu0/pcid2", agent=agent, tag=2)
    put(memory, PTE, 1, to(DATA, PAGE | G))
    put(memory, OTHER, 0, to(PUD))
    holds.mov_cr3(one, PGD << 12)
    holds.mov_cr3(two, OTHER << 12)
    holds.mov_cr3(one, PGD << 12)
    assert len(holds.holders(DATA, inactive=True)) == 2
    put(memory, PTE, 1, 0)
    assert {hold.context for hold in holds.holders(DATA)} == {"cpu0/pcid1", "cpu0/pcid2"}


def test_other_pcids_keep_what_they_hold_and_use_it_when_they_return(memory: Memory, holds: Holds) -> None:
    """Rules 70, 71, 88, 94."""
    agent = holds.agent("cpu0")
    one = holds.context("cpu0/pcid1", agent=agent, tag=1)
    two = holds.context("cpu0/pcid2", agent=agent, tag=2)
    holds.mov_cr3(one, PGD << 12)
    holds.mov_cr3(two, OTHER << 12)
    put(memory, PMD, 0, 0)
    memory.set_state(PTE, 0)
    assert holds.holders(PTE) == []
    assert brief(holds.holders(PTE, inactive=True)) == [("cpu0/pcid1", "intermediate", 1, True)]
    put(memory, PTE, 9, to(33, PAGE))                 # not absorbed: nobody walks with PCID 1 now
    assert holds.holders(33, inactive=True) == []
    holds.mov_cr3(one, PGD << 12, flush=False)
    assert PTE in [hold.pfn for hold in holds.strays(one)]
    assert brief(holds.holders(33)) == [("cpu0/pcid1", "leaf", 1, False)]
    holds.mov_cr3(two, OTHER << 12)
    holds.mov_cr3(one, PGD << 12)
    assert not holds.is_held(PTE)


def test_take_effects_tells_of_tables_that_come_into_and_go_out_of_use(memory: Memory, holds: Holds) -> None:
    agent = holds.agent("cpu0")
    one = holds.context("cpu0/pcid1", agent=agent, tag=1)
    two = holds.context("cpu0/pcid2", agent=agent, tag=2)
    holds.mov_cr3(one, PGD << 12)
    holds.take_effects()
    holds.mov_cr3(two, OTHER << 12, flush=False)
    effects = holds.take_effects()
    assert effects.added == (OTHER,) and set(effects.dropped) == {PGD, PUD, PMD, PTE}
    put(memory, PMD, 0, 0)
    holds.mov_cr3(one, PGD << 12, flush=False)
    effects = holds.take_effects()
    assert set(effects.added) == {PGD, PUD, PMD, PTE} and effects.dropped == (OTHER,)


def test_mov_cr3_to_the_same_root_is_a_flush_without_growth(memory: Memory, holds: Holds) -> None:
    cpu = holds.context("cpu0")
    holds.mov_cr3(cpu, PGD << 12)
    count = holds.held_entries
    for flush in (False, True, False, False):
        holds.mov_cr3(cpu, PGD << 12, flush=flush)
        assert holds.held_entries == count


def test_mov_cr3_without_flush_keeps_the_old_roots_entries(memory: Memory, holds: Holds) -> None:
    """Rule 71: also when the root changed under the same PCID."""
    cpu = holds.context("cpu0")
    holds.mov_cr3(cpu, PGD << 12)
    holds.mov_cr3(cpu, OTHER << 12, flush=False)
    assert holds.is_held(PUD) and holds.is_held(PTE)
    assert not holds.is_held(PGD)
    holds.mov_cr3(cpu, OTHER << 12)
    assert not holds.is_held(PUD)


def test_lost_dirty_bit_is_possible_after_clearing_d(memory: Memory, holds: Holds) -> None:
    """Rule 86: a cached D lets a store go by without setting D in memory."""
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    put(memory, PTE, 1, to(DATA, TABLE))
    writes = [outcome.writes for outcome in holds.access(cpu, VA, write=True)]
    assert len(writes) == 2 and () in writes
    holds.invlpg(cpu, VA)
    assert () not in [outcome.writes for outcome in holds.access(cpu, VA, write=True)]


def test_tightened_rights_leave_the_old_ones_held(memory: Memory, holds: Holds) -> None:
    """Rules 51 and 89, in the leaf and above it."""
    cpu = holds.context("cpu0")
    holds.activate(cpu, PGD << 12)
    put(memory, PUD, 0, to(PMD, P | US | A))
    assert {outcome.fault for outcome in holds.access(cpu, VA, write=True)} == {"protection", None}
    holds.invlpg(cpu, VA)
    assert [outcome.fault for outcome in holds.access(cpu, VA, write=True)] == ["protection"]
    assert [outcome.fault for outcome in holds.access(cpu, VA)] == [None]


def test_kernel_half_addresses_are_canonical(memory: Memory, holds: Holds) -> None:
    put(memory, PGD, 256, to(PUD))
    holds.activate(holds.context("cpu0"), PGD << 12)
    assert [hold.va for hold in holds.holders(PTE)] == [0, KERNEL]
    assert [hold.va for hold in holds.holders(DATA, first=1 << 63)] == [KERNEL + VA]


def test_large_leaf_is_found_by_every_frame_in_it() -> None:
    memory = Memory(2048)
    holds = Holds(memory)
    put(memory, PGD, 0, to(PUD))
    put(memory, PUD, 0, to(PMD))
    put(memory, PMD, 0, 512 << 12 | PAGE | PS)
    holds.activate(holds.context("cpu0"), PGD << 12)
    assert [(hold.level, hold.pfn) for hold in holds.holders(600)] == [(2, 512)]
    put(memory, PMD, 0, 0)
    assert [(hold.level, hold.stale) for hold in holds.holders(600)] == [(2, True)]


def test_drop_leaves_only_keeps_structure_entries(memory: Memory, holds: Holds) -> None:
    """VT-d rule 24: with IH=1 the intermediate entries may all survive."""
    unit = holds.context("dmar0/did1/pasid5", honours_global=False)
    holds.activate(unit, PGD << 12)
    put(memory, PMD, 0, 0)
    put(memory, PTE, 1, 0)
    holds.drop(unit, first=0, last=0x1FFFFF, leaves=Leaves.ALL, structures=Structures.NONE)
    assert holds.holders(DATA) == []
    assert holds.is_held(PTE)
    holds.drop(unit, first=0x200000, last=0x3FFFFF, leaves=Leaves.ALL, structures=Structures.RANGE)
    assert holds.is_held(PTE)
    holds.drop(unit, first=0, last=0x1FFFFF, leaves=Leaves.ALL, structures=Structures.RANGE)
    assert not holds.is_held(PTE)


def test_device_tlb_keeps_what_its_iommu_drops(memory: Memory, holds: Holds) -> None:
    """VT-d rules 29 and 30: invalidating the device first is a defect."""
    unit = holds.context("dmar0/did1/pasid5", honours_global=False)
    device = holds.device("dmar0/sid8/pasid5", unit)
    holds.activate(unit, PGD << 12)
    put(memory, PTE, 1, 0)
    holds.drop(device)
    holds.drop(unit)
    assert [hold.context for hold in holds.holders(DATA)] == ["dmar0/sid8/pasid5"]
    holds.drop(device)
    assert holds.holders(DATA) == []


def test_restore_brings_back_what_was_held(memory: Memory, holds: Holds) -> None:
    cpu = holds.context("cpu0")
    holds.mov_cr3(cpu, PGD << 12)
    memory.snapshot()
    before = holds.holds_of(cpu)
    for _ in range(3):
        put(memory, PMD, 0, 0)
        put(memory, PMD, 1, to(OTHER))
        put(memory, OTHER, 4, to(20, PAGE))
        other = holds.context("cpu1")
        holds.mov_cr3(other, OTHER << 12)
        holds.invlpg(cpu, VA)
        put(memory, PTE, 1, to(30, PAGE))
        memory.restore()
        assert holds.holds_of(cpu) == before
        assert holds.contexts_by_name == {"cpu0": cpu}
        holds.check()
    put(memory, OTHER, 4, to(21, PAGE))               # no longer watched
    assert holds.holders(21) == []


def test_limit_marks_the_set_incomplete() -> None:
    memory = Memory(8)
    for index in range(512):
        put(memory, 1, index, to(1))
    holds = Holds(memory, limit=1000)
    holds.activate(holds.context("cpu0"), 1 << 12)
    assert holds.truncated
    assert holds.held_entries == 1000


@pytest.mark.parametrize("root", [1 << 40, FRAMES << 12, 0xFFFF_FFFF_FFFF_FFFF])
def test_activate_outside_memory_holds_nothing(holds: Holds, root: int) -> None:
    cpu = holds.context("cpu0")
    holds.mov_cr3(cpu, root)
    assert holds.holds_of(cpu) == []
    assert holds.is_active(cpu)
    holds.mov_cr3(cpu, PGD << 12)
    assert holds.is_held(PTE)


# --- a naive model: plain sets, everything scanned again after every step -----------------------

INDEXES = (0, 1, 256, 511)
TABLES = range(1, 7)
SIGNIFICANT = {"table": 0x1F | 1 << 63, "leaf": 0x1DF | 1 << 63 | 0xF << 59}


def kind_of(level: int, entry: int) -> str | None:
    if not entry & P:
        return None
    if level == 1 or entry & PS:
        return None if level == 4 or entry & ((1 << 12 + 9 * (level - 1)) - 1) & ~0x1FFF else "leaf"
    return "table"


class Naive:
    """The definition of :class:`Holds`, spelled out for one agent with several tags."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.roots: dict[int, int | None] = {}
        self.tables: dict[int, set[tuple[int, ...]]] = {}
        self.leaves: dict[int, set[tuple[int, ...]]] = {}

    def saturate(self) -> None:
        for tag, root in self.roots.items():
            if root is None:
                continue
            todo = [(4, 0, root, 0, 0), *sorted(self.tables[tag])]
            while todo:
                level, va, frame, *_ = todo.pop()
                for index in INDEXES:
                    pa = frame * 4096 + 8 * index
                    entry = self.memory.load(pa, 8)
                    kind = kind_of(level, entry)
                    if kind is None:
                        continue
                    low = va + (index << 12 + 9 * (level - 1))
                    if level == 4 and index & 256:
                        low += 0xFFFF << 48
                    value = entry & (SIGNIFICANT[kind] | 0xF_FFFF_FFFF_F000)
                    if kind == "leaf":
                        self.leaves[tag].add((level, low, value, pa))
                        continue
                    item = level - 1, low, entry >> 12 & 0xFF_FFFF_FFFF, pa, value
                    if item not in self.tables[tag]:
                        self.tables[tag].add(item)
                        todo.append(item)

    def drop(self, tag: int, first: int, last: int, local: bool, shared: bool, structures: str) -> None:
        def covered(va: int, shift: int) -> bool:
            return va <= last and va + (1 << shift) - 1 >= first

        self.leaves[tag] = {leaf for leaf in self.leaves[tag] if not (
            covered(leaf[1], 12 + 9 * (leaf[0] - 1)) and (shared if leaf[2] & G else local))}
        self.tables[tag] = {table for table in self.tables[tag] if structures == "none" or (
            structures == "range" and not covered(table[1], 12 + 9 * table[0]))}


def compare(holds: Holds, naive: Naive, contexts: dict[int, int]) -> None:
    shared_found: set[tuple[int, ...]] = set()
    shared_expected: set[tuple[int, ...]] = set()
    for tag, context in contexts.items():
        found = holds.holds_of(context)
        tables = {(hold.level, hold.va, hold.pfn, hold.entry_pa, hold.entry)
                  for hold in found if hold.kind == "intermediate"}
        assert tables == naive.tables[tag]
        leaves = {(hold.level, hold.va, hold.entry, hold.entry_pa or 0)
                  for hold in found if hold.kind == "leaf"}
        assert {leaf for leaf in leaves if not leaf[2] & G} == {
            leaf for leaf in naive.leaves[tag] if not leaf[2] & G}
        shared_found |= {leaf for leaf in leaves if leaf[2] & G}
        shared_expected |= {leaf for leaf in naive.leaves[tag] if leaf[2] & G}
    assert shared_found == shared_expected
    holds.check()


#: Where the tables start from: addresses 0 and KERNEL lead down frames 1, 2, 3, 4, with two pages.
CHAIN = {(1, 0): to(2), (1, 256): to(2), (2, 0): to(3), (3, 0): to(4), (4, 0): to(9), (4, 1): to(10, TABLE | G)}

entries = st.one_of(
    st.just(0),
    st.builds(lambda frame, flags: to(frame, P | A | flags), st.integers(1, 12),
              st.sampled_from([0, RW, RW | US, RW | G])),
    st.sampled_from([to(0, P | RW | PS | A), to(512, P | PS | A | G)]))
steps = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(TABLES), st.sampled_from(INDEXES), entries),
    st.tuples(st.just("cr3"), st.integers(1, 2), st.sampled_from(TABLES), st.booleans()),
    st.tuples(st.just("invlpg"), st.sampled_from([0, 0x1000, 0x200000, KERNEL, KERNEL + 0x1FF000])),
    st.tuples(st.just("invpcid"), st.integers(0, 3), st.integers(1, 2), st.sampled_from([0, 0x1000, KERNEL])),
    st.tuples(st.just("restore")))


beginnings = st.lists(st.none() | entries, max_size=24)


def begin(memory: Memory, first: list[int | None]) -> None:
    """CHAIN, with some entries replaced."""
    for (frame, index), chained in CHAIN.items():
        put(memory, frame, index, chained)
    for position, entry in enumerate(first):
        if entry is not None:
            put(memory, 1 + position // 4, INDEXES[position % 4], entry)


@settings(max_examples=150, deadline=None)
@given(beginnings, st.lists(steps, max_size=25))
def test_holds_equals_the_naive_model(first: list[int | None], sequence: list[tuple[Any, ...]]) -> None:
    memory = Memory(16)
    holds = Holds(memory)
    naive = Naive(memory)
    agent = holds.agent("cpu0")
    contexts = {tag: holds.context(f"pcid{tag}", agent=agent, tag=tag) for tag in (1, 2)}
    for tag in contexts:
        naive.roots[tag], naive.tables[tag], naive.leaves[tag] = None, set(), set()
    begin(memory, first)
    holds.mov_cr3(contexts[1], 1 << 12)
    naive.roots[1] = 1
    naive.saturate()
    memory.snapshot()
    saved = dict(naive.roots), {tag: set(s) for tag, s in naive.tables.items()}, {
        tag: set(s) for tag, s in naive.leaves.items()}
    for step in sequence:
        current = next(tag for tag, root in naive.roots.items() if root is not None)
        everything = (0, 2**64 - 1)
        if step[0] == "store":
            put(memory, step[1], step[2], step[3])
        elif step[0] == "cr3":
            holds.mov_cr3(contexts[step[1]], step[2] << 12, flush=step[3])
            if step[3]:
                naive.drop(step[1], *everything, True, False, "all")
            naive.roots[current] = None
            naive.roots[step[1]] = step[2]
        elif step[0] == "invlpg":
            holds.invlpg(contexts[current], step[1])
            for tag in contexts:
                naive.drop(tag, step[1], step[1], tag == current, True, "all" if tag == current else "none")
        elif step[0] == "invpcid":
            holds.invpcid(agent, step[1], step[2], step[3])
            for tag in contexts:
                if step[1] >= 2:
                    naive.drop(tag, *everything, True, step[1] == 2, "all")
                elif tag == step[2]:
                    low, high = everything if step[1] == 1 else (step[3], step[3])
                    naive.drop(tag, low, high, True, False, "all" if step[1] == 1 else "range")
        else:
            memory.restore()
            naive.roots = dict(saved[0])
            naive.tables = {tag: set(s) for tag, s in saved[1].items()}
            naive.leaves = {tag: set(s) for tag, s in saved[2].items()}
        naive.saturate()
        compare(holds, naive, contexts)


# --- against the concrete machine ------------------------------------------------------------------

ADDRESSES = (0, 0x1000, 0x1FF000, 0x2000_0000, KERNEL, KERNEL + 0x1000, KERNEL + 0x10_0000)
PCIDE, PGE, KEEP = 1 << 17, 1 << 7, 1 << 63

machine_steps = st.one_of(
    st.tuples(st.just("store"), st.sampled_from(TABLES), st.sampled_from(INDEXES), entries),
    st.tuples(st.just("access"), st.sampled_from(ADDRESSES), st.booleans()),
    st.tuples(st.just("cr3"), st.integers(1, 2), st.sampled_from(TABLES), st.booleans()),
    st.tuples(st.just("invlpg"), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("invpcid"), st.integers(0, 3), st.integers(1, 2), st.sampled_from(ADDRESSES)),
    st.tuples(st.just("pge")))


@settings(max_examples=200, deadline=None)
@given(beginnings, st.lists(machine_steps, max_size=40))
def test_whatever_the_concrete_machine_holds_is_held(first: list[int | None],
                                                     sequence: list[tuple[Any, ...]]) -> None:
    memory = Memory(16)
    holds = Holds(memory, maxphyaddr=46)
    cpu = CPU(memory, maxphyaddr=46)
    agent = holds.agent("cpu0")
    contexts = {tag: holds.context(f"pcid{tag}", agent=agent, tag=tag) for tag in (1, 2)}
    begin(memory, first)
    cpu.write_cr4(cpu.cr4 | PCIDE | PGE)
    cpu.write_cr3(1 << 12 | 1)
    holds.mov_cr3(contexts[1], 1 << 12)
    for step in sequence:
        if step[0] == "store":
            put(memory, step[1], step[2], step[3])
        elif step[0] == "access":
            found = [outcome.pa for outcome in holds.access(
                contexts[cpu.pcid], step[1], write=step[2], user=False)]
            try:
                assert cpu.translate(step[1], write=step[2], user=False) in found
            except PageFault:
                assert None in found
        elif step[0] == "cr3":
            cpu.write_cr3(step[2] << 12 | step[1] | (0 if step[3] else KEEP))
            holds.mov_cr3(contexts[step[1]], step[2] << 12, flush=step[3])
        elif step[0] == "invlpg":
            cpu.invlpg(step[1])
            holds.invlpg(contexts[cpu.pcid], step[1])
        elif step[0] == "invpcid":
            cpu.invpcid(step[1], step[2] if step[1] < 2 else 0, step[3] if step[1] == 0 else 0)
            holds.invpcid(agent, step[1], step[2], step[3])
        else:
            for _ in range(2):
                cpu.write_cr4(cpu.cr4 ^ PGE)
                holds.flush_all(agent)
        held = {tag: {(hold.kind, hold.va, hold.entry_pa, hold.pfn) for hold in holds.holds_of(context)}
                for tag, context in contexts.items()}
        for one in cpu.held():
            kind = "intermediate" if one.cache == "structure" else "leaf"
            item = kind, one.address, one.source, one.target >> 12
            assert item in held[one.pcid] or (
                one.global_page and any(item in tag for tag in held.values()))
