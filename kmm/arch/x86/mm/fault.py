# SPDX-License-Identifier: GPL-2.0-only
"""Port of arch/x86/mm/fault.c (Linux 7.2): the list of all top-level tables.

The page-fault entry itself is the machine's: it calls ``handle_mm_fault``.
"""

from __future__ import annotations

from kmm.include.linux.list import LIST_HEAD
from kmm.include.linux.spinlock import DEFINE_SPINLOCK

#: Protects ``pgd_list``.
pgd_lock = DEFINE_SPINLOCK()
#: Every user pgd, linked by its ptdesc, so that kernel entries can be copied to all of them.
pgd_list = LIST_HEAD()
