# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/cache.c (Linux 7.2): which caches hold a domain, and flushing them.

Leaves out: ``cache_tag_flush_range_np`` (new mappings of paging domains), trace points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import BITS_PER_LONG, ULONG_MAX
from kmm.drivers.iommu.intel.dmar import qi_submit_sync
from kmm.drivers.iommu.intel.iommu import __iommu_flush_iotlb
from kmm.drivers.iommu.intel.iommu_h import (
    CACHE_TAG_DEVTLB,
    CACHE_TAG_IOTLB,
    CACHE_TAG_NESTING_DEVTLB,
    CACHE_TAG_NESTING_IOTLB,
    DMA_GCMD_TE,
    DMA_TLB_DSI_FLUSH,
    DMA_TLB_PSI_FLUSH,
    FLPT_DEFAULT_DID,
    MAX_AGAW_PFN_WIDTH,
    QI_MAX_BATCHED_DESC_COUNT,
    VTD_PAGE_SHIFT,
    cache_tag,
    cap_max_amask_val,
    cap_pgsel_inv,
    device_domain_info,
    dmar_domain,
    domain_id_iommu,
    ecap_qis,
    intel_domain_is_fs_paging,
    intel_iommu,
    qi_batch,
    qi_desc,
    qi_desc_dev_iotlb,
    qi_desc_dev_iotlb_pasid,
    qi_desc_iotlb,
    qi_desc_piotlb,
    qi_desc_piotlb_all,
)
from kmm.hooks import Unported
from kmm.include.linux.bitops import fls_long
from kmm.include.linux.bits import GENMASK
from kmm.include.linux.errno import ENOMEM
from kmm.include.linux.gfp import GFP_ATOMIC
from kmm.include.linux.iommu import (
    IOMMU_DOMAIN_NESTED,
    IOMMU_DOMAIN_SVA,
    IOMMU_NO_PASID,
    dev_iommu_priv_get,
    ioasid_t,
)
from kmm.include.linux.list import list_add, list_del, list_for_each_entry
from kmm.include.linux.pci import PCI_DEVID
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.spinlock import spin_lock_irqsave, spin_unlock_irqrestore

if TYPE_CHECKING:
    from kmm.include.linux.device import device


def cache_tage_match(tag: cache_tag, domain_id: int, iommu: intel_iommu, dev: device, pasid: ioasid_t,
                     type: int) -> bool:
    """Whether *tag* stands for the same cache."""
    if tag.type != type:
        return False

    if tag.domain_id != domain_id or tag.pasid != pasid:
        return False

    if type == CACHE_TAG_IOTLB or type == CACHE_TAG_NESTING_IOTLB:
        return tag.iommu is iommu

    if type == CACHE_TAG_DEVTLB or type == CACHE_TAG_NESTING_DEVTLB:
        return tag.dev is dev

    return False


def cache_tag_assign(domain: dmar_domain, did: int, dev: device, pasid: ioasid_t, type: int) -> int:
    """Note that a cache may hold translations of *domain*.

    :param type: ``enum cache_tag_type``.
    :return: 0 or -ENOMEM.
    :context: may sleep; takes ``domain->cache_lock``.
    """
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    tag = kzalloc_obj(cache_tag)
    if not tag:
        return -ENOMEM

    tag.type = type
    tag.iommu = iommu
    tag.domain_id = did
    tag.pasid = pasid
    tag.users = 1

    if type == CACHE_TAG_DEVTLB or type == CACHE_TAG_NESTING_DEVTLB:
        tag.dev = dev
    else:
        tag.dev = iommu.iommu.dev

    flags = spin_lock_irqsave(domain.cache_lock)
    prev = domain.cache_tags
    for temp in list_for_each_entry(cache_tag, domain.cache_tags, "node"):
        if cache_tage_match(temp, did, iommu, dev, pasid, type):
            temp.users += 1
            spin_unlock_irqrestore(domain.cache_lock, flags)
            kfree(tag)
            return 0
        if temp.iommu is iommu:
            prev = temp.node
    # Tags of a unit stay together, so that their flushes can go into one submission.
    list_add(tag.node, prev)

    spin_unlock_irqrestore(domain.cache_lock, flags)

    return 0


def cache_tag_unassign(domain: dmar_domain, did: int, dev: device, pasid: ioasid_t, type: int) -> None:
    """Undo :func:`cache_tag_assign`."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    flags = spin_lock_irqsave(domain.cache_lock)
    for tag in list_for_each_entry(cache_tag, domain.cache_tags, "node"):
        if cache_tage_match(tag, did, iommu, dev, pasid, type):
            tag.users -= 1
            if tag.users == 0:
                list_del(tag.node)
                kfree(tag)
            break
    spin_unlock_irqrestore(domain.cache_lock, flags)


def domain_qi_batch_alloc(domain: dmar_domain) -> int:
    """Allocate the descriptors that flushes of *domain* are collected in; 0 or -ENOMEM."""
    ret = 0

    flags = spin_lock_irqsave(domain.cache_lock)
    if domain.qi_batch:
        spin_unlock_irqrestore(domain.cache_lock, flags)
        return ret

    domain.qi_batch = kzalloc_obj(qi_batch, GFP_ATOMIC)
    if not domain.qi_batch:
        ret = -ENOMEM
    else:
        domain.qi_batch.descs = [qi_desc.zeroed() for _ in range(QI_MAX_BATCHED_DESC_COUNT)]
    spin_unlock_irqrestore(domain.cache_lock, flags)

    return ret


def __cache_tag_assign_domain(domain: dmar_domain, did: int, dev: device, pasid: ioasid_t) -> int:
    """Note the IOTLB, and the device's TLB if it has one; 0 or -errno."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    ret = domain_qi_batch_alloc(domain)
    if ret:
        return ret

    ret = cache_tag_assign(domain, did, dev, pasid, CACHE_TAG_IOTLB)
    if ret or not info.ats_enabled:
        return ret

    ret = cache_tag_assign(domain, did, dev, pasid, CACHE_TAG_DEVTLB)
    if ret:
        cache_tag_unassign(domain, did, dev, pasid, CACHE_TAG_IOTLB)

    return ret


def __cache_tag_unassign_domain(domain: dmar_domain, did: int, dev: device, pasid: ioasid_t) -> None:
    """Undo :func:`__cache_tag_assign_domain`."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    cache_tag_unassign(domain, did, dev, pasid, CACHE_TAG_IOTLB)

    if info.ats_enabled:
        cache_tag_unassign(domain, did, dev, pasid, CACHE_TAG_DEVTLB)


def __cache_tag_assign_parent_domain(domain: dmar_domain, did: int, dev: device, pasid: ioasid_t) -> int:
    """Note the caches in the second-stage domain that a nested domain sits on."""
    raise Unported("drivers/iommu/intel/cache.c", "__cache_tag_assign_parent_domain")


def __cache_tag_unassign_parent_domain(domain: dmar_domain, did: int, dev: device, pasid: ioasid_t) -> None:
    """Undo :func:`__cache_tag_assign_parent_domain`."""
    raise Unported("drivers/iommu/intel/cache.c", "__cache_tag_unassign_parent_domain")


def domain_get_id_for_dev(domain: dmar_domain, dev: device) -> int:
    """The domain id under which the unit of *dev* caches *domain*: one for all of SVA."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu

    if domain.domain.type == IOMMU_DOMAIN_SVA:
        return FLPT_DEFAULT_DID

    return domain_id_iommu(domain, iommu)


def cache_tag_assign_domain(domain: dmar_domain, dev: device, pasid: ioasid_t) -> int:
    """Note every cache that may hold *domain* once *pasid* of *dev* uses it; 0 or -errno."""
    did = domain_get_id_for_dev(domain, dev)

    ret = __cache_tag_assign_domain(domain, did, dev, pasid)
    if ret or domain.domain.type != IOMMU_DOMAIN_NESTED:
        return ret

    ret = __cache_tag_assign_parent_domain(domain.s2_domain, did, dev, pasid)
    if ret:
        __cache_tag_unassign_domain(domain, did, dev, pasid)

    return ret


def cache_tag_unassign_domain(domain: dmar_domain, dev: device, pasid: ioasid_t) -> None:
    """Undo :func:`cache_tag_assign_domain`."""
    did = domain_get_id_for_dev(domain, dev)

    __cache_tag_unassign_domain(domain, did, dev, pasid)
    if domain.domain.type == IOMMU_DOMAIN_NESTED:
        __cache_tag_unassign_parent_domain(domain.s2_domain, did, dev, pasid)


def calculate_psi_aligned_address(start: int, last: int) -> tuple[int, int]:
    """The smallest aligned power of two of pages that covers a range.

    :param last: ``unsigned long``, the last byte.
    :return: its address and, in C through ``size_order``, log2 of its pages; from
        MAX_AGAW_PFN_WIDTH on, callers flush everything.
    """
    start &= GENMASK(BITS_PER_LONG - 1, VTD_PAGE_SHIFT)
    sz_lg2 = fls_long(start ^ last)
    if sz_lg2 <= 12:
        return start, 0
    if sz_lg2 >= BITS_PER_LONG:
        return 0, MAX_AGAW_PFN_WIDTH

    return start & GENMASK(BITS_PER_LONG - 1, sz_lg2), sz_lg2 - VTD_PAGE_SHIFT


def qi_batch_flush_descs(iommu: intel_iommu | None, batch: qi_batch) -> None:
    """Submit what was collected, wait for it, and begin anew."""
    if not iommu or not batch.index:
        return

    qi_submit_sync(iommu, batch.descs, batch.index, 0)

    batch.descs = [qi_desc.zeroed() for _ in range(QI_MAX_BATCHED_DESC_COUNT)]
    batch.index = 0


def qi_batch_increment_index(iommu: intel_iommu, batch: qi_batch) -> None:
    """Count the descriptor that was just written; a full batch is submitted."""
    batch.index += 1
    if batch.index == QI_MAX_BATCHED_DESC_COUNT:
        qi_batch_flush_descs(iommu, batch)


def qi_batch_add_iotlb(iommu: intel_iommu, did: int, addr: int, size_order: int, type: int,
                       batch: qi_batch) -> None:
    """Collect an IOTLB invalidation of a domain id."""
    qi_desc_iotlb(iommu, did, addr, size_order, type, batch.descs[batch.index])
    qi_batch_increment_index(iommu, batch)


def qi_batch_add_dev_iotlb(iommu: intel_iommu, sid: int, pfsid: int, qdep: int, addr: int, mask: int,
                           batch: qi_batch) -> None:
    """Collect a device-TLB invalidation without PASID."""
    # A device is not to be sent invalidations while translation is off.
    if not (iommu.gcmd & DMA_GCMD_TE):
        return

    qi_desc_dev_iotlb(sid, pfsid, qdep, addr, mask, batch.descs[batch.index])
    qi_batch_increment_index(iommu, batch)


def qi_batch_add_piotlb_all(iommu: intel_iommu, did: int, pasid: int, batch: qi_batch) -> None:
    """Collect an invalidation of everything under a domain id and PASID."""
    qi_desc_piotlb_all(did, pasid, batch.descs[batch.index])
    qi_batch_increment_index(iommu, batch)


def qi_batch_add_piotlb(iommu: intel_iommu, did: int, pasid: int, addr: int, size_order: int, ih: bool,
                        batch: qi_batch) -> None:
    """Collect an invalidation of a range under a domain id and PASID."""
    qi_desc_piotlb(did, pasid, addr, size_order, ih, batch.descs[batch.index])
    qi_batch_increment_index(iommu, batch)


def qi_batch_add_pasid_dev_iotlb(iommu: intel_iommu, sid: int, pfsid: int, pasid: int, qdep: int,
                                 addr: int, size_order: int, batch: qi_batch) -> None:
    """Collect a device-TLB invalidation of a PASID."""
    # A device is not to be sent invalidations while translation is off.
    if not (iommu.gcmd & DMA_GCMD_TE):
        return

    qi_desc_dev_iotlb_pasid(sid, pfsid, pasid, qdep, addr, size_order, batch.descs[batch.index])
    qi_batch_increment_index(iommu, batch)


def intel_domain_use_piotlb(domain: dmar_domain) -> bool:
    """Whether a domain is cached by PASID (first stage) rather than by domain id."""
    return (domain.domain.type == IOMMU_DOMAIN_SVA
            or domain.domain.type == IOMMU_DOMAIN_NESTED
            or intel_domain_is_fs_paging(domain))


def cache_tag_flush_iotlb(domain: dmar_domain, tag: cache_tag, addr: int, mask: int, ih: int) -> None:
    """Flush one IOTLB.

    :param mask: ``unsigned long``, log2 of the number of pages.
    :param ih: ``int``, only leaf entries changed.
    :context: ``domain->cache_lock`` held.
    """
    iommu = tag.iommu
    type = DMA_TLB_PSI_FLUSH

    assert domain.qi_batch is not None
    if intel_domain_use_piotlb(domain):
        if mask >= MAX_AGAW_PFN_WIDTH:
            qi_batch_add_piotlb_all(iommu, tag.domain_id, tag.pasid, domain.qi_batch)
        else:
            qi_batch_add_piotlb(iommu, tag.domain_id, tag.pasid, addr, mask, bool(ih), domain.qi_batch)
        return

    # What cannot be flushed by page is flushed by domain.
    if not cap_pgsel_inv(iommu.cap) or mask > cap_max_amask_val(iommu.cap):
        addr = 0
        mask = 0
        ih = 0
        type = DMA_TLB_DSI_FLUSH

    if ecap_qis(iommu.ecap):
        qi_batch_add_iotlb(iommu, tag.domain_id, addr | ih, mask, type, domain.qi_batch)
    else:
        __iommu_flush_iotlb(iommu, tag.domain_id, addr | ih, mask, type)


def cache_tag_flush_devtlb_psi(domain: dmar_domain, tag: cache_tag, addr: int, mask: int) -> None:
    """Flush one device's TLB.

    :context: ``domain->cache_lock`` held.
    """
    iommu = tag.iommu

    assert tag.dev is not None and domain.qi_batch is not None
    info: device_domain_info = dev_iommu_priv_get(tag.dev)
    sid = PCI_DEVID(info.bus, info.devfn)

    if tag.pasid == IOMMU_NO_PASID:
        qi_batch_add_dev_iotlb(iommu, sid, info.pfsid, info.ats_qdep, addr, mask, domain.qi_batch)
        if info.dtlb_extra_inval:
            qi_batch_add_dev_iotlb(iommu, sid, info.pfsid, info.ats_qdep, addr, mask, domain.qi_batch)
        return

    qi_batch_add_pasid_dev_iotlb(iommu, sid, info.pfsid, tag.pasid, info.ats_qdep, addr, mask,
                                 domain.qi_batch)
    if info.dtlb_extra_inval:
        qi_batch_add_pasid_dev_iotlb(iommu, sid, info.pfsid, tag.pasid, info.ats_qdep, addr, mask,
                                     domain.qi_batch)


def cache_tag_flush_range(domain: dmar_domain, start: int, end: int, ih: int) -> None:
    """Flush a range from every cache that may hold *domain*, and wait.

    :param end: ``unsigned long``, the last byte.
    :param ih: ``int``, only leaf entries changed.
    :context: any; takes ``domain->cache_lock`` with interrupts off.
    """
    iommu: intel_iommu | None = None

    addr, mask = calculate_psi_aligned_address(start, end)

    flags = spin_lock_irqsave(domain.cache_lock)
    for tag in list_for_each_entry(cache_tag, domain.cache_tags, "node"):
        assert domain.qi_batch is not None
        if iommu and iommu is not tag.iommu:
            qi_batch_flush_descs(iommu, domain.qi_batch)
        iommu = tag.iommu

        if tag.type == CACHE_TAG_IOTLB or tag.type == CACHE_TAG_NESTING_IOTLB:
            cache_tag_flush_iotlb(domain, tag, addr, mask, ih)
        elif tag.type == CACHE_TAG_NESTING_DEVTLB:
            # The device caches both stages as one: which entries a change of the second stage hit
            # cannot be told.
            addr = 0
            mask = MAX_AGAW_PFN_WIDTH
            cache_tag_flush_devtlb_psi(domain, tag, addr, mask)
        elif tag.type == CACHE_TAG_DEVTLB:
            cache_tag_flush_devtlb_psi(domain, tag, addr, mask)

    if iommu:
        assert domain.qi_batch is not None
        qi_batch_flush_descs(iommu, domain.qi_batch)
    spin_unlock_irqrestore(domain.cache_lock, flags)


def cache_tag_flush_all(domain: dmar_domain) -> None:
    """Flush everything from every cache that may hold *domain*."""
    cache_tag_flush_range(domain, 0, ULONG_MAX, 0)
