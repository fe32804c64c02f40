# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that every test may use."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kmm import hooks

sys.path.insert(0, str(Path(__file__).parent))

from fake_world import FakeWorld, Statics, hook_names, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

_statics = Statics()


@pytest.fixture
def bare_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWorld]:
    """The hooks of a single-threaded world, in a kernel whose static data is as linked: not booted."""
    _statics.note()
    fake = FakeWorld()
    for name in hook_names():
        if hasattr(fake, name):
            monkeypatch.setattr(hooks, name, recorded(fake, name))
    yield fake
    _statics.restore()
    assert fake.violations == []


@pytest.fixture
def world(bare_world: FakeWorld) -> FakeWorld:
    """:func:`bare_world` with memory, masks and work queues set up and the system running."""
    from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET
    from kmm.include.linux.cpumask import set_cpu_online, set_cpu_possible
    from kmm.include.linux.kernel import SYSTEM_RUNNING, system_state
    from kmm.include.linux.workqueue import workqueue_init, workqueue_init_early

    bare_world.page_offset = PAGE_OFFSET
    for cpu in range(bare_world.cpus):
        set_cpu_possible(cpu, True)
        set_cpu_online(cpu, True)
    system_state.value = SYSTEM_RUNNING
    workqueue_init_early()
    workqueue_init()
    bare_world.events.clear()
    return bare_world


@pytest.fixture
def booted_world(bare_world: FakeWorld) -> FakeWorld:
    """:func:`bare_world` after the kernel's own boot: the direct map, all CPUs, initcalls."""
    from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET
    from kmm.init.main import kernel_init, start_kernel

    bare_world.page_offset = PAGE_OFFSET
    start_kernel()
    kernel_init()
    bare_world.events.clear()
    return bare_world


@pytest.fixture
def booted(bare_world: FakeWorld) -> FakeWorld:
    """:func:`bare_world` after the kernel's own boot: page tables, all CPUs on ``init_mm``."""
    from kmm.arch.x86.include.asm.page_types import PAGE_OFFSET
    from kmm.init.main import kernel_init, start_kernel

    bare_world.page_offset = PAGE_OFFSET
    start_kernel()
    kernel_init()
    bare_world.events.clear()
    return bare_world
