# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/rculist.h (Linux 7.2).

Readers walk these lists inside an RCU (or SRCU) section while writers change them under a lock. Memory
is sequentially consistent, so publication order needs no more than the order of the plain stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.list import __hlist_del as __hlist_del
from kmm.include.linux.list import (
    __list_add,
    __list_del_entry,
    hlist_for_each_entry,
    list_add,
    list_add_tail,
    list_for_each_entry,
)
from kmm.include.linux.poison import LIST_POISON2

if TYPE_CHECKING:
    from kmm.include.linux.types import hlist_head, hlist_node, list_head

S = TypeVar("S", bound=struct)

__list_add_rcu = __list_add
list_add_rcu = list_add
list_add_tail_rcu = list_add_tail


def list_del_rcu(entry: list_head) -> None:
    """Unlink *entry*; readers that stand on it can still go on."""
    hooks.mutates(entry, "list_del_rcu", (entry, entry.prev, entry.next))
    __list_del_entry(entry)
    entry.prev = LIST_POISON2


def list_replace_rcu(old: list_head, new: list_head) -> None:
    """Put *new* in the place of *old*; readers that stand on *old* can still go on."""
    hooks.mutates(old, "list_replace_rcu", (old, new, old.prev, old.next))
    new.next = old.next
    new.prev = old.prev
    new.prev.next = new
    new.next.prev = new
    old.prev = LIST_POISON2


def list_for_each_entry_rcu(kind: type[S], head: list_head, member: str,
                            cond: bool = False) -> list_for_each_entry[S]:
    """``list_for_each_entry_rcu(pos, head, member, cond)``; *kind* is the type of *pos*."""
    return list_for_each_entry(kind, head, member)


def hlist_add_head_rcu(n: hlist_node, h: hlist_head) -> None:
    """Link *n* at the front; readers see all of it or nothing."""
    hooks.mutates(h, "hlist_add_head_rcu", (n, h) if h.first is None else (n, h, h.first))
    first = h.first
    n.next = first
    n.pprev = h
    h.first = n
    if first is not None:
        first.pprev = n


def hlist_del_rcu(n: hlist_node) -> None:
    """Unlink *n*; readers that stand on it can still go on."""
    hooks.mutates(n, "hlist_del_rcu", tuple(x for x in (n, n.pprev, n.next) if x is not None))
    __hlist_del(n)
    n.pprev = None


def hlist_del_init_rcu(n: hlist_node) -> None:
    """Unlink *n* if it is on a list and mark it unlinked; readers that stand on it can still go on."""
    hooks.mutates(n, "hlist_del_init_rcu", tuple(x for x in (n, n.pprev, n.next) if x is not None))
    if n.pprev is not None:
        __hlist_del(n)
        n.pprev = None


def hlist_for_each_entry_rcu(kind: type[S], head: hlist_head, member: str,
                             cond: bool = False) -> hlist_for_each_entry[S]:
    """``hlist_for_each_entry_rcu(pos, head, member, cond)``; *kind* is the type of *pos*."""
    return hlist_for_each_entry(kind, head, member)


def hlist_for_each_entry_srcu(kind: type[S], head: hlist_head, member: str,
                              cond: bool = False) -> hlist_for_each_entry[S]:
    """``hlist_for_each_entry_srcu(pos, head, member, cond)``; *kind* is the type of *pos*."""
    return hlist_for_each_entry(kind, head, member)
