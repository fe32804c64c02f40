# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/tlbflush.h (Linux 7.2).

Per-CPU TLB state, the flushing interface and the choice whether a permission change needs a flush.
Left out: the IBPB bookkeeping (``last_user_mm``), protection of modules from these symbols.

``cpu_tlbstate.loaded_mm``, ``loaded_mm_asid`` and ``cpu_tlbstate_shared.is_lazy`` are looked at by
other CPUs: they are written with WRITE_ONCE_FIELD, so that each write is an event. A CPU that reads
its own copy with interrupts disabled does so plainly: nobody else writes it.

Reads CONFIG_ADDRESS_MASKING, CONFIG_BROADCAST_TLB_FLUSH, CONFIG_DEBUG_VM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.c import Ptr, struct, ulong
from kmm.include.generated.autoconf import (
    CONFIG_ADDRESS_MASKING,
    CONFIG_BROADCAST_TLB_FLUSH,
    CONFIG_DEBUG_VM,
)
from kmm.include.linux.mm_types import mm_cpumask, mm_struct

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.tlbbatch import arch_tlbflush_unmap_batch
    from kmm.include.linux.mm_types import vm_area_struct
    from kmm.include.linux.sched import task_struct

TLB_FLUSH_ALL = ulong(-1)
TLB_GENERATION_INVALID = 0


def cr4_set_bits_irqsoff(mask: int) -> None:
    """Set bits in this CPU's CR4. :context: interrupts off."""
    cr4_update_irqsoff(mask, 0)


def cr4_clear_bits_irqsoff(mask: int) -> None:
    """Clear bits in this CPU's CR4. :context: interrupts off."""
    cr4_update_irqsoff(0, mask)


def cr4_set_bits(mask: int) -> None:
    """Set bits in this CPU's CR4."""
    flags = local_irq_save()
    cr4_set_bits_irqsoff(mask)
    local_irq_restore(flags)


def cr4_clear_bits(mask: int) -> None:
    """Clear bits in this CPU's CR4."""
    flags = local_irq_save()
    cr4_clear_bits_irqsoff(mask)
    local_irq_restore(flags)


#: Address spaces whose translations one CPU keeps apart by PCID.
TLB_NR_DYN_ASIDS = 6


class tlb_context(struct):
    """Which mm, and how much of its history, the translations of one ASID reflect."""

    ctx_id: int
    tlb_gen: int


#: Stands in ``loaded_mm`` while CR3 changes. Not an mm: no field of it can be read.
LOADED_MM_SWITCHING = mm_struct()


class tlb_state(struct):
    """What this CPU knows about its own TLB. One per CPU."""

    #: The mm in CR3, or LOADED_MM_SWITCHING while CR3 changes.
    loaded_mm: Ptr[mm_struct]
    loaded_mm_asid: int
    next_asid: int
    #: Kernel mappings were flushed in the loaded context only; the others must be flushed when used.
    invalidate_other: bool
    if CONFIG_ADDRESS_MASKING:
        lam: int
    #: With PTI: user PCIDs to flush on the way back to user space.
    user_pcid_flush_mask: int
    #: Shadow of CR4.
    cr4: int
    ctxs: Ptr[list[tlb_context]]


class tlb_state_shared(struct):
    """The part of the TLB state that other CPUs read all the time. One per CPU."""

    #: A kernel thread runs on a borrowed user mm, whose flushes are put off.
    is_lazy: bool


def enter_lazy_tlb(mm: mm_struct | None, tsk: task_struct | None) -> None:
    """The CPU switches to a kernel thread: keep CR3, stop caring about flushes of its mm.

    :context: interrupts off.
    """
    if this_cpu_ptr(cpu_tlbstate).loaded_mm is init_mm:
        return

    WRITE_ONCE_FIELD(this_cpu_ptr(cpu_tlbstate_shared), "is_lazy", True)


def cr4_init_shadow() -> None:
    """Copy this CPU's CR4 into its shadow."""
    this_cpu_ptr(cpu_tlbstate).cr4 = __read_cr4()


class flush_tlb_info(struct):
    """One flush, as the CPUs that carry it out see it.

    *mm* and *end* tell the kinds apart: all of one mm (``end == TLB_FLUSH_ALL``), a range of one
    mm, or every mm that is out of date (no *mm*).
    """

    mm: mm_struct | None
    start: int
    end: int
    new_tlb_gen: int
    initiating_cpu: int
    stride_shift: int
    freed_tables: bool
    trim_cpumask: bool


def is_dyn_asid(asid: int) -> bool:
    """Whether *asid* is a slot of this CPU."""
    return asid < TLB_NR_DYN_ASIDS


def is_global_asid(asid: int) -> bool:
    """Whether *asid* means the same mm on every CPU."""
    return not is_dyn_asid(asid)


if CONFIG_BROADCAST_TLB_FLUSH:
    def mm_global_asid(mm: mm_struct) -> int:
        """The ASID that *mm* has on every CPU, 0 if none."""
        if not cpu_feature_enabled(X86_FEATURE_INVLPGB):
            return 0

        asid = smp_load_acquire(mm.context, "global_asid")

        VM_WARN_ON_ONCE(bool(asid) and is_dyn_asid(asid))

        return int(asid)

    def mm_init_global_asid(mm: mm_struct) -> None:
        """A new mm has no global ASID."""
        if cpu_feature_enabled(X86_FEATURE_INVLPGB):
            mm.context.global_asid = 0
            mm.context.asid_transition = False

    def mm_assign_global_asid(mm: mm_struct, asid: int) -> None:
        """Give *mm* a global ASID. Who sees the ASID must see the transition flag too."""
        WRITE_ONCE_FIELD(mm.context, "asid_transition", True)
        smp_store_release(mm.context, "global_asid", asid)

    def mm_clear_asid_transition(mm: mm_struct) -> None:
        """Every CPU that runs *mm* uses its global ASID now."""
        WRITE_ONCE_FIELD(mm.context, "asid_transition", False)

    def mm_in_asid_transition(mm: mm_struct | None) -> bool:
        """Whether some CPU may still run *mm* under an ASID of its own."""
        if not cpu_feature_enabled(X86_FEATURE_INVLPGB):
            return False

        return mm is not None and bool(READ_ONCE_FIELD(mm.context, "asid_transition"))
else:
    def mm_global_asid(mm: mm_struct) -> int:
        """No broadcast flushing: never a global ASID."""
        return 0

    def mm_init_global_asid(mm: mm_struct) -> None:
        """No broadcast flushing: nothing to do."""

    def mm_assign_global_asid(mm: mm_struct, asid: int) -> None:
        """No broadcast flushing: nothing to do."""

    def mm_clear_asid_transition(mm: mm_struct) -> None:
        """No broadcast flushing: nothing to do."""

    def mm_in_asid_transition(mm: mm_struct | None) -> bool:
        """No broadcast flushing: never."""
        return False

    def mm_free_global_asid(mm: mm_struct) -> None:
        """No broadcast flushing: nothing to do."""


def flush_tlb_mm(mm: mm_struct) -> None:
    """Flush everything of *mm*, as if tables had been freed."""
    flush_tlb_mm_range(mm, 0, TLB_FLUSH_ALL, 0, True)


def flush_tlb_range(vma: vm_area_struct, start: int, end: int) -> None:
    """Flush a range of a user mapping, as if tables had been freed."""
    if vma.vm_flags & VM_HUGETLB:
        raise hooks.Unported("arch/x86/include/asm/tlbflush.h", "flush_tlb_range of a hugetlb vma")
    flush_tlb_mm_range(vma.vm_mm, start, end, PAGE_SHIFT, True)


def flush_tlb_page(vma: vm_area_struct, a: int) -> None:
    """Flush one page of a user mapping; no table was freed."""
    flush_tlb_mm_range(vma.vm_mm, a, a + PAGE_SIZE, PAGE_SHIFT, False)


def arch_tlbbatch_should_defer(mm: mm_struct) -> bool:
    """Whether reclaim should collect flushes of *mm*: only remote ones are worth it."""
    should_defer = False

    if cpumask_any_but(mm_cpumask(mm), get_cpu()) < nr_cpu_ids():
        should_defer = True
    put_cpu()

    return should_defer


def inc_mm_tlb_gen(mm: mm_struct) -> int:
    """Record that the page tables of *mm* changed; the new generation.

    A full barrier: the caller's stores to page tables are visible before it reads ``mm_cpumask``.
    """
    return int(atomic64_inc_return(mm.context.tlb_gen))


def arch_tlbbatch_add_pending(batch: arch_tlbflush_unmap_batch, mm: mm_struct, start: int,
                              end: int) -> None:
    """Reclaim unmapped pages of *mm*: note which CPUs must flush before the pages are reused."""
    inc_mm_tlb_gen(mm)
    cpumask_or(batch.cpumask, batch.cpumask, mm_cpumask(mm))
    batch.unmapped_pages = True
    mmu_notifier_arch_invalidate_secondary_tlbs(mm, 0, ulong(-1))


def pte_flags_need_flush(oldflags: int, newflags: int, ignore_access: bool) -> bool:
    """Whether replacing *oldflags* by *newflags* in a user entry needs a flush.

    Losing P, A or D does; gaining them does not. Any other hardware bit does either way.
    """
    flush_on_clear = _PAGE_DIRTY | _PAGE_PRESENT | _PAGE_ACCESSED
    software_flags = _PAGE_SOFTW1 | _PAGE_SOFTW2 | _PAGE_SOFTW3 | _PAGE_SOFTW4 | _PAGE_SAVED_DIRTY
    flush_on_change = (
        _PAGE_RW | _PAGE_USER | _PAGE_PWT | _PAGE_PCD | _PAGE_PSE | _PAGE_GLOBAL | _PAGE_PAT
        | _PAGE_PAT_LARGE | _PAGE_PKEY_BIT0 | _PAGE_PKEY_BIT1 | _PAGE_PKEY_BIT2 | _PAGE_PKEY_BIT3
        | _PAGE_NX)
    diff = oldflags ^ newflags

    diff &= ~software_flags

    if ignore_access:
        diff &= ~_PAGE_ACCESSED

    if diff & oldflags & flush_on_clear:
        return True

    if diff & flush_on_change:
        return True

    if CONFIG_DEBUG_VM and (diff & ~(flush_on_clear | software_flags | flush_on_change)):
        VM_WARN_ON_ONCE(True)
        return True

    return False


def pte_needs_flush(oldpte: pte_t, newpte: pte_t) -> bool:
    """Whether rights were taken from a user pte."""
    if not (pte_flags(oldpte) & _PAGE_PRESENT):
        return False

    if pte_pfn(oldpte) != pte_pfn(newpte):
        return True

    return pte_flags_need_flush(pte_flags(oldpte), pte_flags(newpte), True)


def huge_pmd_needs_flush(oldpmd: pmd_t, newpmd: pmd_t) -> bool:
    """Whether rights were taken from a huge user pmd."""
    if not (pmd_flags(oldpmd) & _PAGE_PRESENT):
        return False

    if pmd_pfn(oldpmd) != pmd_pfn(newpmd):
        return True

    return pte_flags_need_flush(pmd_flags(oldpmd), pmd_flags(newpmd), False)


if CONFIG_ADDRESS_MASKING:
    def tlbstate_lam_cr3_mask() -> int:
        """The LAM bits of this CPU's CR3."""
        lam = this_cpu_ptr(cpu_tlbstate).lam

        return lam << X86_CR3_LAM_U57_BIT

    def cpu_tlbstate_update_lam(lam: int, untag_mask: int) -> None:
        """Remember the LAM bits just loaded into CR3."""
        this_cpu_ptr(cpu_tlbstate).lam = lam >> X86_CR3_LAM_U57_BIT
else:
    def tlbstate_lam_cr3_mask() -> int:
        """No LAM: 0."""
        return 0

    def cpu_tlbstate_update_lam(lam: int, untag_mask: int) -> None:
        """No LAM: nothing to remember."""


def __native_tlb_flush_global(cr4: int) -> None:
    """Flush everything by toggling CR4.PGE."""
    native_write_cr4(cr4 ^ X86_CR4_PGE)
    native_write_cr4(cr4)


# Included first in C, or declared here and defined there. Nothing above runs before they are loaded:
from kmm.arch.x86.include.asm.cpufeature import X86_FEATURE_INVLPGB, cpu_feature_enabled
from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT, PAGE_SIZE
from kmm.arch.x86.include.asm.pgtable import pmd_pfn, pte_pfn
from kmm.arch.x86.include.asm.pgtable_types import (
    _PAGE_ACCESSED,
    _PAGE_DIRTY,
    _PAGE_GLOBAL,
    _PAGE_NX,
    _PAGE_PAT,
    _PAGE_PAT_LARGE,
    _PAGE_PCD,
    _PAGE_PKEY_BIT0,
    _PAGE_PKEY_BIT1,
    _PAGE_PKEY_BIT2,
    _PAGE_PKEY_BIT3,
    _PAGE_PRESENT,
    _PAGE_PSE,
    _PAGE_PWT,
    _PAGE_RW,
    _PAGE_SAVED_DIRTY,
    _PAGE_SOFTW1,
    _PAGE_SOFTW2,
    _PAGE_SOFTW3,
    _PAGE_SOFTW4,
    _PAGE_USER,
    pmd_flags,
    pmd_t,
    pte_flags,
    pte_t,
)
from kmm.arch.x86.include.asm.processor_flags import X86_CR3_LAM_U57_BIT, X86_CR4_PGE
from kmm.arch.x86.include.asm.special_insns import __read_cr4
from kmm.arch.x86.kernel.cpu.common import cr4_read_shadow as cr4_read_shadow
from kmm.arch.x86.kernel.cpu.common import cr4_update_irqsoff as cr4_update_irqsoff
from kmm.arch.x86.kernel.cpu.common import native_write_cr4
from kmm.arch.x86.mm.init import cpu_tlbstate as cpu_tlbstate
from kmm.arch.x86.mm.tlb import (
    __flush_tlb_all as __flush_tlb_all,
)
from kmm.arch.x86.mm.tlb import (
    arch_tlbbatch_flush as arch_tlbbatch_flush,
)
from kmm.arch.x86.mm.tlb import (
    cpu_tlbstate_shared as cpu_tlbstate_shared,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_all as flush_tlb_all,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_kernel_range as flush_tlb_kernel_range,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_local as flush_tlb_local,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_mm_range as flush_tlb_mm_range,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_multi as flush_tlb_multi,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_one_kernel as flush_tlb_one_kernel,
)
from kmm.arch.x86.mm.tlb import (
    flush_tlb_one_user as flush_tlb_one_user,
)
from kmm.arch.x86.mm.tlb import (
    initialize_tlbstate_and_flush as initialize_tlbstate_and_flush,
)
from kmm.arch.x86.mm.tlb import (
    nmi_uaccess_okay as nmi_uaccess_okay,
)
from kmm.include.linux.atomic import atomic64_inc_return
from kmm.include.linux.compiler import (
    READ_ONCE_FIELD,
    WRITE_ONCE_FIELD,
    smp_load_acquire,
    smp_store_release,
)
from kmm.include.linux.cpumask import cpumask_any_but, cpumask_or, nr_cpu_ids
from kmm.include.linux.irqflags import local_irq_restore, local_irq_save
from kmm.include.linux.mm import VM_HUGETLB
from kmm.include.linux.mmdebug import VM_WARN_ON_ONCE
from kmm.include.linux.mmu_notifier import mmu_notifier_arch_invalidate_secondary_tlbs
from kmm.include.linux.percpu import this_cpu_ptr
from kmm.include.linux.smp import get_cpu, put_cpu
from kmm.mm.init_mm import init_mm

if CONFIG_BROADCAST_TLB_FLUSH:
    from kmm.arch.x86.mm.tlb import mm_free_global_asid as mm_free_global_asid
