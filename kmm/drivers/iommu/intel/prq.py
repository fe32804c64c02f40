# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/prq.c (Linux 7.2): page requests of devices.

The queue is set up, so a unit that takes page requests can be used; but what handles them
(``prq_event_thread``, drivers/iommu/io-pgfault.c) and what drains them is not ported. Sound as long as
no device has PRI: none sends page requests then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.io import virt_to_phys
from kmm.drivers.iommu.intel.iommu_h import (
    DMAR_PQA_REG,
    DMAR_PQH_REG,
    DMAR_PQT_REG,
    PRQ_ORDER,
    PRQ_SIZE,
)
from kmm.drivers.iommu.iommu_pages import iommu_alloc_pages_node_sz, iommu_free_pages
from kmm.hooks import Unported
from kmm.include.linux.completion import init_completion
from kmm.include.linux.errno import ENOMEM
from kmm.include.linux.gfp import GFP_KERNEL
from kmm.include.linux.io import writeq
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


def prq_event_thread(irq: int, iommu: intel_iommu) -> None:
    """Handle the page requests that the unit has queued."""
    raise Unported(_FILE, "prq_event_thread")


def intel_iommu_enable_prq(iommu: intel_iommu) -> int:
    """Set up the page request queue of a unit; 0 or -ENOMEM.

    :context: may sleep.
    :deviation: no interrupt, and no queue for I/O page faults: who needs one is Unported.
    """
    prq = iommu_alloc_pages_node_sz(iommu.node, GFP_KERNEL, PRQ_SIZE)
    if not prq:
        return -ENOMEM
    iommu.prq = prq

    writeq(0, iommu.reg + DMAR_PQH_REG)
    writeq(0, iommu.reg + DMAR_PQT_REG)
    writeq(virt_to_phys(iommu.prq) | PRQ_ORDER, iommu.reg + DMAR_PQA_REG)

    init_completion(iommu.prq_complete)

    return 0


def intel_iommu_finish_prq(iommu: intel_iommu) -> int:
    """Take the page request queue of a unit down; always 0."""
    writeq(0, iommu.reg + DMAR_PQH_REG)
    writeq(0, iommu.reg + DMAR_PQT_REG)
    writeq(0, iommu.reg + DMAR_PQA_REG)

    iommu_free_pages(iommu.prq)
    iommu.prq = 0

    return 0
