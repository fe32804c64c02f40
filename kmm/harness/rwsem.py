# SPDX-License-Identifier: GPL-2.0-only
"""A fair reader-writer semaphore, as kernel/locking/rwsem.c behaves.

Asking and getting are two events when the semaphore is taken: who asks first is served first, so a
reader queues behind a writer that waits, and a nested read lock can deadlock behind it.  A try-lock for
reading fails while anybody waits (``RWSEM_READ_FAILED_MASK``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kmm.harness.kinds import Kind

if TYPE_CHECKING:
    from kmm.harness.machine import Machine

__all__ = ["Rwsem"]


@dataclass(slots=True)
class _Waiter:
    shared: bool
    granted: bool = False


@dataclass(slots=True)
class Rwsem:
    """One semaphore in one execution.

    :ivar loc: its location.
    """

    machine: Machine
    loc: int
    readers: int = 0
    writer: bool = False
    queue: list[_Waiter] = field(default_factory=list)

    def _free(self, shared: bool) -> bool:
        return not self.queue and not self.writer and (shared or not self.readers)

    def _touch(self, shared: bool) -> None:
        if shared and not self.queue and not self.writer:
            self.machine.scheduler.read(self.loc)       # readers among themselves commute
        else:
            self.machine.scheduler.write(self.loc)

    def _take(self, shared: bool) -> None:
        if shared:
            self.readers += 1
        else:
            self.writer = True

    def acquire(self, shared: bool) -> None:
        """Ask, and wait until it is granted."""
        machine = self.machine
        context = machine.event(Kind.LOCK)
        self._touch(shared)
        if self._free(shared):
            self._take(shared)
            return
        waiter = _Waiter(shared)
        self.queue.append(waiter)
        machine.scheduler.step_when(Kind.LOCK, lambda: waiter.granted, (self.loc,))
        machine.resumed(context)

    def try_acquire(self, shared: bool) -> bool:
        """Take it if nobody holds it in a way that excludes, and nobody waits."""
        self.machine.event(Kind.TRYLOCK)
        self._touch(shared)
        if not self._free(shared):
            return False
        self._take(shared)
        return True

    def release(self, shared: bool) -> None:
        """Give it back and serve the queue."""
        self.machine.event(Kind.UNLOCK)
        self._touch(shared)
        if shared:
            self.readers -= 1
        else:
            self.writer = False
        self._serve()

    def downgrade(self) -> None:
        """From writer to reader; readers at the head of the queue enter."""
        self.machine.event(Kind.UNLOCK)
        self.machine.scheduler.write(self.loc)
        self.writer = False
        self.readers += 1
        self._serve()

    def _serve(self) -> None:
        while self.queue and not self.writer and (self.queue[0].shared or not self.readers):
            waiter = self.queue.pop(0)
            waiter.granted = True
            self._take(waiter.shared)
