# SPDX-License-Identifier: GPL-2.0-only
"""Generated programs for the explorer: nested tuples, so that a failing one can be pasted into a test.

A program is a tuple of actors ``(cpu, operations)``; :func:`perform` says what an operation means,
:func:`begin` starts a program on a core, :func:`generate` makes one from a number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmm_ext.explorer import Core

__all__ = ["World", "begin", "generate"]

LOCATIONS = (0, 1, 2)
LOCKS = (10, 11)
CPUS = (0, 1)


# --- programs --------------------------------------------------------------------------------------

@dataclass
class World:
    """What the actors of one execution share and saw."""

    core: Core
    memory: dict[int, int] = field(default_factory=lambda: dict.fromkeys(LOCATIONS, 0))
    held: dict[int, list[bool]] = field(default_factory=lambda: {lock: [] for lock in LOCKS})
    logs: dict[str, list[Any]] = field(default_factory=dict)


def start(world: World, name: str, cpu: int, ops: Any, irq: bool = False) -> None:
    """Create the actor *name* that performs *ops*, on *cpu* unless that is -1."""
    log = world.logs[name] = []
    if irq:
        world.core.spawn_irq(lambda: perform(world, name, cpu, ops, log), name, cpu)
        return
    pid = world.core.spawn(lambda: perform(world, name, cpu, ops, log), name)
    if cpu >= 0:
        world.core.bind(pid, cpu)


def holds(memory: dict[int, int], terms: Any) -> bool:
    """Whether every ``(location, relation, value)`` is true."""
    return all({"==": memory[loc] == value, ">=": memory[loc] >= value, "!=": memory[loc] != value}[relation]
               for loc, relation, value in terms)


def perform(world: World, name: str, cpu: int, ops: Any, log: list[Any]) -> None:
    """Interpret *ops*; each is one event, but for those with a body."""
    core, memory, held = world.core, world.memory, world.held
    for op in ops:
        match op:
            case ("read", *locs):
                core.step(1)
                for loc in locs:
                    core.read(loc)
                log.append(tuple(memory[loc] for loc in locs))
            case ("write", loc, value):
                core.step(2)
                core.write(loc)
                memory[loc] = value
            case ("add", loc):
                core.step(3)
                core.write(loc)
                memory[loc] += 1
            case ("copy", source, target):
                core.step(4)
                core.read(source)
                core.write(target)
                memory[target] = memory[source] * 3 + 1
            case ("lock", lock, shared):
                core.acquire(5, lock, shared)
                assert not any(not mode or not shared for mode in held[lock])
                held[lock].append(shared)
            case ("unlock", lock, shared):
                core.release(6, lock, shared)
                held[lock].remove(shared)
            case ("try", lock, shared, body):
                taken = core.try_acquire(7, lock, shared)
                assert taken == (not any(not mode or not shared for mode in held[lock]))
                log.append(taken)
                if taken:
                    held[lock].append(shared)
                    perform(world, name, cpu, body, log)
                    core.release(6, lock, shared)
                    held[lock].remove(shared)
            case ("choose", n):
                log.append(core.choose(8, n))
            case ("pick", *locs):
                loc = locs[core.choose(9, len(locs))]
                core.write(loc)
                memory[loc] += 1
            case ("look", *locs):
                loc = locs[core.choose(10, len(locs))]
                core.read(loc)
                log.append((loc, memory[loc]))
            case ("await", *terms):
                core.step_when(11, lambda terms=terms: holds(memory, terms), [term[0] for term in terms])  # type: ignore[misc]
                assert holds(memory, terms)
                log.append(tuple(memory[term[0]] for term in terms))
            case ("if", loc, value, body):
                core.step(12)
                core.read(loc)
                if memory[loc] == value:
                    perform(world, name, cpu, body, log)
            case ("spawn", on, body):
                core.step(13)
                log.append("spawn")
                start(world, f"{name}.{len(log)}", on, body)
            case ("irq", on, body):
                core.step(14)
                log.append("irq")
                start(world, f"{name}.{len(log)}", on, body, irq=True)
            case ("mask", body):
                core.step(15)
                core.mask(cpu)
                perform(world, name, cpu, body, log)
                core.step(16)
                core.unmask(cpu)
            case ("abort",):
                core.step(17)
                core.abort_process()
            case _:
                raise AssertionError(op)


def begin(program: Any, core: Core, padding: int = 0) -> World:
    """Start *program*; called once in each execution.

    :param padding: events of one more actor, before it starts the others.
    """
    world = World(core)

    def start_all() -> None:
        for number, (cpu, ops) in enumerate(program):
            start(world, f"a{number}", cpu, ops)

    def pad() -> None:
        for _ in range(padding):
            core.step(18)
        start_all()

    if padding:
        core.spawn(pad, "padding")
    else:
        start_all()
    return world


# --- the generator ---------------------------------------------------------------------------------

class Dice:
    """A small generator of numbers, the same on every platform."""

    def __init__(self, seed: int) -> None:
        self.state = (seed * 0x9E3779B97F4A7C15 + 0x1234567) % (1 << 64)

    def below(self, n: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n

    def of(self, items: Any) -> Any:
        return items[self.below(len(items))]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


# Each flavour is a list of kinds of operation, repeated by weight.
FLAVOURS = {
    "memory": ["read", "write", "add", "copy", "read2"],
    "locks": ["lock", "lock", "slock", "try", "stry", "chain", "read", "add", "write"],
    "choices": ["choose", "pick", "look", "read", "write", "add", "if"],
    "waits": ["await", "await", "add", "add", "write", "read", "if"],
    "moments": ["await", "await2", "write", "write", "write", "add", "lock"],
    "spawns": ["spawn", "spawn", "read", "write", "add", "await", "lock"],
    "interrupts": ["irq", "irq", "mask", "mask", "read", "write", "add", "await"],
    "sections": ["lock", "slock", "chain", "leak", "try", "stry", "mask", "irq", "add", "read"],
    "stuck": ["lock", "slock", "leak", "leak", "await", "await2", "mask", "irq", "abort", "write"],
    "everything": ["read", "write", "add", "copy", "read2", "lock", "slock", "try", "stry", "chain", "choose", "pick",
                   "look", "await", "await2", "if", "spawn", "irq", "mask", "abort", "leak"],
}


def generate(seed: int, size: int) -> Any:
    """Program number *seed*: two to four actors, about *size* events in all."""
    dice = Dice(seed)
    kinds = FLAVOURS[dice.of(sorted(FLAVOURS))]
    locations = LOCATIONS[:2 + dice.below(2)]
    actors = 2 + dice.below(3)
    budget = [size]
    program = []
    for number in range(actors):
        cpu = dice.of((-1, 0, 1)) if "mask" in kinds else -1
        wanted = max(1, min(4, budget[0] - (actors - number - 1), 1 + dice.below(4)))
        program.append((cpu, body(dice, kinds, locations, cpu, wanted, budget, frozenset(), 0)))
    return tuple(program)


def body(dice: Dice, kinds: list[str], locations: tuple[int, ...], cpu: int, wanted: int, budget: list[int],
         held: frozenset[int], depth: int) -> Any:
    """About *wanted* operations of an actor that holds the locks *held* (-1: masks interrupts)."""
    ops: list[Any] = []

    def inner(more: frozenset[int] = frozenset(), on: int = cpu, keep: bool = True) -> Any:
        return body(dice, kinds, locations, on, 1 + dice.below(2), budget, held | more if keep else more, depth + 1)

    while wanted > 0 and budget[0] > 0:
        wanted -= 1
        budget[0] -= 1
        kind = dice.of(kinds)
        loc, other = dice.of(locations), dice.of(locations)
        lock = dice.of(LOCKS)
        if depth > 1 and kind in ("lock", "slock", "try", "stry", "chain", "spawn", "irq", "mask", "if"):
            kind = "add"
        if kind in ("lock", "slock", "try", "stry", "chain") and lock in held:
            kind = "write"
        if kind == "mask" and (cpu < 0 or -1 in held):
            kind = "read"
        match kind:
            case "read":
                ops.append(("read", loc))
            case "read2":
                ops.append(("read", *sorted({loc, other})))
            case "write":
                ops.append(("write", loc, dice.below(3)))
            case "add" | "copy" | "pick" | "look" if kind == "add":
                ops.append(("add", loc))
            case "copy":
                ops.append(("copy", loc, other))
            case "pick" | "look":
                ops.append((kind, *sorted({loc, other})))
            case "lock" | "slock":
                shared = kind == "slock"
                ops += [("lock", lock, shared), *inner(frozenset({lock})), ("unlock", lock, shared)]
            case "chain":               # hand over hand
                if held:
                    ops.append(("write", loc, 1))
                else:
                    first, second = (LOCKS if dice.chance(50) else LOCKS[::-1])
                    ops += [("lock", first, False), ("lock", second, False), ("unlock", first, False), ("add", loc),
                            ("unlock", second, False)]
                    budget[0] -= 2
            case "try" | "stry":
                ops.append(("try", lock, kind == "stry", inner(frozenset({lock}))))
            case "choose":
                ops.append(("choose", 2 + dice.below(2)))
            case "await":
                ops.append(("await", (loc, dice.of((">=", "==", "!=", ">=")), dice.below(3))))
            case "await2":
                ops.append(("await", (loc, "==", dice.below(3)), (other, dice.of(("==", "!=")), dice.below(3))))
            case "if":
                ops.append(("if", loc, dice.below(2), inner()))
            case "spawn":
                on = dice.of((-1, 0, 1)) if "mask" in kinds else -1
                ops.append(("spawn", on, inner(on=on, keep=False)))
            case "irq":
                on = cpu if cpu >= 0 and dice.chance(60) else dice.of(CPUS)
                ops.append(("irq", on, inner(frozenset({-1}), on=on, keep=False)))
            case "mask":
                ops.append(("mask", inner(frozenset({-1}))))
            case "abort":
                ops.append(("abort",))
            case "leak":
                if not held:
                    ops.append(("lock", lock, dice.chance(50)))
                    break
    return tuple(ops)
