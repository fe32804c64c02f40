# SPDX-License-Identifier: GPL-2.0-only
"""A machine with a VT-d unit behind the fake world, brought up by the driver's own initcall.

``unit`` answers registers, executes the invalidation queue at once and remembers each descriptor.
``hardware`` is the real :class:`kmm_ext.vtd.VTD`, fed with the fake world's memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kmm_ext.memory import Memory
from kmm_ext.vtd import VTD

if TYPE_CHECKING:
    from fake_world import FakeWorld

CAP, ECAP, GCMD, GSTS, FSTS, IQH, IQT, IQA = 0x08, 0x10, 0x18, 0x1C, 0x34, 0x80, 0x88, 0x90
WAIT = 5


class FakeUnit:
    """Registers and an invalidation queue that is always empty when a register write returns.

    :ivar descriptors: ``(qw0, qw1)`` of each but the wait descriptors, in order.
    :ivar errors: numbers of descriptors at which the queue stops with IQE.
    """

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.registers = {CAP: VTD(Memory(1)).mmio_read(CAP, 8), ECAP: VTD(Memory(1)).mmio_read(ECAP, 8)}
        self.descriptors: list[tuple[int, int]] = []
        self.errors: set[int] = set()

    def mmio_read(self, offset: int, size: int) -> int:
        if offset == GSTS:
            # Each status bit stands where its command bit does.
            return self.registers.get(GCMD, 0)
        return self.registers.get(offset, 0)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        if offset == FSTS:
            self.registers[FSTS] = self.registers.get(FSTS, 0) & ~value
            self._run()
            return
        self.registers[offset] = value
        if offset == IQA:
            self.registers[IQH] = 0
        elif offset == IQT:
            self._run()

    def _word(self, pa: int) -> int:
        return self.world.load(self.world.page_offset() + pa, 8)

    def _run(self) -> None:
        base = self.registers.get(IQA, 0) & ~0xFFF
        while base and not self.registers.get(FSTS, 0) and self.registers[IQH] != self.registers[IQT]:
            at = base + self.registers[IQH]
            qw0, qw1 = self._word(at), self._word(at + 8)
            if qw0 & 0xF == WAIT:
                self.world.store(self.world.page_offset() + qw1, 4, qw0 >> 32)
            elif len(self.descriptors) in self.errors:
                self.errors.discard(len(self.descriptors))
                self.registers[FSTS] = 1 << 4
                return
            else:
                self.descriptors.append((qw0, qw1))
            self.registers[IQH] = (self.registers[IQH] + 32) % 0x2000


class RealUnit:
    """The modelled hardware on a copy of the fake world's memory, synchronised at every register access."""

    def __init__(self, world: FakeWorld) -> None:
        self.world = world
        self.memory = Memory(world.frames)
        self.vtd = VTD(self.memory, asynchronous=False)

    def pull(self) -> None:
        """Let the hardware see what the kernel stored."""
        base = self.world.page_offset() >> 12
        for frame, content in self.world._memory.items():
            if 0 <= frame - base < self.world.frames:
                for offset in range(0, 4096, 8):
                    word = int.from_bytes(content[offset:offset + 8], "little")
                    if self.memory.load((frame - base) * 4096 + offset, 8) != word:
                        self.memory.store((frame - base) * 4096 + offset, 8, word)

    def mmio_read(self, offset: int, size: int) -> int:
        return self.vtd.mmio_read(offset, size)

    def mmio_write(self, offset: int, size: int, value: int) -> None:
        self.pull()
        self.vtd.mmio_write(offset, size, value)
        base = self.world.page_offset() >> 12
        for frame, content in self.world._memory.items():
            if 0 <= frame - base < self.world.frames:
                for at in range(0, 4096, 8):
                    content[at:at + 8] = self.memory.load(
                        (frame - base) * 4096 + at, 8).to_bytes(8, "little")


class Bed:
    """A booted driver with one device."""

    def __init__(self, world: FakeWorld, unit: Any, *, ats: bool = True) -> None:
        from kmm.arch.x86.include.asm.pgtable_types import pgd_ptr
        from kmm.drivers.iommu.intel.iommu import intel_iommu_init
        from kmm.drivers.iommu.intel.platform import dmar_model_add_device, dmar_model_add_unit
        from kmm.include.linux.gfp_types import GFP_KERNEL
        from kmm.mm.init_mm import init_mm
        from kmm.mm.page_alloc import get_zeroed_page

        self.world = world
        self.unit = unit
        init_mm.pgd = pgd_ptr(get_zeroed_page(GFP_KERNEL))
        drhd = dmar_model_add_unit(unit)
        assert drhd is not None
        self.pdev = dmar_model_add_device("dsa0", 0x6A, 0x08, ats=ats)
        self.dev = self.pdev.dev
        assert intel_iommu_init() == 0
        self.iommu = drhd.iommu
        if isinstance(unit, FakeUnit):
            unit.descriptors.clear()

    def mm(self) -> Any:
        """An empty address space."""
        from kmm.kernel.fork import mm_alloc

        mm = mm_alloc()
        assert mm is not None
        return mm

    def bind(self, mm: Any) -> Any:
        """Bind the device to *mm*; the bond."""
        from kmm.drivers.iommu.iommu_sva import iommu_sva_bind_device
        from kmm.include.linux.err import IS_ERR

        bond = iommu_sva_bind_device(self.dev, mm)
        assert not IS_ERR(bond)
        return bond

    def entry(self, pasid: int) -> list[int]:
        """The eight words of a PASID table entry, read as the unit would."""
        peek = self.world.load
        to = self.world.page_offset()
        root = int(self.iommu.root_entry)
        table = peek(root + 16 * 0x6A, 8) & ~0xFFF
        directory = peek(to + table + 32 * 0x08, 8) & ~0xFFF
        entries = peek(to + directory + 8 * (pasid >> 6), 8) & ~0xFFF
        return [peek(to + entries + 64 * (pasid & 63) + 8 * n, 8) for n in range(8)]


@pytest.fixture
def bed(world: FakeWorld) -> Bed:
    """A driver on a :class:`FakeUnit`, one device with ATS."""
    return Bed(world, FakeUnit(world))


@pytest.fixture
def real_bed(world: FakeWorld) -> Bed:
    """A driver on the modelled hardware, one device with ATS."""
    return Bed(world, RealUnit(world))
