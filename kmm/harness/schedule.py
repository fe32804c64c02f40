# SPDX-License-Identifier: GPL-2.0-only
"""A schedule is a value: text, versioned, bound to what it was found on.

The format, one item a line::

    kmm-schedule 1
    scenario: sva_device_vs_huge_promotion
    scenario-hash: 5f1c...
    kernel: 9b24...
    overlay: conformance/proposals/async-free-flush-first
    set: ASYNC_KERNEL_PGTABLE_FREE=n
    config: /boot/config-7.2.13
    rule: table-freed-while-cached
    actors: -1.0 0.0 1.0
    run: 0*17 1*4 0*2 2

``actors`` tells where each actor comes from: the parent's number (-1: the scenario) and the n-th child.
``run`` tells who performs the next event, and how often; ``2=1`` is an event of actor 2 whose choice
came out as 1.  When the run ends, each actor goes on as long as it can.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Schedule", "ScheduleError"]

_MAGIC = "kmm-schedule 1"
_ITEM = re.compile(r"^(\d{1,6})(?:=(\d{1,9}))?(?:\*(\d{1,9}))?$")
_LONGEST = 1_000_000


class ScheduleError(ValueError):
    """A schedule that cannot be read, or was found on something else."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Choices, and what they were found on.

    :ivar scenario: name or file.
    :ivar scenario_hash: fingerprint of its text.
    :ivar kernel: fingerprint of the kernel.
    :ivar overlays: paths, in order.
    :ivar settings: ``X=y`` strings.
    :ivar config: path of the ``.config``, or None.
    :ivar rule: slug of the rule that it breaks.
    :ivar actors: ``(parent, n-th child)`` by number.
    :ivar script: ``(actor, value)`` per event.
    """

    scenario: str
    scenario_hash: str
    kernel: str
    overlays: tuple[str, ...]
    settings: tuple[str, ...]
    config: str | None
    rule: str
    actors: tuple[tuple[int, int], ...]
    script: tuple[tuple[int, int], ...]

    def format(self) -> str:
        """The text of it."""
        lines = [_MAGIC, f"scenario: {self.scenario}", f"scenario-hash: {self.scenario_hash}",
                 f"kernel: {self.kernel}"]
        lines += [f"overlay: {path}" for path in self.overlays]
        lines += [f"set: {setting}" for setting in self.settings]
        if self.config is not None:
            lines.append(f"config: {self.config}")
        lines.append(f"rule: {self.rule}")
        lines.append("actors: " + " ".join(f"{parent}.{child}" for parent, child in self.actors))
        return "\n".join([*lines, *_wrap(_runs(self.script))]) + "\n"

    @classmethod
    def load(cls, path: Path) -> Schedule:
        """Read a file.

        :raises ScheduleError: it cannot be read, or line N is not of the format.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise ScheduleError(f"{path}: cannot read the schedule: {reason}") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, origin: str = "schedule") -> Schedule:
        """Read the text of a schedule.

        :param origin: what an error message calls it.
        :raises ScheduleError: line N is not of the format.
        """
        lines = text.splitlines()
        if not lines or lines[0] != _MAGIC:
            first = lines[0][:40] if lines else ""
            raise ScheduleError(f"{origin}: line 1: not a schedule of this version: expected {_MAGIC!r}, "
                                f"found {first!r}; write a new one with kmm check --save")
        fields: dict[str, list[str]] = {}
        for number, line in enumerate(lines[1:], 2):
            name, colon, value = line.partition(": ")
            if not colon or name not in ("scenario", "scenario-hash", "kernel", "overlay", "set", "config", "rule",
                                         "actors", "run"):
                raise ScheduleError(f"{origin}: line {number}: {line[:40]!r} is no field of a schedule")
            fields.setdefault(name, []).append(value)
        for name in ("scenario", "scenario-hash", "kernel", "rule", "actors", "run"):
            if name not in fields:
                raise ScheduleError(f"{origin}: the field {name!r} is missing; the file was cut off or edited")
        actors = _actors(fields["actors"][0], origin)
        script = _script(" ".join(fields["run"]), len(actors), origin)
        return cls(fields["scenario"][0], fields["scenario-hash"][0], fields["kernel"][0],
                   tuple(fields.get("overlay", ())), tuple(fields.get("set", ())),
                   fields.get("config", [None])[0], fields["rule"][0], actors, script)


def _actors(text: str, origin: str) -> tuple[tuple[int, int], ...]:
    actors: list[tuple[int, int]] = []
    for item in text.split():
        match = re.match(r"^(-1|\d{1,6})\.(\d{1,6})$", item)
        elder = sum(1 for parent, _ in actors if match is not None and parent == int(match[1]))
        if match is None or int(match[1]) >= len(actors) or int(match[2]) != elder:
            raise ScheduleError(f"{origin}: actors: {item[:40]!r} is not PARENT.CHILD of an actor named before it")
        actors.append((int(match[1]), int(match[2])))
    return tuple(actors)


def _runs(script: tuple[tuple[int, int], ...]) -> list[str]:
    runs: list[list[int]] = []
    for actor, value in script:
        if runs and runs[-1][0] == actor and not value and not runs[-1][1]:
            runs[-1][2] += 1
        else:
            runs.append([actor, value, 1])
    return [f"{actor}" + (f"={value}" if value else "") + (f"*{count}" if count > 1 else "")
            for actor, value, count in runs]


def _wrap(items: list[str]) -> list[str]:
    lines, line = [], "run:"
    for item in items:
        if len(line) + 1 + len(item) > 100:
            lines.append(line)
            line = "run:"
        line += " " + item
    return [*lines, line if line != "run:" else "run: "]


def _script(text: str, actors: int, origin: str) -> tuple[tuple[int, int], ...]:
    script: list[tuple[int, int]] = []
    for item in text.split():
        match = _ITEM.match(item)
        if match is None:
            raise ScheduleError(f"{origin}: run: {item[:40]!r} is not ACTOR, ACTOR*COUNT or ACTOR=VALUE")
        actor, value, count = int(match[1]), int(match[2] or 0), int(match[3] or 1)
        if actor >= actors:
            raise ScheduleError(f"{origin}: run: there is no actor {actor}; the schedule names {actors}")
        if len(script) + count > _LONGEST:
            raise ScheduleError(f"{origin}: run: more than {_LONGEST} events")
        script += [(actor, value)] * count
    return tuple(script)
