# SPDX-License-Identifier: GPL-2.0-only
"""include/linux/list.h, rculist.h and llist.h."""

from __future__ import annotations

import pytest

from kmm.c import struct
from kmm.include.linux.list import (
    HLIST_HEAD,
    INIT_LIST_HEAD,
    LIST_HEAD,
    hlist_add_head,
    hlist_del_init,
    hlist_empty,
    hlist_for_each_entry,
    hlist_node,
    hlist_unhashed,
    list_add,
    list_add_tail,
    list_count_nodes,
    list_del,
    list_del_init,
    list_empty,
    list_first_entry_or_null,
    list_for_each_entry,
    list_for_each_entry_reverse,
    list_for_each_entry_safe,
    list_head,
    list_is_singular,
    list_move_tail,
    list_splice_init,
    list_splice_tail_init,
)
from kmm.include.linux.llist import (
    LLIST_HEAD,
    llist_add,
    llist_del_all,
    llist_for_each_entry_safe,
    llist_node,
)
from kmm.include.linux.poison import LIST_POISON1, LIST_POISON2
from kmm.include.linux.rculist import hlist_add_head_rcu, hlist_del_init_rcu, list_del_rcu


class thing(struct):
    name: str | None
    list: list_head
    hlist: hlist_node
    llist: llist_node


def make(name: str) -> thing:
    new = thing.zeroed()
    new.name = name
    INIT_LIST_HEAD(new.list)
    return new


def names(head: list_head) -> str:
    return "".join(t.name or "?" for t in list_for_each_entry(thing, head, "list"))


@pytest.fixture
def abc(world):
    head = LIST_HEAD()
    things = [make(name) for name in "abc"]
    for each in things:
        list_add_tail(each.list, head)
    return head, things


def test_list_add_is_a_stack_and_add_tail_a_queue(world):
    head = LIST_HEAD()
    for name in "ab":
        list_add(make(name).list, head)
    list_add_tail(make("c").list, head)
    assert names(head) == "bac"
    assert list_count_nodes(head) == 3


def test_list_add_is_one_event_that_writes_its_neighbours(world):
    head, a = LIST_HEAD(), make("a")
    world.events.clear()
    list_add(a.list, head)
    assert world.events == [("mutates", head, "list_add", (a.list, head, head))]


def test_list_del_poisons_the_node(abc):
    head, (_, b, _) = abc
    list_del(b.list)
    assert names(head) == "ac"
    assert b.list.next is LIST_POISON1 and b.list.prev is LIST_POISON2


def test_list_del_twice_is_corruption(abc, world):
    _, (_, b, _) = abc
    list_del(b.list)
    list_del(b.list)
    assert "already deleted" in world.expect("list-corruption")["detail"]


def test_list_add_of_a_linked_node_is_corruption(abc, world):
    head, (_, _, c) = abc
    list_add_tail(c.list, head)
    assert world.expect("list-corruption")["detail"] == "double add"
    assert names(head) == "abc"


def test_iteration_onto_a_deleted_node_is_corruption(abc, world):
    head, (_, b, _) = abc
    seen = []
    for pos in list_for_each_entry(thing, head, "list"):
        seen.append(pos.name)
        if pos is b:
            list_del(b.list)
    assert seen == ["a", "b"]
    world.expect("list-corruption")


def test_list_for_each_entry_safe_lets_the_body_unlink(abc):
    head, things = abc
    pairs = []
    for pos, n in list_for_each_entry_safe(thing, head, "list"):
        pairs.append((pos.name, n.name if n else None))
        list_del_init(pos.list)
    assert pairs == [("a", "b"), ("b", "c"), ("c", None)]
    assert list_empty(head)
    assert all(list_empty(t.list) for t in things)


def test_list_for_each_entry_sees_what_the_body_appends(abc):
    head, _ = abc
    seen = ""
    for pos in list_for_each_entry(thing, head, "list"):
        seen += pos.name
        if pos.name == "c":
            list_add_tail(make("d").list, head)
    assert seen == "abcd"


def test_reverse_and_move(abc):
    head, (a, _, _) = abc
    list_move_tail(a.list, head)
    assert names(head) == "bca"
    assert "".join(t.name for t in list_for_each_entry_reverse(thing, head, "list")) == "acb"


@pytest.mark.parametrize(("splice", "result"), [(list_splice_init, "abcx"), (list_splice_tail_init, "xabc")])
def test_list_splice_init_empties_its_source(abc, splice, result):
    source, _ = abc
    target = LIST_HEAD()
    list_add(make("x").list, target)
    splice(source, target)
    assert names(target) == result
    assert list_empty(source)


def test_first_entry_and_singular(world):
    head, a = LIST_HEAD(), make("a")
    assert list_first_entry_or_null(head, thing, "list") is None
    list_add(a.list, head)
    assert list_first_entry_or_null(head, thing, "list") is a
    assert list_is_singular(head)


def test_hlist_nodes_unlink_themselves_from_anywhere(world):
    head = HLIST_HEAD()
    a, b, c = (make(name) for name in "abc")
    for each in (a, b, c):
        hlist_add_head(each.hlist, head)
    hlist_del_init(b.hlist)
    assert [t.name for t in hlist_for_each_entry(thing, head, "hlist")] == ["c", "a"]
    hlist_del_init(c.hlist)
    hlist_del_init(a.hlist)
    assert hlist_empty(head) and hlist_unhashed(b.hlist)


def test_rcu_removal_leaves_the_way_on(abc):
    head, (_, b, c) = abc
    list_del_rcu(b.list)
    assert b.list.next is c.list and b.list.prev is LIST_POISON2
    assert names(head) == "ac"


def test_hlist_rcu_removal_leaves_the_way_on(world):
    head = HLIST_HEAD()
    a, b = make("a"), make("b")
    hlist_add_head_rcu(a.hlist, head)
    hlist_add_head_rcu(b.hlist, head)
    hlist_del_init_rcu(b.hlist)
    assert b.hlist.next is a.hlist and b.hlist.pprev is None
    assert a.hlist.pprev is head


def test_llist_is_a_stack_taken_off_at_once(world):
    head = LLIST_HEAD()
    a, b = make("a"), make("b")
    assert llist_add(a.llist, head)
    assert not llist_add(b.llist, head)
    assert llist_for_each_entry_safe(thing, llist_del_all(head), "llist") == [b, a]
    assert llist_del_all(head) is None
