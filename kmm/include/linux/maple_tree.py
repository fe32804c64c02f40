# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/maple_tree.h (Linux 7.2): ranges that do not overlap, in order.

A maple tree is an RCU-safe B-tree; kmm keeps two sorted lists. What its callers can see is the same:
entries cover ``[start, last]``, both ends included, and are found by any index inside. Each
operation is one event on the tree.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Any, Self

from kmm import hooks
from kmm.c import ULONG_MAX, Ptr, struct


class maple_tree(struct):
    """``struct maple_tree``. ``starts``, ``lasts`` and ``entries`` run in parallel, sorted."""

    starts: list[int]
    lasts: list[int]
    entries: list[Any]

    @classmethod
    def zeroed(cls) -> Self:
        """An empty tree."""
        self = cls()
        self.starts = []
        self.lasts = []
        self.entries = []
        return self


class ma_state(struct):
    """``struct ma_state``: a place in a tree. The last entry found is ``[index, last]``."""

    tree: Ptr[maple_tree]
    index: int
    last: int
    started: bool


def mas_init(mas: ma_state, tree: maple_tree, addr: int) -> None:
    """Start at *addr*."""
    mas.tree = tree
    mas.index = mas.last = addr
    mas.started = False


def mt_init(mt: maple_tree) -> None:
    """Make an empty tree."""
    mt.starts = []
    mt.lasts = []
    mt.entries = []


def mas_find(mas: ma_state, max: int) -> Any:
    """The next entry that ends at or after the place and starts at or before *max*.

    :return: the entry or None. The place moves to it, so that a second call finds the one behind.
    """
    hooks.read(mas.tree, "entries")
    from_ = mas.last + 1 if mas.started else mas.index
    at = bisect_left(mas.tree.lasts, from_)
    if from_ > ULONG_MAX or at == len(mas.tree.entries) or mas.tree.starts[at] > max:
        return None
    mas.index = mas.tree.starts[at]
    mas.last = mas.tree.lasts[at]
    mas.started = True
    return mas.tree.entries[at]


def mtree_load(mt: maple_tree, index: int) -> Any:
    """The entry that covers *index*, or None."""
    hooks.read(mt, "entries")
    at = bisect_right(mt.starts, index) - 1
    return mt.entries[at] if at >= 0 and index <= mt.lasts[at] else None


def mtree_store_range(mt: maple_tree, first: int, last: int, entry: Any) -> None:
    """Cover ``[first, last]`` with *entry* (None erases); what it overlaps is cut."""
    hooks.write(mt, "entries")
    lo = bisect_left(mt.lasts, first)
    hi = bisect_right(mt.starts, last)
    pieces: list[tuple[int, int, Any]] = []
    if lo < hi:
        if mt.starts[lo] < first:
            pieces.append((mt.starts[lo], first - 1, mt.entries[lo]))
        if entry is not None:
            pieces.append((first, last, entry))
        if mt.lasts[hi - 1] > last:
            pieces.append((last + 1, mt.lasts[hi - 1], mt.entries[hi - 1]))
    elif entry is not None:
        pieces.append((first, last, entry))
    mt.starts[lo:hi] = [piece[0] for piece in pieces]
    mt.lasts[lo:hi] = [piece[1] for piece in pieces]
    mt.entries[lo:hi] = [piece[2] for piece in pieces]


def mtree_erase(mt: maple_tree, index: int) -> Any:
    """Remove the entry that covers *index* and return it."""
    entry = mtree_load(mt, index)
    if entry is not None:
        at = bisect_right(mt.starts, index) - 1
        mtree_store_range(mt, mt.starts[at], mt.lasts[at], None)
    return entry


def __mt_destroy(mt: maple_tree) -> None:
    """Forget every entry."""
    hooks.write(mt, "entries")
    mt_init(mt)


def mt_find_after(mt: maple_tree, index: int, max: int = ULONG_MAX) -> Any:
    """The first entry that ends at or after *index*, or None."""
    hooks.read(mt, "entries")
    at = bisect_left(mt.lasts, index)
    return mt.entries[at] if at < len(mt.entries) and mt.starts[at] <= max else None


def mas_set(mas: ma_state, index: int) -> None:
    """Go to *index*: the next ``mas_find()`` may find the entry that covers it."""
    mas.index = mas.last = index
    mas.started = False
