# SPDX-License-Identifier: GPL-2.0-only
"""Names of the things that events touch.

The explorer compares footprints, so a location must have the same number in every execution of one
search, whatever the interleaving.  Memory words and frames are named by their address.  Objects that
exist when the kernel has booted are numbered once, by :meth:`Locations.number_static`.  An object
made later is named after the actor that touches it first and how many it had named before: the
creator, since publishing an object is an event that touches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from kmm.harness.context import Context

__all__ = ["Locations"]


# What is named by its address has its number from it; below that, numbers are given in order.
_WORD = 1 << 56
_FRAME = 2 << 56
_ENTRIES = 3 << 56
_HELD = 4 << 56


class Locations:
    """Numbers for locations, never reused within one world."""

    def __init__(self) -> None:
        self._ids: dict[Hashable, int] = {}
        self._fields: dict[tuple[int, str], int] = {}
        self._locks: dict[int, int] = {}
        self._count = 0
        self._static: dict[int, str] = {}

    def named(self, *key: Hashable) -> int:
        """The location called *key*."""
        loc = self._ids.get(key)
        if loc is None:
            self._count += 1
            loc = self._ids[key] = self._count
        return loc

    def word(self, pa: int) -> int:
        """The 8-byte word of physical memory that contains *pa*."""
        return _WORD + (pa >> 3)

    def frame(self, pfn: int) -> int:
        """What frame *pfn* is used for."""
        return _FRAME + pfn

    def entries(self, pfn: int) -> int:
        """The present entries of the table in frame *pfn*, all together."""
        return _ENTRIES + pfn

    def held(self, pfn: int) -> int:
        """Who holds entries that lead to frame *pfn*."""
        return _HELD + pfn

    def object(self, obj: Any, context: Context) -> int:
        """The contents of a struct as a whole, on first touch by *context*."""
        loc: int = obj._loc
        if loc:
            return loc
        outer = obj._container
        if outer is None:
            key: tuple[Hashable, ...] = ("object", context.key, context.objects)
            context.objects += 1
        else:
            key = ("member", self.object(outer, context), _member_name(outer, obj))
        obj._loc = loc = self.named(*key)
        return loc

    def field(self, obj: Any, field: str, context: Context) -> int:
        """One field of a struct."""
        key = (obj._loc or self.object(obj, context), field)
        loc = self._fields.get(key)
        if loc is None:
            self._count += 1
            loc = self._fields[key] = self._count
        return loc

    def lock(self, obj: Any, context: Context) -> int:
        """Who holds the lock in a struct."""
        whole = obj._loc or self.object(obj, context)
        loc = self._locks.get(whole)
        if loc is None:
            self._count += 1
            loc = self._locks[whole] = self._count
        return loc

    def label(self, obj: Any) -> str:
        """What a report calls an object: its static name, or the type and member it is embedded as."""
        name = self._static.get(obj._loc)
        if name is not None and name.count(".") <= 2:
            return name
        outer = obj._container
        if outer is None:
            return type(obj).__name__
        return f"{type(outer).__name__}.{_member_name(outer, obj)}"

    def number_static(self, roots: Iterable[tuple[str, Any]]) -> None:
        """Number every struct reachable from *roots* (``module:name`` and value), in a fixed order.

        Called once, when the kernel has booted: from then on each of these has its number whoever
        touches it first.
        """
        seen: set[int] = set()
        stack = [(name, value) for name, value in roots][::-1]
        while stack:
            name, value = stack.pop()
            if id(value) in seen:
                continue
            if hasattr(type(value), "_container"):
                seen.add(id(value))
                if not value._loc:
                    value._loc = self.named("static", name)
                self._static[value._loc] = name.rpartition(":")[2]
                stack += [(f"{name}.{slot}", getattr(value, slot)) for slot in _slots(type(value))
                          if slot not in ("_container", "_loc") and hasattr(value, slot)][::-1]
            elif isinstance(value, (list, tuple)):
                seen.add(id(value))
                stack += [(f"{name}[{index}]", item) for index, item in enumerate(value)][::-1]
            elif isinstance(value, dict):
                seen.add(id(value))
                stack += [(f"{name}[{key!r}]" if isinstance(key, (int, str)) else f"{name}[#{index}]", item)
                          for index, (key, item) in enumerate(value.items())][::-1]


def _slots(kind: type) -> tuple[str, ...]:
    return tuple(slot for klass in kind.__mro__ for slot in klass.__dict__.get("__slots__", ()))


def _member_name(outer: Any, obj: Any) -> str:
    for klass in type(outer).__mro__:
        for slot in getattr(klass, "__slots__", ()):
            if slot not in ("_container", "_loc") and getattr(outer, slot, None) is obj:
                return str(slot)
    return f"[{type(obj).__name__}]"
