# SPDX-License-Identifier: GPL-2.0-only
"""Physical memory for other compiled modules: ``from kmm_ext.memory cimport Memory, Observer``.

Loops that read many words use memory_get64(memory, pa, &word): get64() without the call.
"""

from libc.string cimport memcpy

from kmm_ext._types cimport uint8_t, uint16_t, uint32_t, uint64_t, paddr_t, entry_t

cdef class Observer:
    # A 64-bit word of a watched frame changed (old != new); memory already holds *new*. *pa* is a
    # multiple of 8. Called with the GIL held, once per changed word, in ascending address order,
    # after the whole store, fill or copy. May read memory, watch, unwatch and even store.
    cdef void entry_changed(self, paddr_t pa, entry_t old, entry_t new) noexcept
    # Memory.snapshot() was taken / Memory.restore() has put everything back. restore() reports
    # no entry_changed and leaves the watch counts alone: an observer restores itself, counts too.
    cdef void snapshot_taken(self) noexcept
    cdef void restored(self) noexcept

cdef class Journal(Observer):
    cdef readonly list changes
    cdef object __weakref__

cdef class Memory:
    cdef readonly uint64_t frames
    cdef readonly uint64_t size          # bytes, frames * 4096
    cdef readonly uint64_t bus_errors    # refused accesses since the machine was made
    cdef uint8_t *data                   # the arena
    cdef uint8_t *base                   # contents at the snapshot, valid where SAVED
    cdef uint8_t *states                 # FREE, ALLOCATED, TABLE, plus the POISONED flag
    cdef uint8_t *base_states
    cdef uint8_t *flags                  # DATA_DIRTY, STATE_DIRTY, SAVED
    cdef uint16_t *watched               # how many watch() calls are in force, per frame
    cdef uint32_t *dirty
    cdef uint32_t *dirty_states
    cdef uint64_t ndirty
    cdef uint64_t ndirty_states
    cdef bint tracking
    cdef list observers
    cdef object __weakref__

    # None of these needs the GIL. All but watch/unwatch return 0 on a bus error.
    cdef bint get(self, paddr_t pa, int size, uint64_t *out) noexcept nogil
    cdef bint get64(self, paddr_t pa, uint64_t *out) noexcept nogil
    cdef bint put(self, paddr_t pa, int size, uint64_t value) noexcept nogil
    cdef bint put64(self, paddr_t pa, uint64_t value) noexcept nogil
    # CAS_STORED, CAS_DIFFERS (*expected is then what memory holds) or CAS_BUS_ERROR.
    cdef int cas64(self, paddr_t pa, uint64_t *expected, uint64_t new) noexcept nogil
    cdef int frame_state(self, uint64_t pfn) noexcept nogil    # -1 outside memory
    cdef void watch(self, uint64_t pfn) noexcept nogil         # ignored outside memory
    cdef void unwatch(self, uint64_t pfn) noexcept nogil

    cdef bint inside(self, paddr_t pa, uint64_t length) noexcept nogil
    cdef void touch(self, uint64_t pfn) noexcept nogil
    cdef void touch_state(self, uint64_t pfn) noexcept nogil
    cdef void notify(self, paddr_t pa, entry_t old, entry_t new) noexcept
    cdef uint8_t *begin(self, paddr_t pa, uint64_t length) except? NULL
    cdef void end(self, paddr_t pa, uint64_t length, uint8_t *old) noexcept
    cdef int check(self, paddr_t pa, uint64_t length) except -1
    cdef int check_frames(self, uint64_t pfn, uint64_t count) except -1


cdef inline bint memory_get64(Memory memory, paddr_t pa, uint64_t *out) noexcept nogil:
    if pa > memory.size - 8:
        return memory.get64(pa, out)    # counts the bus error
    memcpy(out, memory.data + pa, 8)
    return True
