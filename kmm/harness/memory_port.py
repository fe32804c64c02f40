# SPDX-License-Identifier: GPL-2.0-only
"""Hooks for memory: loads and stores through the direct map, plain objects, frames, choices.

The direct map is taken to be one to one and always mapped, so kernel code reaches physical memory
without a walk.  What an access of the CPU or a device to any *other* address does is the business of
:mod:`kmm.harness.translations`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.harness.kinds import Kind
from kmm.harness.places import place
from kmm.harness.violation import Place, Violation
from kmm_ext.memory import BusError, FrameState

if TYPE_CHECKING:
    from kmm.harness.machine import Machine

__all__ = ["MemoryPort"]

#: Start of the direct map with 4- and 5-level tables (Documentation/arch/x86/x86_64/mm.rst).
DIRECT_MAP_L4 = 0xFFFF_8880_0000_0000
DIRECT_MAP_L5 = 0xFF11_0000_0000_0000

# As plain numbers: every load and store compares with them.
_FREE = int(FrameState.FREE)
_TABLE = int(FrameState.TABLE)

#: Compound operations by which the slab allocator frees an object.
_FREES = ("kfree", "kvfree", "kmem_cache_free")


def _frames(objects: tuple[Any, ...]) -> tuple[int, ...]:
    """Frames whose descriptors the objects are embedded in: ``pt->pt_list`` is about a table."""
    found = []
    for obj in objects:
        while obj is not None and not hasattr(obj, "_pfn"):
            obj = obj._container
        if obj is not None and obj._pfn not in found:
            found.append(obj._pfn)
    return tuple(found)


class MemoryPort:
    """Implements the memory, object, frame and choice hooks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.memory = machine.memory
        self.base = DIRECT_MAP_L5 if "LA57" in machine.spec.features else DIRECT_MAP_L4
        self.limit = machine.spec.frames << 12
        self.unlinked: dict[int, Place] = {}
        self._links: dict[int, int] = {}
        self._base_links: dict[int, int] = {}

    def physical(self, addr: int) -> int:
        """Physical address of a direct-map address.

        :raises BusError: not a direct-map address of this machine.
        """
        pa = int(addr) - self.base      # a pointer to entries subtracts in entries
        if not 0 <= pa < self.limit:
            raise BusError(pa & 0xFFFF_FFFF_FFFF_FFFF, 8)
        return pa

    def _begin(self, kind: Kind, addr: int, *, writes: bool) -> int:
        pa = self.physical(addr)
        machine = self.machine
        machine.event(kind)
        scheduler, locations, pfn = machine.scheduler, machine.locations, pa >> 12
        if writes:
            scheduler.write(locations.word(pa))
        else:
            scheduler.read(locations.word(pa))
        scheduler.read(locations.frame(pfn))
        if self.memory.state(pfn) == _FREE:
            verb = "writes to" if writes else "reads"
            machine.assert_port.violate("use-after-free", f"{machine.context.name} {verb} a freed frame", pfn=pfn)
        return pa

    def _stored(self, pa: int, old: int, new: int) -> None:
        """An entry may have changed: what the walkers make of it belongs to the same event."""
        machine = self.machine
        if old != new:
            if self.memory.state(pa >> 12) == _TABLE:
                self._relinked(old, new)
            else:
                machine.device_port.structure_stored(pa >> 12)
        machine.translations.after_store(pa, old, new)
        if machine.recorder is not None:
            machine.recorder.store(machine.context, pa, old, new)

    def _relinked(self, old: int, new: int) -> None:
        """Count the links to page tables; a table that nothing links and that is not free is noted."""
        for entry, change in ((old, -1), (new, 1)):
            pfn = (entry & 0x000F_FFFF_FFFF_F000) >> 12
            if not entry & 1 or pfn >= self.memory.frames or self.memory.state(pfn) != _TABLE:
                continue
            self._links[pfn] = self._links.get(pfn, 0) + change
            if change < 0:
                self.unlinked.setdefault(pfn, place(3))
                self.machine.translations.note_unlinked(pfn)

    def leaks(self) -> list[Violation]:
        """Tables that were unlinked, are linked nowhere and were never freed; asked at the end."""
        return [Violation("leak-at-quiescence", "the end", where, "a page table was unlinked and is never freed",
                          {"pfn": pfn}) for pfn, where in self.unlinked.items() if self._links.get(pfn, 0) <= 0]

    def snapshot(self) -> None:
        """Remember the count of links."""
        self._base_links = dict(self._links)

    def restore(self) -> None:
        """Back to the snapshot."""
        self._links = dict(self._base_links)

    def load(self, addr: int, size: int) -> int:
        """See :func:`kmm.hooks.load`."""
        return self.memory.load(self._begin(Kind.LOAD, addr, writes=False), size)

    def store(self, addr: int, size: int, value: int) -> None:
        """See :func:`kmm.hooks.store`."""
        pa = self._begin(Kind.STORE, addr, writes=True)
        old = self.memory.load(pa, size)
        self.memory.store(pa, size, value)
        self._stored(pa, old, value)

    def peek(self, addr: int, size: int) -> int:
        """See :func:`kmm.hooks.peek`."""
        return self.memory.load(self.physical(addr), size)

    def xchg(self, addr: int, size: int, value: int) -> int:
        """See :func:`kmm.hooks.xchg`."""
        pa = self._begin(Kind.XCHG, addr, writes=True)
        old = self.memory.xchg(pa, size, value)
        self._stored(pa, old, value)
        return old

    def cmpxchg(self, addr: int, size: int, old: int, new: int) -> int:
        """See :func:`kmm.hooks.cmpxchg`."""
        pa = self._begin(Kind.CMPXCHG, addr, writes=True)
        seen = self.memory.cmpxchg(pa, size, old, new)
        if seen == old:
            self._stored(pa, old, new)
        return seen

    def atomic_and(self, addr: int, size: int, mask: int) -> int:
        """See :func:`kmm.hooks.atomic_and`."""
        pa = self._begin(Kind.ATOMIC, addr, writes=True)
        old = self.memory.fetch_and(pa, size, mask)
        self._stored(pa, old, old & mask)
        return old

    def atomic_or(self, addr: int, size: int, mask: int) -> int:
        """See :func:`kmm.hooks.atomic_or`."""
        pa = self._begin(Kind.ATOMIC, addr, writes=True)
        old = self.memory.fetch_or(pa, size, mask)
        self._stored(pa, old, old | mask)
        return old

    def fill(self, addr: int, length: int, byte: int) -> None:
        """See :func:`kmm.hooks.fill`."""
        pa = self.physical(addr)
        self.memory.fill(pa, length, byte)
        self.machine.translations.after_fill(pa, length)

    def copy(self, dst: int, src: int, length: int) -> None:
        """See :func:`kmm.hooks.copy`."""
        machine = self.machine
        to, source = self.physical(dst), self.physical(src)
        machine.event(Kind.COPY)
        for offset in range(0, length, 8):
            machine.scheduler.read(machine.locations.word(source + offset))
            machine.scheduler.write(machine.locations.word(to + offset))
        self.memory.copy(to, source, length)
        machine.translations.after_fill(to, length)

    # --- plain objects --------------------------------------------------------------------------------

    def _alive(self, obj: Any, what: str) -> None:
        """Objects of the slab allocator must not be touched after kfree()."""
        outer = obj
        while outer._container is not None:
            outer = outer._container
        if getattr(outer, "freed_by", None):
            self.machine.assert_port.violate(
                "object-use-after-free", f"{what} touches a {type(obj).__name__} after {outer.freed_by}() freed it")

    def read(self, obj: Any, field: str) -> None:
        """See :func:`kmm.hooks.read`."""
        machine = self.machine
        context = machine.event(Kind.READ)
        machine.scheduler.read(machine.locations.field(obj, field, context))
        machine.scheduler.read(machine.locations.object(obj, context))
        self._alive(obj, f"a read of {field}")

    def write(self, obj: Any, field: str) -> None:
        """See :func:`kmm.hooks.write`."""
        machine = self.machine
        context = machine.event(Kind.WRITE)
        machine.scheduler.write(machine.locations.field(obj, field, context))
        machine.scheduler.read(machine.locations.object(obj, context))
        self._alive(obj, f"a write of {field}")

    def mutates(self, obj: Any, what: str = "", writes: tuple[Any, ...] = (), reads: tuple[Any, ...] = ()) -> None:
        """See :func:`kmm.hooks.mutates`."""
        machine = self.machine
        context = machine.event(Kind.MUTATE, what)
        for item in writes:
            machine.scheduler.write(machine.locations.object(item, context))
        for item in reads:
            machine.scheduler.read(machine.locations.object(item, context))
        if what not in _FREES:          # the allocator itself reports a second free
            for item in (*writes, *reads):
                self._alive(item, what)
        if machine.recorder is not None:
            locs = tuple(machine.locations.object(item, context) for item in (*writes, *reads))
            machine.recorder.objects(locs, _frames(writes))

    # --- frames -----------------------------------------------------------------------------------------

    def frames_allocated(self, pfn: int, order: int, gfp: int) -> None:
        """See :func:`kmm.hooks.frames_allocated`."""
        machine = self.machine
        machine.event(Kind.ALLOC)
        for frame in range(pfn, pfn + (1 << order)):
            machine.scheduler.write(machine.locations.frame(frame))
            self.memory.set_state(frame, FrameState.ALLOCATED)
        if machine.recorder is not None:
            machine.recorder.allocated(machine.context, pfn, order)

    def frames_freed(self, pfn: int, order: int) -> None:
        """See :func:`kmm.hooks.frames_freed`."""
        machine = self.machine
        machine.event(Kind.FREE)
        if machine.recorder is not None:
            machine.recorder.freed(machine.context, pfn, order)
        for frame in range(pfn, pfn + (1 << order)):
            machine.scheduler.write(machine.locations.frame(frame))
            if self.memory.state(frame) == FrameState.FREE:
                machine.assert_port.violate("double-free", "a frame is freed that is free already", pfn=frame)
            machine.translations.before_free(frame)
            self.unlinked.pop(frame, None)
            self._links.pop(frame, None)
            self.memory.set_state(frame, FrameState.FREE)
        self.memory.poison(pfn, order)
        for frame in range(pfn, pfn + (1 << order)):
            machine.translations.after_fill(frame << 12, 4096)

    def frame_is_table(self, pfn: int, is_table: bool) -> None:
        """See :func:`kmm.hooks.frame_is_table`."""
        self.machine.scheduler.write(self.machine.locations.frame(pfn))
        self.memory.set_state(pfn, FrameState.TABLE if is_table else FrameState.ALLOCATED)
        if self.machine.recorder is not None and is_table:
            self.machine.recorder.became_table(self.machine.context, pfn)

    def memory_frames(self) -> int:
        """See :func:`kmm.hooks.memory_frames`."""
        return self.machine.spec.frames

    # --- choices ------------------------------------------------------------------------------------------

    def choose(self, label: str, alternatives: int) -> int:
        """See :func:`kmm.hooks.choose`."""
        machine = self.machine
        context = machine.context
        value = machine.scheduler.choose(Kind.CHOOSE, alternatives)
        machine.resumed(context)
        if machine.recorder is not None:
            machine.recorder.event(context, Kind.CHOOSE, f"{label} = {value}")
        return value

    def may_fail(self, label: str, gfp: int) -> bool:
        """See :func:`kmm.hooks.may_fail`."""
        failing = self.machine.spec.failing
        return bool(failing) and label in failing and self.choose(f"{label} fails", 2) == 1
