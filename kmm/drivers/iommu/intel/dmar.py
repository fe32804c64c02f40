# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/dmar.c (Linux 7.2): remapping units and their invalidation queues.

Leaves out: the ACPI tables (:mod:`kmm.drivers.iommu.intel.platform` says what firmware would), hot
plug, interrupts, latency statistics, performance counters, sysfs, messages.

``memory`` that the unit reads or writes is simulated memory: the queue, and the status words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.io import virt_to_phys
from kmm.drivers.iommu.intel.iommu import (
    device_rbtree_find,
    iommu_calculate_agaw,
    iommu_calculate_max_sagaw,
)
from kmm.drivers.iommu.intel.iommu_h import (
    DMA_FRCD_F,
    DMA_FSTS_ICE,
    DMA_FSTS_IQE,
    DMA_FSTS_ITE,
    DMA_FSTS_PFO,
    DMA_FSTS_PPF,
    DMA_FSTS_PRO,
    DMA_GCMD_IRE,
    DMA_GCMD_QIE,
    DMA_GCMD_TE,
    DMA_GSTS_IRES,
    DMA_GSTS_QIES,
    DMA_GSTS_TES,
    DMAR_CAP_REG,
    DMAR_ECAP_REG,
    DMAR_FSTS_REG,
    DMAR_GCMD_REG,
    DMAR_GSTS_REG,
    DMAR_IQA_REG,
    DMAR_IQER_REG,
    DMAR_IQER_REG_ITESID,
    DMAR_IQH_REG,
    DMAR_IQT_REG,
    IOMMU_WAIT_OP,
    QI_ABORT,
    QI_CC_DID,
    QI_CC_FM,
    QI_CC_GRAN,
    QI_CC_SID,
    QI_CC_TYPE,
    QI_DONE,
    QI_FREE,
    QI_IEC_TYPE,
    QI_IN_USE,
    QI_IWD_PRQ_DRAIN,
    QI_IWD_STATUS_DATA,
    QI_IWD_STATUS_WRITE,
    QI_IWD_TYPE,
    QI_LENGTH,
    QI_OPT_WAIT_DRAIN,
    QI_PC_DID,
    QI_PC_GRAN,
    QI_PC_PASID,
    QI_PC_TYPE,
    cap_fault_reg_offset,
    cap_max_fault_reg_offset,
    cap_num_fault_regs,
    cap_sagaw,
    dma_fsts_fault_record_index,
    ecap_max_iotlb_offset,
    ecap_pss,
    ecap_qis,
    ecap_slts,
    ecap_smts,
    intel_iommu,
    pasid_supported,
    q_inval,
    qi_desc,
    qi_desc_dev_iotlb,
    qi_desc_dev_iotlb_pasid,
    qi_desc_iotlb,
    qi_desc_piotlb_all,
    qi_shift,
)
from kmm.drivers.iommu.iommu_pages import iommu_alloc_pages_node_sz, iommu_free_pages
from kmm.hooks import Unported
from kmm.include.linux.bits import BIT_ULL
from kmm.include.linux.completion import init_completion
from kmm.include.linux.dmar import DMAR_UNITS_SUPPORTED, dmar_drhd_unit, dmar_drhd_units
from kmm.include.linux.errno import EAGAIN, EINVAL, ENODEV, ENOENT, ENOMEM, ETIMEDOUT
from kmm.include.linux.gfp import GFP_ATOMIC, GFP_KERNEL, NUMA_NO_NODE
from kmm.include.linux.idr import DEFINE_IDA, ida_alloc_range, ida_free, ida_init
from kmm.include.linux.io import iomem, readl, readq, writel, writeq
from kmm.include.linux.list import list_empty
from kmm.include.linux.mutex import mutex_init
from kmm.include.linux.pci import dev_is_pci, pci_device_is_present, to_pci_dev
from kmm.include.linux.rculist import list_add_rcu, list_add_tail_rcu
from kmm.include.linux.slab import kfree, kmalloc_obj, kzalloc_obj
from kmm.include.linux.spinlock import (
    raw_spin_lock,
    raw_spin_lock_init,
    raw_spin_lock_irqsave,
    raw_spin_unlock,
    raw_spin_unlock_irqrestore,
    raw_spinlock_t,
    spin_lock_init,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

dmar_seq_ids = DEFINE_IDA()


def dmar_register_drhd_unit(drhd: dmar_drhd_unit) -> None:
    """Put a unit on the list; one that takes all remaining devices goes to the end."""
    if drhd.include_all:
        list_add_tail_rcu(drhd.list, dmar_drhd_units)
    else:
        list_add_rcu(drhd.list, dmar_drhd_units)


def dmar_parse_one_drhd(reg_base: object, include_all: bool) -> dmar_drhd_unit | int:
    """Take up a unit that firmware describes.

    :param reg_base: ``struct acpi_dmar_header *`` in C: here the handle of the unit's registers.
    :return: the unit, or -errno.
    :deviation: C returns 0 and keeps the unit to itself; who plays firmware wants to add devices.
    """
    dmaru = kzalloc_obj(dmar_drhd_unit)
    if not dmaru:
        return -ENOMEM

    dmaru.reg_base = reg_base
    dmaru.segment = 0
    dmaru.include_all = int(include_all)
    dmaru.devices = []

    ret = alloc_iommu(dmaru)
    if ret:
        kfree(dmaru)
        return ret
    dmar_register_drhd_unit(dmaru)
    return dmaru


def dmar_dev_scope_init() -> int:
    """Resolve which devices sit behind which unit; they are known already."""
    return 0


def dmar_table_init() -> int:
    """Parse the DMAR table; it was, by the machine. -ENODEV if there are no units."""
    if list_empty(dmar_drhd_units):
        return -ENODEV
    return 0


def map_iommu(iommu: intel_iommu, drhd: dmar_drhd_unit) -> int:
    """Reach the registers and read the capabilities; 0 or -errno.

    :deviation: nothing to reserve or remap; C grows the mapping to the size computed here.
    """
    iommu.reg = iomem(drhd.reg_base)

    iommu.cap = readq(iommu.reg + DMAR_CAP_REG)
    iommu.ecap = readq(iommu.reg + DMAR_ECAP_REG)

    if iommu.cap == (1 << 64) - 1 and iommu.ecap == (1 << 64) - 1:
        return -EINVAL

    iommu.reg_size = max(ecap_max_iotlb_offset(iommu.ecap), cap_max_fault_reg_offset(iommu.cap))

    return 0


def alloc_iommu(drhd: dmar_drhd_unit) -> int:
    """Set up the struct of a unit from its capabilities; 0 or -errno.

    :context: may sleep.
    """
    agaw = -1
    msagaw = -1

    iommu = kzalloc_obj(intel_iommu)
    if not iommu:
        return -ENOMEM

    iommu.seq_id = ida_alloc_range(dmar_seq_ids, 0, DMAR_UNITS_SUPPORTED - 1, GFP_KERNEL)
    if iommu.seq_id < 0:
        err = iommu.seq_id
        kfree(iommu)
        return err
    iommu.name = f"dmar{iommu.seq_id}"

    err = map_iommu(iommu, drhd)
    if err:
        ida_free(dmar_seq_ids, iommu.seq_id)
        kfree(iommu)
        return err

    if not cap_sagaw(iommu.cap) and (not ecap_smts(iommu.ecap) or ecap_slts(iommu.ecap)):
        drhd.ignored = 1

    if not drhd.ignored:
        agaw = iommu_calculate_agaw(iommu)
        if agaw < 0:
            drhd.ignored = 1
    if not drhd.ignored:
        msagaw = iommu_calculate_max_sagaw(iommu)
        if msagaw < 0:
            drhd.ignored = 1
            agaw = -1
    iommu.agaw = agaw
    iommu.msagaw = msagaw
    iommu.segment = drhd.segment
    iommu.device_rbtree = {}
    spin_lock_init(iommu.device_rbtree_lock)
    mutex_init(iommu.iopf_lock)
    iommu.node = NUMA_NO_NODE
    spin_lock_init(iommu.lock)
    ida_init(iommu.domain_ida)
    mutex_init(iommu.did_lock)
    init_completion(iommu.prq_complete)

    sts = readl(iommu.reg + DMAR_GSTS_REG)
    if sts & DMA_GSTS_IRES:
        iommu.gcmd |= DMA_GCMD_IRE
    if sts & DMA_GSTS_TES:
        iommu.gcmd |= DMA_GCMD_TE
    if sts & DMA_GSTS_QIES:
        iommu.gcmd |= DMA_GCMD_QIE

    raw_spin_lock_init(iommu.register_lock)

    # PSS holds the number of bits less one.
    if pasid_supported(iommu):
        iommu.iommu.max_pasids = 2 << ecap_pss(iommu.ecap)

    drhd.iommu = iommu
    iommu.drhd = drhd

    return 0


def _desc_status(qi: q_inval, index: int) -> int:
    """``&qi->desc_status[index]``."""
    return qi.desc_status + 4 * index


def _copy_desc(iommu: intel_iommu, offset: int, desc: qi_desc) -> None:
    """``memcpy(qi->desc + offset, desc, 1 << shift)`` from a descriptor on the stack."""
    assert iommu.qi is not None
    words = (desc.qw0, desc.qw1, desc.qw2, desc.qw3)[:(1 << qi_shift(iommu)) // 8]
    for n, word in enumerate(words):
        hooks.store(iommu.qi.desc + offset + 8 * n, 8, word)


def _wait_for_status(status: int) -> None:
    """``cpu_relax()`` until the status word at an address says something new."""
    hooks.wait("invalidation wait descriptor", lambda: hooks.peek(status, 4) != QI_IN_USE, status)


def reclaim_free_desc(qi: q_inval) -> None:
    """Take back slots at the tail whose descriptors are done.

    :context: ``qi->q_lock`` held.
    """
    while hooks.load(_desc_status(qi, qi.free_tail), 4) == QI_FREE and qi.free_tail != qi.free_head:
        qi.free_tail = (qi.free_tail + 1) % QI_LENGTH
        qi.free_cnt += 1


def qi_check_fault(iommu: intel_iommu, index: int, wait_index: int) -> int:
    """Look whether the queue has stopped, and get it going again.

    :param index: ``int``, the first slot of the caller's submission.
    :param wait_index: ``int``, the slot of its wait descriptor.
    :return: 0 to go on waiting; -EINVAL if the caller's descriptor is wrong, -EAGAIN to submit again,
        -ETIMEDOUT if the device is gone.
    :context: ``qi->q_lock`` held.
    """
    qi = iommu.qi
    assert qi is not None
    shift = qi_shift(iommu)

    if hooks.load(_desc_status(qi, wait_index), 4) == QI_ABORT:
        return -EAGAIN

    fault = readl(iommu.reg + DMAR_FSTS_REG)

    # The head stays at the descriptor that is wrong until IQE is cleared.
    if fault & DMA_FSTS_IQE:
        head = readl(iommu.reg + DMAR_IQH_REG)
        if (head >> shift) == index:
            # Replace it by the wait descriptor, so that the queue can go on.
            hooks.copy(qi.desc + head, qi.desc + (wait_index << shift), 1 << shift)
            writel(DMA_FSTS_IQE, iommu.reg + DMAR_FSTS_REG)
            return -EINVAL

    # All wait descriptors that are pending have been aborted, until ITE is cleared.
    if fault & DMA_FSTS_ITE:
        head = readl(iommu.reg + DMAR_IQH_REG)
        head = ((head >> shift) - 1 + QI_LENGTH) % QI_LENGTH
        tail = readl(iommu.reg + DMAR_IQT_REG)
        tail = ((tail >> shift) - 1 + QI_LENGTH) % QI_LENGTH

        iqe_err = readq(iommu.reg + DMAR_IQER_REG)
        ite_sid = DMAR_IQER_REG_ITESID(iqe_err)

        writel(DMA_FSTS_ITE, iommu.reg + DMAR_FSTS_REG)

        while True:
            if hooks.load(_desc_status(qi, head), 4) == QI_IN_USE:
                hooks.store(_desc_status(qi, head), 4, QI_ABORT)
            head = (head - 1 + QI_LENGTH) % QI_LENGTH
            if head == tail:
                break

        # No retry towards a device that is gone; old units do not say which one it was.
        if ite_sid:
            dev = device_rbtree_find(iommu, ite_sid)
            if not dev or not dev_is_pci(dev) or not pci_device_is_present(to_pci_dev(dev)):
                return -ETIMEDOUT
        if hooks.load(_desc_status(qi, wait_index), 4) == QI_ABORT:
            return -EAGAIN

    if fault & DMA_FSTS_ICE:
        writel(DMA_FSTS_ICE, iommu.reg + DMAR_FSTS_REG)

    return 0


def qi_submit_sync(iommu: intel_iommu, desc: Sequence[qi_desc], count: int, options: int) -> int:
    """Queue descriptors, with a wait descriptor behind them, and wait until all are complete.

    :param desc: ``struct qi_desc *``, *count* of them.
    :param options: ``unsigned long``, QI_OPT_WAIT_DRAIN also drains page requests.
    :return: 0, or -errno if the queue stopped at one of them.
    :context: any; takes ``qi->q_lock`` with interrupts off, and spins.
    :deviation: ``cpu_relax()`` of the last loop is a wait for the status word to change. That the
        queue is full is not ported: more than 14 CPUs would have to submit full batches at once.
    """
    qi = iommu.qi

    if not qi:
        return 0

    while True:  # restart:
        rc = 0

        flags = raw_spin_lock_irqsave(qi.q_lock)
        # The descriptors, the wait descriptor, and a gap between head and tail.
        if qi.free_cnt < count + 2:
            raise Unported("drivers/iommu/intel/dmar.c", "qi_submit_sync: waiting for a free slot")

        index = qi.free_head
        wait_index = (index + count) % QI_LENGTH
        shift = qi_shift(iommu)

        for i in range(count):
            offset = ((index + i) % QI_LENGTH) << shift
            _copy_desc(iommu, offset, desc[i])
            hooks.store(_desc_status(qi, (index + i) % QI_LENGTH), 4, QI_IN_USE)
        hooks.store(_desc_status(qi, wait_index), 4, QI_IN_USE)

        wait_desc = qi_desc()
        wait_desc.qw0 = QI_IWD_STATUS_DATA(QI_DONE) | QI_IWD_STATUS_WRITE | QI_IWD_TYPE
        if options & QI_OPT_WAIT_DRAIN:
            wait_desc.qw0 |= QI_IWD_PRQ_DRAIN
        wait_desc.qw1 = virt_to_phys(_desc_status(qi, wait_index))
        wait_desc.qw2 = 0
        wait_desc.qw3 = 0

        offset = wait_index << shift
        _copy_desc(iommu, offset, wait_desc)

        qi.free_head = (qi.free_head + count + 1) % QI_LENGTH
        qi.free_cnt -= count + 1

        # The unit fetches up to the new tail.
        writel(qi.free_head << shift, iommu.reg + DMAR_IQT_REG)

        status = _desc_status(qi, wait_index)
        while hooks.load(status, 4) != QI_DONE:
            # Interrupts stay off: an interrupt that submits could otherwise wait for slots for ever.
            rc = qi_check_fault(iommu, index, wait_index)
            if rc:
                break

            raw_spin_unlock(qi.q_lock)
            _wait_for_status(status)
            raw_spin_lock(qi.q_lock)

        # Slots go back in any order, but are reclaimed from the tail only.
        for i in range(count + 1):
            hooks.store(_desc_status(qi, (index + i) % QI_LENGTH), 4, QI_FREE)

        reclaim_free_desc(qi)
        raw_spin_unlock_irqrestore(qi.q_lock, flags)

        if rc != -EAGAIN:
            break

    return rc


def qi_global_iec(iommu: intel_iommu) -> None:
    """Drop the interrupt entry cache."""
    desc = qi_desc()

    desc.qw0 = QI_IEC_TYPE
    desc.qw1 = 0
    desc.qw2 = 0
    desc.qw3 = 0

    qi_submit_sync(iommu, (desc,), 1, 0)


def qi_flush_context(iommu: intel_iommu, did: int, sid: int, fm: int, type: int) -> None:
    """Drop context-cache entries.

    :param type: ``u64``, DMA_CCMD_GLOBAL_INVL, DMA_CCMD_DOMAIN_INVL or DMA_CCMD_DEVICE_INVL.
    """
    desc = qi_desc()

    desc.qw0 = QI_CC_FM(fm) | QI_CC_SID(sid) | QI_CC_DID(did) | QI_CC_GRAN(type) | QI_CC_TYPE
    desc.qw1 = 0
    desc.qw2 = 0
    desc.qw3 = 0

    qi_submit_sync(iommu, (desc,), 1, 0)


def qi_flush_iotlb(iommu: intel_iommu, did: int, addr: int, size_order: int, type: int) -> None:
    """Drop IOTLB entries of a domain id.

    :param type: ``u64``, DMA_TLB_GLOBAL_FLUSH, DMA_TLB_DSI_FLUSH or DMA_TLB_PSI_FLUSH.
    """
    desc = qi_desc()

    qi_desc_iotlb(iommu, did, addr, size_order, type, desc)
    qi_submit_sync(iommu, (desc,), 1, 0)


def qi_flush_dev_iotlb(iommu: intel_iommu, sid: int, pfsid: int, qdep: int, addr: int, mask: int) -> None:
    """Drop entries without PASID from a device's TLB."""
    desc = qi_desc()

    # A device is not to be sent invalidations while translation is off.
    if not (iommu.gcmd & DMA_GCMD_TE):
        return

    qi_desc_dev_iotlb(sid, pfsid, qdep, addr, mask, desc)
    qi_submit_sync(iommu, (desc,), 1, 0)


def qi_flush_piotlb_all(iommu: intel_iommu, did: int, pasid: int) -> None:
    """Drop everything cached under a domain id and PASID."""
    desc = qi_desc.zeroed()

    qi_desc_piotlb_all(did, pasid, desc)
    qi_submit_sync(iommu, (desc,), 1, 0)


def qi_flush_dev_iotlb_pasid(iommu: intel_iommu, sid: int, pfsid: int, pasid: int, qdep: int, addr: int,
                             size_order: int) -> None:
    """Drop entries of a PASID from a device's TLB."""
    desc = qi_desc.zeroed()

    # A device is not to be sent invalidations while translation is off.
    if not (iommu.gcmd & DMA_GCMD_TE):
        return

    qi_desc_dev_iotlb_pasid(sid, pfsid, pasid, qdep, addr, size_order, desc)
    qi_submit_sync(iommu, (desc,), 1, 0)


def qi_flush_pasid_cache(iommu: intel_iommu, did: int, granu: int, pasid: int) -> None:
    """Drop PASID-cache entries.

    :param granu: ``u64``, QI_PC_ALL_PASIDS, QI_PC_PASID_SEL or QI_PC_GLOBAL.
    """
    desc = qi_desc.zeroed()

    desc.qw0 = QI_PC_PASID(pasid) | QI_PC_DID(did) | QI_PC_GRAN(granu) | QI_PC_TYPE
    qi_submit_sync(iommu, (desc,), 1, 0)


def dmar_disable_qi(iommu: intel_iommu) -> None:
    """Turn the invalidation queue off.

    :deviation: C gives pending descriptors time; the queue is empty whenever nobody submits.
    """
    if not ecap_qis(iommu.ecap):
        return

    flags = raw_spin_lock_irqsave(iommu.register_lock)

    sts = readl(iommu.reg + DMAR_GSTS_REG)
    if not (sts & DMA_GSTS_QIES):
        raw_spin_unlock_irqrestore(iommu.register_lock, flags)
        return

    iommu.gcmd &= ~DMA_GCMD_QIE
    writel(iommu.gcmd, iommu.reg + DMAR_GCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, lambda sts: not (sts & DMA_GSTS_QIES))
    raw_spin_unlock_irqrestore(iommu.register_lock, flags)


def __dmar_enable_qi(iommu: intel_iommu) -> None:
    """Tell the unit where its queue is, and turn it on."""
    qi = iommu.qi
    assert qi is not None
    val = virt_to_phys(qi.desc)

    qi.free_head = qi.free_tail = 0
    qi.free_cnt = QI_LENGTH

    # In scalable mode: descriptors of 256 bits (DW), two pages of them (QS).
    if ecap_smts(iommu.ecap):
        val |= BIT_ULL(11) | BIT_ULL(0)

    flags = raw_spin_lock_irqsave(iommu.register_lock)

    writel(0, iommu.reg + DMAR_IQT_REG)

    writeq(val, iommu.reg + DMAR_IQA_REG)

    iommu.gcmd |= DMA_GCMD_QIE
    writel(iommu.gcmd, iommu.reg + DMAR_GCMD_REG)

    IOMMU_WAIT_OP(iommu, DMAR_GSTS_REG, readl, lambda sts: bool(sts & DMA_GSTS_QIES))

    raw_spin_unlock_irqrestore(iommu.register_lock, flags)


def dmar_enable_qi(iommu: intel_iommu) -> int:
    """Allocate the invalidation queue of a unit and turn it on.

    :return: 0; -ENOENT if the unit has none, -ENOMEM.
    :deviation: the status words, which C takes from the slab, are a page, as the unit writes there.
    """
    if not ecap_qis(iommu.ecap):
        return -ENOENT

    if iommu.qi:
        return 0

    iommu.qi = kmalloc_obj(q_inval, GFP_ATOMIC)
    if not iommu.qi:
        return -ENOMEM

    qi = iommu.qi

    # 256 descriptors of 256 bits need two pages.
    desc = iommu_alloc_pages_node_sz(iommu.node, GFP_ATOMIC, 0x2000 if ecap_smts(iommu.ecap) else 0x1000)
    if not desc:
        kfree(qi)
        iommu.qi = None
        return -ENOMEM

    qi.desc = desc

    desc_status = iommu_alloc_pages_node_sz(iommu.node, GFP_ATOMIC, 4 * QI_LENGTH)
    if not desc_status:
        iommu_free_pages(qi.desc)
        kfree(qi)
        iommu.qi = None
        return -ENOMEM
    qi.desc_status = desc_status

    qi.embed("q_lock", raw_spinlock_t())
    raw_spin_lock_init(qi.q_lock)

    __dmar_enable_qi(iommu)

    return 0


PRIMARY_FAULT_REG_LEN = 16


def dmar_fault(irq: int, iommu: intel_iommu) -> None:
    """Take the recorded faults out of the unit's registers.

    :deviation: C decodes and logs each; here they are only cleared.
    """
    flag = raw_spin_lock_irqsave(iommu.register_lock)
    fault_status = readl(iommu.reg + DMAR_FSTS_REG)

    if not (fault_status & DMA_FSTS_PPF):
        raw_spin_unlock_irqrestore(iommu.register_lock, flag)
        return

    fault_index = dma_fsts_fault_record_index(fault_status)
    reg = cap_fault_reg_offset(iommu.cap)
    while True:
        data = readl(iommu.reg + (reg + fault_index * PRIMARY_FAULT_REG_LEN + 12))
        if not (data & DMA_FRCD_F):
            break

        writel(DMA_FRCD_F, iommu.reg + (reg + fault_index * PRIMARY_FAULT_REG_LEN + 12))

        fault_index += 1
        if fault_index >= cap_num_fault_regs(iommu.cap):
            fault_index = 0

    writel(DMA_FSTS_PFO | DMA_FSTS_PPF | DMA_FSTS_PRO, iommu.reg + DMAR_FSTS_REG)

    raw_spin_unlock_irqrestore(iommu.register_lock, flag)


def dmar_set_interrupt(iommu: intel_iommu) -> int:
    """Nothing: faults stay in the unit's registers until someone calls :func:`dmar_fault`."""
    return 0


def dmar_reenable_qi(iommu: intel_iommu) -> int:
    """Turn the queue on again after resume."""
    raise Unported("drivers/iommu/intel/dmar.c", "dmar_reenable_qi")
