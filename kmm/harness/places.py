# SPDX-License-Identifier: GPL-2.0-only
"""From a Python stack to places in kernel code.

A Linux module's path is its citation, so the stack of an actor names the kernel's own files and
functions.  Low-level helpers (``set_pmd`` in a header, ``list_add``) are kept in the chain but the
*place* of an event is the innermost function of a ``.c`` file.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kmm.harness.violation import Place

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["chain", "entry_point", "kernel_path", "place"]

_LAYERS = ("kmm.mm.", "kmm.include.", "kmm.arch.", "kmm.kernel.", "kmm.drivers.", "kmm.init.", "kmm.lib.",
           "kmm.scenarios.")
_PLUMBING = ("kmm.kernel.locking.", "kmm.kernel.smp", "kmm.kernel.rcu.", "kmm.kernel.workqueue",
             "kmm.mm.page_alloc", "kmm.mm.slab", "kmm.lib.")
_DASHED = {"pgtable_generic": "pgtable-generic", "iommu_sva": "iommu-sva", "asm_generic": "asm-generic",
           "init_mm": "init-mm"}


def kernel_path(module: str) -> str:
    """``kmm.mm.mmu_gather`` is ``mm/mmu_gather.c``, ``kmm.include.linux.mm`` is ``include/linux/mm.h``."""
    parts = [_DASHED.get(part, part) for part in module.split(".")[1:]]
    header = "include" in parts
    stem = parts[-1].removesuffix("_h") if not header else parts[-1]
    suffix = ".h" if header or parts[-1].endswith("_h") else ".c"
    return "/".join([*parts[:-1], stem]) + suffix


def chain(depth: int = 2) -> list[Place]:
    """The kernel functions on the stack, innermost first.

    :param depth: how many frames of the caller to skip.
    """
    found = []
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_LAYERS):
            found.append(Place(kernel_path(module), frame.f_code.co_name, frame.f_lineno))
        frame = frame.f_back
    return found


def entry_point(places: tuple[Place, ...], here: Place) -> Place:
    """The outermost function of *here*'s file in an unbroken run of the chain: ``flush_tlb_kernel_range``
    rather than the ``native_flush_tlb_one_user`` that it comes down to."""
    found = here
    for one in places:
        if one.file == here.file:
            found = one
        elif found is not here and not one.file.startswith(("kernel/smp", "include/")):
            break
    return found


def place(depth: int = 2) -> Place:
    """The innermost kernel function that is not plumbing (a header, a lock, the page allocator)."""
    frame: FrameType | None = sys._getframe(depth)
    fallback: Place | None = None
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_LAYERS):
            here = Place(kernel_path(module), frame.f_code.co_name, frame.f_lineno)
            if ".include." not in module and not module.startswith(_PLUMBING):
                return here
            fallback = fallback or here
        frame = frame.f_back
    return fallback or Place("", "hardware")
