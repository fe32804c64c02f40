# SPDX-License-Identifier: GPL-2.0-only
"""Model of mm/slub.c: objects of one type each, without pages under them.

An object lives in a :class:`slab_object`, which is its container as a struct around an embedded one
would be. Freeing marks it: freeing again is the violation ``double-free``, freeing something that never
came from here ``bad-free``. Whoever checks accesses finds out about a use after free by walking
``_container`` to the end. A free is one event that writes the object and all structs embedded in it.

Allocation can fail where the scenario asks for it: the label is ``"kmalloc"`` or the cache's name.
Objects are never reused.

Left out: sizes and bytes, constructors, arrays freed as one, bulk operations.
"""

from __future__ import annotations

import sys
from typing import TypeVar

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.gfp_types import __GFP_DIRECT_RECLAIM, __GFP_NOFAIL, GFP_KERNEL
from kmm.include.linux.kernel import __might_sleep
from kmm.include.linux.types import gfp_t

S = TypeVar("S", bound=struct)


class slab_object(struct):
    """What the allocator knows about one object: ``freed_by`` is NULL while it is allocated."""

    cache: str | None
    object: object | None
    freed_by: str | None


class kmem_cache(struct):
    """A cache of objects of one type."""

    name: str | None
    kind: type[struct] | None


def __alloc(kind: type[S], cache: str, flags: int, zero: bool) -> S | None:
    if flags & __GFP_DIRECT_RECLAIM:
        __might_sleep(sys._getframe(1).f_code.co_name)
    if not flags & __GFP_NOFAIL and hooks.may_fail(cache, flags):
        return None
    obj = kind.zeroed() if zero else kind()
    slab = slab_object()
    slab.cache = cache
    slab.object = obj
    slab.freed_by = None
    obj._container = slab
    return obj


def __embedded(obj: struct) -> list[struct]:
    """*obj* and every struct embedded in it."""
    found = [obj]
    for outer in found:
        for kind in type(outer).__mro__:
            for field in kind.__dict__.get("__slots__", ()):
                inner = getattr(outer, field, None)
                if isinstance(inner, struct) and inner._container is outer and field != "_container":
                    found.append(inner)
    return found


def __free(obj: struct, where: str) -> None:
    slab = obj._container
    if not isinstance(slab, slab_object):
        hooks.violation("bad-free", where, object=obj)
        return
    hooks.mutates(obj, where, tuple(__embedded(obj)))
    if slab.freed_by is not None:
        hooks.violation("double-free", where, object=obj, freed_by=slab.freed_by)
        return
    slab.freed_by = sys._getframe(2).f_code.co_name


def kmalloc_obj(kind: type[S], flags: gfp_t = GFP_KERNEL) -> S | None:
    """An object with nothing defined in it, NULL if there is no memory."""
    return __alloc(kind, "kmalloc", flags, False)


def kzalloc_obj(kind: type[S], flags: gfp_t = GFP_KERNEL) -> S | None:
    """A zeroed object, NULL if there is no memory."""
    return __alloc(kind, "kmalloc", flags, True)


def kzalloc_objs(kind: type[S], count: int, flags: gfp_t = GFP_KERNEL) -> list[S] | None:
    """An array of zeroed objects, NULL if there is no memory. It is not tracked."""
    if hooks.may_fail("kmalloc", flags):
        return None
    return [kind.zeroed() for _ in range(count)]


def kzalloc_node(kind: type[S], flags: gfp_t, node: int) -> S | None:
    """:func:`kzalloc_obj` near a node."""
    return __alloc(kind, "kmalloc", flags, True)


kmalloc = kmalloc_obj
kzalloc = kzalloc_obj


def kfree(obj: struct | None) -> None:
    """Free an object; NULL is allowed."""
    if obj is not None:
        __free(obj, "kfree")


def kvfree(obj: struct | None) -> None:
    """Free an object; NULL is allowed."""
    if obj is not None:
        __free(obj, "kvfree")


def kmem_cache_create(name: str, kind: type[struct], align: int = 0, flags: int = 0,
                      ctor: None = None) -> kmem_cache:
    """A new cache of objects of type *kind*."""
    s = kmem_cache.zeroed()
    s.name = name
    s.kind = kind
    return s


def kmem_cache_destroy(s: kmem_cache | None) -> None:
    """Give a cache back."""


def kmem_cache_alloc(s: kmem_cache, flags: gfp_t) -> struct | None:
    """An object of a cache with nothing defined in it, NULL if there is no memory."""
    assert s.kind is not None and s.name is not None
    return __alloc(s.kind, s.name, flags, False)


def kmem_cache_zalloc(s: kmem_cache, flags: gfp_t) -> struct | None:
    """A zeroed object of a cache, NULL if there is no memory."""
    assert s.kind is not None and s.name is not None
    return __alloc(s.kind, s.name, flags, True)


def kmem_cache_free(s: kmem_cache, obj: struct) -> None:
    """Free an object of a cache."""
    __free(obj, "kmem_cache_free")
