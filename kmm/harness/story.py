# SPDX-License-Identifier: GPL-2.0-only
"""From the records of one execution to the story of one finding.

The story is about one frame.  It keeps, of everything that was recorded, the frame's own history
since it was last allocated, and whatever two actors did to each other: shared locks and lists,
invalidations, and the event that broke the rule.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kmm.harness.kinds import INVALIDATIONS, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kmm.harness.recorder import Record, Recorder
    from kmm.harness.violation import Violation

__all__ = ["Story", "tell"]

#: Compound operations on lists that only look.
_LOOKS = ("list_look", "list_empty")
_SHARED = (Kind.LOCK, Kind.TRYLOCK, Kind.UNLOCK, Kind.MUTATE, Kind.WRITE, Kind.READ, Kind.WAIT)


@dataclass(frozen=True, slots=True)
class Story:
    """One finding, told.

    :ivar violation: the rule that was broken.
    :ivar subject: symbolic name of the frame it is about, or "".
    :ivar life: the subject's history, allocation to end, in order.
    :ivar scene: what the actors did to each other up to the violation, in order.
    :ivar missing: the step that was missing, in one sentence, or "".
    """

    violation: Violation
    subject: str
    life: tuple[Record, ...]
    scene: tuple[Record, ...]
    missing: str


def tell(recorder: Recorder, violation: Violation) -> Story:
    """The story of *violation* in what *recorder* holds.

    :raises LookupError: the recorded execution did not break that rule.
    """
    records = recorder.records
    end = next((index for index, record in enumerate(records)
                if any(found.key == violation.key for found in record.violations)), None)
    if end is None:
        raise LookupError(f"the recorded execution does not break {violation.slug}")
    told = next(found for found in records[end].violations if found.key == violation.key)
    pfn = told.facts.get("pfn")
    life = _life(records[:end + 1], pfn) if pfn is not None else ()
    scene = _scene(records, end, pfn)
    return Story(told, recorder.name(pfn) if pfn is not None else "", tuple(life), tuple(scene),
                 _missing(recorder, told, life, records[:end + 1]))


def _life(records: Sequence[Record], pfn: int) -> list[Record]:
    about = [record for record in records if pfn in record.frames
             and (record.frames[0] == pfn or record.what in ("queued", "moved"))]
    births = [index for index, record in enumerate(about) if record.what == "allocated"]
    links = [index for index, record in enumerate(about) if record.what == "linked"]
    as_table = [birth for birth in births if links and birth < links[-1]]
    return about[(as_table or births)[-1]:] if births else about


def _scene(records: Sequence[Record], end: int, pfn: int | None) -> list[Record]:
    """Of what happened while the actors ran: the subject's own life, what two actors shared, and the
    invalidations from the subject's unlinking on."""
    run = [record for record in records[:end + 1] if record.phase == "run"]
    actors_of: dict[int, set[str]] = defaultdict(set)
    for record in run:
        for loc in record.touched:
            actors_of[loc].add(record.actor)
    begin = next((record.seq for record in run if record.what == "unlinked" and record.frames[0] == pfn), 0)
    scene = []
    for record in run:
        mine = pfn is not None and record.frames[:1] == (pfn,) and record.what not in ("cached", "flushed")
        shared = record.kind in _SHARED and record.text not in _LOOKS and any(
            len(actors_of[loc]) > 1 for loc in record.touched)
        flushes = record.kind is Kind.IOMMU and record.what == "" or (
            record.kind in INVALIDATIONS and record.what == "" and record.seq > begin)
        if mine or shared or flushes or record is records[end]:
            scene.append(record)
    return scene


def _missing(recorder: Recorder, violation: Violation, life: Sequence[Record],
             records: Sequence[Record]) -> str:
    agents = violation.facts.get("agents", ())
    if violation.slug != "table-freed-while-cached" or not agents:
        return ""
    who = " and ".join(agents)
    name = recorder.name(violation.facts["pfn"])
    unlinked = max((record.seq for record in life if record.what == "unlinked"), default=None)
    if unlinked is None:
        return f"{name} was never unlinked, so no invalidation could have helped."
    queued = max((record.seq for record in life if record.what == "queued"), default=None)
    before = [record for record in records if record.kind is Kind.IOMMU and record.phase == "run"
              and record.seq < unlinked]
    text = f"no invalidation of {who} lies between the moment {name} was unlinked and the moment it was freed"
    if before:
        text += "; the one that was issued came before the unlink"
    elif queued is not None:
        text += ", although its free was deferred"
    return text[0].upper() + text[1:] + "."
