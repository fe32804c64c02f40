# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/svm.c (Linux 7.2): SVA domains of VT-d.

Leaves out nothing but messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.cpufeature import X86_FEATURE_GBPAGES, X86_FEATURE_LA57, cpu_feature_enabled
from kmm.arch.x86.include.asm.page import __pa
from kmm.c import ULONG_MAX, container_of
from kmm.drivers.iommu.intel.cache import cache_tag_flush_all, cache_tag_flush_range
from kmm.drivers.iommu.intel.iommu import (
    __domain_setup_first_level,
    dmar_disabled,
    domain_add_dev_pasid,
    domain_remove_dev_pasid,
)
from kmm.drivers.iommu.intel.iommu_h import (
    FLPT_DEFAULT_DID,
    VTD_FLAG_SVM_CAPABLE,
    cap_fl1gp_support,
    cap_fl5lp_support,
    dev_pasid_info,
    device_domain_info,
    dmar_domain,
    ecap_smpwc,
    intel_iommu,
    iopf_for_domain_replace,
    pasid_supported,
    to_dmar_domain,
)
from kmm.drivers.iommu.intel.pasid import intel_pasid_tear_down_entry
from kmm.drivers.iommu.intel.pasid_h import PASID_FLAG_FL5LP, PASID_FLAG_PWSNP
from kmm.include.linux.err import ERR_PTR, IS_ERR, PTR_ERR
from kmm.include.linux.errno import EINVAL, ENODEV, ENOMEM
from kmm.include.linux.iommu import dev_iommu_priv_get, ioasid_t, iommu_domain, iommu_domain_ops
from kmm.include.linux.list import INIT_LIST_HEAD, list_for_each_entry
from kmm.include.linux.mmu_notifier import (
    mmu_notifier,
    mmu_notifier_ops,
    mmu_notifier_put,
    mmu_notifier_register,
)
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.spinlock import spin_lock_init, spin_lock_irqsave, spin_unlock_irqrestore

if TYPE_CHECKING:
    from kmm.include.linux.device import device
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.mm_types import mm_struct


def intel_svm_check(iommu: intel_iommu) -> None:
    """Find out whether a unit can walk the CPU's tables."""
    if not pasid_supported(iommu) or not ecap_smpwc(iommu.ecap):
        return

    if cpu_feature_enabled(X86_FEATURE_GBPAGES) and not cap_fl1gp_support(iommu.cap):
        return

    if cpu_feature_enabled(X86_FEATURE_LA57) and not cap_fl5lp_support(iommu.cap):
        return

    iommu.flags |= VTD_FLAG_SVM_CAPABLE


def intel_arch_invalidate_secondary_tlbs(mn: mmu_notifier, mm: mm_struct, start: int, end: int) -> None:
    """Flush a range that the CPU's tables no longer map as before.

    :param end: ``unsigned long``, the first byte behind it; the IOMMU counts to the last byte.
    :context: any; may hold page-table locks.
    """
    domain = container_of(mn, dmar_domain, "notifier")

    if start == 0 and end == ULONG_MAX:
        cache_tag_flush_all(domain)
        return

    cache_tag_flush_range(domain, start, end - 1, 0)


def intel_mm_release(mn: mmu_notifier, mm: mm_struct) -> None:
    """The address space goes away: take its tables out of every PASID entry.

    exit_mmap() clears them after this, and no notification of that arrives any more.
    """
    domain = container_of(mn, dmar_domain, "notifier")

    flags = spin_lock_irqsave(domain.lock)
    for dev_pasid in list_for_each_entry(dev_pasid_info, domain.dev_pasids, "link_domain"):
        info: device_domain_info = dev_iommu_priv_get(dev_pasid.dev)
        intel_pasid_tear_down_entry(info.iommu, dev_pasid.dev, dev_pasid.pasid, True)
    spin_unlock_irqrestore(domain.lock, flags)


def intel_mm_free_notifier(mn: mmu_notifier) -> None:
    """Free the domain: nobody calls its notifier any more."""
    domain = container_of(mn, dmar_domain, "notifier")

    kfree(domain.qi_batch)
    kfree(domain)


intel_mmuops = mmu_notifier_ops.zeroed()
intel_mmuops.release = intel_mm_release
intel_mmuops.arch_invalidate_secondary_tlbs = intel_arch_invalidate_secondary_tlbs
intel_mmuops.free_notifier = intel_mm_free_notifier


def intel_iommu_sva_supported(dev: device) -> int:
    """Whether *dev* can do SVA; 0 or -errno."""
    info: device_domain_info | None = dev_iommu_priv_get(dev)

    if not info or dmar_disabled:
        return -EINVAL

    iommu = info.iommu
    if not iommu:
        return -EINVAL

    if not (iommu.flags & VTD_FLAG_SVM_CAPABLE):
        return -ENODEV

    if not info.pasid_enabled or not info.ats_enabled:
        return -EINVAL

    # A device without PRI is trusted to resolve its faults in its own way.
    if not info.pri_supported:
        return 0

    if not info.pri_enabled:
        return -EINVAL

    return 0


def intel_svm_set_dev_pasid(domain: iommu_domain, dev: device, pasid: ioasid_t,
                            old: iommu_domain | None) -> int:
    """Point a PASID of *dev* at the root table of the domain's mm; 0 or -errno."""
    info: device_domain_info = dev_iommu_priv_get(dev)
    iommu = info.iommu
    mm = domain.mm
    ret = 0

    ret = intel_iommu_sva_supported(dev)
    if ret:
        return ret

    dev_pasid = domain_add_dev_pasid(domain, dev, pasid)
    if IS_ERR(dev_pasid):
        return PTR_ERR(dev_pasid)

    def out_remove_dev_pasid(ret: int) -> int:
        domain_remove_dev_pasid(domain, dev, pasid)
        return ret

    ret = iopf_for_domain_replace(domain, old, dev)
    if ret:
        return out_remove_dev_pasid(ret)

    sflags = PASID_FLAG_FL5LP if cpu_feature_enabled(X86_FEATURE_LA57) else 0
    sflags |= PASID_FLAG_PWSNP
    ret = __domain_setup_first_level(iommu, dev, pasid, FLPT_DEFAULT_DID, __pa(mm.pgd), sflags, old)
    if ret:
        iopf_for_domain_replace(old, domain, dev)
        return out_remove_dev_pasid(ret)

    domain_remove_dev_pasid(old, dev, pasid)

    return 0


def intel_svm_domain_free(domain: iommu_domain) -> None:
    """Drop the domain; its notifier frees it when nobody calls it any more."""
    dmar_domain = to_dmar_domain(domain)

    mmu_notifier_put(dmar_domain.notifier)


intel_svm_domain_ops = iommu_domain_ops.zeroed()
intel_svm_domain_ops.set_dev_pasid = intel_svm_set_dev_pasid
intel_svm_domain_ops.free = intel_svm_domain_free


def intel_svm_domain_alloc(dev: device, mm: mm_struct) -> iommu_domain | ErrPtr:
    """A domain for *mm*, which is told of every change to its tables.

    :context: may sleep; takes the mmap lock.
    """
    ret = intel_iommu_sva_supported(dev)
    if ret:
        return ERR_PTR(ret)

    domain = kzalloc_obj(dmar_domain)
    if not domain:
        return ERR_PTR(-ENOMEM)

    domain.domain.ops = intel_svm_domain_ops
    INIT_LIST_HEAD(domain.dev_pasids)
    INIT_LIST_HEAD(domain.cache_tags)
    spin_lock_init(domain.cache_lock)
    spin_lock_init(domain.lock)

    domain.notifier.ops = intel_mmuops
    ret = mmu_notifier_register(domain.notifier, mm)
    if ret:
        kfree(domain)
        return ERR_PTR(ret)

    return domain.domain
