# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/prq.c (Linux 7.2): page requests of devices.

Leaves out: all but the early return of ``intel_iommu_drain_pasid_prq``. A device without PRI sends
no page requests, so there is nothing to drain; a unit that takes page requests is Unported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.hooks import Unported
from kmm.include.linux.iommu import dev_iommu_priv_get

if TYPE_CHECKING:
    from kmm.drivers.iommu.intel.iommu_h import device_domain_info, intel_iommu
    from kmm.include.linux.device import device

_FILE = "drivers/iommu/intel/prq.c"


def intel_iommu_drain_pasid_prq(dev: device, pasid: int) -> None:
    """Wait until no page request of a PASID is pending, in software or hardware.

    :context: may sleep.
    """
    info: device_domain_info = dev_iommu_priv_get(dev)
    if not info.iopf_refcount:
        return

    raise Unported(_FILE, "intel_iommu_drain_pasid_prq")


def intel_iommu_enable_prq(iommu: intel_iommu) -> int:
    """Set up the page request queue of a unit."""
    raise Unported(_FILE, "intel_iommu_enable_prq")


def intel_iommu_finish_prq(iommu: intel_iommu) -> int:
    """Take the page request queue of a unit down."""
    raise Unported(_FILE, "intel_iommu_finish_prq")
