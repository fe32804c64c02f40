# SPDX-License-Identifier: GPL-2.0-only
"""The compiled walker and its plain-Python twin agree, on results and on every byte of memory."""

from __future__ import annotations

from array import array
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twin import Access, Answer, Mode, translate

from kmm_ext.memory import BusError, Memory
from kmm_ext.x86 import CPU, FEATURES, GeneralProtection, PageFault

FRAMES = 12
ROOT = 0x1000
INDICES = (0, 1, 256, 511)

PKE, PKS, SMEP, SMAP = 1 << 22, 1 << 24, 1 << 20, 1 << 21


def make_cpu(memory: Memory, mode: Mode) -> CPU:
    features = FEATURES if mode.gbpages else FEATURES - {"GBPAGES"}
    cpu = CPU(memory, maxphyaddr=mode.maxphyaddr, levels=mode.levels, features=features,
              early_accessed=mode.early)
    cpu.write_cr3(ROOT)
    cpu.write_efer(cpu.efer if mode.nxe else cpu.efer & ~(1 << 11))
    cpu.write_cr0(cpu.cr0 if mode.wp else cpu.cr0 & ~(1 << 16))
    for on, bit in ((mode.smep, SMEP), (mode.smap, SMAP), (mode.pks, PKS)):
        if on:
            cpu.write_cr4(cpu.cr4 | bit)
    cpu.write_cr4(cpu.cr4 | PKE)
    cpu.write_pkru(mode.pkru)
    cpu.write_pkrs(mode.pkrs)
    if not mode.pke:
        cpu.write_cr4(cpu.cr4 & ~PKE)
    cpu.ac = mode.ac
    return cpu


def compiled(cpu: CPU, access: Access) -> Answer:
    try:
        return Answer("page", cpu.translate(access.va, write=access.write, fetch=access.fetch,
                                            user=access.user, implicit=access.implicit))
    except PageFault as fault:
        assert fault.address == access.va == cpu.cr2
        return Answer("fault", fault.error_code)
    except GeneralProtection:
        return Answer("canonical", 0)
    except BusError as error:
        return Answer("bus", error.address)


def chain(memory: Memory, levels: int) -> None:
    """Entries that grant everything, from each table at 1 to *levels* to the next, at every index."""
    for level in range(levels):
        for index in INDICES:
            memory.store(ROOT * (level + 1) + 8 * index, 8, ROOT * (level + 2) | 0x7)


flags = st.one_of(st.sampled_from([0x07, 0x05, 0x03, 0x01, 0x87, 0x67, 0x1e7]), st.integers(0, 0xfff))
high = st.one_of(st.just(0), st.sampled_from([1 << n for n in (13, 21, 30, 36, 46, 51, 52, 58, 59, 62, 63)]),
                 st.integers(0, 0xfff).map(lambda n: n << 52))
entry = st.builds(lambda frame, low, top: frame << 12 | low | top, st.integers(0, FRAMES + 1), flags, high)
overlay = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(INDICES), entry), max_size=8)
modes = st.builds(Mode, levels=st.sampled_from([4, 5]), maxphyaddr=st.sampled_from([36, 40, 46, 51, 52]),
                  gbpages=st.booleans(), nxe=st.booleans(), wp=st.booleans(), smep=st.booleans(),
                  smap=st.booleans(), pke=st.booleans(), pks=st.booleans(), pkru=st.integers(0, 2**32 - 1),
                  pkrs=st.integers(0, 2**32 - 1), ac=st.booleans(), early=st.booleans())
addresses = st.builds(
    lambda indices, offset, wrong: sum(i << s for i, s in zip(indices, (12, 21, 30, 39, 48), strict=True))
    | offset | (0x7f << 57 if indices[4] >= 256 else 0) ^ wrong,
    st.tuples(*[st.sampled_from(INDICES)] * 5), st.sampled_from([0, 8, 0xfff]),
    st.sampled_from([0] * 9 + [1 << 60]))
kinds = st.sampled_from(["read", "write", "fetch", "implicit"])
accesses = st.lists(st.tuples(addresses, kinds, st.booleans()), min_size=3, max_size=6)


def as_access(mode: Mode, va: int, kind: str, user: bool) -> Access:
    if mode.levels == 4 and va >> 57 in (0, 0x7f):   # most addresses shall be canonical
        va = va & (1 << 48) - 1 | (0xffff << 48 if va & 1 << 47 else 0)
    return Access(va, kind == "write", kind == "fetch", user and kind != "implicit", kind == "implicit")


@settings(max_examples=800, deadline=None, derandomize=True)
@given(modes, overlay, accesses)
def test_translate_agrees_with_the_twin(mode: Mode, changes: list[tuple[int, int, int]],
                                        tries: list[tuple[int, str, bool]]) -> None:
    left, right = Memory(FRAMES), Memory(FRAMES)
    for memory in (left, right):
        chain(memory, mode.levels)
        for frame, index, value in changes:
            memory.store(frame << 12 | index << 3, 8, value)
    cpu = make_cpu(left, mode)
    for va, kind, user in tries:
        access = as_access(mode, va, kind, user)
        cpu.forget()
        assert compiled(cpu, access) == translate(right, mode, ROOT, access)
        assert left.buffer == right.buffer


@settings(max_examples=300, deadline=None, derandomize=True)
@given(modes, overlay, accesses)
def test_caches_change_nothing_while_memory_is_not_rewritten(
        mode: Mode, changes: list[tuple[int, int, int]], tries: list[tuple[int, str, bool]]) -> None:
    left, right = Memory(FRAMES), Memory(FRAMES)
    for memory in (left, right):
        chain(memory, mode.levels)
        for frame, index, value in changes:
            memory.store(frame << 12 | index << 3, 8, value)
    cpu = make_cpu(left, mode)
    for va, kind, user in tries + tries:
        access = as_access(mode, va, kind, user)
        assert compiled(cpu, access) == translate(right, mode, ROOT, access)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(modes, st.binary(min_size=64, max_size=512), accesses)
def test_random_bytes_as_tables_never_crash(mode: Mode, noise: bytes,
                                            tries: list[tuple[int, str, bool]]) -> None:
    left, right = Memory(FRAMES), Memory(FRAMES)
    for memory in (left, right):
        for frame in range(FRAMES):
            for index in INDICES:
                memory.write_bytes(frame << 12 | min(index << 3, 4096 - len(noise)), noise)
    cpu = make_cpu(left, mode)
    for va, kind, user in tries:
        access = as_access(mode, va, kind, user)
        cpu.forget()
        assert compiled(cpu, access) == translate(right, mode, ROOT, access)
        assert left.buffer == right.buffer


@settings(max_examples=100, deadline=None, derandomize=True)
@given(modes, overlay, accesses)
def test_translate_many_is_translate_in_order(mode: Mode, changes: list[tuple[int, int, int]],
                                              tries: list[tuple[int, str, bool]]) -> None:
    left, right = Memory(FRAMES), Memory(FRAMES)
    for memory in (left, right):
        chain(memory, mode.levels)
        for frame, index, value in changes:
            memory.store(frame << 12 | index << 3, 8, value)
    bulk, scalar = make_cpu(left, mode), make_cpu(right, mode)
    _, kind, user = tries[0]
    tried = [replace(as_access(mode, va, kind, user), implicit=False, user=user) for va, *_ in tries]
    out, status = array("Q", [0] * len(tried)), array("H", [0] * len(tried))
    done = bulk.translate_many(array("Q", [t.va for t in tried]), out, status, write=kind == "write",
                               fetch=kind == "fetch", user=user)
    for access, pa, code in zip(tried, out, status, strict=True):
        answer = compiled(scalar, access)
        codes = {"page": 0, "fault": 0x100 | answer.value, "canonical": 0x200, "bus": 0x300}
        assert codes[answer.kind] == code
        assert pa == (answer.value if answer.kind == "page" else 0)
    assert done == list(status).count(0)
    assert left.buffer == right.buffer
