# SPDX-License-Identifier: GPL-2.0-only
"""Counterexamples for people: shaped like KASAN's, narrow enough for a commit message.

A report is plain text of at most 75 columns.  Colour is laid over it by the command line.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

from kmm.harness.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kmm.harness.recorder import Record, Recorder
    from kmm.harness.story import Story

__all__ = ["WIDTH", "diagram", "life_lines", "render"]

WIDTH = 75
_DESCRIPTOR = re.compile(r"^(?P<what>pasid iotlb|pasid device tlb) .*pasid (?P<pasid>\d+)(?:.* ih (?P<ih>\d))?")
_WORDS = {"allocated": "allocated", "linked": "linked", "cached": "may be cached", "unlinked": "unlinked",
          "flushed": "flushed", "queued": "queued", "moved": "moved", "freed": "freed", "used": "used"}


def describe(recorder: Recorder, record: Record, subject: int | None = None) -> str:
    """One record in words, with symbolic names."""
    names = [recorder.name(pfn) for pfn in record.frames]
    match record.what:
        case "allocated":
            return f"alloc {names[0]}"
        case "freed":
            return f"free {names[0]}"
        case "linked":
            return f"link {names[0]} into {names[1]}"
        case "unlinked":
            return f"unlink {names[0]} from {names[1]}"
        case "queued" | "moved":
            return f"{record.text} {names[0]}"
        case "cached":
            return f"may cache {record.text} -> {names[0]}"
        case "flushed":
            return f"drops {record.text} -> {names[0]}"
        case "used":
            return f"{record.text} {names[0]}"
    if record.kind is Kind.IOMMU:
        return descriptor(record.text)
    return record.text or record.kind.name.lower()


def descriptor(text: str) -> str:
    """An invalidation descriptor in a report's words: no addresses, kernel terms."""
    match = _DESCRIPTOR.match(text)
    if match is None:
        return text
    what = {"pasid iotlb": "IOTLB", "pasid device tlb": "device TLB"}[match["what"]]
    return f"{what} invalidation, PASID {match['pasid']}" + (f", IH={match['ih']}" if match["ih"] else "")


def life_lines(recorder: Recorder, story: Story) -> list[str]:
    """The subject's history: one line a step, in KASAN's order; agents that do the same share a line."""
    steps: list[tuple[str, list[str], str]] = []
    for record in story.life:
        what = _WORDS.get(record.what)
        if what is None:
            continue
        hardware = record.what in ("cached", "flushed", "used")
        actor = record.actor if hardware else _column(record)
        if record.phase != "run":
            actor += f" ({record.phase})"
        where = f"{record.place.function}() {record.place.file}"
        if hardware:
            where = record.text if record.what != "flushed" else f"by {where}"
        if steps and steps[-1][0] == what and steps[-1][2] == where:
            if actor not in steps[-1][1]:
                steps[-1][1].append(actor)
        else:
            steps.append((what, [actor], where))
    lines = []
    for what, actors, where in steps:
        who = ", ".join(actors)
        lines += textwrap.wrap(f"{who}: {where}", WIDTH, initial_indent=f"  {what:<14}", subsequent_indent=" " * 18)
    return lines


def _column(record: Record) -> str:
    return f"CPU{record.cpu}" if record.cpu >= 0 else record.actor


def diagram(recorder: Recorder, story: Story) -> list[str]:
    """The interleaving, one column a CPU, under 75 columns wide."""
    scene = _fold(story.scene)
    columns = sorted({_column(record) for record in scene}) if scene else []
    if not columns:
        return []
    width = max(14, (WIDTH - 3 * (len(columns) - 1)) // len(columns))
    rows: list[list[str]] = []
    current: dict[str, tuple[str, str]] = {}
    for record in scene:
        name = _column(record)
        column = columns.index(name)
        function = f"{record.place.function}()" if record.place.file else ""
        cells = []
        if (record.actor, function) != current.get(name):
            current[name] = (record.actor, function)
            if record.irq or record.actor.upper() != name.upper():
                cells.append("<IRQ>" if record.irq else f"<{record.actor.partition(' ')[0]}>")
            if function:
                cells.append(function)
        text = describe(recorder, record)
        if record.violations:
            text += "  <--"
        cells.append(f"  {text}")
        for cell in cells:
            indent = " " * (len(cell) - len(cell.lstrip()) + 2)
            for piece in textwrap.wrap(cell.strip(), width, initial_indent=indent[2:], subsequent_indent=indent):
                row = [""] * len(columns)
                row[column] = piece
                rows.append(row)
    lines = [" | ".join(f"{name[:width]:<{width}}" for name in columns).rstrip(),
             "-+-".join("-" * width for _ in columns)]
    lines += [" | ".join(f"{cell:<{width}}" for cell in row).rstrip() for row in rows]
    return lines


def _fold(scene: Sequence[Record]) -> list[Record]:
    """Leave out what tells nothing: repetitions, and invalidations that a flush repeats page by page."""
    folded: list[Record] = []
    for record in scene:
        if folded and not record.violations:
            last = folded[-1]
            if (last.actor, last.place, last.text, last.what, last.kind, last.frames) == (
                    record.actor, record.place, record.text, record.what, record.kind, record.frames):
                continue
        folded.append(record)
    return folded


def render(recorder: Recorder, story: Story, replay: str = "") -> str:
    """The whole report.

    :param replay: the command that replays it, or "".
    """
    violation = story.violation
    rule = violation.rule
    bar = "=" * WIDTH
    lines = [bar, *textwrap.wrap(f"{rule.id} {rule.slug}: {violation.summary}", WIDTH)]
    where = f"in {violation.place.function}() {violation.place.file}, " if violation.place.file else ""
    lines += textwrap.wrap(f"{where}by {violation.actor}", WIDTH)
    lines += ["", *textwrap.wrap(f"Rule: {rule.contract}.", WIDTH), *textwrap.wrap(f"Source: {rule.source}", WIDTH)]
    life = life_lines(recorder, story)
    if life:
        lines += ["", f"{story.subject}:", *life]
    picture = diagram(recorder, story)
    if picture:
        lines += ["", *picture]
    if story.missing:
        lines += ["", *textwrap.wrap(f"Missing: {story.missing}", WIDTH)]
    if rule.danger:
        lines += ["", *textwrap.wrap(f"Danger: {rule.danger}", WIDTH)]
    if replay:
        lines += ["", f"Replay: {replay}"]
    return "\n".join([*lines, bar])
