# SPDX-License-Identifier: GPL-2.0-only
"""Hooks for locks.

Spinlocks and mutexes are locks of the explorer, which knows how to swap critical sections; an rwsem is
fair and has a queue (:mod:`kmm.harness.rwsem`).  A context remembers what it holds, for lockdep's
assertions and for the rule about sleeping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm.harness.context import Held
from kmm.harness.kinds import Kind
from kmm.harness.rwsem import Rwsem

if TYPE_CHECKING:
    from kmm.harness.context import Context
    from kmm.harness.machine import Machine

__all__ = ["LockPort"]

_VERBS = {"spin": "spin_lock", "mutex": "mutex_lock", "rwsem": "down", "rwlock": "lock"}
_SLEEPING = ("mutex", "rwsem")


class LockPort:
    """Implements the lock hooks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._rwsems: dict[int, Rwsem] = {}

    def reset(self) -> None:
        """Nothing is held in a new execution."""
        self._rwsems.clear()

    def _loc(self, obj: Any) -> int:
        return self.machine.locations.lock(obj, self.machine.context)

    def _rwsem(self, obj: Any) -> Rwsem:
        loc = self._loc(obj)
        sem = self._rwsems.get(loc)
        if sem is None:
            sem = self._rwsems[loc] = Rwsem(self.machine, loc)
        return sem

    def _tell(self, context: Context, kind: Kind, obj: Any, text: str = "") -> None:
        recorder = self.machine.recorder
        if recorder is not None:
            recorder.event(context, kind, f"{text} {self.machine.locations.label(obj)}")
            recorder.objects((self._loc(obj),))

    def lock(self, obj: Any, kind: str, *, shared: bool = False) -> None:
        """See :func:`kmm.hooks.lock`."""
        machine = self.machine
        context = machine.context
        if kind in _SLEEPING and not context.may_sleep:
            machine.assert_port.violate(
                "sleep-in-atomic", f"taking a {kind} may sleep, but {context.why_atomic()}")
        if kind == "rwsem":
            self._rwsem(obj).acquire(shared)
        else:
            machine.scheduler.acquire(Kind.LOCK, self._loc(obj), shared)
            machine.resumed(context)
        context.held.append(Held(obj, kind, shared))
        self._tell(context, Kind.LOCK, obj, _VERBS[kind])

    def trylock(self, obj: Any, kind: str, *, shared: bool = False) -> bool:
        """See :func:`kmm.hooks.trylock`."""
        machine = self.machine
        context = machine.context
        if kind == "rwsem":
            taken = self._rwsem(obj).try_acquire(shared)
        else:
            taken = machine.scheduler.try_acquire(Kind.TRYLOCK, self._loc(obj), shared)
            machine.resumed(context)
        if taken:
            context.held.append(Held(obj, kind, shared))
        self._tell(context, Kind.TRYLOCK, obj, f"trylock{'' if taken else ' fails:'}")
        return taken

    def unlock(self, obj: Any, kind: str, *, shared: bool = False) -> None:
        """See :func:`kmm.hooks.unlock`."""
        machine = self.machine
        context = machine.context
        held = next((held for held in reversed(context.held) if held.lock is obj), None)
        if held is None:
            machine.assert_port.violate("lock-not-held",
                                        f"a {kind} is released that this context does not hold")
            return
        if kind == "rwsem":
            self._rwsem(obj).release(shared)
        else:
            machine.scheduler.release(Kind.UNLOCK, self._loc(obj), shared)
            machine.resumed(context)
        context.held = [other for other in context.held if other is not held]   # not before: others look
        self._tell(context, Kind.UNLOCK, obj, "unlock")

    def downgrade(self, obj: Any, kind: str) -> None:
        """See :func:`kmm.hooks.downgrade`."""
        context = self.machine.context
        self._rwsem(obj).downgrade()
        for held in context.held:
            if held.lock is obj:
                held.shared = True
        self._tell(context, Kind.UNLOCK, obj, "downgrade")

    def lock_held(self, obj: Any) -> bool:
        """See :func:`kmm.hooks.lock_held`."""
        return any(held.lock is obj for held in self.machine.context.held)

    def lock_is_locked(self, obj: Any) -> bool:
        """See :func:`kmm.hooks.lock_is_locked`."""
        machine = self.machine
        machine.event(Kind.READ, "lock_is_locked")
        machine.scheduler.read(self._loc(obj))
        return any(held.lock is obj for context in machine.contexts for held in context.held)
