# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/invpcid.h (Linux 7.2)."""

from __future__ import annotations

from kmm import hooks

INVPCID_TYPE_INDIV_ADDR = 0
INVPCID_TYPE_SINGLE_CTXT = 1
INVPCID_TYPE_ALL_INCL_GLOBAL = 2
INVPCID_TYPE_ALL_NON_GLOBAL = 3


def __invpcid(pcid: int, addr: int, type: int) -> None:
    """INVPCID with the descriptor {*pcid*, *addr*}."""
    hooks.invpcid(type, pcid, addr)


def invpcid_flush_one(pcid: int, addr: int) -> None:
    """Drop the non-global translations of *addr* under *pcid*."""
    __invpcid(pcid, addr, INVPCID_TYPE_INDIV_ADDR)


def invpcid_flush_single_context(pcid: int) -> None:
    """Drop everything of *pcid* that is not global."""
    __invpcid(pcid, 0, INVPCID_TYPE_SINGLE_CTXT)


def invpcid_flush_all() -> None:
    """Drop everything of every PCID, global translations too."""
    __invpcid(0, 0, INVPCID_TYPE_ALL_INCL_GLOBAL)


def invpcid_flush_all_nonglobals() -> None:
    """Drop everything of every PCID except global translations."""
    __invpcid(0, 0, INVPCID_TYPE_ALL_NON_GLOBAL)
