# SPDX-License-Identifier: GPL-2.0-only
"""Model of kernel/rcu/srcutree.c.

Each read-side section is an object of its own, so sections may overlap without nesting and readers do
not depend on each other: entering one writes the section and reads the domain, a grace period writes
the domain, takes stock of the open sections, and waits for them.

Left out: ``srcu_barrier``, polling, expediting, NMI-safe readers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.c import struct
from kmm.include.linux.kernel import __might_sleep

if TYPE_CHECKING:
    from collections.abc import Callable

    from kmm.include.linux.srcu import srcu_struct
    from kmm.include.linux.types import callback_head


class srcu_section(struct):
    """One read-side section."""

    active: int


def srcu_read_lock(ssp: srcu_struct) -> int:
    """Enter a read-side section; the index to leave it with."""
    section = srcu_section()
    section.active = 1
    hooks.mutates(ssp, "srcu_read_lock", (section,), (ssp,))
    idx = 0
    while idx in ssp.sections:
        idx += 1
    ssp.sections[idx] = section
    return idx


def srcu_read_unlock(ssp: srcu_struct, idx: int) -> None:
    """Leave the section that :func:`srcu_read_lock` gave *idx* for."""
    section = ssp.sections.get(idx)
    if section is None:
        hooks.warn("srcu_read_unlock", "no section is open at this index")
        return
    hooks.mutates(ssp, "srcu_read_unlock", (section,))
    section.active = 0
    del ssp.sections[idx]


def synchronize_srcu(ssp: srcu_struct) -> None:
    """Wait until every section that is open now has ended.

    :context: may sleep.
    """
    __might_sleep("synchronize_srcu")
    hooks.mutates(ssp, "synchronize_srcu", (ssp,))
    sections = tuple(ssp.sections.values())
    if sections:
        hooks.wait("synchronize_srcu", lambda: not any(s.active for s in sections), *sections)


def call_srcu(ssp: srcu_struct, rhp: callback_head, func: Callable[[callback_head], None]) -> None:
    """Run ``func(rhp)`` in a worker once every section that is open now has ended."""
    hooks.mutates(ssp, "call_srcu", (ssp, rhp))
    sections = tuple(ssp.sections.values())
    rhp.func = func

    def srcu_invoke_callbacks() -> None:
        if sections:
            hooks.wait("call_srcu", lambda: not any(s.active for s in sections), *sections)
        f = rhp.func
        assert f is not None
        f(rhp)

    hooks.spawn_worker("srcu_invoke_callbacks", srcu_invoke_callbacks)


def srcu_barrier(ssp: srcu_struct) -> None:
    """Wait until all callbacks that were queued have run."""
    raise hooks.Unported("kernel/rcu/srcutree.c", "srcu_barrier")
