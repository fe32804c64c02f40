# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/include/asm/tlbbatch.h (Linux 7.2)."""

from __future__ import annotations

from kmm.c import struct
from kmm.include.linux.cpumask import cpumask


class arch_tlbflush_unmap_batch(struct):
    """Flushes that reclaim has put off."""

    #: CPUs that may have one of the unmapped pages cached.
    cpumask: cpumask
    #: Whether INVLPGB must be used, as there are unmapped pages.
    unmapped_pages: bool
