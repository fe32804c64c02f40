# SPDX-License-Identifier: GPL-2.0-only
"""Run actors straight through: the scheduler without the search.

:class:`Straight` answers to the same calls as :class:`kmm_ext.explorer.Core` but records nothing
and explores nothing: an actor runs until it blocks or ends, then the next one that can run does, in
the order of their creation.  Booting uses it, unit tests use it, and the benchmarks measure the
price of exploration against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenlet import getcurrent, greenlet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Straight", "Stuck"]


class Stuck(RuntimeError):
    """No actor can run although some have not ended.

    :ivar waiting: ``(name, what)`` of each blocked actor.
    """

    def __init__(self, waiting: list[tuple[str, str]]) -> None:
        self.waiting = waiting
        super().__init__("no actor can run: " + "; ".join(f"{name} waits for {what}" for name, what in waiting))


class _Process:
    __slots__ = ("blocked", "cpu", "ended", "function", "glet", "irq", "name", "pid", "what")

    def __init__(self, pid: int, name: str, function: Callable[[], None], cpu: int | None, irq: bool) -> None:
        self.pid = pid
        self.name = name
        self.function = function
        self.cpu = cpu
        self.irq = irq
        self.blocked: Callable[[], bool] | None = None
        self.what = ""
        self.ended = False
        self.glet: greenlet | None = None


class Straight:
    """A scheduler that makes one choice everywhere: stay, else the oldest actor that can run."""

    def __init__(self) -> None:
        self.current = -1
        self.violations: list[Any] = []
        self._processes: list[_Process] = []
        self._token: dict[int, int] = {}
        self._locks: dict[int, list[int]] = {}
        self._hub: greenlet | None = None

    # --- what the machine calls -----------------------------------------------------------------

    def spawn(self, function: Callable[[], None], name: str) -> int:
        """Create an actor; it runs when the others have stopped."""
        return self._new(function, name, None, False)

    def spawn_irq(self, function: Callable[[], None], name: str, cpu: int) -> int:
        """Create an interrupt handler: it starts when *cpu* has interrupts on, and holds them off."""
        return self._new(function, name, cpu, True)

    def _new(self, function: Callable[[], None], name: str, cpu: int | None, irq: bool) -> int:
        process = _Process(len(self._processes), name, function, cpu, irq)
        if irq:
            assert cpu is not None
            process.blocked = lambda: cpu not in self._token
            process.what = f"interrupts on CPU{cpu}"
        self._processes.append(process)
        return process.pid

    def bind(self, pid: int, cpu: int) -> None:
        """*pid* runs on *cpu*."""
        self._processes[pid].cpu = cpu

    def mask(self, cpu: int) -> None:
        """The running actor takes *cpu*'s interrupt token."""
        self._token[cpu] = self.current

    def unmask(self, cpu: int) -> None:
        """Give the token back."""
        self._token.pop(cpu, None)

    def step(self, kind: int) -> None:
        """No other actor runs here."""

    def step_when(self, kind: int, condition: Callable[[], bool], locs: Sequence[int]) -> None:
        """Run the others until *condition* holds."""
        while not condition():
            self._block(condition, f"condition {kind}")

    def read(self, loc: int) -> None:
        """Nothing is recorded."""

    write = read

    def acquire(self, kind: int, loc: int, shared: bool = False) -> None:
        """Acquire, running the others until that is possible."""
        while not self.try_acquire(kind, loc, shared):
            self._block(lambda: self._free(loc, shared), f"lock {loc}")

    def _free(self, loc: int, shared: bool) -> bool:
        holders = self._locks.get(loc)
        return not holders or (shared and -1 not in holders)

    def try_acquire(self, kind: int, loc: int, shared: bool = False) -> bool:
        """Acquire if free."""
        if not self._free(loc, shared):
            return False
        self._locks.setdefault(loc, []).append(self.current if shared else -1)
        return True

    def release(self, kind: int, loc: int, shared: bool = False) -> None:
        """Release one hold."""
        self._locks[loc].pop()

    def choose(self, kind: int, n: int) -> int:
        """The first alternative."""
        return 0

    def violation(self, payload: Any) -> None:
        """Remember it; the run goes on."""
        self.violations.append(payload)

    def abort_process(self) -> None:
        """End the running actor."""
        self._processes[self.current].ended = True
        assert self._hub is not None
        self._hub.switch()

    # --- what its owner calls ---------------------------------------------------------------------

    def run(self, program: Callable[[Straight], object]) -> None:
        """Run *program* (it spawns actors), then every actor to its end.

        :raises Stuck: some actor can never go on.
        """
        self._hub = getcurrent()
        program(self)
        while True:
            ready = next((p for p in self._processes
                          if not p.ended and (p.blocked is None or p.blocked()) and self._may_run(p)), None)
            if ready is None:
                break
            self._resume(ready)
        waiting = [(p.name, p.what) for p in self._processes if not p.ended]
        if waiting:
            raise Stuck(waiting)

    def _may_run(self, process: _Process) -> bool:
        owner = self._token.get(process.cpu, process.pid) if process.cpu is not None else process.pid
        return owner == process.pid

    def _resume(self, process: _Process) -> None:
        process.blocked = None
        self.current = process.pid
        if process.irq and process.glet is None:
            assert process.cpu is not None
            self._token[process.cpu] = process.pid
        if process.glet is None:
            process.glet = greenlet(self._body, self._hub)
            process.glet.switch(process)
        else:
            process.glet.switch()

    def _body(self, process: _Process) -> None:
        process.function()
        process.ended = True
        if process.irq:
            self._token.pop(process.cpu if process.cpu is not None else -1, None)

    def _block(self, condition: Callable[[], bool], what: str) -> None:
        process = self._processes[self.current]
        process.blocked = condition
        process.what = what
        assert self._hub is not None
        self._hub.switch()
