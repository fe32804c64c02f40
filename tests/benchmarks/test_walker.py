# SPDX-License-Identifier: GPL-2.0-only
"""What translations and snapshots cost. ``pytest tests/benchmarks --benchmark-enable``."""

from __future__ import annotations

from array import array

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from kmm_ext.memory import Memory
from kmm_ext.x86 import CPU

FULL = 0x67      # P, R/W, U/S, A, D
PAGES = 1 << 16


def sparse(pages: int) -> tuple[CPU, array[int]]:
    """*pages* mappings, 37 pages apart, and their addresses in a scattered order."""
    memory = Memory(1 << 16)
    made: dict[tuple[int, int], int] = {}
    following = 2

    def table(level: int, va: int, parent: int) -> int:
        nonlocal following
        key = (level, va >> (9 * level + 3))
        if key not in made:
            made[key] = following << 12
            following += 1
            memory.store(parent + 8 * (key[1] & 511), 8, made[key] | FULL)
        return made[key]

    addresses = array("Q", [(n * 40503 % pages) * 37 << 12 for n in range(pages)])
    for va in addresses:
        pd = table(3, va, table(4, va, 0x1000))
        pt = table(2, va, pd)
        memory.store(pt + 8 * (va >> 12 & 511), 8, 0x100_0000 | FULL)
    cpu = CPU(memory)
    cpu.write_cr3(0x1000)
    return cpu, addresses


@pytest.fixture(scope="module")
def mapped() -> tuple[CPU, array[int]]:
    return sparse(PAGES)


def test_translate_many_sparse(benchmark: BenchmarkFixture, mapped: tuple[CPU, array[int]]) -> None:
    """Every address misses the TLB: one round is 65,536 full walks."""
    cpu, addresses = mapped
    out, status = array("Q", bytes(8 * PAGES)), array("H", bytes(2 * PAGES))
    assert benchmark(cpu.translate_many, addresses, out, status) == PAGES


def test_translate_many_hot(benchmark: BenchmarkFixture, mapped: tuple[CPU, array[int]]) -> None:
    """Every address hits the TLB."""
    cpu, addresses = mapped
    hot = array("Q", [addresses[n % 8] for n in range(PAGES)])
    out, status = array("Q", bytes(8 * PAGES)), array("H", bytes(2 * PAGES))
    assert benchmark(cpu.translate_many, hot, out, status) == PAGES


def test_translate_hit(benchmark: BenchmarkFixture, mapped: tuple[CPU, array[int]]) -> None:
    cpu, addresses = mapped
    benchmark(cpu.translate, addresses[0])


def test_translate_from_the_root(benchmark: BenchmarkFixture, mapped: tuple[CPU, array[int]]) -> None:
    cpu, addresses = mapped

    def miss() -> None:
        cpu.write_cr3(0x1000)
        cpu.translate(addresses[0])

    benchmark(miss)


def test_read(benchmark: BenchmarkFixture, mapped: tuple[CPU, array[int]]) -> None:
    cpu, addresses = mapped
    benchmark(cpu.read, addresses[0], 8)


def test_load(benchmark: BenchmarkFixture) -> None:
    memory = Memory(16)
    benchmark(memory.load, 0x1000, 8)


def test_store(benchmark: BenchmarkFixture) -> None:
    memory = Memory(16)
    memory.snapshot()
    benchmark(memory.store, 0x1000, 8, 1)


@pytest.mark.parametrize("frames", [0, 4, 64])
def test_restore(benchmark: BenchmarkFixture, frames: int) -> None:
    """Dirty *frames* frames with one store each, and put them back."""
    memory = Memory(4096)
    memory.snapshot()

    def execution() -> int:
        for frame in range(frames):
            memory.store(frame << 12, 8, 1)
        return memory.restore()

    assert benchmark(execution) == frames


def test_cpu_restore(benchmark: BenchmarkFixture) -> None:
    cpu = CPU(Memory(1))
    cpu.snapshot()
    benchmark(cpu.restore)
