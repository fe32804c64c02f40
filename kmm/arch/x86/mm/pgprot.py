# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/pgprot.c (Linux 7.2): from VMA flags to protection bits.

Left out: protection keys, memory encryption, shadow stacks.
"""

from __future__ import annotations

from kmm.arch.x86.include.asm.pgtable_types import (
    PAGE_COPY,
    PAGE_COPY_EXEC,
    PAGE_NONE,
    PAGE_READONLY,
    PAGE_READONLY_EXEC,
    PAGE_SHARED,
    PAGE_SHARED_EXEC,
    pgprot_t,
)

#: By VM_READ (1), VM_WRITE (2), VM_EXEC (4) and VM_SHARED (8).
protection_map = (
    PAGE_NONE, PAGE_READONLY, PAGE_COPY, PAGE_COPY,
    PAGE_READONLY_EXEC, PAGE_READONLY_EXEC, PAGE_COPY_EXEC, PAGE_COPY_EXEC,
    PAGE_NONE, PAGE_READONLY, PAGE_SHARED, PAGE_SHARED,
    PAGE_READONLY_EXEC, PAGE_READONLY_EXEC, PAGE_SHARED_EXEC, PAGE_SHARED_EXEC,
)


def vm_get_page_prot(vm_flags: int) -> pgprot_t:
    """The protection of entries in a VMA with these flags. Private memory starts read-only."""
    return protection_map[vm_flags & 0xF]
