# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/pasid.c (Linux 7.2): PASID directories, tables and entries.

Leaves out: second-stage and nested entries (Unported), dirty tracking, page snoop control of an
entry in use, tables taken over from a crashed kernel, messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm import hooks
from kmm.arch.x86.include.asm.cacheflush import clflush_cache_range
from kmm.arch.x86.include.asm.io import virt_to_phys
from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT, PAGE_SIZE
from kmm.drivers.iommu.intel.dmar import (
    qi_flush_dev_iotlb,
    qi_flush_dev_iotlb_pasid,
    qi_flush_piotlb_all,
    qi_submit_sync,
)
from kmm.drivers.iommu.intel.iommu import (
    iommu_context_addr,
    iommu_flush_write_buffer,
    quirk_extra_dev_tlb_flush,
)
from kmm.drivers.iommu.intel.iommu_h import (
    DMA_CCMD_DEVICE_INVL,
    DMA_CCMD_MASK_NOBIT,
    DMA_TLB_DSI_FLUSH,
    FLPT_DEFAULT_DID,
    MAX_AGAW_PFN_WIDTH,
    QI_PC_DID,
    QI_PC_GRAN,
    QI_PC_PASID,
    QI_PC_PASID_SEL,
    QI_PC_TYPE,
    VTD_PAGE_SHIFT,
    VTD_PAGE_SIZE,
    __iommu_flush_cache,
    cap_caching_mode,
    cap_fl5lp_support,
    context_clear_entry,
    context_clear_present,
    context_copied,
    context_domain_id,
    context_entry,
    context_pdts,
    context_present,
    context_set_fault_enable,
    context_set_pasid,
    context_set_present,
    context_set_sm_dte,
    context_set_sm_pre,
    context_set_sm_rid2pasid,
    device_domain_info,
    ecap_coherent,
    ecap_flts,
    ecap_smpwc,
    intel_iommu,
    qi_desc,
    sm_supported,
)
from kmm.drivers.iommu.intel.pasid_h import (
    MAX_NR_PASID_BITS,
    PASID_ENTRY_PGTT_FL_ONLY,
    PASID_ENTRY_PGTT_PT,
    PASID_FLAG_FL5LP,
    PASID_FLAG_PAGE_SNOOP,
    PASID_FLAG_PWSNP,
    PASID_MAX,
    PASID_PDE_SHIFT,
    PASID_PTE_MASK,
    PASID_PTE_PRESENT,
    get_pasid_table_from_pde,
    pasid_clear_entry,
    pasid_clear_entry_with_fpd,
    pasid_clear_present,
    pasid_dir_entry,
    pasid_entry,
    pasid_get_domain_id,
    pasid_pte_get_pgtt,
    pasid_pte_is_fault_disabled,
    pasid_pte_is_present,
    pasid_set_address_width,
    pasid_set_domain_id,
    pasid_set_fault_enable,
    pasid_set_flpm,
    pasid_set_flptr,
    pasid_set_page_snoop,
    pasid_set_pgsnp,
    pasid_set_present,
    pasid_set_translation_type,
    pasid_table,
)
from kmm.drivers.iommu.intel.prq import intel_iommu_drain_pasid_prq
from kmm.drivers.iommu.iommu_pages import iommu_alloc_pages_node_sz, iommu_free_pages
from kmm.include.linux.bug import WARN_ON
from kmm.include.linux.compiler import READ_ONCE
from kmm.include.linux.errno import EBUSY, EEXIST, EINVAL, ENODEV, ENOMEM
from kmm.include.linux.gfp import GFP_ATOMIC, GFP_KERNEL
from kmm.include.linux.iommu import IOMMU_NO_PASID, dev_iommu_priv_get
from kmm.include.linux.kernel import might_sleep
from kmm.include.linux.lockdep import lockdep_assert_held
from kmm.include.linux.pci import (
    PCI_BUS_NUM,
    PCI_DEVID,
    dev_is_pci,
    pci_device_is_present,
    pci_for_each_dma_alias,
    to_pci_dev,
)
from kmm.include.linux.pci_ats import pci_max_pasids
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.spinlock import spin_lock, spin_unlock
from kmm.include.linux.types import phys_addr_t
from kmm.mm.page_alloc import get_order

if TYPE_CHECKING:
    from kmm.include.linux.device import device
    from kmm.include.linux.pci import pci_dev

intel_pasid_max_id = PASID_MAX


def intel_pasid_alloc_table(dev: device) -> int:
    """Allocate the PASID directory of *dev*; its tables come as PASIDs are used.

    :return: 0 or -errno.
    :context: may sleep.
    """
    max_pasid = 0

    might_sleep()
    info: device_domain_info | None = dev_iommu_priv_get(dev)
    if WARN_ON(not info or not dev_is_pci(dev)):
        return -ENODEV
    assert info is not None
    if WARN_ON(info.pasid_table):
        return -EEXIST

    table = kzalloc_obj(pasid_table)
    if not table:
        return -ENOMEM

    if info.pasid_supported:
        max_pasid = min(pci_max_pasids(to_pci_dev(dev)), intel_pasid_max_id)

    size = max_pasid >> (PASID_PDE_SHIFT - 3)
    order = get_order(size) if size else 0
    dir = iommu_alloc_pages_node_sz(info.iommu.node, GFP_KERNEL, 1 << (order + PAGE_SHIFT))
    if not dir:
        kfree(table)
        return -ENOMEM

    table.table = dir
    table.max_pasid = 1 << (order + PAGE_SHIFT + 3)
    info.pasid_table = table

    if not ecap_coherent(info.iommu.ecap):
        clflush_cache_range(table.table, (1 << order) * PAGE_SIZE)

    return 0


def intel_pasid_free_table(dev: device) -> None:
    """Free the PASID directory of *dev* and its tables."""
    info: device_domain_info | None = dev_iommu_priv_get(dev)
    if not info or not dev_is_pci(dev) or not info.pasid_table:
        return

    table = info.pasid_table
    info.pasid_table = None

    dir = pasid_dir_entry(table.table)
    max_pde = table.max_pasid >> PASID_PDE_SHIFT
    for i in range(max_pde):
        iommu_free_pages(get_pasid_table_from_pde(dir + i))

    iommu_free_pages(table.table)
    kfree(table)


def intel_pasid_get_table(dev: device) -> pasid_table | None:
    """The PASID directory of *dev*."""
    info: device_domain_info | None = dev_iommu_priv_get(dev)
    if not info:
        return None

    return info.pasid_table


def intel_pasid_get_dev_max_id(dev: device) -> int:
    """How many PASIDs the directory of *dev* covers."""
    info: device_domain_info | None = dev_iommu_priv_get(dev)
    if not info or not info.pasid_table:
        return 0

    return info.pasid_table.max_pasid


def intel_pasid_get_entry(dev: device, pasid: int) -> pasid_entry | None:
    """The table entry of a PASID; its table is allocated if need be.

    :return: NULL if the PASID is out of range or there is no memory.
    """
    table = intel_pasid_get_table(dev)
    if WARN_ON(not table or pasid >= intel_pasid_get_dev_max_id(dev)):
        return None
    assert table is not None

    dir = pasid_dir_entry(table.table)
    info: device_domain_info = dev_iommu_priv_get(dev)
    dir_index = pasid >> PASID_PDE_SHIFT
    index = pasid & PASID_PTE_MASK

    while True:  # retry:
        entries = get_pasid_table_from_pde(dir + dir_index)
        if not entries:
            page = iommu_alloc_pages_node_sz(info.iommu.node, GFP_ATOMIC, 0x1000)
            if not page:
                return None
            entries = pasid_entry(page)

            if not ecap_coherent(info.iommu.ecap):
                clflush_cache_range(entries, VTD_PAGE_SIZE)

            # A directory entry is never cleared once it is set, but someone else may set it now.
            tmp = 0
            if hooks.cmpxchg((dir + dir_index).val, 8, tmp, virt_to_phys(entries) | PASID_PTE_PRESENT) != tmp:
                iommu_free_pages(entries)
                continue
            if not ecap_coherent(info.iommu.ecap):
                clflush_cache_range((dir + dir_index).val, 8)
        break

    return entries + index


def intel_pasid_clear_entry(dev: device, pasid: int, fault_ignore: bool) -> None:
    """Zero the entry of a PASID."""
    pe = intel_pasid_get_entry(dev, pasid)
    if WARN_ON(not pe):
        return
    assert pe is not None

    if fault_ignore and pasid_pte_is_present(pe):
        pasid_clear_entry_with_fpd(pe)
    else:
        pasid_clear_entry(pe)


def pasid_cache_invalidation_with_pasid(iommu: intel_iommu, did: int, pasid: int) -> None:
    """Drop the cached PASID entry."""
    desc = qi_desc()

    desc.qw0 = (QI_PC_DID(did) | QI_PC_GRAN(QI_PC_PASID_SEL)
                | QI_PC_PASID(pasid) | QI_PC_TYPE)
    desc.qw1 = 0
    desc.qw2 = 0
    desc.qw3 = 0

    qi_submit_sync(iommu, (desc,), 1, 0)


def devtlb_invalidation_with_pasid(iommu: intel_iommu, dev: device, pasid: int) -> None:
    """Drop a PASID from the TLB of *dev*."""
    info: device_domain_info | None = dev_iommu_priv_get(dev)
    if not info or not info.ats_enabled:
        return

    if not pci_device_is_present(to_pci_dev(dev)):
        return

    sid = PCI_DEVID(info.bus, info.devfn)
    qdep = info.ats_qdep
    pfsid = info.pfsid

    # PASID 0 stands for requests that carry none.
    if pasid == IOMMU_NO_PASID:
        qi_flush_dev_iotlb(iommu, sid, pfsid, qdep, 0, 64 - VTD_PAGE_SHIFT)
    else:
        qi_flush_dev_iotlb_pasid(iommu, sid, pfsid, pasid, qdep, 0, 64 - VTD_PAGE_SHIFT)


def intel_pasid_tear_down_entry(iommu: intel_iommu, dev: device, pasid: int, fault_ignore: bool) -> None:
    """Take a PASID out of use: no request is translated by its old entry when this returns.

    The entry loses P first and keeps domain id and type, which say what to flush: PASID cache, then
    IOTLB, then device TLB. Only then is it zeroed.

    :param fault_ignore: ``bool``, the device may go on using the PASID, faults are expected.
    :context: any if *fault_ignore*, else may sleep; takes ``iommu->lock``.
    """
    spin_lock(iommu.lock)
    pte = intel_pasid_get_entry(dev, pasid)
    if WARN_ON(not pte):
        spin_unlock(iommu.lock)
        return
    assert pte is not None

    if not pasid_pte_is_present(pte):
        if not pasid_pte_is_fault_disabled(pte):
            WARN_ON(READ_ONCE(pte.val(0)) != 0)
            spin_unlock(iommu.lock)
            return

        # What an SVA exit left: not present, faults disabled.
        pasid_clear_entry(pte)
        spin_unlock(iommu.lock)
        intel_iommu_drain_pasid_prq(dev, pasid)

        return

    did = pasid_get_domain_id(pte)
    pgtt = pasid_pte_get_pgtt(pte)
    pasid_clear_present(pte)
    spin_unlock(iommu.lock)

    if not ecap_coherent(iommu.ecap):
        clflush_cache_range(pte, 64)

    pasid_cache_invalidation_with_pasid(iommu, did, pasid)

    if pgtt == PASID_ENTRY_PGTT_PT or pgtt == PASID_ENTRY_PGTT_FL_ONLY:
        qi_flush_piotlb_all(iommu, did, pasid)
    else:
        iommu.flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH)

    devtlb_invalidation_with_pasid(iommu, dev, pasid)
    intel_pasid_clear_entry(dev, pasid, fault_ignore)
    if not ecap_coherent(iommu.ecap):
        clflush_cache_range(pte, 64)

    if not fault_ignore:
        intel_iommu_drain_pasid_prq(dev, pasid)


def pasid_flush_caches(iommu: intel_iommu, pte: pasid_entry, pasid: int, did: int) -> None:
    """Flush what may be cached of an entry that was not present before."""
    if not ecap_coherent(iommu.ecap):
        clflush_cache_range(pte, 64)

    if cap_caching_mode(iommu.cap):
        pasid_cache_invalidation_with_pasid(iommu, did, pasid)
        qi_flush_piotlb_all(iommu, did, pasid)
    else:
        iommu_flush_write_buffer(iommu)


def pasid_pte_config_first_level(iommu: intel_iommu, pte: pasid_entry, fsptptr: phys_addr_t, did: int,
                                 flags: int) -> None:
    """Fill in a first-stage entry, P last.

    :context: ``iommu->lock`` held.
    """
    lockdep_assert_held(iommu.lock)

    pasid_clear_entry(pte)

    pasid_set_flptr(pte, fsptptr)

    if flags & PASID_FLAG_FL5LP:
        pasid_set_flpm(pte, 1)

    if flags & PASID_FLAG_PAGE_SNOOP:
        pasid_set_pgsnp(pte)

    pasid_set_domain_id(pte, did)
    pasid_set_address_width(pte, iommu.agaw)
    pasid_set_page_snoop(pte, bool(flags & PASID_FLAG_PWSNP))

    pasid_set_translation_type(pte, PASID_ENTRY_PGTT_FL_ONLY)
    pasid_set_present(pte)


def intel_pasid_setup_first_level(iommu: intel_iommu, dev: device, fsptptr: phys_addr_t, pasid: int,
                                  did: int, flags: int) -> int:
    """Let a PASID of *dev* walk first-stage tables.

    :param fsptptr: ``phys_addr_t``, their root.
    :param flags: ``int``, PASID_FLAG_FL5LP, PASID_FLAG_PAGE_SNOOP, PASID_FLAG_PWSNP.
    :return: 0 or -errno; -EBUSY if the PASID is in use.
    :context: takes ``iommu->lock``.
    """
    if not ecap_flts(iommu.ecap):
        return -EINVAL

    if flags & PASID_FLAG_FL5LP and not cap_fl5lp_support(iommu.cap):
        return -EINVAL

    spin_lock(iommu.lock)
    pte = intel_pasid_get_entry(dev, pasid)
    if not pte:
        spin_unlock(iommu.lock)
        return -ENODEV

    if pasid_pte_is_present(pte):
        spin_unlock(iommu.lock)
        return -EBUSY

    pasid_pte_config_first_level(iommu, pte, fsptptr, did, flags)

    spin_unlock(iommu.lock)

    pasid_flush_caches(iommu, pte, pasid, did)

    return 0


def pasid_pte_config_pass_through(iommu: intel_iommu, pte: pasid_entry, did: int) -> None:
    """Fill in a pass-through entry, P last.

    :context: ``iommu->lock`` held.
    """
    lockdep_assert_held(iommu.lock)

    pasid_clear_entry(pte)
    pasid_set_domain_id(pte, did)
    pasid_set_address_width(pte, iommu.agaw)
    pasid_set_translation_type(pte, PASID_ENTRY_PGTT_PT)
    pasid_set_fault_enable(pte)
    pasid_set_page_snoop(pte, bool(ecap_smpwc(iommu.ecap)))
    pasid_set_present(pte)


def intel_pasid_setup_pass_through(iommu: intel_iommu, dev: device, pasid: int) -> int:
    """Let addresses of a PASID of *dev* be physical addresses; 0 or -errno.

    :context: takes ``iommu->lock``.
    """
    did = FLPT_DEFAULT_DID

    spin_lock(iommu.lock)
    pte = intel_pasid_get_entry(dev, pasid)
    if not pte:
        spin_unlock(iommu.lock)
        return -ENODEV

    if pasid_pte_is_present(pte):
        spin_unlock(iommu.lock)
        return -EBUSY

    pasid_pte_config_pass_through(iommu, pte, did)
    spin_unlock(iommu.lock)

    pasid_flush_caches(iommu, pte, pasid, did)

    return 0


def device_pasid_table_teardown(dev: device, bus: int, devfn: int) -> None:
    """Take the PASID directory out of a context entry."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    spin_lock(iommu.lock)
    context = iommu_context_addr(iommu, bus, devfn, False)
    if not context:
        spin_unlock(iommu.lock)
        return

    did = context_domain_id(context)
    context_clear_present(context)
    __iommu_flush_cache(iommu, context, 16)
    spin_unlock(iommu.lock)
    intel_context_flush_no_pasid(info, context, did, PCI_DEVID(bus, devfn))
    context_clear_entry(context)
    __iommu_flush_cache(iommu, context, 16)


def pci_pasid_table_teardown(pdev: pci_dev, alias: int, data: device) -> int:
    """:func:`device_pasid_table_teardown` for one requester id."""
    dev = data

    if dev is pdev.dev:
        device_pasid_table_teardown(dev, PCI_BUS_NUM(alias), alias & 0xFF)

    return 0


def intel_pasid_teardown_sm_context(dev: device) -> None:
    """Take the PASID directory of *dev* out of its context entries."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    if not dev_is_pci(dev):
        device_pasid_table_teardown(dev, info.bus, info.devfn)
        return

    pci_for_each_dma_alias(to_pci_dev(dev), pci_pasid_table_teardown, dev)


def context_get_sm_pds(table: pasid_table) -> int:
    """PDTS of a directory: X stands for 2^(X + 7) entries."""
    max_pde = table.max_pasid >> PASID_PDE_SHIFT
    pds = min((max_pde & -max_pde).bit_length() - 1, MAX_NR_PASID_BITS)
    if pds < 7:
        return 0

    return pds - 7


def context_entry_set_pasid_table(context: context_entry, dev: device) -> int:
    """Fill in a scalable-mode context entry, P last."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    table = info.pasid_table
    iommu = info.iommu

    assert table is not None
    context_clear_entry(context)

    pds = context_get_sm_pds(table)
    context.lo = virt_to_phys(table.table) | context_pdts(pds)
    context_set_sm_rid2pasid(context, IOMMU_NO_PASID)

    if info.ats_supported:
        context_set_sm_dte(context)
    if info.pasid_supported:
        context_set_pasid(context)
    if info.pri_supported:
        context_set_sm_pre(context)

    context_set_fault_enable(context)
    context_set_present(context)
    __iommu_flush_cache(iommu, context, 16)

    return 0


def device_pasid_table_setup(dev: device, bus: int, devfn: int) -> int:
    """Put the PASID directory of *dev* into a context entry; 0 or -ENOMEM.

    :context: takes ``iommu->lock``.
    """
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    spin_lock(iommu.lock)
    context = iommu_context_addr(iommu, bus, devfn, True)
    if not context:
        spin_unlock(iommu.lock)
        return -ENOMEM

    if context_present(context) and not context_copied(iommu, bus, devfn):
        spin_unlock(iommu.lock)
        return 0

    context_entry_set_pasid_table(context, dev)
    spin_unlock(iommu.lock)

    # The entry was not present. A unit that caches even that does so under domain id 0.
    if cap_caching_mode(iommu.cap):
        iommu.flush.flush_context(iommu, 0, PCI_DEVID(bus, devfn),
                                  DMA_CCMD_MASK_NOBIT, DMA_CCMD_DEVICE_INVL)
        iommu.flush.flush_iotlb(iommu, 0, 0, 0, DMA_TLB_DSI_FLUSH)

    return 0


def pci_pasid_table_setup(pdev: pci_dev, alias: int, data: Any) -> int:
    """:func:`device_pasid_table_setup` for one requester id."""
    dev = data

    if dev is not pdev.dev:
        return 0

    return device_pasid_table_setup(dev, PCI_BUS_NUM(alias), alias & 0xFF)


def intel_pasid_setup_sm_context(dev: device) -> int:
    """Put the PASID directory of *dev* into its context entries; 0 or -errno."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    if not dev_is_pci(dev):
        return device_pasid_table_setup(dev, info.bus, info.devfn)

    return pci_for_each_dma_alias(to_pci_dev(dev), pci_pasid_table_setup, dev)


def __context_flush_dev_iotlb(info: device_domain_info) -> None:
    """Drop everything from the TLB of a device."""
    if not info.ats_enabled:
        return

    if not pci_device_is_present(to_pci_dev(info.dev)):
        return

    qi_flush_dev_iotlb(info.iommu, PCI_DEVID(info.bus, info.devfn),
                       info.pfsid, info.ats_qdep, 0, MAX_AGAW_PFN_WIDTH)

    quirk_extra_dev_tlb_flush(info, 0, MAX_AGAW_PFN_WIDTH, IOMMU_NO_PASID, info.ats_qdep)


def intel_context_flush_no_pasid(info: device_domain_info, context: context_entry, did: int,
                                 sid: int) -> None:
    """Flush after a context entry lost P; in scalable mode no PASID entry of it is present.

    :param sid: ``u16``, whose entry it was.
    """
    iommu = info.iommu

    # In scalable mode the unit ignores the domain id.
    iommu.flush.flush_context(iommu, did, sid, DMA_CCMD_MASK_NOBIT, DMA_CCMD_DEVICE_INVL)

    if not sm_supported(iommu):
        iommu.flush.flush_iotlb(iommu, did, 0, 0, DMA_TLB_DSI_FLUSH)
        __context_flush_dev_iotlb(info)

        return

    __context_flush_dev_iotlb(info)
