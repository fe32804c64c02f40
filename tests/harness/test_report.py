# SPDX-License-Identifier: GPL-2.0-only
"""Reports, compared whole: one for the bad twin of every rule, in ``tests/harness/golden``.

``python tests/harness/test_report.py`` writes them anew; with rules as arguments, only those.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest

if __name__ == "__main__":
    sys.path[:0] = [str(folder) for folder in Path(__file__).parents[1:3]]

from judging import scenario
from rule_cases import CASES, CONFIG, choose

from kmm.harness.check import check_one
from kmm.harness.kernels import Recipe
from kmm.harness.report import WIDTH
from kmm.kconfig import Config
from kmm.overlay import Overlay

GOLDEN = Path(__file__).parent / "golden"


class Silent:
    """Hears a check and says nothing."""

    def __getattr__(self, name):
        return lambda *_: None


def report(slug):
    """What is told of the bad twin of a rule."""
    text, patch = CASES[slug]
    files = {file: textwrap.dedent(choose(body, 1)) for file, body in (patch or {}).items()}
    overlays = (Overlay.of("patch", files),) if files else ()
    check = check_one(Recipe(Config.default().with_set(CONFIG), overlays), scenario(choose(text, 1)), Silent())
    return next(finding for finding in check.findings if finding.rule == slug).report + "\n"


@pytest.mark.parametrize("slug", CASES)
def test_report_is_as_recorded(slug):
    found = report(slug)
    assert found == (GOLDEN / f"{slug}.txt").read_text()
    assert not re.search(r"0x[0-9a-f]{4,}|[0-9a-f]{9,}|\b\d{5,}", found), "names, not addresses"
    assert max(map(len, found.splitlines())) <= WIDTH


def test_every_golden_report_belongs_to_a_rule():
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in sys.argv[1:] or CASES:
        (GOLDEN / f"{name}.txt").write_text(report(name))
