# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/iommu.c (Linux 7.2): bringing VT-d up, devices, blocking and identity.

Reads CONFIG_INTEL_IOMMU, CONFIG_INTEL_IOMMU_DEFAULT_OFF, CONFIG_INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON.

Leaves out: legacy mode (context entries that point at second-stage tables), paging and nested
domains, tables taken over from a crashed kernel, the kernel command line, reserved regions, suspend,
hot plug, sysfs, enhanced commands, quirks of particular devices, messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.io import phys_to_virt, virt_to_phys
from kmm.drivers.iommu.intel.iommu_h import (
    DMA_CCMD_DEVICE_INVL,
    DMA_CCMD_DID,
    DMA_CCMD_DOMAIN_INVL,
    DMA_CCMD_FM,
    DMA_CCMD_GLOBAL_INVL,
    DMA_CCMD_ICC,
    DMA_CCMD_SID,
    DMA_GCMD_SRTP,
    DMA_GCMD_TE,
    DMA_GCMD_WBF,
    DMA_GSTS_RTPS,
    DMA_GSTS_TES,
    DMA_GSTS_WBFS,
    DMA_PMEN_EPM,
    DMA_PMEN_PRS,
    DMA_RTADDR_SMT,
    DMA_TLB_DID,
    DMA_TLB_DSI_FLUSH,
    DMA_TLB_GLOBAL_FLUSH,
    DMA_TLB_IVT,
    DMA_TLB_PSI_FLUSH,
    DMA_TLB_WRITE_DRAIN,
    DMAR_CCMD_REG,
    DMAR_GCMD_REG,
    DMAR_GSTS_REG,
    DMAR_PMEN_REG,
    DMAR_RTADDR_REG,
    IOMMU_WAIT_OP,
    MAX_AGAW_WIDTH,
    PRQ_DEPTH,
    QI_PC_GLOBAL,
    VTD_FLAG_TRANS_PRE_ENABLED,
    VTD_PAGE_MASK,
    VTD_PAGE_SHIFT,
    VTD_PAGE_SIZE,
    __iommu_flush_cache,
    cap_esrtps,
    cap_fl5lp_support,
    cap_phmr,
    cap_plmr,
    cap_rwbf,
    cap_sagaw,
    cap_write_drain,
    context_copied,
    context_entry,
    dev_is_real_dma_subdevice,
    dev_pasid_info,
    device_domain_info,
    dmar_domain,
    ecap_dev_iotlb_support,
    ecap_dit,
    ecap_flts,
    ecap_iotlb_offset,
    ecap_pass_through,
    ecap_pds,
    ecap_prs,
    ecap_pss,
    ecap_sc_support,
    ecap_slts,
    intel_iommu,
    iopf_for_domain_remove,
    iopf_for_domain_replace,
    pasid_supported,
    root_entry,
    sm_supported,
    ssads_supported,
    to_dmar_domain,
    width_to_agaw,
)
from kmm.drivers.iommu.iommu_pages import iommu_alloc_pages_node_sz
from kmm.hooks import Unported
from kmm.include.generated.autoconf import (
    CONFIG_INTEL_IOMMU,
    CONFIG_INTEL_IOMMU_DEFAULT_OFF,
    CONFIG_INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON,
    CONFIG_INTEL_IOMMU_SVM,
)
from kmm.include.linux.bits import BIT
from kmm.include.linux.bug import WARN_ON, WARN_ON_ONCE
from kmm.include.linux.dmar import dmar_global_lock, for_each_drhd_unit
from kmm.include.linux.err import ERR_PTR
from kmm.include.linux.errno import EEXIST, ENODEV, ENOMEM, EOPNOTSUPP
from kmm.include.linux.gfp import GFP_ATOMIC
from kmm.include.linux.init import rootfs_initcall
from kmm.include.linux.io import readl, readq, writel, writeq
from kmm.include.linux.iommu import (
    IOMMU_DOMAIN_BLOCKED,
    IOMMU_DOMAIN_DMA,
    IOMMU_DOMAIN_IDENTITY,
    IOMMU_DOMAIN_SVA,
    IOMMU_NO_PASID,
    dev_iommu_priv_get,
    ioasid_t,
    iommu_device,
    iommu_device_register,
    iommu_domain,
    iommu_domain_ops,
    iommu_group_mutex_assert,
    iommu_ops,
    iopf_queue_add_device,
    iopf_queue_remove_device,
)
from kmm.include.linux.list import list_add, list_del, list_for_each_entry
from kmm.include.linux.mutex import mutex_lock, mutex_unlock
from kmm.include.linux.pci import (
    PCI_DEVID,
    PCI_VENDOR_ID_INTEL,
    dev_is_pci,
    pci_dev,
    pci_dev_id,
    pci_domain_nr,
    pci_physfn,
    pci_real_dma_dev,
    to_pci_dev,
)
from kmm.include.linux.pci_ats import (
    pci_ats_page_aligned,
    pci_ats_queue_depth,
    pci_ats_supported,
    pci_disable_ats,
    pci_disable_pasid,
    pci_disable_pri,
    pci_enable_ats,
    pci_enable_pasid,
    pci_enable_pri,
    pci_pasid_features,
    pci_prepare_ats,
    pci_prg_resp_pasid_required,
    pci_pri_supported,
    pci_reset_pri,
)
from kmm.include.linux.rcupdate import rcu_read_lock, rcu_read_unlock
from kmm.include.linux.rwsem import down_read, down_write, up_read, up_write
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.spinlock import (
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
    spin_lock_irqsave,
    spin_unlock_irqrestore,
)

if TYPE_CHECKING:
    from kmm.drivers.iommu.iommu import iommu_group
    from kmm.include.linux.device import device
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.types import phys_addr_t

ROOT_SIZE = VTD_PAGE_SIZE
CONTEXT_SIZE = VTD_PAGE_SIZE

DEFAULT_DOMAIN_ADDRESS_WIDTH = 57

rwbf_quirk = 0


def device_rbtree_find(iommu: intel_iommu, rid: int) -> device | None:
    """The device with a requester id, NULL if the unit knows none.

    :context: takes ``iommu->device_rbtree_lock``; nothing keeps the device from going.
    :deviation: the tree is a dictionary by requester id.
    """
    flags = spin_lock_irqsave(iommu.device_rbtree_lock)
    info = iommu.device_rbtree.get(rid)
    spin_unlock_irqrestore(iommu.device_rbtree_lock, flags)

    return info.dev if info else None


def device_rbtree_insert(iommu: intel_iommu, info: device_domain_info) -> int:
    """Make a device known by its requester id; 0 or -EEXIST."""
    rid = PCI_DEVID(info.bus, info.devfn)

    flags = spin_lock_irqsave(iommu.device_rbtree_lock)
    curr = iommu.device_rbtree.setdefault(rid, info)
    spin_unlock_irqrestore(iommu.device_rbtree_lock, flags)
    if WARN_ON(curr is not info):
        return -EEXIST

    return 0


def device_rbtree_remove(info: device_domain_info) -> None:
    """Undo :func:`device_rbtree_insert`."""
    iommu = info.iommu

    flags = spin_lock_irqsave(iommu.device_rbtree_lock)
    iommu.device_rbtree.pop(PCI_DEVID(info.bus, info.devfn), None)
    spin_unlock_irqrestore(iommu.device_rbtree_lock, flags)


dmar_disabled = int(CONFIG_INTEL_IOMMU_DEFAULT_OFF)
intel_iommu_sm = int(CONFIG_INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON)

intel_iommu_enabled = 0


def translation_pre_enabled(iommu: intel_iommu) -> bool:
    """Whether translation was on when the kernel came."""
    return bool(iommu.flags & VTD_FLAG_TRANS_PRE_ENABLED)


def clear_translation_pre_enabled(iommu: intel_iommu) -> None:
    """It is off now."""
    iommu.flags &= ~VTD_FLAG_TRANS_PRE_ENABLED


def init_translation_status(iommu: intel_iommu) -> None:
    """Note whether translation is on."""
    gsts = readl(iommu.reg + DMAR_GSTS_REG)
    if gsts & DMA_GSTS_TES:
        iommu.flags |= VTD_FLAG_TRANS_PRE_ENABLED


def __iommu_calculate_sagaw(iommu: intel_iommu) -> int:
    """Widths that both stages support, a bit each (VT-d 11.4.2)."""
    fl_sagaw = BIT(2) | (BIT(3) if cap_fl5lp_support(iommu.cap) else 0)
    sl_sagaw = cap_sagaw(iommu.cap)

    # Second stage only.
    if not sm_supported(iommu) or not ecap_flts(iommu.ecap):
        return sl_sagaw

    # First stage only.
    if not ecap_slts(iommu.ecap):
        return fl_sagaw

    return fl_sagaw & sl_sagaw


def __iommu_calculate_agaw(iommu: intel_iommu, max_gaw: int) -> int:
    """The largest supported width up to *max_gaw* bits, -1 if none."""
    sagaw = __iommu_calculate_sagaw(iommu)
    agaw = width_to_agaw(max_gaw)
    while agaw >= 0:
        if sagaw >> agaw & 1:
            break
        agaw -= 1

    return agaw


def iommu_calculate_max_sagaw(iommu: intel_iommu) -> int:
    """The largest supported width."""
    return __iommu_calculate_agaw(iommu, MAX_AGAW_WIDTH)


def iommu_calculate_agaw(iommu: intel_iommu) -> int:
    """The default width, or less if the unit supports only that."""
    return __iommu_calculate_agaw(iommu, DEFAULT_DOMAIN_ADDRESS_WIDTH)


def iommu_context_addr(iommu: intel_iommu, bus: int, devfn: int, alloc: bool) -> context_entry | None:
    """The context entry of a requester id.

    :param alloc: ``int``, allocate its table if need be.
    :return: NULL if there is no table, or no memory for one.
    :context: ``iommu->lock`` held.
    """
    assert iommu.root_entry is not None
    root = iommu.root_entry + bus

    if not alloc and context_copied(iommu, bus, devfn):
        return None

    # In scalable mode a context entry has 32 bytes, so a bus needs two tables.
    entry = int(root)
    if sm_supported(iommu):
        if devfn >= 0x80:
            devfn -= 0x80
            entry = int(root) + 8
        devfn *= 2
    val = hooks.load(entry, 8)
    if val & 1:
        context = phys_to_virt(val & VTD_PAGE_MASK)
    else:
        if not alloc:
            return None

        page = iommu_alloc_pages_node_sz(iommu.node, GFP_ATOMIC, 0x1000)
        if not page:
            return None
        context = page

        __iommu_flush_cache(iommu, context, CONTEXT_SIZE)
        phy_addr = virt_to_phys(context)
        hooks.store(entry, 8, phy_addr | 1)
        __iommu_flush_cache(iommu, entry, 8)
    return context_entry(context) + devfn


def iommu_is_dummy(iommu: intel_iommu | None, dev: device) -> bool:
    """Whether a unit does not really translate for *dev*."""
    if not iommu or iommu.drhd.ignored:
        return True

    return False


def device_lookup_iommu(dev: device) -> tuple[intel_iommu | None, int, int]:
    """The unit of a device, with the bus and devfn that its requests carry.

    :return: NULL as the first if it has none.
    :context: RCU reader.
    """
    if not dev_is_pci(dev):
        raise Unported("drivers/iommu/intel/iommu.c", "device_lookup_iommu: ACPI devices")

    pdev = pci_real_dma_dev(to_pci_dev(dev))
    pf_pdev = pci_physfn(pdev)
    dev = pf_pdev.dev
    segment = pci_domain_nr(pdev.bus)
    bus = pdev.bus.number
    devfn = pdev.devfn
    found: intel_iommu | None = None

    rcu_read_lock()
    for drhd in for_each_drhd_unit():
        iommu = drhd.iommu
        if segment != drhd.segment:
            continue

        for scope in drhd.devices:
            if scope.dev is dev:
                bus = scope.bus
                devfn = scope.devfn
                found = iommu
                break
        if found:
            break

        if drhd.include_all:
            found = iommu
            break
    if iommu_is_dummy(found, dev):
        found = None

    rcu_read_unlock()

    return found, bus, devfn


def iommu_alloc_root_entry(iommu: intel_iommu) -> int:
    """Allocate the root table; 0 or -ENOMEM."""
    root = iommu_alloc_pages_node_sz(iommu.node, GFP_ATOMIC, 0x1000)
    if not root:
        return -ENOMEM

    __iommu_flush_cache(iommu, root, ROOT_SIZE)
    iommu.root_entry = root_entry(root)

    return 0


def iommu_set_root_entry(iommu: intel_iommu) -> None:
    """Tell the unit where its root table is, and drop all it has cached."""
    assert iommu.root_entry is not None
    addr = virt_to_phys(iommu.root_entry)
    if sm_supported(iommu):
        addr |= DMA_RTADDR_SMT

    flag = raw_spin_lock_irqsave(iommu.register_lock)
    writeq(addr, iommu.reg + DMAR_RTADDR_REG)

    writel(iommu.gcmd | DMA_GCMD_SRTP, iommu.reg + DMAR_GCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, lambda sts: bool(sts & DMA_GSTS_RTPS))

    raw_spin_unlock_irqrestore(iommu.register_lock, flag)

    # Some units drop everything by themselves.
    if cap_esrtps(iommu.cap):
        return

    iommu.flush.flush_context(iommu, 0, 0, 0, DMA_CCMD_GLOBAL_INVL)
    if sm_supported(iommu):
        qi_flush_pasid_cache(iommu, 0, QI_PC_GLOBAL, 0)
    iommu.flush.flush_iotlb(iommu, 0, 0, 0, DMA_TLB_GLOBAL_FLUSH)


def iommu_flush_write_buffer(iommu: intel_iommu) -> None:
    """Flush the write buffer of a unit that needs it."""
    if not rwbf_quirk and not cap_rwbf(iommu.cap):
        return

    flag = raw_spin_lock_irqsave(iommu.register_lock)
    writel(iommu.gcmd | DMA_GCMD_WBF, iommu.reg + DMAR_GCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, lambda val: not (val & DMA_GSTS_WBFS))

    raw_spin_unlock_irqrestore(iommu.register_lock, flag)


def __iommu_flush_context(iommu: intel_iommu, did: int, source_id: int, function_mask: int,
                          type: int) -> None:
    """Drop context-cache entries by register."""
    if type == DMA_CCMD_GLOBAL_INVL:
        val = DMA_CCMD_GLOBAL_INVL
    elif type == DMA_CCMD_DOMAIN_INVL:
        val = DMA_CCMD_DOMAIN_INVL | DMA_CCMD_DID(did)
    elif type == DMA_CCMD_DEVICE_INVL:
        val = (DMA_CCMD_DEVICE_INVL | DMA_CCMD_DID(did)
               | DMA_CCMD_SID(source_id) | DMA_CCMD_FM(function_mask))
    else:
        return
    val |= DMA_CCMD_ICC

    flag = raw_spin_lock_irqsave(iommu.register_lock)
    writeq(val, iommu.reg + DMAR_CCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_CCMD_REG, readq, lambda val: not (val & DMA_CCMD_ICC))

    raw_spin_unlock_irqrestore(iommu.register_lock, flag)


def __iommu_flush_iotlb(iommu: intel_iommu, did: int, addr: int, size_order: int, type: int) -> None:
    """Drop IOTLB entries by register."""
    tlb_offset = ecap_iotlb_offset(iommu.ecap)
    val_iva = 0

    if type == DMA_TLB_GLOBAL_FLUSH:
        val = DMA_TLB_GLOBAL_FLUSH | DMA_TLB_IVT
    elif type == DMA_TLB_DSI_FLUSH:
        val = DMA_TLB_DSI_FLUSH | DMA_TLB_IVT | DMA_TLB_DID(did)
    elif type == DMA_TLB_PSI_FLUSH:
        val = DMA_TLB_PSI_FLUSH | DMA_TLB_IVT | DMA_TLB_DID(did)
        # The invalidation hint comes with the address.
        val_iva = size_order | addr
    else:
        return

    if cap_write_drain(iommu.cap):
        val |= DMA_TLB_WRITE_DRAIN

    flag = raw_spin_lock_irqsave(iommu.register_lock)
    if val_iva:
        writeq(val_iva, iommu.reg + tlb_offset)
    writeq(val, iommu.reg + (tlb_offset + 8))

    IOMMU_WAIT_OP(iommu, tlb_offset + 8, readq, lambda val: not (val & DMA_TLB_IVT))

    raw_spin_unlock_irqrestore(iommu.register_lock, flag)


BUGGY_QAT_DEVID_MASK = 0x4940


def dev_needs_extra_dtlb_flush(pdev: pci_dev) -> bool:
    """Whether the TLB of a device has to be flushed twice."""
    if pdev.vendor != PCI_VENDOR_ID_INTEL:
        return False

    if (pdev.device & 0xFFFC) != BUGGY_QAT_DEVID_MASK:
        return False

    return True


def iommu_enable_pci_ats(info: device_domain_info) -> None:
    """Let a device have a TLB of its own, if it can."""
    if not info.ats_supported:
        return

    pdev = to_pci_dev(info.dev)
    if not pci_ats_page_aligned(pdev):
        return

    if not pci_enable_ats(pdev, VTD_PAGE_SHIFT):
        info.ats_enabled = 1


def iommu_disable_pci_ats(info: device_domain_info) -> None:
    """Undo :func:`iommu_enable_pci_ats`."""
    if not info.ats_enabled:
        return

    pci_disable_ats(to_pci_dev(info.dev))
    info.ats_enabled = 0


def iommu_enable_pci_pri(info: device_domain_info) -> None:
    """Let a device send page requests, if it can."""
    if not info.ats_enabled or not info.pri_supported:
        return

    pdev = to_pci_dev(info.dev)
    # Responses must carry the PASID.
    if info.pasid_enabled and not pci_prg_resp_pasid_required(pdev):
        return

    if pci_reset_pri(pdev):
        return

    if not pci_enable_pri(pdev, PRQ_DEPTH):
        info.pri_enabled = 1


def iommu_disable_pci_pri(info: device_domain_info) -> None:
    """Undo :func:`iommu_enable_pci_pri`."""
    if not info.pri_enabled:
        return

    if WARN_ON(info.iopf_refcount):
        assert info.iommu.iopf_queue is not None
        iopf_queue_remove_device(info.iommu.iopf_queue, info.dev)

    pci_disable_pri(to_pci_dev(info.dev))
    info.pri_enabled = 0


def iommu_disable_protect_mem_regions(iommu: intel_iommu) -> None:
    """Open the memory regions that firmware closed to devices."""
    if not cap_plmr(iommu.cap) and not cap_phmr(iommu.cap):
        return

    flags = raw_spin_lock_irqsave(iommu.register_lock)
    pmen = readl(iommu.reg + DMAR_PMEN_REG)
    pmen &= ~DMA_PMEN_EPM
    writel(pmen, iommu.reg + DMAR_PMEN_REG)

    IOMMU_WAIT_OP(iommu, DMAR_PMEN_REG, readl, lambda pmen: not (pmen & DMA_PMEN_PRS))

    raw_spin_unlock_irqrestore(iommu.register_lock, flags)


def iommu_enable_translation(iommu: intel_iommu) -> None:
    """Turn translation on."""
    flags = raw_spin_lock_irqsave(iommu.register_lock)
    iommu.gcmd |= DMA_GCMD_TE
    writel(iommu.gcmd, iommu.reg + DMAR_GCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, lambda sts: bool(sts & DMA_GSTS_TES))

    raw_spin_unlock_irqrestore(iommu.register_lock, flags)


def iommu_disable_translation(iommu: intel_iommu) -> None:
    """Turn translation off."""
    flag = raw_spin_lock_irqsave(iommu.register_lock)
    iommu.gcmd &= ~DMA_GCMD_TE
    writel(iommu.gcmd, iommu.reg + DMAR_GCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, lambda sts: not (sts & DMA_GSTS_TES))

    raw_spin_unlock_irqrestore(iommu.register_lock, flag)


def domain_attach_iommu(domain: dmar_domain, iommu: intel_iommu) -> int:
    """Get a domain id for *domain* on a unit; SVA domains share one. 0 or -errno."""
    if domain.domain.type == IOMMU_DOMAIN_SVA:
        return 0

    raise Unported("drivers/iommu/intel/iommu.c", "domain_attach_iommu: domains with an id of their own")


def domain_detach_iommu(domain: dmar_domain, iommu: intel_iommu) -> None:
    """Undo :func:`domain_attach_iommu`."""
    if domain.domain.type == IOMMU_DOMAIN_SVA:
        return

    raise Unported("drivers/iommu/intel/iommu.c", "domain_detach_iommu: domains with an id of their own")


def __domain_setup_first_level(iommu: intel_iommu, dev: device, pasid: ioasid_t, did: int,
                               fsptptr: phys_addr_t, flags: int, old: iommu_domain | None) -> int:
    """Let a PASID walk first-stage tables, after what *old* used is out; 0 or -errno."""
    if old:
        intel_pasid_tear_down_entry(iommu, dev, pasid, False)

    return intel_pasid_setup_first_level(iommu, dev, fsptptr, pasid, did, flags)


def domain_setup_passthrough(iommu: intel_iommu, dev: device, pasid: ioasid_t,
                             old: iommu_domain | None) -> int:
    """Let a PASID use physical addresses, after what *old* used is out; 0 or -errno."""
    if old:
        intel_pasid_tear_down_entry(iommu, dev, pasid, False)

    return intel_pasid_setup_pass_through(iommu, dev, pasid)


def device_def_domain_type(dev: device) -> int:
    """The type of default domain that *dev* must have, 0 for any."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    if not ecap_pass_through(iommu.ecap):
        return IOMMU_DOMAIN_DMA

    return 0


def intel_iommu_init_qi(iommu: intel_iommu) -> None:
    """Start from a clean state and prefer the invalidation queue to registers."""
    if not iommu.qi:
        dmar_fault(-1, iommu)
        # Firmware may have left it on.
        dmar_disable_qi(iommu)

    if dmar_enable_qi(iommu):
        iommu.flush.flush_context = __iommu_flush_context
        iommu.flush.flush_iotlb = __iommu_flush_iotlb
    else:
        iommu.flush.flush_context = qi_flush_context
        iommu.flush.flush_iotlb = qi_flush_iotlb


def init_dmars() -> int:
    """Give every unit its queue and root table; translation stays off.

    :return: 0 or -errno.
    :context: ``dmar_global_lock`` held for writing.
    """
    for drhd in for_each_drhd_unit():
        iommu = drhd.iommu
        if drhd.ignored:
            iommu_disable_translation(iommu)
            continue

        # The PASID space is that of the smallest unit.
        if pasid_supported(iommu):
            temp = 2 << ecap_pss(iommu.ecap)

            pasid_c.intel_pasid_max_id = min(temp, pasid_c.intel_pasid_max_id)

        intel_iommu_init_qi(iommu)
        init_translation_status(iommu)

        if translation_pre_enabled(iommu):
            iommu_disable_translation(iommu)
            clear_translation_pre_enabled(iommu)

        ret = iommu_alloc_root_entry(iommu)
        if ret:
            raise Unported("drivers/iommu/intel/iommu.c", "init_dmars: free_iommu")

        intel_svm_check(iommu)

    for drhd in for_each_drhd_unit():
        iommu = drhd.iommu
        if drhd.ignored:
            continue
        iommu_flush_write_buffer(iommu)
        iommu_set_root_entry(iommu)

    for drhd in for_each_drhd_unit():
        iommu = drhd.iommu
        if drhd.ignored:
            continue

        iommu_flush_write_buffer(iommu)

        if ecap_prs(iommu.ecap):
            up_write(dmar_global_lock)
            ret = intel_iommu_enable_prq(iommu)
            down_write(dmar_global_lock)
            if ret:
                raise Unported("drivers/iommu/intel/iommu.c", "init_dmars: free_iommu")

        ret = dmar_set_interrupt(iommu)
        if ret:
            raise Unported("drivers/iommu/intel/iommu.c", "init_dmars: free_iommu")

    return 0


def init_no_remapping_devices() -> None:
    """Ignore units without devices."""
    for drhd in for_each_drhd_unit():
        if not drhd.include_all:
            if drhd.devices_cnt == 0:
                drhd.ignored = 1


def dmar_ats_supported(dev: pci_dev, iommu: intel_iommu) -> bool:
    """Whether the platform lets *dev* use ATS: devices of the root complex may."""
    return True


def intel_iommu_init() -> int:
    """Bring VT-d up: find units, give them their tables, probe devices, turn translation on.

    :return: 0; -ENODEV if there is no unit or it is disabled.
    :context: may sleep; takes ``dmar_global_lock``.
    """
    ret = -ENODEV

    down_write(dmar_global_lock)
    if dmar_table_init():
        up_write(dmar_global_lock)
        return ret

    if dmar_dev_scope_init() < 0:
        up_write(dmar_global_lock)
        return ret

    if dmar_disabled:
        for drhd in for_each_drhd_unit():
            iommu_disable_translation(drhd.iommu)
        up_write(dmar_global_lock)
        return ret

    init_no_remapping_devices()

    ret = init_dmars()
    if ret:
        up_write(dmar_global_lock)
        return ret
    up_write(dmar_global_lock)

    down_read(dmar_global_lock)
    for drhd in for_each_drhd_unit():
        iommu = drhd.iommu
        if drhd.ignored:
            continue
        # Probing takes iommu_probe_device_lock, which must not nest inside.
        up_read(dmar_global_lock)
        iommu_device_register(iommu.iommu, intel_iommu_ops, None)
        down_read(dmar_global_lock)

    for drhd in for_each_drhd_unit():
        iommu = drhd.iommu
        if not drhd.ignored and not translation_pre_enabled(iommu):
            iommu_enable_translation(iommu)

        iommu_disable_protect_mem_regions(iommu)
    up_read(dmar_global_lock)

    global intel_iommu_enabled
    intel_iommu_enabled = 1

    return 0


def device_block_translation(dev: device) -> None:
    """Block the requests of *dev* that carry no PASID."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    if not info.domain_attached:
        return

    if info.domain:
        cache_tag_unassign_domain(info.domain, dev, IOMMU_NO_PASID)

    if not dev_is_real_dma_subdevice(dev):
        if sm_supported(iommu):
            intel_pasid_tear_down_entry(iommu, dev, IOMMU_NO_PASID, False)
        else:
            raise Unported("drivers/iommu/intel/iommu.c", "domain_context_clear")

    info.domain_attached = 0

    if not info.domain:
        return

    flags = spin_lock_irqsave(info.domain.lock)
    list_del(info.link)
    spin_unlock_irqrestore(info.domain.lock, flags)

    domain_detach_iommu(info.domain, iommu)
    info.domain = None


def blocking_domain_attach_dev(domain: iommu_domain, dev: device, old: iommu_domain | None) -> int:
    """Block *dev*; always 0."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    iopf_for_domain_remove(info.domain.domain if info.domain else None, dev)
    device_block_translation(dev)
    return 0


def intel_iommu_capable(dev: device, cap: int) -> bool:
    """What the unit of *dev* can do (``enum iommu_cap``)."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    if cap == 0:  # IOMMU_CAP_CACHE_COHERENCY
        return True
    elif cap == 3:  # IOMMU_CAP_ENFORCE_CACHE_COHERENCY
        return bool(ecap_sc_support(info.iommu.ecap))
    elif cap == 5:  # IOMMU_CAP_DIRTY_TRACKING
        return ssads_supported(info.iommu)
    elif cap == 6:  # IOMMU_CAP_PCI_ATS_SUPPORTED
        return bool(info.ats_supported)
    else:
        return False


def intel_iommu_probe_device(dev: device) -> iommu_device | ErrPtr:
    """Take a device up: find its unit, see what it can do, give it a PASID directory.

    :return: its unit, or an errno.
    :context: may sleep; ``iommu_probe_device_lock`` held.
    """
    pdev = to_pci_dev(dev) if dev_is_pci(dev) else None

    iommu, bus, devfn = device_lookup_iommu(dev)
    if not iommu or not iommu.iommu.ops:
        return ERR_PTR(-ENODEV)

    info = kzalloc_obj(device_domain_info)
    if not info:
        return ERR_PTR(-ENOMEM)

    if dev_is_real_dma_subdevice(dev):
        assert pdev is not None
        info.bus = pdev.bus.number
        info.devfn = pdev.devfn
        info.segment = pci_domain_nr(pdev.bus)
    else:
        info.bus = bus
        info.devfn = devfn
        info.segment = iommu.segment

    info.dev = dev
    info.iommu = iommu
    if pdev is not None:
        if (ecap_dev_iotlb_support(iommu.ecap) and pci_ats_supported(pdev)
                and dmar_ats_supported(pdev, iommu)):
            info.ats_supported = 1
            info.dtlb_extra_inval = int(dev_needs_extra_dtlb_flush(pdev))

            # Lets the unit limit invalidations by physical function.
            if ecap_dit(iommu.ecap):
                info.pfsid = pci_dev_id(pci_physfn(pdev))
            info.ats_qdep = pci_ats_queue_depth(pdev)
        if sm_supported(iommu):
            if pasid_supported(iommu):
                features = pci_pasid_features(pdev)

                if features >= 0:
                    info.pasid_supported = features | 1

            if (info.ats_supported and ecap_prs(iommu.ecap)
                    and ecap_pds(iommu.ecap) and pci_pri_supported(pdev)):
                info.pri_supported = 1

    dev_iommu_priv_set(dev, info)

    def free(ret: int) -> ErrPtr:
        kfree(info)
        return ERR_PTR(ret)

    def clear_rbtree(ret: int) -> ErrPtr:
        device_rbtree_remove(info)
        return free(ret)

    if pdev is not None and pci_ats_supported(pdev):
        pci_prepare_ats(pdev, VTD_PAGE_SHIFT)
        ret = device_rbtree_insert(iommu, info)
        if ret:
            return free(ret)

    if sm_supported(iommu) and not dev_is_real_dma_subdevice(dev):
        ret = intel_pasid_alloc_table(dev)
        if ret:
            return clear_rbtree(ret)

        if not context_copied(iommu, info.bus, info.devfn):
            ret = intel_pasid_setup_sm_context(dev)
            if ret:
                intel_pasid_teardown_sm_context(dev)
                intel_pasid_free_table(dev)
                return clear_rbtree(ret)

    return iommu.iommu


def intel_iommu_probe_finalize(dev: device) -> None:
    """The device has its default domain: let it use PASIDs, ATS and PRI."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    # PCIe wants PASIDs enabled before ATS, so always, whether they will be used or not.
    if info.pasid_supported and not pci_enable_pasid(to_pci_dev(dev), info.pasid_supported & ~1):
        info.pasid_enabled = 1

    if sm_supported(iommu) and not dev_is_real_dma_subdevice(dev):
        iommu_enable_pci_ats(info)
        # The default domain may be cached in the device from now on.
        if info.ats_enabled and info.domain:
            raise Unported("drivers/iommu/intel/iommu.c", "intel_iommu_probe_finalize: paging domains")
    iommu_enable_pci_pri(info)


def intel_iommu_release_device(dev: device) -> None:
    """Let go of a device."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    iommu_disable_pci_pri(info)
    iommu_disable_pci_ats(info)

    if info.pasid_enabled:
        pci_disable_pasid(to_pci_dev(dev))
        info.pasid_enabled = 0

    mutex_lock(iommu.iopf_lock)
    if dev_is_pci(dev) and pci_ats_supported(to_pci_dev(dev)):
        device_rbtree_remove(info)
    mutex_unlock(iommu.iopf_lock)

    if (sm_supported(iommu) and not dev_is_real_dma_subdevice(dev)
            and not context_copied(iommu, info.bus, info.devfn)):
        intel_pasid_teardown_sm_context(dev)

    intel_pasid_free_table(dev)
    kfree(info)


def intel_iommu_device_group(dev: device) -> iommu_group | ErrPtr:
    """The group of a device."""
    if dev_is_pci(dev):
        return pci_device_group(dev)
    return generic_device_group(dev)


def intel_iommu_enable_iopf(dev: device) -> int:
    """Count a domain of *dev* that handles I/O page faults; 0 or -errno.

    :context: the group's mutex held.
    """
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    if not info.pri_enabled:
        return -ENODEV

    iommu_group_mutex_assert(dev)
    if info.iopf_refcount:
        info.iopf_refcount += 1
        return 0

    assert iommu.iopf_queue is not None
    ret = iopf_queue_add_device(iommu.iopf_queue, dev)
    if ret:
        return ret

    info.iopf_refcount = 1

    return 0


def intel_iommu_disable_iopf(dev: device) -> None:
    """Undo :func:`intel_iommu_enable_iopf`."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    if WARN_ON(not info.pri_enabled or not info.iopf_refcount):
        return

    iommu_group_mutex_assert(dev)
    info.iopf_refcount -= 1
    if info.iopf_refcount:
        return

    assert iommu.iopf_queue is not None
    iopf_queue_remove_device(iommu.iopf_queue, dev)


def intel_iommu_is_attach_deferred(dev: device) -> bool:
    """Whether *dev* keeps the tables of a crashed kernel for now."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    return translation_pre_enabled(info.iommu) and not info.domain


def domain_remove_dev_pasid(domain: iommu_domain | None, dev: device, pasid: ioasid_t) -> None:
    """Forget that a PASID of *dev* is in *domain*, and that its caches may hold it."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    dev_pasid: dev_pasid_info | None = None
    iommu = info.iommu

    if not domain:
        return

    # These two keep no account.
    if domain.type == IOMMU_DOMAIN_IDENTITY or domain.type == IOMMU_DOMAIN_BLOCKED:
        return

    dmar_domain = to_dmar_domain(domain)
    flags = spin_lock_irqsave(dmar_domain.lock)
    for curr in list_for_each_entry(dev_pasid_info, dmar_domain.dev_pasids, "link_domain"):
        if curr.dev is dev and curr.pasid == pasid:
            list_del(curr.link_domain)
            dev_pasid = curr
            break
    spin_unlock_irqrestore(dmar_domain.lock, flags)

    if WARN_ON_ONCE(not dev_pasid):
        return

    cache_tag_unassign_domain(dmar_domain, dev, pasid)
    domain_detach_iommu(dmar_domain, iommu)
    kfree(dev_pasid)


def blocking_domain_set_dev_pasid(domain: iommu_domain, dev: device, pasid: ioasid_t,
                                  old: iommu_domain | None) -> int:
    """Block a PASID of *dev*: the entry goes first, then the account of it. Always 0."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    intel_pasid_tear_down_entry(info.iommu, dev, pasid, False)
    iopf_for_domain_remove(old, dev)
    domain_remove_dev_pasid(old, dev, pasid)

    return 0


def domain_add_dev_pasid(domain: iommu_domain, dev: device, pasid: ioasid_t) -> dev_pasid_info | ErrPtr:
    """Note that a PASID of *dev* is about to be in *domain*, and that its caches may hold it.

    :context: may sleep; takes ``dmar_domain->lock`` and its ``cache_lock``.
    """
    info: device_domain_info = dev_iommu_priv_get(dev)
    dmar_domain = to_dmar_domain(domain)
    iommu = info.iommu

    dev_pasid = kzalloc_obj(dev_pasid_info)
    if not dev_pasid:
        return ERR_PTR(-ENOMEM)

    ret = domain_attach_iommu(dmar_domain, iommu)
    if ret:
        kfree(dev_pasid)
        return ERR_PTR(ret)

    ret = cache_tag_assign_domain(dmar_domain, dev, pasid)
    if ret:
        domain_detach_iommu(dmar_domain, iommu)
        kfree(dev_pasid)
        return ERR_PTR(ret)

    dev_pasid.dev = dev
    dev_pasid.pasid = pasid
    flags = spin_lock_irqsave(dmar_domain.lock)
    list_add(dev_pasid.link_domain, dmar_domain.dev_pasids)
    spin_unlock_irqrestore(dmar_domain.lock, flags)

    return dev_pasid


def identity_domain_attach_dev(domain: iommu_domain, dev: device, old: iommu_domain | None) -> int:
    """Let requests of *dev* that carry no PASID use physical addresses; 0 or -errno."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    device_block_translation(dev)

    if dev_is_real_dma_subdevice(dev):
        return 0

    # Only the old domain may have counted I/O page faults.
    iopf_for_domain_remove(old, dev)

    if sm_supported(iommu):
        ret = intel_pasid_setup_pass_through(iommu, dev, IOMMU_NO_PASID)
    else:
        raise Unported("drivers/iommu/intel/iommu.c", "device_setup_pass_through")

    if not ret:
        info.domain_attached = 1

    return ret


def identity_domain_set_dev_pasid(domain: iommu_domain, dev: device, pasid: ioasid_t,
                                  old: iommu_domain | None) -> int:
    """Let a PASID of *dev* use physical addresses; 0 or -errno."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    if not pasid_supported(iommu) or dev_is_real_dma_subdevice(dev):
        return -EOPNOTSUPP

    ret = iopf_for_domain_replace(domain, old, dev)
    if ret:
        return ret

    ret = domain_setup_passthrough(iommu, dev, pasid, old)
    if ret:
        iopf_for_domain_replace(old, domain, dev)
        return ret

    domain_remove_dev_pasid(old, dev, pasid)
    return 0


blocking_domain = iommu_domain.zeroed()
blocking_domain.type = IOMMU_DOMAIN_BLOCKED
blocking_domain.ops = iommu_domain_ops.zeroed()
blocking_domain.ops.attach_dev = blocking_domain_attach_dev
blocking_domain.ops.set_dev_pasid = blocking_domain_set_dev_pasid

identity_domain = iommu_domain.zeroed()
identity_domain.type = IOMMU_DOMAIN_IDENTITY
identity_domain.ops = iommu_domain_ops.zeroed()
identity_domain.ops.attach_dev = identity_domain_attach_dev
identity_domain.ops.set_dev_pasid = identity_domain_set_dev_pasid


def quirk_extra_dev_tlb_flush(info: device_domain_info, address: int, mask: int, pasid: int,
                              qdep: int) -> None:
    """Flush the TLB of a device once more if it needs that."""
    if not info.dtlb_extra_inval:
        return

    sid = PCI_DEVID(info.bus, info.devfn)
    if pasid == IOMMU_NO_PASID:
        qi_flush_dev_iotlb(info.iommu, sid, info.pfsid, qdep, address, mask)
    else:
        qi_flush_dev_iotlb_pasid(info.iommu, sid, info.pfsid, pasid, qdep, address, mask)


# Declared in headers, defined in C files that lead back here:
from kmm.drivers.iommu.intel import pasid as pasid_c
from kmm.drivers.iommu.intel.cache import cache_tag_assign_domain, cache_tag_unassign_domain
from kmm.drivers.iommu.intel.dmar import (
    dmar_dev_scope_init,
    dmar_disable_qi,
    dmar_enable_qi,
    dmar_fault,
    dmar_set_interrupt,
    dmar_table_init,
    qi_flush_context,
    qi_flush_dev_iotlb,
    qi_flush_dev_iotlb_pasid,
    qi_flush_iotlb,
    qi_flush_pasid_cache,
)
from kmm.drivers.iommu.intel.pasid import (
    intel_pasid_alloc_table,
    intel_pasid_free_table,
    intel_pasid_setup_first_level,
    intel_pasid_setup_pass_through,
    intel_pasid_setup_sm_context,
    intel_pasid_tear_down_entry,
    intel_pasid_teardown_sm_context,
)
from kmm.drivers.iommu.intel.prq import intel_iommu_enable_prq
from kmm.drivers.iommu.iommu import dev_iommu_priv_set, generic_device_group, pci_device_group

if CONFIG_INTEL_IOMMU_SVM:
    from kmm.drivers.iommu.intel.svm import intel_svm_check, intel_svm_domain_alloc
else:
    from kmm.drivers.iommu.intel.iommu_h import intel_svm_check, intel_svm_domain_alloc

intel_iommu_ops = iommu_ops.zeroed()
intel_iommu_ops.blocked_domain = blocking_domain
intel_iommu_ops.release_domain = blocking_domain
intel_iommu_ops.identity_domain = identity_domain
intel_iommu_ops.capable = intel_iommu_capable
intel_iommu_ops.domain_alloc_sva = intel_svm_domain_alloc
intel_iommu_ops.probe_device = intel_iommu_probe_device
intel_iommu_ops.probe_finalize = intel_iommu_probe_finalize
intel_iommu_ops.release_device = intel_iommu_release_device
intel_iommu_ops.device_group = intel_iommu_device_group
intel_iommu_ops.is_attach_deferred = intel_iommu_is_attach_deferred
intel_iommu_ops.def_domain_type = device_def_domain_type

# In C pci_iommu_init() of arch/x86/kernel/pci-dma.c calls it, at this level.
if CONFIG_INTEL_IOMMU:
    rootfs_initcall(intel_iommu_init)
