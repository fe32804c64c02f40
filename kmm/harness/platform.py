# SPDX-License-Identifier: GPL-2.0-only
"""What firmware and bootloader do: tasks, the IOMMU and its devices, and the order of the boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.harness.device_port import Unit
from kmm_ext.vtd import VTD

if TYPE_CHECKING:
    from kmm.harness.machine import Machine
    from kmm.linker import Kernel

__all__ = ["Platform"]


class Platform:
    """The parts of a world that are neither kernel nor hardware.

    :ivar tasks: one ``task_struct`` per CPU; a worker runs as the last CPU's.
    """

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.kernel = kernel
        self.machine = machine
        self.main = kernel.module("init/main.c")
        task_struct = kernel.symbol("task_struct", "include/linux/sched.h")
        self.tasks = machine.tasks
        for cpu in range(machine.spec.cpus):
            task = task_struct.zeroed()
            task.pid = cpu + 1
            task.comm = f"cpu{cpu}"
            self.tasks.append(task)

    def boot_early(self) -> None:
        """Boot until just before ``rest_init``: the system is still booting."""

    def boot(self) -> None:
        """Boot to ``SYSTEM_RUNNING`` (an actor on CPU 0)."""
        self.main.start_kernel()
        if self.kernel.config.autoconf().get("CONFIG_INTEL_IOMMU"):
            self._add_iommu()
        self.main.kernel_init()

    def _add_iommu(self) -> None:
        machine = self.machine
        hardware = VTD(machine.memory, machine.translations.holds, name="dmar0",
                       five_levels="LA57" in machine.spec.features)
        unit = Unit("dmar0", hardware)
        machine.device_port.units.append(unit)

    def snapshot(self) -> None:
        """Remember the units; they follow the memory's own snapshot."""

    def restore(self) -> None:
        """Back to the snapshot."""
