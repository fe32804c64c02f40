# SPDX-License-Identifier: GPL-2.0-only
"""Port of drivers/iommu/iommu.c (Linux 7.2): groups, default domains and domains of a PASID.

The kernel runs as if started with ``iommu.passthrough=1``, whatever CONFIG_IOMMU_DEFAULT_* says:
identity is the only type of default domain here (a paging one needs ``drivers/iommu/generic_pt``).

Leaves out: mapping and unmapping, DMA ownership, sysfs, replacing a domain, reserved regions,
removal of devices, recovery from a device reset, domains without PASID other than the default one,
messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from kmm.c import Ptr, struct
from kmm.drivers.iommu.iommu_priv import dev_iommu_ops
from kmm.hooks import Unported
from kmm.include.linux.bug import WARN_ON, WARN_ON_ONCE
from kmm.include.linux.compiler import WRITE_ONCE_FIELD
from kmm.include.linux.device import bus_for_each_dev, dev_name
from kmm.include.linux.device import device as struct_device
from kmm.include.linux.err import ERR_PTR, IS_ERR, PTR_ERR
from kmm.include.linux.errno import EBUSY, EINVAL, ENODEV, ENOENT, ENOMEM, EOPNOTSUPP
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.include.linux.idr import DEFINE_IDA, ida_alloc, ida_alloc_range, ida_free
from kmm.include.linux.iommu import (
    __IOMMU_DOMAIN_PAGING,
    IOMMU_COOKIE_DMA_IOVA,
    IOMMU_COOKIE_DMA_MSI,
    IOMMU_COOKIE_SVA,
    IOMMU_DOMAIN_BLOCKED,
    IOMMU_DOMAIN_DMA,
    IOMMU_DOMAIN_IDENTITY,
    IOMMU_FIRST_GLOBAL_PASID,
    IOMMU_NO_PASID,
    IOMMU_PASID_INVALID,
    dev_iommu,
    ioasid_t,
    iommu_attach_handle,
    iommu_device,
    iommu_domain,
    iommu_is_dma_domain,
    iommu_ops,
)
from kmm.include.linux.list import (
    INIT_LIST_HEAD,
    LIST_HEAD,
    LIST_HEAD_INIT,
    list_add_tail,
    list_del_init,
    list_empty,
    list_first_entry,
    list_for_each_entry,
    list_for_each_entry_safe,
)
from kmm.include.linux.lockdep import lockdep_assert_held
from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_init, mutex_lock, mutex_unlock
from kmm.include.linux.mutex import mutex as _mutex
from kmm.include.linux.pci import dev_is_pci, pci_bus_type, to_pci_dev
from kmm.include.linux.pci_ats import pci_max_pasids
from kmm.include.linux.sched.mm import mmdrop
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spin_lock, spin_unlock
from kmm.include.linux.types import list_head
from kmm.include.linux.xarray import (
    XA_ZERO_ENTRY,
    xa_erase,
    xa_init,
    xa_insert,
    xa_is_err,
    xa_load,
    xa_lock,
    xa_pointer_tag,
    xa_release,
    xa_store,
    xa_tag_pointer,
    xa_unlock,
    xa_untag_pointer,
    xarray,
)

if TYPE_CHECKING:
    from kmm.include.linux.err import ErrPtr

iommu_group_ida = DEFINE_IDA()
iommu_global_pasid_ida = DEFINE_IDA()

iommu_def_domain_type: int = IOMMU_DOMAIN_IDENTITY

# Tags of the entries of group->pasid_array
IOMMU_PASID_ARRAY_DOMAIN = 0
IOMMU_PASID_ARRAY_HANDLE = 1


class iommu_group(struct):
    """``struct iommu_group``: devices that an IOMMU cannot tell apart."""

    devices: list_head
    pasid_array: xarray
    mutex: _mutex
    id: int
    default_domain: iommu_domain | None
    blocking_domain: iommu_domain | None
    domain: iommu_domain | None
    entry: list_head
    owner_cnt: int
    recovery_cnt: int
    owner: object | None


class group_device(struct):
    """``struct group_device``: a device of a group."""

    list: list_head
    dev: Ptr[struct_device]
    name: Ptr[str]
    blocked: bool
    reset_depth: int


def for_each_group_device(group: iommu_group) -> list_for_each_entry[group_device]:
    """``for_each_group_device(group, pos)``."""
    return list_for_each_entry(group_device, group.devices, "list")


# enum: flags of __iommu_group_set_domain_internal
IOMMU_SET_DOMAIN_MUST_SUCCEED = 1 << 0

iommu_device_list = LIST_HEAD_INIT()
iommu_device_lock = DEFINE_SPINLOCK()

iommu_buses = [pci_bus_type]


def iommu_device_register(iommu: iommu_device, ops: iommu_ops, hwdev: struct_device | None) -> int:
    """Register an IOMMU and probe every device that may sit behind it.

    :param hwdev: ``struct device *``, found by firmware node; NULL for VT-d.
    :return: 0 or -errno.
    :context: may sleep; takes ``iommu_device_lock``, ``iommu_probe_device_lock`` and group mutexes.
    """
    err = 0

    iommu.ops = ops

    spin_lock(iommu_device_lock)
    list_add_tail(iommu.list, iommu_device_list)
    spin_unlock(iommu_device_lock)

    for bus in iommu_buses:
        if not err:
            err = bus_iommu_probe(bus)
    if err:
        raise Unported("drivers/iommu/iommu.c", "iommu_device_unregister")
    else:
        WRITE_ONCE_FIELD(iommu, "ready", True)
    return err


def dev_iommu_get(dev: struct_device) -> dev_iommu | None:
    """The IOMMU core's data of a device, allocated if need be; NULL if that fails."""
    param = dev.iommu

    lockdep_assert_held(iommu_probe_device_lock)

    if param:
        return param

    param = kzalloc_obj(dev_iommu)
    if not param:
        return None

    mutex_init(param.lock)
    dev.iommu = param
    return param


def dev_iommu_free(dev: struct_device) -> None:
    """Forget the IOMMU core's data of a device."""
    param = dev.iommu

    dev.iommu = None
    kfree(param)


def dev_has_iommu(dev: struct_device) -> bool:
    """Whether a driver translates for *dev*."""
    return dev.iommu is not None and dev.iommu.iommu_dev is not None


def dev_iommu_get_max_pasids(dev: struct_device) -> int:
    """How many PASIDs both the device and its IOMMU can use."""
    max_pasids = 0

    assert dev.iommu is not None and dev.iommu.iommu_dev is not None
    if dev_is_pci(dev):
        ret = pci_max_pasids(to_pci_dev(dev))
        if ret > 0:
            max_pasids = ret
    else:
        raise Unported("drivers/iommu/iommu.c", "dev_iommu_get_max_pasids")

    return min(max_pasids, dev.iommu.iommu_dev.max_pasids)


def dev_iommu_priv_set(dev: struct_device, priv: Any) -> None:
    """Remember the driver's data of a device."""
    lockdep_assert_held(iommu_probe_device_lock)
    assert dev.iommu is not None
    dev.iommu.priv = priv


def iommu_init_device(dev: struct_device) -> int:
    """Let the driver take *dev*, and find its group.

    :return: 0 or -errno.
    :context: ``iommu_probe_device_lock`` held.
    :deviation: with several drivers C asks firmware which one; the first registered IOMMU's is taken.
    """
    if not dev_iommu_get(dev):
        return -ENOMEM
    assert dev.iommu is not None

    def err_free(ret: int) -> int:
        assert dev.iommu is not None
        dev.iommu.iommu_dev = None
        dev_iommu_free(dev)
        return ret

    ops = iommu_ops_from_fwnode()
    if not ops:
        return err_free(-ENODEV)

    iommu_dev = ops.probe_device(dev)
    if IS_ERR(iommu_dev):
        return err_free(PTR_ERR(iommu_dev))
    dev.iommu.iommu_dev = iommu_dev

    group = ops.device_group(dev)
    if WARN_ON_ONCE(group is None):
        group = ERR_PTR(-EINVAL)
    if IS_ERR(group):
        if ops.release_device:
            ops.release_device(dev)
        return err_free(PTR_ERR(group))
    dev.iommu_group = group

    dev.iommu.max_pasids = dev_iommu_get_max_pasids(dev)
    if ops.is_attach_deferred:
        dev.iommu.attach_deferred = int(ops.is_attach_deferred(dev))
    return 0


iommu_probe_device_lock = DEFINE_MUTEX()


def __iommu_probe_device(dev: struct_device, group_list: list_head | None) -> int:
    """Probe *dev* and put it in its group.

    :param group_list: ``struct list_head *``, where groups are queued whose default domain is still
        to be made; NULL makes it at once.
    :return: 0 or -errno.
    :context: ``iommu_probe_device_lock`` held; takes the group's mutex.
    """
    lockdep_assert_held(iommu_probe_device_lock)

    if dev.iommu_group:
        return 0

    ret = iommu_init_device(dev)
    if ret:
        return ret

    group = dev.iommu_group
    assert group is not None and dev.iommu is not None
    gdev = iommu_group_alloc_device(group, dev)
    mutex_lock(group.mutex)

    if IS_ERR(gdev):
        raise Unported("drivers/iommu/iommu.c", "iommu_deinit_device")

    list_add_tail(gdev.list, group.devices)
    WARN_ON(group.default_domain and not group.domain)
    if group.default_domain:
        iommu_create_device_direct_mappings(group.default_domain, dev)
    if group.domain:
        ret = __iommu_device_set_domain(group, dev, group.domain, None, 0)
        if ret:
            raise Unported("drivers/iommu/iommu.c", "iommu_deinit_device")
    elif not group.default_domain and group_list is None:
        ret = iommu_setup_default_domain(group, 0)
        if ret:
            raise Unported("drivers/iommu/iommu.c", "iommu_deinit_device")
    elif not group.default_domain:
        assert group_list is not None
        if list_empty(group.entry):
            list_add_tail(group.entry, group_list)

    if group.default_domain:
        iommu_setup_dma_ops(dev, group.default_domain)

    mutex_unlock(group.mutex)

    return 0


def iommu_probe_device(dev: struct_device) -> int:
    """Probe a device that appeared after its IOMMU; 0 or -errno."""
    mutex_lock(iommu_probe_device_lock)
    ret = __iommu_probe_device(dev, None)
    mutex_unlock(iommu_probe_device_lock)
    if ret:
        return ret

    ops = dev_iommu_ops(dev)
    if ops.probe_finalize:
        ops.probe_finalize(dev)

    return 0


def iommu_group_alloc() -> iommu_group | ErrPtr:
    """Allocate an empty group."""
    group = kzalloc_obj(iommu_group)
    if not group:
        return ERR_PTR(-ENOMEM)

    mutex_init(group.mutex)
    INIT_LIST_HEAD(group.devices)
    INIT_LIST_HEAD(group.entry)
    xa_init(group.pasid_array)

    ret = ida_alloc(iommu_group_ida, GFP_KERNEL)
    if ret < 0:
        kfree(group)
        return ERR_PTR(ret)
    group.id = ret

    return group


def iommu_create_device_direct_mappings(domain: iommu_domain, dev: struct_device) -> int:
    """Map what firmware wants mapped one to one; only paging domains map anything."""
    if not iommu_is_dma_domain(domain):
        return 0

    raise Unported("drivers/iommu/iommu.c", "iommu_create_device_direct_mappings")


def iommu_group_alloc_device(group: iommu_group, dev: struct_device) -> group_device | ErrPtr:
    """The entry of *dev* in *group*; not yet on its list."""
    device = kzalloc_obj(group_device)
    if not device:
        return ERR_PTR(-ENOMEM)

    device.dev = dev

    device.name = dev_name(dev)

    return device


def iommu_group_mutex_assert(dev: struct_device) -> None:
    """The group of *dev* must be locked."""
    group = dev.iommu_group

    assert group is not None
    lockdep_assert_held(group.mutex)


def iommu_group_first_dev(group: iommu_group) -> struct_device:
    """Some device of a group."""
    lockdep_assert_held(group.mutex)
    return list_first_entry(group.devices, group_device, "list").dev


def generic_device_group(dev: struct_device) -> iommu_group | ErrPtr:
    """A group of its own for a device."""
    return iommu_group_alloc()


def pci_device_group(dev: struct_device) -> iommu_group | ErrPtr:
    """The group of a PCI function.

    :deviation: functions have no aliases and sit on an isolated root bus here, so each gets a group
        of its own, which is where C ends up after walking the topology.
    """
    if WARN_ON(not dev_is_pci(dev)):
        return ERR_PTR(-EINVAL)

    return iommu_group_alloc()


def __iommu_alloc_identity_domain(dev: struct_device) -> iommu_domain | ErrPtr:
    """The domain in which addresses are physical addresses."""
    ops = dev_iommu_ops(dev)

    if ops.identity_domain:
        return ops.identity_domain

    if ops.domain_alloc_identity:
        domain = ops.domain_alloc_identity(dev)
        if IS_ERR(domain):
            return domain
    else:
        return ERR_PTR(-EOPNOTSUPP)

    iommu_domain_init(domain, IOMMU_DOMAIN_IDENTITY, ops)
    return domain


def __iommu_group_alloc_default_domain(group: iommu_group, req_type: int) -> iommu_domain | ErrPtr:
    """A default domain of the type asked for."""
    dev = iommu_group_first_dev(group)

    if group.default_domain and group.default_domain.type == req_type:
        return group.default_domain

    if req_type & __IOMMU_DOMAIN_PAGING:
        raise Unported("drivers/iommu/iommu.c", "__iommu_paging_domain_alloc_flags")

    if req_type == IOMMU_DOMAIN_IDENTITY:
        return __iommu_alloc_identity_domain(dev)

    return ERR_PTR(-EINVAL)


def iommu_group_alloc_default_domain(group: iommu_group, req_type: int) -> iommu_domain | ErrPtr:
    """A default domain for *group*.

    :param req_type: ``int``, 0 to choose by the configuration.
    :context: the group's mutex held.
    """
    ops = dev_iommu_ops(iommu_group_first_dev(group))

    lockdep_assert_held(group.mutex)

    if ops.default_domain:
        if req_type != ops.default_domain.type:
            return ERR_PTR(-EINVAL)
        return ops.default_domain

    if req_type:
        return __iommu_group_alloc_default_domain(group, req_type)

    dom = __iommu_group_alloc_default_domain(group, iommu_def_domain_type)
    if not IS_ERR(dom):
        return dom

    if iommu_def_domain_type == IOMMU_DOMAIN_DMA:
        return ERR_PTR(-EINVAL)
    return __iommu_group_alloc_default_domain(group, IOMMU_DOMAIN_DMA)


def probe_iommu_group(dev: struct_device, data: list_head) -> int:
    """Probe one device of a bus; that it has no IOMMU is no error."""
    mutex_lock(iommu_probe_device_lock)
    ret = __iommu_probe_device(dev, data)
    mutex_unlock(iommu_probe_device_lock)
    if ret == -ENODEV:
        ret = 0

    return ret


def iommu_get_def_domain_type(group: iommu_group, dev: struct_device, cur_type: int) -> int:
    """The type of default domain that the driver demands for *dev*, reconciled with *cur_type*."""
    ops = dev_iommu_ops(dev)

    if ops.default_domain:
        type = ops.default_domain.type
    elif ops.def_domain_type:
        type = ops.def_domain_type(dev)
    else:
        return cur_type
    if not type or cur_type == type:
        return cur_type
    if not cur_type:
        return type

    if type == IOMMU_DOMAIN_IDENTITY:
        return type
    return cur_type


def iommu_get_default_domain_type(group: iommu_group, target_type: int) -> int:
    """The type of default domain that the devices of a group demand; 0 if they demand none.

    :param target_type: ``int``, what the caller wants, 0 for anything.
    :return: -1 if that cannot be reconciled.
    :context: the group's mutex held.
    """
    untrusted: struct_device | None = None
    driver_type = 0

    lockdep_assert_held(group.mutex)

    for gdev in for_each_group_device(group):
        driver_type = iommu_get_def_domain_type(group, gdev.dev, driver_type)

        if dev_is_pci(gdev.dev) and to_pci_dev(gdev.dev).untrusted:
            untrusted = gdev.dev

    if untrusted:
        if driver_type and driver_type != IOMMU_DOMAIN_DMA:
            return -1
        driver_type = IOMMU_DOMAIN_DMA

    if target_type:
        if driver_type and target_type != driver_type:
            return -1
        return target_type
    return driver_type


def iommu_group_do_probe_finalize(dev: struct_device) -> None:
    """Tell the driver that *dev* has its default domain."""
    ops = dev_iommu_ops(dev)

    if ops.probe_finalize:
        ops.probe_finalize(dev)


def bus_iommu_probe(bus: Any) -> int:
    """Probe the devices of *bus*, then give each new group its default domain; 0 or -errno."""
    group_list = LIST_HEAD()

    ret = bus_for_each_dev(bus, group_list, probe_iommu_group)
    if ret:
        return ret

    for group, _next in list_for_each_entry_safe(iommu_group, group_list, "entry"):
        mutex_lock(group.mutex)

        list_del_init(group.entry)

        ret = iommu_setup_default_domain(group, 0)
        if ret:
            mutex_unlock(group.mutex)
            return ret
        for gdev in for_each_group_device(group):
            assert group.default_domain is not None
            iommu_setup_dma_ops(gdev.dev, group.default_domain)
        mutex_unlock(group.mutex)

        for gdev in for_each_group_device(group):
            iommu_group_do_probe_finalize(gdev.dev)

    return 0


def iommu_domain_init(domain: iommu_domain, type: int, ops: iommu_ops) -> None:
    """Fill in a domain that a driver allocated."""
    domain.type = type
    domain.owner = ops
    if not domain.ops:
        domain.ops = ops.default_domain_ops


def iommu_domain_free(domain: iommu_domain) -> None:
    """Free a domain that is attached nowhere.

    :context: may sleep. Drops the reference of an SVA domain on its mm.
    """
    if domain.cookie_type == IOMMU_COOKIE_DMA_IOVA:
        raise Unported("drivers/iommu/iommu.c", "iommu_put_dma_cookie")
    elif domain.cookie_type == IOMMU_COOKIE_DMA_MSI:
        raise Unported("drivers/iommu/iommu.c", "iommu_put_msi_cookie")
    elif domain.cookie_type == IOMMU_COOKIE_SVA:
        mmdrop(domain.mm)
    if domain.ops.free:
        domain.ops.free(domain)


def __iommu_attach_device(domain: iommu_domain, dev: struct_device, old: iommu_domain | None) -> int:
    """Let the driver attach *dev*, without a PASID, to *domain*; 0 or -errno."""
    if domain.ops.attach_dev is None:
        return -ENODEV

    ret = domain.ops.attach_dev(domain, dev, old)
    if ret:
        return ret
    assert dev.iommu is not None
    dev.iommu.attach_deferred = 0
    return 0


def iommu_make_pasid_array_entry(domain: iommu_domain, handle: iommu_attach_handle | None) -> Any:
    """What ``group->pasid_array`` keeps for a PASID: the handle, or the domain if there is none."""
    if handle:
        handle.domain = domain
        return xa_tag_pointer(handle, IOMMU_PASID_ARRAY_HANDLE)

    return xa_tag_pointer(domain, IOMMU_PASID_ARRAY_DOMAIN)


def domain_iommu_ops_compatible(ops: iommu_ops, domain: iommu_domain) -> bool:
    """Whether *domain* is one of the driver's with these operations."""
    if domain.owner is ops:
        return True

    if domain is ops.blocked_domain or domain is ops.identity_domain:
        return True

    return False


def __iommu_device_set_domain(group: iommu_group, dev: struct_device, new_domain: iommu_domain,
                              old_domain: iommu_domain | None, flags: int) -> int:
    """Attach one device of a group to *new_domain*; 0 or -errno."""
    assert dev.iommu is not None
    if dev.iommu.require_direct and (new_domain.type == IOMMU_DOMAIN_BLOCKED
                                     or new_domain is group.blocking_domain):
        return -EINVAL

    if dev.iommu.attach_deferred:
        if new_domain is group.default_domain:
            return 0
        dev.iommu.attach_deferred = 0

    ret = __iommu_attach_device(new_domain, dev, old_domain)
    if ret:
        if (flags & IOMMU_SET_DOMAIN_MUST_SUCCEED and group.blocking_domain
                and group.blocking_domain is not new_domain):
            __iommu_attach_device(group.blocking_domain, dev, old_domain)
        return ret
    return 0


def __iommu_group_set_domain_internal(group: iommu_group, new_domain: iommu_domain, flags: int) -> int:
    """Attach every device of a group to *new_domain*, or none.

    :param flags: ``unsigned int``, IOMMU_SET_DOMAIN_MUST_SUCCEED goes on after a failure.
    :return: 0 or -errno.
    :context: the group's mutex held.
    """
    lockdep_assert_held(group.mutex)

    if group.domain is new_domain:
        return 0

    if WARN_ON(not new_domain):
        return -EINVAL

    if group.recovery_cnt and not (flags & IOMMU_SET_DOMAIN_MUST_SUCCEED):
        return -EBUSY

    result = 0
    for gdev in for_each_group_device(group):
        if gdev.blocked:
            continue
        ret = __iommu_device_set_domain(group, gdev.dev, new_domain, group.domain, flags)
        if ret:
            result = ret
            if flags & IOMMU_SET_DOMAIN_MUST_SUCCEED:
                continue
            last_gdev = gdev
            for gdev in for_each_group_device(group):
                if gdev is last_gdev:
                    break
                if group.domain:
                    WARN_ON(__iommu_device_set_domain(group, gdev.dev, group.domain, new_domain,
                                                      IOMMU_SET_DOMAIN_MUST_SUCCEED))
            return ret
    group.domain = new_domain
    return result


def iommu_ops_from_fwnode() -> iommu_ops | None:
    """The operations of the first registered IOMMU.

    :deviation: C matches a firmware node; VT-d has none and takes the first entry there too.
    """
    spin_lock(iommu_device_lock)
    for iommu in list_for_each_entry(iommu_device, iommu_device_list, "list"):
        spin_unlock(iommu_device_lock)
        return iommu.ops
    spin_unlock(iommu_device_lock)
    return None


def iommu_setup_default_domain(group: iommu_group, target_type: int) -> int:
    """Make the default domain of a new group and attach its devices.

    :param target_type: ``int``, 0 to choose.
    :return: 0 or -errno.
    :context: the group's mutex held.
    :deviation: changing an existing default domain is not ported.
    """
    old_dom = group.default_domain

    lockdep_assert_held(group.mutex)

    req_type = iommu_get_default_domain_type(group, target_type)
    if req_type < 0:
        return -EINVAL

    dom = iommu_group_alloc_default_domain(group, req_type)
    if IS_ERR(dom):
        return PTR_ERR(dom)

    if group.default_domain is dom:
        return 0

    if iommu_is_dma_domain(dom):
        raise Unported("drivers/iommu/iommu.c", "iommu_get_dma_cookie")

    for gdev in for_each_group_device(group):
        iommu_create_device_direct_mappings(dom, gdev.dev)

    group.default_domain = dom
    if not group.domain:
        ret = __iommu_group_set_domain_internal(group, dom, IOMMU_SET_DOMAIN_MUST_SUCCEED)
        WARN_ON(ret)
    else:
        raise Unported("drivers/iommu/iommu.c", "iommu_setup_default_domain")

    if old_dom:
        iommu_domain_free(old_dom)
    return ret


def iommu_setup_dma_ops(dev: struct_device, domain: iommu_domain) -> None:
    """Nothing: an identity domain uses the direct DMA operations (drivers/iommu/dma-iommu.c)."""
    if iommu_is_dma_domain(domain):
        raise Unported("drivers/iommu/dma-iommu.c", "iommu_setup_dma_ops")


def iommu_remove_dev_pasid(dev: struct_device, pasid: ioasid_t, domain: iommu_domain) -> None:
    """Block a PASID of one device; *domain* is what it was attached to."""
    ops = dev_iommu_ops(dev)
    blocked_domain = ops.blocked_domain

    assert blocked_domain is not None and blocked_domain.ops.set_dev_pasid is not None
    WARN_ON(blocked_domain.ops.set_dev_pasid(blocked_domain, dev, pasid, domain))


def __iommu_set_group_pasid(domain: iommu_domain, group: iommu_group, pasid: ioasid_t,
                            old: iommu_domain | None) -> int:
    """Attach a PASID of every device of a group to *domain*, or of none; 0 or -errno."""
    assert domain.ops.set_dev_pasid is not None
    for device in for_each_group_device(group):
        assert device.dev.iommu is not None
        if device.dev.iommu.max_pasids > 0:
            ret = domain.ops.set_dev_pasid(domain, device.dev, pasid, old)
            if ret:
                last_gdev = device
                for device in for_each_group_device(group):
                    if device is last_gdev:
                        break
                    assert device.dev.iommu is not None
                    if device.dev.iommu.max_pasids > 0:
                        if (not old or old.ops.set_dev_pasid is None
                                or WARN_ON(old.ops.set_dev_pasid(old, device.dev, pasid, domain))):
                            iommu_remove_dev_pasid(device.dev, pasid, domain)
                return ret

    return 0


def __iommu_remove_group_pasid(group: iommu_group, pasid: ioasid_t, domain: iommu_domain) -> None:
    """Block a PASID of every device of a group."""
    for device in for_each_group_device(group):
        assert device.dev.iommu is not None
        if not device.blocked and device.dev.iommu.max_pasids > 0:
            iommu_remove_dev_pasid(device.dev, pasid, domain)


def iommu_attach_device_pasid(domain: iommu_domain, dev: struct_device, pasid: ioasid_t,
                              handle: iommu_attach_handle | None) -> int:
    """Attach a PASID of a device to *domain*.

    :param pasid: ``ioasid_t``, attached to nothing so far.
    :param handle: ``struct iommu_attach_handle *``, a fresh one to remember with the PASID, or NULL.
    :return: 0 or -errno.
    :context: may sleep; takes the group's mutex.
    """
    group = dev.iommu_group

    if not group:
        return -ENODEV

    ops = dev_iommu_ops(dev)

    if (not domain.ops.set_dev_pasid or not ops.blocked_domain
            or not ops.blocked_domain.ops.set_dev_pasid):
        return -EOPNOTSUPP

    if not domain_iommu_ops_compatible(ops, domain) or pasid == IOMMU_NO_PASID:
        return -EINVAL

    mutex_lock(group.mutex)

    def out_unlock(ret: int) -> int:
        mutex_unlock(group.mutex)
        return ret

    if group.recovery_cnt:
        return out_unlock(-EBUSY)

    for device in for_each_group_device(group):
        # A device without PASIDs sends none, so it does not limit the others.
        assert device.dev.iommu is not None
        if device.dev.iommu.max_pasids > 0 and pasid >= device.dev.iommu.max_pasids:
            return out_unlock(-EINVAL)

    entry = iommu_make_pasid_array_entry(domain, handle)

    # Reserved first: the domain becomes visible to page requests only once it is attached.
    ret = xa_insert(group.pasid_array, pasid, XA_ZERO_ENTRY, GFP_KERNEL)
    if ret:
        return out_unlock(ret)

    ret = __iommu_set_group_pasid(domain, group, pasid, None)
    if ret:
        xa_release(group.pasid_array, pasid)
        return out_unlock(ret)

    WARN_ON(xa_is_err(xa_store(group.pasid_array, pasid, entry, GFP_KERNEL)))

    return out_unlock(ret)


def iommu_detach_device_pasid(domain: iommu_domain, dev: struct_device, pasid: ioasid_t) -> None:
    """Undo :func:`iommu_attach_device_pasid`.

    :context: may sleep; takes the group's mutex.
    """
    group = dev.iommu_group

    assert group is not None
    mutex_lock(group.mutex)
    __iommu_remove_group_pasid(group, pasid, domain)
    xa_erase(group.pasid_array, pasid)
    mutex_unlock(group.mutex)


def iommu_alloc_global_pasid(dev: struct_device) -> ioasid_t:
    """A PASID that no mm has, within what *dev* can use; IOMMU_PASID_INVALID if there is none."""
    assert dev.iommu is not None
    if not dev.iommu.max_pasids:
        return IOMMU_PASID_INVALID

    ret = ida_alloc_range(iommu_global_pasid_ida, IOMMU_FIRST_GLOBAL_PASID,
                          dev.iommu.max_pasids - 1, GFP_KERNEL)
    return IOMMU_PASID_INVALID if ret < 0 else ret


def iommu_free_global_pasid(pasid: ioasid_t) -> None:
    """Give a PASID back."""
    if WARN_ON(pasid == IOMMU_PASID_INVALID):
        return

    ida_free(iommu_global_pasid_ida, pasid)


def iommu_attach_handle_get(group: iommu_group, pasid: ioasid_t,
                            type: int) -> iommu_attach_handle | ErrPtr:
    """The handle given when *pasid* was attached.

    :param type: ``unsigned int``, the type its domain must have, 0 for any.
    :return: -ENOENT if nothing, or a domain without handle, is attached; -EBUSY if of another type.
    :context: the caller excludes attaching and detaching.
    """
    xa_lock(group.pasid_array)
    entry = xa_load(group.pasid_array, pasid)
    handle: iommu_attach_handle | ErrPtr
    if not entry or xa_pointer_tag(entry) != IOMMU_PASID_ARRAY_HANDLE:
        handle = ERR_PTR(-ENOENT)
    else:
        handle = cast("iommu_attach_handle", xa_untag_pointer(entry))
        if type and handle.domain.type != type:
            handle = ERR_PTR(-EBUSY)
    xa_unlock(group.pasid_array)

    return handle
