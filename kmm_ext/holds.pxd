# SPDX-License-Identifier: GPL-2.0-only
"""Saturating caches for other compiled modules: ``from kmm_ext.holds cimport Holds``.

All records are 64-bit words in chunks that never move, so that one undo log of (address, old
word) serves every structure. Ids start at 1; 0 is none.
"""

from libc.stdint cimport int64_t, uint64_t

from kmm_ext._types cimport entry_t, paddr_t
from kmm_ext.memory cimport Memory, Observer
from kmm_ext.walker cimport Format

cdef struct Table:               # a frame read as a table of one level
    int64_t frame
    int64_t level
    int64_t first                # nodes that hold it
    int64_t holders              # how many
    int64_t usable               # how many of active contexts
    int64_t derived              # nodes made from its entries
    int64_t leaves               # present leaf entries
    int64_t tables               # present entries that point to a table
    int64_t next                 # the same frame at another level; link of the free list
    int64_t[512] shadow          # its entries, as last heard
    int64_t[512] child           # nodes made from each entry
    int64_t[512] next_ref        # leaf entries that map the same frame
    int64_t[512] prev_ref

cdef struct Node:                # one context holds one table, at one linear address, by one entry
    int64_t context
    int64_t table
    int64_t va
    int64_t rights               # AND over the entries above, the cached one included
    int64_t parent               # node whose table the entry was read from; 0: root or orphan
    int64_t root                 # 1: held by the root register, not by a cached entry
    int64_t source               # table that contains the entry (0: root)
    int64_t index                # and where
    int64_t entry_pa
    int64_t value                # what was cached, significant bits only
    int64_t stale                # memory has another value there now
    int64_t doomed               # scratch of drop()
    int64_t any_excluded
    int64_t next_table, prev_table
    int64_t next_child, prev_child
    int64_t next_context, prev_context
    int64_t[8] excluded          # entries whose present value an inactive context does not hold

cdef struct Leaf:                # a translation that is held although no held table contains it now
    int64_t context
    int64_t va
    int64_t level
    int64_t value
    int64_t rights
    int64_t entry_pa
    int64_t next_frame, prev_frame
    int64_t next_context, prev_context

cdef struct Context:
    int64_t agent
    int64_t tag
    int64_t levels
    int64_t honours_global       # G keeps a leaf across flushes and shares it among tags
    int64_t source               # device TLB: the context it is filled from
    int64_t devices              # device TLBs that are filled from this one
    int64_t active               # roots in force
    int64_t nodes
    int64_t weak                 # nodes that are stale or orphans
    int64_t excluded             # nodes with excluded entries
    int64_t leaves
    int64_t first_node
    int64_t first_leaf

cdef struct Undo:
    int64_t *where               # NULL: a watch (old = 2 * frame + 1) or an unwatch (2 * frame)
    int64_t old

cdef struct Frames:              # growing list of frame numbers
    int64_t *items
    int64_t count
    int64_t room

cdef class Holds(Observer):
    cdef readonly Memory memory
    cdef readonly int levels
    cdef readonly bint recording
    cdef list names
    cdef list agent_names
    cdef dict by_name
    cdef Format format
    cdef uint64_t address_mask
    cdef int64_t limit
    cdef int64_t overflowed
    cdef int64_t live_nodes
    cdef int64_t table_count, node_count, leaf_count, context_count
    cdef int64_t free_table, free_node, free_leaf
    cdef int64_t table_mark, node_mark, leaf_mark
    cdef Table **table_chunks
    cdef Node **node_chunks
    cdef Leaf **leaf_chunks
    cdef Context *contexts
    cdef int64_t *frame_tables             # per frame: its first Table
    cdef int64_t *refs[4]                   # per level and frame group: leaf entries of held tables
    cdef int64_t *kept[4]                   # per level and frame group: Leaf records
    cdef int64_t kept_outside              # Leaf records of frames outside memory
    cdef bint logging
    cdef Undo *log
    cdef int64_t log_count, log_room
    cdef Frames added, dropped, scanned

    cdef int64_t c_context(self, name, int64_t agent, int64_t tag, int levels, bint honours_global) except -1
    cdef void c_activate(self, int64_t context, paddr_t root) noexcept
    cdef void c_deactivate(self, int64_t context, paddr_t root, bint every) noexcept
    cdef void c_drop(self, int64_t context, uint64_t first, uint64_t last, int leaves,
                     int structures) noexcept

    cdef void put(self, int64_t *where, int64_t value) noexcept nogil
    cdef void log_word(self, int64_t *where, int64_t old) noexcept nogil
    cdef void watch_table(self, int64_t frame, bint on) noexcept nogil
    cdef void note(self, Frames *frames, int64_t frame) noexcept nogil
    cdef Table *table(self, int64_t id) noexcept nogil
    cdef Node *node(self, int64_t id) noexcept nogil
    cdef Leaf *leaf(self, int64_t id) noexcept nogil
    cdef int kind(self, int level, uint64_t entry) noexcept nogil
    cdef uint64_t significant(self, int level, uint64_t entry) noexcept nogil
    cdef int64_t *bucket(self, int64_t **heads, int level, uint64_t entry) noexcept nogil
    cdef void add_ref(self, int64_t id, int index, uint64_t entry) noexcept nogil
    cdef void remove_ref(self, int64_t id, int index, uint64_t entry) noexcept nogil
    cdef int64_t find_table(self, int64_t frame, int level) noexcept nogil
    cdef int64_t make_table(self, int64_t frame, int level) noexcept nogil
    cdef void release_table(self, int64_t id) noexcept nogil
    cdef void now_usable(self, Table *t) noexcept nogil
    cdef void no_longer_usable(self, Table *t) noexcept nogil
    cdef int64_t make_node(self, int64_t context, int64_t table, int64_t parent, int64_t source, int index,
                           int64_t va, int64_t rights, paddr_t entry_pa, uint64_t value) noexcept nogil
    cdef void remove_node(self, int64_t id) noexcept nogil
    cdef void add_child(self, int64_t id, int index) noexcept nogil
    cdef void expand(self, int64_t id) noexcept nogil
    cdef void orphan(self, int64_t id) noexcept nogil
    cdef bint live(self, int64_t id) noexcept nogil
    cdef void absorb(self, int64_t context) noexcept nogil
    cdef void keep(self, int64_t context, int64_t va, int level, uint64_t value, int64_t rights,
                   paddr_t entry_pa) noexcept nogil
    cdef void forget(self, int64_t id) noexcept nogil
    cdef void to_devices(self, int64_t context, int64_t va, int level, uint64_t value, int64_t rights,
                         paddr_t entry_pa) noexcept nogil
    cdef bint sheltered(self, int64_t id) noexcept nogil
    cdef void dissolve(self, int64_t id, uint64_t first, uint64_t last, int leaves) noexcept nogil
    cdef void exclude(self, int64_t id, uint64_t first, uint64_t last, int leaves) noexcept nogil
    cdef void phase_shadow(self, int64_t id, int index, uint64_t new) noexcept nogil
    cdef void phase_nodes(self, int64_t id, int64_t first, int index, uint64_t old,
                          uint64_t new) noexcept nogil
    cdef bint is_only_root(self, int64_t context, paddr_t root) noexcept nogil
    cdef void keep_newest_root(self, int64_t context) noexcept nogil
    cdef int check_context(self, int64_t context) except -1
    cdef object node_hold(self, int64_t id)
    cdef object leaf_hold(self, int64_t context, str kind, int level, int64_t va, paddr_t entry_pa,
                          uint64_t value)
    cdef object path(self, int64_t table, int64_t context, uint64_t va, int64_t rights, object hold,
                     bint write, bint user, bint fetch, bint protect)
