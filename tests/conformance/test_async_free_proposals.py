# SPDX-License-Identifier: GPL-2.0-only
"""The designs of the stale-IOTLB story: each shows exactly what its ``overlay.toml`` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kmm.harness.litmus import find
from kmm.harness.search import explore
from kmm.harness.world import BootError, boot
from kmm.kconfig import Config
from kmm.linker import build
from kmm.overlay import Overlay

PROPOSALS = Path(__file__).parents[2] / "conformance" / "proposals"
NAMES = sorted(path.name for path in PROPOSALS.iterdir()
               if path.name.startswith("async-free-") or path.name == "sva-v1-sync-flush")


def verdict(overlay: Overlay, scenario: str) -> tuple[str, set[str]]:
    """How often some rule is broken, over all interleavings, and which."""
    config = Config.default()
    kernel = build(config.with_set(dict(overlay.config)) if overlay.config else config, [overlay])
    try:
        world = boot(kernel, find(scenario))
    except BootError as error:
        return "always", {violation.slug for violation in error.violations}
    executions: list[set[str]] = []

    def at_end(core, status):
        found = world.at_end(core, status)
        executions.append({violation.slug for violation in world.seen})
        return found

    assert explore(world.start, world.reset, at_end=at_end).complete
    bad = [slugs for slugs in executions if slugs]
    often = "never" if not bad else "always" if len(bad) == len(executions) else "sometimes"
    return often, set().union(*executions)


def test_there_are_nine():
    assert len(NAMES) == 9


@pytest.mark.parametrize("scenario", ["sva_boot_free", "sva_device_vs_huge_promotion", "sva_device_vs_pmd_table"])
@pytest.mark.parametrize("name", NAMES)
def test_proposal_shows_what_it_expects(name, scenario):
    overlay = Overlay.load(PROPOSALS / name)

    often, slugs = verdict(overlay, scenario)

    assert often == overlay.expects[scenario], slugs
    if scenario == "sva_boot_free":
        assert slugs <= {"work-before-workqueue", "leak-at-quiescence"}
    else:
        assert slugs <= {"sleep-in-atomic" if name.startswith("sva-v1") else "table-freed-while-cached"}


def test_flush_first_needs_a_second_table_in_the_window():
    overlay = Overlay.load(PROPOSALS / "async-free-flush-first")

    assert verdict(overlay, "sva_device_vs_vunmap") == ("sometimes", {"table-freed-while-cached"})
