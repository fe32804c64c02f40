# SPDX-License-Identifier: GPL-2.0-only
"""Plain imports of Linux modules, ``import kmm.mm.mmu_gather``, go through the linker too.

They are modules of one kernel of the process, the *plain* one: default configuration, the real
``kmm.c`` and ``kmm.hooks``, never booted.  Without the linker most of them could not be imported at
all, as kernel headers include each other in cycles.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from kmm.tree import TREE, is_linux, locate

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from kmm.linker import Kernel
else:
    Loader = MetaPathFinder = object    # the import system asks for the methods only

__all__ = ["install"]


class _Loader(Loader):
    """Gives the import system a module that the linker has executed."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _kernel()._load(spec.name, "")

    def exec_module(self, module: ModuleType) -> None:
        """The linker has done that."""


class _Finder(MetaPathFinder):
    """Finds the Linux modules of the tree, and nothing else."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        where = locate(TREE, fullname) if is_linux(fullname) else None
        if where is None:
            return None
        from importlib.util import spec_from_file_location
        return spec_from_file_location(
            fullname, where[0], loader=_Loader(),
            submodule_search_locations=[str(where[0].parent)] if where[1] else None)


_kernels: list[Kernel] = []


def _kernel() -> Kernel:
    if not _kernels:
        from kmm.kconfig import Config
        from kmm.linker import Kernel
        _kernels.append(Kernel(Config.default(), (), plain=True))
    return _kernels[0]


def install() -> None:
    """Have the import system ask the linker for Linux modules; ``import kmm`` does this."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
