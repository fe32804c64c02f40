# SPDX-License-Identifier: GPL-2.0-only
"""One walking loop for every paging format: ``from kmm_ext.walker cimport *``.

How to use it (the CPU in x86.pyx and an IOMMU's first stage are the same three calls):

    cdef Format format
    cdef Walk walk
    x86_format(&format, 4, 46, True, True)            # once, again when NXE changes
    while True:
        walk_from_root(&walk, &format, root, va)      # or walk_from(): a structure-cache hit
        if walk_read(memory, &format, &walk, False) != WALK_DONE:
            ...                                       # NOT_PRESENT, RESERVED, BUS_ERROR at walk.level
        ...                                           # permission check: walk.rights, walk.key
        if walk_mark(memory, &format, &walk, True, write) != WALK_CHANGED:
            break                                     # WALK_DONE or WALK_BUS_ERROR
        # an entry changed between read and locked update: walk again (rule 31)
    pa = walk.page | (va & ((1 << walk.shift) - 1))

``walk.path[i]`` for i < ``walk.steps`` tells what was read, top first; the last one is the leaf, or
the entry at fault. ``walk.reached[i]`` are the rights ANDed up to and including path[i]: with
``entry_table(&format, walk.path[i].entry)`` what a paging-structure cache may hold for a non-leaf
one. Canonical checks are the caller's. Single entries: ``decode()``. Nothing here needs the GIL.
"""

from kmm_ext._types cimport entry_t, paddr_t, uint64_t, vaddr_t
from kmm_ext.memory cimport Memory

cdef enum:
    MAX_LEVELS = 6       # levels are numbered from 1 (the 4 KiB table) upwards

# Rights, in Format's positive sense.
cdef enum:
    RIGHT_WRITE = 1
    RIGHT_USER = 2
    RIGHT_EXEC = 4
    RIGHT_ALL = 7

# Results of walk_read and walk_mark.
cdef enum:
    WALK_DONE = 0
    WALK_NOT_PRESENT = 1
    WALK_RESERVED = 2
    WALK_BUS_ERROR = 3     # the entry at walk.fault is outside memory
    WALK_CHANGED = 4       # an entry is not what was read any more: start again

# What decode() says of one entry.
cdef enum:
    ENTRY_NOT_PRESENT = 0
    ENTRY_RESERVED = 1
    ENTRY_TABLE = 2
    ENTRY_LEAF = 3

# A paging format as data. Masks of meanings apply to ``entry ^ invert``, so that a set bit always
# grants; masks of reserved bits and addresses apply to the entry as it is.
cdef struct Format:
    int levels
    int[7] shift               # lowest VA bit that indexes a table of this level
    uint64_t[7] index_mask     # number of entries - 1
    entry_t invert
    entry_t present
    entry_t[7] leaf            # maps a page iff any of these bits is set
    entry_t[7] reserved        # must be zero in an entry that references a table
    entry_t[7] reserved_leaf   # must be zero in an entry that maps a page
    entry_t[7] page            # address bits of an entry that maps a page
    entry_t table              # address bits of an entry that references a table
    entry_t writable           # 0: always granted
    entry_t user
    entry_t executable
    int combine                # RIGHT_* that every level must grant; the others only the leaf
    entry_t accessed_table     # set by hardware in a used entry that references a table
    entry_t accessed           # ... that maps a page
    entry_t dirty              # ... that maps a page, before a store
    entry_t global_page
    int key_shift
    int key_mask

cdef struct Step:
    int level
    paddr_t pa                 # where the entry is
    entry_t entry              # what was read (or, after walk_mark, written)

cdef struct Walk:
    vaddr_t va
    int start_level            # the first table to read is of this level
    paddr_t start_table
    int start_rights           # rights granted above it
    int status
    int level                  # of the last entry looked at
    int rights
    int steps
    Step[6] path
    int[6] reached
    paddr_t fault              # of the entry that no memory answers
    paddr_t page               # first byte of the page mapped
    int shift                  # its size is 1 << shift
    int key
    bint dirty
    bint global_page

cdef void x86_format(Format *format, int levels, int maxphyaddr, bint nxe, bint page1gb) noexcept nogil

cdef void walk_from_root(Walk *walk, const Format *format, paddr_t root, vaddr_t va) noexcept nogil
cdef void walk_from(Walk *walk, int level, paddr_t table, int rights, vaddr_t va) noexcept nogil
# Read entries down to the leaf. With *early*, set the accessed bit of each entry as it is used;
# else nothing is written. A status other than DONE leaves path[steps - 1] at the entry at fault.
cdef int walk_read(Memory memory, const Format *format, Walk *walk, bint early) noexcept nogil
# Set accessed in every entry of the path (if *accessed*), dirty in the leaf (if *dirty*), by locked
# compare-and-exchange. path[] then has the new values.
cdef int walk_mark(Memory memory, const Format *format, Walk *walk, bint accessed, bint dirty) noexcept nogil
# Whether walk_mark would write anything.
cdef bint walk_unmarked(const Format *format, const Walk *walk, bint accessed, bint dirty) noexcept nogil


cdef inline int decode(const Format *format, int level, entry_t entry) noexcept nogil:
    """ENTRY_*: first presence, then reserved bits (rules 8 to 11)."""
    cdef entry_t plain = entry ^ format.invert
    if not plain & format.present:
        return ENTRY_NOT_PRESENT
    if plain & format.leaf[level]:
        return ENTRY_RESERVED if entry & format.reserved_leaf[level] else ENTRY_LEAF
    return ENTRY_RESERVED if entry & format.reserved[level] else ENTRY_TABLE


cdef inline int entry_rights(const Format *format, entry_t entry) noexcept nogil:
    """RIGHT_* that this entry alone grants."""
    cdef entry_t plain = entry ^ format.invert
    cdef int rights = 0
    if plain & format.writable or not format.writable:
        rights |= RIGHT_WRITE
    if plain & format.user or not format.user:
        rights |= RIGHT_USER
    if plain & format.executable or not format.executable:
        rights |= RIGHT_EXEC
    return rights


cdef inline paddr_t entry_table(const Format *format, entry_t entry) noexcept nogil:
    """Address of the table that an ENTRY_TABLE references."""
    return entry & format.table


cdef inline paddr_t entry_page(const Format *format, int level, entry_t entry) noexcept nogil:
    """Address of the page that an ENTRY_LEAF maps."""
    return entry & format.page[level]


cdef inline uint64_t entry_index(const Format *format, int level, vaddr_t va) noexcept nogil:
    """Which entry of a table of this level translates *va*."""
    return (va >> format.shift[level]) & format.index_mask[level]
