# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self

from typing_extensions import Buffer, disjoint_base

from kmm_ext.memory import Memory

class Fault(Exception): ...
class GeneralProtection(Fault): ...
class StackFault(Fault): ...
class InvalidOpcode(Fault): ...

class PageFault(Fault):
    address: int
    error_code: int
    def __init__(self, address: int, error_code: int) -> None: ...

class HeldEntry(NamedTuple):
    cache: str
    level: int
    address: int
    size: int
    target: int
    source: int
    entry: int
    pcid: int
    global_page: bool
    dirty: bool
    rights: int
    key: int

class Stray(NamedTuple):
    kind: str
    level: int
    address: int
    linear: int
    entry: int

FEATURES: frozenset[str]
GEOMETRY: Mapping[str, tuple[int, int]]

@disjoint_base
class CPU:
    early_accessed: bool
    fracture: bool
    audit: bool
    race: Callable[[int], object] | None
    cpl: int
    ac: bool
    def __new__(
        cls,
        memory: Memory,
        *,
        maxphyaddr: int = 46,
        levels: int = 4,
        features: Iterable[str] = ...,
        caches: Mapping[str, tuple[int, int]] | None = None,
        early_accessed: bool = False,
        fracture: bool = False,
        audit: bool = False,
    ) -> Self: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def features(self) -> frozenset[str]: ...
    @property
    def maxphyaddr(self) -> int: ...
    @property
    def levels(self) -> int: ...
    @property
    def strays(self) -> list[Stray]: ...
    @property
    def walks(self) -> int: ...
    @property
    def tlb_hits(self) -> int: ...
    @property
    def structure_hits(self) -> int: ...
    @property
    def cr0(self) -> int: ...
    @property
    def cr2(self) -> int: ...
    @property
    def cr3(self) -> int: ...
    @property
    def cr4(self) -> int: ...
    @property
    def efer(self) -> int: ...
    @property
    def pkru(self) -> int: ...
    @property
    def pkrs(self) -> int: ...
    @property
    def pcid(self) -> int: ...
    def translate(
        self,
        va: int,
        *,
        write: bool = False,
        fetch: bool = False,
        user: bool | None = None,
        implicit: bool = False,
        stack: bool = False,
    ) -> int: ...
    def read(
        self,
        va: int,
        size: int,
        *,
        fetch: bool = False,
        user: bool | None = None,
        implicit: bool = False,
        stack: bool = False,
    ) -> int: ...
    def write(
        self,
        va: int,
        size: int,
        value: int,
        *,
        user: bool | None = None,
        implicit: bool = False,
        stack: bool = False,
    ) -> None: ...
    def xchg(self, va: int, size: int, value: int, *, user: bool | None = None) -> int: ...
    def translate_many(
        self,
        addresses: Buffer,
        out: Buffer,
        status: Buffer,
        *,
        write: bool = False,
        fetch: bool = False,
        user: bool | None = None,
    ) -> int: ...
    def speculate(self, va: int, *, fetch: bool = False) -> bool: ...
    def walk(self, va: int) -> list[tuple[int, int, int]]: ...
    def lookup(self, va: int) -> list[HeldEntry]: ...
    def held(self) -> list[HeldEntry]: ...
    def write_cr0(self, value: int) -> None: ...
    def write_cr3(self, value: int) -> None: ...
    def write_cr4(self, value: int) -> None: ...
    def write_efer(self, value: int) -> None: ...
    def write_pkru(self, value: int) -> None: ...
    def write_pkrs(self, value: int) -> None: ...
    def invlpg(self, va: int) -> None: ...
    def invpcid(self, kind: int, pcid: int, va: int) -> None: ...
    def forget(self) -> None: ...
    def snapshot(self) -> None: ...
    def restore(self) -> None: ...
