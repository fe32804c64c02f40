# SPDX-License-Identifier: GPL-2.0-only
"""Hooks for what is not kernel code: device registers, programs and devices that access memory.

A VT-d unit answers a register access at once.  What it does with its invalidation queue takes time:
each descriptor completes as an event of its own, so whatever the kernel does before it has waited for
the status word may come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.harness.context import Level
from kmm.harness.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kmm.harness.machine import Machine
    from kmm_ext.holds import Outcome

__all__ = ["DevicePort", "Unit"]


class Unit:
    """One IOMMU as the machine sees it.

    :ivar name: appears in reports.
    :ivar hardware: the :class:`kmm_ext.vtd.VTD`.
    """

    __slots__ = ("draining", "hardware", "name")

    def __init__(self, name: str, hardware: Any) -> None:
        self.name = name
        self.hardware = hardware
        self.draining = False


class DevicePort:
    """Implements the register and access hooks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.units: list[Unit] = []
        self.sources: list[tuple[Unit, int]] = []
        self.structs: list[Any] = []

    def reset(self) -> None:
        """No queue is being worked off in a new execution."""
        for unit in self.units:
            unit.draining = False

    def device(self, number: int) -> Any:
        """See :func:`kmm.hooks.device`."""
        return self.structs[number]

    def mmio_read(self, unit: Unit, offset: int, size: int) -> int:
        """See :func:`kmm.hooks.mmio_read`."""
        machine = self.machine
        machine.event(Kind.MMIO_READ, f"{unit.name}+{offset:#x}")
        machine.scheduler.read(machine.locations.named("unit", unit.name))
        return int(unit.hardware.mmio_read(offset, size))

    def mmio_write(self, unit: Unit, offset: int, size: int, value: int) -> None:
        """See :func:`kmm.hooks.mmio_write`."""
        machine = self.machine
        machine.event(Kind.MMIO_WRITE, f"{unit.name}+{offset:#x}")
        machine.scheduler.write(machine.locations.named("unit", unit.name))
        unit.hardware.mmio_write(offset, size, value)
        machine.translations.after_invalidation()
        if unit.hardware.pending and not unit.draining:
            unit.draining = True
            machine.start(f"{unit.name}", lambda: self._drain(unit), cpu=-1, level=Level.DEVICE)

    def structure_stored(self, pfn: int) -> None:
        """The current event stored to a frame that may hold a unit's own structures (root, context, PASID
        tables): what a request of that unit finds may have changed."""
        for unit in self.units:
            if unit.hardware.structure_holders(pfn):
                self.machine.scheduler.write(self.machine.locations.named("structures", unit.name))

    def _drain(self, unit: Unit) -> None:
        """Complete descriptors one by one, until the queue is empty."""
        machine = self.machine
        while unit.hardware.pending:
            machine.event(Kind.IOMMU, unit.hardware.next_descriptor())
            machine.scheduler.write(machine.locations.named("unit", unit.name))
            for pa in unit.hardware.step():
                machine.scheduler.write(machine.locations.word(pa))
            machine.translations.after_invalidation()
        unit.draining = False

    def access(self, addr: int, *, write: bool = False, user: bool = True) -> str:
        """See :func:`kmm.hooks.access`."""
        machine = self.machine
        context = machine.event(Kind.ACCESS, "store" if write else "load")
        outcomes = machine.translations.cpu_outcomes(context.cpu, addr, write=write, user=user)
        machine.translations.depends_on(machine.translations.cpu_contexts(context.cpu), addr)
        return self._perform(f"CPU{context.cpu}", outcomes)

    def dma(self, device: int, pasid: int, addr: int, *, write: bool = False) -> str:
        """See :func:`kmm.hooks.dma`."""
        unit, source = self.sources[device]
        machine = self.machine
        machine.event(Kind.ACCESS, "DMA write" if write else "DMA read")
        machine.scheduler.read(machine.locations.named("unit", unit.name))
        machine.scheduler.read(machine.locations.named("structures", unit.name))
        machine.translations.depends_on(machine.translations.pasid_contexts(unit.name, pasid), addr)
        return self._perform(unit.name, unit.hardware.outcomes(source, pasid, addr, write=write))

    def _perform(self, agent: str, outcomes: Sequence[Outcome]) -> str:
        """Let the access end in the worst way it can: through what is not a page table any more, else
        through a stale entry, else as memory says."""
        if not outcomes:
            return "fault"
        machine = self.machine
        translations = machine.translations
        worst = max(outcomes, key=translations.badness)
        for pfn in translations.strays(worst):
            machine.assert_port.violate(
                "freed-table-walked", f"{agent} walks a frame that is no page table any more", pfn=pfn,
                agents=[agent])
        for pa, old, new in worst.writes:
            machine.scheduler.write(machine.locations.word(pa))
            if translations.is_dangling(pa >> 12):
                machine.assert_port.violate(
                    "freed-table-written", f"{agent} sets Accessed or Dirty in a frame that is no page table "
                    "any more", pfn=pa >> 12, agents=[agent])
            if machine.recorder is not None:
                machine.recorder.used(agent, pa >> 12, f"sets {'D' if (old ^ new) & 0x40 else 'A'} in")
        translations.holds.perform(worst)
        translations.after_walk()
        return "fault" if worst.pa is None else "stale" if worst.via is not None and worst.via.stale else "ok"
