# SPDX-License-Identifier: GPL-2.0-only
"""Model of include/linux/init.h.

An initcall registers when its module is linked, and ``do_initcalls()`` runs it at its level. Within a
level the order is that of registration, hence of linking. ``__init`` and its relatives only place code
and data in sections; ported code drops them.
"""

from __future__ import annotations

from collections.abc import Callable

initcall_t = Callable[[], int]

#: Early calls, then levels 0 (pure) to 7 (late); the ``_sync`` levels run with their level.
initcall_early: list[initcall_t] = []
initcall_levels: list[list[initcall_t]] = [[], [], [], [], [], [], [], []]


def early_initcall(fn: initcall_t) -> None:
    """Run *fn* before SMP comes up."""
    initcall_early.append(fn)


def pure_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 0."""
    initcall_levels[0].append(fn)


def core_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 1."""
    initcall_levels[1].append(fn)


def postcore_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 2."""
    initcall_levels[2].append(fn)


def arch_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 3."""
    initcall_levels[3].append(fn)


def subsys_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 4."""
    initcall_levels[4].append(fn)


def fs_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 5."""
    initcall_levels[5].append(fn)


def rootfs_initcall(fn: initcall_t) -> None:
    """Run *fn* after level 5 (with it, here)."""
    initcall_levels[5].append(fn)


def device_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 6."""
    initcall_levels[6].append(fn)


def late_initcall(fn: initcall_t) -> None:
    """Run *fn* at level 7."""
    initcall_levels[7].append(fn)


module_init = device_initcall
