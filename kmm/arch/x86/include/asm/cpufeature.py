# SPDX-License-Identifier: GPL-2.0-only
"""Model of arch/x86/include/asm/cpufeature.h (Linux 7.2): the machine says what its CPUs can do.

A kernel whose configuration leaves a feature out answers no whatever the machine says, as
asm/disabled-features.h does. CONFIG symbols: MITIGATION_PAGE_TABLE_ISOLATION, PGTABLE_LEVELS,
X86_INTEL_MEMORY_PROTECTION_KEYS.
"""

from __future__ import annotations

from kmm import hooks
from kmm.arch.x86.include.asm.cpufeatures import X86_BUG_CPU_MELTDOWN as X86_BUG_CPU_MELTDOWN
from kmm.arch.x86.include.asm.cpufeatures import X86_BUG_L1TF as X86_BUG_L1TF
from kmm.arch.x86.include.asm.cpufeatures import X86_BUG_TLBI as X86_BUG_TLBI
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_GBPAGES as X86_FEATURE_GBPAGES
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_HYPERVISOR as X86_FEATURE_HYPERVISOR
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_INVLPGB as X86_FEATURE_INVLPGB
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_INVPCID as X86_FEATURE_INVPCID
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_LA57 as X86_FEATURE_LA57
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_LAM as X86_FEATURE_LAM
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_LASS as X86_FEATURE_LASS
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_NX as X86_FEATURE_NX
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_OSPKE as X86_FEATURE_OSPKE
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_PAT as X86_FEATURE_PAT
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_PCID as X86_FEATURE_PCID
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_PGE as X86_FEATURE_PGE
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_PKU as X86_FEATURE_PKU
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_PSE as X86_FEATURE_PSE
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_PTI as X86_FEATURE_PTI
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_SHSTK as X86_FEATURE_SHSTK
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_SMAP as X86_FEATURE_SMAP
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_SMEP as X86_FEATURE_SMEP
from kmm.arch.x86.include.asm.cpufeatures import X86_FEATURE_USER_SHSTK as X86_FEATURE_USER_SHSTK
from kmm.include.generated.autoconf import (
    CONFIG_MITIGATION_PAGE_TABLE_ISOLATION,
    CONFIG_PGTABLE_LEVELS,
    CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS,
)

DISABLED: tuple[str, ...] = (
    *(() if CONFIG_MITIGATION_PAGE_TABLE_ISOLATION else (X86_FEATURE_PTI,)),
    *(() if CONFIG_PGTABLE_LEVELS > 4 else (X86_FEATURE_LA57,)),
    *(() if CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS else (X86_FEATURE_PKU, X86_FEATURE_OSPKE)),
)


def boot_cpu_has(bit: str) -> bool:
    """Whether the boot CPU has a feature."""
    return bit not in DISABLED and hooks.cpu_has(bit)


def cpu_feature_enabled(bit: str) -> bool:
    """Whether the CPUs have a feature and this kernel uses it."""
    return bit not in DISABLED and hooks.cpu_has(bit)


def static_cpu_has(bit: str) -> bool:
    """boot_cpu_has() that costs nothing."""
    return bit not in DISABLED and hooks.cpu_has(bit)


def boot_cpu_has_bug(bit: str) -> bool:
    """Whether the boot CPU has a defect."""
    return hooks.cpu_has(bit)


def static_cpu_has_bug(bit: str) -> bool:
    """boot_cpu_has_bug() that costs nothing."""
    return hooks.cpu_has(bit)
