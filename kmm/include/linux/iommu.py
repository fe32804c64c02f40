# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/iommu.h (Linux 7.2), the part that shared virtual addressing uses.

Reads CONFIG_IOMMU_API, CONFIG_IOMMU_MM_DATA, CONFIG_IOMMU_IOPF, CONFIG_LOCKDEP.

Leaves out: mapping and unmapping through an IOMMU domain (``iommu_map``, ``iommu_iotlb_gather``,
dirty tracking), iommufd, firmware descriptions of a device (``iommu_fwspec``), reserved regions,
default-domain bookkeeping of drivers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kmm.c import Ptr, struct
from kmm.include.generated.autoconf import (
    CONFIG_IOMMU_API,
    CONFIG_IOMMU_IOPF,
    CONFIG_IOMMU_MM_DATA,
    CONFIG_LOCKDEP,
)
from kmm.include.linux.compiler import READ_ONCE_FIELD
from kmm.include.linux.err import ERR_PTR
from kmm.include.linux.errno import ENODEV
from kmm.include.linux.mutex import mutex
from kmm.include.linux.refcount import refcount_t
from kmm.include.linux.types import dma_addr_t, list_head
from kmm.include.linux.workqueue import work_struct, workqueue_struct

if TYPE_CHECKING:
    from typing import Any

    from kmm.drivers.iommu.iommu import iommu_group
    from kmm.include.linux.device import device
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.mm_types import mm_struct

IOMMU_FAULT_PERM_READ = 1 << 0
IOMMU_FAULT_PERM_WRITE = 1 << 1
IOMMU_FAULT_PERM_EXEC = 1 << 2
IOMMU_FAULT_PERM_PRIV = 1 << 3

# enum iommu_fault_type
IOMMU_FAULT_PAGE_REQ = 1

IOMMU_FAULT_PAGE_REQUEST_PASID_VALID = 1 << 0
IOMMU_FAULT_PAGE_REQUEST_LAST_PAGE = 1 << 1
IOMMU_FAULT_PAGE_RESPONSE_NEEDS_PASID = 1 << 2


class iommu_fault_page_request(struct):
    """``struct iommu_fault_page_request``: a device asks for a page (PRI)."""

    flags: int
    pasid: int
    grpid: int
    perm: int
    addr: int


class iommu_fault(struct):
    """``struct iommu_fault``."""

    type: int
    prm: iommu_fault_page_request


# enum iommu_page_response_code
IOMMU_PAGE_RESP_SUCCESS = 0
IOMMU_PAGE_RESP_INVALID = 1
IOMMU_PAGE_RESP_FAILURE = 2


class iopf_fault(struct):
    """``struct iopf_fault``: a fault on a list."""

    fault: iommu_fault
    list: list_head


class iopf_group(struct):
    """``struct iopf_group``: the faults that one response answers."""

    last_fault: iopf_fault
    faults: list_head
    fault_count: int
    pending_node: list_head
    work: work_struct
    attach_handle: Ptr[iommu_attach_handle]
    fault_param: Ptr[iommu_fault_param]
    node: list_head
    cookie: int


class iopf_queue(struct):
    """``struct iopf_queue``: where an IOMMU's page requests are handled."""

    wq: Ptr[workqueue_struct]
    devices: list_head
    lock: mutex


class iommu_domain_geometry(struct):
    """``struct iommu_domain_geometry``."""

    aperture_start: dma_addr_t
    aperture_end: dma_addr_t
    force_aperture: bool


# enum iommu_domain_cookie_type
IOMMU_COOKIE_NONE = 0
IOMMU_COOKIE_DMA_IOVA = 1
IOMMU_COOKIE_DMA_MSI = 2
IOMMU_COOKIE_FAULT_HANDLER = 3
IOMMU_COOKIE_SVA = 4
IOMMU_COOKIE_IOMMUFD = 5

__IOMMU_DOMAIN_PAGING = 1 << 0
__IOMMU_DOMAIN_DMA_API = 1 << 1
__IOMMU_DOMAIN_PT = 1 << 2
__IOMMU_DOMAIN_DMA_FQ = 1 << 3
__IOMMU_DOMAIN_SVA = 1 << 4
__IOMMU_DOMAIN_PLATFORM = 1 << 5
__IOMMU_DOMAIN_NESTED = 1 << 6

IOMMU_DOMAIN_BLOCKED = 0
IOMMU_DOMAIN_IDENTITY: int = __IOMMU_DOMAIN_PT
IOMMU_DOMAIN_UNMANAGED = __IOMMU_DOMAIN_PAGING
IOMMU_DOMAIN_DMA = __IOMMU_DOMAIN_PAGING | __IOMMU_DOMAIN_DMA_API
IOMMU_DOMAIN_DMA_FQ = __IOMMU_DOMAIN_PAGING | __IOMMU_DOMAIN_DMA_API | __IOMMU_DOMAIN_DMA_FQ
IOMMU_DOMAIN_SVA = __IOMMU_DOMAIN_SVA
IOMMU_DOMAIN_PLATFORM = __IOMMU_DOMAIN_PLATFORM
IOMMU_DOMAIN_NESTED = __IOMMU_DOMAIN_NESTED


class iommu_domain(struct):
    """``struct iommu_domain``: an address space that devices can be attached to.

    Of the union of cookies only that of SVA domains is here: ``mm``, ``users`` and ``next``, the
    node in ``mm->iommu_mm->sva_domains``.
    """

    type: int
    cookie_type: int
    is_iommupt: bool
    ops: Ptr[iommu_domain_ops]
    owner: iommu_ops | None
    pgsize_bitmap: int
    geometry: iommu_domain_geometry
    iopf_handler: Callable[[iopf_group], int] | None
    mm: Ptr[mm_struct]
    users: int
    next: list_head


def iommu_is_dma_domain(domain: iommu_domain) -> bool:
    """Whether a domain serves the DMA API."""
    return bool(domain.type & __IOMMU_DOMAIN_DMA_API)


IOMMU_NO_PASID = 0
IOMMU_FIRST_GLOBAL_PASID = 1
IOMMU_PASID_INVALID = 0xFFFF_FFFF
ioasid_t = int


class iommu_ops(struct):
    """``struct iommu_ops``: what an IOMMU driver does."""

    capable: Callable[[device, int], bool] | None
    domain_alloc_identity: Callable[[device], iommu_domain | ErrPtr] | None
    domain_alloc_paging_flags: Callable[[device, int, Any], iommu_domain | ErrPtr] | None
    domain_alloc_sva: Callable[[device, mm_struct], iommu_domain | ErrPtr] | None
    domain_alloc_nested: Callable[[device, iommu_domain, int, Any], iommu_domain | ErrPtr] | None
    probe_device: Ptr[Callable[[device], iommu_device | ErrPtr]]
    release_device: Callable[[device], None] | None
    probe_finalize: Callable[[device], None] | None
    device_group: Ptr[Callable[[device], iommu_group | ErrPtr]]
    is_attach_deferred: Callable[[device], bool] | None
    page_response: Callable[[device, iopf_fault, iommu_page_response], None] | None
    def_domain_type: Callable[[device], int] | None
    default_domain_ops: Ptr[iommu_domain_ops]
    identity_domain: iommu_domain | None
    blocked_domain: iommu_domain | None
    release_domain: iommu_domain | None
    default_domain: iommu_domain | None


class iommu_domain_ops(struct):
    """``struct iommu_domain_ops``: what a kind of domain does."""

    attach_dev: Callable[[iommu_domain, device, iommu_domain | None], int] | None
    set_dev_pasid: Callable[[iommu_domain, device, ioasid_t, iommu_domain | None], int] | None
    free: Callable[[iommu_domain], None] | None


class iommu_page_response(struct):
    """``struct iommu_page_response``."""

    pasid: int
    grpid: int
    code: int


class iommu_device(struct):
    """``struct iommu_device``: one IOMMU."""

    list: list_head
    ops: iommu_ops | None
    dev: device | None
    singleton_group: iommu_group | None
    max_pasids: int
    ready: bool


class iommu_fault_param(struct):
    """``struct iommu_fault_param``: page requests of one device."""

    lock: mutex
    users: refcount_t
    dev: Ptr[device]
    queue: Ptr[iopf_queue]
    queue_list: list_head
    partial: list_head
    faults: list_head


class dev_iommu(struct):
    """``struct dev_iommu``: what the IOMMU core keeps about a device."""

    lock: mutex
    fault_param: iommu_fault_param | None
    iommu_dev: iommu_device | None
    priv: Ptr[Any]
    max_pasids: int
    attach_deferred: int
    pci_32bit_workaround: int
    require_direct: int
    shadow_on_flush: int


class iommu_attach_handle(struct):
    """``struct iommu_attach_handle``: a domain attached to a PASID."""

    domain: Ptr[iommu_domain]


class iommu_sva(struct):
    """``struct iommu_sva``: a bond between a device and an mm."""

    handle: iommu_attach_handle
    dev: Ptr[device]
    users: refcount_t


class iommu_mm_data(struct):
    """``struct iommu_mm_data``: what the IOMMU core keeps about an mm."""

    pasid: int
    mm: Ptr[mm_struct]
    sva_domains: list_head
    mm_list_elm: list_head


def dev_iommu_priv_get(dev: device) -> Any:
    """The driver's data of a device, NULL if no driver took it."""
    if dev.iommu:
        return dev.iommu.priv
    else:
        return None


if CONFIG_IOMMU_MM_DATA:
    def mm_pasid_init(mm: mm_struct) -> None:
        """A new mm has no PASID, whatever it was copied from."""
        mm.iommu_mm = None

    def mm_valid_pasid(mm: mm_struct) -> bool:
        """Whether an mm has a PASID."""
        return READ_ONCE_FIELD(mm, "iommu_mm") is not None

    def mm_get_enqcmd_pasid(mm: mm_struct) -> int:
        """The PASID of an mm, IOMMU_PASID_INVALID if it has none."""
        iommu_mm: iommu_mm_data | None = READ_ONCE_FIELD(mm, "iommu_mm")

        if not iommu_mm:
            return IOMMU_PASID_INVALID
        return iommu_mm.pasid
else:
    def mm_pasid_init(mm: mm_struct) -> None:
        """There is no SVA."""

    def mm_valid_pasid(mm: mm_struct) -> bool:
        """There is no SVA."""
        return False

    def mm_get_enqcmd_pasid(mm: mm_struct) -> int:
        """There is no SVA."""
        return IOMMU_PASID_INVALID


# Declared here, defined in the drivers:
if CONFIG_LOCKDEP and CONFIG_IOMMU_API:
    from kmm.drivers.iommu.iommu import iommu_group_mutex_assert as iommu_group_mutex_assert
else:
    def iommu_group_mutex_assert(dev: device) -> None:
        """Nothing without CONFIG_LOCKDEP."""

if CONFIG_IOMMU_API:
    from kmm.drivers.iommu.iommu import iommu_alloc_global_pasid as iommu_alloc_global_pasid
    from kmm.drivers.iommu.iommu import iommu_attach_device_pasid as iommu_attach_device_pasid
    from kmm.drivers.iommu.iommu import iommu_detach_device_pasid as iommu_detach_device_pasid
    from kmm.drivers.iommu.iommu import iommu_device_register as iommu_device_register
    from kmm.drivers.iommu.iommu import iommu_domain_free as iommu_domain_free
    from kmm.drivers.iommu.iommu import iommu_free_global_pasid as iommu_free_global_pasid
    from kmm.drivers.iommu.iommu import iommu_group_alloc as iommu_group_alloc
else:
    def iommu_attach_device_pasid(domain: iommu_domain, dev: device, pasid: ioasid_t,
                                  handle: iommu_attach_handle | None) -> int:
        """There is no IOMMU."""
        return -ENODEV

    def iommu_detach_device_pasid(domain: iommu_domain, dev: device, pasid: ioasid_t) -> None:
        """There is no IOMMU."""

    def iommu_alloc_global_pasid(dev: device) -> ioasid_t:
        """There is no IOMMU."""
        return IOMMU_PASID_INVALID

    def iommu_free_global_pasid(pasid: ioasid_t) -> None:
        """There is no IOMMU."""

if CONFIG_IOMMU_IOPF:
    from kmm.drivers.iommu.io_pgfault import iopf_free_group as iopf_free_group
    from kmm.drivers.iommu.io_pgfault import iopf_group_response as iopf_group_response
    from kmm.drivers.iommu.io_pgfault import iopf_queue_add_device as iopf_queue_add_device
    from kmm.drivers.iommu.io_pgfault import iopf_queue_flush_dev as iopf_queue_flush_dev
    from kmm.drivers.iommu.io_pgfault import iopf_queue_remove_device as iopf_queue_remove_device
else:
    def iopf_queue_add_device(queue: iopf_queue, dev: device) -> int:
        """There are no I/O page faults."""
        return -ENODEV

    def iopf_queue_remove_device(queue: iopf_queue, dev: device) -> None:
        """There are no I/O page faults."""

    def iopf_queue_flush_dev(dev: device) -> int:
        """There are no I/O page faults."""
        return -ENODEV

    def iopf_free_group(group: iopf_group) -> None:
        """There are no I/O page faults."""

    def iopf_group_response(group: iopf_group, status: int) -> None:
        """There are no I/O page faults."""

if CONFIG_IOMMU_MM_DATA:
    from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device as iommu_sva_bind_device
    from kmm.drivers.iommu.iommu_sva import iommu_sva_get_pasid as iommu_sva_get_pasid
    from kmm.drivers.iommu.iommu_sva import iommu_sva_invalidate_kva_range as iommu_sva_invalidate_kva_range
    from kmm.drivers.iommu.iommu_sva import iommu_sva_unbind_device as iommu_sva_unbind_device
    from kmm.drivers.iommu.iommu_sva import mm_pasid_drop as mm_pasid_drop
else:
    def iommu_sva_bind_device(dev: device, mm: mm_struct) -> iommu_sva | ErrPtr:
        """There is no SVA."""
        return ERR_PTR(-ENODEV)

    def iommu_sva_unbind_device(handle: iommu_sva) -> None:
        """There is no SVA."""

    def iommu_sva_get_pasid(handle: iommu_sva) -> int:
        """There is no SVA."""
        return IOMMU_PASID_INVALID

    def mm_pasid_drop(mm: mm_struct) -> None:
        """There is no SVA."""

    def iommu_sva_invalidate_kva_range(start: int, end: int) -> None:
        """No device walks kernel page tables."""
