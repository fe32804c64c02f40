# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/vma.c (Linux 7.2): munmap, down to its page tables.

A new mapping is a model: it never merges with its neighbours, and its address is the caller's
choice. Left out: files, policies, accounting by kind, mlock, userfaultfd, sealing, per-VMA locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.page_types import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, TASK_SIZE
from kmm.c import ULONG_MAX
from kmm.include.asm_generic.tlb import mmu_gather
from kmm.include.linux.bug import WARN_ON
from kmm.include.linux.compiler import READ_ONCE_FIELD, WRITE_ONCE_FIELD
from kmm.include.linux.errno import EEXIST, EINVAL, ENOMEM
from kmm.include.linux.kernel import might_sleep, round_up
from kmm.include.linux.maple_tree import (
    __mt_destroy,
    maple_tree,
    mas_find,
    mas_set,
    mtree_store_range,
)
from kmm.include.linux.mm_types import vm_area_struct
from kmm.include.linux.mmap_lock import (
    mmap_assert_write_locked,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_unlock,
)
from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock, mutex_unlock
from kmm.include.linux.sched import current
from kmm.include.linux.slab import kfree, kzalloc_obj
from kmm.mm.internal import free_pgtables, unmap_vmas
from kmm.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu
from kmm.mm.vma_h import (
    FIRST_USER_ADDRESS,
    USER_PGTABLES_CEILING,
    mas_of,
    unmap_desc,
    vma_iter_set,
    vma_munmap_struct,
)

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgprot_t
    from kmm.include.linux.maple_tree import ma_state
    from kmm.include.linux.mm_types import mm_struct, vma_iterator


def vm_area_alloc(mm: mm_struct) -> vm_area_struct | None:
    """A VMA that is not in the tree yet (mm/vma_init.c)."""
    vma = kzalloc_obj(vm_area_struct)
    if vma is None:
        return None
    vma.vm_mm = mm
    return vma


def vm_area_dup(orig: vm_area_struct) -> vm_area_struct | None:
    """A copy of a VMA (mm/vma_init.c)."""
    new = vm_area_alloc(orig.vm_mm)
    if new is None:
        return None
    new.vm_start = orig.vm_start
    new.vm_end = orig.vm_end
    new.vm_page_prot = orig.vm_page_prot
    new.vm_flags = orig.vm_flags
    new.anon_vma = orig.anon_vma
    new.vm_ops = orig.vm_ops
    new.vm_pgoff = orig.vm_pgoff
    new.vm_file = orig.vm_file
    return new


def vma_pages(vma: vm_area_struct) -> int:
    """Size of a VMA in pages."""
    return (vma.vm_end - vma.vm_start) >> PAGE_SHIFT


def vma_find(vmi: vma_iterator, max: int) -> vm_area_struct | None:
    """The next VMA that starts below *max*."""
    found: vm_area_struct | None = mas_find(vmi.mas, max - 1)
    return found


def vma_next(vmi: vma_iterator) -> vm_area_struct | None:
    """The next VMA."""
    found: vm_area_struct | None = mas_find(vmi.mas, ULONG_MAX)
    return found


def remove_vma(vma: vm_area_struct) -> None:
    """Free a VMA that is in no tree any more. :context: may sleep."""
    might_sleep()
    kfree(vma)


def unmap_region(unmap: unmap_desc) -> None:
    """Clear the entries of a list of VMAs, free their tables, flush, free the pages.

    :context: the VMAs are out of the mm's tree; ``mmap_lock`` held, for reading is enough.
    """
    mm = unmap.first.vm_mm
    tlb = mmu_gather()

    tlb_gather_mmu(tlb, mm)
    unmap_vmas(tlb, unmap)
    mas_set(unmap.mas, unmap.tree_reset)
    free_pgtables(tlb, unmap)
    tlb_finish_mmu(tlb)


def __split_vma(vmi: vma_iterator, vma: vm_area_struct, addr: int, new_below: int) -> int:
    """Cut a VMA in two at *addr*. 0 or ``-ENOMEM``.

    :param new_below: whether the new VMA is the lower half.
    :context: ``mmap_lock`` held for writing.
    """
    WARN_ON(vma.vm_start >= addr)
    WARN_ON(vma.vm_end <= addr)

    new = vm_area_dup(vma)
    if new is None:
        return -ENOMEM

    if new_below:
        new.vm_end = addr
    else:
        new.vm_start = addr
        new.vm_pgoff += (addr - vma.vm_start) >> PAGE_SHIFT

    if new_below:
        vma.vm_start = addr
        vma.vm_pgoff += (addr - new.vm_start) >> PAGE_SHIFT
    else:
        vma.vm_end = addr

    mtree_store_range(vma.vm_mm.mm_mt, new.vm_start, new.vm_end - 1, new)
    mtree_store_range(vma.vm_mm.mm_mt, vma.vm_start, vma.vm_end - 1, vma)
    vma.vm_mm.map_count += 1

    return 0


def vms_clear_ptes(vms: vma_munmap_struct, mas_detach: ma_state, mm_wr_locked: bool) -> None:
    """Unmap the VMAs of the side tree, unless that was done."""
    unmap = unmap_desc()
    unmap.mas = mas_detach
    unmap.first = vms.vma
    unmap.pg_start = vms.unmap_start
    unmap.pg_end = vms.unmap_end
    unmap.vma_start = vms.start
    unmap.vma_end = vms.end
    unmap.tree_reset = 1
    unmap.tree_end = vms.vma_count
    unmap.mm_wr_locked = mm_wr_locked

    if not vms.clear_ptes:
        return

    mas_set(mas_detach, 1)
    unmap_region(unmap)
    vms.clear_ptes = False


def vms_complete_munmap_vmas(vms: vma_munmap_struct, mas_detach: ma_state) -> None:
    """Unmap the VMAs of the side tree and free them.

    :context: ``mmap_lock`` held for writing; with ``vms->unlock`` it is downgraded first and released
        at the end.
    """
    mm = current().mm
    assert mm is not None
    mm.map_count -= vms.vma_count
    if vms.unlock:
        mmap_write_downgrade(mm)

    if not vms.nr_pages:
        return

    vms_clear_ptes(vms, mas_detach, not vms.unlock)
    WRITE_ONCE_FIELD(mm, "total_vm", READ_ONCE_FIELD(mm, "total_vm") - vms.nr_pages)

    mas_set(mas_detach, 0)
    while True:
        vma = mas_find(mas_detach, ULONG_MAX)
        if vma is None:
            break
        remove_vma(vma)

    if vms.unlock:
        mmap_read_unlock(mm)

    __mt_destroy(mas_detach.tree)


def vms_gather_munmap_vmas(vms: vma_munmap_struct, mas_detach: ma_state) -> int:
    """Split the VMAs at the ends of the range and put those inside into a side tree. 0 or an errno.

    :context: ``mmap_lock`` held for writing.
    """
    mm = vms.vma.vm_mm

    if vms.start > vms.vma.vm_start:
        error = __split_vma(vms.vmi, vms.vma, vms.start, 1)
        if error:
            return error
    vms.prev = mas_prev_vma(mm, vms.start)
    if vms.prev is not None:
        vms.unmap_start = vms.prev.vm_end

    vma_iter_set(vms.vmi, vms.start)
    while True:
        next = vma_find(vms.vmi, vms.end)
        if next is None:
            break

        if next.vm_end > vms.end:
            error = __split_vma(vms.vmi, next, vms.end, 0)
            if error:
                return error
        mtree_store_range(mas_detach.tree, vms.vma_count, vms.vma_count, next)
        vms.vma_count += 1

        vms.nr_pages += vma_pages(next)
        vma_iter_set(vms.vmi, next.vm_end)

    vms.next = vma_next(vms.vmi)
    if vms.next is not None:
        vms.unmap_end = vms.next.vm_start

    vms.clear_ptes = True
    return 0


def mas_prev_vma(mm: mm_struct, addr: int) -> vm_area_struct | None:
    """The last VMA that ends at or below *addr* (``vma_prev()`` of an iterator at *addr*)."""
    prev = None
    mas = mas_of(mm.mm_mt)
    while True:
        vma: vm_area_struct | None = mas_find(mas, addr - 1) if addr else None
        if vma is None or vma.vm_start >= addr:
            return prev
        prev = vma


def init_vma_munmap(vms: vma_munmap_struct, vmi: vma_iterator, vma: vm_area_struct, start: int,
                    end: int, unlock: bool) -> None:
    """Start one munmap()."""
    vms.vmi = vmi
    vms.vma = vma
    vms.prev = vms.next = None
    vms.start = start
    vms.end = end
    vms.unlock = unlock
    vms.vma_count = 0
    vms.nr_pages = 0
    vms.clear_ptes = False
    vms.unmap_start = FIRST_USER_ADDRESS
    vms.unmap_end = USER_PGTABLES_CEILING


def do_vmi_align_munmap(vmi: vma_iterator, vma: vm_area_struct, mm: mm_struct, start: int, end: int,
                        unlock: bool) -> int:
    """Unmap ``[start, end)``, of which *vma* is the first VMA. 0 or an errno.

    :context: ``mmap_lock`` held for writing; released if *unlock* and there was no error.
    """
    mt_detach = maple_tree.zeroed()
    mas_detach = mas_of(mt_detach)
    vms = vma_munmap_struct()

    init_vma_munmap(vms, vmi, vma, start, end, unlock)
    error = vms_gather_munmap_vmas(vms, mas_detach)
    if error:
        return error

    # vma_iter_clear_gfp(): no fault finds the range any more.
    mtree_store_range(mm.mm_mt, start, end - 1, None)

    vms_complete_munmap_vmas(vms, mas_detach)
    return 0


def do_vmi_munmap(vmi: vma_iterator, mm: mm_struct, start: int, len: int, unlock: bool) -> int:
    """Unmap a range of user memory. 0 or an errno.

    :context: ``mmap_lock`` held for writing; released if *unlock* and there was no error.
    """
    if (start & ~PAGE_MASK) or start > TASK_SIZE() or len > TASK_SIZE() - start:
        return -EINVAL

    end = start + round_up(len, PAGE_SIZE)
    if end == start:
        return -EINVAL

    vma = vma_find(vmi, end)
    if vma is None:
        if unlock:
            mmap_write_unlock(mm)
        return 0

    return do_vmi_align_munmap(vmi, vma, mm, start, end, unlock)


#: Whoever takes all locks of an mm's mappings holds this one.
mm_all_locks_mutex = DEFINE_MUTEX()


def mm_take_all_locks(mm: mm_struct) -> int:
    """Keep every reverse-map walk away from *mm*; 0, as signals do not exist.

    :context: ``mmap_lock`` held for writing, may sleep.
    :deviation: there are no reverse maps, hence no locks of theirs.
    """
    mmap_assert_write_locked(mm)

    mutex_lock(mm_all_locks_mutex)
    return 0


def mm_drop_all_locks(mm: mm_struct) -> None:
    """Undo :func:`mm_take_all_locks`."""
    mmap_assert_write_locked(mm)

    mutex_unlock(mm_all_locks_mutex)


def __mmap_region(mm: mm_struct, addr: int, len: int, vm_flags: int, prot: pgprot_t,
                  pgoff: int) -> int:
    """Insert a VMA of private anonymous memory. The address, or a negative errno.

    :context: ``mmap_lock`` held for writing.
    :deviation: a model: no merging, no replacing of what is there.
    """
    if mas_find(_at(mm, addr), addr + len - 1) is not None:
        return -EEXIST

    vma = vm_area_alloc(mm)
    if vma is None:
        return -ENOMEM

    vma.vm_start = addr
    vma.vm_end = addr + len
    vma.vm_flags = vm_flags
    vma.vm_page_prot = prot
    vma.vm_pgoff = pgoff

    mtree_store_range(mm.mm_mt, addr, addr + len - 1, vma)
    mm.map_count += 1
    WRITE_ONCE_FIELD(mm, "total_vm", READ_ONCE_FIELD(mm, "total_vm") + (len >> PAGE_SHIFT))
    return addr


def _at(mm: mm_struct, addr: int) -> ma_state:
    mas = mas_of(mm.mm_mt)
    mas_set(mas, addr)
    return mas
