# SPDX-License-Identifier: GPL-2.0-only
"""Saturating caches: every translation and intermediate entry an agent may hold, all of them.

A processor may cache any entry that its walker can reach, at any time, without an access (SDM
4.10.2.3, 4.10.3).  Instead of letting an adversary choose, :class:`Holds` keeps the *set* of what
each agent may hold: it grows with every store into a table that an agent can reach, and shrinks
only by an invalidation that covers the entry, after which whatever is reachable *now* is held
again (the technique of Syeda and Klein's seL4 TLB proofs).  Whatever a concrete machine holds is
in the set; the test suite compares the two.

A *context* is what one tag of one agent caches: (CPU, PCID), or (IOMMU, DID, PASID).  It is
*active* while a root is in force: CR3 holds it, or a PASID entry leads to it.  An active context
holds

- every table that is reachable from an active root, and every leaf entry in those tables;
- every entry that it held before and that no invalidation covered, whatever memory says since;
- whatever is stored into a table that it still holds by such a *stale* entry, even after the
  frame was freed and used for something else.

An inactive context holds what it held when it was deactivated and absorbs nothing; once activated
again it absorbs what its stale entries lead to.

Numbers such as "rule 61" are those of the hardware fact list in the documentation; sections are
those of the SDM, volume 3A.

Not modelled:

- A large page held as pieces: an invalidation of any address drops the whole of a large leaf.
- Reading outside memory: entries that point to a table outside memory are not followed.
- Entries whose A bit is clear count as cacheable, because an agent may set it first (rule 39);
  the bit is not set in memory unless :meth:`Holds.perform` is called.
- Age differences between instruction and data TLBs (rule 48) and memory types.
- PKRU, SMEP, SMAP: :meth:`Holds.access` checks P, R/W, U/S, XD and CR0.WP only. Protection keys
  are part of a leaf's value.
- Walks that set A in upper entries and then fault appear in :meth:`Holds.would_write`, not among
  the outcomes of :meth:`Holds.access`.
- More than ``limit`` cached intermediate entries (tables that point to themselves everywhere make
  512 ** 4 of them): :attr:`Holds.truncated` is set and the set is no longer complete.
"""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset
from posix.mman cimport (MAP_ANON, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE,
                         mmap, munmap)

from kmm_ext._types cimport ENTRIES, FREE, PAGE_SHIFT, TABLE, entry_t, paddr_t
from kmm_ext.memory cimport Memory, Observer
from kmm_ext.walker cimport (ENTRY_LEAF, ENTRY_TABLE, RIGHT_ALL, RIGHT_EXEC, RIGHT_USER, RIGHT_WRITE, decode,
                             entry_page, entry_rights, entry_table, x86_format)


cdef enum:
    POINTER = ENTRY_TABLE  # anything less is not present or reserved: never cached (rule 39)
    PAGE = ENTRY_LEAF

    L_LOCAL = 1
    L_GLOBAL = 2
    S_NONE = 0
    S_RANGE = 1
    S_ALL = 2

    TABLES_PER_CHUNK = 16
    RECORDS_PER_CHUNK = 256
    CHUNKS = 65536
    MAX_CONTEXTS = 4096

cdef uint64_t P = 1
cdef uint64_t A = 0x20
cdef uint64_t D = 0x40
cdef uint64_t G = 0x100
cdef uint64_t XD = 1ULL << 63
cdef uint64_t FLAGS_OF_POINTER = 0x1f | 1ULL << 63
cdef uint64_t FLAGS_OF_PAGE = 0x1ff & ~0x20ULL | 0xfULL << 59
cdef uint64_t PHYSICAL = ((1ULL << 52) - 1) & ~0xfffULL


class TooManyContexts(RuntimeError):
    """A context was asked for beyond the 4,095 that one :class:`Holds` can tell apart."""


class Leaves(IntFlag):
    """Which translations an invalidation drops."""

    NONE = 0
    LOCAL = 1
    GLOBAL = 2
    ALL = 3


class Structures(IntEnum):
    """Which cached intermediate entries an invalidation drops."""

    NONE = 0
    RANGE = 1       #: those used for addresses of the range (INVPCID type 0; VT-d with IH=0)
    ALL = 2         #: those of the context (INVLPG, MOV CR3)


@dataclass(frozen=True, slots=True)
class Hold:
    """One thing that one agent may hold.

    :ivar context: name of the context.
    :ivar kind: ``"root"`` (the table is in CR3 or a PASID entry), ``"intermediate"`` (a cached
        entry points to the table) or ``"leaf"`` (a cached translation).
    :ivar level: level of the table (4 or 5 for a root), or of the leaf entry (1: 4 KiB).
    :ivar va: first linear address that is affected.
    :ivar pfn: the table's frame, or the first frame of the page.
    :ivar entry_pa: where the cached entry was read; None for a root.
    :ivar entry: the cached entry's significant bits (no A, no software bits); for a root, its
        address.
    :ivar stale: memory at ``entry_pa`` holds something else now.
    :ivar active: the agent can use it now. What an inactive context holds becomes usable when
        the context is activated without a flush.
    """

    context: str
    kind: str
    level: int
    va: int
    pfn: int
    entry_pa: int | None
    entry: int
    stale: bool
    active: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way in which an access may end.

    :ivar pa: physical address accessed, or None if the access faults.
    :ivar fault: None, or ``"not-present"``, ``"reserved"``, ``"protection"``, ``"non-canonical"``
        or ``"bus"``.
    :ivar via: the cached entry that was used instead of memory; None for a full walk.
    :ivar writes: A and D updates as ``(address, old, new)``, in architectural order.
    """

    pa: int | None
    fault: str | None
    via: Hold | None
    writes: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Effects:
    """Table frames that the operations since the last call touched, each once, in order.

    :ivar added: no active context held them as tables before, one does now.
    :ivar dropped: the reverse; invalidated, or the context was deactivated.
    :ivar scanned: an invalidation looked at them again to see what is reachable now.
    """

    added: tuple[int, ...]
    dropped: tuple[int, ...]
    scanned: tuple[int, ...]


cdef int64_t *_heads(uint64_t count) except NULL:
    cdef void *area = mmap(NULL, (count + 1) * sizeof(int64_t), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0)
    if area == MAP_FAILED:
        raise MemoryError(f"cannot reserve index words for {count} frames")
    return <int64_t *> area


cdef inline int64_t _span(int level) noexcept nogil:
    """Bytes that one entry of a table of *level* covers."""
    return <int64_t> 1 << (PAGE_SHIFT + 9 * (level - 1))


cdef inline uint64_t _last(int64_t va, int level) noexcept nogil:
    """Last address below a table of *level* whose first one is *va*."""
    return <uint64_t> va + (<uint64_t> ENTRIES << (PAGE_SHIFT + 9 * (level - 1))) - 1


cdef class Holds(Observer):
    """What every agent may hold of the tables in *memory*.

    Made once per machine; contexts are added to it.  It observes the memory from then on, and
    follows :meth:`Memory.snapshot` and :meth:`Memory.restore` by itself.

    :param memory: a :class:`kmm_ext.memory.Memory`.
    :param levels: 4 or 5, the depth of contexts that do not say otherwise.
    :param maxphyaddr: physical address bits, 36 to 52; entries with higher bits are never cached.
    :param nxe: EFER.NXE; if clear, bit 63 is reserved.
    :param gigantic: whether PS is allowed in level-3 entries.
    :param limit: how many cached intermediate entries to keep before giving up.
    :param recording: whether :meth:`take_effects` is fed.
    :raises ValueError: a parameter is out of range.
    """

    def __cinit__(self, Memory memory not None, *, int levels=4, int maxphyaddr=52, bint nxe=True,
                  bint gigantic=True, int64_t limit=1 << 18, bint recording=True):
        cdef int level
        if levels not in (4, 5):
            raise ValueError(f"levels must be 4 or 5, not {levels}")
        if not 36 <= maxphyaddr <= 52:
            raise ValueError(f"maxphyaddr must be 36 to 52, not {maxphyaddr}")
        if not 0 < limit <= <int64_t> CHUNKS * RECORDS_PER_CHUNK - 1:
            raise ValueError(f"limit must be 1 to {CHUNKS * RECORDS_PER_CHUNK - 1}, not {limit}")
        self.memory = memory
        self.levels = levels
        self.limit = limit
        self.recording = recording
        self.names = [""]
        self.agent_names = []
        self.by_name = {}
        self.address_mask = PHYSICAL
        x86_format(&self.format, 5, maxphyaddr, nxe, gigantic)
        self.table_chunks = <Table **> calloc(CHUNKS, sizeof(Table *))
        self.node_chunks = <Node **> calloc(CHUNKS, sizeof(Node *))
        self.leaf_chunks = <Leaf **> calloc(CHUNKS, sizeof(Leaf *))
        self.contexts = <Context *> calloc(MAX_CONTEXTS, sizeof(Context))
        if not (self.table_chunks and self.node_chunks and self.leaf_chunks and self.contexts):
            raise MemoryError("cannot keep the chunk lists")
        self.frame_tables = _heads(memory.frames)
        for level in range(1, 4):
            self.refs[level] = _heads((memory.frames >> (9 * (level - 1))) + 1)
            self.kept[level] = _heads((memory.frames >> (9 * (level - 1))) + 1)
        memory.add_observer(self)

    def __dealloc__(self):
        cdef int i
        cdef uint64_t words
        if self.table_chunks:
            for i in range(CHUNKS):
                if not self.table_chunks[i]:
                    break
                free(self.table_chunks[i])
        if self.node_chunks:
            for i in range(CHUNKS):
                if not self.node_chunks[i]:
                    break
                free(self.node_chunks[i])
        if self.leaf_chunks:
            for i in range(CHUNKS):
                if not self.leaf_chunks[i]:
                    break
                free(self.leaf_chunks[i])
        free(self.table_chunks)
        free(self.node_chunks)
        free(self.leaf_chunks)
        free(self.contexts)
        free(self.log)
        free(self.added.items)
        free(self.dropped.items)
        free(self.scanned.items)
        if self.memory is not None:
            words = self.memory.frames
            if self.frame_tables:
                munmap(self.frame_tables, (words + 1) * sizeof(int64_t))
            for i in range(1, 4):
                if self.refs[i]:
                    munmap(self.refs[i], ((words >> (9 * (i - 1))) + 2) * sizeof(int64_t))
                if self.kept[i]:
                    munmap(self.kept[i], ((words >> (9 * (i - 1))) + 2) * sizeof(int64_t))

    def __repr__(self):
        return f"<Holds {self.context_count} contexts, {self.live_nodes} cached entries>"

    # --- the undo log ---------------------------------------------------------------------------

    cdef void log_word(self, int64_t *where, int64_t old) noexcept nogil:
        cdef Undo *grown
        cdef int64_t room
        if self.log_count == self.log_room:
            room = 2 * self.log_room if self.log_room else 1024
            grown = <Undo *> realloc(self.log, room * sizeof(Undo))
            if not grown:
                self.overflowed = 1
                return
            self.log = grown
            self.log_room = room
        self.log[self.log_count].where = where
        self.log[self.log_count].old = old
        self.log_count += 1

    cdef inline void put(self, int64_t *where, int64_t value) noexcept nogil:
        """Every change of a word that existed at the snapshot goes through here."""
        if where[0] == value:
            return
        if self.logging:
            self.log_word(where, where[0])
        where[0] = value

    cdef void watch_table(self, int64_t frame, bint on) noexcept nogil:
        if on:
            self.memory.watch(frame)
        else:
            self.memory.unwatch(frame)
        if self.logging:
            self.log_word(NULL, 2 * frame + on)

    cdef void note(self, Frames *frames, int64_t frame) noexcept nogil:
        cdef int64_t *grown
        cdef int64_t room
        if not self.recording:
            return
        if frames.count == frames.room:
            room = 2 * frames.room if frames.room else 64
            grown = <int64_t *> realloc(frames.items, room * sizeof(int64_t))
            if not grown:
                self.overflowed = 1
                return
            frames.items = grown
            frames.room = room
        frames.items[frames.count] = frame
        frames.count += 1

    cdef void snapshot_taken(self) noexcept:
        self.log_count = 0
        self.logging = True
        self.table_mark = self.table_count
        self.node_mark = self.node_count
        self.leaf_mark = self.leaf_count
        # Records that exist now must keep their links until restore(): never hand them out again.
        self.free_table = self.free_node = self.free_leaf = 0

    cdef void restored(self) noexcept:
        cdef int64_t i, frame
        if not self.logging:
            return
        i = self.log_count - 1
        while i >= 0:
            if self.log[i].where:
                self.log[i].where[0] = self.log[i].old
            else:
                frame = self.log[i].old >> 1
                if self.log[i].old & 1:
                    self.memory.unwatch(frame)
                else:
                    self.memory.watch(frame)
            i -= 1
        self.log_count = 0
        self.added.count = self.dropped.count = self.scanned.count = 0
        while len(self.names) > self.context_count + 1:
            del self.by_name[self.names.pop()]

    # --- records --------------------------------------------------------------------------------

    cdef inline Table *table(self, int64_t id) noexcept nogil:
        return &self.table_chunks[id // TABLES_PER_CHUNK][id % TABLES_PER_CHUNK]

    cdef inline Node *node(self, int64_t id) noexcept nogil:
        return &self.node_chunks[id // RECORDS_PER_CHUNK][id % RECORDS_PER_CHUNK]

    cdef inline Leaf *leaf(self, int64_t id) noexcept nogil:
        return &self.leaf_chunks[id // RECORDS_PER_CHUNK][id % RECORDS_PER_CHUNK]

    cdef inline int kind(self, int level, uint64_t entry) noexcept nogil:
        return decode(&self.format, level, entry)

    cdef inline uint64_t significant(self, int level, uint64_t entry) noexcept nogil:
        cdef int kind = self.kind(level, entry)
        if kind < POINTER:
            return 0
        return entry & (self.address_mask | XD | (FLAGS_OF_POINTER if kind == POINTER else FLAGS_OF_PAGE))

    cdef int64_t *bucket(self, int64_t **heads, int level, uint64_t entry) noexcept nogil:
        """Head of the chain of what maps the frames of a leaf entry; NULL outside memory."""
        cdef uint64_t group = entry_page(&self.format, level, entry) >> (PAGE_SHIFT + 9 * (level - 1))
        if group << (9 * (level - 1)) >= self.memory.frames:
            return NULL
        return &heads[level][group]

    cdef void add_ref(self, int64_t id, int index, uint64_t entry) noexcept nogil:
        cdef Table *t = self.table(id)
        cdef Table *other
        cdef int64_t *head = self.bucket(self.refs, t.level, entry)
        cdef int64_t me = id * ENTRIES + index
        if not head:
            return
        self.put(&t.next_ref[index], head[0])
        self.put(&t.prev_ref[index], 0)
        if head[0]:
            other = self.table(head[0] // ENTRIES)
            self.put(&other.prev_ref[head[0] % ENTRIES], me)
        self.put(head, me)

    cdef void remove_ref(self, int64_t id, int index, uint64_t entry) noexcept nogil:
        cdef Table *t = self.table(id)
        cdef int64_t *head = self.bucket(self.refs, t.level, entry)
        cdef int64_t before, after
        if not head:
            return
        before = t.prev_ref[index]
        after = t.next_ref[index]
        if before:
            self.put(&self.table(before // ENTRIES).next_ref[before % ENTRIES], after)
        else:
            self.put(head, after)
        if after:
            self.put(&self.table(after // ENTRIES).prev_ref[after % ENTRIES], before)

    cdef int64_t find_table(self, int64_t frame, int level) noexcept nogil:
        cdef int64_t id = self.frame_tables[frame]
        while id and self.table(id).level != level:
            id = self.table(id).next
        return id

    cdef int64_t make_table(self, int64_t frame, int level) noexcept nogil:
        """The record of *frame* as a table of *level*; 0 if memory or the host has no such frame."""
        cdef int64_t id
        cdef Table *t
        cdef int index, kind
        cdef uint64_t entry = 0
        if <uint64_t> frame >= self.memory.frames:
            return 0
        id = self.find_table(frame, level)
        if id:
            return id
        if self.free_table:
            id = self.free_table
            self.put(&self.free_table, self.table(id).next)
        else:
            id = self.table_count + 1
            if id // TABLES_PER_CHUNK >= CHUNKS:
                self.overflowed = 1
                return 0
            if not self.table_chunks[id // TABLES_PER_CHUNK]:
                self.table_chunks[id // TABLES_PER_CHUNK] = <Table *> calloc(TABLES_PER_CHUNK, sizeof(Table))
                if not self.table_chunks[id // TABLES_PER_CHUNK]:
                    self.overflowed = 1
                    return 0
            self.put(&self.table_count, id)
        t = self.table(id)
        memset(t, 0, sizeof(Table))
        t.frame = frame
        t.level = level
        t.next = self.frame_tables[frame]
        self.put(&self.frame_tables[frame], id)
        for index in range(ENTRIES):
            self.memory.get64((<paddr_t> frame << PAGE_SHIFT) + 8 * index, &entry)
            t.shadow[index] = <int64_t> entry
            if not entry & P:
                continue
            kind = self.kind(level, entry)
            if kind == PAGE:
                t.leaves += 1
                self.add_ref(id, index, entry)
            elif kind == POINTER:
                t.tables += 1
        self.watch_table(frame, True)
        return id

    cdef void release_table(self, int64_t id) noexcept nogil:
        """Forget a table that nothing holds and from whose entries nothing held was made."""
        cdef Table *t = self.table(id)
        cdef int64_t before
        cdef int index
        if t.holders or t.derived:
            return
        if t.leaves:
            for index in range(ENTRIES):
                if self.kind(t.level, <uint64_t> t.shadow[index]) == PAGE:
                    self.remove_ref(id, index, <uint64_t> t.shadow[index])
        before = self.frame_tables[t.frame]
        if before == id:
            self.put(&self.frame_tables[t.frame], t.next)
        else:
            while self.table(before).next != id:
                before = self.table(before).next
            self.put(&self.table(before).next, t.next)
        self.watch_table(t.frame, False)
        if id > self.table_mark:
            t.next = self.free_table
            self.put(&self.free_table, id)

    cdef void now_usable(self, Table *t) noexcept nogil:
        """One more active context holds the table."""
        if t.usable == 0:
            self.note(&self.added, t.frame)
        self.put(&t.usable, t.usable + 1)

    cdef void no_longer_usable(self, Table *t) noexcept nogil:
        """One active context less holds the table."""
        self.put(&t.usable, t.usable - 1)
        if t.usable == 0:
            self.note(&self.dropped, t.frame)

    cdef int64_t make_node(self, int64_t context, int64_t table, int64_t parent, int64_t source, int index,
                           int64_t va, int64_t rights, paddr_t entry_pa, uint64_t value) noexcept nogil:
        cdef int64_t id
        cdef Node *n
        cdef Table *t = self.table(table)
        cdef Table *s
        cdef Context *c = &self.contexts[context]
        if self.live_nodes >= self.limit:
            self.put(&self.overflowed, 1)
            return 0
        if self.free_node:
            id = self.free_node
            self.put(&self.free_node, self.node(id).next_context)
        else:
            id = self.node_count + 1
            if id // RECORDS_PER_CHUNK >= CHUNKS:
                self.put(&self.overflowed, 1)
                return 0
            if not self.node_chunks[id // RECORDS_PER_CHUNK]:
                self.node_chunks[id // RECORDS_PER_CHUNK] = <Node *> calloc(RECORDS_PER_CHUNK, sizeof(Node))
                if not self.node_chunks[id // RECORDS_PER_CHUNK]:
                    self.overflowed = 1
                    return 0
            self.put(&self.node_count, id)
        self.put(&self.live_nodes, self.live_nodes + 1)
        n = self.node(id)
        memset(n, 0, sizeof(Node))
        n.context = context
        n.table = table
        n.va = va
        n.rights = rights
        n.parent = parent
        n.root = source == 0
        n.source = source
        n.index = index
        n.entry_pa = <int64_t> entry_pa
        n.value = <int64_t> value
        n.next_table = t.first
        if t.first:
            self.put(&self.node(t.first).prev_table, id)
        self.put(&t.first, id)
        self.put(&t.holders, t.holders + 1)
        if c.active:
            self.now_usable(t)
        if source:
            s = self.table(source)
            n.next_child = s.child[index]
            if s.child[index]:
                self.put(&self.node(s.child[index]).prev_child, id)
            self.put(&s.child[index], id)
            self.put(&s.derived, s.derived + 1)
        n.next_context = c.first_node
        if c.first_node:
            self.put(&self.node(c.first_node).prev_context, id)
        self.put(&c.first_node, id)
        self.put(&c.nodes, c.nodes + 1)
        return id

    cdef void remove_node(self, int64_t id) noexcept nogil:
        cdef Node *n = self.node(id)
        cdef Table *t = self.table(n.table)
        cdef Table *s
        cdef Context *c = &self.contexts[n.context]
        if n.prev_table:
            self.put(&self.node(n.prev_table).next_table, n.next_table)
        else:
            self.put(&t.first, n.next_table)
        if n.next_table:
            self.put(&self.node(n.next_table).prev_table, n.prev_table)
        self.put(&t.holders, t.holders - 1)
        if c.active:
            self.no_longer_usable(t)
        if n.source:
            s = self.table(n.source)
            if n.prev_child:
                self.put(&self.node(n.prev_child).next_child, n.next_child)
            else:
                self.put(&s.child[n.index], n.next_child)
            if n.next_child:
                self.put(&self.node(n.next_child).prev_child, n.prev_child)
            self.put(&s.derived, s.derived - 1)
        if n.prev_context:
            self.put(&self.node(n.prev_context).next_context, n.next_context)
        else:
            self.put(&c.first_node, n.next_context)
        if n.next_context:
            self.put(&self.node(n.next_context).prev_context, n.prev_context)
        self.put(&c.nodes, c.nodes - 1)
        if n.stale or not (n.parent or n.root):
            self.put(&c.weak, c.weak - 1)
        if n.any_excluded:
            self.put(&c.excluded, c.excluded - 1)
        self.put(&self.live_nodes, self.live_nodes - 1)
        if n.source and n.source != n.table:
            self.release_table(n.source)
        self.release_table(n.table)
        if id > self.node_mark:
            n.next_context = self.free_node
            self.put(&self.free_node, id)

    # --- growing --------------------------------------------------------------------------------

    cdef void add_child(self, int64_t id, int index) noexcept nogil:
        """Node *id* reads entry *index* of its table, which points to a table: hold that too."""
        cdef Node *n = self.node(id)
        cdef Table *t = self.table(n.table)
        cdef uint64_t entry = <uint64_t> t.shadow[index]
        cdef uint64_t value = self.significant(t.level, entry)
        cdef int64_t rights = n.rights & entry_rights(&self.format, entry)
        cdef int64_t va = n.va + index * _span(t.level)
        cdef int64_t child = t.child[index], below
        cdef int shift
        cdef Node *k
        if t.level == self.contexts[n.context].levels:
            shift = 64 - PAGE_SHIFT - 9 * <int> t.level
            va = <int64_t> (<uint64_t> va << shift) >> shift
        while child:
            k = self.node(child)
            if (k.context == n.context and <uint64_t> k.value == value and k.va == va and k.rights == rights
                    and (k.parent == id or k.parent == 0)):
                if k.parent == 0:
                    self.put(&k.parent, id)
                    if not k.stale:
                        self.put(&self.contexts[n.context].weak, self.contexts[n.context].weak - 1)
                return
            child = k.next_child
        below = self.make_table(entry_table(&self.format, entry) >> PAGE_SHIFT, t.level - 1)
        if not below:
            return
        child = self.make_node(n.context, below, id, n.table, index, va, rights,
                               (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index, value)
        if child:
            self.expand(child)
        else:
            self.release_table(below)

    cdef void expand(self, int64_t id) noexcept nogil:
        """Hold every table that node *id*'s table points to."""
        cdef Table *t = self.table(self.node(id).table)
        cdef int index
        if not t.tables:
            return
        for index in range(ENTRIES):
            if t.shadow[index] & 1 and self.kind(t.level, <uint64_t> t.shadow[index]) == POINTER:
                self.add_child(id, index)

    cdef void keep(self, int64_t context, int64_t va, int level, uint64_t value, int64_t rights,
                   paddr_t entry_pa) noexcept nogil:
        """Hold a translation that no table held by *context* contains any longer."""
        cdef int64_t *head = self.bucket(self.kept, level, value)
        cdef int64_t id
        cdef Leaf *f
        cdef Context *c = &self.contexts[context]
        if not head:
            head = &self.kept_outside
        id = head[0]
        while id:
            f = self.leaf(id)
            if (f.context == context and f.va == va and f.level == level and <uint64_t> f.value == value
                    and f.rights == rights and <paddr_t> f.entry_pa == entry_pa):
                return
            id = f.next_frame
        if self.free_leaf:
            id = self.free_leaf
            self.put(&self.free_leaf, self.leaf(id).next_context)
        else:
            id = self.leaf_count + 1
            if id // RECORDS_PER_CHUNK >= CHUNKS:
                self.put(&self.overflowed, 1)
                return
            if not self.leaf_chunks[id // RECORDS_PER_CHUNK]:
                self.leaf_chunks[id // RECORDS_PER_CHUNK] = <Leaf *> calloc(RECORDS_PER_CHUNK, sizeof(Leaf))
                if not self.leaf_chunks[id // RECORDS_PER_CHUNK]:
                    self.overflowed = 1
                    return
            self.put(&self.leaf_count, id)
        f = self.leaf(id)
        f.context = context
        f.va = va
        f.level = level
        f.value = <int64_t> value
        f.rights = rights
        f.entry_pa = <int64_t> entry_pa
        f.prev_frame = 0
        f.next_frame = head[0]
        if head[0]:
            self.put(&self.leaf(head[0]).prev_frame, id)
        self.put(head, id)
        f.prev_context = 0
        f.next_context = c.first_leaf
        if c.first_leaf:
            self.put(&self.leaf(c.first_leaf).prev_context, id)
        self.put(&c.first_leaf, id)
        self.put(&c.leaves, c.leaves + 1)

    cdef void forget(self, int64_t id) noexcept nogil:
        """Drop one kept translation."""
        cdef Leaf *f = self.leaf(id)
        cdef Context *c = &self.contexts[f.context]
        cdef int64_t *head = self.bucket(self.kept, f.level, <uint64_t> f.value)
        if not head:
            head = &self.kept_outside
        if f.prev_frame:
            self.put(&self.leaf(f.prev_frame).next_frame, f.next_frame)
        else:
            self.put(head, f.next_frame)
        if f.next_frame:
            self.put(&self.leaf(f.next_frame).prev_frame, f.prev_frame)
        if f.prev_context:
            self.put(&self.leaf(f.prev_context).next_context, f.next_context)
        else:
            self.put(&c.first_leaf, f.next_context)
        if f.next_context:
            self.put(&self.leaf(f.next_context).prev_context, f.prev_context)
        self.put(&c.leaves, c.leaves - 1)
        if id > self.leaf_mark:
            f.next_context = self.free_leaf
            self.put(&self.free_leaf, id)

    cdef void to_devices(self, int64_t context, int64_t va, int level, uint64_t value, int64_t rights,
                         paddr_t entry_pa) noexcept nogil:
        """*context* drops a translation: the device TLBs that it fills may still hold it."""
        cdef int64_t i
        if not self.contexts[context].devices:
            return
        for i in range(1, self.context_count + 1):
            if self.contexts[i].source == context:
                self.keep(i, va, level, value, rights, entry_pa)

    # --- stores ---------------------------------------------------------------------------------

    cdef void entry_changed(self, paddr_t pa, entry_t old, entry_t new) noexcept:
        cdef int64_t[8] ids, firsts
        cdef uint64_t[8] olds
        cdef int count = 0, i, index = (pa >> 3) & (ENTRIES - 1)
        cdef int64_t id = self.frame_tables[pa >> PAGE_SHIFT]
        cdef Table *t
        while id and count < 8:
            t = self.table(id)
            if <uint64_t> t.shadow[index] != new:
                ids[count] = id
                olds[count] = <uint64_t> t.shadow[index]
                firsts[count] = t.first
                count += 1
            id = t.next
        for i in range(count):
            self.phase_shadow(ids[i], index, new)
        for i in range(count):
            self.phase_nodes(ids[i], firsts[i], index, olds[i], new)

    cdef void phase_shadow(self, int64_t id, int index, uint64_t new) noexcept nogil:
        """Record the new entry, index its frame, and see which cached copies became stale."""
        cdef Table *t = self.table(id)
        cdef uint64_t old = <uint64_t> t.shadow[index], value = self.significant(t.level, new)
        cdef int before = self.kind(t.level, old), after = self.kind(t.level, new)
        cdef int64_t child, stale
        cdef Node *k
        if before == PAGE:
            self.remove_ref(id, index, old)
            self.put(&t.leaves, t.leaves - 1)
        elif before == POINTER:
            self.put(&t.tables, t.tables - 1)
        self.put(&t.shadow[index], <int64_t> new)
        if after == PAGE:
            self.add_ref(id, index, new)
            self.put(&t.leaves, t.leaves + 1)
        elif after == POINTER:
            self.put(&t.tables, t.tables + 1)
        child = t.child[index]
        while child:
            k = self.node(child)
            stale = <uint64_t> k.value != value
            if stale != k.stale:
                if k.parent:
                    self.put(&self.contexts[k.context].weak, self.contexts[k.context].weak + (2 * stale - 1))
                self.put(&k.stale, stale)
            child = k.next_child

    cdef void phase_nodes(self, int64_t id, int64_t first, int index, uint64_t old,
                          uint64_t new) noexcept nogil:
        """Every context that held the table before keeps the old entry and takes the new one."""
        cdef Table *t = self.table(id)
        cdef int before = self.kind(t.level, old), after = self.kind(t.level, new)
        cdef uint64_t was = self.significant(t.level, old), value = self.significant(t.level, new)
        cdef int64_t bit = <int64_t> (<uint64_t> 1 << (index & 63))
        cdef int64_t va
        cdef int64_t node = first
        cdef Node *n
        cdef Context *c
        cdef paddr_t entry_pa = (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index
        if was == value or (before == PAGE and (was | D) == value):
            return                   # a cached copy without D makes the next store walk again
        while node:
            n = self.node(node)
            c = &self.contexts[n.context]
            va = n.va + index * _span(t.level)
            if c.active:
                if before == PAGE:
                    self.keep(n.context, va, t.level, was, n.rights & entry_rights(&self.format, old),
                              entry_pa)
                if after == POINTER:
                    self.add_child(node, index)
            elif not n.excluded[index >> 6] & bit:
                if before == PAGE:
                    self.keep(n.context, va, t.level, was, n.rights & entry_rights(&self.format, old),
                              entry_pa)
                self.put(&n.excluded[index >> 6], n.excluded[index >> 6] | bit)
                if not n.any_excluded:
                    self.put(&n.any_excluded, 1)
                    self.put(&c.excluded, c.excluded + 1)
            node = n.next_table

    # --- roots ----------------------------------------------------------------------------------

    cdef void absorb(self, int64_t context) noexcept nogil:
        """An inactive context becomes active: absorb what was stored meanwhile."""
        cdef int64_t id = self.contexts[context].first_node
        cdef int i
        cdef Node *n
        if not self.contexts[context].excluded:
            return
        while id:
            n = self.node(id)
            if n.any_excluded:
                for i in range(8):
                    self.put(&n.excluded[i], 0)
                self.put(&n.any_excluded, 0)
                self.expand(id)
            id = n.next_context
        self.put(&self.contexts[context].excluded, 0)

    cdef void c_activate(self, int64_t context, paddr_t root) noexcept:
        cdef Context *c = &self.contexts[context]
        cdef int64_t table, id
        self.put(&c.active, c.active + 1)
        if c.active == 1:
            id = c.first_node
            while id:
                self.now_usable(self.table(self.node(id).table))
                id = self.node(id).next_context
            self.absorb(context)
        root &= self.address_mask
        table = self.make_table(root >> PAGE_SHIFT, c.levels)
        if not table:
            return
        id = self.make_node(context, table, 0, 0, 0, 0, RIGHT_ALL, 0, root)
        if id:
            self.expand(id)
        else:
            self.release_table(table)

    cdef void orphan(self, int64_t id) noexcept nogil:
        """Node *id* is about to go: what was read through it stays, on its own."""
        cdef int64_t context = self.node(id).context
        cdef int64_t k = self.contexts[context].first_node
        cdef Node *n
        while k:
            n = self.node(k)
            if n.parent == id:
                self.put(&n.parent, 0)
                if not n.stale:
                    self.put(&self.contexts[context].weak, self.contexts[context].weak + 1)
            k = n.next_context

    cdef void c_deactivate(self, int64_t context, paddr_t root, bint every) noexcept:
        cdef Context *c = &self.contexts[context]
        cdef int64_t id = c.first_node, after
        cdef Node *n
        root &= self.address_mask
        while id:
            n = self.node(id)
            after = n.next_context
            if n.root and (every or <uint64_t> n.value == root):
                self.orphan(id)
                self.remove_node(id)
                if not every:
                    break
            id = after
        if not c.active:
            return
        self.put(&c.active, 0 if every else c.active - 1)
        if not c.active:
            id = c.first_node
            while id:
                self.no_longer_usable(self.table(self.node(id).table))
                id = self.node(id).next_context

    # --- invalidation ---------------------------------------------------------------------------

    cdef bint live(self, int64_t id) noexcept nogil:
        """Whether memory leads from an active root to what node *id* holds."""
        cdef Node *n = self.node(id)
        while not n.root:
            if n.stale or not n.parent:
                return False
            n = self.node(n.parent)
        return True

    cdef bint sheltered(self, int64_t id) noexcept nogil:
        """Whether another node of the same agent holds the same table alike, so that the global
        leaves of node *id* need no record of their own."""
        cdef Node *n = self.node(id)
        cdef Node *o
        cdef int64_t other = self.table(n.table).first
        cdef int64_t agent = self.contexts[n.context].agent
        while other:
            o = self.node(other)
            if (other != id and not o.doomed and not o.any_excluded and o.va == n.va and o.rights == n.rights
                    and self.contexts[o.context].agent == agent
                    and self.contexts[o.context].honours_global):
                return True
            other = o.next_table
        return False

    cdef void dissolve(self, int64_t id, uint64_t first, uint64_t last, int leaves) noexcept nogil:
        """Node *id* is dropped: its leaf entries that the invalidation does not cover stay."""
        cdef Node *n = self.node(id)
        cdef Table *t = self.table(n.table)
        cdef Context *c = &self.contexts[n.context]
        cdef int index
        cdef uint64_t entry, low, span = _span(t.level)
        cdef int64_t rights
        cdef int scope
        cdef bint sheltered
        if not t.leaves:
            return
        sheltered = c.honours_global and self.sheltered(id)
        for index in range(ENTRIES):
            entry = <uint64_t> t.shadow[index]
            if not entry & P or self.kind(t.level, entry) != PAGE:
                continue
            if n.excluded[index >> 6] & <int64_t> (<uint64_t> 1 << (index & 63)):
                continue
            scope = L_GLOBAL if entry & G and c.honours_global else L_LOCAL
            low = <uint64_t> n.va + index * span
            rights = n.rights & entry_rights(&self.format, entry)
            if leaves & scope and low <= last and low + (span - 1) >= first:
                self.to_devices(n.context, low, t.level, self.significant(t.level, entry),
                                rights, (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index)
            elif not (sheltered and scope == L_GLOBAL):
                self.keep(n.context, low, t.level, self.significant(t.level, entry),
                          rights, (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index)

    cdef void exclude(self, int64_t id, uint64_t first, uint64_t last, int leaves) noexcept nogil:
        """An inactive context keeps node *id* but loses the leaf entries that are covered."""
        cdef Node *n = self.node(id)
        cdef Table *t = self.table(n.table)
        cdef Context *c = &self.contexts[n.context]
        cdef int index
        cdef int64_t bit
        cdef uint64_t entry, low, span = _span(t.level)
        if not t.leaves:
            return
        for index in range(ENTRIES):
            entry = <uint64_t> t.shadow[index]
            low = <uint64_t> n.va + index * span
            if not entry & P or low > last or low + (span - 1) < first or self.kind(t.level, entry) != PAGE:
                continue
            if not leaves & (L_GLOBAL if entry & G and c.honours_global else L_LOCAL):
                continue
            bit = <int64_t> (<uint64_t> 1 << (index & 63))
            if n.excluded[index >> 6] & bit:
                continue
            self.to_devices(n.context, low, t.level, self.significant(t.level, entry),
                            n.rights & entry_rights(&self.format, entry),
                            (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index)
            self.put(&n.excluded[index >> 6], n.excluded[index >> 6] | bit)
            if not n.any_excluded:
                self.put(&n.any_excluded, 1)
                self.put(&c.excluded, c.excluded + 1)

    cdef void c_drop(self, int64_t context, uint64_t first, uint64_t last, int leaves,
                     int structures) noexcept:
        cdef Context *c = &self.contexts[context]
        cdef int64_t id, after
        cdef Node *n
        cdef Leaf *f
        cdef Table *t
        cdef bint any_doomed = False
        if self.recording:
            id = c.first_node
            while id:
                n = self.node(id)
                t = self.table(n.table)
                if structures == S_ALL or (
                        (structures == S_RANGE or t.leaves)
                        and (n.root or (<uint64_t> n.va <= last and _last(n.va, t.level) >= first))):
                    self.note(&self.scanned, t.frame)
                id = n.next_context
        if leaves:
            id = c.first_leaf
            while id:
                f = self.leaf(id)
                after = f.next_context
                if (leaves & (L_GLOBAL if <uint64_t> f.value & G and c.honours_global else L_LOCAL)
                        and <uint64_t> f.va <= last and <uint64_t> f.va + (_span(f.level) - 1) >= first):
                    self.to_devices(context, f.va, f.level, <uint64_t> f.value, f.rights, f.entry_pa)
                    self.forget(id)
                id = after
        if structures != S_NONE and (c.weak or not c.active):
            id = c.first_node
            while id:
                n = self.node(id)
                if not n.root and not self.live(id) and (
                        structures == S_ALL
                        or (<uint64_t> n.va <= last and _last(n.va, self.table(n.table).level) >= first)):
                    n.doomed = 1
                    any_doomed = True
                id = n.next_context
            if any_doomed:
                id = c.first_node
                while id:
                    n = self.node(id)
                    if n.parent and self.node(n.parent).doomed:
                        self.put(&n.parent, 0)
                        if not n.stale:
                            self.put(&c.weak, c.weak + 1)
                    id = n.next_context
                id = c.first_node
                while id:
                    n = self.node(id)
                    after = n.next_context
                    if n.doomed:
                        self.dissolve(id, first, last, leaves)
                        n.doomed = 0
                        self.remove_node(id)
                    id = after
        if leaves and not c.active:
            id = c.first_node
            while id:
                n = self.node(id)
                if <uint64_t> n.va <= last and _last(n.va, self.table(n.table).level) >= first:
                    self.exclude(id, first, last, leaves)
                id = n.next_context

    # --- doors: contexts ------------------------------------------------------------------------

    cdef int check_context(self, int64_t context) except -1:
        if not 0 < context <= self.context_count:
            raise ValueError(f"there is no context {context}; context() gives their numbers")
        return 0

    cdef int64_t c_context(self, name, int64_t agent, int64_t tag, int levels, bint honours_global) except -1:
        cdef Context *c
        if self.context_count + 1 >= MAX_CONTEXTS:
            raise TooManyContexts(f"{MAX_CONTEXTS - 1} contexts are in use")
        if name in self.by_name:
            raise ValueError(f"there is a context {name!r} already")
        self.put(&self.context_count, self.context_count + 1)
        c = &self.contexts[self.context_count]
        memset(c, 0, sizeof(Context))
        c.agent = agent
        c.tag = tag
        c.levels = levels
        c.honours_global = honours_global
        self.names.append(name)
        self.by_name[name] = self.context_count
        return self.context_count

    def agent(self, str name not None):
        """Number of the agent called *name*, a processor or an IOMMU; new names get a new one."""
        if name not in self.agent_names:
            self.agent_names.append(name)
        return self.agent_names.index(name)

    def context(self, str name not None, *, int64_t agent=-1, int64_t tag=0, int levels=0,
                bint honours_global=True):
        """Make a context, inactive and empty.

        :param name: appears in :class:`Hold`; unique.
        :param agent: from :meth:`agent`; contexts of one agent share global translations. By
            default an agent of the same name.
        :param tag: PCID, or whatever tells the agent's contexts apart.
        :param levels: 4 or 5; by default those of the machine.
        :param honours_global: False for an IOMMU, where G means nothing.
        :return: the number that the other methods take.
        :raises ValueError: the name is taken, or *levels* is neither 4 nor 5.
        :raises TooManyContexts: there are 4,095.
        """
        if levels == 0:
            levels = self.levels
        if levels not in (4, 5):
            raise ValueError(f"levels must be 4 or 5, not {levels}")
        if agent < 0:
            agent = self.agent(name)
        return self.c_context(name, agent, tag, levels, honours_global)

    def device(self, str name not None, int64_t source):
        """Make the TLB of a device (ATS): leaf translations only, any that *source* may give it.

        It holds whatever *source* holds, and keeps what *source* drops until its own
        :meth:`drop`. Queries name it only for what *source* no longer holds.
        """
        self.check_context(source)
        context = self.c_context(name, self.contexts[source].agent, self.contexts[source].tag,
                                 self.contexts[source].levels, False)
        self.contexts[<int64_t> context].source = source
        self.put(&self.contexts[source].devices, self.contexts[source].devices + 1)
        return context

    @property
    def contexts_by_name(self):
        """Numbers of all contexts by name, in the order in which they were made."""
        return dict(self.by_name)

    def name(self, int64_t context):
        """The name of a context."""
        self.check_context(context)
        return self.names[context]

    def is_active(self, int64_t context):
        """Whether a root is in force."""
        self.check_context(context)
        return self.contexts[context].active > 0

    def activate(self, int64_t context, paddr_t root):
        """The root table at *root* is in force from now on. Several may be.

        Low bits and bits above 51 of *root* are ignored, so a CR3 value will do.
        """
        self.check_context(context)
        self.c_activate(context, root)

    def deactivate(self, int64_t context, root=None):
        """*root*, or every root, is no longer in force; what is held stays held."""
        self.check_context(context)
        self.c_deactivate(context, 0 if root is None else root, root is None)

    def drop(self, int64_t context, *, uint64_t first=0, uint64_t last=0xffffffffffffffff, int leaves=3,
             int structures=2):
        """An invalidation: drop what it covers, then hold again what is reachable now.

        :param first: first linear address covered.
        :param last: last one, inclusive.
        :param leaves: a :class:`Leaves`.
        :param structures: a :class:`Structures`; ``RANGE`` drops the entries of every level that
            are used for any address of the range.
        """
        self.check_context(context)
        self.c_drop(context, first, last, leaves, structures)

    # --- doors: instructions --------------------------------------------------------------------

    def mov_cr3(self, int64_t context, paddr_t root, *, bint flush=True):
        """MOV CR3 on the agent of *context*, whose tag is the new PCID (rules 69-71).

        :param root: CR3 value; PCID bits and bit 63 are ignored.
        :param flush: bit 63 clear (or PCIDs off): drop what *context* holds, global leaves and
            other PCIDs excepted.
        """
        cdef int64_t i, current = 0
        self.check_context(context)
        for i in range(1, self.context_count + 1):
            if self.contexts[i].agent == self.contexts[context].agent and self.contexts[i].active:
                current = i
        if current == context:
            if not self.is_only_root(context, root):
                # The new root first, so that what both roots share need not be held by records.
                self.c_activate(context, root)
                self.keep_newest_root(context)
            if flush:
                self.c_drop(context, 0, ~<uint64_t> 0, L_LOCAL, S_ALL)
            return
        if flush:
            self.c_drop(context, 0, ~<uint64_t> 0, L_LOCAL, S_ALL)
        self.c_activate(context, root)
        if current:
            self.c_deactivate(current, 0, True)

    cdef bint is_only_root(self, int64_t context, paddr_t root) noexcept nogil:
        cdef int64_t id = self.contexts[context].first_node
        cdef bint found = False
        if self.contexts[context].active != 1:
            return False
        while id:
            if self.node(id).root:
                found = <uint64_t> self.node(id).value == root & self.address_mask
            id = self.node(id).next_context
        return found

    cdef void keep_newest_root(self, int64_t context) noexcept nogil:
        """Deactivate all roots but the one activated last."""
        cdef Context *c = &self.contexts[context]
        cdef int64_t id = c.first_node, after
        cdef bint newest = True
        while id:
            after = self.node(id).next_context
            if self.node(id).root:
                if not newest:
                    self.orphan(id)
                    self.remove_node(id)
                newest = False
            id = after
        self.put(&c.active, 1)

    def invlpg(self, int64_t context, uint64_t va):
        """INVLPG while *context* is current (rules 60-62): its translations of *va*, its
        structure-cache entries whatever their address, and global translations of *va* of the
        agent's other PCIDs."""
        cdef int64_t i
        self.check_context(context)
        self.c_drop(context, va, va, L_LOCAL | L_GLOBAL, S_ALL)
        for i in range(1, self.context_count + 1):
            if i != context and self.contexts[i].agent == self.contexts[context].agent:
                self.c_drop(i, va, va, L_GLOBAL, S_NONE)

    def invpcid(self, int64_t agent, int kind, int64_t tag=0, uint64_t va=0):
        """INVPCID (rules 64-67): type 0 one address of one PCID, without global translations and
        with only those structure-cache entries that translate it; 1 one PCID; 2 everything; 3
        everything but global translations.

        :raises ValueError: *kind* is not 0 to 3.
        """
        cdef int64_t i
        if not 0 <= kind <= 3:
            raise ValueError(f"INVPCID has types 0 to 3, not {kind}")
        for i in range(1, self.context_count + 1):
            if self.contexts[i].agent != agent or self.contexts[i].source:
                continue
            if kind >= 2:
                self.c_drop(i, 0, ~<uint64_t> 0, L_LOCAL | (L_GLOBAL if kind == 2 else 0), S_ALL)
            elif self.contexts[i].tag == tag:
                if kind == 1:
                    self.c_drop(i, 0, ~<uint64_t> 0, L_LOCAL, S_ALL)
                else:
                    self.c_drop(i, va, va, L_LOCAL, S_RANGE)

    def flush_all(self, int64_t agent):
        """Drop everything of every context of an agent (CR4.PGE toggled, rule 72)."""
        self.invpcid(agent, 2)

    # --- doors: queries -------------------------------------------------------------------------

    @property
    def truncated(self):
        """Whether something was left out because a limit was reached; sticky."""
        return self.overflowed != 0

    @property
    def held_entries(self):
        """How many intermediate entries and roots are held, over all contexts."""
        return self.live_nodes

    cdef object node_hold(self, int64_t id):
        cdef Node *n = self.node(id)
        cdef Table *t = self.table(n.table)
        return Hold(self.names[n.context], "root" if n.root else "intermediate", t.level, <uint64_t> n.va,
                    t.frame, None if n.root else <uint64_t> n.entry_pa, <uint64_t> n.value, n.stale != 0,
                    self.contexts[n.context].active > 0)

    cdef object leaf_hold(self, int64_t context, str kind, int level, int64_t va, paddr_t entry_pa,
                          uint64_t value):
        cdef uint64_t now = 0
        cdef int64_t i
        cdef bint active = self.contexts[context].active > 0
        if self.contexts[context].source:
            active = True
        elif not active and value & G and self.contexts[context].honours_global:
            for i in range(1, self.context_count + 1):
                if self.contexts[i].agent == self.contexts[context].agent and self.contexts[i].active:
                    active = True
        self.memory.get64(entry_pa, &now)
        now = self.significant(level, now)
        return Hold(self.names[context], kind, level, <uint64_t> va,
                    entry_page(&self.format, level, value) >> PAGE_SHIFT, entry_pa, value,
                    now != value and now != value | D, active)

    def holders(self, int64_t pfn, *, bint tables=True, bint leaves=True, bint inactive=False,
                uint64_t first=0, uint64_t last=0xffffffffffffffff):
        """By what agents may still reach a frame.

        :param tables: tell who may read it as a table.
        :param leaves: tell who may access it as (part of) a page.
        :param inactive: tell of contexts, too, that are not in use now.
        :param first: only holds that affect a linear address from *first* to *last*.
        :return: a list of :class:`Hold`, ordered by context, kind, level and address.
        """
        cdef int64_t id, node
        cdef uint64_t va
        cdef int level, index
        cdef Table *t
        cdef Node *n
        cdef Leaf *f
        found = []
        if not 0 <= pfn < <int64_t> self.memory.frames:
            return found
        if tables:
            id = self.frame_tables[pfn]
            while id:
                t = self.table(id)
                node = t.first
                while node:
                    n = self.node(node)
                    if (inactive or self.contexts[n.context].active) and (
                            n.root or (<uint64_t> n.va <= last and _last(n.va, t.level) >= first)):
                        found.append((n.context, 0, -t.level, <uint64_t> n.va, node, self.node_hold(node)))
                    node = n.next_table
                id = t.next
        if leaves:
            for level in range(1, 4):
                id = self.refs[level][pfn >> (9 * (level - 1))]
                while id:
                    t = self.table(id // ENTRIES)
                    index = id % ENTRIES
                    node = t.first
                    while node:
                        n = self.node(node)
                        va = <uint64_t> (n.va + index * _span(t.level))
                        if (not n.excluded[index >> 6] & <int64_t> (<uint64_t> 1 << (index & 63))
                                and va <= last and va + (_span(t.level) - 1) >= first):
                            hold = self.leaf_hold(n.context, "leaf", t.level, <int64_t> va,
                                                  (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index,
                                                  self.significant(t.level, <uint64_t> t.shadow[index]))
                            if inactive or hold.active:
                                found.append((n.context, 1, -level, va, id, hold))
                        node = n.next_table
                    id = t.next_ref[index]
                id = self.kept[level][pfn >> (9 * (level - 1))]
                while id:
                    f = self.leaf(id)
                    if <uint64_t> f.va <= last and <uint64_t> f.va + (_span(level) - 1) >= first:
                        hold = self.leaf_hold(f.context, "leaf", level, f.va, f.entry_pa, <uint64_t> f.value)
                        if inactive or hold.active:
                            found.append((f.context, 1, -level, <uint64_t> f.va, id, hold))
                    id = f.next_frame
        found.sort(key=_order)
        return [item[5] for item in found]

    def is_held(self, int64_t pfn):
        """Whether an active context may read the frame as a table."""
        cdef int64_t id
        if not 0 <= pfn < <int64_t> self.memory.frames:
            return False
        id = self.frame_tables[pfn]
        while id:
            if self.table(id).usable:
                return True
            id = self.table(id).next
        return False

    def contexts_holding(self, int64_t pfn):
        """Numbers of the contexts, active or not, that hold the frame as a table; ascending.

        A store into the frame and an invalidation of one of these contexts do not commute."""
        cdef int64_t id, node
        if not 0 <= pfn < <int64_t> self.memory.frames:
            return ()
        found = set()
        id = self.frame_tables[pfn]
        while id:
            node = self.table(id).first
            while node:
                found.add(self.node(node).context)
                node = self.node(node).next_table
            id = self.table(id).next
        return tuple(sorted(found))

    def frames(self, int64_t context):
        """Frames that a context holds as tables, each once, ascending."""
        cdef int64_t id
        self.check_context(context)
        found = set()
        id = self.contexts[context].first_node
        while id:
            found.add(self.table(self.node(id).table).frame)
            id = self.node(id).next_context
        return tuple(sorted(found))

    def strays(self, int64_t context):
        """What a context holds that no longer is what it was: tables whose frame is not in state
        TABLE, and kept translations to FREE frames. To be asked when a context is activated."""
        cdef int64_t id
        cdef Leaf *f
        cdef uint64_t pfn
        self.check_context(context)
        found = []
        id = self.contexts[context].first_node
        while id:
            if self.memory.frame_state(self.table(self.node(id).table).frame) != TABLE:
                found.append((context, 0, -self.table(self.node(id).table).level,
                              <uint64_t> self.node(id).va, id, self.node_hold(id)))
            id = self.node(id).next_context
        id = self.contexts[context].first_leaf
        while id:
            f = self.leaf(id)
            pfn = entry_page(&self.format, f.level, <uint64_t> f.value) >> PAGE_SHIFT
            if self.memory.frame_state(pfn) == FREE:
                found.append((context, 1, -f.level, <uint64_t> f.va, id,
                              self.leaf_hold(context, "leaf", f.level, f.va, f.entry_pa, <uint64_t> f.value)))
            id = f.next_context
        found.sort(key=_order)
        return [item[5] for item in found]

    def holds_of(self, int64_t context):
        """Everything a context holds, implicit translations included; for tests and reports."""
        cdef int64_t id
        cdef int index
        cdef Node *n
        cdef Table *t
        cdef Leaf *f
        cdef uint64_t va
        self.check_context(context)
        found = []
        id = self.contexts[context].first_node
        while id:
            n = self.node(id)
            t = self.table(n.table)
            found.append((context, 0, -t.level, <uint64_t> n.va, id, self.node_hold(id)))
            for index in range(ENTRIES):
                if (self.kind(t.level, <uint64_t> t.shadow[index]) == PAGE
                        and not n.excluded[index >> 6] & <int64_t> (<uint64_t> 1 << (index & 63))):
                    va = <uint64_t> (n.va + index * _span(t.level))
                    found.append((context, 1, -t.level, va, id, self.leaf_hold(
                        context, "leaf", t.level, <int64_t> va, (<paddr_t> t.frame << PAGE_SHIFT) + 8 * index,
                        self.significant(t.level, <uint64_t> t.shadow[index]))))
            id = n.next_context
        id = self.contexts[context].first_leaf
        while id:
            f = self.leaf(id)
            found.append((context, 1, -f.level, <uint64_t> f.va, id,
                          self.leaf_hold(context, "leaf", f.level, f.va, f.entry_pa, <uint64_t> f.value)))
            id = f.next_context
        found.sort(key=_order)
        return [item[5] for item in found]

    def would_write(self, int64_t pfn):
        """Whether an active agent that reads the frame as a table could set an A bit in it now."""
        cdef int64_t id
        cdef int index
        cdef Table *t
        if not 0 <= pfn < <int64_t> self.memory.frames:
            return False
        id = self.frame_tables[pfn]
        while id:
            t = self.table(id)
            if t.usable:
                for index in range(ENTRIES):
                    if (not t.shadow[index] & <int64_t> A
                            and self.kind(t.level, <uint64_t> t.shadow[index]) >= POINTER):
                        return True
            id = t.next
        return False

    def take_effects(self):
        """Effects of the operations and stores since the last call; and start anew."""
        effects = Effects(_frames(&self.added), _frames(&self.dropped), _frames(&self.scanned))
        self.added.count = self.dropped.count = self.scanned.count = 0
        return effects

    # --- doors: accesses ------------------------------------------------------------------------

    cdef object path(self, int64_t table, int64_t context, uint64_t va, int64_t rights, object hold,
                     bint write, bint user, bint fetch, bint protect):
        """Walk from *table* down, reading memory as it is."""
        cdef int level = self.table(table).level
        cdef paddr_t base = <paddr_t> self.table(table).frame << PAGE_SHIFT, pa
        cdef uint64_t entry = 0, new
        cdef int kind
        writes = []
        while True:
            pa = base + 8 * ((va >> (PAGE_SHIFT + 9 * (level - 1))) & (ENTRIES - 1))
            if not self.memory.get64(pa, &entry):
                return Outcome(None, "bus", hold, ())
            if not entry & P:
                return Outcome(None, "not-present", hold, ())
            kind = self.kind(level, entry)
            if kind < POINTER:
                return Outcome(None, "reserved", hold, ())
            rights &= entry_rights(&self.format, entry)
            if kind == PAGE:
                break
            if not entry & A:
                writes.append((pa, entry, entry | A))
            base = entry_table(&self.format, entry)
            level -= 1
        if not _allowed(rights, write, user, fetch, protect):
            return Outcome(None, "protection", hold, ())
        new = entry | A | (D if write else 0)
        if new != entry:
            writes.append((pa, entry, new))
        pa = entry_page(&self.format, level, entry) | va & (_span(level) - 1)
        return Outcome(pa, None, hold, tuple(writes))

    def access(self, int64_t context, uint64_t va, *, bint write=False, bint user=True, bint fetch=False,
               bint protect=True):
        """Every way in which an access by an active context may end.

        :param write: a store (or read-modify-write).
        :param user: CPL 3, or a user request.
        :param protect: CR0.WP.
        :return: a list of :class:`Outcome`: the full walk of each root first, then walks that
            start at a cached entry, from the top level down, then cached translations. Outcomes
            alike in address, fault and writes appear once. Empty for an inactive context.
        """
        cdef int64_t id, i
        cdef Node *n
        cdef Leaf *f
        cdef Context *c
        cdef int shift
        self.check_context(context)
        c = &self.contexts[context]
        if not c.active:
            return []
        shift = 64 - PAGE_SHIFT - 9 * <int> c.levels
        if <uint64_t> (<int64_t> (va << shift) >> shift) != va:
            return [Outcome(None, "non-canonical", None, ())]
        found = []
        id = c.first_node
        while id:
            n = self.node(id)
            if n.root or (<uint64_t> n.va <= va <= _last(n.va, self.table(n.table).level)):
                hold = None if n.root else self.node_hold(id)
                found.append((not n.root, 0, -self.table(n.table).level, 0, id, self.path(
                    n.table, context, va, n.rights, hold, write, user, fetch, protect)))
            id = n.next_context
        for i in range(1, self.context_count + 1):
            if self.contexts[i].agent != c.agent or self.contexts[i].source:
                continue
            id = self.contexts[i].first_leaf
            while id:
                f = self.leaf(id)
                if (<uint64_t> f.va <= va <= <uint64_t> f.va + (_span(f.level) - 1)
                        and (i == context or (<uint64_t> f.value & G and c.honours_global))
                        and not (write and not <uint64_t> f.value & D)):
                    hold = self.leaf_hold(i, "leaf", f.level, f.va, f.entry_pa, <uint64_t> f.value)
                    if _allowed(f.rights, write, user, fetch, protect):
                        outcome = Outcome(entry_page(&self.format, f.level, <uint64_t> f.value)
                                          | va & (_span(f.level) - 1), None, hold, ())
                    else:
                        outcome = Outcome(None, "protection", hold, ())
                    found.append((2, i, -f.level, 0, id, outcome))
                id = f.next_context
        found.sort(key=_order)
        outcomes = []
        seen = set()
        for item in found:
            key = item[5].pa, item[5].fault, item[5].writes
            if key not in seen:
                seen.add(key)
                outcomes.append(item[5])
        return outcomes

    def perform(self, outcome):
        """Make the A and D updates of an outcome, each by compare and exchange.

        :return: False if an entry had changed meanwhile; the updates before it stay.
        """
        cdef uint64_t expected
        for pa, old, new in outcome.writes:
            expected = old
            if self.memory.cas64(pa, &expected, new) != 1:
                return False
        return True

    def check(self):
        """Recount everything and compare with the indexes; for tests.

        :raises AssertionError: they differ, with what and where.
        """
        cdef int64_t i, id, nodes, weak, total = 0
        cdef int index
        cdef uint64_t entry = 0
        cdef Node *n
        cdef Table *t
        for i in range(1, self.context_count + 1):
            nodes = weak = 0
            id = self.contexts[i].first_node
            while id:
                n = self.node(id)
                t = self.table(n.table)
                nodes += 1
                weak += n.stale or not (n.parent or n.root)
                assert n.context == i and not n.doomed, (i, id)
                for index in range(ENTRIES):
                    self.memory.get64((<paddr_t> t.frame << PAGE_SHIFT) + 8 * index, &entry)
                    assert <uint64_t> t.shadow[index] == entry, ("shadow", t.frame, index)
                id = n.next_context
            total += nodes
            assert nodes == self.contexts[i].nodes, ("nodes", self.names[i])
            assert weak == self.contexts[i].weak, ("weak", self.names[i], weak, self.contexts[i].weak)
        assert total == self.live_nodes, "nodes in all"
        for i in range(<int64_t> self.memory.frames):
            id = self.frame_tables[i]
            while id:
                t = self.table(id)
                nodes = 0
                total = t.first
                while total:
                    nodes += self.contexts[self.node(total).context].active > 0
                    total = self.node(total).next_table
                assert nodes == t.usable, ("usable", i, t.level, nodes, t.usable)
                id = t.next


def _order(item):
    return item[:5]


cdef bint _allowed(int64_t rights, bint write, bint user, bint fetch, bint protect) noexcept nogil:
    if user and not rights & RIGHT_USER:
        return False
    if write and not rights & RIGHT_WRITE and (user or protect):
        return False
    return not (fetch and not rights & RIGHT_EXEC)


cdef tuple _frames(Frames *frames):
    return tuple(dict.fromkeys([frames.items[i] for i in range(frames.count)]))
