# SPDX-License-Identifier: GPL-2.0-only
"""What a check says, as a value: printed for people, written as JSON for tools.

``kmm check --json`` writes :class:`Report`.  Its JSON schema is kept in ``kmm/harness/check.schema.json``;
``python -m kmm.harness.outcome > kmm/harness/check.schema.json`` writes it anew.  Field names are part of
the interface.
"""

from __future__ import annotations

from inspect import cleandoc
from typing import Any, Literal

import msgspec

__all__ = ["FORMAT", "Check", "Finding", "KernelInfo", "Report", "StoryLine", "Verdict", "report_schema"]

FORMAT = "kmm-check 1"

#: ``holds``: explored to completion, no rule broken. ``violated``: at least one counterexample.
#: ``bounded``: none found, but a bound stopped the search. ``expected``/… never appear here.
Verdict = Literal["holds", "violated", "bounded"]


class StoryLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One step of a counterexample.

    :ivar what: allocated, linked, cached, unlinked, flushed, queued, moved, freed, used, or another event's kind.
    :ivar actor: who did it.
    :ivar function: kernel function.
    :ivar file: kernel path of that function.
    :ivar text: in words, with symbolic names.
    """

    seq: int
    phase: str
    what: str
    actor: str
    function: str
    file: str
    text: str


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One broken rule, with its shortest known counterexample.

    :ivar switches: context switches of the schedule.
    :ivar events: scheduling points up to the violation.
    :ivar schedule: what ``kmm replay`` reads.
    :ivar report: the text that ``kmm replay`` prints.
    """

    rule: str
    rule_id: str
    contract: str
    source: str
    summary: str
    missing: str
    actor: str
    function: str
    file: str
    story: list[StoryLine]
    diagram: list[str]
    switches: int
    events: int
    schedule: str
    report: str


class KernelInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which kernel was judged."""

    base: str
    arch: str
    fingerprint: str
    overlays: list[str]
    config_file: str | None
    config_known: int
    config_unknown: int
    config_forced: list[str]


class Check(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One scenario judged on one kernel.

    :ivar executions: schedules explored to their end.
    :ivar blocked: redundant schedules that were cut off (sleep sets).
    :ivar events: scheduling points executed in all.
    :ivar complete: every schedule that matters was explored, under the model.
    :ivar bound: which bound stopped the search, or None.
    :ivar expected: what the scenario and the overlays say should come out, or None if they are silent.
    """

    scenario: str
    title: str
    verdict: Verdict
    expected: str | None
    executions: int
    blocked: int
    events: int
    complete: bool
    bound: str | None
    algorithm: str
    memory_model: str
    findings: list[Finding]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything one ``kmm check`` found."""

    format: str
    kernel: KernelInfo
    checks: list[Check]
    not_modelled: list[str]

    @property
    def exit_code(self) -> int:
        """0 all hold, 1 a counterexample, 3 a bound was hit and nothing found."""
        verdicts = {check.verdict for check in self.checks}
        return 1 if "violated" in verdicts else 3 if "bounded" in verdicts else 0


def report_schema() -> dict[str, Any]:
    """The JSON schema of :class:`Report` (draft 2020-12)."""
    schema = msgspec.json.schema(Report)
    for definition in schema["$defs"].values():
        definition["description"] = cleandoc(definition["description"])     # as Python 3.13 keeps it
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": FORMAT, **schema}


if __name__ == "__main__":
    print(msgspec.json.format(msgspec.json.encode(report_schema(), order="sorted"), indent=2).decode())
