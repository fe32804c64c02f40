# SPDX-License-Identifier: GPL-2.0-only
"""Hooks for the state of the CPU that the caller runs on, and its privileged instructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.harness.kinds import Kind

if TYPE_CHECKING:
    from kmm.harness.machine import Machine

__all__ = ["CpuPort"]


class CpuPort:
    """Implements the CPU hooks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def smp_processor_id(self) -> int:
        """See :func:`kmm.hooks.smp_processor_id`."""
        return self.machine.context.cpu

    def nr_cpu_ids(self) -> int:
        """See :func:`kmm.hooks.nr_cpu_ids`."""
        return self.machine.spec.cpus

    def current(self) -> Any:
        """See :func:`kmm.hooks.current`."""
        return self.machine.context.task

    def cpu_has(self, feature: str) -> bool:
        """See :func:`kmm.hooks.cpu_has`."""
        return feature in self.machine.spec.features

    # --- interrupt flag and preemption -----------------------------------------------------------------

    def local_irq_disable(self) -> None:
        """See :func:`kmm.hooks.local_irq_disable`."""
        machine = self.machine
        context = machine.event(Kind.IRQ_OFF)
        if not context.irqs_off:
            context.irqs_off = True
            machine.scheduler.mask(context.cpu)
            machine.note_reader(context)

    def local_irq_enable(self) -> None:
        """See :func:`kmm.hooks.local_irq_enable`."""
        machine = self.machine
        context = machine.event(Kind.IRQ_ON)
        if context.irqs_off:
            context.irqs_off = False
            machine.scheduler.unmask(context.cpu)
            machine.close_reader(context)

    def irqs_disabled(self) -> bool:
        """See :func:`kmm.hooks.irqs_disabled`."""
        return self.machine.context.irqs_off

    def preempt_count_add(self, n: int) -> None:
        """See :func:`kmm.hooks.preempt_count_add`."""
        self.machine.context.preempt += n

    def preempt_count_sub(self, n: int) -> None:
        """See :func:`kmm.hooks.preempt_count_sub`."""
        context = self.machine.context
        context.preempt -= n
        self.machine.close_reader(context)

    def preempt_count(self) -> int:
        """See :func:`kmm.hooks.preempt_count`."""
        return self.machine.context.preempt

    # --- instructions -------------------------------------------------------------------------------------

    def invlpg(self, addr: int) -> None:
        """See :func:`kmm.hooks.invlpg`."""
        context = self.machine.event(Kind.INVLPG, "INVLPG")
        self.machine.translations.invlpg(context.cpu, addr)

    def invpcid(self, kind: int, pcid: int, addr: int) -> None:
        """See :func:`kmm.hooks.invpcid`."""
        context = self.machine.event(Kind.INVPCID, f"INVPCID type {kind}")
        self.machine.translations.invpcid(context.cpu, kind, pcid, addr)

    def read_cr3(self) -> int:
        """See :func:`kmm.hooks.read_cr3`."""
        return self.machine.translations.cr3[self.machine.context.cpu]

    def write_cr3(self, value: int) -> None:
        """See :func:`kmm.hooks.write_cr3`."""
        context = self.machine.event(Kind.CR3, "MOV CR3")
        self.machine.translations.write_cr3(context.cpu, value)

    def read_cr4(self) -> int:
        """See :func:`kmm.hooks.read_cr4`."""
        return self.machine.translations.cr4[self.machine.context.cpu]

    def write_cr4(self, value: int) -> None:
        """See :func:`kmm.hooks.write_cr4`."""
        context = self.machine.event(Kind.CR4, "MOV CR4")
        self.machine.translations.write_cr4(context.cpu, value)
