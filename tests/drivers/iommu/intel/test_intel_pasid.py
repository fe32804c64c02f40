# SPDX-License-Identifier: GPL-2.0-only
"""drivers/iommu/intel/pasid.c: what stands in memory, bit by bit."""

from __future__ import annotations

import pytest

from kmm.arch.x86.include.asm.page import __pa
from kmm.drivers.iommu.intel.pasid import intel_pasid_get_entry, intel_pasid_tear_down_entry
from kmm.drivers.iommu.iommu_sva import iommu_sva_unbind_device

P, AW_5, FL_ONLY, PT = 1, 3 << 2, 1 << 6, 4 << 6
PWSNP = 1 << 23


def test_intel_pasid_setup_first_level_writes_the_entry(bed):
    mm = bed.mm()

    bed.bind(mm)

    assert bed.entry(1) == [P | AW_5 | FL_ONLY, PWSNP | 1, __pa(mm.pgd), 0, 0, 0, 0, 0]


def test_intel_pasid_setup_first_level_with_five_levels(bed):
    bed.world.features.add("LA57")
    mm = bed.mm()

    bed.bind(mm)

    assert bed.entry(1)[2] == __pa(mm.pgd) | 1 << 2


def test_intel_pasid_setup_first_level_sets_p_last(bed):
    bed.world.events.clear()
    bed.bind(bed.mm())

    words = [addr & 0x3F for addr, size, value in bed.world.calls("store")
             if addr & ~0x3F == intel_pasid_get_entry(bed.dev, 1)]
    assert words[-1] == 0 and words.count(0) == 4
    stored = [value & 1 for addr, size, value in bed.world.calls("store")
              if addr == intel_pasid_get_entry(bed.dev, 1)]
    assert stored == [0, 0, 0, 1]


def test_intel_pasid_setup_pass_through_serves_requests_without_pasid(bed):
    assert bed.entry(0) == [P | AW_5 | PT, PWSNP | 1, 0, 0, 0, 0, 0, 0]


def test_intel_pasid_tear_down_entry_flushes_before_it_forgets_the_tag(bed):
    bond = bed.bind(bed.mm())
    bed.unit.descriptors.clear()
    seen = []
    remember = bed.unit.descriptors.append
    bed.unit.descriptors = type("Log", (list,), {"append": lambda log, d: (
        seen.append((d[0] & 0xF, bed.entry(1)[0] & 1, bed.entry(1)[1] & 0xFFFF)), remember(d))})()

    iommu_sva_unbind_device(bond)

    # While each flush runs the entry is not present but still says which domain it was.
    assert seen[:3] == [(7, 0, 1), (6, 0, 1), (8, 0, 1)]
    assert bed.entry(1) == [0] * 8


def test_intel_pasid_tear_down_entry_descriptors(bed):
    bond = bed.bind(bed.mm())
    bed.unit.descriptors.clear()

    iommu_sva_unbind_device(bond)

    assert bed.unit.descriptors == [
        (1 << 32 | 1 << 16 | 1 << 4 | 7, 0),                              # PASID cache: PASID 1, domain 1
        (1 << 32 | 1 << 16 | 2 << 4 | 6, 0),                              # IOTLB: all of the PASID
        (1 << 32 | 0x6A08 << 16 | 8, 0x7FFF_FFFF_FFFF_F000 | 1 << 11),    # device TLB: everything
    ]


def test_intel_pasid_tear_down_entry_of_an_absent_pasid_does_nothing(bed):
    intel_pasid_tear_down_entry(bed.iommu, bed.dev, 5, False)

    assert bed.unit.descriptors == []


def test_intel_pasid_get_entry_beyond_the_directory_warns(bed):
    assert intel_pasid_get_entry(bed.dev, 1 << 15) is None
    bed.world.expect("warn")


@pytest.mark.parametrize("pasid", [0, 63, 64, 32767])
def test_intel_pasid_get_entry_addresses(bed, pasid):
    first = intel_pasid_get_entry(bed.dev, pasid & ~63)

    assert intel_pasid_get_entry(bed.dev, pasid) == first + (pasid & 63)


def test_context_entry_points_at_the_directory(bed):
    load, to = bed.world.load, bed.world.page_offset()
    table = load(int(bed.iommu.root_entry) + 16 * 0x6A, 8)
    lo, hi = (load(to + (table & ~0xFFF) + 32 * 0x08 + 8 * n, 8) for n in range(2))

    assert table & 0xFFF == 1
    assert to + (lo & ~0xFFF) == bed.dev.iommu.priv.pasid_table.table
    assert lo & 0xFFF == 1 | 1 << 2 | 1 << 3 | 2 << 9, "P, device TLB, PASIDs; 2^9 directory entries"
    assert hi == 0
