# SPDX-License-Identifier: GPL-2.0-only
from collections.abc import Collection
from enum import IntEnum
from typing import Self

from typing_extensions import disjoint_base

from kmm_ext.holds import Holds, Outcome
from kmm_ext.memory import Memory, Observer

class Reason(IntEnum):
    ROOT_ADDRESS = 0x30
    LEGACY_WITH_PASID = 0x31
    ROOT_ACCESS = 0x38
    ROOT_NOT_PRESENT = 0x39
    ROOT_RESERVED = 0x3A
    CONTEXT_ACCESS = 0x40
    CONTEXT_NOT_PRESENT = 0x41
    CONTEXT_RESERVED = 0x42
    CONTEXT_INVALID = 0x43
    DEVICE_TLB_DISABLED = 0x44
    PASID_DISABLED = 0x45
    PASID_TOO_LARGE = 0x46
    PAGE_REQUEST_DISABLED = 0x47
    RID_PASID = 0x48
    DIRECTORY_ACCESS = 0x50
    DIRECTORY_NOT_PRESENT = 0x51
    DIRECTORY_RESERVED = 0x52
    ENTRY_ACCESS = 0x58
    ENTRY_NOT_PRESENT = 0x59
    ENTRY_RESERVED = 0x5A
    ENTRY_INVALID = 0x5B
    EXECUTE_DISABLED = 0x5C
    SUPERVISOR_DISABLED = 0x5D
    FIRST_STAGE_ACCESS = 0x70
    FIRST_STAGE_NOT_PRESENT = 0x71
    FIRST_STAGE_RESERVED = 0x72
    FIRST_STAGE_ROOT = 0x73
    NON_CANONICAL = 0x80
    SUPERVISOR_PAGE = 0x81
    NOT_EXECUTABLE = 0x82
    BEYOND_HARDWARE = 0x83
    NOT_WRITABLE = 0x85
    INTERRUPT_ADDRESS = 0x87
    UPDATE_NOT_SNOOPED = 0x90
    UPDATE_FAILED = 0x91

class DMARFault(Exception):
    reason: Reason
    source: int
    pasid: int | None
    address: int
    write: bool
    recorded: bool
    def __init__(self, reason: int, source: int, pasid: int | None, address: int, write: bool,
                 recorded: bool) -> None: ...

@disjoint_base
class VTD(Observer):
    unresponsive: Collection[int]
    def __new__(cls, memory: Memory, holds: Holds | None = None, *, concrete: bool | None = None,
                 name: str = "dmar0", five_levels: bool = True, maxphyaddr: int = 52,
                 fault_registers: int = 8, asynchronous: bool = True, srtp_invalidates: bool = True,
                 capacity: int = 256) -> Self: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def holds(self) -> Holds | None: ...
    @property
    def name(self) -> str: ...
    @property
    def concrete(self) -> bool: ...
    @property
    def asynchronous(self) -> bool: ...
    @property
    def capacity(self) -> int: ...
    @property
    def truncated(self) -> bool: ...
    @property
    def responses(self) -> list[tuple[int, int | None, int, int]]: ...
    def mmio_read(self, offset: int, size: int) -> int: ...
    def mmio_write(self, offset: int, size: int, value: int) -> None: ...
    def take_interrupts(self) -> list[str]: ...
    @property
    def pending(self) -> int: ...
    def ready(self) -> tuple[int, ...]: ...
    def next_descriptor(self, position: int = 0) -> str: ...
    def step(self, position: int = 0) -> tuple[int, ...]: ...
    def request(self, source: int, pasid: int | None, address: int, *, write: bool = False,
                privileged: bool = False, execute: bool = False) -> int: ...
    def outcomes(self, source: int, pasid: int | None, address: int, *, write: bool = False,
                 privileged: bool = False) -> list[Outcome]: ...
    def page_request(self, source: int, pasid: int | None, address: int, *, write: bool = False,
                     privileged: bool = False, group: int = 0, last: bool = True) -> bool: ...
    def structure_holders(self, pfn: int) -> list[tuple[str | int, ...]]: ...
