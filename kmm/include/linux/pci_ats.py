# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/pci-ats.h (Linux 7.2): declarations of drivers/pci/ats.c."""

from __future__ import annotations

# Declared here, defined in drivers/pci/ats.c:
from kmm.drivers.pci.ats import pci_ats_page_aligned as pci_ats_page_aligned
from kmm.drivers.pci.ats import pci_ats_queue_depth as pci_ats_queue_depth
from kmm.drivers.pci.ats import pci_ats_supported as pci_ats_supported
from kmm.drivers.pci.ats import pci_disable_ats as pci_disable_ats
from kmm.drivers.pci.ats import pci_disable_pasid as pci_disable_pasid
from kmm.drivers.pci.ats import pci_disable_pri as pci_disable_pri
from kmm.drivers.pci.ats import pci_enable_ats as pci_enable_ats
from kmm.drivers.pci.ats import pci_enable_pasid as pci_enable_pasid
from kmm.drivers.pci.ats import pci_enable_pri as pci_enable_pri
from kmm.drivers.pci.ats import pci_max_pasids as pci_max_pasids
from kmm.drivers.pci.ats import pci_pasid_features as pci_pasid_features
from kmm.drivers.pci.ats import pci_prepare_ats as pci_prepare_ats
from kmm.drivers.pci.ats import pci_prg_resp_pasid_required as pci_prg_resp_pasid_required
from kmm.drivers.pci.ats import pci_pri_supported as pci_pri_supported
from kmm.drivers.pci.ats import pci_reset_pri as pci_reset_pri
