# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/dmar.h (Linux 7.2): the list of remapping units.

Leaves out: the ACPI tables and hot plug; :mod:`kmm.drivers.iommu.intel.platform` fills the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import Ptr, struct
from kmm.include.linux.device import device
from kmm.include.linux.list import LIST_HEAD_INIT, list_for_each_entry
from kmm.include.linux.rwsem import DECLARE_RWSEM
from kmm.include.linux.types import list_head

if TYPE_CHECKING:
    from kmm.drivers.iommu.intel.iommu_h import intel_iommu

DMAR_UNITS_SUPPORTED = 1024

# In C the storage of these two is in drivers/iommu/intel/dmar.c.
dmar_global_lock = DECLARE_RWSEM()
dmar_drhd_units = LIST_HEAD_INIT()


class dmar_dev_scope(struct):
    """``struct dmar_dev_scope``: a device that firmware puts behind a unit."""

    dev: device | None
    bus: int
    devfn: int


_scopes = list[dmar_dev_scope]


class dmar_drhd_unit(struct):
    """``struct dmar_drhd_unit``: what firmware says about a unit.

    ``reg_base`` stands for the register address: the handle that the machine gave.
    """

    list: list_head
    reg_base: Ptr[object]
    devices: Ptr[_scopes]
    devices_cnt: int
    segment: int
    ignored: int
    include_all: int
    gfx_dedicated: int
    iommu: Ptr[intel_iommu]


def for_each_drhd_unit() -> list_for_each_entry[dmar_drhd_unit]:
    """``for_each_drhd_unit(drhd)``.

    ``for_each_iommu(iommu, drhd)`` is this loop with ``iommu = drhd.iommu`` as its first statement,
    and ``for_each_active_iommu`` skips units that are ignored.

    :context: ``dmar_global_lock`` held, an RCU reader, or booting.
    """
    return list_for_each_entry(dmar_drhd_unit, dmar_drhd_units, "list")
