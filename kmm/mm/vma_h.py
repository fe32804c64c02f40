# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/vma.h (Linux 7.2): what is to be unmapped, and how far its page tables reach.

x86 has ``FIRST_USER_ADDRESS`` and ``USER_PGTABLES_CEILING`` 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.c import ULONG_MAX, Ptr, struct
from kmm.include.linux.maple_tree import ma_state, mas_set
from kmm.include.linux.mm_types import vm_area_struct, vma_iterator

if TYPE_CHECKING:
    from kmm.include.linux.maple_tree import maple_tree

FIRST_USER_ADDRESS = 0
#: 0 stands for the top of the address space.
USER_PGTABLES_CEILING = 0


class vma_munmap_struct(struct):
    """One munmap() on its way."""

    vmi: Ptr[vma_iterator]
    vma: Ptr[vm_area_struct]
    prev: vm_area_struct | None
    next: vm_area_struct | None
    start: int
    end: int
    #: How far down tables may be freed, and how far up.
    unmap_start: int
    unmap_end: int
    vma_count: int
    unlock: bool
    clear_ptes: bool
    nr_pages: int


class unmap_desc(struct):
    """A list of VMAs to unmap."""

    #: At the first VMA but one.
    mas: Ptr[ma_state]
    first: Ptr[vm_area_struct]
    #: Tables are freed down to here (floor)...
    pg_start: int
    #: ...and up to here (ceiling).
    pg_end: int
    vma_start: int
    vma_end: int
    #: Where the list ends in its tree, and where to go to start it again.
    tree_end: int
    tree_reset: int
    mm_wr_locked: bool


def unmap_all_init(unmap: unmap_desc, vmi: vma_iterator, vma: vm_area_struct) -> None:
    """Unmap every VMA from *vma* on."""
    unmap.mas = vmi.mas
    unmap.first = vma
    unmap.pg_start = FIRST_USER_ADDRESS
    unmap.pg_end = USER_PGTABLES_CEILING
    unmap.vma_start = 0
    unmap.vma_end = ULONG_MAX
    unmap.tree_end = ULONG_MAX
    unmap.tree_reset = vma.vm_end
    unmap.mm_wr_locked = False


def unmap_pgtable_init(unmap: unmap_desc, vmi: vma_iterator) -> None:
    """After the entries, the tables: start the list again and reach over all of user space."""
    vma_iter_set(vmi, unmap.tree_reset)
    unmap.vma_start = FIRST_USER_ADDRESS
    unmap.vma_end = USER_PGTABLES_CEILING
    unmap.tree_end = USER_PGTABLES_CEILING


def vma_iter_set(vmi: vma_iterator, addr: int) -> None:
    """Go to *addr*."""
    mas_set(vmi.mas, addr)


def mas_of(tree: maple_tree) -> ma_state:
    """``MA_STATE(name, tree, 0, 0)``: the state instead of its declaration."""
    mas = ma_state.zeroed()
    mas.tree = tree
    return mas
