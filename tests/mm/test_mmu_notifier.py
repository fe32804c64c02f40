# SPDX-License-Identifier: GPL-2.0-only
"""mm/mmu_notifier.c: subscriptions and their end."""

from __future__ import annotations

import pytest

from kmm.include.linux.atomic import atomic_read
from kmm.include.linux.errno import EAGAIN
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.include.linux.mmu_notifier import (
    MMU_NOTIFY_UNMAP,
    mm_has_notifiers,
    mmu_notifier,
    mmu_notifier_arch_invalidate_secondary_tlbs,
    mmu_notifier_get,
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_invalidate_range_start_nonblock,
    mmu_notifier_ops,
    mmu_notifier_put,
    mmu_notifier_range,
    mmu_notifier_range_init,
    mmu_notifier_register,
    mmu_notifier_release,
    mmu_notifier_unregister,
)


class Listener:
    """A secondary MMU that writes down what it is told."""

    def __init__(self, kinds: str, answer: int = 0) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.ops = mmu_notifier_ops.zeroed()
        self.ops.free_notifier = lambda mn: self.heard.append(("free",))
        if "r" in kinds:
            self.ops.release = lambda mn, mm: self.heard.append(("release",))
        if "s" in kinds:
            self.ops.invalidate_range_start = lambda mn, range: self.hear("start", range, answer)
        if "e" in kinds:
            self.ops.invalidate_range_end = lambda mn, range: self.hear("end", range, None)
        if "t" in kinds:
            self.ops.arch_invalidate_secondary_tlbs = lambda mn, mm, start, end: self.heard.append((start, end))
        self.notifier = mmu_notifier.zeroed()
        self.notifier.ops = self.ops

    def hear(self, what, range, answer):
        self.heard.append((what, range.start, range.end))
        return answer


@pytest.fixture
def mm(world):
    from kmm.arch.x86.include.asm.pgtable_types import pgd_ptr
    from kmm.kernel.fork import mm_alloc
    from kmm.mm.init_mm import init_mm
    from kmm.mm.page_alloc import get_zeroed_page

    init_mm.pgd = pgd_ptr(get_zeroed_page(GFP_KERNEL))
    mm = mm_alloc()
    assert mm is not None
    return mm


def a_range(mm, start=0x1000, end=0x3000):
    range = mmu_notifier_range()
    mmu_notifier_range_init(range, MMU_NOTIFY_UNMAP, 0, mm, start, end)
    return range


def test_mmu_notifier_register_takes_a_reference_on_the_mm(mm):
    listener = Listener("t")

    assert mmu_notifier_register(listener.notifier, mm) == 0

    assert mm_has_notifiers(mm)
    assert atomic_read(mm.mm_count) == 2


def test_mmu_notifier_register_refuses_to_hear_before_and_after(mm, world):
    listener = Listener("st")

    assert mmu_notifier_register(listener.notifier, mm) == -22

    world.expect("warn")
    assert not mm_has_notifiers(mm)


def test_mmu_notifier_arch_invalidate_secondary_tlbs_calls_who_wants_it(mm):
    walker, shadow = Listener("t"), Listener("se")
    mmu_notifier_register(walker.notifier, mm)
    mmu_notifier_register(shadow.notifier, mm)

    mmu_notifier_arch_invalidate_secondary_tlbs(mm, 0x1000, 0x2000)

    assert walker.heard == [(0x1000, 0x2000)]
    assert shadow.heard == []


def test_mmu_notifier_invalidate_range_start_and_end_come_in_pairs(mm):
    shadow = Listener("se")
    mmu_notifier_register(shadow.notifier, mm)
    range = a_range(mm)

    mmu_notifier_invalidate_range_start(range)
    mmu_notifier_invalidate_range_end(range)

    assert shadow.heard == [("start", 0x1000, 0x3000), ("end", 0x1000, 0x3000)]


def test_mmu_notifier_invalidate_range_start_nonblock_undoes_what_began(mm):
    refuses, shadow = Listener("s", -EAGAIN), Listener("se")
    mmu_notifier_register(refuses.notifier, mm)
    mmu_notifier_register(shadow.notifier, mm)

    assert mmu_notifier_invalidate_range_start_nonblock(a_range(mm)) == -EAGAIN

    assert shadow.heard == [("start", 0x1000, 0x3000), ("end", 0x1000, 0x3000)]


def test_mmu_notifier_unregister_releases_and_drops_the_mm(mm):
    listener = Listener("r")
    mmu_notifier_register(listener.notifier, mm)

    mmu_notifier_unregister(listener.notifier, mm)

    assert listener.heard == [("release",)]
    assert atomic_read(mm.mm_count) == 1


def test_mmu_notifier_release_leaves_nothing_to_unregister(mm):
    listener = Listener("r")
    mmu_notifier_register(listener.notifier, mm)

    mmu_notifier_release(mm)
    mmu_notifier_unregister(listener.notifier, mm)

    assert listener.heard == [("release",)], "once"


def test_mmu_notifier_get_shares_one_subscription(mm):
    listener = Listener("t")
    listener.ops.alloc_notifier = lambda mm: listener.notifier

    first = mmu_notifier_get(listener.ops, mm)
    listener.ops.alloc_notifier = None

    assert mmu_notifier_get(listener.ops, mm) is first
    assert first.users == 2


def test_mmu_notifier_put_frees_after_the_readers(mm, world):
    listener = Listener("t")
    listener.ops.alloc_notifier = lambda mm: listener.notifier
    mmu_notifier_get(listener.ops, mm)

    mmu_notifier_put(listener.notifier)
    mmu_notifier_arch_invalidate_secondary_tlbs(mm, 0, 0x1000)

    assert listener.heard == [], "off the list, not yet freed"
    world.run_pending()
    assert listener.heard == [("free",)]
    assert atomic_read(mm.mm_count) == 1
