# SPDX-License-Identifier: GPL-2.0-only
"""Model of ACPI DMAR parsing and PCI enumeration: who tells VT-d which units and devices there are.

Not a kernel file. The machine has no firmware, so before the initcalls its boot code says what the
DMAR table and a scan of the buses would have said:

* :func:`dmar_model_add_unit` once per remapping unit, with the handle of its registers;
* :func:`dmar_model_add_device` once per device behind a unit.

``intel_iommu_init()``, an initcall, then finds both. A machine without units calls neither, and the
driver stays out of the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.drivers.iommu.intel.dmar import dmar_parse_one_drhd
from kmm.drivers.pci.ats import pci_ats_init, pci_pasid_init, pci_pri_init
from kmm.include.linux.device import bus_add_device
from kmm.include.linux.dmar import dmar_dev_scope
from kmm.include.linux.pci import (
    PCI_ATS_CAP,
    PCI_ATS_CAP_PAGE_ALIGNED,
    PCI_EXT_CAP_ID_ATS,
    PCI_EXT_CAP_ID_PASID,
    PCI_EXT_CAP_ID_PRI,
    PCI_PASID_CAP,
    PCI_PRI_MAX_REQ,
    PCI_PRI_STATUS,
    PCI_PRI_STATUS_PASID,
    PCI_PRI_STATUS_STOPPED,
    PCI_VENDOR_ID_INTEL,
    pci_bus,
    pci_bus_type,
    pci_dev,
)

if TYPE_CHECKING:
    from kmm.include.linux.dmar import dmar_drhd_unit

#: Where the capabilities of a modelled function begin.
ATS_AT = 0x100
PRI_AT = 0x120
PASID_AT = 0x140

root_buses: dict[int, pci_bus] = {}


def dmar_model_add_unit(reg_base: object, include_all: bool = True) -> dmar_drhd_unit | None:
    """A remapping unit exists.

    :param reg_base: handle of its registers, for :func:`kmm.hooks.mmio_read`.
    :param include_all: it translates for every device that no other unit names.
    :return: the unit, to be named when devices are added; None if the driver refused it.
    :context: while booting, before the initcalls, after the allocators; may sleep.
    """
    unit = dmar_parse_one_drhd(reg_base, include_all)
    return None if isinstance(unit, int) else unit


def dmar_model_add_device(name: str, bus: int, devfn: int, *, unit: dmar_drhd_unit | None = None,
                          ats: bool = True, pasid: bool = True, pri: bool = False,
                          pasid_width: int = 15) -> pci_dev:
    """A device exists.

    :param unit: the unit that names it; None leaves it to the one that takes all others.
    :param ats: it has a TLB of its own.
    :param pasid: its requests may carry a PASID.
    :param pri: it can send page requests.
    :param pasid_width: bits of its PASIDs; 15 need a PASID directory of one page, 20 one of 32 pages.
    :return: the PCI function; its ``dev`` is what ``iommu_sva_bind_device()`` takes.
    :context: as :func:`dmar_model_add_unit`.
    """
    if bus not in root_buses:
        root_buses[bus] = pci_bus.zeroed()
        root_buses[bus].number = bus

    pdev = pci_dev.zeroed()
    pdev.bus = root_buses[bus]
    pdev.devfn = devfn
    pdev.vendor = PCI_VENDOR_ID_INTEL
    pdev.dev.init_name = name
    pdev.dev.bus = pci_bus_type
    pdev.config = {}
    pdev.ext_caps = {}
    if ats:
        pdev.ext_caps[PCI_EXT_CAP_ID_ATS] = ATS_AT
        pdev.config[ATS_AT + PCI_ATS_CAP] = PCI_ATS_CAP_PAGE_ALIGNED
    if pri:
        pdev.ext_caps[PCI_EXT_CAP_ID_PRI] = PRI_AT
        pdev.config[PRI_AT + PCI_PRI_STATUS] = PCI_PRI_STATUS_STOPPED | PCI_PRI_STATUS_PASID
        pdev.config[PRI_AT + PCI_PRI_MAX_REQ] = 32
    if pasid:
        pdev.ext_caps[PCI_EXT_CAP_ID_PASID] = PASID_AT
        pdev.config[PASID_AT + PCI_PASID_CAP] = pasid_width << 8
        pdev.eetlp_prefix_max = 1
    pci_ats_init(pdev)
    pci_pri_init(pdev)
    pci_pasid_init(pdev)

    if unit is not None:
        scope = dmar_dev_scope.zeroed()
        scope.dev = pdev.dev
        scope.bus = bus
        scope.devfn = devfn
        unit.devices.append(scope)
        unit.devices_cnt += 1
    bus_add_device(pdev.dev)
    return pdev
