# SPDX-License-Identifier: GPL-2.0-only
"""Questions to the base kernel: what the model says when it takes every "may" of the manuals."""

from __future__ import annotations

from pathlib import Path

from kmm.harness.litmus import find
from kmm.harness.search import explore
from kmm.harness.world import boot
from kmm.linker import build

QUESTIONS = Path(__file__).parents[2] / "conformance" / "questions"


def test_bad_other_pcid_keeps_the_entry_that_led_to_a_freed_table() -> None:
    world = boot(build(), find(str(QUESTIONS / "kernel_table_vs_other_pcid.py")))
    result = explore(world.start, world.reset, key=lambda violation: violation.slug, at_end=world.at_end)
    assert result.complete
    assert "freed-table-walked" in {found.payload.slug for found in result.found}
