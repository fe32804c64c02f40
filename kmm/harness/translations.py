# SPDX-License-Identifier: GPL-2.0-only
"""What the walkers of a machine hold, and what that means for the explorer and the checkers.

The machine runs in saturating mode: every CPU and every IOMMU holds each translation and each
intermediate entry that it was ever allowed to cache since the last invalidation that covers it
(:class:`kmm_ext.holds.Holds`).  So there are no speculative walks to schedule: what they could have
done is already in the sets, and the moment to check is when a frame is freed.

Footprints.  A store that changes an entry of a table commutes neither with an invalidation that looked at
that table nor with a store that made it reachable; freeing a frame does not commute with what makes an
agent hold it or drop it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kmm.harness.places import place
from kmm.harness.violation import Violation
from kmm_ext.holds import Holds
from kmm_ext.memory import FrameState

if TYPE_CHECKING:
    from kmm.harness.machine import Machine
    from kmm.harness.recorder import Recorder
    from kmm_ext.holds import Effects, Hold, Outcome

__all__ = ["LEVELS", "Translations", "hold_text"]

CR4_PGE = 1 << 7
CR4_PCIDE = 1 << 17
CR3_NOFLUSH = 1 << 63
_PRESENT = 1
_LARGE = 1 << 7

#: The kernel's name of an entry in a table of each level.
LEVELS = {1: "PTE", 2: "PMD", 3: "PUD", 4: "P4D", 5: "PGD"}
#: The kernel's name of a table whose entries are of each level.
TABLES = {1: "PTE table", 2: "PMD table", 3: "PUD table", 4: "P4D table", 5: "PGD"}


_IOMMU_CONTEXT = re.compile(r"^(.+)/did(\d+)/pasid(\d+)$")


def agent(context: str) -> str:
    """A context's name for people: ``dmar0 PASID 1``, ``CPU0 PCID 1``."""
    match = _IOMMU_CONTEXT.match(context)
    return f"{match[1]} PASID {match[3]}" if match else context


def hold_text(hold: Hold) -> str:
    """What an agent holds, in the kernel's words: the entry that leads to the table."""
    if hold.kind == "root":
        return "root"
    return f"{LEVELS.get(hold.level + 1, 'entry')} entry"


class Translations:
    """The CPUs' registers and every agent's holds."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.holds = Holds(machine.memory, levels=5 if "LA57" in machine.spec.features else 4)
        cpus = machine.spec.cpus
        self.cr3 = [0] * cpus
        self.cr4 = [CR4_PGE] * cpus
        self._agents = [self.holds.agent(f"CPU{cpu}") for cpu in range(cpus)]
        self._contexts: dict[tuple[int, int], int] = {}
        self._told: dict[int, list[str]] = {}
        self._dangling: dict[int, None] = {}
        self._base: tuple[list[int], list[int], dict[tuple[int, int], int]] = ([], [], {})

    # --- the CPUs' instructions -----------------------------------------------------------------------

    def _context(self, cpu: int, pcid: int) -> int:
        context = self._contexts.get((cpu, pcid))
        if context is None:
            name = f"CPU{cpu} PCID {pcid}" if "PCID" in self.machine.spec.features else f"CPU{cpu}"
            context = self._contexts[cpu, pcid] = self.holds.context(name, agent=self._agents[cpu], tag=pcid)
        return context

    def _current(self, cpu: int) -> int:
        return self._context(cpu, self.cr3[cpu] & 0xFFF if self.cr4[cpu] & CR4_PCIDE else 0)

    def invlpg(self, cpu: int, addr: int) -> None:
        """INVLPG on *cpu*."""
        self.holds.invlpg(self._current(cpu), addr)
        self.after_invalidation()

    def invpcid(self, cpu: int, kind: int, pcid: int, addr: int) -> None:
        """INVPCID on *cpu*."""
        self.holds.invpcid(self._agents[cpu], kind, pcid, addr)
        self.after_invalidation()

    def write_cr3(self, cpu: int, value: int) -> None:
        """MOV CR3 on *cpu*: bit 63 keeps what the new PCID holds (with PCIDs on)."""
        keep = bool(value & CR3_NOFLUSH) and bool(self.cr4[cpu] & CR4_PCIDE)
        self.cr3[cpu] = value & ~CR3_NOFLUSH
        context = self._current(cpu)
        self.holds.mov_cr3(context, value & ~CR3_NOFLUSH, flush=not keep)
        self.after_invalidation()
        if keep and self._dangling:
            self._reloaded(context)

    def _reloaded(self, context: int) -> None:
        """A PCID is loaded again without a flush: what it kept must not lead through freed tables."""
        machine = self.machine
        for hold in self.holds.strays(context):
            if hold.kind == "intermediate" and hold.pfn in self._dangling:
                name = agent(hold.context)
                machine.report(Violation(
                    "freed-table-walked", machine.context.name, place(4),
                    f"{name} is loaded again without a flush and still holds the {hold_text(hold)} that led to "
                    "a freed table", {"pfn": hold.pfn, "agents": [name]}))

    def write_cr4(self, cpu: int, value: int) -> None:
        """MOV CR4 on *cpu*: a change of PGE, or clearing PCIDE, drops everything (SDM 4.10.4.1)."""
        old = self.cr4[cpu]
        self.cr4[cpu] = value
        if (old ^ value) & CR4_PGE or (old & ~value) & CR4_PCIDE:
            self.holds.flush_all(self._agents[cpu])
        self.after_invalidation()

    # --- accesses of programs and devices ----------------------------------------------------------------

    def cpu_outcomes(self, cpu: int, addr: int, *, write: bool, user: bool) -> list[Outcome]:
        """How an access on *cpu* may end, given all that the CPU can hold."""
        return self.holds.access(self._current(cpu), addr, write=write, user=user)

    def depends_on(self, contexts: list[int], addr: int) -> None:
        """The current event walks for *addr*: it depends on every table that may take part."""
        machine = self.machine
        scheduler = machine.scheduler
        for context in contexts:
            for hold in self.holds.holds_of(context):
                span = 1 << (12 + 9 * hold.level)
                if hold.kind == "leaf" or not hold.va <= addr < hold.va + span:
                    continue
                index = (addr >> (12 + 9 * (hold.level - 1))) & 511
                scheduler.read(machine.locations.word((hold.pfn << 12) + index * 8))
                scheduler.read(machine.locations.entries(hold.pfn))
                scheduler.read(machine.locations.held(hold.pfn))
                scheduler.read(machine.locations.frame(hold.pfn))

    def pasid_contexts(self, unit: str, pasid: int) -> list[int]:
        """The contexts in which *unit* translates for *pasid*."""
        return [number for name, number in self.holds.contexts_by_name.items()
                if (match := _IOMMU_CONTEXT.match(name)) and match[1] == unit and int(match[3]) == pasid]

    def cpu_contexts(self, cpu: int) -> list[int]:
        """The context that *cpu* translates in now."""
        return [self._current(cpu)]

    def strays(self, outcome: Outcome) -> list[int]:
        """Frames that this way of an access reads as page tables although they were freed meanwhile."""
        frames = [pa >> 12 for pa, _, _ in outcome.writes]
        if outcome.via is not None and outcome.via.kind != "leaf":
            frames.append(outcome.via.pfn)
        return [pfn for pfn in dict.fromkeys(frames) if pfn in self._dangling]

    def badness(self, outcome: Outcome) -> tuple[int, int, int]:
        """Orders outcomes: what an adversary picks comes last."""
        return (len(self.strays(outcome)), sum(pa >> 12 in self._dangling for pa, _, _ in outcome.writes),
                outcome.via is not None)

    def is_dangling(self, pfn: int) -> bool:
        """Whether *pfn* was freed while somebody held it as a table, and may still be walked."""
        return pfn in self._dangling

    def after_walk(self) -> None:
        """A walk wrote Accessed or Dirty bits within the current event."""
        effects = self.holds.take_effects()
        if effects.added:
            self._added(effects)

    # --- what follows from an event ----------------------------------------------------------------------

    def after_store(self, pa: int, old: int, new: int) -> None:
        """A word of memory changed within the current event."""
        machine = self.machine
        if old != new and (old | new) & _PRESENT:
            machine.scheduler.write(machine.locations.entries(pa >> 12))
        effects = self.holds.take_effects()
        if effects.added:
            self._added(effects)

    def after_fill(self, pa: int, length: int) -> None:
        """Many words changed within the current event."""
        machine = self.machine
        for pfn in range(pa >> 12, (pa + length + 4095) >> 12):
            machine.scheduler.write(machine.locations.entries(pfn))
        effects = self.holds.take_effects()
        if effects.added:
            self._added(effects)

    def _added(self, effects: Effects) -> None:
        machine = self.machine
        for pfn in effects.added:
            machine.scheduler.write(machine.locations.held(pfn))
            machine.scheduler.read(machine.locations.entries(pfn))      # all below it was looked at
            machine.scheduler.read(machine.locations.frame(pfn))
            if machine.memory.state(pfn) == FrameState.FREE:
                agents = self._agents_holding(pfn)
                machine.report(Violation(
                    "freed-table-walked", machine.context.name, place(3),
                    f"{' and '.join(agents)} may walk a frame that is not allocated",
                    {"pfn": pfn, "agents": agents}))
        if machine.recorder is not None:
            for pfn in effects.added:
                for hold in self.holds.holders(pfn, leaves=False):
                    machine.recorder.cached(agent(hold.context), pfn, hold_text(hold))

    def after_invalidation(self) -> None:
        """Translations were dropped within the current event."""
        machine = self.machine
        effects = self.holds.take_effects()
        read, entries = machine.scheduler.read, machine.locations.entries
        for pfn in effects.scanned:
            read(entries(pfn))
        for pfn in effects.dropped:
            machine.scheduler.write(machine.locations.held(pfn))
        if machine.recorder is not None:
            self._tell_dropped(machine.recorder)
        if effects.added:
            self._added(effects)

    def _tell_dropped(self, recorder: Recorder) -> None:
        """Record who no longer holds a table that was unlinked."""
        for pfn in self.machine.memory_port.unlinked:
            now = self._agents_holding(pfn)
            for name in self._told.get(pfn, ()):
                if name not in now:
                    recorder.dropped(name, pfn, "entry")
            self._told[pfn] = now

    def note_unlinked(self, pfn: int) -> None:
        """A table was unlinked; remember who may still hold the entry (only while recording)."""
        if self.machine.recorder is not None:
            self._told[pfn] = self._agents_holding(pfn)

    def _agents_holding(self, pfn: int) -> list[str]:
        return list(dict.fromkeys(agent(hold.context) for hold in self.holds.holders(pfn, leaves=False)))

    def before_free(self, pfn: int) -> None:
        """Check that no agent can still walk *pfn* as a table; it is freed by the current event."""
        machine = self.machine
        machine.scheduler.read(machine.locations.held(pfn))
        everyone = self.holds.holders(pfn, leaves=False, inactive=True)
        if everyone:
            self._dangling[pfn] = None
        else:
            self._dangling.pop(pfn, None)
        holds = [hold for hold in everyone if hold.active]
        if not holds:
            return
        live = [hold for hold in holds if self._linked(hold)]
        agents = list(dict.fromkeys(agent(hold.context) for hold in (live or holds)))
        level = TABLES.get(holds[0].level, "table")
        who = " and ".join(agents)
        if live:
            slug, text = "table-freed-while-linked", f"a {level} is freed that {who} can reach"
        else:
            slug = "table-freed-while-cached"
            text = f"a {level} is freed while {who} may hold the entry that led to it"
        machine.report(Violation(slug, machine.context.name, place(4), text,
                                 {"pfn": pfn, "agents": agents, "level": level}))

    def _linked(self, hold: Hold) -> bool:
        """Whether memory still leads from a root of the hold's context to its table."""
        context = self.holds.contexts_by_name[hold.context]
        for root in self.holds.holds_of(context):
            if root.kind != "root":
                continue
            pfn, level = root.pfn, root.level
            while level > hold.level and pfn < self.machine.memory.frames:
                entry = self.machine.memory.load((pfn << 12) + ((hold.va >> (12 + 9 * (level - 1))) & 511) * 8, 8)
                if not entry & _PRESENT or entry & _LARGE and level < 4:
                    break
                pfn = (entry & 0x000F_FFFF_FFFF_F000) >> 12
                level -= 1
            if level == hold.level and pfn == hold.pfn:
                return True
        return False

    def at_quiescence(self) -> None:
        """Every actor has ended."""

    # --- reset ------------------------------------------------------------------------------------------

    def snapshot(self) -> None:
        """Remember the registers; the holds follow the memory's own snapshot."""
        self._base = (list(self.cr3), list(self.cr4), dict(self._contexts))

    def restore(self) -> None:
        """Back to the snapshot."""
        cr3, cr4, contexts = self._base
        self.cr3[:] = cr3
        self.cr4[:] = cr4
        self._contexts = dict(contexts)
        self._dangling.clear()
        self.holds.take_effects()
