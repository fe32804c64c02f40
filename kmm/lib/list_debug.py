# SPDX-License-Identifier: GPL-2.0-only
"""Port of lib/list_debug.c (Linux 7.2).

A corrupted list is the violation ``list-corruption``; as in a kernel without
CONFIG_BUG_ON_DATA_CORRUPTION the operation is then skipped and the kernel goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.include.linux.poison import LIST_POISON1, LIST_POISON2

if TYPE_CHECKING:
    from kmm.include.linux.types import list_head


def __corrupt(where: str, detail: str, node: list_head) -> bool:
    hooks.violation("list-corruption", where, detail=detail, node=node)
    return False


def __list_add_valid_or_report(new: list_head, prev: list_head | None, next: list_head | None) -> bool:
    """Whether *prev* and *next* are neighbours and *new* is neither; reports if not."""
    if prev is None:
        return __corrupt("list_add", "prev is NULL", new)
    if next is None:
        return __corrupt("list_add", "next is NULL", new)
    if next.prev is not prev:
        return __corrupt("list_add", "next->prev should be prev", next)
    if prev.next is not next:
        return __corrupt("list_add", "prev->next should be next", prev)
    if new is prev or new is next:
        return __corrupt("list_add", "double add", new)
    return True


def __list_del_entry_valid_or_report(entry: list_head) -> bool:
    """Whether *entry* is linked between its neighbours; reports if not."""
    prev: list_head | None = entry.prev
    next: list_head | None = entry.next

    if next is None:
        return __corrupt("list_del", "next is NULL", entry)
    if prev is None:
        return __corrupt("list_del", "prev is NULL", entry)
    if next is LIST_POISON1:
        return __corrupt("list_del", "next is LIST_POISON1: already deleted", entry)
    if prev is LIST_POISON2:
        return __corrupt("list_del", "prev is LIST_POISON2: already deleted", entry)
    if prev.next is not entry:
        return __corrupt("list_del", "prev->next should be the entry", entry)
    if next.prev is not entry:
        return __corrupt("list_del", "next->prev should be the entry", entry)
    return True
