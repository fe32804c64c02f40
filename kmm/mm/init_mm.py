# SPDX-License-Identifier: GPL-2.0-only
"""Port of mm/init-mm.c (Linux 7.2): the kernel's own address space.

:deviation: ``init_mm.pgd`` is None until boot has given the kernel a top-level table; in C it is
    linked into the image.
"""

from __future__ import annotations


def __init_mm() -> mm_struct:
    """The initialiser of ``init_mm``."""
    mm = mm_struct.zeroed()
    mm.mm_users.counter = 2
    mm.mm_count.counter = 1
    init_rwsem(mm.mmap_lock)
    spin_lock_init(mm.page_table_lock)
    mm.mmlist.next = mm.mmlist.prev = mm.mmlist
    mutex_init(mm.context.lock)
    mm.context.ctx_id = 1
    return mm


from kmm.include.linux.mm_types import mm_struct
from kmm.include.linux.mutex import mutex_init
from kmm.include.linux.rwsem import init_rwsem
from kmm.include.linux.spinlock import spin_lock_init

init_mm: mm_struct = __init_mm()
