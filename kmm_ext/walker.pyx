# SPDX-License-Identifier: GPL-2.0-only
"""The walking loop, and paging formats as data (see ``walker.pxd`` for how to use them).

A rule number refers to the list of walk and caching rules in ``docs/reference``; sections are those
of the SDM volume 3A with paging as chapter 4.
"""

from libc.string cimport memset

from kmm_ext._types cimport CAS_BUS_ERROR, CAS_DIFFERS
from kmm_ext.memory cimport memory_get64


cdef enum:
    BIT_P = 0
    BIT_RW = 1
    BIT_US = 2
    BIT_A = 5
    BIT_D = 6
    BIT_PS = 7
    BIT_G = 8
    BIT_XD = 63


cdef inline uint64_t _bit(int n) noexcept nogil:
    return <uint64_t> 1 << n


cdef inline uint64_t _bits(int high, int low) noexcept nogil:
    """Mask of bits high:low; empty if high < low."""
    if high < low:
        return 0
    return (~<uint64_t> 0 >> (63 - high)) & ~(_bit(low) - 1)


cdef void x86_format(Format *format, int levels, int maxphyaddr, bint nxe, bint page1gb) noexcept nogil:
    """Rules 6 to 10 (4.5, tables 4-14 to 4-19). *levels* is 4 or 5, *maxphyaddr* 36 to 52."""
    cdef int level
    cdef entry_t always = _bits(51, maxphyaddr)
    memset(format, 0, sizeof(Format))
    if not nxe:
        always |= _bit(BIT_XD)
    format.levels = levels
    format.invert = _bit(BIT_XD)
    format.present = _bit(BIT_P)
    format.table = _bits(maxphyaddr - 1, 12)
    format.writable = _bit(BIT_RW)
    format.user = _bit(BIT_US)
    format.executable = _bit(BIT_XD)
    format.combine = RIGHT_ALL
    format.accessed_table = _bit(BIT_A)
    format.accessed = _bit(BIT_A)
    format.dirty = _bit(BIT_D)
    format.global_page = _bit(BIT_G)
    format.key_shift = 59
    format.key_mask = 15
    for level in range(1, levels + 1):
        format.shift[level] = 12 + 9 * (level - 1)
        format.index_mask[level] = 511
        format.page[level] = _bits(maxphyaddr - 1, format.shift[level])
        format.reserved[level] = always
        format.reserved_leaf[level] = always
    format.leaf[1] = _bit(BIT_P)
    format.leaf[2] = _bit(BIT_PS)
    format.reserved_leaf[2] |= _bits(20, 13)
    if page1gb:
        format.leaf[3] = _bit(BIT_PS)
        format.reserved_leaf[3] |= _bits(29, 13)
    else:
        format.reserved[3] |= _bit(BIT_PS)
    for level in range(4, levels + 1):
        format.reserved[level] |= _bit(BIT_PS)


cdef void walk_from_root(Walk *walk, const Format *format, paddr_t root, vaddr_t va) noexcept nogil:
    walk_from(walk, format.levels, root, RIGHT_ALL, va)


cdef void walk_from(Walk *walk, int level, paddr_t table, int rights, vaddr_t va) noexcept nogil:
    walk.va = va
    walk.start_level = level
    walk.start_table = table
    walk.start_rights = rights
    walk.steps = 0
    walk.status = WALK_DONE


cdef int walk_read(Memory memory, const Format *format, Walk *walk, bint early) noexcept nogil:
    """Rules 6 to 13: per level from the top, first presence, then reserved bits; the first defect
    decides, and rights are only gathered."""
    cdef int level = walk.start_level, rights = walk.start_rights, kind, steps = 0
    cdef paddr_t table = walk.start_table, pa
    cdef entry_t entry = 0, marked
    cdef Step *step
    while True:
        pa = table + 8 * entry_index(format, level, walk.va)
        walk.level = level
        if not memory_get64(memory, pa, &entry):
            walk.steps = steps
            walk.fault = pa
            walk.status = WALK_BUS_ERROR
            return WALK_BUS_ERROR
        step = &walk.path[steps]
        step.level = level
        step.pa = pa
        step.entry = entry
        steps += 1
        walk.steps = steps
        kind = decode(format, level, entry)
        if kind == ENTRY_NOT_PRESENT:
            walk.status = WALK_NOT_PRESENT
            return WALK_NOT_PRESENT
        if kind == ENTRY_RESERVED:
            walk.status = WALK_RESERVED
            return WALK_RESERVED
        if kind == ENTRY_LEAF:
            break
        if early and not entry & format.accessed_table:
            marked = entry | format.accessed_table
            if memory.cas64(pa, &entry, marked) == CAS_DIFFERS:
                steps = 0
                level = walk.start_level
                table = walk.start_table
                rights = walk.start_rights
                continue
            step.entry = entry = marked
        rights &= entry_rights(format, entry) | (RIGHT_ALL & ~format.combine)
        walk.reached[steps - 1] = rights
        table = entry_table(format, entry)
        level -= 1
    rights &= entry_rights(format, entry)
    walk.reached[steps - 1] = rights
    walk.rights = rights
    walk.page = entry_page(format, level, entry)
    walk.shift = format.shift[level]
    walk.key = <int> (entry >> format.key_shift) & format.key_mask
    entry ^= format.invert
    walk.dirty = entry & format.dirty != 0
    walk.global_page = entry & format.global_page != 0
    walk.status = WALK_DONE
    return WALK_DONE


cdef bint walk_unmarked(const Format *format, const Walk *walk, bint accessed, bint dirty) noexcept nogil:
    cdef int i
    cdef entry_t bits
    for i in range(walk.steps):
        if i < walk.steps - 1:
            bits = format.accessed_table if accessed else 0
        else:
            bits = (format.accessed if accessed else 0) | (format.dirty if dirty else 0)
        if (walk.path[i].entry ^ format.invert) & bits != bits:
            return True
    return False


cdef int walk_mark(Memory memory, const Format *format, Walk *walk, bint accessed, bint dirty) noexcept nogil:
    """Rules 30 to 32 and 37 (4.8): locked updates from the top; one that finds the entry changed
    stops, so no bit is ever set in an entry that is not the one walked."""
    cdef int i, result
    cdef entry_t bits, entry, marked
    for i in range(walk.steps):
        if i < walk.steps - 1:
            bits = format.accessed_table if accessed else 0
        else:
            bits = (format.accessed if accessed else 0) | (format.dirty if dirty else 0)
        entry = walk.path[i].entry
        marked = ((entry ^ format.invert) | bits) ^ format.invert
        if marked == entry:
            continue
        result = memory.cas64(walk.path[i].pa, &entry, marked)
        if result == CAS_BUS_ERROR:
            walk.fault = walk.path[i].pa
            return WALK_BUS_ERROR
        if result == CAS_DIFFERS:
            return WALK_CHANGED
        walk.path[i].entry = marked
    if dirty:
        walk.dirty = True
    return WALK_DONE
