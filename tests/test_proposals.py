# SPDX-License-Identifier: GPL-2.0-only
"""What overlays and scenarios declare is what exploring them shows.

Every overlay in ``conformance/proposals`` says in ``overlay.toml`` how often each scenario breaks a rule;
every scenario says it of the kernel as it is.  ``never`` and ``always`` are about all schedules;
``sometimes`` is settled by one that breaks a rule and one that does not.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kmm.harness.kernels import Recipe
from kmm.harness.litmus import find, names
from kmm.harness.search import explore
from kmm.harness.world import boot
from kmm.overlay import Overlay

PROPOSALS = Path(__file__).parents[1] / "conformance" / "proposals"
OVERLAYS = sorted(path.name for path in PROPOSALS.iterdir() if path.is_dir())
#: As many schedules as "sometimes" may take to show both sides.
ENOUGH = 20_000


class Both(Exception):
    """A schedule broke a rule, and another did not: nothing more to learn."""


def often(recipe, scenario):
    """How often *scenario* breaks a rule on a kernel of *recipe*."""
    world = boot(recipe.build(), find(scenario))
    seen = set()

    def at_end(core, status):
        found = world.at_end(core, status)
        seen.add(bool(world.prelude or world.seen))
        if len(seen) == 2:
            raise Both
        return found

    try:
        result = explore(world.start, world.reset, at_end=at_end, max_executions=ENOUGH)
    except Both:
        return "sometimes"
    assert result.complete
    return "always" if seen == {True} else "never"


def pairs():
    """Every overlay with every scenario; thousands of schedules for one that never fails are ``long``."""
    for name in OVERLAYS:
        expects = Overlay.load(PROPOSALS / name).expects
        for scenario in names():
            slow = scenario == "sva_device_vs_vunmap" and expects[scenario] == "never"
            yield pytest.param(name, scenario, marks=[pytest.mark.long] if slow else [])


@pytest.mark.parametrize(("name", "scenario"), list(pairs()))
def test_proposal_shows_what_it_expects(name, scenario):
    recipe = Recipe.of(overlays=[PROPOSALS / name])
    expected = recipe.overlays[0].expects[scenario]
    assert often(recipe, scenario) == expected
    assert recipe.expected(scenario, "always") == ("holds" if expected == "never" else "violated")


@pytest.mark.parametrize("scenario", names())
def test_scenario_shows_what_it_declares(scenario):
    recipe = Recipe.of()
    assert often(recipe, scenario) == boot(recipe.build(), find(scenario)).program.verdict


def test_proposals_expect_something_of_every_scenario_there_is():
    for name in OVERLAYS:
        assert sorted(Overlay.load(PROPOSALS / name).expects) == names(), name


def test_every_scenario_fails_on_some_proposal():
    """A scenario that nothing can break tests nothing."""
    broken = {scenario for name in OVERLAYS
              for scenario, verdict in Overlay.load(PROPOSALS / name).expects.items() if verdict != "never"}
    assert broken == set(names())
