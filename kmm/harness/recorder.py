# SPDX-License-Identifier: GPL-2.0-only
"""What happened, for people: the story of one execution.

Exploring records nothing.  When a finding is reported, its schedule is replayed in a fresh world
with a :class:`Recorder` attached from the first instruction of the boot, so that every table has a
history.  Frames get symbolic names in the order in which they matter: ``T1``, ``T2``… for page
tables, ``P1``… for other pages.  No raw address leaves this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kmm.harness.context import Level
from kmm.harness.kinds import INVALIDATIONS, Kind
from kmm.harness.places import chain, entry_point, place

if TYPE_CHECKING:
    from kmm.harness.context import Context
    from kmm.harness.violation import Place, Violation

__all__ = ["Record", "Recorder"]

_PRESENT = 1
_LARGE = 1 << 7
_FRAME = 0x000F_FFFF_FFFF_F000


@dataclass(slots=True)
class Record:
    """One event.

    :ivar phase: ``"boot"``, ``"setup"`` or ``"run"``.
    :ivar cpu: the CPU it happened on or for; -1 for a device that works for nobody.
    :ivar irq: it happened in an interrupt.
    :ivar what: a word of the report's vocabulary (``allocated``, ``linked``, ``cached``, ``unlinked``,
        ``flushed``, ``queued``, ``moved``, ``freed``, ``used``) or "" for an event that only a full trace shows.
    :ivar frames: frames it is about, the main one first.
    :ivar touched: locations of shared objects (locks, lists) that it is about.
    """

    seq: int
    phase: str
    actor: str
    cpu: int
    irq: bool
    kind: Kind
    place: Place
    chain: tuple[Place, ...]
    text: str = ""
    what: str = ""
    frames: tuple[int, ...] = ()
    touched: tuple[int, ...] = ()
    violations: list[Violation] = field(default_factory=list)


class Recorder:
    """Collects the records of one world, from boot to the end of an execution."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.phase = "boot"
        self._current: Record | None = None
        self._tables: dict[int, str] = {}
        self._pages: dict[int, str] = {}
        self._is_table: set[int] = set()
        self._ever_table: set[int] = set()

    # --- names ------------------------------------------------------------------------------------

    def name(self, pfn: int) -> str:
        """The symbolic name of a frame: ``T3`` if it was ever a page table, else ``P7``."""
        if pfn in self._ever_table:
            return self._tables.setdefault(pfn, f"T{len(self._tables) + 1}")
        return self._pages.setdefault(pfn, f"P{len(self._pages) + 1}")

    # --- what the machine tells ---------------------------------------------------------------------

    def event(self, context: Context, kind: Kind, text: str = "") -> Record:
        """An event begins."""
        here, places = place(3), tuple(chain(3))
        if kind in INVALIDATIONS:
            here = entry_point(places, here)
        record = Record(len(self.records), self.phase, context.name, context.home,
                        context.level in (Level.HARDIRQ, Level.SOFTIRQ), kind, here, places, text)
        self.records.append(record)
        self._current = record
        return record

    @property
    def _event(self) -> Record:
        """The event that is going on."""
        if self._current is None:
            raise LookupError("nothing has happened yet")
        return self._current

    def objects(self, locs: tuple[int, ...], frames: tuple[int, ...] = ()) -> None:
        """The current event is about these shared objects, and about these frames' descriptors."""
        record = self._event
        record.touched = locs
        if frames:
            record.frames = frames
            record.what = record.what or ("queued" if record.text.startswith("list_add") else "moved")

    def store(self, context: Context, pa: int, old: int, new: int) -> None:
        """The current event changed a word of memory: an entry was linked or unlinked."""
        record = self._event
        frame = pa >> 12
        if frame not in self._is_table:
            return
        if old & _PRESENT and (not new & _PRESENT or (old ^ new) & _FRAME or (old ^ new) & _LARGE):
            record.what = "unlinked"
            record.frames = ((old & _FRAME) >> 12, frame)
        elif new & _PRESENT and not old & _PRESENT:
            record.what = "linked"
            record.frames = ((new & _FRAME) >> 12, frame)

    def allocated(self, context: Context, pfn: int, order: int) -> None:
        """The current event hands out frames."""
        self._is_table.difference_update(range(pfn, pfn + (1 << order)))
        self._label("allocated", pfn)

    def became_table(self, context: Context, pfn: int) -> None:
        """A frame's page type became page table."""
        self._is_table.add(pfn)
        self._ever_table.add(pfn)

    def freed(self, context: Context, pfn: int, order: int) -> None:
        """The current event frees frames."""
        self._label("freed", pfn)

    def cached(self, agent: str, pfn: int, text: str) -> None:
        """An agent may hold an entry that leads to *pfn* from this event on."""
        self._append("cached", agent, pfn, text)

    def dropped(self, agent: str, pfn: int, text: str) -> None:
        """An invalidation took from an agent what leads to *pfn*."""
        self._append("flushed", agent, pfn, text)

    def used(self, agent: str, pfn: int, text: str) -> None:
        """An agent walked *pfn* as a table."""
        self._append("used", agent, pfn, text)

    def violation(self, context: Context, violation: Violation) -> None:
        """A rule was broken by the current event."""
        if not self.records:
            self.event(context, Kind.START)
        self._event.violations.append(violation)

    def _label(self, what: str, pfn: int) -> None:
        self._event.what = what
        self._event.frames = (pfn,)

    def _append(self, what: str, agent: str, pfn: int, text: str) -> None:
        base = self._event
        self.records.append(Record(len(self.records), self.phase, agent, base.cpu, base.irq, base.kind, base.place,
                                   base.chain, text, what, (pfn,)))
