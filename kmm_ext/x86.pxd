# SPDX-License-Identifier: GPL-2.0-only
"""The x86-64 MMU for other compiled modules. The walking loop itself is in walker.pxd."""

from kmm_ext._types cimport paddr_t, uint8_t, uint16_t, uint32_t, uint64_t, vaddr_t
from kmm_ext.caches cimport Cache, Held
from kmm_ext.memory cimport Memory
from kmm_ext.walker cimport Format, Walk

# How an access is made.
cdef enum:
    ACCESS_WRITE = 1
    ACCESS_FETCH = 2
    ACCESS_USER = 4
    ACCESS_IMPLICIT = 8      # GDT, IDT, TSS...: supervisor even at CPL 3, SMAP whatever AC

# Result of CPU.access: 0, or one of these; PAGE_FAULT has the error code in its low byte.
cdef enum:
    ACCESS_PAGE_FAULT = 0x100
    ACCESS_NON_CANONICAL = 0x200
    ACCESS_BUS_ERROR = 0x300
    ACCESS_ABANDONED = 0x400     # the race hook raised

cdef struct Registers:
    uint64_t cr0
    uint64_t cr2
    uint64_t cr3
    uint64_t cr4
    uint64_t efer
    uint32_t pkru
    uint32_t pkrs
    uint32_t pcid            # CR3[11:0], or 0 while CR4.PCIDE is clear
    uint8_t cpl
    uint8_t ac

cdef class CPU:
    cdef readonly Memory memory
    cdef readonly frozenset features
    cdef readonly int maxphyaddr
    cdef readonly int levels
    cdef public bint early_accessed
    cdef public bint fracture
    cdef public bint audit
    cdef public object race
    cdef object pending
    cdef readonly list strays
    cdef readonly uint64_t walks         # walks from the root or from a structure cache
    cdef readonly uint64_t tlb_hits
    cdef readonly uint64_t structure_hits
    cdef Registers registers
    cdef Registers saved_registers
    cdef Format format
    cdef Cache[2][3] tlb                 # [data, instruction][4K, 2M, 1G]
    cdef Cache[7] structure              # [level of the entry], 2 to levels
    cdef Held *held_block
    cdef Held *saved_block
    cdef uint32_t *victim_block
    cdef uint32_t *saved_victims
    cdef size_t nheld
    cdef size_t nvictims
    cdef bint saved
    cdef paddr_t bus_address
    cdef object __weakref__

    cdef int _layout(self, Cache *cache, str name, dict geometry) except -1
    cdef void _new_format(self) noexcept
    cdef bint canonical(self, vaddr_t va) noexcept nogil
    # Translate as an access does: caches, walk, rights, A/D, fills. *out* is set if the result is 0.
    cdef int access(self, vaddr_t va, int how, paddr_t *out) noexcept nogil
    cdef int deny(self, int rights, int key, int how) noexcept nogil
    cdef int walk_for(self, Walk *walk, vaddr_t va, int how, bint speculative) noexcept nogil
    cdef int page_fault(self, vaddr_t va, int code, int shift) noexcept nogil
    cdef void fill_structure(self, Walk *walk) noexcept nogil
    cdef void fill_tlb(self, Walk *walk, bint fetch) noexcept nogil
    cdef void prefetch(self, vaddr_t va, int last) noexcept nogil
    cdef int mapped_shift(self, vaddr_t va) noexcept nogil
    cdef void drop_page(self, vaddr_t va, int shift, uint32_t pcid, bint globals_too) noexcept nogil
    cdef void drop_tlb(self, bint one_pcid, uint32_t pcid, bint globals_too) noexcept nogil
    cdef void drop_structure(self, bint one_pcid, uint32_t pcid) noexcept nogil
    cdef void drop_structure_path(self, vaddr_t va, uint32_t pcid) noexcept nogil
    cdef bint call_race(self, vaddr_t va) noexcept
    cdef void note_walk(self, Walk *walk, Walk *before, bint filled) noexcept
    cdef void note_use(self, vaddr_t va, paddr_t pa) noexcept
    cdef int raise_for(self, vaddr_t va, int status, bint stack) except -1
    cdef int privileged(self, str what) except -1
    cdef int gp(self, str why) except -1
    cdef int how(self, bint write, bint fetch, object user, bint implicit) except -1
    cdef paddr_t translated(self, vaddr_t va, int how, bint stack) except? 0
    cdef int span(self, vaddr_t va, int size, int how, bint stack, paddr_t *first, paddr_t *second) except -1
