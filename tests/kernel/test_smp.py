# SPDX-License-Identifier: GPL-2.0-only
"""kernel/smp.c: running functions on other CPUs."""

from __future__ import annotations

import pytest
from fake_world import Deadlock

from kmm import hooks
from kmm.include.linux.cpumask import cpumask, cpumask_of
from kmm.include.linux.errno import ENXIO
from kmm.include.linux.irqflags import irqs_disabled, local_irq_disable
from kmm.include.linux.preempt import in_hardirq
from kmm.include.linux.smp import (
    on_each_cpu,
    on_each_cpu_cond_mask,
    on_each_cpu_mask,
    smp_call_function,
    smp_call_function_any,
    smp_call_function_single,
)


@pytest.fixture
def called(world):
    calls = []

    def func(info):
        calls.append((hooks.smp_processor_id(), info, in_hardirq(), irqs_disabled()))

    func.calls = calls
    return func


def test_on_each_cpu_calls_others_first_then_here(world, called):
    on_each_cpu(called, "x", 1)
    assert called.calls == [(1, "x", True, True), (2, "x", True, True), (3, "x", True, True),
                            (0, "x", False, True)]
    assert hooks.preempt_count() == 0 and not irqs_disabled()


def test_smp_call_function_leaves_this_cpu_out(world, called):
    smp_call_function(called, None, 1)
    assert [call[0] for call in called.calls] == [1, 2, 3]


def test_on_each_cpu_mask_calls_the_cpus_of_the_mask(world, called):
    mask = cpumask.zeroed()
    mask.bits = 0b0101
    on_each_cpu_mask(mask, called, None, 1)
    assert [call[0] for call in called.calls] == [2, 0]
    assert [(cpu, name) for cpu, name, _ in world.calls("send_ipi")] == [(2, "func")]


def test_cond_func_is_asked_for_each_cpu(world, called):
    asked = []

    def odd(cpu, info):
        asked.append(cpu)
        return cpu % 2 == 1

    mask = cpumask.zeroed()
    mask.bits = 0b1111
    on_each_cpu_cond_mask(odd, called, None, 1, mask)
    assert asked == [1, 2, 3, 0]
    assert [call[0] for call in called.calls] == [1, 3]


def test_smp_call_function_single(world, called):
    assert smp_call_function_single(2, called, "a", 1) == 0
    assert smp_call_function_single(0, called, "b", 1) == 0
    assert smp_call_function_single(9, called, "c", 1) == -ENXIO
    assert [call[:3] for call in called.calls] == [(2, "a", True), (0, "b", False)]


def test_smp_call_function_any_prefers_this_cpu(world, called):
    mask = cpumask.zeroed()
    mask.bits = 0b0011
    smp_call_function_any(mask, called, None, 1)
    smp_call_function_any(cpumask_of(3), called, None, 1)
    assert [call[0] for call in called.calls] == [0, 3]


def test_waiting_with_interrupts_off_is_reported(world, called):
    local_irq_disable()
    smp_call_function(called, None, 1)
    assert world.expect("warn") == {"where": "smp_call_function_many_cond",
                                    "condition": "lockdep_assert_irqs_enabled"}
    for _ in 1, 2, 3:       # to claim each CPU's call, and to wait for it
        world.expect("ipi-with-irqs-off")
        world.expect("ipi-with-irqs-off")


def test_two_cpus_calling_each_other_with_interrupts_off_deadlock(world, called):
    world._irqs_off[1] = True
    with pytest.raises(Deadlock, match="csd_lock_wait"):
        smp_call_function_single(1, called, None, 1)


def test_asynchronous_calls_return_at_once_and_reuse_the_csd_when_taken(world, called):
    world._irqs_off[1] = True
    smp_call_function_single(1, called, "x", 0)
    assert called.calls == []
    with pytest.raises(Deadlock):
        smp_call_function_single(1, called, "y", 0)
    world._count[0] = 0
    world.on_cpu(1, hooks.local_irq_enable)
    assert [call[:2] for call in called.calls] == [(1, "x")]
    smp_call_function_single(1, called, "z", 0)
    assert [call[:2] for call in called.calls] == [(1, "x"), (1, "z")]
