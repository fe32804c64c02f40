# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mmu_context.h (Linux 7.2). The architecture defines everything in it."""

from __future__ import annotations

from kmm.arch.x86.include.asm.mmu_context import arch_pgtable_dma_compat as arch_pgtable_dma_compat
from kmm.arch.x86.include.asm.mmu_context import leave_mm as leave_mm
from kmm.arch.x86.include.asm.mmu_context import mm_untag_mask as mm_untag_mask
from kmm.arch.x86.include.asm.mmu_context import switch_mm as switch_mm
from kmm.arch.x86.mm.tlb import switch_mm_irqs_off as switch_mm_irqs_off
