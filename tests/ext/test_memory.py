# SPDX-License-Identifier: GPL-2.0-only
"""Physical memory: accesses, bus errors, frame states, snapshots, observers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmm_ext.memory import BusError, FrameState, Journal, Memory, NoSnapshot


@pytest.fixture
def memory() -> Memory:
    return Memory(8)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_store_then_load_is_little_endian(memory: Memory, size: int) -> None:
    memory.store(0x1001, size, 0x8877665544332211)
    assert memory.load(0x1001, size) == 0x8877665544332211 & (1 << 8 * size) - 1
    assert memory.read_bytes(0x1000, 10) == bytes([0, *range(0x11, 0x11 * size + 1, 0x11)]).ljust(10, b"\0")


def test_store_crosses_frames(memory: Memory) -> None:
    memory.store(0x1ffc, 8, 0x1122334455667788)
    assert memory.load(0x1ffc, 4) == 0x55667788
    assert memory.load(0x2000, 4) == 0x11223344


def test_load_of_another_size_is_refused(memory: Memory) -> None:
    with pytest.raises(ValueError, match="not 3"):
        memory.load(0, 3)


@pytest.mark.parametrize("attempt", [
    lambda m: m.load(8 * 4096, 1),
    lambda m: m.load(8 * 4096 - 7, 8),
    lambda m: m.load(2**64 - 1, 8),
    lambda m: m.store(2**64 - 8, 8, 1),
    lambda m: m.xchg(8 * 4096, 8, 1),
    lambda m: m.cmpxchg(8 * 4096, 8, 0, 1),
    lambda m: m.fetch_or(8 * 4096, 8, 1),
    lambda m: m.fetch_and(8 * 4096, 8, 1),
    lambda m: m.fill(1, 8 * 4096, 0xff),
    lambda m: m.fill(2**63, 2**63, 0xff),
    lambda m: m.copy(0, 7 * 4096, 4097),
    lambda m: m.copy(7 * 4096, 0, 4097),
    lambda m: m.read_bytes(1, 8 * 4096),
    lambda m: m.write_bytes(8 * 4096 - 1, b"ab"),
    lambda m: m.poison(7, 1),
    lambda m: m.poison(2**64 - 1, 1),
    lambda m: m.state(8),
    lambda m: m.set_state(2**40, 1),
], ids=lambda f: str(f.__code__.co_names[0]))
def test_outside_is_a_bus_error_and_changes_nothing(
        memory: Memory, attempt: Callable[[Memory], object]) -> None:
    with pytest.raises(BusError, match="no memory answers"):
        attempt(memory)
    assert memory.bus_errors == 1
    assert not any(memory.buffer)


def test_cmpxchg_stores_only_if_equal(memory: Memory) -> None:
    memory.store(8, 8, 5)
    assert memory.cmpxchg(8, 8, 4, 9) == 5
    assert memory.load(8, 8) == 5
    assert memory.cmpxchg(8, 8, 5, 9) == 5
    assert memory.load(8, 8) == 9


def test_xchg_fetch_and_fetch_or_return_the_old_value(memory: Memory) -> None:
    assert memory.xchg(8, 8, 0xf0) == 0
    assert memory.fetch_or(8, 8, 0x0f) == 0xf0
    assert memory.fetch_and(8, 8, 0x3c) == 0xff
    assert memory.load(8, 8) == 0x3c


def test_copy_of_overlapping_ranges_is_a_memmove(memory: Memory) -> None:
    memory.write_bytes(0, b"abcdef")
    memory.copy(2, 0, 4)
    assert memory.read_bytes(0, 6) == b"ababcd"


def test_buffer_is_live_and_read_only(memory: Memory) -> None:
    view = memory.buffer
    memory.store(0x3000, 1, 7)
    assert len(view) == memory.size == 8 * 4096
    assert view[0x3000] == 7
    with pytest.raises(TypeError):
        view[0] = 1


def test_gigabytes_of_memory_cost_nothing_until_written() -> None:
    memory = Memory(1 << 22)      # 16 GiB
    memory.store(memory.size - 8, 8, 1)
    assert memory.load(memory.size - 8, 8) == 1


@pytest.mark.parametrize("frames", [0, -1, 1 << 32])
def test_memory_refuses_a_bad_number_of_frames(frames: int) -> None:
    with pytest.raises(ValueError, match="frames must be"):
        Memory(frames)


def test_state_of_a_new_frame_is_free(memory: Memory) -> None:
    assert memory.state(7) == FrameState.FREE
    memory.set_state(7, FrameState.TABLE)
    assert memory.state(7) == FrameState.TABLE
    with pytest.raises(ValueError, match="not a FrameState"):
        memory.set_state(7, 3)


def test_poison_fills_and_frees(memory: Memory) -> None:
    memory.set_state(2, FrameState.TABLE)
    memory.poison(2, 1)
    assert [memory.state(pfn) for pfn in (2, 3)] == [FrameState.FREE] * 2
    assert memory.poisoned(2) and memory.poisoned(3) and not memory.poisoned(4)
    assert memory.load(0x3ff8, 8) == 0xaaaaaaaaaaaaaaaa
    memory.set_state(2, FrameState.ALLOCATED)
    assert not memory.poisoned(2)


def test_poison_damage_tells_where_a_freed_frame_was_written(memory: Memory) -> None:
    memory.poison(2, 0)
    assert memory.poison_damage(2) is None
    memory.fetch_or(0x2010, 8, 1 << 6)
    assert memory.poison_damage(2) == 0x10


def test_restore_without_snapshot_is_refused(memory: Memory) -> None:
    with pytest.raises(NoSnapshot):
        memory.restore()


def test_restore_brings_back_contents_and_states(memory: Memory) -> None:
    memory.store(0, 8, 1)
    memory.set_state(1, FrameState.TABLE)
    memory.poison(2, 0)
    memory.snapshot()
    memory.store(0, 8, 2)
    memory.set_state(1, FrameState.FREE)
    memory.set_state(2, FrameState.ALLOCATED)
    memory.fill(0x2000, 4096, 0)
    assert memory.dirty_frames() == [0, 2]
    assert memory.restore() == 2
    assert memory.load(0, 8) == 1
    assert memory.state(1) == FrameState.TABLE
    assert memory.poisoned(2) and memory.poison_damage(2) is None
    assert memory.restore() == 0


step = st.one_of(
    st.tuples(st.just("store"), st.integers(0, 4 * 4096 - 8), st.integers(0, 2**64 - 1)),
    st.tuples(st.just("state"), st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("poison"), st.integers(0, 3), st.integers(0, 255)),
    st.tuples(st.just("copy"), st.integers(0, 3 * 4096), st.integers(0, 3 * 4096)),
    st.tuples(st.sampled_from(["snapshot", "restore"]), st.just(0), st.just(0)),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(step, max_size=30))
def test_restore_equals_a_full_copy(steps: list[tuple[str, int, int]]) -> None:
    memory = Memory(4)

    def image() -> tuple[bytes, list[tuple[int, bool]]]:
        return bytes(memory.buffer), [(memory.state(n), memory.poisoned(n)) for n in range(4)]

    memory.snapshot()
    base = image()
    for name, a, b in steps:
        if name == "store":
            memory.store(a, 8, b)
        elif name == "state":
            memory.set_state(a, b)
        elif name == "poison":
            memory.poison(a, 0, b)
        elif name == "copy":
            memory.copy(a, b, 4096)
        elif name == "snapshot":
            memory.snapshot()
            base = image()
        else:
            memory.restore()
            assert image() == base
    memory.restore()
    assert image() == base


def test_observer_hears_changed_words_of_watched_frames_only(memory: Memory) -> None:
    journal = Journal()
    memory.add_observer(journal)
    memory.watch_frame(1)
    memory.store(0x0ffc, 8, 0x1111111122222222)      # the upper half lies in frame 1
    memory.store(0x1008, 1, 0x33)
    memory.store(0x1008, 8, 0x33)                    # no change
    memory.store(0x2000, 8, 9)
    assert journal.changes == [(0x1000, 0, 0x11111111), (0x1008, 0, 0x33)]
    memory.unwatch_frame(1)
    memory.store(0x1008, 8, 0)
    assert len(journal.changes) == 2


def test_observer_hears_fill_copy_poison_and_exchanges(memory: Memory) -> None:
    journal = Journal()
    memory.add_observer(journal)
    memory.watch_frame(1)
    memory.fill(0x0ff0, 0x14, 0xff)
    memory.copy(0x1010, 0x1000, 8)
    memory.xchg(0x1018, 8, 1)
    memory.cmpxchg(0x1018, 8, 1, 2)
    memory.fetch_or(0x1018, 8, 4)
    memory.write_bytes(0x1020, b"\x01")
    assert journal.changes == [
        (0x1000, 0, 0xffffffff), (0x1010, 0, 0xffffffff), (0x1018, 0, 1), (0x1018, 1, 2),
        (0x1018, 2, 6), (0x1020, 0, 1)]
    journal.clear()
    memory.poison(1, 0)
    assert len(journal.changes) == 512


def test_watch_frame_nests(memory: Memory) -> None:
    journal = Journal()
    memory.add_observer(journal)
    memory.watch_frame(1)
    memory.watch_frame(1)
    memory.unwatch_frame(1)
    memory.store(0x1000, 8, 1)
    assert journal.changes == [(0x1000, 0, 1)]


def test_remove_observer_silences_it(memory: Memory) -> None:
    journal = Journal()
    memory.watch_frame(0)
    memory.add_observer(journal)
    memory.remove_observer(journal)
    memory.store(0, 8, 1)
    assert journal.changes == []
