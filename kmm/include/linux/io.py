# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/io.h: registers of a device.

``void __iomem *`` is an :class:`iomem`: which unit, and how far into its registers. Each access is
one event of the unit.
"""

from __future__ import annotations

from kmm import hooks


class iomem:
    """``void __iomem *``.

    :ivar unit: the handle that the machine gave to the driver.
    :ivar offset: bytes from the start of the unit's registers.
    """

    __slots__ = ("offset", "unit")

    def __init__(self, unit: object, offset: int = 0) -> None:
        self.unit = unit
        self.offset = offset

    def __add__(self, offset: int) -> iomem:
        return iomem(self.unit, self.offset + offset)


def readl(addr: iomem) -> int:
    """Read a 32-bit register."""
    return hooks.mmio_read(addr.unit, addr.offset, 4)


def readq(addr: iomem) -> int:
    """Read a 64-bit register."""
    return hooks.mmio_read(addr.unit, addr.offset, 8)


def writel(value: int, addr: iomem) -> None:
    """Write a 32-bit register."""
    hooks.mmio_write(addr.unit, addr.offset, 4, value & 0xFFFF_FFFF)


def writeq(value: int, addr: iomem) -> None:
    """Write a 64-bit register."""
    hooks.mmio_write(addr.unit, addr.offset, 8, value & 0xFFFF_FFFF_FFFF_FFFF)
