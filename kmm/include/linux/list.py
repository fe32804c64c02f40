# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/list.h (Linux 7.2).

Every operation that changes a list, and ``list_empty``, is one event; so is each step of an iteration.
With CONFIG_DEBUG_LIST the neighbours are checked before each change, as in lib/list_debug.c.

The iteration macros declare their cursor; here they are iterators that take the type the cursor has:
``list_for_each_entry(pos, head, member)`` becomes
``for pos in list_for_each_entry(kind, head, "member")``, and the ``_safe`` forms give pairs
``pos, n``, with None for an *n* that is the head. As in C the next node is looked up after the body ran
(before it, in the safe forms).

Leaves out: ``hlist_bl``, cutting and rotating, the ``_prev_entry`` family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from kmm import hooks
from kmm.c import container_of, struct
from kmm.include.generated.autoconf import CONFIG_DEBUG_LIST
from kmm.include.linux.poison import LIST_POISON1, LIST_POISON2
from kmm.include.linux.types import hlist_head as hlist_head
from kmm.include.linux.types import hlist_node as hlist_node
from kmm.include.linux.types import list_head as list_head

if TYPE_CHECKING:
    from typing import Self

S = TypeVar("S", bound=struct)


def _look(node: list_head | hlist_head | hlist_node) -> None:
    """The event of reading a node. It is the node as a whole that events which link it write."""
    hooks.mutates(node, "list_look", (), (node,))


def INIT_LIST_HEAD(list: list_head) -> None:
    """Make *list* an empty list (or an unlinked node)."""
    list.next = list
    list.prev = list


def LIST_HEAD_INIT() -> list_head:
    """An empty list, for an initialiser."""
    head = list_head()
    head.next = head
    head.prev = head
    return head


def LIST_HEAD() -> list_head:
    """``LIST_HEAD(name)``: a fresh empty list."""
    return LIST_HEAD_INIT()


if CONFIG_DEBUG_LIST:
    def __list_add_valid(new: list_head, prev: list_head | None, next: list_head | None) -> bool:
        """Whether *prev* and *next* are neighbours and *new* is neither; reports if not."""
        return __list_add_valid_or_report(new, prev, next)

    def __list_del_entry_valid(entry: list_head) -> bool:
        """Whether *entry* is linked between its neighbours; reports if not."""
        return __list_del_entry_valid_or_report(entry)
else:
    def __list_add_valid(new: list_head, prev: list_head | None, next: list_head | None) -> bool:
        """Always true without CONFIG_DEBUG_LIST."""
        return True

    def __list_del_entry_valid(entry: list_head) -> bool:
        """Always true without CONFIG_DEBUG_LIST."""
        return True


def __list_add(new: list_head, prev: list_head, next: list_head) -> None:
    """Link *new* between two known neighbours."""
    if not __list_add_valid(new, prev, next):
        return

    next.prev = new
    new.next = next
    new.prev = prev
    prev.next = new


def list_add(new: list_head, head: list_head) -> None:
    """Link *new* right behind *head*: a stack."""
    hooks.mutates(head, "list_add", (new, head, head.next))
    __list_add(new, head, head.next)


def list_add_tail(new: list_head, head: list_head) -> None:
    """Link *new* right before *head*: a queue."""
    hooks.mutates(head, "list_add_tail", (new, head.prev, head))
    __list_add(new, head.prev, head)


def __list_del(prev: list_head, next: list_head) -> None:
    """Make two entries neighbours."""
    next.prev = prev
    prev.next = next


def __list_del_entry(entry: list_head) -> None:
    """Unlink *entry*, leaving its own pointers as they are."""
    if not __list_del_entry_valid(entry):
        return

    __list_del(entry.prev, entry.next)


def list_del(entry: list_head) -> None:
    """Unlink *entry* and poison its pointers."""
    hooks.mutates(entry, "list_del", (entry, entry.prev, entry.next))
    __list_del_entry(entry)
    entry.next = LIST_POISON1
    entry.prev = LIST_POISON2


def list_replace(old: list_head, new: list_head) -> None:
    """Put *new* in the place of *old*."""
    hooks.mutates(old, "list_replace", (old, new, old.prev, old.next))
    new.next = old.next
    new.next.prev = new
    new.prev = old.prev
    new.prev.next = new


def list_replace_init(old: list_head, new: list_head) -> None:
    """Put *new* in the place of *old* and make *old* empty."""
    list_replace(old, new)
    INIT_LIST_HEAD(old)


def list_del_init(entry: list_head) -> None:
    """Unlink *entry* and make it an empty list."""
    hooks.mutates(entry, "list_del_init", (entry, entry.prev, entry.next))
    __list_del_entry(entry)
    INIT_LIST_HEAD(entry)


def list_move(list: list_head, head: list_head) -> None:
    """Unlink *list* and link it right behind *head*."""
    hooks.mutates(list, "list_move", (list, list.prev, list.next, head, head.next))
    __list_del_entry(list)
    __list_add(list, head, head.next)


def list_move_tail(list: list_head, head: list_head) -> None:
    """Unlink *list* and link it right before *head*."""
    hooks.mutates(list, "list_move_tail", (list, list.prev, list.next, head, head.prev))
    __list_del_entry(list)
    __list_add(list, head.prev, head)


def list_is_first(list: list_head, head: list_head) -> bool:
    """Whether *list* is the first entry of *head*."""
    _look(list)
    return list.prev is head


def list_is_last(list: list_head, head: list_head) -> bool:
    """Whether *list* is the last entry of *head*."""
    _look(list)
    return list.next is head


def list_is_head(list: list_head, head: list_head) -> bool:
    """Whether *list* is the head itself."""
    return list is head


def list_empty(head: list_head) -> bool:
    """Whether a list has no entries (or a node is unlinked)."""
    _look(head)
    return head.next is head


def list_empty_careful(head: list_head) -> bool:
    """``list_empty`` that looks at both ends, for nodes others ``list_del_init`` without a lock."""
    _look(head)
    next = head.next
    return next is head and next is head.prev


def list_is_singular(head: list_head) -> bool:
    """Whether a list has exactly one entry."""
    _look(head)
    return head.next is not head and head.next is head.prev


def __list_splice(list: list_head, prev: list_head, next: list_head) -> None:
    """Put the entries of *list* between two neighbours."""
    first = list.next
    last = list.prev

    first.prev = prev
    prev.next = first

    last.next = next
    next.prev = last


def _splice_event(what: str, list: list_head, head: list_head) -> None:
    hooks.mutates(list, what, (list, list.next, list.prev, head, head.next, head.prev))


def list_splice(list: list_head, head: list_head) -> None:
    """Put the entries of *list* at the front of *head*; *list* itself is left stale."""
    _splice_event("list_splice", list, head)
    if list.next is not list:
        __list_splice(list, head, head.next)


def list_splice_tail(list: list_head, head: list_head) -> None:
    """Put the entries of *list* at the end of *head*; *list* itself is left stale."""
    _splice_event("list_splice_tail", list, head)
    if list.next is not list:
        __list_splice(list, head.prev, head)


def list_splice_init(list: list_head, head: list_head) -> None:
    """Move the entries of *list* to the front of *head*."""
    _splice_event("list_splice_init", list, head)
    if list.next is not list:
        __list_splice(list, head, head.next)
        INIT_LIST_HEAD(list)


def list_splice_tail_init(list: list_head, head: list_head) -> None:
    """Move the entries of *list* to the end of *head*."""
    _splice_event("list_splice_tail_init", list, head)
    if list.next is not list:
        __list_splice(list, head.prev, head)
        INIT_LIST_HEAD(list)


def list_entry(ptr: list_head, kind: type[S], member: str) -> S:
    """The struct around a node."""
    return container_of(ptr, kind, member)


def list_first_entry(ptr: list_head, kind: type[S], member: str) -> S:
    """The first entry of a list that is not empty."""
    _look(ptr)
    return container_of(ptr.next, kind, member)


def list_last_entry(ptr: list_head, kind: type[S], member: str) -> S:
    """The last entry of a list that is not empty."""
    _look(ptr)
    return container_of(ptr.prev, kind, member)


def list_first_entry_or_null(ptr: list_head, kind: type[S], member: str) -> S | None:
    """The first entry of a list, NULL if it is empty."""
    _look(ptr)
    pos = ptr.next
    return container_of(pos, kind, member) if pos is not ptr else None


def list_next_entry(pos: struct, member: str) -> struct:
    """The entry behind *pos*; like C, nonsense at the end of a list."""
    node: list_head = getattr(pos, member)
    _look(node)
    return container_of(node.next, type(pos), member)


def list_count_nodes(head: list_head) -> int:
    """Number of entries."""
    count = 0
    for _ in list_for_each(head):
        count += 1
    return count


def _step(pos: list_head, next: list_head, head: list_head) -> list_head | None:
    """The node *next* reached from *pos*; None at the head or where the chain is broken."""
    if next is head:
        return None
    if next is LIST_POISON1 or next is LIST_POISON2 or next is None:
        hooks.violation("list-corruption", "list_for_each_entry",
                        detail="iteration reached a node that was removed from its list", node=pos)
        return None
    return next


class list_for_each:
    """Iterate over nodes; the body must not unlink the node it was given."""

    __slots__ = ("backwards", "head", "pos")

    def __init__(self, head: list_head, backwards: bool = False) -> None:
        self.head = head
        self.pos: list_head | None = head
        self.backwards = backwards

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list_head:
        pos = self.pos
        if pos is None:
            raise StopIteration
        if self.backwards:
            _look(pos)
            self.pos = _step(pos, pos.prev, self.head)
        else:
            _look(pos)
            self.pos = _step(pos, pos.next, self.head)
        if self.pos is None:
            raise StopIteration
        return self.pos


def list_for_each_prev(head: list_head) -> list_for_each:
    """Iterate over nodes from the last to the first."""
    return list_for_each(head, backwards=True)


class list_for_each_safe:
    """Iterate over nodes, as pairs with the next one; the body may unlink the node it was given."""

    __slots__ = ("head", "n")

    def __init__(self, head: list_head) -> None:
        self.head = head
        _look(head)
        self.n = _step(head, head.next, head)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[list_head, list_head | None]:
        pos = self.n
        if pos is None:
            raise StopIteration
        _look(pos)
        self.n = _step(pos, pos.next, self.head)
        return pos, self.n


class list_for_each_entry(Generic[S]):
    """``list_for_each_entry(pos, head, member)``; *kind* is the type of *pos*."""

    __slots__ = ("kind", "member", "nodes")

    def __init__(self, kind: type[S], head: list_head, member: str) -> None:
        self.kind = kind
        self.member = member
        self.nodes = list_for_each(head)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> S:
        return container_of(next(self.nodes), self.kind, self.member)


class list_for_each_entry_reverse(Generic[S]):
    """``list_for_each_entry_reverse(pos, head, member)``; *kind* is the type of *pos*."""

    __slots__ = ("kind", "member", "nodes")

    def __init__(self, kind: type[S], head: list_head, member: str) -> None:
        self.kind = kind
        self.member = member
        self.nodes = list_for_each_prev(head)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> S:
        return container_of(next(self.nodes), self.kind, self.member)


class list_for_each_entry_safe(Generic[S]):
    """``list_for_each_entry_safe(pos, n, head, member)``: pairs ``pos, n``; *kind* is their type."""

    __slots__ = ("kind", "member", "nodes")

    def __init__(self, kind: type[S], head: list_head, member: str) -> None:
        self.kind = kind
        self.member = member
        self.nodes = list_for_each_safe(head)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[S, S | None]:
        pos, n = next(self.nodes)
        return (container_of(pos, self.kind, self.member),
                None if n is None else container_of(n, self.kind, self.member))


# --- lists with a single-pointer head -----------------------------------------------------------

def HLIST_HEAD() -> hlist_head:
    """``HLIST_HEAD(name)``: a fresh empty list."""
    return hlist_head.zeroed()


def INIT_HLIST_HEAD(ptr: hlist_head) -> None:
    """Make *ptr* an empty list."""
    ptr.first = None


def INIT_HLIST_NODE(h: hlist_node) -> None:
    """Make *h* an unlinked node."""
    h.next = None
    h.pprev = None


def hlist_unhashed(h: hlist_node) -> bool:
    """Whether a node is on no list."""
    _look(h)
    return h.pprev is None


def hlist_empty(h: hlist_head) -> bool:
    """Whether a list has no nodes."""
    _look(h)
    return h.first is None


def _hlist_set(pprev: hlist_head | hlist_node, node: hlist_node | None) -> None:
    """``*pprev = node``."""
    if isinstance(pprev, hlist_head):
        pprev.first = node
    else:
        pprev.next = node


def __hlist_del(n: hlist_node) -> None:
    """Unlink *n*, leaving its own pointers as they are."""
    next = n.next
    pprev = n.pprev

    assert pprev is not None
    _hlist_set(pprev, next)
    if next is not None:
        next.pprev = pprev


def hlist_del_init(n: hlist_node) -> None:
    """Unlink *n* if it is on a list, and mark it unlinked."""
    hooks.mutates(n, "hlist_del_init", tuple(x for x in (n, n.pprev, n.next) if x is not None))
    if n.pprev is not None:
        __hlist_del(n)
        INIT_HLIST_NODE(n)


def hlist_add_head(n: hlist_node, h: hlist_head) -> None:
    """Link *n* at the front."""
    hooks.mutates(h, "hlist_add_head", (n, h) if h.first is None else (n, h, h.first))
    first = h.first
    n.next = first
    if first is not None:
        first.pprev = n
    h.first = n
    n.pprev = h


class hlist_for_each_entry(Generic[S]):
    """``hlist_for_each_entry(pos, head, member)``; *kind* is the type of *pos*."""

    __slots__ = ("head", "kind", "member", "pos")

    def __init__(self, kind: type[S], head: hlist_head, member: str) -> None:
        self.kind = kind
        self.head = head
        self.member = member
        self.pos: hlist_node | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> S:
        if self.pos is None:
            _look(self.head)
            node = self.head.first
        else:
            _look(self.pos)
            node = self.pos.next
        if node is None:
            raise StopIteration
        self.pos = node
        return container_of(node, self.kind, self.member)


# Declared here, defined in lib/list_debug.c:
from kmm.lib.list_debug import (
    __list_add_valid_or_report as __list_add_valid_or_report,
)
from kmm.lib.list_debug import (
    __list_del_entry_valid_or_report as __list_del_entry_valid_or_report,
)
