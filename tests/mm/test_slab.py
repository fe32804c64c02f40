# SPDX-License-Identifier: GPL-2.0-only
"""mm/slub.c: objects that know whether they are still there."""

from __future__ import annotations

from kmm.c import struct
from kmm.include.linux.atomic import atomic_inc
from kmm.include.linux.gfp_types import GFP_ATOMIC, GFP_KERNEL
from kmm.include.linux.preempt import preempt_disable
from kmm.include.linux.slab import (
    kfree,
    kmalloc_obj,
    kmem_cache_alloc,
    kmem_cache_create,
    kmem_cache_free,
    kzalloc_obj,
)
from kmm.include.linux.types import atomic_t


class inner(struct):
    count: atomic_t


class obj(struct):
    number: int
    inner: inner


def test_kzalloc_obj_is_zeroed_and_kmalloc_obj_is_not(world):
    assert kzalloc_obj(obj).number == 0
    assert not hasattr(kmalloc_obj(obj), "number")


def test_kfree_twice(world):
    p = kzalloc_obj(obj)
    kfree(p)
    kfree(p)
    assert world.expect("double-free")["freed_by"] == "test_kfree_twice"
    kfree(None)


def test_kfree_of_the_stack(world):
    kfree(obj.zeroed())
    world.expect("bad-free")


def test_kfree_writes_everything_embedded(world):
    p = kzalloc_obj(obj)
    world.events.clear()
    kfree(p)
    assert world.events[0] == ("mutates", p, "kfree", (p, p.inner, p.inner.count))


def test_use_after_free_is_seen_through_embedded_structs(world):
    p = kzalloc_obj(obj)
    kfree(p)
    atomic_inc(p.inner.count)
    assert world.expect("use-after-free")["object"] is p.inner.count


def test_allocations_fail_where_asked(world):
    world.fail("kmalloc")
    assert kzalloc_obj(obj) is None
    assert kzalloc_obj(obj) is not None


def test_a_sleeping_allocation_in_atomic_context(world):
    preempt_disable()
    kzalloc_obj(obj, GFP_ATOMIC)
    kzalloc_obj(obj, GFP_KERNEL)
    world.expect("sleep-in-atomic")


def test_kmem_cache(world):
    cache = kmem_cache_create("objs", obj)
    p = kmem_cache_alloc(cache, GFP_KERNEL)
    kmem_cache_free(cache, p)
    world.fail("objs")
    assert kmem_cache_alloc(cache, GFP_KERNEL) is None
