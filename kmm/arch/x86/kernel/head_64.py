# SPDX-License-Identifier: GPL-2.0-only
"""Model of arch/x86/kernel/head_64.S: the state in which a CPU starts to run C code."""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.cpufeature import X86_FEATURE_LA57, boot_cpu_has
from kmm.arch.x86.include.asm.page import __pa
from kmm.arch.x86.include.asm.pgtable_64 import swapper_pg_dir
from kmm.arch.x86.include.asm.processor_flags import X86_CR4_LA57, X86_CR4_PAE, X86_CR4_PGE, X86_CR4_PSE


def common_startup_64() -> None:
    """Paging is on, with the kernel's own root table and PCID 0.

    :context: once on each CPU; ``init_mm.pgd`` is set.
    """
    cr4 = X86_CR4_PAE | X86_CR4_PSE | X86_CR4_PGE
    if boot_cpu_has(X86_FEATURE_LA57):
        cr4 |= X86_CR4_LA57
    hooks.write_cr4(cr4)
    hooks.write_cr3(__pa(swapper_pg_dir()))
