# SPDX-License-Identifier: GPL-2.0-only
"""What an execution costs when actors do next to nothing. ``pytest tests/benchmarks --benchmark-enable``.

Divide the number in brackets (executions of one search, blocked ones included) by the time.
"""

from __future__ import annotations

from typing import Any

import pytest
from explorer_programs import filesystem, indexer, lastzero, locks, readers, writers
from pytest_benchmark.fixture import BenchmarkFixture

from kmm_ext.explorer import Core


def search(program: Any) -> int:
    core = Core()
    executions = 0
    while True:
        core.execute(lambda core: program(core, {}))
        executions += 1
        if not core.advance():
            return executions


@pytest.mark.parametrize(("program", "executions"), [
    pytest.param(readers(12), 4096, id="readers[4096]"),
    pytest.param(writers(6), 720, id="writers[720]"),
    pytest.param(lastzero(10), 9687, id="lastzero[9687]"),
    pytest.param(indexer(15), 4096, id="indexer[4096]"),
    pytest.param(filesystem(22), 512, id="filesystem[512]"),
    pytest.param(locks(5), 120, id="locks[120]"),
])
def test_search(benchmark: BenchmarkFixture, program: Any, executions: int) -> None:
    assert benchmark(search, program) == executions


def test_step(benchmark: BenchmarkFixture) -> None:
    """A thousand events of one actor: no switches, no choices."""
    def program(core: Core) -> None:
        def actor() -> None:
            for _ in range(1000):
                core.step(1)
                core.write(1)
        core.spawn(actor, "actor")

    core = Core("replay")
    benchmark(core.execute, program)


def test_switch(benchmark: BenchmarkFixture) -> None:
    """A thousand events of two actors in turn."""
    def program(core: Core) -> None:
        def actor(loc: int) -> None:
            for _ in range(500):
                core.step(1)
                core.write(loc)
        core.spawn(lambda: actor(1), "one")
        core.spawn(lambda: actor(2), "two")

    core = Core("replay")
    core.follow([(0, 0), (1, 0)] * 501)
    benchmark(core.execute, program)
