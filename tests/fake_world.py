# SPDX-License-Identifier: GPL-2.0-only
"""A world for unit tests: every hook, single-threaded, with immediate effects.

Ported code runs sequentially on it, without the machine and the explorer: interrupts of other CPUs are
handled at once, memory is ordinary bytes, nothing caches translations.  Work items and RCU callbacks
are queued and run by :meth:`FakeWorld.run_pending`, so that a test sees both sides of the gap.

Use the ``world`` fixture.  Every hook call stands in ``world.events`` as ``(name, *arguments)``.
A broken rule lands in ``world.violations``; a test that means it takes it out with
:meth:`FakeWorld.expect`, and one that is left over fails the test.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from kmm import hooks, plain
from kmm.c import struct

HARDIRQ_OFFSET = 1 << 16
SOFTIRQ_OFFSET = 1 << 8
POISON = 0xAA
#: Hooks with which scenarios play programs and devices; they need the machine's own MMU.
FOR_SCENARIOS = ("access", "dma", "device")
#: Frees: events of the allocator on an object that may be free already.
FREES = ("kfree", "kvfree", "kmem_cache_free")
LINUX = ("kmm.mm", "kmm.include", "kmm.arch", "kmm.kernel", "kmm.drivers", "kmm.init", "kmm.lib")


class KernelBug(Exception):
    """``BUG()`` was reached."""


class Deadlock(Exception):
    """A lock, a wait or a grace period that can never be over, as only one thing runs."""


class FakeTask:
    """What ``current()`` is until a test sets ``world.task``; looks like a kernel thread."""

    def __init__(self) -> None:
        self.mm = None
        self.active_mm = None
        self.flags = 0
        self.lazy_mm = 0
        self.pid = 1
        self.tgid = 1
        self.pasid_activated = 0
        self.comm = "test"


class FakeWorld:
    """One machine with *cpus* CPUs and *frames* frames of memory.

    :ivar cpu: the CPU that runs now; tests may set it.
    :ivar task: what ``current()`` returns on each CPU.
    :ivar features: what ``cpu_has`` knows.
    :ivar events: every hook call, in order.
    :ivar violations: ``(slug, where, facts)`` of each broken rule.
    :ivar allocated: every frame that is allocated, with the first frame of its block.
    :ivar tables: frames that are page tables.
    """

    def __init__(self, cpus: int = 4, frames: int = 4096) -> None:
        self.cpus = cpus
        self.frames = frames
        self.cpu = 0
        self.task: dict[int, Any] = {cpu: FakeTask() for cpu in range(cpus)}
        self.features = {"PCID", "INVPCID", "PGE", "NX", "GBPAGES", "PSE"}
        self.page_offset = lambda: 0xFFFF_8880_0000_0000
        self.events: list[tuple[Any, ...]] = []
        self.violations: list[tuple[str, str, dict[str, Any]]] = []
        self.allocated: dict[int, int] = {}
        self.tables: dict[int, bool] = {}
        self.workers: list[tuple[str, Callable[[], None]]] = []
        self.callbacks: list[tuple[Any, Callable[[Any], None]]] = []
        self.late_ipis: list[tuple[int, str, Callable[[], None]]] = []
        self.failures: dict[str, int] = {}
        self.choices: list[int] = []
        self.held: list[tuple[Any, str, bool]] = []
        self.devices: dict[tuple[Any, int], int] = {}
        self.cr3 = [0] * cpus
        self.cr4 = [0] * cpus
        self._count = [0] * cpus
        self._irqs_off = [False] * cpus
        self._rcu = [0] * cpus
        self._memory: dict[int, bytearray] = {}

    # --- for tests ------------------------------------------------------------------------------

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        """Arguments of every call of one hook so far."""
        return [event[1:] for event in self.events if event[0] == name]

    def expect(self, slug: str) -> dict[str, Any]:
        """Take the first violation of this rule out; its facts, with ``where``."""
        for index, (rule, where, facts) in enumerate(self.violations):
            if rule == slug:
                del self.violations[index]
                return {"where": where, **facts}
        raise AssertionError(f"no violation {slug!r} among {self.violations}")

    def fail(self, label: str, times: int = 1) -> None:
        """Make the next allocations at *label* fail."""
        self.failures[label] = self.failures.get(label, 0) + times

    def run_pending(self) -> int:
        """Run workers and RCU callbacks, in the order queued, until none is left; how many."""
        ran = 0
        while self.workers or (self.callbacks and not self._rcu[self.cpu]):
            ran += 1
            if self.workers:
                _, function = self.workers.pop(0)
                function()
            else:
                head, callback = self.callbacks.pop(0)
                self._inside(self.cpu, SOFTIRQ_OFFSET, lambda h=head, f=callback: f(h))
        return ran

    def on_cpu(self, cpu: int, function: Callable[[], Any]) -> Any:
        """Call *function* on another CPU, in task context."""
        saved, self.cpu = self.cpu, cpu
        try:
            return function()
        finally:
            self.cpu = saved

    def _inside(self, cpu: int, level: int, function: Callable[[], None]) -> None:
        """Call *function* in an interrupt of *cpu*."""
        saved = self.cpu, self._count[cpu], self._irqs_off[cpu]
        self.cpu = cpu
        self._count[cpu] += level
        if level == HARDIRQ_OFFSET:
            self._irqs_off[cpu] = True
        try:
            function()
        finally:
            self.cpu, self._count[cpu], self._irqs_off[cpu] = saved

    # --- memory ---------------------------------------------------------------------------------

    def _frame(self, addr: int) -> bytearray:
        return self._memory.setdefault(int(addr) >> 12, bytearray(4096))

    def load(self, addr: int, size: int) -> int:
        offset = int(addr) & 4095
        return int.from_bytes(self._frame(addr)[offset:offset + size], "little")

    def store(self, addr: int, size: int, value: int) -> None:
        offset = int(addr) & 4095
        self._frame(addr)[offset:offset + size] = int(value).to_bytes(size, "little")

    def peek(self, addr: int, size: int) -> int:
        return self.load(addr, size)

    def xchg(self, addr: int, size: int, value: int) -> int:
        old = self.load(addr, size)
        self.store(addr, size, value)
        return old

    def cmpxchg(self, addr: int, size: int, old: int, new: int) -> int:
        seen = self.load(addr, size)
        if seen == old:
            self.store(addr, size, new)
        return seen

    def atomic_and(self, addr: int, size: int, mask: int) -> int:
        old = self.load(addr, size)
        self.store(addr, size, old & mask)
        return old

    def atomic_or(self, addr: int, size: int, mask: int) -> int:
        old = self.load(addr, size)
        self.store(addr, size, old | mask)
        return old

    def fill(self, addr: int, length: int, byte: int) -> None:
        for at in range(int(addr), int(addr) + length):
            self._frame(at)[at & 4095] = byte

    def copy(self, dst: int, src: int, length: int) -> None:
        dst, src = int(dst), int(src)
        data = bytes(self._frame(src + n)[(src + n) & 4095] for n in range(length))
        for n, byte in enumerate(data):
            self._frame(dst + n)[(dst + n) & 4095] = byte

    # --- plain objects --------------------------------------------------------------------------

    def _alive(self, obj: Any, what: str) -> None:
        outer = obj
        while isinstance(outer, struct) and outer._container is not None:
            outer = outer._container
        if getattr(outer, "freed_by", None):
            self.violation("use-after-free", what, object=obj, freed_by=outer.freed_by)

    def read(self, obj: object, field: str) -> None:
        self._alive(obj, f"read {field}")

    def write(self, obj: object, field: str) -> None:
        self._alive(obj, f"write {field}")

    def mutates(self, obj: object, what: str, writes: tuple[object, ...],
                reads: tuple[object, ...] = ()) -> None:
        if what in FREES:
            return  # the allocator itself reports a second free
        for touched in (*writes, *reads):
            self._alive(touched, what)

    def wait(self, what: str, condition: Callable[[], bool], *objects: object) -> None:
        while not condition():
            if not self.run_pending():
                raise Deadlock(f"{what}: nothing is left that could make it true")

    # --- frames ---------------------------------------------------------------------------------

    def frames_allocated(self, pfn: int, order: int, gfp: int) -> None:
        for frame in range(pfn, pfn + (1 << order)):
            assert frame not in self.allocated, f"frame {frame:#x} handed out twice"
            self.allocated[frame] = pfn

    def frames_freed(self, pfn: int, order: int) -> None:
        for frame in range(pfn, pfn + (1 << order)):
            if self.allocated.pop(frame, None) is None:
                self.violation("double-free", "frames_freed", pfn=frame)
            self._memory[(self.page_offset() >> 12) + frame] = bytearray([POISON]) * 4096

    def frame_is_table(self, pfn: int, is_table: bool) -> None:
        if is_table:
            self.tables[pfn] = True
        else:
            self.tables.pop(pfn, None)

    def memory_frames(self) -> int:
        return self.frames

    # --- choices --------------------------------------------------------------------------------

    def choose(self, label: str, alternatives: int) -> int:
        return self.choices.pop(0) if self.choices else 0

    def may_fail(self, label: str, gfp: int) -> bool:
        left = self.failures.get(label, 0)
        if left:
            self.failures[label] = left - 1
        return left > 0

    # --- CPU ------------------------------------------------------------------------------------

    def smp_processor_id(self) -> int:
        return self.cpu

    def nr_cpu_ids(self) -> int:
        return self.cpus

    def current(self) -> Any:
        return self.task[self.cpu]

    def local_irq_disable(self) -> None:
        self._irqs_off[self.cpu] = True

    def local_irq_enable(self) -> None:
        self._irqs_off[self.cpu] = False
        for ipi in [late for late in self.late_ipis if late[0] == self.cpu]:
            self.late_ipis.remove(ipi)
            self._inside(self.cpu, HARDIRQ_OFFSET, ipi[2])

    def irqs_disabled(self) -> bool:
        return self._irqs_off[self.cpu]

    def preempt_count_add(self, n: int) -> None:
        self._count[self.cpu] += n

    def preempt_count_sub(self, n: int) -> None:
        self._count[self.cpu] -= n
        assert self._count[self.cpu] >= 0, "preempt count underflow"

    def preempt_count(self) -> int:
        return self._count[self.cpu]

    def cpu_has(self, feature: str) -> bool:
        return feature in self.features

    def invlpg(self, addr: int) -> None:
        pass

    def invpcid(self, kind: int, pcid: int, addr: int) -> None:
        pass

    def read_cr3(self) -> int:
        return self.cr3[self.cpu]

    def write_cr3(self, value: int) -> None:
        self.cr3[self.cpu] = value & ~(1 << 63)

    def read_cr4(self) -> int:
        return self.cr4[self.cpu]

    def write_cr4(self, value: int) -> None:
        self.cr4[self.cpu] = value

    def mmio_read(self, unit: Any, offset: int, size: int) -> int:
        if hasattr(unit, "mmio_read"):
            return int(unit.mmio_read(offset, size))
        return self.devices.get((unit, offset), 0)

    def mmio_write(self, unit: Any, offset: int, size: int, value: int) -> None:
        if hasattr(unit, "mmio_write"):
            unit.mmio_write(offset, size, value)
        else:
            self.devices[unit, offset] = value

    # --- synchronisation --------------------------------------------------------------------------

    def _can_take(self, obj: object, shared: bool) -> bool:
        return all(other is not obj or (shared and other_shared) for other, _, other_shared in self.held)

    def lock(self, obj: object, kind: str, *, shared: bool = False) -> None:
        self._alive(obj, f"lock {kind}")
        if not self._can_take(obj, shared):
            raise Deadlock(f"{kind} {obj!r} is held already")
        self.held.append((obj, kind, shared))

    def trylock(self, obj: object, kind: str, *, shared: bool = False) -> bool:
        self._alive(obj, f"trylock {kind}")
        if not self._can_take(obj, shared):
            return False
        self.held.append((obj, kind, shared))
        return True

    def unlock(self, obj: object, kind: str, *, shared: bool = False) -> None:
        for index in range(len(self.held) - 1, -1, -1):
            held, held_kind, held_shared = self.held[index]
            if held is obj and held_kind == kind and held_shared == shared:
                del self.held[index]
                return
        self.violation("lock-not-held", f"unlock {kind}", object=obj)

    def downgrade(self, obj: object, kind: str) -> None:
        self.unlock(obj, kind)
        self.held.append((obj, kind, True))

    def lock_held(self, obj: object) -> bool:
        return any(held is obj for held, _, _ in self.held)

    def lock_is_locked(self, obj: object) -> bool:
        return self.lock_held(obj)

    def rcu_read_lock(self) -> None:
        self._rcu[self.cpu] += 1

    def rcu_read_unlock(self) -> None:
        self._rcu[self.cpu] -= 1
        assert self._rcu[self.cpu] >= 0, "rcu_read_unlock without rcu_read_lock"

    def call_rcu(self, head: Any, function: Callable[[Any], None]) -> None:
        if any(queued is head for queued, _ in self.callbacks):
            self.violation("rcu-misuse", "call_rcu", detail="queued twice", head=head)
        self.callbacks.append((head, function))

    def synchronize_rcu(self) -> None:
        if self._rcu[self.cpu]:
            raise Deadlock("synchronize_rcu inside a read-side section")

    def send_ipi(self, cpu: int, name: str, handler: Callable[[], None]) -> None:
        if self._irqs_off[cpu]:
            self.late_ipis.append((cpu, name, handler))
        else:
            self._inside(cpu, HARDIRQ_OFFSET, handler)

    def spawn_worker(self, name: str, function: Callable[[], None]) -> None:
        self.workers.append((name, function))

    # --- assertions -------------------------------------------------------------------------------

    def might_sleep(self, where: str) -> None:
        if self._count[self.cpu] or self._irqs_off[self.cpu] or self._rcu[self.cpu]:
            self.violation("sleep-in-atomic", where)

    def lockdep_assert_held(self, obj: object, where: str) -> None:
        if not self.lock_held(obj):
            self.violation("lock-not-held", where, object=obj)

    def bug(self, where: str, condition: str) -> None:
        raise KernelBug(f"{where}: {condition}")

    def warn(self, where: str, condition: str) -> None:
        self.violation("warn", where, condition=condition)

    def violation(self, rule: str, where: str, **facts: Any) -> None:
        self.violations.append((rule, where, facts))


def hook_names() -> list[str]:
    """Every function of :mod:`kmm.hooks` that kernel code may call."""
    return [name for name, value in vars(hooks).items()
            if inspect.isfunction(value) and not name.startswith("_") and name not in FOR_SCENARIOS]


def recorded(world: FakeWorld, name: str) -> Callable[..., Any]:
    """The world's hook *name*, noting each call in ``world.events``."""
    method = getattr(world, name)

    def hook(*args: Any, **kwargs: Any) -> Any:
        world.events.append((name, *args, *kwargs.values()))
        return method(*args, **kwargs)

    hook.__name__ = name
    return hook


class Statics:
    """The static data of the plainly imported kernel, as it was before any test ran."""

    def __init__(self) -> None:
        self.modules: dict[str, dict[str, Any]] = {}
        self.contents: dict[int, tuple[Any, Any]] = {}

    def note(self) -> None:
        """Remember the data of modules that were imported since the last call."""
        for name, module in sorted(linux_modules().items()):
            if name not in self.modules:
                self.modules[name] = {key: value for key, value in vars(module).items()
                                      if not key.startswith("__") or not key.endswith("__")}
                for value in list(self.modules[name].values()):
                    self._reach(value)

    def _reach(self, root: Any) -> None:
        todo = [root]
        while todo:
            value = todo.pop()
            if id(value) in self.contents:
                continue
            if isinstance(value, struct):
                fields = {slot: getattr(value, slot) for slot in _slots(type(value)) if hasattr(value, slot)}
                self.contents[id(value)] = (value, fields)
                todo.extend(fields.values())
            elif type(value) is list:
                self.contents[id(value)] = (value, list(value))
                todo.extend(value)
            elif type(value) is dict:
                self.contents[id(value)] = (value, dict(value))
                todo.extend(value.values())

    def restore(self) -> None:
        """Put everything back."""
        modules = linux_modules()
        for name, values in self.modules.items():
            module = modules[name]
            for key, value in values.items():
                if not isinstance(value, types.ModuleType):
                    setattr(module, key, value)
        for value, contents in self.contents.values():
            if isinstance(value, struct):
                for slot in _slots(type(value)):
                    if slot in contents:
                        setattr(value, slot, contents[slot])
                    elif hasattr(value, slot):
                        delattr(value, slot)
            elif isinstance(value, list):
                value[:] = contents
            else:
                value.clear()
                value.update(contents)


def linux_modules() -> dict[str, types.ModuleType]:
    """Every module of the plain kernel that is loaded, whether a test imported it or another module."""
    found = {name: module for name, module in sys.modules.items() if name.startswith(LINUX)}
    for kernel in plain._kernels:
        found.update({name: module for name, module in kernel.modules.items() if name.startswith(LINUX)})
    return found


def _slots(kind: type) -> list[str]:
    return [slot for klass in reversed(kind.__mro__) for slot in klass.__dict__.get("__slots__", ())]
