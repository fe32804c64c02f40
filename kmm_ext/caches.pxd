# SPDX-License-Identifier: GPL-2.0-only
"""Finite, deterministic, tagged caches of translations and intermediate entries.

``from kmm_ext.caches cimport *``. A Cache owns no storage: cache_layout() says how many Held it
needs, the owner allocates one block for all its caches and hands each its part by cache_place(), so
that a snapshot of everything held is one copy. Replacement is round robin per set.
"""

from kmm_ext._types cimport entry_t, paddr_t, uint8_t, uint32_t, uint64_t, vaddr_t

cdef struct Held:
    uint64_t prefix        # VA >> shift
    uint64_t target        # first byte of the page, or of the table, it leads to
    paddr_t source         # where the entry was read
    entry_t entry          # what was read there
    uint32_t tag           # PCID, PASID...
    uint8_t valid
    uint8_t level          # of the entry: 1 is a PTE
    uint8_t shift          # it serves 1 << shift bytes of VA
    uint8_t page_shift     # size of the page it was made from; larger than shift if fractured
    uint8_t rights         # RIGHT_*, ANDed from the root
    uint8_t key
    uint8_t dirty
    uint8_t global_page

cdef struct Cache:
    uint32_t sets          # a power of two
    uint32_t ways          # 0: this processor has no such cache
    uint32_t size          # sets * ways
    Held *held
    uint32_t *victim       # per set: the way to replace next

cdef bint cache_layout(Cache *cache, long sets, long ways) noexcept nogil   # False: bad geometry
cdef void cache_place(Cache *cache, Held *held, uint32_t *victim) noexcept nogil
cdef void cache_put(Cache *cache, const Held *entry) noexcept nogil


cdef inline Held *cache_find(const Cache *cache, uint64_t prefix, uint32_t tag) noexcept nogil:
    """The entry for *prefix* that has this tag or is global, or NULL."""
    cdef uint32_t way
    cdef Held *held
    if cache.ways == 0:
        return NULL
    held = cache.held + (<uint32_t> prefix & (cache.sets - 1)) * cache.ways
    for way in range(cache.ways):
        if held[way].prefix == prefix and held[way].valid and (
                held[way].tag == tag or held[way].global_page):
            return held + way
    return NULL
