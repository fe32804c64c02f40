# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/llist.h (Linux 7.2), in part: a stack without locks. One event per call."""

from __future__ import annotations

from typing import TypeVar

from kmm import hooks
from kmm.c import container_of, struct

S = TypeVar("S", bound=struct)


class llist_node(struct):
    """A node."""

    next: llist_node | None


class llist_head(struct):
    """The top of the stack."""

    first: llist_node | None


def init_llist_head(list: llist_head) -> None:
    """Make an empty stack."""
    list.first = None


def LLIST_HEAD() -> llist_head:
    """``LLIST_HEAD(name)``: an empty stack."""
    return llist_head.zeroed()


def llist_empty(head: llist_head) -> bool:
    """Whether there is no node."""
    hooks.read(head, "first")
    return head.first is None


def llist_add(new: llist_node, head: llist_head) -> bool:
    """Push a node; whether the stack was empty."""
    hooks.write(head, "first")
    new.next = head.first
    head.first = new
    return new.next is None


def llist_del_all(head: llist_head) -> llist_node | None:
    """Take the whole stack off; its top."""
    hooks.write(head, "first")
    first, head.first = head.first, None
    return first


def llist_reverse_order(head: llist_node | None) -> llist_node | None:
    """Reverse a chain that was taken off; its new top."""
    new_head = None
    while head is not None:
        tmp = head
        head = head.next
        tmp.next = new_head
        new_head = tmp
    return new_head


def llist_for_each_safe(node: llist_node | None) -> list[llist_node]:
    """``llist_for_each_safe(pos, n, node)``: the nodes of a chain that was taken off."""
    nodes = []
    while node is not None:
        nodes.append(node)
        node = node.next
    return nodes


def llist_for_each_entry_safe(kind: type[S], node: llist_node | None, member: str) -> list[S]:
    """``llist_for_each_entry_safe(pos, n, node, member)``; *kind* is the type of *pos*."""
    return [container_of(pos, kind, member) for pos in llist_for_each_safe(node)]
