# SPDX-License-Identifier: GPL-2.0-only
"""What firmware and bootloader do: tasks, the IOMMU and its devices, and the order of the boot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.harness.device_port import Unit
from kmm_ext.vtd import VTD

if TYPE_CHECKING:
    from kmm.harness.machine import Machine
    from kmm.linker import Kernel

__all__ = ["Platform"]

#: Where the device sits: 6a:01.0, as the first DSA function of a Xeon.
_BUS, _DEVFN = 0x6A, 0x08


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
        """Boot as far as memory management: ``SYSTEM_BOOTING``, no workqueues (an actor on CPU 0)."""
        main = self.main
        main.local_irq_disable()
        main.boot_cpu_init()
        main.check_la57_support()
        main.setup_arch()
        main.trap_init()
        main.mm_core_init()
        main.local_irq_enable()

    def boot(self) -> None:
        """Boot to ``SYSTEM_RUNNING`` (an actor on CPU 0)."""
        self.main.start_kernel()
        if self.kernel.config.autoconf().get("CONFIG_INTEL_IOMMU"):
            self._add_iommu()
        self.main.kernel_init()

    def _add_iommu(self) -> None:
        """One VT-d unit, and behind it one device with PASIDs and a TLB of its own (ATS)."""
        machine = self.machine
        firmware = self.kernel.module("drivers/iommu/intel/platform.c")
        unit = Unit("dmar0", VTD(machine.memory, machine.translations.holds, name="dmar0",
                                 five_levels="LA57" in machine.spec.features))
        machine.device_port.units.append(unit)
        firmware.dmar_model_add_unit(unit)
        pci = firmware.dmar_model_add_device("dsa0", _BUS, _DEVFN)
        machine.device_port.structs.append(pci.dev)
        machine.device_port.sources.append((unit, _BUS << 8 | _DEVFN))
