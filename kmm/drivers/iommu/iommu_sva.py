# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/iommu-sva.c (Linux 7.2): devices that share the address space of a process.

Reads no CONFIG symbol itself; include/linux/iommu.h exports it under CONFIG_IOMMU_MM_DATA.

Leaves out nothing; the I/O page fault handler relies on drivers/iommu/io-pgfault.c, which is a stub.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import container_of
from kmm.drivers.iommu.iommu import (
    iommu_alloc_global_pasid,
    iommu_attach_device_pasid,
    iommu_attach_handle_get,
    iommu_detach_device_pasid,
    iommu_domain_free,
    iommu_free_global_pasid,
)
from kmm.drivers.iommu.iommu_priv import dev_iommu_ops
from kmm.include.linux.compiler import smp_store_release
from kmm.include.linux.err import ERR_PTR, IS_ERR, PTR_ERR
from kmm.include.linux.errno import EBUSY, ENODEV, ENOENT, ENOMEM, ENOSPC, EOPNOTSUPP, EOVERFLOW
from kmm.include.linux.iommu import (
    IOMMU_COOKIE_SVA,
    IOMMU_DOMAIN_SVA,
    IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
    IOMMU_FAULT_PERM_EXEC,
    IOMMU_FAULT_PERM_PRIV,
    IOMMU_FAULT_PERM_READ,
    IOMMU_FAULT_PERM_WRITE,
    IOMMU_PAGE_RESP_INVALID,
    IOMMU_PAGE_RESP_SUCCESS,
    IOMMU_PASID_INVALID,
    iommu_domain,
    iommu_mm_data,
    iommu_sva,
    iopf_fault,
    iopf_group,
    mm_get_enqcmd_pasid,
)
from kmm.include.linux.list import (
    INIT_LIST_HEAD,
    LIST_HEAD,
    list_add,
    list_del,
    list_empty,
    list_for_each_entry,
)
from kmm.include.linux.lockdep import lockdep_assert_held
from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock, mutex_unlock
from kmm.include.linux.refcount import refcount_dec_and_test, refcount_inc, refcount_set
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.workqueue import INIT_WORK, queue_work

if TYPE_CHECKING:
    from kmm.include.linux.device import device
    from kmm.include.linux.err import ErrPtr
    from kmm.include.linux.iommu import iommu_fault
    from kmm.include.linux.mm_types import mm_struct
    from kmm.include.linux.workqueue import work_struct

iommu_sva_lock = DEFINE_MUTEX()
iommu_sva_present = False
iommu_sva_mms = LIST_HEAD()


def iommu_alloc_mm_data(mm: mm_struct, dev: device) -> iommu_mm_data | ErrPtr:
    """The IOMMU data of *mm* with its PASID, allocated at the first bond.

    :return: -EBUSY if devices cannot walk these tables, -EOVERFLOW if the PASID is too large for
        *dev*, -ENOSPC if there are no PASIDs left, -ENOMEM.
    :context: ``iommu_sva_lock`` held; may sleep.
    """
    lockdep_assert_held(iommu_sva_lock)

    if not arch_pgtable_dma_compat(mm):
        return ERR_PTR(-EBUSY)

    iommu_mm = mm.iommu_mm
    if iommu_mm:
        assert dev.iommu is not None
        if iommu_mm.pasid >= dev.iommu.max_pasids:
            return ERR_PTR(-EOVERFLOW)
        return iommu_mm

    iommu_mm = kzalloc_obj(iommu_mm_data)
    if not iommu_mm:
        return ERR_PTR(-ENOMEM)

    pasid = iommu_alloc_global_pasid(dev)
    if pasid == IOMMU_PASID_INVALID:
        kfree(iommu_mm)
        return ERR_PTR(-ENOSPC)
    iommu_mm.pasid = pasid
    iommu_mm.mm = mm
    INIT_LIST_HEAD(iommu_mm.sva_domains)
    # Readers look at mm->iommu_mm without a lock: it must be filled in before they can see it.
    smp_store_release(mm, "iommu_mm", iommu_mm)
    return iommu_mm


def iommu_sva_bind_device(dev: device, mm: mm_struct) -> iommu_sva | ErrPtr:
    """Let a device use the address space of a process, through the process's own page tables.

    :param mm: ``struct mm_struct *``, pinned by a reference on ``mm_users`` that the caller holds.
    :return: the bond, with one more user if there was one; or an errno.
    :context: may sleep; takes ``iommu_sva_lock``, group mutexes and the mmap lock.
    """
    group = dev.iommu_group

    if not group:
        return ERR_PTR(-ENODEV)

    mutex_lock(iommu_sva_lock)

    def out_unlock(ret: int) -> ErrPtr:
        mutex_unlock(iommu_sva_lock)
        return ERR_PTR(ret)

    iommu_mm = iommu_alloc_mm_data(mm, dev)
    if IS_ERR(iommu_mm):
        return out_unlock(PTR_ERR(iommu_mm))

    # One bond per device and mm: another user is another reference.
    attach_handle = iommu_attach_handle_get(group, iommu_mm.pasid, IOMMU_DOMAIN_SVA)
    if not IS_ERR(attach_handle):
        handle = container_of(attach_handle, iommu_sva, "handle")
        if attach_handle.domain.mm is not mm:
            return out_unlock(-EBUSY)
        refcount_inc(handle.users)
        mutex_unlock(iommu_sva_lock)
        return handle

    if PTR_ERR(attach_handle) != -ENOENT:
        return out_unlock(PTR_ERR(attach_handle))

    new_handle = kzalloc_obj(iommu_sva)
    if not new_handle:
        return out_unlock(-ENOMEM)
    handle = new_handle

    def out_free_handle(ret: int) -> ErrPtr:
        kfree(handle)
        return out_unlock(ret)

    def out() -> iommu_sva:
        refcount_set(handle.users, 1)
        handle.dev = dev
        mutex_unlock(iommu_sva_lock)
        return handle

    assert mm.iommu_mm is not None
    for domain in list_for_each_entry(iommu_domain, mm.iommu_mm.sva_domains, "next"):
        ret = iommu_attach_device_pasid(domain, dev, iommu_mm.pasid, handle.handle)
        if not ret:
            domain.users += 1
            return out()

    new_domain = iommu_sva_domain_alloc(dev, mm)
    if IS_ERR(new_domain):
        return out_free_handle(PTR_ERR(new_domain))
    domain = new_domain

    ret = iommu_attach_device_pasid(domain, dev, iommu_mm.pasid, handle.handle)
    if ret:
        iommu_domain_free(domain)
        return out_free_handle(ret)
    domain.users = 1

    global iommu_sva_present
    if list_empty(iommu_mm.sva_domains):
        if list_empty(iommu_sva_mms):
            iommu_sva_present = True
        list_add(iommu_mm.mm_list_elm, iommu_sva_mms)
    list_add(domain.next, iommu_mm.sva_domains)
    return out()


def iommu_sva_unbind_device(handle: iommu_sva) -> None:
    """Drop a reference on a bond; the last one ends it.

    :context: may sleep; takes ``iommu_sva_lock``. The device has stopped using the PASID.
    """
    domain = handle.handle.domain
    iommu_mm = domain.mm.iommu_mm
    dev = handle.dev

    mutex_lock(iommu_sva_lock)
    if not refcount_dec_and_test(handle.users):
        mutex_unlock(iommu_sva_lock)
        return

    assert iommu_mm is not None
    iommu_detach_device_pasid(domain, dev, iommu_mm.pasid)
    domain.users -= 1
    if domain.users == 0:
        global iommu_sva_present
        list_del(domain.next)
        if list_empty(iommu_mm.sva_domains):
            list_del(iommu_mm.mm_list_elm)
            if list_empty(iommu_sva_mms):
                iommu_sva_present = False

        # Last use of iommu_mm was above: freeing the domain may drop the last reference on the mm.
        iommu_domain_free(domain)

    mutex_unlock(iommu_sva_lock)
    kfree(handle)


def iommu_sva_get_pasid(handle: iommu_sva) -> int:
    """The PASID by which the device names the address space."""
    domain = handle.handle.domain

    return mm_get_enqcmd_pasid(domain.mm)


def mm_pasid_drop(mm: mm_struct) -> None:
    """Give back the PASID of an mm that is being freed."""
    iommu_mm = mm.iommu_mm

    if not iommu_mm:
        return

    iommu_free_global_pasid(iommu_mm.pasid)
    kfree(iommu_mm)


def iommu_sva_handle_mm(fault: iommu_fault, mm: mm_struct) -> int:
    """Resolve one page request in *mm*.

    :return: ``enum iommu_page_response_code``.
    :context: may sleep; takes the mmap lock for reading.
    """
    access_flags = 0
    fault_flags = FAULT_FLAG_REMOTE
    prm = fault.prm
    status = IOMMU_PAGE_RESP_INVALID

    if not (prm.flags & IOMMU_FAULT_PAGE_REQUEST_PASID_VALID):
        return status

    if not mmget_not_zero(mm):
        return status

    mmap_read_lock(mm)

    def out_put_mm(status: int) -> int:
        mmap_read_unlock(mm)
        mmput(mm)
        return status

    vma = vma_lookup(mm, prm.addr)
    if not vma:
        return out_put_mm(status)

    if prm.perm & IOMMU_FAULT_PERM_READ:
        access_flags |= VM_READ

    if prm.perm & IOMMU_FAULT_PERM_WRITE:
        access_flags |= VM_WRITE
        fault_flags |= FAULT_FLAG_WRITE

    if prm.perm & IOMMU_FAULT_PERM_EXEC:
        access_flags |= VM_EXEC
        fault_flags |= FAULT_FLAG_INSTRUCTION

    if not (prm.perm & IOMMU_FAULT_PERM_PRIV):
        fault_flags |= FAULT_FLAG_USER

    if access_flags & ~vma.vm_flags:
        return out_put_mm(status)

    ret = handle_mm_fault(vma, prm.addr, fault_flags, None)
    status = IOMMU_PAGE_RESP_INVALID if ret & VM_FAULT_ERROR else IOMMU_PAGE_RESP_SUCCESS

    return out_put_mm(status)


def iommu_sva_handle_iopf(work: work_struct) -> None:
    """Handle a group of page requests, and answer it."""
    status = IOMMU_PAGE_RESP_SUCCESS

    group = container_of(work, iopf_group, "work")
    for iopf in list_for_each_entry(iopf_fault, group.faults, "list"):
        # The first error decides the answer to the whole group.
        if status != IOMMU_PAGE_RESP_SUCCESS:
            break

        status = iommu_sva_handle_mm(iopf.fault, group.attach_handle.domain.mm)

    iopf_group_response(group, status)
    iopf_free_group(group)


def iommu_sva_iopf_handler(group: iopf_group) -> int:
    """Queue a group of page requests of an SVA domain; 0 or -EBUSY."""
    fault_param = group.fault_param

    INIT_WORK(group.work, iommu_sva_handle_iopf)
    if not queue_work(fault_param.queue.wq, group.work):
        return -EBUSY

    return 0


def iommu_sva_domain_alloc(dev: device, mm: mm_struct) -> iommu_domain | ErrPtr:
    """A domain that translates as *mm* does; it holds a reference on ``mm_count``."""
    ops = dev_iommu_ops(dev)

    if not ops.domain_alloc_sva:
        return ERR_PTR(-EOPNOTSUPP)

    domain = ops.domain_alloc_sva(dev, mm)
    if IS_ERR(domain):
        return domain

    domain.type = IOMMU_DOMAIN_SVA
    domain.cookie_type = IOMMU_COOKIE_SVA
    mmgrab(mm)
    domain.mm = mm
    domain.owner = ops
    domain.iopf_handler = iommu_sva_iopf_handler

    return domain


def iommu_sva_invalidate_kva_range(start: int, end: int) -> None:
    """Make every IOMMU forget what it cached of kernel page tables, in every mm that is bound.

    Every mm shares the kernel half of its page tables, so a table of the kernel that is freed may
    be cached under any PASID.

    :param start: ``unsigned long``, kernel address.
    :param end: ``unsigned long``, TLB_FLUSH_ALL for all there is.
    :context: may sleep; takes ``iommu_sva_lock``.
    """
    # guard(mutex): released on every way out.
    mutex_lock(iommu_sva_lock)
    if not iommu_sva_present:
        mutex_unlock(iommu_sva_lock)
        return

    for iommu_mm in list_for_each_entry(iommu_mm_data, iommu_sva_mms, "mm_list_elm"):
        mmu_notifier_arch_invalidate_secondary_tlbs(iommu_mm.mm, start, end)
    mutex_unlock(iommu_sva_lock)


# Included by the C file; these headers lead back here:
from kmm.drivers.iommu.io_pgfault import iopf_free_group, iopf_group_response
from kmm.include.linux.mm import VM_EXEC, VM_READ, VM_WRITE, handle_mm_fault, vma_lookup
from kmm.include.linux.mm_types import (
    FAULT_FLAG_INSTRUCTION,
    FAULT_FLAG_REMOTE,
    FAULT_FLAG_USER,
    FAULT_FLAG_WRITE,
    VM_FAULT_ERROR,
)
from kmm.include.linux.mmap_lock import mmap_read_lock, mmap_read_unlock
from kmm.include.linux.mmu_context import arch_pgtable_dma_compat
from kmm.include.linux.mmu_notifier import mmu_notifier_arch_invalidate_secondary_tlbs
from kmm.include.linux.sched.mm import mmget_not_zero, mmgrab, mmput
