# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/mmap.c (Linux 7.2): the end of an address space; and calls that make and end mappings.

``vm_mmap`` is a model for private anonymous memory at an address that the caller chooses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.mmu_context import arch_exit_mmap
from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, TASK_SIZE
from kmm.arch.x86.mm.pgprot import vm_get_page_prot
from kmm.c import ULONG_MAX
from kmm.include.asm_generic.cacheflush import flush_cache_mm
from kmm.include.asm_generic.tlb import mmu_gather
from kmm.include.linux.errno import EINTR, EINVAL
from kmm.include.linux.kernel import round_up
from kmm.include.linux.maple_tree import __mt_destroy, mt_find_after
from kmm.include.linux.mm import VM_EXEC, VM_MAYEXEC, VM_MAYREAD, VM_MAYWRITE, VM_READ, VM_WRITE
from kmm.include.linux.mm_types import VMA_ITERATOR
from kmm.include.linux.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_lock_killable,
    mmap_write_unlock,
)
from kmm.include.linux.mmu_notifier import mmu_notifier_release
from kmm.include.linux.sched import current
from kmm.mm.internal import free_pgtables, unmap_vmas
from kmm.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu_fullmm
from kmm.mm.vma import __mmap_region, do_vmi_munmap, remove_vma, vma_next
from kmm.mm.vma_h import unmap_all_init, unmap_desc, unmap_pgtable_init, vma_iter_set

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct, vm_area_struct, vma_iterator

PROT_READ = 0x1
PROT_WRITE = 0x2
PROT_EXEC = 0x4

MAP_PRIVATE = 0x02
MAP_ANONYMOUS = 0x20
MAP_FIXED_NOREPLACE = 0x100000


def vm_mmap(file: object | None, addr: int, len: int, prot: int, flag: int, offset: int) -> int:
    """Map private anonymous memory at *addr*. The address, or a negative errno.

    :context: takes ``mmap_lock`` for writing.
    """
    mm = current().mm
    assert mm is not None
    if file is not None or not (flag & MAP_PRIVATE) or not (flag & MAP_ANONYMOUS):
        raise hooks.Unported("mm/mmap.c", "do_mmap (files, shared memory)")
    if not (flag & MAP_FIXED_NOREPLACE):
        raise hooks.Unported("mm/mmap.c", "get_unmapped_area")
    len = round_up(len, PAGE_SIZE)
    if not len or addr & ~PAGE_MASK or addr + len > TASK_SIZE():
        return -EINVAL

    vm_flags = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC
    vm_flags |= VM_READ if prot & PROT_READ else 0
    vm_flags |= VM_WRITE if prot & PROT_WRITE else 0
    vm_flags |= VM_EXEC if prot & PROT_EXEC else 0

    mmap_write_lock(mm)
    ret = __mmap_region(mm, addr, len, vm_flags, vm_get_page_prot(vm_flags), addr >> PAGE_SHIFT)
    mmap_write_unlock(mm)
    return ret


def find_vma(mm: mm_struct, addr: int) -> vm_area_struct | None:
    """The first VMA that ends above *addr*. :context: ``mmap_lock`` held."""
    found: vm_area_struct | None = mt_find_after(mm.mm_mt, addr)
    return found


def __vm_munmap(start: int, len: int, unlock: bool) -> int:
    """munmap() of the current mm. 0 or an errno.

    :param unlock: release ``mmap_lock`` as early as possible: entries and tables go under the read lock.
    """
    mm = current().mm
    assert mm is not None
    vmi = VMA_ITERATOR(mm, start)

    if mmap_write_lock_killable(mm):
        return -EINTR

    ret = do_vmi_munmap(vmi, mm, start, len, unlock)
    if ret or not unlock:
        mmap_write_unlock(mm)

    return ret


def vm_munmap(start: int, len: int) -> int:
    """munmap() from inside the kernel, all of it under the write lock. 0 or an errno."""
    return __vm_munmap(start, len, False)


def sys_munmap(addr: int, len: int) -> int:
    """munmap() of a program. 0 or an errno."""
    return __vm_munmap(addr, len, True)


def tear_down_vmas(mm: mm_struct, vmi: vma_iterator, vma: vm_area_struct, end: int) -> None:
    """Free the VMAs of a dead mm."""
    vma_iter_set(vmi, vma.vm_end)
    next: vm_area_struct | None = vma
    while next is not None:
        remove_vma(next)
        next = vma_next(vmi)


def exit_mmap(mm: mm_struct) -> None:
    """Take an address space down: entries, tables, VMAs.

    Entries are cleared under the read lock. Then the write lock is taken, though nobody is left to
    exclude except walkers that know the mm from elsewhere.

    :context: no user is left; takes ``mmap_lock``, may sleep.
    """
    tlb = mmu_gather()
    vmi = VMA_ITERATOR(mm, 0)
    unmap = unmap_desc()

    # Devices that walk the mm's tables let go of it.
    mmu_notifier_release(mm)

    mmap_read_lock(mm)
    arch_exit_mmap(mm)

    vma = vma_next(vmi)
    if vma is None:
        mmap_read_unlock(mm)
        mmap_write_lock(mm)
    else:
        unmap_all_init(unmap, vmi, vma)
        flush_cache_mm(mm)
        tlb_gather_mmu_fullmm(tlb, mm)
        unmap_vmas(tlb, unmap)
        mmap_read_unlock(mm)

        mmap_write_lock(mm)
        unmap.mm_wr_locked = True
        unmap_pgtable_init(unmap, vmi)
        free_pgtables(tlb, unmap)
        tlb_finish_mmu(tlb)

        tear_down_vmas(mm, vmi, vma, ULONG_MAX)

    __mt_destroy(mm.mm_mt)
    mmap_write_unlock(mm)
