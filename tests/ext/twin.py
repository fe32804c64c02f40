# SPDX-License-Identifier: GPL-2.0-only
"""The walker of :mod:`kmm_ext.x86` once more, in plain Python and without caches.

Written from the rules, not from the compiled code, and slow on purpose: it is the oracle that the
compiled walker is compared with.  Rule numbers are those that ``kmm_ext/x86.pyx`` cites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kmm_ext.memory import Memory

P, RW, US, A, D, PS, G = (1 << n for n in (0, 1, 2, 5, 6, 7, 8))
XD = 1 << 63


@dataclass(frozen=True)
class Mode:
    """Everything outside memory that a translation depends on."""

    levels: int = 4
    maxphyaddr: int = 46
    gbpages: bool = True
    nxe: bool = True
    wp: bool = True
    smep: bool = False
    smap: bool = False
    pke: bool = False
    pks: bool = False
    pkru: int = 0
    pkrs: int = 0
    ac: bool = False
    early: bool = False


@dataclass(frozen=True)
class Access:
    """One access; *implicit* ones are supervisor accesses."""

    va: int
    write: bool = False
    fetch: bool = False
    user: bool = False
    implicit: bool = False


@dataclass(frozen=True)
class Answer:
    """``("page", physical address)``, ``("fault", error code)``, ``("canonical", 0)`` or
    ``("bus", physical address of the entry)``."""

    kind: str
    value: int




def bits(high: int, low: int) -> int:
    """Mask of bits *high* down to *low*."""
    return (1 << (high + 1)) - (1 << low) if high >= low else 0


def canonical(mode: Mode, va: int) -> bool:
    """Rules 1 and 2."""
    return va >> (47 if mode.levels == 4 else 56) in (0, (1 << (17 if mode.levels == 4 else 8)) - 1)


def is_leaf(mode: Mode, level: int, entry: int) -> bool:
    """Rule 7: PS maps a page at the PDE, and at the PDPTE if there are 1 GiB pages."""
    return level == 1 or bool(entry & PS) and (level == 2 or level == 3 and mode.gbpages)


def reserved(mode: Mode, level: int, entry: int) -> int:
    """Rule 8: which bits of a present entry must be zero and are not."""
    mask = bits(51, mode.maxphyaddr)
    if not mode.nxe:
        mask |= XD
    if is_leaf(mode, level, entry):
        mask |= {1: 0, 2: bits(20, 13), 3: bits(29, 13)}[level]
    elif level > 2:
        mask |= PS
    return entry & mask


def translate(memory: Memory, mode: Mode, cr3: int, access: Access) -> Answer:
    """Translate as an access with cold caches does, A and D bits included."""
    if not canonical(mode, access.va):
        return Answer("canonical", 0)
    path: list[tuple[int, int]] = []       # (address, entry), root first
    table = cr3 & bits(mode.maxphyaddr - 1, 12)
    level = mode.levels
    while True:
        address = table + 8 * (access.va >> (9 * level + 3) & 511)
        if address + 8 > memory.size:
            return Answer("bus", address)
        entry = memory.load(address, 8)
        if not entry & P:
            return Answer("fault", error_code(mode, access, 0))
        if reserved(mode, level, entry):
            return Answer("fault", error_code(mode, access, 0x9))
        leaf = is_leaf(mode, level, entry)
        if mode.early and not leaf:        # rule 33
            entry |= A
            memory.store(address, 8, entry)
        path.append((address, entry))
        if leaf:
            break
        table = entry & bits(mode.maxphyaddr - 1, 12)
        level -= 1
    code = forbidden(mode, access, [entry for _, entry in path])
    if code:
        return Answer("fault", code)
    for address, _ in path:                # rule 30; OR-ing again into a self-mapped entry is harmless
        memory.fetch_or(address, 8, A)
    if access.write:
        memory.fetch_or(path[-1][0], 8, D)
    shift = 9 * level + 3
    page = path[-1][1] & bits(mode.maxphyaddr - 1, shift)
    return Answer("page", page | access.va & bits(shift - 1, 0))


def forbidden(mode: Mode, access: Access, entries: list[int]) -> int:
    """Rules 13 to 21: the error code if the rights of all levels together forbid the access."""
    writable = all(entry & RW for entry in entries)
    user_page = all(entry & US for entry in entries)
    no_execute = mode.nxe and any(entry & XD for entry in entries)
    user = access.user and not access.implicit
    key = entries[-1] >> 59 & 15
    bad, by_key = user and not user_page, False
    if access.fetch:
        bad |= no_execute or (mode.smep and not user and user_page)
    else:
        bad |= access.write and not writable and (user or mode.wp)
        bad |= mode.smap and not user and user_page and (access.implicit or not mode.ac)
        if user_page and mode.pke:
            right, write_matters = mode.pkru >> 2 * key & 3, user or mode.wp
        elif not user_page and mode.pks:
            right, write_matters = mode.pkrs >> 2 * key & 3, mode.wp
        else:
            right, write_matters = 0, False
        by_key = bool(right & 1) or bool(right & 2) and access.write and write_matters
    if not bad and not by_key:
        return 0
    return error_code(mode, access, 0x21 if by_key else 0x1)


def error_code(mode: Mode, access: Access, code: int) -> int:
    """Rules 23 to 27: add W/R, U/S and I/D, which describe the access, not the page."""
    if access.write:
        code |= 0x2
    if access.user and not access.implicit:
        code |= 0x4
    if access.fetch and (mode.nxe or mode.smep):
        code |= 0x10
    return code
