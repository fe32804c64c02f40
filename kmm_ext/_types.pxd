# SPDX-License-Identifier: GPL-2.0-only
"""C types shared by the compiled modules. Declares only."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

ctypedef uint64_t paddr_t    # physical address in bytes
ctypedef uint64_t vaddr_t    # linear address in bytes
ctypedef uint64_t entry_t    # one 64-bit paging-structure entry

cdef enum:
    PAGE_SHIFT = 12
    PAGE_SIZE = 4096
    ENTRIES = 512            # 64-bit entries in one 4 KiB table

# States of a frame, as Memory keeps them (the low bits of its state byte).
cdef enum:
    FREE = 0
    ALLOCATED = 1
    TABLE = 2
    STATE_MASK = 0x7f
    POISONED = 0x80          # flag: the frame was filled with a poison byte when it was freed

# Results of Memory.cas64.
cdef enum:
    CAS_BUS_ERROR = 0
    CAS_STORED = 1
    CAS_DIFFERS = 2
