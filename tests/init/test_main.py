# SPDX-License-Identifier: GPL-2.0-only
"""init/main.c: the order of boot."""

from __future__ import annotations

import pytest

from kmm.include.linux import init
from kmm.include.linux.cpumask import num_online_cpus
from kmm.include.linux.init import core_initcall, early_initcall, late_initcall
from kmm.include.linux.irqflags import irqs_disabled, local_irq_disable
from kmm.include.linux.kernel import SYSTEM_RUNNING, SYSTEM_SCHEDULING, system_state
from kmm.include.linux.preempt import preempt_disable
from kmm.init.main import do_initcalls, do_one_initcall, kernel_init, start_kernel
from kmm.mm.init_mm import init_mm


@pytest.fixture
def booting(bare_world):
    """A world in which only the initcalls of the test exist."""
    init.initcall_early.clear()
    for level in init.initcall_levels:
        level.clear()
    return bare_world


def test_start_kernel_ends_ready_to_schedule(booting):
    start_kernel()
    assert system_state == SYSTEM_SCHEDULING
    assert not irqs_disabled() and num_online_cpus() == 1
    assert booting.read_cr3() & ~0xFFF == int(init_mm.pgd) - booting.page_offset()


def test_kernel_init_brings_up_all_cpus_and_runs(booting):
    seen = []
    early_initcall(lambda: seen.append(("early", num_online_cpus())) or 0)
    late_initcall(lambda: seen.append(("late", num_online_cpus())) or 0)
    core_initcall(lambda: seen.append(("core", int(system_state))) or 0)
    start_kernel()
    kernel_init()
    assert seen == [("early", 1), ("core", SYSTEM_SCHEDULING), ("late", 4)]
    assert system_state == SYSTEM_RUNNING
    assert len({cr3 & ~0xFFF for cr3 in booting.cr3}) == 1


def test_initcalls_must_leave_the_context_alone(booting):
    core_initcall(lambda: preempt_disable() or 0)
    do_initcalls()
    assert "preemption imbalance" in booting.expect("warn")["condition"]
    do_one_initcall(lambda: local_irq_disable() or 0)
    assert "disabled interrupts" in booting.expect("warn")["condition"]
    assert not irqs_disabled()


def test_booted_world_has_balanced_page_table_accounts(booted_world):
    from kmm.include.linux.vmstat import NR_PAGETABLE
    from kmm.mm.vmstat import raw_node_page_state

    assert raw_node_page_state(NR_PAGETABLE) == len(booted_world.tables) > 0
