# SPDX-License-Identifier: GPL-2.0-only
"""CPU masks, per-CPU data, number allocators, sparse arrays: cpumask.h, percpu.h, idr.h, xarray.h."""

from __future__ import annotations

from kmm.c import struct
from kmm.include.linux.completion import complete, completion, try_wait_for_completion, wait_for_completion
from kmm.include.linux.cpumask import (
    cpu_online_mask,
    cpumask,
    cpumask_and,
    cpumask_any_but,
    cpumask_clear_cpu,
    cpumask_empty,
    cpumask_equal,
    cpumask_first,
    cpumask_set_cpu,
    cpumask_setall,
    cpumask_test_cpu,
    cpumask_weight,
    for_each_cpu,
    nr_cpu_ids,
)
from kmm.include.linux.err import IS_ERR
from kmm.include.linux.errno import EBUSY, ENOMEM, ENOSPC
from kmm.include.linux.gfp_types import GFP_KERNEL
from kmm.include.linux.idr import DEFINE_IDA, ida_alloc, ida_alloc_range, ida_free, ida_is_empty
from kmm.include.linux.percpu import (
    DEFINE_PER_CPU,
    DEFINE_PER_CPU_SCALAR,
    per_cpu,
    this_cpu_inc_return,
    this_cpu_ptr,
    this_cpu_read,
    this_cpu_write,
)
from kmm.include.linux.xarray import (
    DEFINE_XARRAY,
    DEFINE_XARRAY_ALLOC1,
    xa_alloc,
    xa_cmpxchg,
    xa_empty,
    xa_erase,
    xa_for_each,
    xa_insert,
    xa_limit_32b,
    xa_load,
    xa_store,
)


class counter(struct):
    hits: int


def test_cpumask_operations(world):
    mask = cpumask.zeroed()
    for cpu in (0, 2):
        cpumask_set_cpu(cpu, mask)
    assert cpumask_first(mask) == 0 and cpumask_any_but(mask, 0) == 2
    cpumask_clear_cpu(2, mask)
    assert cpumask_any_but(mask, 0) == nr_cpu_ids() == 4
    assert cpumask_test_cpu(0, mask) and not cpumask_test_cpu(2, mask)
    both = cpumask.zeroed()
    assert cpumask_and(both, mask, cpu_online_mask) and cpumask_weight(both) == 1
    cpumask_setall(mask)
    assert cpumask_equal(mask, cpu_online_mask) and not cpumask_empty(mask)


def test_for_each_cpu_looks_again_before_each_step(world):
    mask = cpumask.zeroed()
    mask.bits = 0b1011
    seen = []
    for cpu in for_each_cpu(mask):
        seen.append(cpu)
        if cpu == 0:
            mask.bits = 0b1101
    assert seen == [0, 2, 3]


def test_constant_masks_are_no_event(world):
    assert list(for_each_cpu(cpu_online_mask)) == [0, 1, 2, 3]
    assert not world.calls("read")


def test_percpu_copies_are_apart(world):
    var, scalar = DEFINE_PER_CPU(counter), DEFINE_PER_CPU_SCALAR(7)
    assert this_cpu_inc_return(var, "hits") == 1
    world.on_cpu(1, lambda: this_cpu_write(var, 5, "hits"))
    assert [per_cpu(var, cpu).hits for cpu in range(3)] == [1, 5, 0]
    assert this_cpu_ptr(var) is per_cpu(var, 0)
    assert this_cpu_read(scalar) == 7


def test_ida_hands_out_the_lowest_free_number(world):
    ida = DEFINE_IDA()
    assert [ida_alloc(ida, GFP_KERNEL) for _ in range(3)] == [0, 1, 2]
    ida_free(ida, 1)
    assert ida_alloc(ida, GFP_KERNEL) == 1
    assert ida_alloc_range(ida, 1, 2, GFP_KERNEL) == -ENOSPC
    world.fail("ida")
    assert ida_alloc(ida, GFP_KERNEL) == -ENOMEM
    for number in range(3):
        ida_free(ida, number)
    assert ida_is_empty(ida)
    ida_free(ida, 9)
    world.expect("warn")


def test_xarray_stores_and_erases(world):
    xa, a, b = DEFINE_XARRAY(), object(), object()
    assert xa_store(xa, 9, a, GFP_KERNEL) is None
    assert xa_insert(xa, 9, b, GFP_KERNEL) == -EBUSY
    assert xa_insert(xa, 3, b, GFP_KERNEL) == 0
    assert xa_for_each(xa) == [(3, b), (9, a)]
    assert xa_cmpxchg(xa, 3, a, None, GFP_KERNEL) is b and xa_load(xa, 3) is b
    assert xa_erase(xa, 9) is a and xa_erase(xa, 9) is None
    world.fail("xarray")
    assert IS_ERR(xa_store(xa, 1, a, GFP_KERNEL))
    xa_store(xa, 3, None, GFP_KERNEL)
    assert xa_empty(xa)


def test_xa_alloc_starts_where_the_array_says(world):
    xa = DEFINE_XARRAY_ALLOC1()
    assert xa_alloc(xa, "x", xa_limit_32b, GFP_KERNEL) == (0, 1)
    assert xa_alloc(xa, "y", xa_limit_32b, GFP_KERNEL) == (0, 2)


def test_completion_counts(world):
    x = completion.zeroed()
    assert not try_wait_for_completion(x)
    complete(x)
    complete(x)
    wait_for_completion(x)
    wait_for_completion(x)
    assert not try_wait_for_completion(x)
