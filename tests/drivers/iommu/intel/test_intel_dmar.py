# SPDX-License-Identifier: GPL-2.0-only
"""drivers/iommu/intel/dmar.c: the invalidation queue and its accounting."""

from __future__ import annotations

from kmm.drivers.iommu.intel.dmar import qi_flush_piotlb_all, qi_submit_sync
from kmm.drivers.iommu.intel.iommu_h import QI_LENGTH, qi_desc, qi_desc_piotlb
from kmm.include.linux.errno import EINVAL


def test_qi_submit_sync_returns_the_slots(bed):
    qi = bed.iommu.qi
    head = qi.free_head

    qi_flush_piotlb_all(bed.iommu, 1, 7)

    assert (qi.free_head, qi.free_tail, qi.free_cnt) == ((head + 2) % QI_LENGTH, (head + 2) % QI_LENGTH, QI_LENGTH)


def test_qi_submit_sync_wraps(bed):
    for number in range(QI_LENGTH):
        qi_flush_piotlb_all(bed.iommu, 1, number)

    assert [qw0 >> 32 for qw0, _ in bed.unit.descriptors] == list(range(QI_LENGTH))
    assert bed.iommu.qi.free_cnt == QI_LENGTH


def test_qi_submit_sync_puts_one_wait_descriptor_behind_many(bed):
    descs = []
    for number in range(3):
        desc = qi_desc.zeroed()
        qi_desc_piotlb(1, number, number << 12, 0, False, desc)
        descs.append(desc)
    head = bed.iommu.qi.free_head

    assert qi_submit_sync(bed.iommu, descs, 3, 0) == 0

    at = bed.iommu.qi.desc + ((head + 3) % QI_LENGTH) * 32
    assert bed.world.load(at, 8) == 2 << 32 | 1 << 5 | 5, "write QI_DONE as status"
    assert [qw1 for _, qw1 in bed.unit.descriptors] == [0, 0x1000, 0x2000]


def test_qi_submit_sync_holds_its_lock_only_outside_the_wait(bed):
    qi_flush_piotlb_all(bed.iommu, 1, 1)

    assert bed.world.held == []
    assert not bed.world.irqs_disabled()


def test_qi_submit_sync_replaces_a_wrong_descriptor(bed):
    bed.unit.errors.add(0)
    desc = qi_desc.zeroed()
    desc.qw0 = 0xF

    assert qi_submit_sync(bed.iommu, (desc,), 1, 0) == -EINVAL

    assert bed.unit.descriptors == []
    qi_flush_piotlb_all(bed.iommu, 1, 3)
    assert [qw0 >> 32 for qw0, _ in bed.unit.descriptors] == [3], "the queue goes on"
