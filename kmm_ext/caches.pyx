# SPDX-License-Identifier: GPL-2.0-only
"""Finite, deterministic caches for the concrete hardware models (see ``caches.pxd``)."""

from libc.string cimport memset


cdef bint cache_layout(Cache *cache, long sets, long ways) noexcept nogil:
    if sets < 1 or sets > 4096 or sets & (sets - 1) or ways < 0 or ways > 64:
        return False
    cache.sets = <uint32_t> sets
    cache.ways = <uint32_t> ways
    cache.size = cache.sets * cache.ways
    return True


cdef void cache_place(Cache *cache, Held *held, uint32_t *victim) noexcept nogil:
    cache.held = held
    cache.victim = victim
    memset(held, 0, cache.size * sizeof(Held))
    memset(victim, 0, cache.sets * sizeof(uint32_t))


cdef void cache_put(Cache *cache, const Held *entry) noexcept nogil:
    """Insert, in place of an entry with the same prefix and tag, of an invalid one, or of the one
    whose turn it is."""
    cdef uint32_t index, way, free
    cdef Held *held
    if cache.ways == 0:
        return
    index = <uint32_t> entry.prefix & (cache.sets - 1)
    held = cache.held + index * cache.ways
    free = cache.ways
    for way in range(cache.ways):
        if not held[way].valid:
            if free == cache.ways:
                free = way
        elif held[way].prefix == entry.prefix and held[way].tag == entry.tag:
            free = way
            break
    if free == cache.ways:
        free = cache.victim[index]
        cache.victim[index] = (free + 1) % cache.ways
    held[free] = entry[0]
