# SPDX-License-Identifier: GPL-2.0-only
"""drivers/iommu/intel/cache.c: cache tags and ranges."""

from __future__ import annotations

import pytest

from kmm.c import ULONG_MAX
from kmm.drivers.iommu.intel.cache import (
    cache_tag_flush_all,
    cache_tag_flush_range,
    calculate_psi_aligned_address,
)
from kmm.drivers.iommu.intel.iommu_h import MAX_AGAW_PFN_WIDTH, to_dmar_domain


@pytest.mark.parametrize(("start", "last", "expected"), [
    (0x1000, 0x1FFF, (0x1000, 0)),
    (0x1234, 0x1FFF, (0x1000, 0)),
    (0x1000, 0x2FFF, (0, 2)),           # two pages that no aligned pair covers
    (0x2000, 0x3FFF, (0x2000, 1)),
    (0x20_0000, 0x3F_FFFF, (0x20_0000, 9)),
    (0xFFFF_8880_0000_0000, ULONG_MAX - 1, (0xFFFF_8000_0000_0000, 35)),
    (0, ULONG_MAX, (0, MAX_AGAW_PFN_WIDTH)),
])
def test_calculate_psi_aligned_address_covers_the_range(start, last, expected):
    address, order = calculate_psi_aligned_address(start, last)

    assert (address, order) == expected
    assert address <= start and last <= address + (0x1000 << order) - 1


def test_cache_tag_flush_range_batches_iotlb_and_device(bed):
    bond = bed.bind(bed.mm())
    domain = to_dmar_domain(bond.handle.domain)
    bed.unit.descriptors.clear()
    bed.world.events.clear()

    cache_tag_flush_range(domain, 0x20_0000, 0x3F_FFFF, 1)

    assert bed.unit.descriptors == [
        (1 << 32 | 1 << 16 | 3 << 4 | 6, 0x20_0000 | 1 << 6 | 9),
        (1 << 32 | 0x6A08 << 16 | 8, 0x2F_F000 | 1 << 11),
    ]
    assert len([call for call in bed.world.calls("mmio_write") if call[1] == 0x88]) == 1, "one tail write"


def test_cache_tag_flush_all_is_pasid_selective(bed):
    bond = bed.bind(bed.mm())
    bed.unit.descriptors.clear()

    cache_tag_flush_all(to_dmar_domain(bond.handle.domain))

    assert bed.unit.descriptors[0] == (1 << 32 | 1 << 16 | 2 << 4 | 6, 0)
