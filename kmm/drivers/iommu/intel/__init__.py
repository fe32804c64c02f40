# SPDX-License-Identifier: GPL-2.0-only
"""drivers/iommu/intel: its own header comes first, so that any file here can be imported first."""

from __future__ import annotations

import kmm.drivers.iommu.intel.iommu_h
