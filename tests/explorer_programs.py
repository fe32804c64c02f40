# SPDX-License-Identifier: GPL-2.0-only
"""Programs of known size for the explorer, and a driver that counts what a search does.

The counts come from the literature on optimal exploration (readers, writers, lastzero, indexer and
filesystem are its usual benchmarks) and were confirmed with Nidhugg.  A program is a function of a core
and of the dict that it fills with what its actors saw.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kmm_ext.explorer import Core

if TYPE_CHECKING:
    from collections.abc import Callable

    Program = Callable[[Core, dict[Any, Any]], None]

__all__ = ["Explored", "abba", "explore", "filesystem", "indexer", "lastzero", "locks", "readers", "writers"]


@dataclass
class Explored:
    """What a search did.

    :ivar executions: complete ones, deadlocks included.
    :ivar blocked: redundant ones, cut off by a sleep set.
    :ivar states: final states, as text.
    :ivar traces: of every complete execution, its trace: events of each actor and the order of those that
        conflict.
    """

    executions: int = 0
    blocked: int = 0
    deadlocks: int = 0
    events: int = 0
    states: set[str] = field(default_factory=set)
    traces: list[object] = field(default_factory=list)


def explore(program: Program, mode: str = "source", *, limit: int | None = None, keep_traces: bool = False,
            **options: Any) -> Explored:
    """Run *program* until the tree is empty, or *limit* executions (blocked ones too) have run."""
    core = Core(mode, **options)
    result = Explored()
    while True:
        state: dict[Any, Any] = {}
        status = core.execute(lambda core, state=state: program(core, state))  # type: ignore[misc]
        if status == "blocked":
            result.blocked += 1
        else:
            result.executions += 1
            result.events += core.last_length
            result.deadlocks += status == "deadlock"
            result.states.add(f"{status} {sorted(state.items(), key=repr)}")
            if keep_traces:
                result.traces.append(canonical(core))
        if not core.advance() or (limit is not None and result.executions + result.blocked >= limit):
            return result


def canonical(core: Core) -> tuple[object, ...]:
    """The last execution as a partial order: equal for two executions iff they are the same trace."""
    position: list[tuple[int, int]] = []
    counts: dict[int, int] = {}
    trace = core.trace()
    for pid, *_ in trace:
        position.append((pid, counts.get(pid, 0)))
        counts[pid] = counts.get(pid, 0) + 1
    script = core.schedule()
    return tuple(sorted(
        (position[n], *event[2:], script[n][1],
         tuple(sorted(position[i] for i in range(n) if core.happens_before(i, n))))
        for n, event in enumerate(trace)))


def readers(n: int) -> Program:
    """One writer, *n* readers: each reads before or after the write."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        def writer() -> None:
            core.step(1)
            core.write(1)
            state["x"] = 1

        def reader(i: int) -> None:
            core.step(2)
            core.read(1)
            state[i] = state.get("x", 0)

        core.spawn(writer, "writer")
        for i in range(n):
            core.spawn(lambda i=i: reader(i), f"reader {i}")  # type: ignore[misc]
    return program


def writers(n: int) -> Program:
    """*n* writers of one location: every permutation."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        def writer(i: int) -> None:
            core.step(1)
            core.write(1)
            state["x"] = (*state.get("x", ()), i)

        for i in range(n):
            core.spawn(lambda i=i: writer(i), f"writer {i}")  # type: ignore[misc]
    return program


def lastzero(n: int) -> Program:
    """One actor looks for the last zero of an array while *n* others fill it."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        array = [0] * (n + 1)

        def writer(j: int) -> None:
            core.step(1)
            core.read(j - 1)
            value = array[j - 1]
            core.step(2)
            core.write(j)
            array[j] = value + 1
            state[j] = array[j]

        def reader() -> None:
            i = n
            while True:
                core.step(3)
                core.read(i)
                if array[i] == 0:
                    break
                i -= 1
            state["i"] = i

        core.spawn(reader, "reader")
        for j in range(1, n + 1):
            core.spawn(lambda j=j: writer(j), f"writer {j}")  # type: ignore[misc]
    return program


def indexer(n: int) -> Program:
    """*n* actors insert four values each in a hash table; those of 12 and more collide."""
    size, messages = 128, 4

    def program(core: Core, state: dict[Any, Any]) -> None:
        table = [0] * size

        def inserter(i: int) -> None:
            for message in range(1, messages + 1):
                value = message * 11 + i
                slot = value * 7 % size
                while True:
                    core.step(1)
                    core.read(slot)
                    if table[slot] == 0:
                        core.write(slot)
                        table[slot] = value
                        break
                    slot = (slot + 1) % size

        for i in range(n):
            core.spawn(lambda i=i: inserter(i), f"inserter {i}")  # type: ignore[misc]
    return program


def filesystem(n: int) -> Program:
    """*n* actors allocate a block each for their inode, under a lock per inode and per block."""
    blocks, inodes = 26, 32

    def program(core: Core, state: dict[Any, Any]) -> None:
        inode, busy = [0] * inodes, [False] * blocks

        def creator(i: int) -> None:
            core.acquire(1, 100 + i)
            core.step(2)
            core.read(300 + i)
            if inode[i] == 0:
                block = i * 2 % blocks
                while True:
                    core.acquire(3, 200 + block)
                    core.step(4)
                    core.read(400 + block)
                    if not busy[block]:
                        core.step(5)
                        core.write(400 + block)
                        busy[block] = True
                        core.step(6)
                        core.write(300 + i)
                        inode[i] = block + 1
                        core.release(7, 200 + block)
                        break
                    core.release(8, 200 + block)
                    block = (block + 1) % blocks
            core.release(9, 100 + i)

        for i in range(n):
            core.spawn(lambda i=i: creator(i % inodes), f"creator {i}")  # type: ignore[misc]
    return program


def locks(n: int) -> Program:
    """*n* actors under one lock: every order of their sections."""
    def program(core: Core, state: dict[Any, Any]) -> None:
        def section(i: int) -> None:
            core.acquire(1, 5)
            core.step(2)
            core.read(6)
            core.write(6)
            state["x"] = (*state.get("x", ()), i)
            core.release(3, 5)

        for i in range(n):
            core.spawn(lambda i=i: section(i), f"actor {i}")  # type: ignore[misc]
    return program


def abba(core: Core, state: dict[Any, Any]) -> None:
    """Two locks taken in two orders."""
    def section(first: int, second: int) -> None:
        core.acquire(1, first)
        core.acquire(1, second)
        core.release(2, second)
        core.release(2, first)

    core.spawn(lambda: section(1, 2), "p")
    core.spawn(lambda: section(2, 1), "q")
