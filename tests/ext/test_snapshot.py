# SPDX-License-Identifier: GPL-2.0-only
"""Images of static data: everything that can change is put back, the rest is refused."""

from __future__ import annotations

import array
import collections
import functools
import itertools
from typing import Any

import pytest
from sortedcontainers import SortedDict, SortedKeyList, SortedList

from kmm_ext.snapshot import Image, ImageError


class node:
    """A struct of two fields."""

    __slots__ = ("next", "value")
    next: node | None
    value: Any

    def __init__(self, value: Any) -> None:
        self.value = value

    def double(self) -> int:
        """A method, to have a bound one."""
        return int(self.value) * 2


class leaf(node):
    """A struct that extends another."""

    __slots__ = ("extra",)
    extra: int


class loose:
    """An object with a dictionary."""


def image(*rebound: str, **statics: Any) -> tuple[Image, dict[str, Any]]:
    """An image of a module ``m`` with these statics."""
    space = dict(statics)
    return Image({"m": (space, rebound)}), space


def test_restore_puts_slots_back_also_unset_ones() -> None:
    a = node(1)
    a.next = b = node(2)
    taken, _ = image(a=a)
    a.value, b.value, b.next, a.next = 7, 8, a, None
    assert taken.restore() == 4
    assert (a.value, b.value) == (1, 2)
    assert a.next is b
    assert not hasattr(b, "next")
    assert taken.restore() == 0


def test_restore_knows_inherited_slots() -> None:
    a = leaf(1)
    a.extra = 2
    taken, _ = image(a=a)
    a.value = a.extra = 9
    taken.restore()
    assert (a.value, a.extra) == (1, 2)


def test_restore_rebinds_only_the_names_given() -> None:
    taken, space = image("nr", "gone", "later", nr=1, gone=2, other=3)
    space.update(nr=10, later=11, other=12)
    del space["gone"]
    taken.restore()
    assert space == {"nr": 1, "gone": 2, "other": 12}


@pytest.mark.parametrize(("value", "change"), [
    ([1, 2], lambda x: x.append(3)),
    ([1, 2], lambda x: x.reverse()),
    ({"a": 1, "b": 2}, lambda x: x.update(c=3)),
    ({"a": 1, "b": 2}, lambda x: x.update(a=x.pop("a"))),
    ({1, 2}, lambda x: x.discard(1)),
    (collections.deque([1, 2], maxlen=4), lambda x: x.rotate()),
    (collections.defaultdict(int, a=1), lambda x: x["b"]),
    (collections.OrderedDict(a=1, b=2), lambda x: x.move_to_end("a")),
    (bytearray(b"abc"), lambda x: x.extend(b"d")),
    (array.array("Q", [1, 2]), lambda x: x.append(3)),
    (SortedList([3, 1]), lambda x: x.add(2)),
    (SortedKeyList([3, 1], key=lambda x: -x), lambda x: x.add(2)),
    (SortedDict(b=1, a=2), lambda x: x.update(a=3)),
], ids=lambda value: type(value).__name__)
def test_restore_refills_containers(value: Any, change: Any) -> None:
    taken, _ = image(value=value)
    before = repr(value)
    change(value)
    assert repr(value) != before
    assert taken.differences() == ["m.value"]
    taken.restore()
    assert repr(value) == before
    assert taken.differences() == []


def test_restore_keeps_the_order_of_a_dict() -> None:
    table = {"a": 1, "b": 2}
    taken, _ = image(table=table)
    table["a"] = table.pop("a")
    assert list(table) == ["b", "a"]
    taken.restore()
    assert list(table) == ["a", "b"]


def test_restore_reaches_through_everything() -> None:
    hidden = [node(n) for n in range(7)]
    holder = loose()
    holder.__dict__["field"] = hidden[0]

    def closure() -> node:
        return hidden[1]

    taken, _ = image(
        holder=holder, closure=closure, pair=(1, (hidden[2],)), table={"k": [hidden[3]]},
        bound=hidden[4].double, partial=functools.partial(print, hidden[5]),
        frozen=frozenset({hidden[6]}))
    for item in hidden:
        item.value = -1
    holder.__dict__["more"] = 1
    taken.restore()
    assert [item.value for item in hidden] == list(range(7))
    assert vars(holder) == {"field": hidden[0]}


def test_restore_undoes_nonlocal() -> None:
    def make() -> Any:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return count
        return step

    step = make()
    taken, _ = image(step=step)
    assert (step(), step()) == (1, 2)
    taken.restore()
    assert step() == 1


def test_restore_reaches_statics_with_leading_underscores() -> None:
    a = node(1)
    taken, _ = image(__a=a, __builtins__={"x": node(2)})
    a.value = 2
    taken.restore()
    assert (a.value, taken.objects) == (1, 1)


def test_restore_survives_cycles_and_shared_objects() -> None:
    a, b = node(1), node(2)
    a.next, b.next = b, a
    taken, _ = image(a=a, b=b, ring=[a, b, a])
    assert taken.objects == 3
    assert taken.slots == 4
    a.next = a
    taken.restore()
    assert a.next is b


@pytest.mark.parametrize(("value", "kind"), [
    ((n for n in range(1)), "generator"), (itertools.count(), "count"), (iter([1]), "list_iterator"),
    (ValueError("x"), "ValueError"), (memoryview(b""), "memoryview"),
])
def test_image_refuses_what_it_cannot_put_back(value: Any, kind: str) -> None:
    a = node({"key": [0, value]})
    with pytest.raises(ImageError, match=kind) as caught:
        image(a=a)
    assert caught.value.path == "m.a.value['key'][1]"


def test_image_leaves_given_types_alone() -> None:
    counter = itertools.count()
    taken = Image({"m": ({"counter": counter}, ())}, leaves=(itertools.count,))
    assert taken.objects == 0


def test_image_walks_extra_roots() -> None:
    a = node(1)
    taken = Image({}, {"machine.a": a})
    a.value = 2
    assert taken.differences() == ["machine.a.value"]


def test_restore_speed(benchmark: Any) -> None:
    nodes = [node(n) for n in range(1000)]
    for one in nodes:
        one.next = nodes[0]
    taken, _ = image(nodes=nodes)
    assert taken.slots == 2000

    def run() -> int:
        for one in nodes[::10]:
            one.value = -1
        return taken.restore()

    assert benchmark(run) == 100
