# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/mmu_context.h (Linux 7.2).

Left out: the LDT, RDPMC, paravirt, protection keys of memory accesses by the kernel.

Reads CONFIG_ADDRESS_MASKING.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.mmu import MM_CONTEXT_FORCE_TAGGED_SVA, MM_CONTEXT_NOTRACK
from kmm.c import ulong
from kmm.include.generated.autoconf import CONFIG_ADDRESS_MASKING
from kmm.include.linux.atomic import atomic64_inc_return, atomic64_set
from kmm.include.linux.bitops import set_bit, test_bit
from kmm.include.linux.compiler import READ_ONCE_FIELD
from kmm.include.linux.jiffies import HZ, jiffies
from kmm.include.linux.mutex import mutex_init

if TYPE_CHECKING:
    from kmm.include.linux.mm_types import mm_struct, vm_area_struct
    from kmm.include.linux.sched import task_struct

if CONFIG_ADDRESS_MASKING:
    def mm_lam_cr3_mask(mm: mm_struct) -> int:
        """The LAM bits of *mm*'s CR3."""
        return int(READ_ONCE_FIELD(mm.context, "lam_cr3_mask"))

    def dup_lam(oldmm: mm_struct, mm: mm_struct) -> None:
        """A forked mm has the same LAM mode."""
        mm.context.lam_cr3_mask = oldmm.context.lam_cr3_mask
        mm.context.untag_mask = oldmm.context.untag_mask

    def mm_untag_mask(mm: mm_struct) -> int:
        """The significant bits of *mm*'s user addresses."""
        return mm.context.untag_mask

    def mm_reset_untag_mask(mm: mm_struct) -> None:
        """A new mm has no tagged addresses."""
        mm.context.untag_mask = ulong(-1)

    def arch_pgtable_dma_compat(mm: mm_struct) -> bool:
        """Whether devices can use *mm*'s addresses: they know no tags."""
        return not mm_lam_cr3_mask(mm) or test_bit(MM_CONTEXT_FORCE_TAGGED_SVA, mm.context, "flags")
else:
    def mm_lam_cr3_mask(mm: mm_struct) -> int:
        """No LAM: 0."""
        return 0

    def dup_lam(oldmm: mm_struct, mm: mm_struct) -> None:
        """No LAM: nothing to copy."""

    def mm_untag_mask(mm: mm_struct) -> int:
        """No LAM: every bit."""
        return ulong(-1)

    def mm_reset_untag_mask(mm: mm_struct) -> None:
        """No LAM: nothing to reset."""

    def arch_pgtable_dma_compat(mm: mm_struct) -> bool:
        """No LAM: always."""
        return True


def init_new_context(tsk: task_struct, mm: mm_struct) -> int:
    """Start the TLB bookkeeping of a new mm, under a name that was never used. 0 or an errno."""
    mutex_init(mm.context.lock)

    mm.context.ctx_id = atomic64_inc_return(last_mm_ctx_id)
    atomic64_set(mm.context.tlb_gen, 0)
    mm.context.next_trim_cpumask = jiffies + HZ

    mm_init_global_asid(mm)
    mm_reset_untag_mask(mm)
    return 0


def destroy_context(mm: mm_struct) -> None:
    """End the TLB bookkeeping of an mm that no CPU has loaded."""
    mm_free_global_asid(mm)


def activate_mm(prev: mm_struct | None, next: mm_struct) -> None:
    """exec() changes the mm of the running task."""
    switch_mm_irqs_off(prev, next, None)


def deactivate_mm(tsk: task_struct, mm: mm_struct) -> None:
    """A task leaves its mm: segment registers only."""


def arch_dup_mmap(oldmm: mm_struct, mm: mm_struct) -> int:
    """fork() copies what the architecture knows of an mm."""
    dup_lam(oldmm, mm)
    return 0


def arch_exit_mmap(mm: mm_struct) -> None:
    """An mm loses its mappings: the LDT and paravirt only."""


def is_notrack_mm(mm: mm_struct) -> bool:
    """Whether ``mm_cpumask()`` of this mm means nothing."""
    return test_bit(MM_CONTEXT_NOTRACK, mm.context, "flags")


def set_notrack_mm(mm: mm_struct) -> None:
    """``mm_cpumask()`` of this mm will not be kept."""
    set_bit(MM_CONTEXT_NOTRACK, mm.context, "flags")


def arch_vma_access_permitted(vma: vm_area_struct, write: bool, execute: bool, foreign: bool) -> bool:
    """Whether protection keys allow the access: always, as every VMA has key 0."""
    return True


# Declared here, defined there:
from kmm.arch.x86.include.asm.tlbflush import enter_lazy_tlb as enter_lazy_tlb
from kmm.arch.x86.include.asm.tlbflush import mm_free_global_asid, mm_init_global_asid
from kmm.arch.x86.mm.tlb import last_mm_ctx_id, switch_mm_irqs_off
from kmm.arch.x86.mm.tlb import leave_mm as leave_mm
from kmm.arch.x86.mm.tlb import switch_mm as switch_mm
from kmm.arch.x86.mm.tlb import unuse_temporary_mm as unuse_temporary_mm
from kmm.arch.x86.mm.tlb import use_temporary_mm as use_temporary_mm
