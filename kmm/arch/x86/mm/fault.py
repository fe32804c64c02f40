# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/fault.c (Linux 7.2), its list of top-level tables only.

The page-fault entry itself belongs to the bench, which calls handle_mm_fault() as the handler would.
"""

from __future__ import annotations

from kmm.include.linux.list import LIST_HEAD, list_head
from kmm.include.linux.spinlock import DEFINE_SPINLOCK, spinlock_t

#: Protects ``pgd_list``, and with it the copying of the kernel's half.
pgd_lock: spinlock_t = DEFINE_SPINLOCK()

#: Every top-level table but the kernel's own, through ``ptdesc.pt_list``.
pgd_list: list_head = LIST_HEAD()
