# SPDX-License-Identifier: GPL-2.0-only
"""The executions that are still to run. Declares only."""

from libc.stdint cimport uint64_t

from kmm_ext.trace cimport Event, Touch, Trace


cdef struct Node:
    int pid
    int value                    # -1: the first alternative that is not asleep
    int values
    int naps                     # its sleepers, in the pool of naps
    int nap_count
    int sleepers                 # pools as they were when the node was made
    int touches


cdef struct Sleeper:
    int pid
    int value
    int values
    int first                    # what its event touched
    int count


cdef struct Section:
    int start                    # the event that took a lock
    int end                      # the event that gave it back
    bint held                    # it was not given back
    bint known                   # the racing event comes after its start anyway
    bint dropped                 # of Tree._keep


cdef class Tree:
    cdef Trace trace
    cdef Node *nodes
    cdef int count
    cdef bint sleeping           # use sleep sets
    cdef bint reducing           # use source sets

    cdef int _node_capacity
    cdef uint64_t *_sets         # per node: enabled, backtrack, done, ...
    cdef int _set_words
    cdef Sleeper *_sleepers
    cdef int _sleeper_count
    cdef int _sleeper_capacity
    cdef int *_naps
    cdef int _nap_count
    cdef int _nap_capacity
    cdef Touch *_touches
    cdef int _touch_count
    cdef int _touch_capacity
    cdef Section *_sections
    cdef int _section_count
    cdef int _section_capacity
    cdef uint64_t *_kept
    cdef int _kept_words

    cdef uint64_t *set_of(self, int n, int which) noexcept
    cdef bint has(self, int n, int which, int pid) noexcept
    cdef void put(self, int n, int which, int pid) noexcept
    cdef int widen(self, int pids) except -1
    cdef int push(self, int *enabled, int count, int current) except -1
    cdef int _inherit(self, int n) except -1
    cdef int _nap(self, int n, int sleeper) except -1
    cdef bint naps(self, int n, int pid, int value) noexcept
    cdef int awake(self, int n, int after) noexcept
    cdef int _fall_asleep(self, int n) except -1
    cdef int advance(self) except -1
    cdef double estimate(self) noexcept
    cdef int races(self, Event *event, int n) except -1
    cdef bint _known(self, int i, Event *event) noexcept
    cdef bint _immediate(self, int k) noexcept
    cdef int _find_sections(self, Event *event) except -1
    cdef int _add_section(self, Event *event, int start, int end, bint held) except -1
    cdef int _start_of(self, Event *event, int i) noexcept
    cdef bint _ends(self, int i) noexcept
    cdef bint _section_is_immediate(self, Section *section) noexcept
    cdef bint _keep(self, int r, int n) noexcept
    cdef void _drop(self, int r, int n) noexcept
    cdef bint _try_first(self, int r, int n, Event *event) noexcept
    cdef int _reverse(self, int r, int n, Event *event) except -1
