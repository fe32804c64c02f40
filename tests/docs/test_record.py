# SPDX-License-Identifier: GPL-2.0-only
"""What the documentation shows is what the commands print. ``python docs/record.py`` writes it anew."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

_spec = importlib.util.spec_from_file_location("record", ROOT / "docs" / "record.py")
assert _spec is not None and _spec.loader is not None
record = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(record)


#: They explore the largest scenario, as ``deferred`` does.
SLOW = ("ordered", "guarded")


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) if name in SLOW else name
                                  for name in record.COMMANDS])
def test_command_prints_what_is_recorded(name):
    assert record.printed(name) == (record.RECORDED / f"{name}.txt").read_text()


def test_schedule_is_as_recorded():
    assert record.schedule() == (record.RECORDED / "example.schedule").read_text()


@pytest.mark.long
def test_proposals_are_judged_as_recorded():
    assert record.proposals() == (record.RECORDED / "proposals.csv").read_text()


def test_every_recording_is_shown():
    pages = "".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.rst")))
    shown = set(re.findall(r"recorded/([\w.-]+)", pages)) | {"after-the-fix.txt"}    # in the README

    assert shown == {path.name for path in record.RECORDED.iterdir()}


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in *language*."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_readme_quotes_the_scenario():
    source = (ROOT / "conformance" / "scenarios" / "sva_device_vs_huge_promotion.py").read_text()

    assert any(block in source for block in blocks("python"))


def test_readme_quotes_the_fix():
    port = (ROOT / "kmm" / "mm" / "pgtable_generic.py").read_text()
    lines = {line.strip() for line in port.splitlines()}

    fix = next(block for block in blocks("python") if "iommu_sva_invalidate_kva_range" in block)

    assert {line.strip() for line in fix.splitlines()} <= lines


@pytest.mark.parametrize("name", record.QUOTED)
def test_readme_quotes_the_report(name):
    recorded = (record.RECORDED / f"{name}.txt").read_text().split("$ echo $?")[0]

    assert recorded in blocks("console")
