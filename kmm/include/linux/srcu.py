# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/srcu.h."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kmm import hooks
from kmm.c import Ptr, struct

if TYPE_CHECKING:
    from kmm.kernel.rcu.srcutree import srcu_section


class srcu_struct(struct):
    """A domain of sleepable readers: the sections that are open, by the index that readers hold."""

    sections: Ptr[dict[int, srcu_section]]


def init_srcu_struct(ssp: srcu_struct) -> int:
    """Make a domain without readers; always 0."""
    ssp.sections = {}
    return 0


def cleanup_srcu_struct(ssp: srcu_struct) -> None:
    """Take down a domain; it must have no readers."""
    if ssp.sections:
        hooks.warn("cleanup_srcu_struct", "a reader is still active")


def DEFINE_SRCU() -> srcu_struct:
    """``DEFINE_SRCU(name)``: a domain without readers."""
    ssp = srcu_struct.zeroed()
    ssp.sections = {}
    return ssp


DEFINE_STATIC_SRCU = DEFINE_SRCU


def srcu_read_lock_held(ssp: srcu_struct) -> bool:
    """Whether a reader is active (any reader: sections are not bound to tasks)."""
    return bool(ssp.sections)


def srcu_dereference(obj: struct, field: str, ssp: srcu_struct) -> Any:
    """Read a pointer that writers publish."""
    hooks.read(obj, field)
    return getattr(obj, field)


# Declared here, defined in kernel/rcu/srcutree.c:
from kmm.kernel.rcu.srcutree import call_srcu as call_srcu
from kmm.kernel.rcu.srcutree import srcu_barrier as srcu_barrier
from kmm.kernel.rcu.srcutree import srcu_read_lock as srcu_read_lock
from kmm.kernel.rcu.srcutree import srcu_read_unlock as srcu_read_unlock
from kmm.kernel.rcu.srcutree import synchronize_srcu as synchronize_srcu
