# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of events: what an actor does at a scheduling point."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["INVALIDATIONS", "Kind"]


class Kind(IntEnum):
    """What one event does; the explorer treats it as a label, reports print it."""

    START = 0
    LOAD = 1
    STORE = 2
    XCHG = 3
    CMPXCHG = 4
    ATOMIC = 5
    COPY = 6
    READ = 7
    WRITE = 8
    MUTATE = 9
    WAIT = 10
    ALLOC = 11
    FREE = 12
    CHOOSE = 13
    IRQ_OFF = 14
    IRQ_ON = 15
    INVLPG = 16
    INVPCID = 17
    CR3 = 18
    CR4 = 19
    MMIO_READ = 20
    MMIO_WRITE = 21
    LOCK = 22
    TRYLOCK = 23
    UNLOCK = 24
    RCU_LOCK = 25
    RCU_UNLOCK = 26
    CALL_RCU = 27
    GRACE_PERIOD = 28
    IPI = 29
    IOMMU = 30
    ACCESS = 31
    QUEUE = 32


#: Events by which a CPU drops translations.
INVALIDATIONS = (Kind.INVLPG, Kind.INVPCID, Kind.CR3, Kind.CR4)
