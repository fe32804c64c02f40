# SPDX-License-Identifier: GPL-2.0-only
"""One execution: its events, what they touched and which happens before which. Declares only."""

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    READS = 1
    WRITES = 2
    NEEDS = 4                    # a lock without which the event could not run


cdef struct Touch:
    int place
    int flags                    # READS, WRITES, NEEDS
    int acquired                 # the event that took the lock which this one gives back, -1: none


cdef struct Event:
    int pid
    int kind
    int value                    # outcome of its choice
    int prev                     # previous event of its actor, or the one that created it; -1: none
    int first                    # its touches, in the pool
    int count


cdef struct Link:
    int pid
    int event
    int shared                   # of holders
    int next                     # -1: the last one


cdef struct Place:
    int64_t loc
    uint64_t execution           # the one that the following belong to
    int last_write
    int readers                  # events since the last write, the latest of each actor
    int holders
    int version                  # number of writes
    uint64_t touched_by          # the event for which `touched` holds
    int touched
    uint64_t mark                # of Trace.mark
    int marked


cdef class Trace:
    cdef Event *events
    cdef int count               # recorded ones
    cdef Event now               # the event that is going on
    cdef Touch *touches
    cdef int top                 # touches in use, those of `now` last
    cdef uint64_t *rows
    cdef int words               # of a row
    cdef Place *places
    cdef int place_count
    cdef int *found              # of conflicts(), ascending
    cdef int found_count

    cdef int _event_capacity
    cdef int _row_capacity
    cdef int _touch_capacity
    cdef int _place_capacity
    cdef int *_table             # hash table: place + 1
    cdef int _table_size
    cdef Link *_links
    cdef int _link_count
    cdef int _link_capacity
    cdef int _found_capacity
    cdef uint64_t _execution
    cdef uint64_t _stamp
    cdef uint64_t _mark

    cdef void clear(self) noexcept
    cdef int place(self, int64_t loc) except -1
    cdef int _grow_table(self) except -1
    cdef Place *at(self, int place) noexcept

    cdef int begin(self, int n, int pid, int kind, int prev, bint behind) except -1
    cdef int touch(self, int place, int flags) except -1
    cdef int record(self, int n) except -1
    cdef int apply(self, int n) except -1
    cdef void discard(self) noexcept
    cdef bint same(self, int n) noexcept

    cdef int take(self, int place, int pid, int n, bint shared) except -1
    cdef int give(self, int place, int pid) noexcept
    cdef bint available(self, int place, bint shared) noexcept
    cdef int holder(self, int place) noexcept
    cdef Link *holders(self, int place) noexcept
    cdef Link *next_holder(self, Link *holder) noexcept
    cdef int _link(self, int pid, int event, bint shared, int following) except -1

    cdef uint64_t *row(self, int n) noexcept
    cdef bint before(self, int i, int n) noexcept
    cdef int conflicts(self, Event *event) except -1
    cdef int _find(self, int n) except -1
    cdef int reserve(self, int n) except -1
    cdef void order(self, int n) noexcept
    cdef void mark(self, Touch *touches, int count) noexcept
    cdef bint clashes(self, Touch *touches, int count) noexcept
