# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/mmu.h (Linux 7.2).

Leaves out what no page-table path looks at: the LDT, the vDSO, RDPMC permission and protection
keys (with their CONFIG symbols).

Reads CONFIG_ADDRESS_MASKING, CONFIG_BROADCAST_TLB_FLUSH.
"""

from __future__ import annotations

from kmm.c import struct
from kmm.include.generated.autoconf import CONFIG_ADDRESS_MASKING, CONFIG_BROADCAST_TLB_FLUSH
from kmm.include.linux.atomic import atomic64_t
from kmm.include.linux.mutex import mutex

MM_CONTEXT_UPROBE_IA32 = 0
MM_CONTEXT_HAS_VSYSCALL = 1
MM_CONTEXT_LOCK_LAM = 2
#: LAM and SVA may coexist in this mm.
MM_CONTEXT_FORCE_TAGGED_SVA = 3
#: ``mm_cpumask()`` of this mm is not kept up to date.
MM_CONTEXT_NOTRACK = 4


class mm_context_t(struct):
    """The architecture's part of ``struct mm_struct``."""

    #: Names this mm for ever; zero is nobody's.
    ctx_id: int
    #: Raised after page tables changed and before the flush; CPUs compare it with what they flushed.
    tlb_gen: atomic64_t
    next_trim_cpumask: int
    flags: int
    if CONFIG_ADDRESS_MASKING:
        lam_cr3_mask: int
        untag_mask: int
    lock: mutex
    if CONFIG_BROADCAST_TLB_FLUSH:
        #: The PCID that this mm has on every CPU, or 0.
        global_asid: int
        asid_transition: bool
