# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's words for numbers, bits, counters and errors: atomic.h, bits.h, err.h, refcount.h..."""

from __future__ import annotations

import pytest
from fake_world import KernelBug

from kmm.c import cell, struct
from kmm.include.linux.atomic import (
    ATOMIC_INIT,
    atomic_add_negative,
    atomic_add_unless,
    atomic_cmpxchg,
    atomic_dec_and_test,
    atomic_inc_not_zero,
    atomic_inc_return,
    atomic_read,
)
from kmm.include.linux.bitops import __set_bit, clear_bit, fls_long, test_and_set_bit, test_bit
from kmm.include.linux.bits import FIELD_GET, FIELD_PREP, GENMASK
from kmm.include.linux.bug import BUG_ON, WARN_ON_ONCE, WARN_ONCE
from kmm.include.linux.compiler import READ_ONCE, READ_ONCE_FIELD, WRITE_ONCE_FIELD, try_cmpxchg
from kmm.include.linux.err import ERR_PTR, IS_ERR, IS_ERR_OR_NULL, IS_ERR_VALUE, PTR_ERR, PTR_ERR_OR_ZERO
from kmm.include.linux.errno import ENOMEM
from kmm.include.linux.kernel import ALIGN, IS_ALIGNED, SYSTEM_BOOTING, SYSTEM_RUNNING, round_up, system_state
from kmm.include.linux.kref import kref, kref_get, kref_init, kref_put
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE
from kmm.include.linux.refcount import (
    REFCOUNT_INIT,
    REFCOUNT_SATURATED,
    refcount_dec_and_test,
    refcount_inc,
    refcount_inc_not_zero,
    refcount_read,
)


class word(struct):
    flags: int
    next: word | None


test_bit.__test__ = test_and_set_bit.__test__ = False  # the kernel's functions, no tests


def test_atomics_wrap_as_int_does(world):
    v = ATOMIC_INIT((1 << 31) - 1)
    assert atomic_inc_return(v) == -(1 << 31)
    assert atomic_add_negative(0, v)


def test_atomic_conditionals(world):
    v = ATOMIC_INIT(0)
    assert not atomic_inc_not_zero(v)
    assert not atomic_add_unless(v, 5, 0)
    assert atomic_cmpxchg(v, 0, 1) == 0 and atomic_read(v) == 1
    assert atomic_dec_and_test(v)


def test_an_atomic_operation_is_one_event(world):
    v = ATOMIC_INIT(0)
    atomic_inc_return(v)
    assert world.events == [("write", v, "counter")]


def test_refcount_from_zero_saturates(world):
    r = REFCOUNT_INIT(1)
    assert refcount_dec_and_test(r)
    assert not refcount_inc_not_zero(r)
    refcount_inc(r)
    assert world.expect("warn")["condition"] == "addition on 0; use-after-free"
    assert refcount_read(r) == REFCOUNT_SATURATED


def test_kref_put_releases_once(world):
    k, released = kref.zeroed(), []
    kref_init(k)
    kref_get(k)
    assert kref_put(k, released.append) == 0
    assert kref_put(k, released.append) == 1
    assert released == [k]


def test_bit_operations_name_the_field(world):
    w = word.zeroed()
    assert not test_and_set_bit(3, w, "flags")
    assert test_bit(3, w, "flags")
    clear_bit(3, w, "flags")
    __set_bit(0, w, "flags")
    assert w.flags == 1
    assert [event[0] for event in world.events] == ["write", "read", "write"]
    assert fls_long(1 << 63) == 64 and fls_long(0) == 0


def test_masks_and_fields():
    assert GENMASK(11, 4) == 0xFF0
    assert GENMASK(63, 0) == (1 << 64) - 1
    assert FIELD_GET(0xFF0, FIELD_PREP(0xFF0, 0x5A)) == 0x5A
    assert ALIGN(0x1001, 0x1000) == round_up(0x1001, 0x1000) == 0x2000
    assert IS_ALIGNED(0x2000, 0x1000)


def test_marked_accesses_are_events_and_stack_variables_are_not(world):
    w = word.zeroed()
    WRITE_ONCE_FIELD(w, "flags", 7)
    assert READ_ONCE_FIELD(w, "flags") == 7
    assert READ_ONCE(cell(5)) == 5
    assert world.events == [("write", w, "flags"), ("read", w, "flags")]


def test_cmpxchg_compares_pointers_by_identity(world):
    w, a, b = word.zeroed(), word.zeroed(), word.zeroed()
    assert try_cmpxchg(w, "next", None, a) == (True, None)
    assert try_cmpxchg(w, "next", b, None) == (False, a)
    assert w.next is a


def test_error_pointers():
    ptr = ERR_PTR(-ENOMEM)
    assert IS_ERR(ptr) and PTR_ERR(ptr) == -ENOMEM == PTR_ERR_OR_ZERO(ptr)
    assert not IS_ERR(None) and IS_ERR_OR_NULL(None) and not IS_ERR(object())
    assert PTR_ERR_OR_ZERO(object()) == 0
    assert IS_ERR_VALUE((1 << 64) - ENOMEM) and not IS_ERR_VALUE(0)


def test_assertions_name_their_function_and_line(world):
    assert WARN_ON_ONCE(1 + 1 == 2)
    facts = world.expect("warn")
    assert facts["where"] == "test_assertions_name_their_function_and_line"
    assert facts["condition"] == "assert WARN_ON_ONCE(1 + 1 == 2)"
    assert not WARN_ON_ONCE(False)
    WARN_ONCE(True, "%s went wrong", "it")
    assert world.expect("warn")["condition"] == "it went wrong"
    VM_WARN_ON_ONCE(True)
    assert world.expect("warn")["where"] == "test_assertions_name_their_function_and_line"
    with pytest.raises(KernelBug, match="test_assertions"):
        BUG_ON(True)


def test_system_state_reads_like_the_variable(world):
    assert system_state == SYSTEM_RUNNING
    assert system_state > SYSTEM_BOOTING
    system_state.value = SYSTEM_BOOTING
    assert system_state != SYSTEM_RUNNING
    assert not system_state > SYSTEM_BOOTING
