# SPDX-License-Identifier: GPL-2.0-only
"""A world: a booted kernel that can be taken back, again and again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from judging import explored, scenario, world_of

from kmm.harness.litmus import find
from kmm.harness.search import explore, run_script
from kmm.harness.straight import Straight, Stuck
from kmm_ext.explorer import Core

ROOT = Path(__file__).parents[2]
PROMOTION = "sva_device_vs_huge_promotion"


@pytest.fixture
def world():
    return world_of(find(PROMOTION))


def state(world):
    """Everything that an execution can change, as values."""
    machine = world.machine
    translations = machine.translations
    holds = translations.holds
    return {
        "memory": bytes(machine.memory.buffer),
        "frames": [machine.memory.state(pfn) for pfn in range(machine.memory.frames)],
        "registers": (list(translations.cr3), list(translations.cr4)),
        "holds": {name: [str(hold) for hold in holds.holds_of(number)]
                  for name, number in holds.contexts_by_name.items()},
        "units": [(unit.name, unit.draining, unit.hardware.pending) for unit in machine.device_port.units],
    }


def test_reset_takes_everything_back(world):
    world.reset()
    before = state(world)
    core = Core()
    assert core.execute(world.start) == "done"
    world.at_end(core, "done")
    assert world.image.differences() != []
    after = state(world)
    assert after["memory"] != before["memory"] and after["holds"] != before["holds"]

    world.reset()
    assert world.image.differences() == []
    for what, value in state(world).items():
        assert value == before[what], what


def test_reset_takes_back_an_execution_that_was_cut_short(world):
    """An exception in an actor, or a search that is stopped, leaves locks held and lists half linked."""
    world.reset()
    before = state(world)
    core = Core()

    class Stop(Exception):
        pass

    def cut_short(core):
        world.start(core)
        count = iter(range(30))
        step = world.machine.event

        def event(*arguments):
            if next(count, None) is None:
                raise Stop
            return step(*arguments)

        world.machine.event = event

    with pytest.raises(Exception, match="Stop"):
        core.execute(cut_short)
    del world.machine.event
    world.reset()
    assert world.image.differences() == []
    assert state(world) == before
    assert explored(world).often == "never"


def test_one_schedule_gives_one_trace_in_any_world():
    """Replayed in the same world, in a world of its own, and after the first was explored."""
    world = world_of(find("sva_device_vs_vunmap"), config={"ASYNC_KERNEL_PGTABLE_FREE": "n"})
    found, = explore(world.start, world.reset, key=lambda violation: violation.slug, at_end=world.at_end).found

    def trace(where):
        where.reset()
        core, status = run_script(where.start, found.script, found.actors)
        return status, [(name, kind) for _, name, kind, _, _ in core.trace()], len(core.violations)

    expected = trace(world)
    assert trace(world) == expected
    assert trace(world_of(find("sva_device_vs_vunmap"), config={"ASYNC_KERNEL_PGTABLE_FREE": "n"})) == expected


def test_exploring_twice_counts_the_same(world):
    first, second = explored(world), explored(world)
    assert (first.result.executions, first.result.events, first.executions) == (
        second.result.executions, second.result.events, second.executions)


def test_counts_do_not_depend_on_hash_seeds():
    program = ("from kmm.harness.litmus import find; from kmm.harness.search import explore\n"
               "from kmm.harness.world import boot; from kmm.linker import build; import hashlib\n"
               f"world = boot(build(), find({PROMOTION!r})); digest = hashlib.sha256()\n"
               "def at_end(core, status):\n"
               "    digest.update(repr([event[1:] for event in core.trace()]).encode())\n"
               "    return world.at_end(core, status)\n"
               "result = explore(world.start, world.reset, at_end=at_end)\n"
               "print(result.executions, result.blocked, result.events, digest.hexdigest())\n")
    told = {subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                           env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}).stdout for seed in "012"}
    assert len(told) == 1, told


# --- phases -----------------------------------------------------------------------------------------

def test_setup_runs_once_and_its_work_is_part_of_the_base():
    world = world_of("""
        from kmm.c import struct

        class counter(struct):
            value: int

        made = counter.zeroed()

        def setup():
            made.value += 1

        def cpu0():
            hooks.write(made, "value")
            made.value += 10
            assert made.value == 11

        def finish():
            assert made.value == 11, made.value
    """)
    assert explored(world).rules == explored(world).rules == set()


def test_finish_runs_at_the_end_of_every_schedule():
    judged = explored(world_of("""
        from kmm.c import struct

        class counter(struct):
            value: int

        shared = counter.zeroed()

        def adds():
            hooks.read(shared, "value")
            value = shared.value
            hooks.write(shared, "value")
            shared.value = value + 1

        cpu0 = cpu1 = adds

        def finish():
            assert shared.value == 2, "an update was lost"
    """))
    assert judged.often == "sometimes"
    assert judged.violations["self-check"].summary == "the scenario says: an update was lost"


def test_finish_may_use_what_actors_use():
    """Locks, allocation and RCU, straight through."""
    judged = explored(world_of("""
        from kmm.include.linux.gfp import free_page
        from kmm.include.linux.gfp_types import GFP_KERNEL
        from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock, mutex_unlock
        from kmm.kernel.rcu.tree import synchronize_rcu
        from kmm.mm.page_alloc import get_zeroed_page

        lock = DEFINE_MUTEX()

        def cpu0():
            mutex_lock(lock)
            mutex_unlock(lock)

        def finish():
            mutex_lock(lock)
            page = get_zeroed_page(GFP_KERNEL)
            synchronize_rcu()
            free_page(page)
            mutex_unlock(lock)
    """))
    assert judged.rules == set()


def test_what_setup_breaks_is_the_prelude():
    world = world_of("""
        def setup():
            hooks.warn("setup", "something")

        def cpu0():
            pass
    """)
    assert [violation.slug for violation in world.prelude] == ["kernel-warning"]
    assert explored(world).executions == [frozenset()]


def test_setup_that_gets_stuck_says_who_waits():
    with pytest.raises(Stuck, match="setup waits for"):
        world_of("""
            from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock

            lock = DEFINE_MUTEX()

            def setup():
                mutex_lock(lock)
                mutex_lock(lock)

            def cpu0():
                pass
        """)


def test_an_early_boot_is_explored():
    judged = explored(world_of("""
        from kmm.include.linux.kernel import SYSTEM_BOOTING, system_state

        BOOT = "early"

        def setup():
            assert False, "there is no setup before the kernel runs"

        def cpu0():
            assert system_state.value == SYSTEM_BOOTING
    """))
    assert judged.rules == set()


def test_a_world_has_what_the_scenario_asks_for():
    world = world_of("""
        CPUS = 4
        FAILING = ("kmalloc",)

        def cpu0():
            assert hooks.nr_cpu_ids() == 4
    """)
    assert (world.machine.spec.cpus, world.machine.spec.failing) == (4, {"kmalloc"})
    assert explored(world).rules == set()


def test_boot_can_be_run_straight():
    """What unit tests and benchmarks do: no search at all."""
    world = world_of(find(PROMOTION))
    world.reset()
    straight = Straight()
    straight.run(world.start)
    assert straight.violations == []


def test_scenarios_in_text_are_as_good_as_files():
    assert scenario("def cpu0():\n    pass\n").fingerprint == scenario("def cpu0():\n    pass\n").fingerprint
    assert scenario("def cpu0():\n    pass\n").fingerprint != scenario("def cpu0():\n    return\n").fingerprint
