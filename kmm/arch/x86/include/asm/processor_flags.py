# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/processor-flags.h (Linux 7.2).

Also holds the CR3 and CR4 bits of the uapi header of the same name. No memory encryption and no
VM86: ``CR3_ADDR_MASK`` is the plain physical mask.

Reads CONFIG_MITIGATION_PAGE_TABLE_ISOLATION.
"""

from __future__ import annotations

X86_CR3_PWT_BIT = 3
X86_CR3_PWT = 1 << X86_CR3_PWT_BIT
X86_CR3_PCD_BIT = 4
X86_CR3_PCD = 1 << X86_CR3_PCD_BIT
X86_CR3_PCID_BITS = 12
X86_CR3_PCID_MASK = (1 << X86_CR3_PCID_BITS) - 1
X86_CR3_LAM_U57_BIT = 61
X86_CR3_LAM_U57 = 1 << X86_CR3_LAM_U57_BIT
X86_CR3_LAM_U48_BIT = 62
X86_CR3_LAM_U48 = 1 << X86_CR3_LAM_U48_BIT
X86_CR3_PCID_NOFLUSH_BIT = 63
X86_CR3_PCID_NOFLUSH = 1 << X86_CR3_PCID_NOFLUSH_BIT

X86_CR4_PSE = 1 << 4
X86_CR4_PAE = 1 << 5
X86_CR4_PGE = 1 << 7
X86_CR4_PCE = 1 << 8
X86_CR4_UMIP = 1 << 11
X86_CR4_LA57 = 1 << 12
X86_CR4_FSGSBASE = 1 << 16
X86_CR4_PCIDE = 1 << 17
X86_CR4_SMEP = 1 << 20
X86_CR4_SMAP = 1 << 21
X86_CR4_PKE = 1 << 22
X86_CR4_CET = 1 << 23

#: Physical address bits of CR3: neither the PCID nor the no-flush and LAM bits.
CR3_ADDR_MASK = 0x000F_FFFF_FFFF_F000
CR3_PCID_MASK = 0xFFF
CR3_NOFLUSH = 1 << 63

# Kernel and user PCID of one address space differ in this bit. The C defines it only under
# CONFIG_MITIGATION_PAGE_TABLE_ISOLATION, and so are its users.
X86_CR3_PTI_PCID_USER_BIT = 11
