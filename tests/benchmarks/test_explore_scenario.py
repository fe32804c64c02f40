# SPDX-License-Identifier: GPL-2.0-only
"""What a search costs. ``pytest tests/benchmarks --benchmark-enable -s``.

Absolute times are one machine's; the ratio of a search to the same actors run straight through is not.
Bounds are asserted only when benchmarks are enabled.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

import pytest

from kmm.harness.kernels import Recipe
from kmm.harness.litmus import find
from kmm.harness.search import explore
from kmm.harness.straight import Straight
from kmm.harness.world import boot
from kmm_ext.explorer import Core

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from kmm.harness.search import Result
    from kmm.harness.world import World

SCENARIO = "sva_device_vs_vunmap"
MOST_RATIO = 3
MOST_RESET = 200e-6     # seconds
ROUNDS = 50


@pytest.fixture(scope="module")
def scenario_world() -> World:
    return boot(Recipe.of().build(), find(SCENARIO))


def search(world: World) -> Result:
    return explore(world.start, world.reset, key=lambda violation: violation.key, at_end=world.at_end)


def fastest(run: Callable[[], object], prepare: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Seconds of the fastest of *rounds* runs, each after *prepare*."""
    times = []
    for _ in range(rounds):
        prepare()
        begin = perf_counter_ns()
        run()
        times.append(perf_counter_ns() - begin)
    return min(times) * 1e-9


def test_explore_scenario(benchmark: BenchmarkFixture, scenario_world: World) -> None:
    """The whole search: executions per second, and the price of one against a run without a search."""
    result = benchmark.pedantic(search, (scenario_world,), rounds=3 if benchmark.enabled else 1)
    assert result.complete and not result.found
    if not benchmark.enabled:
        return
    runs = result.executions + result.blocked + result.rechecked
    each = benchmark.stats.stats.min / runs
    straight = fastest(lambda: Straight().run(scenario_world.start), scenario_world.reset)
    core = Core("replay")
    replayed = fastest(lambda: core.execute(scenario_world.start), scenario_world.reset)
    benchmark.extra_info.update({
        "executions": result.executions, "blocked": result.blocked,
        "executions_per_second": round(1 / each), "explored_over_straight": round(each / straight, 2),
        "replayed_over_straight": round(replayed / straight, 2)})
    print(f"\n{SCENARIO}: {1 / each:.0f} executions/s, {each * 1e6:.0f} us each; "
          f"{each / straight:.2f} times a straight run ({straight * 1e6:.0f} us)")
    assert each / straight < MOST_RATIO


def test_reset(benchmark: BenchmarkFixture, scenario_world: World) -> None:
    """A reboot: the world as after ``setup()``, once an execution has changed it."""
    core = Core("replay")

    def execute() -> None:
        core.execute(scenario_world.start)

    benchmark.pedantic(scenario_world.reset, setup=execute, rounds=ROUNDS if benchmark.enabled else 1)
    if benchmark.enabled:
        print(f"\nreset: {benchmark.stats.stats.median * 1e6:.0f} us")
        assert benchmark.stats.stats.median < MOST_RESET


def test_boot(benchmark: BenchmarkFixture) -> None:
    """Link a kernel, boot it, run ``setup()``: once per scenario and search."""
    scenario = find(SCENARIO)
    benchmark.pedantic(lambda: boot(Recipe.of().build(), scenario), rounds=5 if benchmark.enabled else 1)
