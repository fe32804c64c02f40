# SPDX-License-Identifier: GPL-2.0-only
"""How many schedules a search runs is a property of scenario and kernel, of nothing else.

A count that moves means that a footprint, the algorithm or a ported function did.  If that was meant,
run this file as a program and copy what it prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kmm.harness.kernels import Recipe
from kmm.harness.litmus import find
from kmm.harness.search import explore
from kmm.harness.world import boot

#: Executions to the end, redundant ones cut off by a sleep set, and events, on the base kernel.
COUNTS = {
    "sva_device_vs_huge_promotion": (12, 0, 1152),
    "sva_device_vs_pmd_table": (444, 36, 299868),
    "sva_device_vs_vunmap": (6096, 666, 1368720),
}


def counted(name: str) -> tuple[int, int, int]:
    world = boot(Recipe.of().build(), find(name))
    result = explore(world.start, world.reset, key=lambda violation: violation.key, at_end=world.at_end)
    assert result.complete and not result.found
    return result.executions, result.blocked, result.events


@pytest.mark.parametrize("name", sorted(COUNTS))
def test_counts_of_the_base_kernel(name: str) -> None:
    assert counted(name) == COUNTS[name]


@pytest.mark.parametrize("seed", ["0", "4242"])
def test_counts_do_not_depend_on_the_hash_seed(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed,
                   "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run([sys.executable, str(Path(__file__)), *sorted(COUNTS)], env=environment,
                         capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [f'    "{name}": {COUNTS[name]},' for name in sorted(COUNTS)]


if __name__ == "__main__":
    for argument in sys.argv[1:] or sorted(COUNTS):
        print(f'    "{argument}": {counted(argument)},')
