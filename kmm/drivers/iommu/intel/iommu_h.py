# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/intel/iommu.h (Linux 7.2): registers, descriptors and structs of VT-d.

Context entries live in simulated memory: ``struct context_entry *`` is an address of a type of its
own, ``context->lo`` a property that loads and stores.

Reads CONFIG_INTEL_IOMMU, CONFIG_INTEL_IOMMU_SVM, CONFIG_IRQ_REMAP.

Leaves out: interrupt remapping, performance counters, enhanced commands, MTRR registers, suspend,
debugfs, tables copied from a crashed kernel (``context_copied`` is false), second-stage entries
(``struct dma_pte``), the members of ``struct dmar_domain`` that paging and nested domains use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.cacheflush import clflush_cache_range
from kmm.c import Ptr, container_of, struct, u64, ulong
from kmm.include.generated.autoconf import CONFIG_INTEL_IOMMU_SVM
from kmm.include.linux.bits import BIT, BIT_ULL, FIELD_GET, GENMASK_ULL
from kmm.include.linux.compiler import dma_wmb
from kmm.include.linux.completion import completion
from kmm.include.linux.device import device
from kmm.include.linux.err import ERR_PTR
from kmm.include.linux.errno import ENODEV
from kmm.include.linux.idr import ida
from kmm.include.linux.iommu import (
    IOMMU_DOMAIN_IDENTITY,
    IOMMU_DOMAIN_SVA,
    dev_iommu_priv_get,
    ioasid_t,
    iommu_device,
    iommu_domain,
)
from kmm.include.linux.iommu import (
    iopf_queue as _iopf_queue,
)
from kmm.include.linux.mmu_notifier import mmu_notifier
from kmm.include.linux.mutex import mutex
from kmm.include.linux.pci import dev_is_pci, pci_real_dma_dev, to_pci_dev
from kmm.include.linux.spinlock import raw_spinlock_t, spinlock_t
from kmm.include.linux.types import list_head
from kmm.include.linux.xarray import xa_load, xarray

if TYPE_CHECKING:
    from kmm.drivers.iommu.intel.pasid_h import pasid_table as _pasid_table
    from kmm.include.linux.dmar import dmar_drhd_unit
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.io import iomem
    from kmm.include.linux.mm_types import mm_struct

VTD_PAGE_SHIFT = 12
VTD_PAGE_SIZE = 1 << VTD_PAGE_SHIFT
VTD_PAGE_MASK = u64(-1 << VTD_PAGE_SHIFT)


def VTD_PAGE_ALIGN(addr: int) -> int:
    """Round up to a VT-d page."""
    return (addr + VTD_PAGE_SIZE - 1) & VTD_PAGE_MASK


ADDR_WIDTH_5LEVEL = 57
ADDR_WIDTH_4LEVEL = 48

CONTEXT_TT_MULTI_LEVEL = 0
CONTEXT_TT_DEV_IOTLB = 1
CONTEXT_TT_PASS_THROUGH = 2
CONTEXT_PASIDE = BIT_ULL(3)

DMAR_VER_REG = 0x0
DMAR_CAP_REG = 0x8
DMAR_ECAP_REG = 0x10
DMAR_GCMD_REG = 0x18
DMAR_GSTS_REG = 0x1C
DMAR_RTADDR_REG = 0x20
DMAR_CCMD_REG = 0x28
DMAR_FSTS_REG = 0x34
DMAR_FECTL_REG = 0x38
DMAR_FEDATA_REG = 0x3C
DMAR_FEADDR_REG = 0x40
DMAR_FEUADDR_REG = 0x44
DMAR_PMEN_REG = 0x64
DMAR_PLMBASE_REG = 0x68
DMAR_PLMLIMIT_REG = 0x6C
DMAR_PHMBASE_REG = 0x70
DMAR_PHMLIMIT_REG = 0x78
DMAR_IQH_REG = 0x80
DMAR_IQT_REG = 0x88
DMAR_IQ_SHIFT = 4
DMAR_IQA_REG = 0x90
DMAR_ICS_REG = 0x9C
DMAR_IQER_REG = 0xB0
DMAR_PQH_REG = 0xC0
DMAR_PQT_REG = 0xC8
DMAR_PQA_REG = 0xD0
DMAR_PRS_REG = 0xDC
DMAR_PECTL_REG = 0xE0


def DMAR_IQER_REG_IQEI(reg: int) -> int:
    """Why the queue stopped."""
    return FIELD_GET(GENMASK_ULL(3, 0), reg)


def DMAR_IQER_REG_ITESID(reg: int) -> int:
    """Which function did not answer an invalidation."""
    return FIELD_GET(GENMASK_ULL(47, 32), reg)


def DMAR_IQER_REG_ICESID(reg: int) -> int:
    """Which function completed an invalidation that it was not sent."""
    return FIELD_GET(GENMASK_ULL(63, 48), reg)


# Capability register.

def cap_esrtps(c: int) -> int:
    """Setting the root table pointer invalidates everything."""
    return (c >> 63) & 1


def cap_fl5lp_support(c: int) -> int:
    """First stage walks five levels."""
    return (c >> 60) & 1


def cap_fl1gp_support(c: int) -> int:
    """First stage knows 1 GiB pages."""
    return (c >> 56) & 1


def cap_read_drain(c: int) -> int:
    """Invalidations can drain reads."""
    return (c >> 55) & 1


def cap_write_drain(c: int) -> int:
    """Invalidations can drain writes."""
    return (c >> 54) & 1


def cap_max_amask_val(c: int) -> int:
    """Largest address mask of a page-selective invalidation."""
    return (c >> 48) & 0x3F


def cap_num_fault_regs(c: int) -> int:
    """Number of fault recording registers."""
    return ((c >> 40) & 0xFF) + 1


def cap_pgsel_inv(c: int) -> int:
    """Page-selective invalidation is supported."""
    return (c >> 39) & 1


def cap_fault_reg_offset(c: int) -> int:
    """Where the fault recording registers begin."""
    return ((c >> 24) & 0x3FF) * 16


def cap_max_fault_reg_offset(c: int) -> int:
    """Where they end."""
    return cap_fault_reg_offset(c) + cap_num_fault_regs(c) * 16


def cap_sagaw(c: int) -> int:
    """Supported widths of second-stage tables, a bit each."""
    return (c >> 8) & 0x1F


def cap_caching_mode(c: int) -> int:
    """Entries that are not present may be cached too."""
    return (c >> 7) & 1


def cap_phmr(c: int) -> int:
    """Has a protected high memory region."""
    return (c >> 6) & 1


def cap_plmr(c: int) -> int:
    """Has a protected low memory region."""
    return (c >> 5) & 1


def cap_rwbf(c: int) -> int:
    """Software must flush the write buffer."""
    return (c >> 4) & 1


def cap_ndoms(c: int) -> int:
    """Number of domain ids."""
    return 1 << (4 + 2 * (c & 0x7))


# Extended capability register.

def ecap_smpwc(e: int) -> int:
    """Walks in scalable mode snoop the CPU caches."""
    return (e >> 48) & 0x1


def ecap_flts(e: int) -> int:
    """First-stage translation."""
    return (e >> 47) & 0x1


def ecap_slts(e: int) -> int:
    """Second-stage translation."""
    return (e >> 46) & 0x1


def ecap_slads(e: int) -> int:
    """Accessed and dirty bits in the second stage."""
    return (e >> 45) & 0x1


def ecap_smts(e: int) -> int:
    """Scalable mode."""
    return (e >> 43) & 0x1


def ecap_dit(e: int) -> int:
    """Throttles device-TLB invalidations by physical function."""
    return (e >> 41) & 0x1


def ecap_pds(e: int) -> int:
    """Drains page requests."""
    return (e >> 42) & 0x1


def ecap_pasid(e: int) -> int:
    """Requests may carry a PASID."""
    return (e >> 40) & 0x1


def ecap_pss(e: int) -> int:
    """Bits of a PASID, less one."""
    return (e >> 35) & 0x1F


def ecap_eafs(e: int) -> int:
    """The extended accessed bit."""
    return (e >> 34) & 0x1


def ecap_srs(e: int) -> int:
    """Supervisor requests."""
    return (e >> 31) & 0x1


def ecap_prs(e: int) -> int:
    """Page requests."""
    return (e >> 29) & 0x1


def ecap_nest(e: int) -> int:
    """Nested translation."""
    return (e >> 26) & 0x1


def ecap_iotlb_offset(e: int) -> int:
    """Where the IOTLB registers begin."""
    return ((e >> 8) & 0x3FF) * 16


def ecap_max_iotlb_offset(e: int) -> int:
    """Where they end."""
    return ecap_iotlb_offset(e) + 16


def ecap_coherent(e: int) -> int:
    """Accesses to root, context and PASID tables snoop."""
    return e & 0x1


def ecap_qis(e: int) -> int:
    """Has an invalidation queue."""
    return e & 0x2


def ecap_pass_through(e: int) -> int:
    """Has pass-through translation."""
    return (e >> 6) & 0x1


def ecap_dev_iotlb_support(e: int) -> int:
    """Knows device TLBs."""
    return (e >> 2) & 0x1


def ecap_sc_support(e: int) -> int:
    """Has snoop control."""
    return (e >> 7) & 0x1


# IOTLB_REG
DMA_TLB_FLUSH_GRANU_OFFSET = 60
DMA_TLB_GLOBAL_FLUSH = 1 << 60
DMA_TLB_DSI_FLUSH = 2 << 60
DMA_TLB_PSI_FLUSH = 3 << 60


def DMA_TLB_IIRG(type: int) -> int:
    """Granularity asked for."""
    return (type >> 60) & 3


def DMA_TLB_IAIG(val: int) -> int:
    """Granularity performed."""
    return (val >> 57) & 3


DMA_TLB_READ_DRAIN = 1 << 49
DMA_TLB_WRITE_DRAIN = 1 << 48


def DMA_TLB_DID(id: int) -> int:
    """Domain id field."""
    return (id & 0xFFFF) << 32


DMA_TLB_IVT = 1 << 63
DMA_TLB_IH_NONLEAF = 1 << 6

DMA_CCMD_INVL_GRANU_OFFSET = 61

# PMEN_REG
DMA_PMEN_EPM = 1 << 31
DMA_PMEN_PRS = 1 << 0

# GCMD_REG
DMA_GCMD_TE = 1 << 31
DMA_GCMD_SRTP = 1 << 30
DMA_GCMD_WBF = 1 << 27
DMA_GCMD_QIE = 1 << 26
DMA_GCMD_IRE = 1 << 25

# GSTS_REG
DMA_GSTS_TES = 1 << 31
DMA_GSTS_RTPS = 1 << 30
DMA_GSTS_WBFS = 1 << 27
DMA_GSTS_QIES = 1 << 26
DMA_GSTS_IRES = 1 << 25

# DMA_RTADDR_REG
DMA_RTADDR_SMT = 1 << 10

# CCMD_REG
DMA_CCMD_ICC = 1 << 63
DMA_CCMD_GLOBAL_INVL = 1 << 61
DMA_CCMD_DOMAIN_INVL = 2 << 61
DMA_CCMD_DEVICE_INVL = 3 << 61


def DMA_CCMD_FM(m: int) -> int:
    """Function mask field."""
    return (m & 0x3) << 32


DMA_CCMD_MASK_NOBIT = 0
DMA_CCMD_MASK_1BIT = 1
DMA_CCMD_MASK_2BIT = 2
DMA_CCMD_MASK_3BIT = 3


def DMA_CCMD_SID(s: int) -> int:
    """Source id field."""
    return (s & 0xFFFF) << 16


def DMA_CCMD_DID(d: int) -> int:
    """Domain id field."""
    return d & 0xFFFF


# FSTS_REG
DMA_FSTS_PFO = 1 << 0
DMA_FSTS_PPF = 1 << 1
DMA_FSTS_IQE = 1 << 4
DMA_FSTS_ICE = 1 << 5
DMA_FSTS_ITE = 1 << 6
DMA_FSTS_PRO = 1 << 7


def dma_fsts_fault_record_index(s: int) -> int:
    """The first fault record with something in it."""
    return (s >> 8) & 0xFF


# FRCD_REG, the highest of its four dwords
DMA_FRCD_F = 1 << 31


def IOMMU_WAIT_OP(iommu: intel_iommu, offset: int, op: Callable[[iomem], int],
                  cond: Callable[[int], bool]) -> int:
    """Wait until a register meets *cond*; its value then.

    :deviation: the unit of the machine has obeyed a command when the register write returns, so the
        first read decides; where C panics after a time-out, this does at once.
    """
    sts = op(iommu.reg + offset)
    if not cond(sts):
        hooks.bug("IOMMU_WAIT_OP", "DMAR hardware is malfunctioning")
    return sts


QI_LENGTH = 256

QI_FREE = 0
QI_IN_USE = 1
QI_DONE = 2
QI_ABORT = 3

QI_CC_TYPE = 0x1
QI_IOTLB_TYPE = 0x2
QI_DIOTLB_TYPE = 0x3
QI_IEC_TYPE = 0x4
QI_IWD_TYPE = 0x5
QI_EIOTLB_TYPE = 0x6
QI_PC_TYPE = 0x7
QI_DEIOTLB_TYPE = 0x8
QI_PGRP_RESP_TYPE = 0x9
QI_PSTRM_RESP_TYPE = 0xA


def QI_IWD_STATUS_DATA(d: int) -> int:
    """What a wait descriptor writes."""
    return u64(d << 32)


QI_IWD_STATUS_WRITE = 1 << 5
QI_IWD_FENCE = 1 << 6
QI_IWD_PRQ_DRAIN = 1 << 7


def QI_IOTLB_DID(did: int) -> int:
    """Domain id field."""
    return did << 16


def QI_IOTLB_DR(dr: int) -> int:
    """Drain reads."""
    return dr << 7


def QI_IOTLB_DW(dw: int) -> int:
    """Drain writes."""
    return dw << 6


def QI_IOTLB_GRAN(gran: int) -> int:
    """Granularity, from its place in IOTLB_REG."""
    return gran >> (DMA_TLB_FLUSH_GRANU_OFFSET - 4)


def QI_IOTLB_ADDR(addr: int) -> int:
    """Address field."""
    return addr & VTD_PAGE_MASK


def QI_IOTLB_IH(ih: int) -> int:
    """Invalidation hint: only leaf entries changed."""
    return ih << 6


def QI_IOTLB_AM(am: int) -> int:
    """Address mask: log2 of the number of pages."""
    return am & 0x3F


def QI_CC_FM(fm: int) -> int:
    """Function mask field."""
    return fm << 48


def QI_CC_SID(sid: int) -> int:
    """Source id field."""
    return sid << 32


def QI_CC_DID(did: int) -> int:
    """Domain id field."""
    return did << 16


def QI_CC_GRAN(gran: int) -> int:
    """Granularity, from its place in CCMD_REG."""
    return gran >> (DMA_CCMD_INVL_GRANU_OFFSET - 4)


def QI_DEV_IOTLB_SID(sid: int) -> int:
    """Source id field."""
    return (sid & 0xFFFF) << 32


def QI_DEV_IOTLB_QDEP(qdep: int) -> int:
    """Queue depth field."""
    return (qdep & 0x1F) << 16


def QI_DEV_IOTLB_ADDR(addr: int) -> int:
    """Address field."""
    return addr & VTD_PAGE_MASK


def QI_DEV_IOTLB_PFSID(pfsid: int) -> int:
    """Source id of the physical function, in two parts."""
    return ((pfsid & 0xF) << 12) | (((pfsid >> 4) & 0xFFF) << 52)


QI_DEV_IOTLB_SIZE = 1
QI_DEV_IOTLB_MAX_INVS = 32


def QI_PC_PASID(pasid: int) -> int:
    """PASID field."""
    return u64(pasid << 32)


def QI_PC_DID(did: int) -> int:
    """Domain id field."""
    return did << 16


def QI_PC_GRAN(gran: int) -> int:
    """Granularity field."""
    return gran << 4


QI_PC_ALL_PASIDS = 0
QI_PC_PASID_SEL = 1
QI_PC_GLOBAL = 3


def QI_EIOTLB_ADDR(addr: int) -> int:
    """Address field."""
    return addr & VTD_PAGE_MASK


def QI_EIOTLB_IH(ih: int) -> int:
    """Invalidation hint: only leaf entries changed."""
    return ih << 6


def QI_EIOTLB_AM(am: int) -> int:
    """Address mask: log2 of the number of pages."""
    return am & 0x3F


def QI_EIOTLB_PASID(pasid: int) -> int:
    """PASID field."""
    return u64(pasid << 32)


def QI_EIOTLB_DID(did: int) -> int:
    """Domain id field."""
    return did << 16


def QI_EIOTLB_GRAN(gran: int) -> int:
    """Granularity field."""
    return gran << 4


QI_DEV_IOTLB_GRAN_ALL = 1
QI_DEV_IOTLB_GRAN_PASID_SEL = 0


def QI_DEV_EIOTLB_ADDR(a: int) -> int:
    """Address field."""
    return a & VTD_PAGE_MASK


QI_DEV_EIOTLB_SIZE = 1 << 11


def QI_DEV_EIOTLB_PASID(p: int) -> int:
    """PASID field."""
    return (p & 0xFFFFF) << 32


def QI_DEV_EIOTLB_SID(sid: int) -> int:
    """Source id field."""
    return (sid & 0xFFFF) << 16


def QI_DEV_EIOTLB_QDEP(qd: int) -> int:
    """Queue depth field."""
    return (qd & 0x1F) << 4


QI_GRAN_NONG_PASID = 2
QI_GRAN_PSI_PASID = 3


def qi_shift(iommu: intel_iommu) -> int:
    """log2 of the size of a descriptor: 16 bytes, or 32 in scalable mode."""
    return DMAR_IQ_SHIFT + (1 if ecap_smts(iommu.ecap) else 0)


class qi_desc(struct):
    """``struct qi_desc``: an invalidation descriptor."""

    qw0: int
    qw1: int
    qw2: int
    qw3: int


class q_inval(struct):
    """``struct q_inval``: the invalidation queue.

    ``desc`` is the queue's address and ``desc_status`` that of an ``int`` per slot; the unit reads
    the first and writes into the second.
    """

    q_lock: raw_spinlock_t
    desc: int
    desc_status: int
    free_head: int
    free_tail: int
    free_cnt: int


PRQ_ORDER = 4
PRQ_SIZE = 0x1000 << PRQ_ORDER
PRQ_RING_MASK = PRQ_SIZE - 0x20
PRQ_DEPTH = PRQ_SIZE >> 5


class iommu_flush(struct):
    """``struct iommu_flush``: by queue or by register."""

    flush_context: Ptr[Callable[[intel_iommu, int, int, int, int], None]]
    flush_iotlb: Ptr[Callable[[intel_iommu, int, int, int, int], None]]


VTD_FLAG_TRANS_PRE_ENABLED = 1 << 0
VTD_FLAG_IRQ_REMAP_PRE_ENABLED = 1 << 1
VTD_FLAG_SVM_CAPABLE = 1 << 2


def sm_supported(iommu: intel_iommu) -> bool:
    """Whether scalable mode is used."""
    return bool(intel_iommu_sm and ecap_smts(iommu.ecap))


def pasid_supported(iommu: intel_iommu) -> bool:
    """Whether PASIDs are used."""
    return bool(sm_supported(iommu) and ecap_pasid(iommu.ecap))


def ssads_supported(iommu: intel_iommu) -> bool:
    """Whether the second stage has accessed and dirty bits."""
    return bool(sm_supported(iommu) and ecap_slads(iommu.ecap) and ecap_smpwc(iommu.ecap))


def nested_supported(iommu: intel_iommu) -> bool:
    """Whether stages can be nested."""
    return bool(sm_supported(iommu) and ecap_nest(iommu.ecap))


class root_entry(int):
    """``struct root_entry *``: the address of a 16-byte root entry."""

    __slots__ = ()

    def __add__(self, n: int) -> root_entry:
        return root_entry(int(self) + 16 * n)

    @property
    def lo(self) -> int:
        """``re->lo``: the context table of devfn 0 to 7f."""
        return hooks.load(int(self), 8)

    @lo.setter
    def lo(self, value: int) -> None:
        hooks.store(int(self), 8, value)

    @property
    def hi(self) -> int:
        """``re->hi``: the context table of devfn 80 to ff."""
        return hooks.load(int(self) + 8, 8)

    @hi.setter
    def hi(self, value: int) -> None:
        hooks.store(int(self) + 8, 8, value)


_root_entry = root_entry


class context_entry(int):
    """``struct context_entry *``: the address of the first 16 bytes of a context entry."""

    __slots__ = ()

    def __add__(self, n: int) -> context_entry:
        return context_entry(int(self) + 16 * n)

    @property
    def lo(self) -> int:
        """``context->lo``."""
        return hooks.load(int(self), 8)

    @lo.setter
    def lo(self, value: int) -> None:
        hooks.store(int(self), 8, value)

    @property
    def hi(self) -> int:
        """``context->hi``."""
        return hooks.load(int(self) + 8, 8)

    @hi.setter
    def hi(self, value: int) -> None:
        hooks.store(int(self) + 8, 8, value)


class iommu_domain_info(struct):
    """``struct iommu_domain_info``: a domain on one IOMMU."""

    iommu: Ptr[intel_iommu]
    refcnt: int
    did: int


QI_MAX_BATCHED_DESC_COUNT = 16


class qi_batch(struct):
    """``struct qi_batch``: descriptors that are submitted together.

    ``descs`` is an array in C, of zeroed descriptors; who allocates a batch fills it in.
    """

    descs: Ptr[list[qi_desc]]
    index: int


_qi_batch = qi_batch


class dmar_domain(struct):
    """``struct dmar_domain``: VT-d's part of an IOMMU domain.

    Of the last union both the nested and the SVA member are here, side by side.
    """

    domain: iommu_domain
    iommu_array: xarray
    force_snooping: int
    dirty_tracking: int
    nested_parent: int
    iotlb_sync_map: int
    lock: spinlock_t
    devices: list_head
    dev_pasids: list_head
    cache_lock: spinlock_t
    cache_tags: list_head
    qi_batch: _qi_batch | None
    s2_domain: Ptr[dmar_domain]
    notifier: mmu_notifier


class intel_iommu(struct):
    """``struct intel_iommu``: one remapping unit."""

    reg: Ptr[iomem]
    reg_phys: int
    reg_size: int
    cap: int
    ecap: int
    gcmd: int
    register_lock: raw_spinlock_t
    seq_id: int
    agaw: int
    msagaw: int
    irq: int
    pr_irq: int
    segment: int
    name: Ptr[str]
    did_lock: mutex
    domain_ida: ida
    lock: spinlock_t
    root_entry: _root_entry | None
    flush: iommu_flush
    prq: int
    prq_complete: completion
    iopf_queue: _iopf_queue | None
    iopf_lock: mutex
    qi: q_inval | None
    device_rbtree: Ptr[dict[int, device_domain_info]]
    device_rbtree_lock: spinlock_t
    iommu: iommu_device
    node: int
    flags: int
    drhd: Ptr[dmar_drhd_unit]


class device_domain_info(struct):
    """``struct device_domain_info``: VT-d's part of a device."""

    link: list_head
    segment: int
    bus: int
    devfn: int
    pfsid: int
    pasid_supported: int
    pasid_enabled: int
    pri_supported: int
    pri_enabled: int
    ats_supported: int
    ats_enabled: int
    dtlb_extra_inval: int
    domain_attached: int
    ats_qdep: int
    iopf_refcount: int
    dev: Ptr[device]
    iommu: Ptr[intel_iommu]
    domain: dmar_domain | None
    pasid_table: _pasid_table | None


class dev_pasid_info(struct):
    """``struct dev_pasid_info``: a PASID of a device in a domain."""

    link_domain: list_head
    dev: Ptr[device]
    pasid: ioasid_t


def __iommu_flush_cache(iommu: intel_iommu, addr: int, size: int) -> None:
    """Write back CPU caches for a unit that does not snoop; caches are not modelled, see there."""
    if not ecap_coherent(iommu.ecap):
        clflush_cache_range(addr, size)


def to_dmar_domain(dom: iommu_domain) -> dmar_domain:
    """VT-d's struct around a generic domain."""
    return container_of(dom, dmar_domain, "domain")


# Domain id 0 tags entries that are not present (caching mode); 1 is shared by all first-stage and
# pass-through entries that have no domain of their own.
FLPT_DEFAULT_DID = 1
IDA_START_DID = 2


def domain_id_iommu(domain: dmar_domain, iommu: intel_iommu) -> int:
    """The domain id of *domain* on *iommu*."""
    info: iommu_domain_info = xa_load(domain.iommu_array, iommu.seq_id)

    return info.did


def iommu_domain_did(domain: iommu_domain, iommu: intel_iommu) -> int:
    """:func:`domain_id_iommu`, of any type of domain."""
    if domain.type == IOMMU_DOMAIN_SVA or domain.type == IOMMU_DOMAIN_IDENTITY:
        return FLPT_DEFAULT_DID
    return domain_id_iommu(to_dmar_domain(domain), iommu)


def dev_is_real_dma_subdevice(dev: device | None) -> bool:
    """Whether the DMA of *dev* carries another function's requester id."""
    return bool(dev is not None and dev_is_pci(dev)
                and pci_real_dma_dev(to_pci_dev(dev)) is not to_pci_dev(dev))


def context_present(context: context_entry) -> bool:
    """P of a context entry."""
    return bool(context.lo & 1)


LEVEL_STRIDE = 9
LEVEL_MASK = (1 << LEVEL_STRIDE) - 1
MAX_AGAW_WIDTH = 64
MAX_AGAW_PFN_WIDTH = MAX_AGAW_WIDTH - VTD_PAGE_SHIFT


def agaw_to_level(agaw: int) -> int:
    """Levels of tables for an adjusted guest address width."""
    return agaw + 2


def width_to_agaw(width: int) -> int:
    """Adjusted guest address width for a number of bits."""
    return -(-(width - 30) // LEVEL_STRIDE)


def context_set_present(context: context_entry) -> None:
    """Set P: from here on hardware owns the entry."""
    dma_wmb()
    val = context.lo | 1
    context.lo = val


def context_clear_present(context: context_entry) -> None:
    """Clear P; the entry is software's again only after the invalidations that follow."""
    val = context.lo & GENMASK_ULL(63, 1)
    context.lo = val
    dma_wmb()


def context_set_fault_enable(context: context_entry) -> None:
    """Clear FPD."""
    context.lo &= u64(-1 << 2) | 1


def context_set_translation_type(context: context_entry, value: int) -> None:
    """Set the translation type of a legacy entry."""
    context.lo &= u64(-1 << 4) | 3
    context.lo |= (value & 3) << 2


def context_set_address_root(context: context_entry, value: int) -> None:
    """Set the table pointer of a legacy entry."""
    context.lo &= ulong(~VTD_PAGE_MASK)
    context.lo |= value & VTD_PAGE_MASK


def context_set_address_width(context: context_entry, value: int) -> None:
    """Set the address width of a legacy entry."""
    context.hi |= value & 7


def context_set_domain_id(context: context_entry, value: int) -> None:
    """Set the domain id of a legacy entry."""
    context.hi |= (value & ((1 << 16) - 1)) << 8


def context_set_pasid(context: context_entry) -> None:
    """Set PASIDE: requests with a PASID are allowed."""
    context.lo |= CONTEXT_PASIDE


def context_domain_id(c: context_entry) -> int:
    """Domain id of a legacy entry."""
    return (c.hi >> 8) & 0xFFFF


def context_clear_entry(context: context_entry) -> None:
    """Zero an entry."""
    context.lo = 0
    context.hi = 0


def context_copied(iommu: intel_iommu, bus: int, devfn: int) -> bool:
    """Whether an entry was taken over from a crashed kernel: never, kdump is not modelled."""
    return False


def context_set_sm_rid2pasid(context: context_entry, pasid: int) -> None:
    """Set RID_PASID: what requests without a PASID use."""
    context.hi |= pasid & ((1 << 20) - 1)


def context_set_sm_dte(context: context_entry) -> None:
    """Set DTE: the device may have a TLB."""
    context.lo |= BIT_ULL(2)


def context_set_sm_pre(context: context_entry) -> None:
    """Set PRE: the device may send page requests."""
    context.lo |= BIT_ULL(4)


def context_clear_sm_pre(context: context_entry) -> None:
    """Clear PRE."""
    context.lo &= ulong(~BIT_ULL(4))


def qi_desc_iotlb(iommu: intel_iommu, did: int, addr: int, size_order: int, type: int,
                  desc: qi_desc) -> None:
    """Write a domain-wide IOTLB invalidation; bit 0 of *addr* is the invalidation hint."""
    dw = 0
    dr = 0
    ih = addr & 1

    if cap_write_drain(iommu.cap):
        dw = 1

    if cap_read_drain(iommu.cap):
        dr = 1

    desc.qw0 = (QI_IOTLB_DID(did) | QI_IOTLB_DR(dr) | QI_IOTLB_DW(dw)
                | QI_IOTLB_GRAN(type) | QI_IOTLB_TYPE)
    desc.qw1 = QI_IOTLB_ADDR(addr) | QI_IOTLB_IH(ih) | QI_IOTLB_AM(size_order)
    desc.qw2 = 0
    desc.qw3 = 0


def qi_desc_dev_iotlb(sid: int, pfsid: int, qdep: int, addr: int, mask: int, desc: qi_desc) -> None:
    """Write a device-TLB invalidation for requests without PASID."""
    if mask:
        addr |= (1 << (VTD_PAGE_SHIFT + mask - 1)) - 1
        desc.qw1 = QI_DEV_IOTLB_ADDR(addr) | QI_DEV_IOTLB_SIZE
    else:
        desc.qw1 = QI_DEV_IOTLB_ADDR(addr)

    if qdep >= QI_DEV_IOTLB_MAX_INVS:
        qdep = 0

    desc.qw0 = (QI_DEV_IOTLB_SID(sid) | QI_DEV_IOTLB_QDEP(qdep)
                | QI_DIOTLB_TYPE | QI_DEV_IOTLB_PFSID(pfsid))
    desc.qw2 = 0
    desc.qw3 = 0


def qi_desc_piotlb_all(did: int, pasid: int, desc: qi_desc) -> None:
    """Write an invalidation of everything cached under a domain id and PASID."""
    desc.qw0 = (QI_EIOTLB_PASID(pasid) | QI_EIOTLB_DID(did)
                | QI_EIOTLB_GRAN(QI_GRAN_NONG_PASID) | QI_EIOTLB_TYPE)
    desc.qw1 = 0


def qi_desc_piotlb(did: int, pasid: int, addr: int, size_order: int, ih: bool, desc: qi_desc) -> None:
    """Write an invalidation of an aligned range under a domain id and PASID.

    :param ih: ``bool``, only leaf entries changed: structure caches may stay.
    """
    desc.qw0 = (QI_EIOTLB_PASID(pasid) | QI_EIOTLB_DID(did)
                | QI_EIOTLB_GRAN(QI_GRAN_PSI_PASID) | QI_EIOTLB_TYPE)
    desc.qw1 = QI_EIOTLB_ADDR(addr) | QI_EIOTLB_IH(int(ih)) | QI_EIOTLB_AM(size_order)


def qi_desc_dev_iotlb_pasid(sid: int, pfsid: int, pasid: int, qdep: int, addr: int, size_order: int,
                            desc: qi_desc) -> None:
    """Write a device-TLB invalidation for a PASID.

    The size is the lowest zero bit of the address, from bit 12 up, if S is set.

    :deviation: C warns in the log of an address that is not aligned.
    """
    mask = 1 << (VTD_PAGE_SHIFT + size_order - 1)

    desc.qw0 = (QI_DEV_EIOTLB_PASID(pasid) | QI_DEV_EIOTLB_SID(sid)
                | QI_DEV_EIOTLB_QDEP(qdep) | QI_DEIOTLB_TYPE
                | QI_DEV_IOTLB_PFSID(pfsid))

    desc.qw1 = QI_DEV_EIOTLB_ADDR(addr)

    if size_order:
        desc.qw1 |= GENMASK_ULL(size_order + VTD_PAGE_SHIFT - 1, VTD_PAGE_SHIFT)
        desc.qw1 &= ulong(~mask)
        desc.qw1 |= QI_DEV_EIOTLB_SIZE


def context_pdts(pds: int) -> int:
    """PASID directory size field of a scalable-mode context entry."""
    return (pds & 0x7) << 9


QI_OPT_WAIT_DRAIN = BIT(0)

# enum cache_tag_type
CACHE_TAG_IOTLB = 0
CACHE_TAG_DEVTLB = 1
CACHE_TAG_NESTING_IOTLB = 2
CACHE_TAG_NESTING_DEVTLB = 3


class cache_tag(struct):
    """``struct cache_tag``: a cache that may hold translations of a domain."""

    node: list_head
    type: int
    iommu: Ptr[intel_iommu]
    dev: device | None
    domain_id: int
    pasid: ioasid_t
    users: int


def iopf_for_domain_set(domain: iommu_domain | None, dev: device) -> int:
    """Enable I/O page faults of *dev* if *domain* handles them; 0 or -errno."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    if not domain or not domain.iopf_handler:
        return 0

    # A device without PRI may still use SVA: it has its own way to handle faults.
    if domain.type == IOMMU_DOMAIN_SVA and not info.pri_supported:
        return 0

    return intel_iommu_enable_iopf(dev)


def iopf_for_domain_remove(domain: iommu_domain | None, dev: device) -> None:
    """Undo :func:`iopf_for_domain_set`."""
    info: device_domain_info = dev_iommu_priv_get(dev)

    if not domain or not domain.iopf_handler:
        return

    if domain.type == IOMMU_DOMAIN_SVA and not info.pri_supported:
        return

    intel_iommu_disable_iopf(dev)


def iopf_for_domain_replace(new: iommu_domain | None, old: iommu_domain | None, dev: device) -> int:
    """Move I/O page faults of *dev* from *old* to *new*; 0 or -errno."""
    ret = iopf_for_domain_set(new, dev)
    if ret:
        return ret

    iopf_for_domain_remove(old, dev)

    return 0


def intel_domain_is_fs_paging(domain: dmar_domain) -> bool:
    """Whether a domain maps through first-stage tables of its own: no such domain is ported."""
    return False


def intel_domain_is_ss_paging(domain: dmar_domain) -> bool:
    """Whether a domain maps through second-stage tables: no such domain is ported."""
    return False


if not CONFIG_INTEL_IOMMU_SVM:
    def intel_svm_check(iommu: intel_iommu) -> None:
        """There is no SVA."""

    def intel_svm_domain_alloc(dev: device, mm: mm_struct) -> iommu_domain | ErrPtr:
        """There is no SVA."""
        return ERR_PTR(-ENODEV)


# Declared here, defined in iommu.c:
from kmm.drivers.iommu.intel.iommu import (
    intel_iommu_disable_iopf,
    intel_iommu_enable_iopf,
    intel_iommu_sm,
)
