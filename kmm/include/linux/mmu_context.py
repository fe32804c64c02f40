# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mmu_context.h (Linux 7.2): asm/mmu_context.h, as far as callers want it from here.

Leaves out: which CPUs can run a task.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.mmu_context import arch_pgtable_dma_compat as arch_pgtable_dma_compat
from kmm.arch.x86.include.asm.mmu_context import mm_untag_mask as mm_untag_mask
