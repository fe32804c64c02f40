# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/fault.c (Linux 7.2): the list of all top-level tables; faults of programs.

Left out: faults of the kernel, protection keys, shadow stacks, emulation, signals.
"""

from __future__ import annotations

from kmm.include.linux.list import LIST_HEAD, list_head
from kmm.include.linux.mm import VM_ACCESS_FLAGS, VM_WRITE
from kmm.include.linux.mm_types import (
    FAULT_FLAG_INSTRUCTION,
    FAULT_FLAG_USER,
    FAULT_FLAG_WRITE,
    VM_FAULT_SIGSEGV,
    vm_area_struct,
    vm_fault_t,
)
from kmm.include.linux.mmap_lock import mmap_read_lock, mmap_read_unlock
from kmm.include.linux.sched import current
from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spinlock_t
from kmm.mm.memory import handle_mm_fault
from kmm.mm.mmap import find_vma

#: Protects ``pgd_list``, and with it the copying of the kernel's half.
pgd_lock: spinlock_t = DEFINE_SPINLOCK()

#: Every top-level table but the kernel's own, through ``ptdesc.pt_list``.
pgd_list: list_head = LIST_HEAD()

X86_PF_PROT = 1 << 0
X86_PF_WRITE = 1 << 1
X86_PF_USER = 1 << 2
X86_PF_INSTR = 1 << 4


def do_user_addr_fault(regs: object, error_code: int, address: int) -> vm_fault_t:
    """Handle a page fault of a program.

    :param error_code: what the processor pushed.
    :return: 0 when the access can be tried again, else VM_FAULT_* bits; C sends a signal instead.
    :context: task; takes ``mmap_lock`` for reading, may sleep.
    :deviation: no per-VMA locks, no stack growth, no retries: nothing that is ported drops the lock.
    """
    mm = current().mm
    flags = 0
    assert mm is not None

    if error_code & X86_PF_USER:
        flags |= FAULT_FLAG_USER
    if error_code & X86_PF_WRITE:
        flags |= FAULT_FLAG_WRITE
    if error_code & X86_PF_INSTR:
        flags |= FAULT_FLAG_INSTRUCTION

    mmap_read_lock(mm)
    vma = find_vma(mm, address)
    if vma is None or vma.vm_start > address or access_error(error_code, vma):
        mmap_read_unlock(mm)
        return VM_FAULT_SIGSEGV

    fault = handle_mm_fault(vma, address, flags, regs)
    mmap_read_unlock(mm)
    return fault


def access_error(error_code: int, vma: vm_area_struct) -> bool:
    """Whether the VMA forbids the access."""
    if error_code & X86_PF_WRITE:
        return not (vma.vm_flags & VM_WRITE)

    # A read of something that is present and may be read does not fault.
    if error_code & X86_PF_PROT:
        return True

    return not (vma.vm_flags & VM_ACCESS_FLAGS)
