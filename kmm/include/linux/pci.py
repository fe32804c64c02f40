# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/pci.h and drivers/pci: PCI functions and their configuration space.

Configuration space is a dictionary of registers in the function's own struct; what the device does
with an enable bit is up to the machine, which may read it there. Every function sits on a root bus,
has no aliases and is trusted.

Leaves out: enumeration, BARs, interrupts, power states, SR-IOV, bridges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import Ptr, container_of, struct
from kmm.include.linux.device import BUS_TYPE
from kmm.include.linux.device import device as struct_device

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PCI_VENDOR_ID_INTEL = 0x8086

PCI_EXT_CAP_ID_ATS = 0x0F
PCI_EXT_CAP_ID_PRI = 0x13
PCI_EXT_CAP_ID_PASID = 0x1B

PCI_ATS_CAP = 0x04
PCI_ATS_MAX_QDEP = 32
PCI_ATS_CAP_PAGE_ALIGNED = 0x0020
PCI_ATS_CTRL = 0x06
PCI_ATS_CTRL_ENABLE = 0x8000
PCI_ATS_MIN_STU = 12

PCI_PRI_CTRL = 0x04
PCI_PRI_CTRL_ENABLE = 0x0001
PCI_PRI_CTRL_RESET = 0x0002
PCI_PRI_STATUS = 0x06
PCI_PRI_STATUS_STOPPED = 0x0100
PCI_PRI_STATUS_PASID = 0x8000
PCI_PRI_MAX_REQ = 0x08
PCI_PRI_ALLOC_REQ = 0x0C

PCI_PASID_CAP = 0x04
PCI_PASID_CAP_EXEC = 0x0002
PCI_PASID_CAP_PRIV = 0x0004
PCI_PASID_CAP_WIDTH = 0x1F00
PCI_PASID_CTRL = 0x06
PCI_PASID_CTRL_ENABLE = 0x0001

PCI_ACS_RR = 0x0004
PCI_ACS_UF = 0x0010


def PCI_ATS_CAP_QDEP(x: int) -> int:
    """Invalidate queue depth of an ATS capability."""
    return x & 0x1F


def PCI_ATS_CTRL_STU(x: int) -> int:
    """Smallest translation unit field of the ATS control register."""
    return x & 0x1F


def PCI_DEVFN(slot: int, func: int) -> int:
    """Device and function number in one byte."""
    return ((slot & 0x1F) << 3) | (func & 0x07)


def PCI_DEVID(bus: int, devfn: int) -> int:
    """Requester id of a function."""
    return (bus << 8) | devfn


def PCI_BUS_NUM(x: int) -> int:
    """Bus number of a requester id."""
    return (x >> 8) & 0xFF


class pci_bus(struct):
    """``struct pci_bus``."""

    parent: pci_bus | None
    self: pci_dev | None
    number: int


class pci_dev(struct):
    """``struct pci_dev``.

    ``config`` and ``ext_caps`` stand for configuration space: registers by offset, and where each
    extended capability begins.
    """

    bus: Ptr[pci_bus]
    devfn: int
    vendor: int
    device: int
    pasid_required: int
    eetlp_prefix_max: int
    pasid_no_tlp: int
    dev: struct_device
    untrusted: int
    ats_enabled: int
    pasid_enabled: int
    pri_enabled: int
    is_virtfn: int
    ats_cap: int
    ats_stu: int
    pri_cap: int
    pri_reqs_alloc: int
    pasid_cap: int
    pasid_features: int
    config: Ptr[dict[int, int]]
    ext_caps: Ptr[dict[int, int]]


pci_bus_type = BUS_TYPE("pci")


def to_pci_dev(dev: struct_device) -> pci_dev:
    """The PCI function around a generic device."""
    return container_of(dev, pci_dev, "dev")


def dev_is_pci(dev: struct_device) -> bool:
    """Whether a device is a PCI function."""
    return dev.bus is pci_bus_type


def pci_find_ext_capability(dev: pci_dev, cap: int) -> int:
    """Where an extended capability begins, 0 if the function has none."""
    return dev.ext_caps.get(cap, 0)


def pci_read_config_word(dev: pci_dev, where: int) -> int:
    """``pci_read_config_word(dev, where, &val)``: the value."""
    return dev.config.get(where, 0)


def pci_write_config_word(dev: pci_dev, where: int, val: int) -> None:
    """Write a 16-bit configuration register."""
    dev.config[where] = val


def pci_read_config_dword(dev: pci_dev, where: int) -> int:
    """``pci_read_config_dword(dev, where, &val)``: the value."""
    return dev.config.get(where, 0)


def pci_write_config_dword(dev: pci_dev, where: int, val: int) -> None:
    """Write a 32-bit configuration register."""
    dev.config[where] = val


def pci_physfn(dev: pci_dev) -> pci_dev:
    """The physical function of a function; itself, as there is no SR-IOV."""
    return dev


def pci_real_dma_dev(dev: pci_dev) -> pci_dev:
    """The function whose requester id its DMA carries; itself."""
    return dev


def pci_dev_id(dev: pci_dev) -> int:
    """Requester id of a function."""
    return PCI_DEVID(dev.bus.number, dev.devfn)


def pci_domain_nr(bus: pci_bus) -> int:
    """Segment of a bus; there is one."""
    return 0


def pci_is_root_bus(pbus: pci_bus) -> bool:
    """Whether a bus hangs off the root complex."""
    return pbus.parent is None


def pci_device_is_present(pdev: pci_dev) -> bool:
    """Whether a function still answers; nothing is unplugged."""
    return True


def pci_acs_path_enabled(start: pci_dev, end: pci_dev | None, acs_flags: int) -> bool:
    """Whether requests go up to the root; root-bus functions always are isolated here."""
    return True


def pci_for_each_dma_alias(pdev: pci_dev, fn: Callable[[pci_dev, int, Any], int], data: Any) -> int:
    """Call *fn* with each requester id that DMA of *pdev* may carry: its own."""
    return fn(pdev, pci_dev_id(pdev), data)
