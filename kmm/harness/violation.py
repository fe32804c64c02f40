# SPDX-License-Identifier: GPL-2.0-only
"""A broken rule, as found: the value that the explorer carries and reports print."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kmm.harness.rules import RULES, Rule

__all__ = ["Place", "Violation"]


@dataclass(frozen=True, slots=True)
class Place:
    """A place in kernel code.

    :ivar file: kernel path, ``mm/vmalloc.c``.
    :ivar function: C function.
    :ivar line: line of the Python port (the C line differs).
    """

    file: str
    function: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.function}() {self.file}" if self.file else self.function


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    :ivar slug: which rule (:data:`kmm.harness.rules.RULES`).
    :ivar actor: name of the actor that broke it.
    :ivar place: where it stood.
    :ivar summary: one sentence with symbolic names only.
    :ivar facts: values that the report needs (frame numbers, agents); never printed raw.
    """

    slug: str
    actor: str
    place: Place
    summary: str
    facts: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def rule(self) -> Rule:
        """The rule that was broken."""
        return RULES[self.slug]

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two findings the same one."""
        return (self.slug, self.place.function, self.actor)

    def __str__(self) -> str:
        return f"{self.slug}: {self.summary}"
