# SPDX-License-Identifier: GPL-2.0-only
"""kmm: an executable reference of how Linux allocates, uses and frees page tables.

From Python::

    import kmm

    kernel = kmm.build(kmm.Config.default().with_set({"ASYNC_KERNEL_PGTABLE_FREE": "n"}))
    world = kmm.boot(kernel, kmm.find("sva_device_vs_huge_promotion"))
    result = kmm.explore(world.start, world.reset, at_end=world.at_end)

``kmm.mm``, ``kmm.include``, ``kmm.arch``, ``kmm.kernel`` and ``kmm.drivers`` are the kernel's own code; importing
them gives the default configuration, not booted (:mod:`kmm.plain`).  Nothing is imported until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kmm.harness.litmus import find
    from kmm.harness.search import explore
    from kmm.harness.world import boot
    from kmm.kconfig import Config
    from kmm.linker import build
    from kmm.overlay import Overlay

from kmm import plain

__all__ = ["Config", "Overlay", "boot", "build", "explore", "find"]

_HOMES = {"Config": "kmm.kconfig", "Overlay": "kmm.overlay", "boot": "kmm.harness.world", "build": "kmm.linker",
          "explore": "kmm.harness.search", "find": "kmm.harness.litmus"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'kmm' has no attribute {name!r}")
    from importlib import import_module
    return getattr(import_module(home), name)


plain.install()
