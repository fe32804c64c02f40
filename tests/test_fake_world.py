# SPDX-License-Identifier: GPL-2.0-only
"""The world that unit tests of ported code stand on."""

from __future__ import annotations

import inspect

import pytest
from fake_world import Deadlock, FakeWorld, hook_names

from kmm import hooks
from kmm.include.linux.list import LIST_HEAD


def test_every_hook_is_implemented_with_its_signature():
    for name in hook_names():
        wanted = list(inspect.signature(getattr(hooks, name)).parameters)
        assert list(inspect.signature(getattr(FakeWorld, name)).parameters)[1:] == wanted, name


def test_hooks_reach_the_world_and_are_recorded(world):
    hooks.store(0x1000, 8, 0x1122334455667788)
    assert hooks.load(0x1004, 4) == 0x11223344
    assert world.calls("load") == [(0x1004, 4)]


def test_wait_runs_what_is_pending(world):
    done = []
    hooks.spawn_worker("w", lambda: done.append(1))
    hooks.wait("done", lambda: bool(done))
    with pytest.raises(Deadlock):
        hooks.wait("never", lambda: False)


def test_ipi_waits_for_interrupts(world):
    seen = []
    hooks.local_irq_disable()
    hooks.send_ipi(0, "f", lambda: seen.append(hooks.preempt_count()))
    assert seen == []
    hooks.local_irq_enable()
    assert seen == [1 << 16]


shared = LIST_HEAD()


@pytest.mark.parametrize("_", [1, 2])
def test_statics_are_as_linked_in_every_test(world, _):
    from kmm.include.linux.kernel import SYSTEM_RUNNING, system_state
    assert system_state == SYSTEM_RUNNING
    system_state.value = 7
