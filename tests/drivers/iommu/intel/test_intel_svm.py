# SPDX-License-Identifier: GPL-2.0-only
"""drivers/iommu/intel/svm.c on the modelled hardware: the unit walks what the driver set up."""

from __future__ import annotations

import pytest

from kmm.arch.x86.include.asm.page import __pa
from kmm.drivers.iommu.intel.platform import dmar_model_add_device
from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device, iommu_sva_get_pasid, iommu_sva_unbind_device
from kmm.include.linux.err import ERR_PTR
from kmm.include.linux.errno import EINVAL, ENODEV, EOPNOTSUPP
from kmm_ext.vtd import DMARFault, Reason

SOURCE = 0x6A08
P, RW, US = 1, 2, 4


def map_user_page(bed, mm, address: int, frame: int) -> None:
    """Put a chain of tables for one user page into the frames from *frame* on."""
    table = __pa(mm.pgd)
    memory = bed.unit.memory
    bed.unit.pull()
    for level in (3, 2, 1, 0):
        index = address >> 12 + 9 * level & 511
        memory.store(table + 8 * index, 8, frame << 12 | P | RW | US)
        table, frame = frame << 12, frame + 1


def test_a_bound_device_reaches_user_pages_of_the_mm(real_bed):
    mm = real_bed.mm()
    pasid = iommu_sva_get_pasid(real_bed.bind(mm))
    top = real_bed.world.frames - 16
    map_user_page(real_bed, mm, 0x1234_5000, top)

    assert real_bed.unit.vtd.request(SOURCE, pasid, 0x1234_5678) == (top + 3) * 4096 + 0x678


def test_an_unbound_device_is_stopped_at_the_pasid_entry(real_bed):
    mm = real_bed.mm()
    bond = real_bed.bind(mm)
    map_user_page(real_bed, mm, 0x1000, real_bed.world.frames - 16)
    real_bed.unit.vtd.request(SOURCE, 1, 0x1000)

    iommu_sva_unbind_device(bond)

    with pytest.raises(DMARFault) as fault:
        real_bed.unit.vtd.request(SOURCE, 1, 0x1000)
    assert fault.value.reason is Reason.ENTRY_NOT_PRESENT


def test_a_device_without_ats_cannot_do_sva(bed):
    from kmm.drivers.iommu.iommu import iommu_probe_device

    plain = dmar_model_add_device("plain", 0x6A, 0x10, ats=False).dev
    assert iommu_probe_device(plain) == 0

    assert iommu_sva_bind_device(plain, bed.mm()) == ERR_PTR(-EINVAL)


def test_a_device_without_pasids_cannot_do_sva(bed):
    from kmm.drivers.iommu.iommu import iommu_probe_device

    plain = dmar_model_add_device("plain", 0x6A, 0x10, pasid=False).dev
    assert iommu_probe_device(plain) == 0

    assert int(iommu_sva_bind_device(plain, bed.mm())) in (-28, -ENODEV, -EOPNOTSUPP)
