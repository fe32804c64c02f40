# SPDX-License-Identifier: GPL-2.0-only
"""drivers/iommu/iommu-sva.c on a VT-d unit that remembers its descriptors."""

from __future__ import annotations

from kmm.drivers.iommu import iommu_sva
from kmm.drivers.iommu.iommu_sva import (
    iommu_sva_bind_device,
    iommu_sva_get_pasid,
    iommu_sva_invalidate_kva_range,
    iommu_sva_unbind_device,
)
from kmm.include.linux.err import ERR_PTR
from kmm.include.linux.errno import ENODEV


def test_iommu_sva_bind_device_gives_the_first_global_pasid(bed):
    bond = bed.bind(bed.mm())

    assert iommu_sva_get_pasid(bond) == 1


def test_iommu_sva_bind_device_twice_is_one_bond_with_two_users(bed):
    mm = bed.mm()

    first, second = bed.bind(mm), bed.bind(mm)

    assert first is second
    assert iommu_sva.iommu_sva_present
    iommu_sva_unbind_device(first)
    assert bed.entry(1)[0] & 1, "one user is left"
    iommu_sva_unbind_device(first)
    assert bed.entry(1) == [0] * 8


def test_iommu_sva_bind_device_needs_a_group(bed):
    from kmm.drivers.iommu.intel.platform import dmar_model_add_device

    late = dmar_model_add_device("late", 0x6A, 0x10).dev

    assert iommu_sva_bind_device(late, bed.mm()) == ERR_PTR(-ENODEV)


def test_iommu_sva_unbind_device_forgets_the_last_mm(bed):
    one, two = bed.mm(), bed.mm()
    bonds = [bed.bind(one), bed.bind(two)]
    assert [iommu_sva_get_pasid(bond) for bond in bonds] == [1, 2]

    iommu_sva_unbind_device(bonds[0])
    assert iommu_sva.iommu_sva_present
    iommu_sva_unbind_device(bonds[1])
    assert not iommu_sva.iommu_sva_present


def test_iommu_sva_invalidate_kva_range_does_nothing_without_a_bond(bed):
    iommu_sva_invalidate_kva_range(0xFFFF_8880_0000_0000, (1 << 64) - 1)

    assert bed.unit.descriptors == []


def test_iommu_sva_invalidate_kva_range_flushes_every_bound_mm(bed):
    bed.bind(bed.mm())
    bed.bind(bed.mm())
    bed.unit.descriptors.clear()

    iommu_sva_invalidate_kva_range(0xFFFF_8880_0000_0000, (1 << 64) - 1)

    # Newest mm first; IOTLB before the device's TLB, as the device may ask again at once.
    assert [(qw0 & 0xF, qw0 >> 32 & 0xFFFFF) for qw0, _ in bed.unit.descriptors] == [(6, 2), (8, 2), (6, 1), (8, 1)]


def test_iommu_sva_invalidate_kva_range_covers_the_kernel_half_and_its_tables(bed):
    bed.bind(bed.mm())
    bed.unit.descriptors.clear()

    iommu_sva_invalidate_kva_range(0xFFFF_8880_0000_0000, (1 << 64) - 1)

    (qw0, qw1), _ = bed.unit.descriptors
    assert qw0 >> 16 & 0xFFFF == 1, "all of SVA is domain 1"
    assert qw0 >> 4 & 3 == 3, "a range within a PASID"
    assert qw1 & 1 << 6 == 0, "non-leaf entries go too"
    assert qw1 & ~0xFFF == 0xFFFF_8000_0000_0000
    assert qw1 & 0x3F == 47 - 12


def test_mmput_of_a_bound_mm_takes_its_tables_from_the_device_first(bed):
    from kmm.kernel.fork import mmput

    mm = bed.mm()
    bond = bed.bind(mm)
    bed.unit.descriptors.clear()

    mmput(mm)

    assert [qw0 & 0xF for qw0, _ in bed.unit.descriptors] == [7, 6, 8], "PASID cache, IOTLB, device TLB"
    # As the C stands: FPD is set only if P is, and P was cleared before. So faults are not disabled.
    assert bed.entry(1) == [0] * 8
    iommu_sva_unbind_device(bond)
    assert len(bed.unit.descriptors) == 3, "there is nothing left to tear down"
