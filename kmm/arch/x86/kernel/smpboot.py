# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/kernel/smpboot.c (Linux 7.2): a secondary CPU comes up, as far as page tables go."""

from __future__ import annotations

from kmm.arch.x86.kernel.cpu.common import cpu_init, cr4_init
from kmm.arch.x86.kernel.head_64 import common_startup_64


def start_secondary() -> None:
    """Run once on each CPU but the first, in its idle task, with interrupts off."""
    common_startup_64()
    cr4_init()

    cpu_init()
