# SPDX-License-Identifier: GPL-2.0-only
"""Registers of a device, and the time that its invalidation queue takes."""

from __future__ import annotations

import pytest

from kmm.harness.device_port import Unit

TAIL = 0x88


class Hardware:
    """An IOMMU that notes what it completes: a write to the tail register queues that many descriptors."""

    def __init__(self, seen):
        self.seen = seen
        self.pending = 0
        self.number = 0

    def mmio_read(self, offset, size):
        return self.pending

    def mmio_write(self, offset, size, value):
        self.pending += value

    def next_descriptor(self):
        return f"descriptor {self.number}"

    def step(self):
        self.seen.append(f"descriptor {self.number}")
        self.pending -= 1
        self.number += 1
        return [0x5000]

    def structure_holders(self, pfn):
        return []

    def outcomes(self, source, pasid, addr, *, write=False):
        return []


@pytest.fixture
def unit(bare):
    """The machine's unit; it starts each schedule empty."""
    made = Unit("dmar0", Hardware(bare.seen))
    bare.devices.units.append(made)
    bare.devices.sources.append((made, 0x6A08))
    return made


def restarted(bare, unit, **actors):
    """Explore with an empty queue at the start of each schedule."""
    def first(function):
        def body():
            unit.hardware.pending = unit.hardware.number = 0
            function()
        return body

    name = next(iter(actors))
    return bare.explore(**{**actors, name: first(actors[name])})


def test_descriptors_complete_in_order_one_event_each(bare, unit):
    def queues():
        bare.devices.mmio_write(unit, TAIL, 8, 2)
        bare.memory.store(bare.address(6), 8, 2)
        bare.seen.append("went on")

    runs = restarted(bare, unit, cpu0=queues)
    assert {run.seen for run in runs} <= {("went on", "descriptor 0", "descriptor 1"),
                                          ("descriptor 0", "went on", "descriptor 1"),
                                          ("descriptor 0", "descriptor 1", "went on")}
    assert all(run.status == "done" for run in runs)


def test_a_status_word_tells_that_the_queue_is_empty(bare, unit):
    status = bare.address(5)
    step = unit.hardware.step

    def step_and_write():
        bare.machine.memory.store(0x5000, 4, 1)
        return step()

    unit.hardware.step = step_and_write

    def queues():
        bare.devices.mmio_write(unit, TAIL, 8, 1)
        bare.sync.wait("the status word", lambda: bare.memory.peek(status, 4) == 1, status)
        bare.seen.append("went on")

    assert {run.seen for run in restarted(bare, unit, cpu0=queues)} == {("descriptor 0", "went on")}


def test_what_is_queued_while_the_unit_works_is_worked_off_too(bare, unit):
    def queues():
        bare.devices.mmio_write(unit, TAIL, 8, 1)
        bare.devices.mmio_write(unit, TAIL, 8, 1)

    runs = restarted(bare, unit, cpu0=queues)
    assert {run.seen for run in runs} == {("descriptor 0", "descriptor 1")}
    assert len(runs) > 1, "the second is queued before or after the first is complete"


def test_a_unit_is_idle_at_the_start_of_each_schedule(bare, unit):
    unit.draining = True
    assert restarted(bare, unit, cpu0=lambda: bare.devices.mmio_write(unit, TAIL, 8, 1))[0].seen == ("descriptor 0",)


def test_registers_of_one_unit_conflict(bare, unit):
    def reads():
        bare.seen.append(bare.devices.mmio_read(unit, TAIL, 8))

    runs = restarted(bare, unit, cpu0=lambda: bare.devices.mmio_write(unit, TAIL, 8, 1), cpu1=reads)
    assert {next(item for item in run.seen if isinstance(item, int)) for run in runs} == {0, 1}


def test_device_gives_the_kernels_struct(bare):
    bare.devices.structs.append("struct device")
    assert bare.devices.device(0) == "struct device"


def test_dma_that_finds_nothing_is_a_fault(bare, unit):
    assert bare.run(cpu0=lambda: bare.seen.append(bare.devices.dma(0, 1, 0x1000))).seen == ("fault",)
