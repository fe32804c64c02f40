# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/device.h and drivers/base: a device is what a bus lists and an IOMMU translates.

Leaves out: drivers and their binding, sysfs, power management, reference counts (devices stay).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import Ptr, struct
from kmm.include.linux.list import LIST_HEAD_INIT, list_add_tail, list_for_each_entry
from kmm.include.linux.types import list_head

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kmm.drivers.iommu.iommu import iommu_group
    from kmm.include.linux.iommu import dev_iommu


class bus_type(struct):
    """``struct bus_type``; ``devices`` is the device list that C keeps in its private half."""

    name: Ptr[str]
    devices: list_head


class device(struct):
    """``struct device``.

    ``knode_bus`` is the node in the list of its bus, which C keeps in ``struct device_private``.
    """

    init_name: Ptr[str]
    knode_bus: list_head
    bus: bus_type | None
    iommu_group: iommu_group | None
    iommu: dev_iommu | None


def BUS_TYPE(name: str) -> bus_type:
    """A bus without devices, for an initialiser."""
    bus = bus_type.zeroed()
    bus.name = name
    bus.embed("devices", LIST_HEAD_INIT())
    return bus


def dev_name(dev: device) -> str:
    """Name of a device."""
    return dev.init_name


def bus_add_device(dev: device) -> None:
    """Put *dev* at the end of the list of its bus."""
    assert dev.bus is not None
    list_add_tail(dev.knode_bus, dev.bus.devices)


def bus_for_each_dev(bus: bus_type, data: Any, fn: Callable[[device, Any], int]) -> int:
    """Call *fn* on each device of *bus* until one call returns an error.

    :return: that error, or 0.
    """
    for dev in list_for_each_entry(device, bus.devices, "knode_bus"):
        error = fn(dev, data)
        if error:
            return error
    return 0
