# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/processor.h (Linux 7.2): CR3 only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kmm.arch.x86.include.asm.page import __pa
from kmm.arch.x86.include.asm.processor_flags import CR3_ADDR_MASK
from kmm.arch.x86.include.asm.special_insns import __read_cr3, write_cr3

if TYPE_CHECKING:
    from kmm.arch.x86.include.asm.pgtable_types import pgd_ptr


def read_cr3_pa() -> int:
    """Physical address of the root table of this CPU."""
    return __read_cr3() & CR3_ADDR_MASK


def native_read_cr3_pa() -> int:
    """The same, without paravirt."""
    return read_cr3_pa()


def load_cr3(pgdir: pgd_ptr) -> None:
    """Load a root table under PCID 0."""
    write_cr3(__pa(pgdir))


