# SPDX-License-Identifier: GPL-2.0-only
"""The door between Linux code and the world it runs in.

Linux modules call these functions and nothing else outside their own layer.  A plain import has
no machine behind it: every call raises :class:`NotBooted`.  When a kernel is built, the linker
gives it a *private copy* of this module, and booting the kernel rebinds each name in that copy to
the machine's own method.  So Linux code always writes ``hooks.load(...)``, never
``from kmm.hooks import load``.

**Events.**  A call marked *event* is one scheduling point followed by one atomic effect: the
machine may run other actors *before* the effect, never between the effect and the caller's next
event.  Plain Python between two events is therefore atomic.  What an event touches is what the
explorer calls its footprint; two events of different actors are dependent if their footprints
overlap and one of them writes.

**Context.**  The machine knows, per CPU, what is running (task, softirq, hardirq), the interrupt
flag and the preempt count; ``spin_lock`` and friends change them through these calls as in the
kernel, and the checkers listen.

Signatures are the contract; :mod:`kmm.harness.machine` implements it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NotBooted", "Unported"]


class NotBooted(RuntimeError):
    """Linux code that needs a machine was called in a kernel that was never booted."""

    def __init__(self, name: str) -> None:
        super().__init__(f"hooks.{name}() needs a booted kernel: use kmm.boot(kmm.build(...)), "
                         "not the plainly imported module")


class Unported(NotImplementedError):
    """Execution reached a path of the kernel that kmm does not model.

    :param file: kernel path, e.g. ``mm/memory.c``.
    :param function: C function (or branch of it) that is missing.
    """

    def __init__(self, file: str, function: str) -> None:
        self.file = file
        self.function = function
        super().__init__(f"{file}: {function} is not ported")


def _absent(name: str) -> NoReturn:
    raise NotBooted(name)


# --- memory -----------------------------------------------------------------------------------
# Addresses are kernel virtual addresses in the direct map (PAGE_OFFSET + physical).

def load(addr: int, size: int) -> int:
    """*Event.* Load *size* (1, 2, 4, 8) bytes, little endian, unsigned."""
    _absent("load")


def store(addr: int, size: int, value: int) -> None:
    """*Event.* Store *size* bytes."""
    _absent("store")


def peek(addr: int, size: int) -> int:
    """Load *size* bytes inside a condition of :func:`wait`, which says that it reads them. No event."""
    _absent("peek")


def xchg(addr: int, size: int, value: int) -> int:
    """*Event.* Atomically store *value*; the old contents."""
    _absent("xchg")


def cmpxchg(addr: int, size: int, old: int, new: int) -> int:
    """*Event.* Atomically store *new* if the contents equal *old*; the contents seen."""
    _absent("cmpxchg")


def atomic_and(addr: int, size: int, mask: int) -> int:
    """*Event.* Atomically AND; the old contents (``lock and``, ``lock btr``)."""
    _absent("atomic_and")


def atomic_or(addr: int, size: int, mask: int) -> int:
    """*Event.* Atomically OR; the old contents (``lock or``, ``lock bts``)."""
    _absent("atomic_or")


def fill(addr: int, length: int, byte: int) -> None:
    """Fill memory that nobody else can reach yet (clear_page of a fresh page). No event."""
    _absent("fill")


def copy(dst: int, src: int, length: int) -> None:
    """*Event.* memcpy between direct-map addresses; every 8-byte word of *dst* is one store in it."""
    _absent("copy")


# --- plain objects ----------------------------------------------------------------------------
# Fields that several actors touch without a lock. After the call returns the caller performs the
# access itself, in plain Python: nothing can run in between.

def read(obj: object, field: str) -> None:
    """*Event.* The caller is about to read ``obj.field`` (READ_ONCE, atomic_read, test_bit)."""
    _absent("read")


def write(obj: object, field: str) -> None:
    """*Event.* The caller is about to write or read-modify-write ``obj.field``."""
    _absent("write")


def mutates(obj: object, what: str, writes: tuple[object, ...], reads: tuple[object, ...] = ()) -> None:
    """*Event.* A compound operation on plain objects (``list_add``): *what* names it, *writes* and
    *reads* are the objects whose contents it changes and looks at. The caller then performs it."""
    _absent("mutates")


def wait(what: str, condition: Callable[[], bool], *objects: object) -> None:
    """*Event.* Block until ``condition()`` holds; it may become true only by writes to *objects*
    (each an object passed to :func:`write`/:func:`mutates`, or an ``int`` direct-map address).
    Replaces every ``cpu_relax()`` loop. The event reads *objects*."""
    _absent("wait")


# --- frames -----------------------------------------------------------------------------------

def frames_allocated(pfn: int, order: int, gfp: int) -> None:
    """*Event.* The page allocator hands out ``2**order`` frames. Called before they are filled."""
    _absent("frames_allocated")


def frames_freed(pfn: int, order: int) -> None:
    """*Event.* The page allocator takes back ``2**order`` frames; they are poisoned. This is the
    moment when no agent may hold a translation that leads through them."""
    _absent("frames_freed")


def frame_is_table(pfn: int, is_table: bool) -> None:
    """The page type of a frame became, or stopped being, PGTY_table. No event."""
    _absent("frame_is_table")


def memory_frames() -> int:
    """Number of 4 KiB frames of physical memory, from physical address 0."""
    _absent("memory_frames")


# --- choices ----------------------------------------------------------------------------------

def choose(label: str, alternatives: int) -> int:
    """*Event* (private). One of ``range(alternatives)``; the explorer tries all of them."""
    _absent("choose")


def may_fail(label: str, gfp: int) -> bool:
    """Whether this allocation fails. False unless the scenario asked for failures at *label* or by
    *gfp*; then a :func:`choose`."""
    _absent("may_fail")


# --- CPU state --------------------------------------------------------------------------------

def smp_processor_id() -> int:
    """The CPU the caller runs on."""
    _absent("smp_processor_id")


def nr_cpu_ids() -> int:
    """Number of CPUs of the machine; all are online."""
    _absent("nr_cpu_ids")


def current() -> Any:
    """The running ``task_struct``."""
    _absent("current")


def local_irq_disable() -> None:
    """*Event.* Clear the interrupt flag of this CPU."""
    _absent("local_irq_disable")


def local_irq_enable() -> None:
    """*Event.* Set the interrupt flag; pending interrupts may run from here on."""
    _absent("local_irq_enable")


def irqs_disabled() -> bool:
    """Whether the interrupt flag of this CPU is clear. No event (only this CPU writes it)."""
    _absent("irqs_disabled")


def preempt_count_add(n: int) -> None:
    """Add to the preempt count (``preempt_disable``). *Event* only where it starts an RCU reader."""
    _absent("preempt_count_add")


def preempt_count_sub(n: int) -> None:
    """Subtract from the preempt count."""
    _absent("preempt_count_sub")


def preempt_count() -> int:
    """The preempt count of this CPU, with the kernel's softirq and hardirq bits."""
    _absent("preempt_count")


def cpu_has(feature: str) -> bool:
    """Whether the machine was made with a CPU feature, e.g. ``"PCID"``, ``"PTI"``, ``"LA57"``."""
    _absent("cpu_has")


# --- privileged instructions (events of the CPU's own MMU) --------------------------------------

def invlpg(addr: int) -> None:
    """*Event.* INVLPG."""
    _absent("invlpg")


def invpcid(kind: int, pcid: int, addr: int) -> None:
    """*Event.* INVPCID of type *kind* (0 to 3)."""
    _absent("invpcid")


def read_cr3() -> int:
    """CR3 of this CPU."""
    _absent("read_cr3")


def write_cr3(value: int) -> None:
    """*Event.* MOV to CR3; bit 63 as the SDM says."""
    _absent("write_cr3")


def read_cr4() -> int:
    """CR4 of this CPU."""
    _absent("read_cr4")


def write_cr4(value: int) -> None:
    """*Event.* MOV to CR4."""
    _absent("write_cr4")


def mmio_read(unit: object, offset: int, size: int) -> int:
    """*Event.* Read a device register (*unit* is the handle that the machine gave to the driver)."""
    _absent("mmio_read")


def mmio_write(unit: object, offset: int, size: int, value: int) -> None:
    """*Event.* Write a device register."""
    _absent("mmio_write")


# --- programs and devices: for scenarios, never for kernel code -------------------------------------

def access(addr: int, *, write: bool = False, user: bool = True) -> str:
    """*Event.* A program on this CPU touches *addr* through the MMU; the machine may use whatever
    translation the CPU can hold. One of ``"ok"``, ``"fault"``, ``"stale"``."""
    _absent("access")


def dma(device: int, pasid: int, addr: int, *, write: bool = False) -> str:
    """*Event.* Device number *device* issues a request with *pasid*; the IOMMU may use whatever
    translation it can hold. One of ``"ok"``, ``"fault"``, ``"stale"``."""
    _absent("dma")


def device(number: int) -> Any:
    """The kernel's ``struct device`` of device *number*, as found when the machine booted."""
    _absent("device")


# --- synchronisation -----------------------------------------------------------------------------
# The lock objects are the kernel's own structs; the machine keeps the owner and the queue.

def lock(obj: object, kind: str, *, shared: bool = False) -> None:
    """*Event.* Acquire; blocks until it can. *kind*: ``"spin"``, ``"mutex"``, ``"rwsem"``,
    ``"rwlock"``. An rwsem is fair: a reader queues behind a waiting writer. The caller has already
    changed the preempt count and interrupt flag as that lock demands; sleeping kinds check that
    they may sleep."""
    _absent("lock")


def trylock(obj: object, kind: str, *, shared: bool = False) -> bool:
    """*Event.* Acquire if that is possible at once."""
    _absent("trylock")


def unlock(obj: object, kind: str, *, shared: bool = False) -> None:
    """*Event.* Release."""
    _absent("unlock")


def downgrade(obj: object, kind: str) -> None:
    """*Event.* Turn the caller's exclusive hold of an rwsem into a shared one; waiting readers may
    then enter, no writer can have been in between."""
    _absent("downgrade")


def lock_held(obj: object) -> bool:
    """Whether the caller holds *obj*. No event."""
    _absent("lock_held")


def lock_is_locked(obj: object) -> bool:
    """Whether anyone holds *obj*. *Event* that reads it."""
    _absent("lock_is_locked")


def rcu_read_lock() -> None:
    """Enter an RCU read-side section (*event* at the outermost level)."""
    _absent("rcu_read_lock")


def rcu_read_unlock() -> None:
    """Leave it (*event* at the outermost level)."""
    _absent("rcu_read_unlock")


def call_rcu(head: object, function: Callable[[Any], None]) -> None:
    """*Event.* ``function(head)`` runs in softirq context, once, after every reader that is active
    now has ended."""
    _absent("call_rcu")


def synchronize_rcu() -> None:
    """*Events.* Block until every reader that is active now has ended."""
    _absent("synchronize_rcu")


def send_ipi(cpu: int, name: str, handler: Callable[[], None]) -> None:
    """*Event.* Run ``handler()`` in hardirq context on *cpu*, once, at a moment when that CPU has
    interrupts enabled."""
    _absent("send_ipi")


def spawn_worker(name: str, function: Callable[[], None]) -> None:
    """Part of the current event: start ``function()`` in task context, on a kworker."""
    _absent("spawn_worker")


# --- assertions that checkers hear ----------------------------------------------------------------

def might_sleep(where: str) -> None:
    """The caller may sleep here; a violation in atomic context."""
    _absent("might_sleep")


def lockdep_assert_held(obj: object, where: str) -> None:
    """A violation unless the caller holds *obj*."""
    _absent("lockdep_assert_held")


def bug(where: str, condition: str) -> NoReturn:
    """``BUG()``: a violation that ends this actor."""
    _absent("bug")


def warn(where: str, condition: str) -> None:
    """``WARN``: a violation; the actor goes on."""
    _absent("warn")


def violation(rule: str, where: str, **facts: Any) -> None:
    """Linux-side models report a broken rule of the catalogue by its slug (list corruption...)."""
    _absent("violation")
