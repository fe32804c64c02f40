# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/cpumask.h.

A mask is a struct with one word, ``bits``. Operations on a mask are one event each, so are the steps
of ``for_each_cpu`` (the word is looked at again before each step, as in C). The system masks
(``cpu_online_mask``...) do not change after boot and make no events. The ``__`` forms are plain
accesses to masks that nobody else can reach.

``nr_cpu_ids`` is a function here. ``cpumask_var_t`` is :class:`cpumask`; allocation never fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.c import struct

if TYPE_CHECKING:
    from typing import Self


class cpumask(struct):
    """A set of CPUs."""

    bits: int


cpumask_t = cpumask
cpumask_var_t = cpumask

__cpu_possible_mask = cpumask.zeroed()
__cpu_online_mask = cpumask.zeroed()
cpu_possible_mask = __cpu_possible_mask
cpu_present_mask = __cpu_possible_mask
cpu_online_mask = __cpu_online_mask
cpu_active_mask = __cpu_online_mask


def nr_cpu_ids() -> int:
    """Number of possible CPUs."""
    return hooks.nr_cpu_ids()


def __read(mask: cpumask) -> int:
    """The bits of *mask*, as one event unless they are constant."""
    if mask is not __cpu_online_mask and mask is not __cpu_possible_mask:
        hooks.read(mask, "bits")
    return mask.bits


def __first(bits: int) -> int:
    return (bits & -bits).bit_length() - 1 if bits else hooks.nr_cpu_ids()


def cpumask_of(cpu: int) -> cpumask:
    """The mask with only *cpu*."""
    mask = cpumask()
    mask.bits = 1 << cpu
    return mask


def cpumask_bits(mask: cpumask) -> int:
    """The word of *mask*, as a plain access."""
    return mask.bits


def cpumask_first(srcp: cpumask) -> int:
    """The first CPU of a mask; ``nr_cpu_ids`` if there is none."""
    return __first(__read(srcp))


def cpumask_next(n: int, srcp: cpumask) -> int:
    """The next CPU of a mask after *n*; ``nr_cpu_ids`` if there is none."""
    return __first(__read(srcp) >> (n + 1) << (n + 1))


def cpumask_any(mask: cpumask) -> int:
    """Some CPU of a mask (the first); ``nr_cpu_ids`` if there is none."""
    return __first(__read(mask))


def cpumask_any_but(mask: cpumask, cpu: int) -> int:
    """Some CPU of a mask other than *cpu*; ``nr_cpu_ids`` if there is none."""
    return __first(__read(mask) & ~(1 << cpu))


def cpumask_any_and(mask1: cpumask, mask2: cpumask) -> int:
    """Some CPU of both masks; ``nr_cpu_ids`` if there is none."""
    return __first(__read(mask1) & __read(mask2))


def cpumask_any_and_but(mask1: cpumask, mask2: cpumask, cpu: int) -> int:
    """Some CPU of both masks other than *cpu*; ``nr_cpu_ids`` if there is none."""
    return __first(__read(mask1) & __read(mask2) & ~(1 << cpu))


def cpumask_set_cpu(cpu: int, dstp: cpumask) -> None:
    """Atomically add *cpu*."""
    hooks.write(dstp, "bits")
    dstp.bits |= 1 << cpu


def __cpumask_set_cpu(cpu: int, dstp: cpumask) -> None:
    """Add *cpu*, not atomically."""
    dstp.bits |= 1 << cpu


def cpumask_clear_cpu(cpu: int, dstp: cpumask) -> None:
    """Atomically remove *cpu*."""
    hooks.write(dstp, "bits")
    dstp.bits &= ~(1 << cpu)


def __cpumask_clear_cpu(cpu: int, dstp: cpumask) -> None:
    """Remove *cpu*, not atomically."""
    dstp.bits &= ~(1 << cpu)


def cpumask_test_cpu(cpu: int, cpumask: cpumask) -> bool:
    """Whether *cpu* is in the mask."""
    return bool(__read(cpumask) >> cpu & 1)


def cpumask_test_and_set_cpu(cpu: int, cpumask: cpumask) -> bool:
    """Atomically add *cpu*; whether it was there."""
    hooks.write(cpumask, "bits")
    old = cpumask.bits
    cpumask.bits = old | (1 << cpu)
    return bool(old >> cpu & 1)


def cpumask_test_and_clear_cpu(cpu: int, cpumask: cpumask) -> bool:
    """Atomically remove *cpu*; whether it was there."""
    hooks.write(cpumask, "bits")
    old = cpumask.bits
    cpumask.bits = old & ~(1 << cpu)
    return bool(old >> cpu & 1)


def cpumask_setall(dstp: cpumask) -> None:
    """Make it all possible CPUs."""
    hooks.write(dstp, "bits")
    dstp.bits = (1 << hooks.nr_cpu_ids()) - 1


def cpumask_clear(dstp: cpumask) -> None:
    """Make it empty."""
    hooks.write(dstp, "bits")
    dstp.bits = 0


def cpumask_and(dstp: cpumask, src1p: cpumask, src2p: cpumask) -> bool:
    """Make it the CPUs of both masks; whether there are any."""
    bits = __read(src1p) & __read(src2p)
    dstp.bits = bits
    return bits != 0


def cpumask_or(dstp: cpumask, src1p: cpumask, src2p: cpumask) -> None:
    """Make it the CPUs of either mask."""
    bits = __read(src1p) | __read(src2p)
    hooks.write(dstp, "bits")
    dstp.bits = bits


def cpumask_andnot(dstp: cpumask, src1p: cpumask, src2p: cpumask) -> bool:
    """Make it the CPUs of the first mask that are not in the second; whether there are any."""
    bits = __read(src1p) & ~__read(src2p)
    dstp.bits = bits
    return bits != 0


def cpumask_copy(dstp: cpumask, srcp: cpumask) -> None:
    """Make it the same CPUs as *srcp*."""
    bits = __read(srcp)
    hooks.write(dstp, "bits")
    dstp.bits = bits


def cpumask_equal(src1p: cpumask, src2p: cpumask) -> bool:
    """Whether two masks are the same."""
    return __read(src1p) == __read(src2p)


def cpumask_intersects(src1p: cpumask, src2p: cpumask) -> bool:
    """Whether two masks have a CPU in common."""
    return __read(src1p) & __read(src2p) != 0


def cpumask_subset(src1p: cpumask, src2p: cpumask) -> bool:
    """Whether the second mask has every CPU of the first."""
    return __read(src1p) & ~__read(src2p) == 0


def cpumask_empty(srcp: cpumask) -> bool:
    """Whether there is no CPU in the mask."""
    return __read(srcp) == 0


def cpumask_full(srcp: cpumask) -> bool:
    """Whether all possible CPUs are in the mask."""
    return __read(srcp) == (1 << hooks.nr_cpu_ids()) - 1


def cpumask_weight(srcp: cpumask) -> int:
    """Number of CPUs in the mask."""
    return __read(srcp).bit_count()


class for_each_cpu:
    """``for_each_cpu(cpu, mask)``: the CPUs of *mask*, looked at anew before each step."""

    __slots__ = ("cpu", "mask")

    def __init__(self, mask: cpumask) -> None:
        self.mask = mask
        self.cpu = -1

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        cpu = cpumask_next(self.cpu, self.mask)
        if cpu >= hooks.nr_cpu_ids():
            raise StopIteration
        self.cpu = cpu
        return cpu


def for_each_possible_cpu() -> range:
    """``for_each_possible_cpu(cpu)``."""
    return range(hooks.nr_cpu_ids())


def for_each_online_cpu() -> range:
    """``for_each_online_cpu(cpu)``: every possible CPU is online."""
    return range(hooks.nr_cpu_ids())


def for_each_present_cpu() -> range:
    """``for_each_present_cpu(cpu)``."""
    return range(hooks.nr_cpu_ids())


def num_online_cpus() -> int:
    """Number of CPUs online."""
    return __cpu_online_mask.bits.bit_count()


def num_possible_cpus() -> int:
    """Number of possible CPUs."""
    return __cpu_possible_mask.bits.bit_count()


def cpu_online(cpu: int) -> bool:
    """Whether *cpu* is online."""
    return bool(__cpu_online_mask.bits >> cpu & 1)


def cpu_possible(cpu: int) -> bool:
    """Whether *cpu* may exist."""
    return bool(__cpu_possible_mask.bits >> cpu & 1)


def set_cpu_possible(cpu: int, possible: bool) -> None:
    """Boot and hotplug mark *cpu*."""
    __cpu_possible_mask.bits = __cpu_possible_mask.bits & ~(1 << cpu) | (possible << cpu)


def set_cpu_online(cpu: int, online: bool) -> None:
    """Boot and hotplug mark *cpu*."""
    __cpu_online_mask.bits = __cpu_online_mask.bits & ~(1 << cpu) | (online << cpu)


def zalloc_cpumask_var(flags: int) -> cpumask:
    """An empty mask."""
    return cpumask.zeroed()


def alloc_cpumask_var(flags: int) -> cpumask:
    """A mask with nothing defined in it."""
    return cpumask()


def free_cpumask_var(mask: cpumask) -> None:
    """Give a mask back."""
