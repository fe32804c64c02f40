# SPDX-License-Identifier: GPL-2.0-only
"""What a recorder keeps of an execution."""

from __future__ import annotations

import re

import pytest
from judging import world_of

from kmm.harness.kinds import Kind
from kmm.harness.litmus import find
from kmm.harness.recorder import Recorder
from kmm.harness.straight import Straight

TABLE = """
    from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SIZE, VMALLOC_START
    from kmm.arch.x86.include.asm.pgtable_types import PAGE_KERNEL
    from kmm.mm.vmalloc import vmap_page_range, vunmap_range

    def start():
        return VMALLOC_START() + 16 * PMD_SIZE

    def setup():
        assert vmap_page_range(start(), start() + 4096, 4 << 30, PAGE_KERNEL) == 0

    def cpu0():
        vunmap_range(start(), start() + 4096)
        assert vmap_page_range(start(), start() + PMD_SIZE, 4 << 30, PAGE_KERNEL) == 0
"""


@pytest.fixture(scope="module")
def recorder():
    """One execution of a scenario that frees a page table at once, from boot to end."""
    recorder = Recorder()
    world = world_of(TABLE, config={"ASYNC_KERNEL_PGTABLE_FREE": "n"}, recorder=recorder)
    world.reset()
    straight = Straight()
    straight.run(world.start)
    assert straight.violations == []
    return recorder


@pytest.fixture(scope="module")
def freed(recorder):
    """The frame that was freed."""
    return next(record.frames[0] for record in recorder.records if record.phase == "run" and record.what == "freed")


def test_records_are_numbered_from_the_first_instruction_of_the_boot(recorder):
    assert [record.seq for record in recorder.records] == list(range(len(recorder.records)))
    phases = [record.phase for record in recorder.records]
    assert phases == sorted(phases, key=["boot", "setup", "run"].index)
    assert set(phases) == {"boot", "setup", "run"}


def test_a_table_has_a_life(recorder, freed):
    life = [(record.phase, record.what, record.place.function) for record in recorder.records
            if record.frames[:1] == (freed,) and record.what in ("allocated", "linked", "unlinked", "freed")]
    assert life == [("setup", "allocated", "__pte_alloc_kernel"), ("setup", "linked", "__pte_alloc_kernel"),
                    ("run", "unlinked", "pmd_free_pte_page"), ("run", "freed", "pmd_free_pte_page")]


def test_who_may_cache_it_and_who_flushed(recorder, freed):
    agents = {what: {record.actor for record in recorder.records if record.what == what and freed in record.frames}
              for what in ("cached", "flushed")}
    assert agents["cached"] == agents["flushed"] == {"CPU0 PCID 1", "CPU1 PCID 1"}


def test_an_event_names_its_place_and_the_way_there(recorder, freed):
    record = next(record for record in recorder.records if record.what == "unlinked" and record.frames[0] == freed)
    assert (record.actor, record.cpu, record.kind, record.irq) == ("cpu0", 0, Kind.STORE, False)
    assert str(record.place) == "pmd_free_pte_page() arch/x86/mm/pgtable.c"
    functions = [place.function for place in record.chain]
    assert functions.index("pmd_free_pte_page") < functions.index("vmap_page_range")
    assert all(place.file.endswith((".c", ".h")) or not place.file for place in record.chain[:-1])


def test_interrupts_are_marked(recorder):
    interrupts = {record.actor: (record.irq, record.cpu) for record in recorder.records if record.actor != "cpu0"
                  and record.phase == "run" and record.kind is Kind.INVLPG and not record.what}
    assert set(interrupts.values()) == {(True, 1)}


def test_name_is_T_for_what_was_ever_a_table_and_P_for_the_rest(recorder, freed):
    fresh = Recorder()
    fresh.became_table(None, 7)
    assert [fresh.name(pfn) for pfn in (9, 7, 8, 9, 7)] == ["P1", "T1", "P2", "P1", "T1"]
    assert re.fullmatch(r"T\d+", recorder.name(freed))


def test_nothing_is_recorded_without_a_recorder():
    world = world_of(find("sva_device_vs_huge_promotion"))
    assert world.machine.recorder is None


def test_recording_changes_nothing():
    """The same schedule breaks the same rules at the same places, watched or not."""
    def states(recorder):
        world = world_of(TABLE, config={"ASYNC_KERNEL_PGTABLE_FREE": "n"}, recorder=recorder)
        world.reset()
        Straight().run(world.start)
        return bytes(world.machine.memory.buffer)

    assert states(None) == states(Recorder())
