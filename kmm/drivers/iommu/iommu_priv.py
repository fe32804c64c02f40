# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/iommu-priv.h (Linux 7.2), without what iommufd and firmware tables need.

What it declares of drivers/iommu/iommu.c is imported from there by its users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm.include.linux.device import device
    from kmm.include.linux.iommu import iommu_ops


def dev_iommu_ops(dev: device) -> iommu_ops:
    """The operations of the IOMMU that translates for *dev*; it must have one."""
    assert dev.iommu is not None and dev.iommu.iommu_dev is not None
    ops = dev.iommu.iommu_dev.ops
    assert ops is not None
    return ops
