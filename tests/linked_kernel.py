# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of any configuration on a :class:`FakeWorld`, for tests of ported code.

``link()`` builds a kernel and gives it a world of its own; ``k.tlb_gather_mmu`` is any name of any of
its modules. ``link(PT_RECLAIM="n")`` changes the configuration.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from fake_world import FakeWorld, hook_names, recorded

from kmm.kconfig import Config
from kmm.linker import build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOTS = ("kmm.include.linux.mm", "kmm.mm.mmu_gather", "kmm.mm.pgtable_generic", "kmm.mm.swap_state",
         "kmm.arch.x86.mm.pgtable", "kmm.include.linux.pgalloc", "kmm.include.linux.mm_inline",
         "kmm.include.linux.vmstat", "kmm.arch.x86.boot.startup.map_kernel")


class Linked:
    """One kernel on one world. Every name of its modules is an attribute.

    :ivar world: the hooks it runs on.
    :ivar flushes: ``(start, end, stride_shift, freed_tables)`` of each flush of user space so far, in
        the order in which they stand, as ``"flush"``, among ``world.events``.
    """

    def __init__(self, world: FakeWorld, changes: dict[str, str]) -> None:
        self.world = world
        self.kernel = build(Config.default().with_set(changes))
        for name in ROOTS:
            self.kernel.module(name)
        for name in hook_names():
            if hasattr(world, name):
                setattr(self.kernel.hooks, name, recorded(world, name))
        world.page_offset = self.PAGE_OFFSET
        for cpu in range(world.cpus):
            self.set_cpu_possible(cpu, True)
            self.set_cpu_online(cpu, True)
        self.system_state.value = self.SYSTEM_RUNNING
        self.workqueue_init_early()
        self.workqueue_init()
        self.flushes: list[tuple[int, int, int, bool]] = []
        self.patch("kmm.arch.x86.include.asm.tlb", "flush_tlb_mm_range", self._flushed)
        world.events.clear()

    def __getattr__(self, name: str) -> Any:
        for module in self.kernel.modules.values():
            value = vars(module).get(name)
            if name in vars(module) and not isinstance(value, ModuleType):
                return value
        raise AttributeError(name)

    def patch(self, module: str, name: str, value: Any) -> None:
        """Replace what one module calls."""
        assert hasattr(self.kernel.module(module), name)
        setattr(self.kernel.module(module), name, value)

    def _flushed(self, mm: Any, start: int, end: int, stride_shift: int, freed_tables: bool) -> None:
        self.flushes.append((start, end, stride_shift, freed_tables))
        self.world.events.append(("flush", start, end, stride_shift, freed_tables))

    def new_mm(self) -> Any:
        """An address space without tables."""
        mm = self.mm_struct.zeroed()
        mm.mm_count.counter = mm.mm_users.counter = 1
        self.spin_lock_init(mm.page_table_lock)
        self.init_rwsem(mm.mmap_lock)
        return mm

    def new_page(self, references: int = 1) -> Any:
        """A page that somebody refers to."""
        page = self.alloc_pages(self.GFP_KERNEL, 0)
        self.set_page_count(page, references)
        return page

    def new_table(self, mm: Any) -> Any:
        """The descriptor of a PTE table of user space."""
        return self.page_ptdesc(self.pte_alloc_one(mm))

    def tables(self) -> int:
        """NR_PAGETABLE, negative if it went wrong."""
        return int(self.raw_node_page_state(self.NR_PAGETABLE))

    def order(self, *kinds: str) -> list[tuple[Any, ...]]:
        """The events of some kinds so far, in order."""
        return [event for event in self.world.events if event[0] in kinds]


@pytest.fixture
def link() -> Iterator[Callable[..., Linked]]:
    """Link a kernel with options changed; no rule may be broken unless ``world.expect`` takes it out."""
    made: list[Linked] = []

    def make(**changes: str) -> Linked:
        made.append(Linked(FakeWorld(frames=16384), changes))
        return made[-1]

    yield make
    for linked in made:
        assert linked.world.violations == []
