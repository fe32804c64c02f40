# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/pci/ats.c (Linux 7.2): ATS, PRI and PASID capabilities of a PCI function.

Leaves out: restoring state after a reset, CXL's demand for ATS, reading back control registers.
"""

from __future__ import annotations

from kmm.include.linux.bits import FIELD_GET
from kmm.include.linux.bug import WARN_ON
from kmm.include.linux.errno import EBUSY, EINVAL
from kmm.include.linux.pci import (
    PCI_ACS_RR,
    PCI_ACS_UF,
    PCI_ATS_CAP,
    PCI_ATS_CAP_PAGE_ALIGNED,
    PCI_ATS_CAP_QDEP,
    PCI_ATS_CTRL,
    PCI_ATS_CTRL_ENABLE,
    PCI_ATS_CTRL_STU,
    PCI_ATS_MAX_QDEP,
    PCI_ATS_MIN_STU,
    PCI_EXT_CAP_ID_ATS,
    PCI_EXT_CAP_ID_PASID,
    PCI_EXT_CAP_ID_PRI,
    PCI_PASID_CAP,
    PCI_PASID_CAP_EXEC,
    PCI_PASID_CAP_PRIV,
    PCI_PASID_CAP_WIDTH,
    PCI_PASID_CTRL,
    PCI_PASID_CTRL_ENABLE,
    PCI_PRI_ALLOC_REQ,
    PCI_PRI_CTRL,
    PCI_PRI_CTRL_ENABLE,
    PCI_PRI_CTRL_RESET,
    PCI_PRI_MAX_REQ,
    PCI_PRI_STATUS,
    PCI_PRI_STATUS_PASID,
    PCI_PRI_STATUS_STOPPED,
    pci_acs_path_enabled,
    pci_dev,
    pci_find_ext_capability,
    pci_physfn,
    pci_read_config_dword,
    pci_read_config_word,
    pci_write_config_dword,
    pci_write_config_word,
)


def pci_ats_init(dev: pci_dev) -> None:
    """Find the ATS capability."""
    pos = pci_find_ext_capability(dev, PCI_EXT_CAP_ID_ATS)
    if not pos:
        return

    dev.ats_cap = pos


def pci_ats_supported(dev: pci_dev) -> bool:
    """Whether a function has ATS and may use it."""
    if not dev.ats_cap:
        return False

    return dev.untrusted == 0


def pci_prepare_ats(dev: pci_dev, ps: int) -> int:
    """Set the smallest translation unit of a function before ATS is enabled.

    :param ps: ``int``, page shift of the IOMMU.
    :return: 0 or -errno.
    """
    if not pci_ats_supported(dev):
        return -EINVAL

    if WARN_ON(dev.ats_enabled):
        return -EBUSY

    if ps < PCI_ATS_MIN_STU:
        return -EINVAL

    if dev.is_virtfn:
        return 0

    dev.ats_stu = ps
    ctrl = PCI_ATS_CTRL_STU(dev.ats_stu - PCI_ATS_MIN_STU)
    pci_write_config_word(dev, dev.ats_cap + PCI_ATS_CTRL, ctrl)
    return 0


def pci_enable_ats(dev: pci_dev, ps: int) -> int:
    """Let a function ask for translations and keep them in its own TLB.

    :param ps: ``int``, page shift of the IOMMU.
    :return: 0 or -errno.
    """
    if not pci_ats_supported(dev):
        return -EINVAL

    if WARN_ON(dev.ats_enabled):
        return -EBUSY

    if ps < PCI_ATS_MIN_STU:
        return -EINVAL

    ctrl = PCI_ATS_CTRL_ENABLE
    if dev.is_virtfn:
        pdev = pci_physfn(dev)
        if pdev.ats_stu != ps:
            return -EINVAL
    else:
        dev.ats_stu = ps
        ctrl |= PCI_ATS_CTRL_STU(dev.ats_stu - PCI_ATS_MIN_STU)
    pci_write_config_word(dev, dev.ats_cap + PCI_ATS_CTRL, ctrl)

    dev.ats_enabled = 1
    return 0


def pci_disable_ats(dev: pci_dev) -> None:
    """Stop a function from using translations of its own."""
    if WARN_ON(not dev.ats_enabled):
        return

    ctrl = pci_read_config_word(dev, dev.ats_cap + PCI_ATS_CTRL)
    ctrl &= ~PCI_ATS_CTRL_ENABLE
    pci_write_config_word(dev, dev.ats_cap + PCI_ATS_CTRL, ctrl)

    dev.ats_enabled = 0


def pci_ats_queue_depth(dev: pci_dev) -> int:
    """How many invalidations a function can queue; -EINVAL without ATS."""
    if not dev.ats_cap:
        return -EINVAL

    if dev.is_virtfn:
        return 0

    cap = pci_read_config_word(dev, dev.ats_cap + PCI_ATS_CAP)
    return PCI_ATS_CAP_QDEP(cap) if PCI_ATS_CAP_QDEP(cap) else PCI_ATS_MAX_QDEP


def pci_ats_page_aligned(pdev: pci_dev) -> int:
    """Whether the addresses of translation requests are page aligned."""
    if not pdev.ats_cap:
        return 0

    cap = pci_read_config_word(pdev, pdev.ats_cap + PCI_ATS_CAP)

    if cap & PCI_ATS_CAP_PAGE_ALIGNED:
        return 1

    return 0


def pci_pri_init(pdev: pci_dev) -> None:
    """Find the PRI capability."""
    pdev.pri_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PRI)

    if not pdev.pri_cap:
        return

    status = pci_read_config_word(pdev, pdev.pri_cap + PCI_PRI_STATUS)
    if status & PCI_PRI_STATUS_PASID:
        pdev.pasid_required = 1


def pci_enable_pri(pdev: pci_dev, reqs: int) -> int:
    """Let a function send page requests.

    :param reqs: ``u32``, how many may be outstanding.
    :return: 0 or -errno.
    """
    pri = pdev.pri_cap

    if pdev.is_virtfn:
        if pci_physfn(pdev).pri_enabled:
            return 0
        return -EINVAL

    if WARN_ON(pdev.pri_enabled):
        return -EBUSY

    if not pri:
        return -EINVAL

    status = pci_read_config_word(pdev, pri + PCI_PRI_STATUS)
    if not (status & PCI_PRI_STATUS_STOPPED):
        return -EBUSY

    max_requests = pci_read_config_dword(pdev, pri + PCI_PRI_MAX_REQ)
    reqs = min(max_requests, reqs)
    pdev.pri_reqs_alloc = reqs
    pci_write_config_dword(pdev, pri + PCI_PRI_ALLOC_REQ, reqs)

    control = PCI_PRI_CTRL_ENABLE
    pci_write_config_word(pdev, pri + PCI_PRI_CTRL, control)

    pdev.pri_enabled = 1

    return 0


def pci_disable_pri(pdev: pci_dev) -> None:
    """Stop a function from sending page requests."""
    pri = pdev.pri_cap

    if pdev.is_virtfn:
        return

    if WARN_ON(not pdev.pri_enabled):
        return

    if not pri:
        return

    control = pci_read_config_word(pdev, pri + PCI_PRI_CTRL)
    control &= ~PCI_PRI_CTRL_ENABLE
    pci_write_config_word(pdev, pri + PCI_PRI_CTRL, control)

    pdev.pri_enabled = 0


def pci_reset_pri(pdev: pci_dev) -> int:
    """Forget what page requests a disabled function has outstanding; 0 or -errno."""
    pri = pdev.pri_cap

    if pdev.is_virtfn:
        return 0

    if WARN_ON(pdev.pri_enabled):
        return -EBUSY

    if not pri:
        return -EINVAL

    control = PCI_PRI_CTRL_RESET
    pci_write_config_word(pdev, pri + PCI_PRI_CTRL, control)

    return 0


def pci_prg_resp_pasid_required(pdev: pci_dev) -> int:
    """Whether page responses must carry the PASID."""
    if pdev.is_virtfn:
        pdev = pci_physfn(pdev)

    return pdev.pasid_required


def pci_pri_supported(pdev: pci_dev) -> bool:
    """Whether a function has PRI."""
    if pci_physfn(pdev).pri_cap:
        return True
    return False


def pci_pasid_init(pdev: pci_dev) -> None:
    """Find the PASID capability."""
    pdev.pasid_cap = pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_PASID)


def pci_enable_pasid(pdev: pci_dev, features: int) -> int:
    """Let a function put PASIDs on its requests.

    :param features: ``int``, PCI_PASID_CAP_EXEC and PCI_PASID_CAP_PRIV to enable.
    :return: 0 or -errno.
    """
    pasid = pdev.pasid_cap

    if pdev.is_virtfn:
        if pci_physfn(pdev).pasid_enabled:
            return 0
        return -EINVAL

    if WARN_ON(pdev.pasid_enabled):
        return -EBUSY

    if not pdev.eetlp_prefix_max and not pdev.pasid_no_tlp:
        return -EINVAL

    if not pasid:
        return -EINVAL

    if not pci_acs_path_enabled(pdev, None, PCI_ACS_RR | PCI_ACS_UF):
        return -EINVAL

    supported = pci_read_config_word(pdev, pasid + PCI_PASID_CAP)
    supported &= PCI_PASID_CAP_EXEC | PCI_PASID_CAP_PRIV

    if (supported & features) != features:
        return -EINVAL

    control = PCI_PASID_CTRL_ENABLE | features
    pdev.pasid_features = features

    pci_write_config_word(pdev, pasid + PCI_PASID_CTRL, control)

    pdev.pasid_enabled = 1

    return 0


def pci_disable_pasid(pdev: pci_dev) -> None:
    """Stop a function from putting PASIDs on its requests."""
    control = 0
    pasid = pdev.pasid_cap

    if pdev.is_virtfn:
        return

    if WARN_ON(not pdev.pasid_enabled):
        return

    if not pasid:
        return

    pci_write_config_word(pdev, pasid + PCI_PASID_CTRL, control)

    pdev.pasid_enabled = 0


def pci_pasid_features(pdev: pci_dev) -> int:
    """Optional PASID features of a function; -EINVAL if it has no PASID capability."""
    if pdev.is_virtfn:
        pdev = pci_physfn(pdev)

    pasid = pdev.pasid_cap
    if not pasid:
        return -EINVAL

    supported = pci_read_config_word(pdev, pasid + PCI_PASID_CAP)

    supported &= PCI_PASID_CAP_EXEC | PCI_PASID_CAP_PRIV

    return supported


def pci_max_pasids(pdev: pci_dev) -> int:
    """How many PASIDs a function can use; -EINVAL if it has no PASID capability."""
    if pdev.is_virtfn:
        pdev = pci_physfn(pdev)

    pasid = pdev.pasid_cap
    if not pasid:
        return -EINVAL

    supported = pci_read_config_word(pdev, pasid + PCI_PASID_CAP)

    return 1 << FIELD_GET(PCI_PASID_CAP_WIDTH, supported)
