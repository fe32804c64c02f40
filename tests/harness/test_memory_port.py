# SPDX-License-Identifier: GPL-2.0-only
"""Loads, stores, frames and choices of the machine."""

from __future__ import annotations

import pytest
from bare_machine import BareMachine

from kmm.harness.memory_port import DIRECT_MAP_L4, DIRECT_MAP_L5
from kmm_ext.memory import BusError, FrameState


def test_direct_map_begins_where_the_levels_say():
    assert BareMachine().address(0) == DIRECT_MAP_L4
    assert BareMachine(features=frozenset({"LA57"})).address(0) == DIRECT_MAP_L5


@pytest.mark.parametrize("addr", [0, DIRECT_MAP_L4 - 8, DIRECT_MAP_L4 + (2048 << 12)])
def test_load_outside_of_memory_is_a_bus_error(bare, addr):
    with pytest.raises(BusError):
        bare.run(cpu0=lambda: bare.memory.load(addr, 8))


def test_operations_change_memory_and_tell_what_was_there(bare):
    at = bare.address(5)
    bare.machine.memory.set_state(5, FrameState.ALLOCATED)
    bare.snapshot()

    def actor():
        memory = bare.memory
        memory.store(at, 8, 0xF0)
        bare.seen.append(memory.load(at, 8))
        bare.seen.append(memory.xchg(at, 8, 0x0F))
        bare.seen.append(memory.cmpxchg(at, 8, 0x11, 0x22))
        bare.seen.append(memory.cmpxchg(at, 8, 0x0F, 0x33))
        bare.seen.append(memory.atomic_or(at, 8, 0x04))
        bare.seen.append(memory.atomic_and(at, 8, 0x0F))
        bare.seen.append(memory.peek(at, 8))
        memory.copy(at + 8, at, 8)
        memory.fill(at, 8, 0xAA)
        bare.seen += [memory.peek(at, 8), memory.peek(at + 8, 8)]

    assert bare.run(cpu0=actor).seen == (0xF0, 0xF0, 0x0F, 0x0F, 0x33, 0x37, 0x07, 0xAAAAAAAAAAAAAAAA, 0x07)


def test_compare_and_exchange_lets_one_win(bare):
    at = bare.address(5)

    def actor(value):
        return lambda: bare.seen.append(bare.memory.cmpxchg(at, 8, 0, value))

    runs = bare.explore(cpu0=actor(1), cpu1=actor(2))
    assert {run.seen for run in runs} == {(0, 1), (0, 2)}


def test_a_plain_update_can_be_lost_and_an_atomic_one_cannot(bare):
    at = bare.address(5)

    def plain(bit):
        return lambda: bare.memory.store(at, 8, bare.memory.load(at, 8) | bit)

    def look():
        bare.seen.append(bare.memory.peek(at, 8))

    def both(kind):
        finals = set()

        def last(bit):
            def body():
                kind(bit)()
                look()
            return body
        for run in bare.explore(cpu0=last(1), cpu1=last(2)):
            finals.add(run.seen[-1])
        return finals

    assert both(plain) == {1, 2, 3}
    assert both(lambda bit: lambda: bare.memory.atomic_or(at, 8, bit)) == {3}


def test_words_apart_do_not_conflict(bare):
    def actor(offset):
        return lambda: bare.memory.store(bare.address(5) + offset, 8, 2)

    assert len(bare.explore(cpu0=actor(0), cpu1=actor(8))) == 1
    assert len(bare.explore(cpu0=actor(0), cpu1=actor(4))) == 2, "two halves of a word do"


# --- frames -----------------------------------------------------------------------------------------

def allocate(bare, pfn):
    bare.machine.memory.set_state(pfn, FrameState.ALLOCATED)
    bare.snapshot()


def test_use_of_a_frame_races_with_its_free(bare):
    allocate(bare, 5)
    runs = bare.explore(cpu0=lambda: bare.memory.frames_freed(5, 0),
                        cpu1=lambda: bare.memory.load(bare.address(5), 8))
    assert {run.rules for run in runs} == {(), ("use-after-free",)}


def test_frames_freed_poisons(bare):
    allocate(bare, 5)

    def actor():
        bare.memory.frames_freed(5, 0)
        bare.memory.frames_allocated(5, 0, 0)
        bare.seen.append(bare.memory.load(bare.address(5), 1))

    assert bare.run(cpu0=actor) == bare.explore(cpu0=actor)[0]
    assert bare.seen == [0xAA]


def test_frames_freed_twice_is_reported(bare):
    allocate(bare, 5)
    run = bare.run(cpu0=lambda: (bare.memory.frames_freed(5, 0), bare.memory.frames_freed(5, 0)))
    assert run.rules == ("double-free",)


def test_allocation_of_different_frames_commutes(bare):
    assert len(bare.explore(cpu0=lambda: bare.memory.frames_allocated(5, 0, 0),
                            cpu1=lambda: bare.memory.frames_allocated(6, 0, 0))) == 1


# --- objects ----------------------------------------------------------------------------------------

def test_reads_commute_and_writes_do_not(bare):
    shared = bare.thing()

    def actor(how):
        return lambda: getattr(bare.memory, how)(shared, "value")

    schedules = {(one, other): len(bare.explore(cpu0=actor(one), cpu1=actor(other)))
                 for one in ("read", "write") for other in ("read", "write")}
    assert schedules == {("read", "read"): 1, ("read", "write"): 2, ("write", "read"): 2, ("write", "write"): 2}


def test_a_compound_operation_conflicts_with_every_field(bare):
    one, other = bare.thing(), bare.thing()
    runs = bare.explore(cpu0=lambda: bare.memory.mutates(one, "list_add", (one,), (other,)),
                        cpu1=lambda: bare.memory.read(one, "value"))
    assert len(runs) == 2
    runs = bare.explore(cpu0=lambda: bare.memory.mutates(one, "list_add", (one,), (other,)),
                        cpu1=lambda: bare.memory.mutates(one, "look", (), (other,)))
    assert len(runs) == 1


# --- choices ----------------------------------------------------------------------------------------

def test_choose_tries_every_alternative(bare):
    runs = bare.explore(cpu0=lambda: bare.seen.append(bare.memory.choose("which", 3)))
    assert [run.seen for run in runs] == [(0,), (1,), (2,)]


def test_may_fail_only_where_the_machine_was_told_so():
    bare = BareMachine(failing=frozenset({"kmalloc"}))

    def actor():
        bare.seen.append((bare.memory.may_fail("kmalloc", 0), bare.memory.may_fail("alloc_pages", 0)))

    assert {run.seen for run in bare.explore(cpu0=actor)} == {((False, False),), ((True, False),)}
    assert len(BareMachine().explore(cpu0=lambda: BareMachine().memory.may_fail("kmalloc", 0))) == 1


def test_choices_of_an_actor_multiply_and_those_of_two_do_not_conflict(bare):
    def actor(name):
        return lambda: bare.seen.append((name, bare.memory.choose("which", 2)))

    runs = bare.explore(cpu0=actor("a"), cpu1=actor("b"))
    assert len(runs) == len({frozenset(run.seen) for run in runs}) == 4
