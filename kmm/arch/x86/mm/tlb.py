# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/tlb.c (Linux 7.2).

Switching address spaces and flushing them: which CPUs have to be told, what each of them still has
to do when it is told, and what it may put off until its next switch.

Left out: speculation mitigations (``cond_mitigation``), RDPMC in CR4, the LDT, breakpoints,
tracing, event counters, debugfs, paravirt. INVLPGB and TLBSYNC themselves are not modelled: their
callers are ported and reach an Unported instruction only if the machine says that it has INVLPGB.

Reads CONFIG_BROADCAST_TLB_FLUSH, CONFIG_DEBUG_VM, CONFIG_MITIGATION_PAGE_TABLE_ISOLATION,
CONFIG_PROVE_LOCKING.

:deviation: ``trim_cpumask`` is decided by ``jiffies``, which stand still in a model without time:
    a CPU that left an mm stays in its mask until a flush reaches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm import hooks
from kmm.arch.x86.include.asm.cpufeature import (
    X86_FEATURE_INVLPGB,
    X86_FEATURE_INVPCID,
    X86_FEATURE_PCID,
    X86_FEATURE_PGE,
    X86_FEATURE_PTI,
    boot_cpu_has,
    cpu_feature_enabled,
    static_cpu_has,
)
from kmm.arch.x86.include.asm.invpcid import invpcid_flush_all, invpcid_flush_one
from kmm.arch.x86.include.asm.mmu_context import is_notrack_mm, mm_lam_cr3_mask, mm_untag_mask
from kmm.arch.x86.include.asm.page import __pa
from kmm.arch.x86.include.asm.page_types import PAGE_SHIFT, PAGE_SIZE
from kmm.arch.x86.include.asm.pgtable_64_types import PMD_SHIFT
from kmm.arch.x86.include.asm.processor_flags import (
    CR3_ADDR_MASK,
    CR3_NOFLUSH,
    X86_CR3_LAM_U48,
    X86_CR3_LAM_U57,
    X86_CR3_PCID_BITS,
    X86_CR3_PTI_PCID_USER_BIT,
    X86_CR4_PCIDE,
)
from kmm.arch.x86.include.asm.special_insns import (
    __native_read_cr3,
    __read_cr3,
    native_write_cr3,
    write_cr3,
)
from kmm.arch.x86.include.asm.tlb import (
    __tlbsync,
    invlpg,
    invlpgb_flush_addr_nosync,
    invlpgb_flush_all,
    invlpgb_flush_all_nonglobals,
    invlpgb_flush_single_pcid_nosync,
    invlpgb_flush_user_nr_nosync,
)
from kmm.arch.x86.include.asm.tlbflush import (
    LOADED_MM_SWITCHING,
    TLB_FLUSH_ALL,
    TLB_GENERATION_INVALID,
    TLB_NR_DYN_ASIDS,
    __native_tlb_flush_global,
    cpu_tlbstate_update_lam,
    cr4_read_shadow,
    flush_tlb_info,
    inc_mm_tlb_gen,
    is_dyn_asid,
    is_global_asid,
    mm_assign_global_asid,
    mm_clear_asid_transition,
    mm_global_asid,
    mm_in_asid_transition,
    tlb_state,
    tlb_state_shared,
    tlbstate_lam_cr3_mask,
)
from kmm.arch.x86.mm.init import cpu_tlbstate
from kmm.c import struct, u16, ulong
from kmm.include.generated.autoconf import (
    CONFIG_BROADCAST_TLB_FLUSH,
    CONFIG_DEBUG_VM,
    CONFIG_MITIGATION_PAGE_TABLE_ISOLATION,
    CONFIG_PROVE_LOCKING,
)
from kmm.include.linux.atomic import ATOMIC64_INIT, atomic64_read
from kmm.include.linux.bug import BUG_ON, BUILD_BUG_ON, WARN_ON, WARN_ON_ONCE
from kmm.include.linux.compiler import READ_ONCE_FIELD, WRITE_ONCE_FIELD, barrier, smp_mb, smp_rmb
from kmm.include.linux.cpumask import (
    cpumask,
    cpumask_any_but,
    cpumask_clear,
    cpumask_clear_cpu,
    cpumask_set_cpu,
    cpumask_test_cpu,
    cpumask_weight,
    for_each_cpu,
    nr_cpu_ids,
)
from kmm.include.linux.irqflags import (
    irqs_disabled,
    local_irq_disable,
    local_irq_enable,
    local_irq_restore,
    local_irq_save,
)
from kmm.include.linux.jiffies import HZ, jiffies, time_after
from kmm.include.linux.lockdep import (
    lockdep_assert_held,
    lockdep_assert_irqs_enabled,
    lockdep_assert_preemption_disabled,
)
from kmm.include.linux.mm_types import mm_cpumask
from kmm.include.linux.mmdebug import VM_BUG_ON, VM_WARN_ON, VM_WARN_ON_ONCE, VM_WARN_ONCE
from kmm.include.linux.mmu_notifier import mmu_notifier_arch_invalidate_secondary_tlbs
from kmm.include.linux.percpu import DEFINE_PER_CPU, per_cpu, this_cpu_ptr
from kmm.include.linux.preempt import in_nmi, preempt_disable, preempt_enable, preemptible
from kmm.include.linux.sched import current
from kmm.include.linux.smp import (
    get_cpu,
    on_each_cpu,
    on_each_cpu_cond_mask,
    on_each_cpu_mask,
    put_cpu,
    smp_processor_id,
)
from kmm.include.linux.spinlock import (
    DEFINE_RAW_SPINLOCK,
    raw_spin_lock_irqsave,
    raw_spin_unlock_irqrestore,
)
from kmm.mm.init_mm import init_mm

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgd_ptr
    from kmm.arch.x86.include.asm.tlbbatch import arch_tlbflush_unmap_batch
    from kmm.include.linux.mm_types import mm_struct
    from kmm.include.linux.sched import task_struct

#: How many ranges one INVLPGB takes; 1 until the CPU says more (arch/x86/kernel/cpu/amd.c).
invlpgb_count_max: int = 1

if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
    PTI_CONSUMED_PCID_BITS = 1
else:
    PTI_CONSUMED_PCID_BITS = 0

CR3_AVAIL_PCID_BITS = X86_CR3_PCID_BITS - PTI_CONSUMED_PCID_BITS

#: ASIDs count from zero and PCID 0 is nobody's: two less than there are values.
MAX_ASID_AVAILABLE = (1 << CR3_AVAIL_PCID_BITS) - 2


def kern_pcid(asid: int) -> int:
    """The PCID of the kernel's view of address space *asid*.

    :param asid: ``u16``
    :return: *asid* + 1, so that code that knows nothing of PCIDs (PCID 0) meets nobody's entries.
    """
    VM_WARN_ON_ONCE(asid > MAX_ASID_AVAILABLE)

    if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        BUILD_BUG_ON(TLB_NR_DYN_ASIDS >= (1 << X86_CR3_PTI_PCID_USER_BIT))
        VM_WARN_ON_ONCE(asid & (1 << X86_CR3_PTI_PCID_USER_BIT))

    return u16(asid + 1)


def user_pcid(asid: int) -> int:
    """The PCID of the user's view of address space *asid* under PTI."""
    ret = kern_pcid(asid)
    if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        ret |= 1 << X86_CR3_PTI_PCID_USER_BIT
    return ret


def build_cr3(pgd: pgd_ptr, asid: int, lam: int) -> int:
    """The CR3 value for the root *pgd* under *asid*; loading it flushes that PCID."""
    cr3 = __pa(pgd) | lam

    if static_cpu_has(X86_FEATURE_PCID):
        cr3 |= kern_pcid(asid)
    else:
        VM_WARN_ON_ONCE(asid != 0)

    return cr3


def build_cr3_noflush(pgd: pgd_ptr, asid: int, lam: int) -> int:
    """The CR3 value for *pgd* under *asid*; loading it keeps what that PCID has in the TLB."""
    VM_WARN_ON_ONCE(not boot_cpu_has(X86_FEATURE_PCID))
    return build_cr3(pgd, asid, lam) | CR3_NOFLUSH


def clear_asid_other() -> None:
    """Forget all contexts of this CPU but the loaded one: each is flushed when next it is loaded.

    :context: interrupts off. Only with PTI, where kernel translations are not global.
    """
    if not static_cpu_has(X86_FEATURE_PTI):
        WARN_ON_ONCE(1)
        return

    state = this_cpu_ptr(cpu_tlbstate)
    for asid in range(TLB_NR_DYN_ASIDS):
        if asid == state.loaded_mm_asid:
            continue
        state.ctxs[asid].ctx_id = 0
    state.invalidate_other = False


#: The last ``ctx_id`` that was given out; ``init_mm`` has 1.
last_mm_ctx_id = ATOMIC64_INIT(1)


class new_asid(struct):
    """Answer of :func:`choose_new_asid`."""

    asid: int
    need_flush: bool


def choose_new_asid(next: mm_struct, next_tlb_gen: int) -> new_asid:
    """Find the slot in which this CPU keeps *next*, or take over the oldest.

    :param next_tlb_gen: ``u64``, generation of *next* that the CPU must have reached.
    :return: the slot, and whether its translations must be flushed while it is loaded.
    :context: interrupts off.
    """
    ns = new_asid()
    state = this_cpu_ptr(cpu_tlbstate)

    if not static_cpu_has(X86_FEATURE_PCID):
        ns.asid = 0
        ns.need_flush = True
        return ns

    if cpu_feature_enabled(X86_FEATURE_INVLPGB):
        global_asid = mm_global_asid(next)

        # Broadcast flushes keep global ASIDs up to date on every CPU.
        if global_asid:
            ns.asid = global_asid
            ns.need_flush = False
            return ns

    if state.invalidate_other:
        clear_asid_other()

    for asid in range(TLB_NR_DYN_ASIDS):
        if state.ctxs[asid].ctx_id != next.context.ctx_id:
            continue

        ns.asid = asid
        ns.need_flush = state.ctxs[asid].tlb_gen < next_tlb_gen
        return ns

    state.next_asid = u16(state.next_asid + 1)
    ns.asid = state.next_asid - 1
    if ns.asid >= TLB_NR_DYN_ASIDS:
        ns.asid = 0
        state.next_asid = 1
    ns.need_flush = True

    return ns


# Global ASIDs: one PCID for an mm on all CPUs, as broadcast invalidation needs. The C keeps two
# bitmaps; here each is an int with a bit per ASID. All of it is protected by global_asid_lock.
global_asid_lock = DEFINE_RAW_SPINLOCK()
last_global_asid: int = MAX_ASID_AVAILABLE
global_asid_used: int = 0
global_asid_freed: int = 0
global_asid_available: int = MAX_ASID_AVAILABLE - TLB_NR_DYN_ASIDS - 1


def reset_global_asid_space() -> None:
    """The search reached the end: flush everywhere, then freed ASIDs may be given out again.

    :context: ``global_asid_lock`` held.
    """
    global global_asid_used, global_asid_freed, last_global_asid

    lockdep_assert_held(global_asid_lock)

    invlpgb_flush_all_nonglobals()

    global_asid_used &= ~global_asid_freed
    global_asid_freed = 0

    last_global_asid = TLB_NR_DYN_ASIDS


def allocate_global_asid() -> int:
    """A global ASID that nobody uses, 0 if there is none.

    :context: ``global_asid_lock`` held.
    """
    global global_asid_used, last_global_asid, global_asid_available

    lockdep_assert_held(global_asid_lock)

    if last_global_asid >= MAX_ASID_AVAILABLE - 1:
        reset_global_asid_space()

    asid = last_global_asid
    while asid < MAX_ASID_AVAILABLE and global_asid_used & (1 << asid):
        asid += 1

    if asid >= MAX_ASID_AVAILABLE and not global_asid_available:
        VM_WARN_ONCE(1, "Unable to allocate global ASID despite %d available", global_asid_available)
        return 0

    global_asid_used |= 1 << asid
    last_global_asid = asid
    global_asid_available -= 1
    return asid


def mm_active_cpus_exceeds(mm: mm_struct, threshold: int) -> bool:
    """Whether more than *threshold* CPUs run *mm* right now, roughly."""
    count = 0

    if cpumask_weight(mm_cpumask(mm)) <= threshold:
        return False

    for cpu in for_each_cpu(mm_cpumask(mm)):
        if READ_ONCE_FIELD(per_cpu(cpu_tlbstate, cpu), "loaded_mm") is not mm:
            continue

        if READ_ONCE_FIELD(per_cpu(cpu_tlbstate_shared, cpu), "is_lazy"):
            continue

        count += 1
        if count > threshold:
            return True
    return False


def use_global_asid(mm: mm_struct) -> None:
    """Give *mm* a global ASID unless a thread of it was faster. :context: takes ``global_asid_lock``."""
    flags = raw_spin_lock_irqsave(global_asid_lock)

    def unlock() -> None:
        raw_spin_unlock_irqrestore(global_asid_lock, flags)

    if mm_global_asid(mm):
        unlock()
        return

    if not global_asid_available:
        VM_WARN_ONCE(1, "Ran out of global ASIDs")
        unlock()
        return

    asid = allocate_global_asid()
    if not asid:
        unlock()
        return

    mm_assign_global_asid(mm, asid)
    unlock()


if CONFIG_BROADCAST_TLB_FLUSH:
    def mm_free_global_asid(mm: mm_struct) -> None:
        """*mm* dies: its ASID may be used again after the flush at the end of the ASID space.

        :context: takes ``global_asid_lock``.
        """
        global global_asid_freed, global_asid_available

        if not cpu_feature_enabled(X86_FEATURE_INVLPGB):
            return

        if not mm_global_asid(mm):
            return

        flags = raw_spin_lock_irqsave(global_asid_lock)

        global_asid_freed |= 1 << mm.context.global_asid

        mm.context.global_asid = 0
        global_asid_available += 1
        raw_spin_unlock_irqrestore(global_asid_lock, flags)


def mm_needs_global_asid(mm: mm_struct, asid: int) -> bool:
    """Whether this CPU runs *mm* under an ASID of its own although it has a global one."""
    global_asid = mm_global_asid(mm)

    if not cpu_feature_enabled(X86_FEATURE_INVLPGB):
        return False

    if global_asid and asid != global_asid:
        return True

    return False


def consider_global_asid(mm: mm_struct) -> None:
    """After a remote flush: hand out a global ASID to an mm that runs on four CPUs or more."""
    if not cpu_feature_enabled(X86_FEATURE_INVLPGB):
        return

    if (current().pid & 0x1F) != (jiffies & 0x1F):
        return

    if mm_active_cpus_exceeds(mm, 3):
        use_global_asid(mm)


def wait_until_switched(state: tlb_state) -> None:
    """The ``cpu_relax()`` loop of finish_asid_transition()."""
    hooks.wait("loaded_mm != LOADED_MM_SWITCHING",
               lambda: state.loaded_mm is not LOADED_MM_SWITCHING, state)


def finish_asid_transition(info: flush_tlb_info) -> None:
    """During a broadcast flush: catch CPUs that still run the mm under an ASID of their own."""
    mm = info.mm
    assert mm is not None
    bc_asid = mm_global_asid(mm)

    if not mm_in_asid_transition(mm):
        return

    for cpu in for_each_cpu(mm_cpumask(mm)):
        state = per_cpu(cpu_tlbstate, cpu)
        if READ_ONCE_FIELD(state, "loaded_mm") is LOADED_MM_SWITCHING:
            wait_until_switched(state)

        if READ_ONCE_FIELD(state, "loaded_mm") is not mm:
            continue

        # A straggler: its flush interrupt makes it change over.
        if READ_ONCE_FIELD(state, "loaded_mm_asid") != bc_asid:
            flush_tlb_multi(mm_cpumask(mm), info)
            return

    mm_clear_asid_transition(mm)


def broadcast_tlb_flush(info: flush_tlb_info) -> None:
    """Flush an mm that has a global ASID on all CPUs at once with INVLPGB."""
    assert info.mm is not None
    pmd = info.stride_shift == PMD_SHIFT
    asid = mm_global_asid(info.mm)
    addr = info.start

    if info.end == TLB_FLUSH_ALL:
        invlpgb_flush_single_pcid_nosync(kern_pcid(asid))
        if cpu_feature_enabled(X86_FEATURE_PTI):
            invlpgb_flush_single_pcid_nosync(user_pcid(asid))
    else:
        while True:
            nr = 1

            if info.stride_shift <= PMD_SHIFT:
                nr = (info.end - addr) >> info.stride_shift
                nr = max(1, min(nr, invlpgb_count_max))

            invlpgb_flush_user_nr_nosync(kern_pcid(asid), addr, nr, pmd)
            if cpu_feature_enabled(X86_FEATURE_PTI):
                invlpgb_flush_user_nr_nosync(user_pcid(asid), addr, nr, pmd)

            addr += nr << info.stride_shift
            if not addr < info.end:
                break

    finish_asid_transition(info)

    __tlbsync()


def invalidate_user_asid(asid: int) -> None:
    """Have the user PCID of *asid* flushed when this CPU next returns to user space.

    :context: preemption off.
    """
    if not CONFIG_MITIGATION_PAGE_TABLE_ISOLATION:
        return

    if not cpu_feature_enabled(X86_FEATURE_PCID):
        return

    if not static_cpu_has(X86_FEATURE_PTI):
        return

    this_cpu_ptr(cpu_tlbstate).user_pcid_flush_mask |= 1 << kern_pcid(asid)


def load_new_mm_cr3(pgdir: pgd_ptr, new_asid: int, lam: int, need_flush: bool) -> None:
    """Load CR3. It serialises: translations are filled after earlier stores of this CPU are visible."""
    if need_flush:
        invalidate_user_asid(new_asid)
        new_mm_cr3 = build_cr3(pgdir, new_asid, lam)
    else:
        new_mm_cr3 = build_cr3_noflush(pgdir, new_asid, lam)

    write_cr3(new_mm_cr3)


def leave_mm() -> None:
    """Stop borrowing a user mm: load ``init_mm``.

    :context: preemption off, the CPU is lazy (or already has ``init_mm``).
    """
    loaded_mm = READ_ONCE_FIELD(this_cpu_ptr(cpu_tlbstate), "loaded_mm")

    if loaded_mm is init_mm:
        return

    WARN_ON(not READ_ONCE_FIELD(this_cpu_ptr(cpu_tlbstate_shared), "is_lazy"))

    switch_mm(None, init_mm, None)


def switch_mm(prev: mm_struct | None, next: mm_struct, tsk: task_struct | None) -> None:
    """Load *next* on this CPU. *prev* is not looked at."""
    flags = local_irq_save()
    switch_mm_irqs_off(None, next, tsk)
    local_irq_restore(flags)


def switch_mm_irqs_off(unused: mm_struct | None, next: mm_struct, tsk: task_struct | None) -> None:
    """Load *next* on this CPU, flushing what it missed since it last ran here.

    The order carries it all: ``loaded_mm`` says SWITCHING, the CPU enters ``mm_cpumask(next)``, and
    only then is ``tlb_gen`` read. So either this CPU sees the new generation of a flush that runs at
    the same time, or the flush sees this CPU.

    :context: interrupts off.
    :deviation: no branch-predictor or L1D mitigation, no RDPMC, no LDT.
    """
    state = this_cpu_ptr(cpu_tlbstate)
    shared = this_cpu_ptr(cpu_tlbstate_shared)
    prev = state.loaded_mm
    prev_asid = state.loaded_mm_asid
    was_lazy = shared.is_lazy
    cpu = smp_processor_id()

    # flush_tlb_func() must not run in the middle.
    if CONFIG_PROVE_LOCKING:
        WARN_ON_ONCE(not irqs_disabled())

    if CONFIG_DEBUG_VM:
        if WARN_ON_ONCE(__read_cr3() != build_cr3(prev.pgd, prev_asid, tlbstate_lam_cr3_mask())):
            __flush_tlb_all()

    if was_lazy:
        WRITE_ONCE_FIELD(shared, "is_lazy", False)

    def reload_tlb() -> None:
        new_lam = mm_lam_cr3_mask(next)
        if ns.need_flush:
            VM_WARN_ON_ONCE(is_global_asid(ns.asid))
            state.ctxs[ns.asid].ctx_id = next.context.ctx_id
            state.ctxs[ns.asid].tlb_gen = next_tlb_gen
            load_new_mm_cr3(next.pgd, ns.asid, new_lam, True)
        else:
            load_new_mm_cr3(next.pgd, ns.asid, new_lam, False)

        barrier()

        WRITE_ONCE_FIELD(state, "loaded_mm", next)
        if is_global_asid(ns.asid) or is_global_asid(prev_asid):
            WRITE_ONCE_FIELD(state, "loaded_mm_asid", ns.asid)
        else:
            # Other CPUs look only for global ASIDs.
            state.loaded_mm_asid = ns.asid
        cpu_tlbstate_update_lam(new_lam, mm_untag_mask(next))

    if prev is next:
        VM_WARN_ON(is_dyn_asid(prev_asid) and state.ctxs[prev_asid].ctx_id != next.context.ctx_id)

        # A lazy CPU stays in the mask; is_lazy tells flushes to pass it by.
        if CONFIG_DEBUG_VM and WARN_ON_ONCE(
                prev is not init_mm and not is_notrack_mm(prev)
                and not cpumask_test_cpu(cpu, mm_cpumask(next))):
            cpumask_set_cpu(cpu, mm_cpumask(next))

        if mm_needs_global_asid(next, prev_asid):
            next_tlb_gen = atomic64_read(next.context.tlb_gen)
            ns = choose_new_asid(next, next_tlb_gen)
            reload_tlb()
            return

        if is_global_asid(prev_asid):
            return

        # Another thread of the same process: nothing was missed.
        if not was_lazy:
            return

        smp_mb()
        next_tlb_gen = atomic64_read(next.context.tlb_gen)
        if state.ctxs[prev_asid].tlb_gen == next_tlb_gen:
            return

        # Flushes passed this CPU by while it was lazy.
        ns = new_asid()
        ns.asid = prev_asid
        ns.need_flush = True
    else:
        WRITE_ONCE_FIELD(state, "loaded_mm", LOADED_MM_SWITCHING)

        if next is not init_mm and not cpumask_test_cpu(cpu, mm_cpumask(next)):
            cpumask_set_cpu(cpu, mm_cpumask(next))
        else:
            smp_mb()

        next_tlb_gen = atomic64_read(next.context.tlb_gen)

        ns = choose_new_asid(next, next_tlb_gen)

    reload_tlb()


def use_temporary_mm(temp_mm: mm_struct) -> mm_struct:
    """Load a temporary mm, whose mappings no other CPU can reach; the mm it replaces.

    :context: preemption off; do not sleep until :func:`unuse_temporary_mm`.
    """
    lockdep_assert_preemption_disabled()
    flags = local_irq_save()

    # A lazy mm would come back stale and not lazy.
    if this_cpu_ptr(cpu_tlbstate_shared).is_lazy:
        leave_mm()

    prev_mm = this_cpu_ptr(cpu_tlbstate).loaded_mm
    switch_mm_irqs_off(None, temp_mm, current())

    local_irq_restore(flags)
    return prev_mm


def unuse_temporary_mm(prev_mm: mm_struct) -> None:
    """Go back to *prev_mm*; the temporary mm needs no flush anywhere."""
    lockdep_assert_preemption_disabled()
    flags = local_irq_save()

    cpumask_clear_cpu(smp_processor_id(), mm_cpumask(this_cpu_ptr(cpu_tlbstate).loaded_mm))

    switch_mm_irqs_off(None, prev_mm, current())

    local_irq_restore(flags)


def initialize_tlbstate_and_flush() -> None:
    """Start this CPU's TLB bookkeeping afresh: ASID 0, flushed, no other context known.

    :context: CR3 holds the loaded mm's root already, and CR4.PCIDE is set if PCIDs are used.
    """
    state = this_cpu_ptr(cpu_tlbstate)
    mm = state.loaded_mm
    tlb_gen = atomic64_read(init_mm.context.tlb_gen)
    lam = mm_lam_cr3_mask(mm)
    cr3 = __read_cr3()

    WARN_ON((cr3 & CR3_ADDR_MASK) != __pa(mm.pgd))

    WARN_ON(cr3 & (X86_CR3_LAM_U48 | X86_CR3_LAM_U57))
    WARN_ON(lam)

    WARN_ON(boot_cpu_has(X86_FEATURE_PCID) and not (cr4_read_shadow() & X86_CR4_PCIDE))

    write_cr3(build_cr3(mm.pgd, 0, 0))

    state.loaded_mm_asid = 0
    state.next_asid = 1
    state.ctxs[0].ctx_id = mm.context.ctx_id
    state.ctxs[0].tlb_gen = tlb_gen
    cpu_tlbstate_update_lam(lam, mm_untag_mask(mm))

    for i in range(1, TLB_NR_DYN_ASIDS):
        state.ctxs[i].ctx_id = 0


def flush_tlb_func(info: flush_tlb_info) -> None:
    """Carry out a flush on this CPU: all, some or none of it is still to be done.

    Three generations matter: how far the mm has come, how far this CPU has come, and how far the
    sender wants it to come. Only if the CPU is exactly one behind, and the sender's range covers
    that one, is a partial flush enough.

    :param info: ``void *`` in C.
    :context: interrupts off; on remote CPUs in an interrupt.
    """
    f = info
    state = this_cpu_ptr(cpu_tlbstate)
    loaded_mm = state.loaded_mm
    loaded_mm_asid = state.loaded_mm_asid

    VM_WARN_ON(not irqs_disabled())

    # This CPU switched away from the target and was still in its mask.
    if f.mm is not None and f.mm is not loaded_mm:
        cpumask_clear_cpu(smp_processor_id(), mm_cpumask(f.mm))
        return

    if loaded_mm is init_mm:
        return

    if mm_needs_global_asid(loaded_mm, loaded_mm_asid):
        switch_mm_irqs_off(None, loaded_mm, None)
        loaded_mm_asid = state.loaded_mm_asid

    if is_global_asid(loaded_mm_asid):
        return

    VM_WARN_ON(state.ctxs[loaded_mm_asid].ctx_id != loaded_mm.context.ctx_id)

    if this_cpu_ptr(cpu_tlbstate_shared).is_lazy:
        # Tables are being freed: at least the paging-structure caches must go, and leaving the
        # borrowed mm costs hardly more.
        switch_mm_irqs_off(None, init_mm, None)
        return

    local_tlb_gen = state.ctxs[loaded_mm_asid].tlb_gen

    if f.new_tlb_gen != TLB_GENERATION_INVALID and f.new_tlb_gen <= local_tlb_gen:
        return

    mm_tlb_gen = atomic64_read(loaded_mm.context.tlb_gen)

    # Another flush has caught up for this one.
    if local_tlb_gen == mm_tlb_gen:
        return

    WARN_ON_ONCE(local_tlb_gen > mm_tlb_gen)
    WARN_ON_ONCE(f.new_tlb_gen > mm_tlb_gen)

    if f.end != TLB_FLUSH_ALL and f.new_tlb_gen == local_tlb_gen + 1 and f.new_tlb_gen == mm_tlb_gen:
        addr = f.start

        VM_WARN_ON(f.new_tlb_gen == TLB_GENERATION_INVALID)

        VM_WARN_ON(f.mm is None)

        while addr < f.end:
            flush_tlb_one_user(addr)
            addr += 1 << f.stride_shift
    else:
        flush_tlb_local()

    state.ctxs[loaded_mm_asid].tlb_gen = mm_tlb_gen


def should_flush_tlb(cpu: int, data: flush_tlb_info) -> bool:
    """Whether *cpu* needs an interrupt for this flush, when no table was freed.

    :param data: ``void *`` in C.
    """
    loaded_mm = READ_ONCE_FIELD(per_cpu(cpu_tlbstate, cpu), "loaded_mm")
    info = data

    # is_lazy must not be older than loaded_mm.
    smp_rmb()

    # It will catch up at its next switch.
    if READ_ONCE_FIELD(per_cpu(cpu_tlbstate_shared, cpu), "is_lazy"):
        return False

    if info.mm is None:
        return True

    # It may be coming from or going to the mm: assume the worst.
    if loaded_mm is LOADED_MM_SWITCHING:
        return True

    if loaded_mm is info.mm:
        return True

    # Nothing to flush there; the interrupt takes the CPU out of the mask.
    if info.trim_cpumask:
        return True

    return False


def should_trim_cpumask(mm: mm_struct) -> bool:
    """Whether a second has passed since the mask of *mm* was last trimmed."""
    if time_after(jiffies, READ_ONCE_FIELD(mm.context, "next_trim_cpumask")):
        WRITE_ONCE_FIELD(mm.context, "next_trim_cpumask", jiffies + HZ)
        return True
    return False


cpu_tlbstate_shared = DEFINE_PER_CPU(tlb_state_shared)


def native_flush_tlb_multi(cpumask: cpumask, info: flush_tlb_info) -> None:
    """Have the CPUs of *cpumask* flush, and wait for them.

    If tables were freed every CPU of the mask is interrupted, lazy ones too: they still have the
    root in CR3 and could walk what used to be a table. Otherwise lazy CPUs are left alone.

    :context: preemption off, interrupts on.
    """
    if info.freed_tables or mm_in_asid_transition(info.mm):
        on_each_cpu_mask(cpumask, flush_tlb_func, info, True)
    else:
        on_each_cpu_cond_mask(should_flush_tlb, flush_tlb_func, info, True, cpumask)


def flush_tlb_multi(cpumask: cpumask, info: flush_tlb_info) -> None:
    """Have the CPUs of *cpumask* flush, and wait for them."""
    native_flush_tlb_multi(cpumask, info)


#: From so many pages on, everything is flushed instead.
tlb_single_page_flush_ceiling: int = 33

# In C this variable has the name of its type.
flush_tlb_info_percpu = DEFINE_PER_CPU(flush_tlb_info)


class flush_tlb_info_users(struct):
    """``unsigned int flush_tlb_info_idx``, per CPU."""

    idx: int


flush_tlb_info_idx = DEFINE_PER_CPU(flush_tlb_info_users)


def get_flush_tlb_info(mm: mm_struct | None, start: int, end: int, stride_shift: int,
                       freed_tables: bool, new_tlb_gen: int) -> flush_tlb_info:
    """Fill in this CPU's description of a flush, widening it to everything if the range is long.

    :context: preemption off until :func:`put_flush_tlb_info`; not from an interrupt.
    """
    info = this_cpu_ptr(flush_tlb_info_percpu)

    if CONFIG_DEBUG_VM:
        users = this_cpu_ptr(flush_tlb_info_idx)
        users.idx += 1
        BUG_ON(users.idx != 1)

    if ulong(end - start) >> stride_shift > tlb_single_page_flush_ceiling:
        start = 0
        end = TLB_FLUSH_ALL

    info.start = start
    info.end = end
    info.mm = mm
    info.stride_shift = stride_shift
    info.freed_tables = freed_tables
    info.new_tlb_gen = new_tlb_gen
    info.initiating_cpu = smp_processor_id()
    info.trim_cpumask = False

    return info


def put_flush_tlb_info() -> None:
    """This CPU's description of a flush is free again."""
    if CONFIG_DEBUG_VM:
        barrier()
        this_cpu_ptr(flush_tlb_info_idx).idx -= 1


def flush_tlb_mm_range(mm: mm_struct, start: int, end: int, stride_shift: int,
                       freed_tables: bool) -> None:
    """Flush ``[start, end)`` of *mm* on every CPU that may have it cached, and on devices.

    :param stride_shift: log2 of the smallest entry that was cleared.
    :param freed_tables: whether page tables are about to be freed.
    :context: interrupts on; may wait for other CPUs.
    """
    cpu = get_cpu()

    # A barrier too: page-table stores come before the reads of mm_cpumask below.
    new_tlb_gen = inc_mm_tlb_gen(mm)

    info = get_flush_tlb_info(mm, start, end, stride_shift, freed_tables, new_tlb_gen)

    if mm_global_asid(mm):
        broadcast_tlb_flush(info)
    elif cpumask_any_but(mm_cpumask(mm), cpu) < nr_cpu_ids():
        info.trim_cpumask = should_trim_cpumask(mm)
        flush_tlb_multi(mm_cpumask(mm), info)
        consider_global_asid(mm)
    elif mm is READ_ONCE_FIELD(this_cpu_ptr(cpu_tlbstate), "loaded_mm"):
        lockdep_assert_irqs_enabled()
        local_irq_disable()
        flush_tlb_func(info)
        local_irq_enable()

    put_flush_tlb_info()
    put_cpu()
    mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end)


def do_flush_tlb_all(info: object) -> None:
    """Flush this CPU. :context: interrupts off."""
    __flush_tlb_all()


def flush_tlb_all() -> None:
    """Flush everything on every CPU, global translations too. :context: interrupts on."""
    if cpu_feature_enabled(X86_FEATURE_INVLPGB):
        invlpgb_flush_all()
    else:
        on_each_cpu(do_flush_tlb_all, None, True)


def invlpgb_kernel_range_flush(info: flush_tlb_info) -> None:
    """Flush a kernel range on all CPUs with INVLPGB."""
    addr = info.start
    while addr < info.end:
        nr = (info.end - addr) >> PAGE_SHIFT

        nr = max(1, min(nr, invlpgb_count_max))

        invlpgb_flush_addr_nosync(addr, nr)
        addr += nr << PAGE_SHIFT
    __tlbsync()


def do_kernel_range_flush(info: flush_tlb_info) -> None:
    """Flush a kernel range on this CPU, page by page.

    :param info: ``void *`` in C.
    """
    f = info

    for addr in range(f.start, f.end, PAGE_SIZE):
        flush_tlb_one_kernel(addr)


def kernel_tlb_flush_all(info: flush_tlb_info) -> None:
    """Flush everything on every CPU for a long kernel range."""
    if cpu_feature_enabled(X86_FEATURE_INVLPGB):
        invlpgb_flush_all()
    else:
        on_each_cpu(do_flush_tlb_all, None, True)


def kernel_tlb_flush_range(info: flush_tlb_info) -> None:
    """Flush a short kernel range on every CPU."""
    if cpu_feature_enabled(X86_FEATURE_INVLPGB):
        invlpgb_kernel_range_flush(info)
    else:
        on_each_cpu(do_kernel_range_flush, info, True)


def flush_tlb_kernel_range(start: int, end: int) -> None:
    """Flush kernel mappings on every CPU; devices are not told.

    :context: interrupts on; waits for all CPUs.
    """
    preempt_disable()

    info = get_flush_tlb_info(None, start, end, PAGE_SHIFT, False, TLB_GENERATION_INVALID)

    if info.end == TLB_FLUSH_ALL:
        kernel_tlb_flush_all(info)
    else:
        kernel_tlb_flush_range(info)

    put_flush_tlb_info()
    preempt_enable()


def __get_current_cr3_fast() -> int:
    """What CR3 holds, without reading it. :context: preemption off."""
    cr3 = build_cr3(this_cpu_ptr(cpu_tlbstate).loaded_mm.pgd,
                    this_cpu_ptr(cpu_tlbstate).loaded_mm_asid,
                    tlbstate_lam_cr3_mask())

    VM_WARN_ON(in_nmi() or preemptible())

    VM_BUG_ON(cr3 != __read_cr3())
    return cr3


def flush_tlb_one_kernel(addr: int) -> None:
    """Flush one page of a kernel mapping on this CPU.

    Without PTI kernel translations are global and INVLPG reaches them under every PCID; with PTI the
    other PCIDs are flushed when they are next used.
    """
    flush_tlb_one_user(addr)

    if not static_cpu_has(X86_FEATURE_PTI):
        return

    this_cpu_ptr(cpu_tlbstate).invalidate_other = True


def native_flush_tlb_one_user(addr: int) -> None:
    """Flush one page of the loaded address space on this CPU, from both its PCIDs."""
    invlpg(addr)

    if not static_cpu_has(X86_FEATURE_PTI):
        return

    loaded_mm_asid = this_cpu_ptr(cpu_tlbstate).loaded_mm_asid
    cpu_pcide = this_cpu_ptr(cpu_tlbstate).cr4 & X86_CR4_PCIDE

    # With PCIDs off, INVPCID of one PCID faults.
    if boot_cpu_has(X86_FEATURE_INVPCID) and cpu_pcide:
        invpcid_flush_one(user_pcid(loaded_mm_asid), addr)
    else:
        invalidate_user_asid(loaded_mm_asid)


def flush_tlb_one_user(addr: int) -> None:
    """Flush one page of the loaded address space on this CPU."""
    native_flush_tlb_one_user(addr)


def native_flush_tlb_global() -> None:
    """Flush this CPU's TLB, every PCID and global translations too."""
    if static_cpu_has(X86_FEATURE_INVPCID):
        invpcid_flush_all()
        return

    flags = local_irq_save()

    __native_tlb_flush_global(this_cpu_ptr(cpu_tlbstate).cr4)

    local_irq_restore(flags)


def native_flush_tlb_local() -> None:
    """Flush the loaded address space on this CPU, except global translations.

    :context: preemption off.
    """
    WARN_ON_ONCE(preemptible())

    invalidate_user_asid(this_cpu_ptr(cpu_tlbstate).loaded_mm_asid)

    native_write_cr3(__native_read_cr3())


def flush_tlb_local() -> None:
    """Flush the loaded address space on this CPU, except global translations."""
    native_flush_tlb_local()


def __flush_tlb_all() -> None:
    """Flush everything on this CPU. :context: preemption off."""
    VM_WARN_ON_ONCE(preemptible())

    if cpu_feature_enabled(X86_FEATURE_PGE):
        native_flush_tlb_global()
    else:
        # Without global pages there are no PCIDs: every flush is total.
        flush_tlb_local()


def arch_tlbbatch_flush(batch: arch_tlbflush_unmap_batch) -> None:
    """Flush what reclaim collected, before the pages it unmapped are reused.

    :context: interrupts on; may wait for other CPUs.
    """
    cpu = get_cpu()

    info = get_flush_tlb_info(None, 0, TLB_FLUSH_ALL, 0, False, TLB_GENERATION_INVALID)
    if cpu_feature_enabled(X86_FEATURE_INVLPGB) and batch.unmapped_pages:
        invlpgb_flush_all_nonglobals()
        batch.unmapped_pages = False
    elif cpumask_any_but(batch.cpumask, cpu) < nr_cpu_ids():
        flush_tlb_multi(batch.cpumask, info)
    elif cpumask_test_cpu(cpu, batch.cpumask):
        lockdep_assert_irqs_enabled()
        local_irq_disable()
        flush_tlb_func(info)
        local_irq_enable()

    cpumask_clear(batch.cpumask)

    put_flush_tlb_info()
    put_cpu()


def nmi_uaccess_okay() -> bool:
    """Whether an NMI may touch user memory: the loaded mm is the current task's."""
    loaded_mm = this_cpu_ptr(cpu_tlbstate).loaded_mm
    current_mm = current().mm

    VM_WARN_ON_ONCE(loaded_mm is None)

    if loaded_mm is not current_mm:
        return False

    VM_WARN_ON_ONCE(__pa(loaded_mm.pgd) != (__read_cr3() & CR3_ADDR_MASK))

    return True
