# SPDX-License-Identifier: GPL-2.0-only
"""Port of include/linux/mm_types_task.h (Linux 7.2), the part that page tables need.

A lock fits into ``struct ptdesc`` unless debugging makes it bigger than a word. CONFIG symbols:
DEBUG_SPINLOCK, DEBUG_LOCK_ALLOC, PREEMPT_RT.
"""

from __future__ import annotations

from kmm.include.generated.autoconf import (
    CONFIG_DEBUG_LOCK_ALLOC,
    CONFIG_DEBUG_SPINLOCK,
    CONFIG_PREEMPT_RT,
)

# SPINLOCK_SIZE > BITS_PER_LONG / 8
ALLOC_SPLIT_PTLOCKS: bool = CONFIG_DEBUG_SPINLOCK or CONFIG_DEBUG_LOCK_ALLOC or CONFIG_PREEMPT_RT

MM_FILEPAGES = 0
MM_ANONPAGES = 1
MM_SWAPENTS = 2
MM_SHMEMPAGES = 3
NR_MM_COUNTERS = 4
