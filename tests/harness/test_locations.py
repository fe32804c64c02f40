# SPDX-License-Identifier: GPL-2.0-only
"""Names of what events touch: the same in every execution, whoever comes first."""

from __future__ import annotations

import pytest
from bare_machine import thing

from kmm.c import struct
from kmm.harness.context import Context, Level
from kmm.harness.locations import Locations


class pair(struct):
    left: thing
    right: thing
    count: int


@pytest.fixture
def locations():
    return Locations()


def actor(key):
    return Context(key, key, 0, Level.TASK)


def test_named_gives_one_number_per_name(locations):
    one, other = locations.named("unit", "dmar0"), locations.named("unit", "dmar1")
    assert one != other
    assert locations.named("unit", "dmar0") == one


def test_word_is_eight_bytes(locations):
    assert locations.word(0x1000) == locations.word(0x1007) != locations.word(0x1008)


def test_kinds_of_names_do_not_meet(locations):
    obj = pair.zeroed()
    context = actor("0")
    numbers = [locations.word(8), locations.frame(1), locations.entries(1), locations.held(1),
               locations.named("reader", "0"), locations.object(obj, context),
               locations.field(obj, "count", context), locations.field(obj, "left", context),
               locations.object(obj.left, context), locations.lock(obj, context), locations.lock(obj.left, context)]
    assert len(set(numbers)) == len(numbers)


def test_an_object_made_later_is_named_after_who_touches_it_first(locations):
    first = [locations.object(pair.zeroed(), actor("0.1")), locations.object(pair.zeroed(), actor("0.2"))]
    again = [locations.object(pair.zeroed(), actor("0.2")), locations.object(pair.zeroed(), actor("0.1"))]
    assert first == again[::-1], "the next execution, in which the other actor is faster"
    context = actor("0.1")
    assert len({locations.object(pair.zeroed(), context) for _ in range(3)}) == 3


def test_members_are_named_after_what_they_are_in(locations):
    one, other = pair.zeroed(), pair.zeroed()
    context, later = actor("0"), actor("0")
    member = locations.object(one.right, context)
    assert locations.object(other.right, later) == member, "the same actor's same object in another execution"
    assert locations.object(one, context) != locations.object(one.left, context) != member


def test_number_static_does_not_depend_on_who_comes_first():
    def numbers(order):
        locations = Locations()
        roots = [("a", pair.zeroed()), ("b", [pair.zeroed(), {"key": pair.zeroed()}])]
        locations.number_static(roots)
        things = [roots[0][1], roots[0][1].left, roots[1][1][0], roots[1][1][1]["key"].right]
        return {index: locations.object(things[index], actor(str(index))) for index in order}

    assert numbers([0, 1, 2, 3]) == numbers([3, 1, 0, 2])


def test_number_static_follows_pointers_once(locations):
    class node(struct):
        next: node | None

    one, other = node.zeroed(), node.zeroed()
    one.next, other.next = other, one
    locations.number_static([("ring", one)])
    assert locations.object(one, actor("0")) != locations.object(other, actor("0"))
    assert one._loc and other._loc


def test_label_is_a_static_name_or_the_type(locations):
    static = pair.zeroed()
    locations.number_static([("kmm.mm.x:the_pair", static)])
    assert locations.label(static) == "the_pair"
    assert locations.label(static.left) == "the_pair.left"
    fresh = pair.zeroed()
    assert (locations.label(fresh), locations.label(fresh.right)) == ("pair", "pair.right")
