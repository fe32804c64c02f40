# SPDX-License-Identifier: GPL-2.0-only
"""Simulated physical memory: one arena, a state per frame, snapshots, observers.

Every access that Linux code, a CPU's walker or an IOMMU makes ends here.  An access outside the
arena is a :class:`BusError`, whatever the address; it is never a crash.  Values are little endian
and unsigned.  Unaligned accesses work, also across frames; atomicity is a matter of scheduling,
because nothing else runs during a call.

Snapshots are undo copies: :meth:`Memory.restore` copies back the frames written since
:meth:`Memory.snapshot`, and a frame's base copy is made once however often it is restored.
"""

from enum import IntEnum

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_FillInfo
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memmove, memset
from posix.mman cimport (MAP_ANON, MAP_FAILED, MAP_NORESERVE, MAP_PRIVATE, PROT_READ, PROT_WRITE,
                         mmap, munmap)

from kmm_ext._types cimport (ALLOCATED, CAS_BUS_ERROR, CAS_DIFFERS, CAS_STORED, FREE, PAGE_SHIFT,
                             PAGE_SIZE, POISONED, STATE_MASK, TABLE)


cdef enum:
    DATA_DIRTY = 1     # written since the snapshot; base holds the old contents
    STATE_DIRTY = 2    # state byte changed since the snapshot
    SAVED = 4          # base holds the contents at the snapshot


class BusError(Exception):
    """A physical access that no memory answers.

    :ivar address: physical address of the first byte.
    :ivar size: length of the access in bytes.
    """

    def __init__(self, address, size):
        super().__init__(address, size)
        self.address = address
        self.size = size

    def __str__(self):
        return f"no memory answers {self.size} bytes at physical {self.address:#x}"


class NoSnapshot(RuntimeError):
    """``restore()`` was called before ``snapshot()``."""


class FrameState(IntEnum):
    """What a frame is used for, as far as the hardware model cares."""

    FREE = 0
    ALLOCATED = 1
    TABLE = 2


cdef class Observer:
    """Something that must hear of changes to the frames it watches (see ``memory.pxd``)."""

    cdef void entry_changed(self, paddr_t pa, entry_t old, entry_t new) noexcept:
        pass

    cdef void snapshot_taken(self) noexcept:
        pass

    cdef void restored(self) noexcept:
        pass


cdef class Journal(Observer):
    """Records changed words of watched frames as ``(address, old, new)`` in :attr:`changes`."""

    def __cinit__(self):
        self.changes = []

    cdef void entry_changed(self, paddr_t pa, entry_t old, entry_t new) noexcept:
        self.changes.append((pa, old, new))

    def clear(self):
        """Forget what was recorded."""
        self.changes.clear()


cdef uint8_t *_map(uint64_t length) except NULL:
    cdef void *area = mmap(NULL, length, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0)
    if area == MAP_FAILED:
        raise MemoryError(f"cannot reserve {length} bytes for simulated memory")
    return <uint8_t *> area


cdef class Memory:
    """*frames* frames of 4 KiB from physical address 0, all zero and FREE.

    Costs host memory only for frames that were written.

    :param frames: 1 to 2**32 - 1.
    :raises ValueError: the number is out of that range.
    :raises MemoryError: the host refuses the reservation.
    """

    def __cinit__(self, frames):
        if not 0 < frames < 1 << 32:
            raise ValueError(f"frames must be 1 to 2**32 - 1, not {frames}")
        self.frames = frames
        self.size = self.frames << PAGE_SHIFT
        self.observers = []
        self.data = _map(self.size)
        self.base = _map(self.size)
        self.states = <uint8_t *> calloc(self.frames, 1)
        self.base_states = <uint8_t *> calloc(self.frames, 1)
        self.flags = <uint8_t *> calloc(self.frames, 1)
        self.watched = <uint16_t *> calloc(self.frames, sizeof(uint16_t))
        self.dirty = <uint32_t *> calloc(self.frames, sizeof(uint32_t))
        self.dirty_states = <uint32_t *> calloc(self.frames, sizeof(uint32_t))
        if not (self.states and self.base_states and self.flags and self.watched
                and self.dirty and self.dirty_states):
            raise MemoryError(f"cannot keep the state of {frames} frames")

    def __dealloc__(self):
        if self.data:
            munmap(self.data, self.size)
        if self.base:
            munmap(self.base, self.size)
        free(self.states)
        free(self.base_states)
        free(self.flags)
        free(self.watched)
        free(self.dirty)
        free(self.dirty_states)

    def __repr__(self):
        return f"<Memory {self.frames} frames>"

    def __getbuffer__(self, Py_buffer *view, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("memory is read-only through the buffer protocol; use store()")
        PyBuffer_FillInfo(view, self, self.data, self.size, 1, flags)

    # --- inner functions ------------------------------------------------------------------------

    cdef bint inside(self, paddr_t pa, uint64_t length) noexcept nogil:
        if length <= self.size and pa <= self.size - length:
            return True
        self.bus_errors += 1
        return False

    cdef void touch(self, uint64_t pfn) noexcept nogil:
        """Frame *pfn* is about to be written: make its base copy, list it as dirty."""
        if not self.tracking or self.flags[pfn] & DATA_DIRTY:
            return
        if not self.flags[pfn] & SAVED:
            memcpy(self.base + (pfn << PAGE_SHIFT), self.data + (pfn << PAGE_SHIFT), PAGE_SIZE)
        self.flags[pfn] |= DATA_DIRTY | SAVED
        self.dirty[self.ndirty] = <uint32_t> pfn
        self.ndirty += 1

    cdef void touch_state(self, uint64_t pfn) noexcept nogil:
        """The state of frame *pfn* is about to change."""
        if not self.tracking or self.flags[pfn] & STATE_DIRTY:
            return
        self.base_states[pfn] = self.states[pfn]
        self.flags[pfn] |= STATE_DIRTY
        self.dirty_states[self.ndirty_states] = <uint32_t> pfn
        self.ndirty_states += 1

    cdef void notify(self, paddr_t pa, entry_t old, entry_t new) noexcept:
        cdef Observer observer
        for observer in self.observers:
            observer.entry_changed(pa, old, new)

    cdef bint get(self, paddr_t pa, int size, uint64_t *out) noexcept nogil:
        if not self.inside(pa, size):
            return False
        out[0] = 0
        memcpy(out, self.data + pa, size)
        return True

    cdef bint get64(self, paddr_t pa, uint64_t *out) noexcept nogil:
        if not self.inside(pa, 8):
            return False
        memcpy(out, self.data + pa, 8)
        return True

    cdef bint put(self, paddr_t pa, int size, uint64_t value) noexcept nogil:
        cdef uint64_t first, last, old_first = 0, old_last = 0, new = 0
        cdef paddr_t low, high
        if not self.inside(pa, size):
            return False
        first = pa >> PAGE_SHIFT
        last = (pa + size - 1) >> PAGE_SHIFT
        self.touch(first)
        if last != first:
            self.touch(last)
        if not (self.watched[first] or self.watched[last]):
            memcpy(self.data + pa, &value, size)
            return True
        low = pa & ~<paddr_t> 7
        high = (pa + size - 1) & ~<paddr_t> 7
        memcpy(&old_first, self.data + low, 8)
        memcpy(&old_last, self.data + high, 8)
        memcpy(self.data + pa, &value, size)
        if self.watched[first]:
            memcpy(&new, self.data + low, 8)
            if new != old_first:
                with gil:
                    self.notify(low, old_first, new)
        if high != low and self.watched[last]:
            memcpy(&new, self.data + high, 8)
            if new != old_last:
                with gil:
                    self.notify(high, old_last, new)
        return True

    cdef bint put64(self, paddr_t pa, uint64_t value) noexcept nogil:
        return self.put(pa, 8, value)

    cdef int cas64(self, paddr_t pa, uint64_t *expected, uint64_t new) noexcept nogil:
        cdef uint64_t seen = 0
        if not self.get64(pa, &seen):
            return CAS_BUS_ERROR
        if seen != expected[0]:
            expected[0] = seen
            return CAS_DIFFERS
        self.put(pa, 8, new)
        return CAS_STORED

    cdef int frame_state(self, uint64_t pfn) noexcept nogil:
        if pfn >= self.frames:
            return -1
        return self.states[pfn] & STATE_MASK

    cdef void watch(self, uint64_t pfn) noexcept nogil:
        if pfn < self.frames and self.watched[pfn] != 0xffff:
            self.watched[pfn] += 1

    cdef void unwatch(self, uint64_t pfn) noexcept nogil:
        if pfn < self.frames and self.watched[pfn]:
            self.watched[pfn] -= 1

    cdef int check(self, paddr_t pa, uint64_t length) except -1:
        if not self.inside(pa, length):
            raise BusError(pa, length)
        return 0

    cdef int check_frames(self, uint64_t pfn, uint64_t count) except -1:
        if count > self.frames or pfn > self.frames - count:
            self.bus_errors += 1
            raise BusError(int(pfn) << PAGE_SHIFT, int(count) << PAGE_SHIFT)
        return 0

    cdef uint8_t *begin(self, paddr_t pa, uint64_t length) except? NULL:
        """Frames [pa, pa + length) are about to be written. If any is watched: a copy of the words
        that the range overlaps, for end()."""
        cdef uint64_t pfn, low, high
        cdef bint watched = False
        cdef uint8_t *old
        if length == 0:
            return NULL
        for pfn in range(pa >> PAGE_SHIFT, ((pa + length - 1) >> PAGE_SHIFT) + 1):
            self.touch(pfn)
            watched = watched or self.watched[pfn] != 0
        if not watched:
            return NULL
        low = pa & ~<paddr_t> 7
        high = (pa + length + 7) & ~<paddr_t> 7
        old = <uint8_t *> malloc(high - low)
        if not old:
            raise MemoryError
        memcpy(old, self.data + low, high - low)
        return old

    cdef void end(self, paddr_t pa, uint64_t length, uint8_t *old) noexcept:
        cdef paddr_t low = pa & ~<paddr_t> 7, word
        cdef uint64_t before = 0, now = 0
        if not old:
            return
        for word in range(low, pa + length, 8):
            if self.watched[word >> PAGE_SHIFT]:
                memcpy(&before, old + (word - low), 8)
                memcpy(&now, self.data + word, 8)
                if before != now:
                    self.notify(word, before, now)
        free(old)

    # --- doors ----------------------------------------------------------------------------------

    @property
    def buffer(self):
        """All of memory as a read-only ``memoryview``."""
        return memoryview(self)

    def load(self, paddr_t pa, int size):
        """Load 1, 2, 4 or 8 bytes.

        :raises BusError: any byte is outside memory.
        """
        cdef uint64_t value = 0
        _check_size(size)
        if not self.get(pa, size, &value):
            raise BusError(pa, size)
        return value

    def store(self, paddr_t pa, int size, uint64_t value):
        """Store the low 1, 2, 4 or 8 bytes of *value*.

        :raises BusError: any byte is outside memory; nothing is stored then.
        """
        _check_size(size)
        if not self.put(pa, size, value):
            raise BusError(pa, size)

    def xchg(self, paddr_t pa, int size, uint64_t value):
        """Atomically store *value*.

        :return: the old contents.
        """
        cdef uint64_t old = 0
        _check_size(size)
        if not self.get(pa, size, &old):
            raise BusError(pa, size)
        self.put(pa, size, value)
        return old

    def cmpxchg(self, paddr_t pa, int size, uint64_t old, uint64_t new):
        """Atomically store *new* if the contents equal *old*.

        :return: the contents seen; equal to *old* iff the store happened.
        """
        cdef uint64_t seen = 0
        _check_size(size)
        if not self.get(pa, size, &seen):
            raise BusError(pa, size)
        if seen == old:
            self.put(pa, size, new)
        return seen

    def fetch_and(self, paddr_t pa, int size, uint64_t mask):
        """Atomically AND with *mask*.

        :return: the old contents.
        """
        cdef uint64_t old = 0
        _check_size(size)
        if not self.get(pa, size, &old):
            raise BusError(pa, size)
        self.put(pa, size, old & mask)
        return old

    def fetch_or(self, paddr_t pa, int size, uint64_t mask):
        """Atomically OR with *mask*.

        :return: the old contents.
        """
        cdef uint64_t old = 0
        _check_size(size)
        if not self.get(pa, size, &old):
            raise BusError(pa, size)
        self.put(pa, size, old | mask)
        return old

    def fill(self, paddr_t pa, uint64_t length, uint8_t byte):
        """Set *length* bytes to *byte*."""
        cdef uint8_t *old
        self.check(pa, length)
        old = self.begin(pa, length)
        memset(self.data + pa, byte, length)
        self.end(pa, length, old)

    def copy(self, paddr_t dst, paddr_t src, uint64_t length):
        """Copy *length* bytes; the ranges may overlap."""
        cdef uint8_t *old
        self.check(src, length)
        self.check(dst, length)
        old = self.begin(dst, length)
        memmove(self.data + dst, self.data + src, length)
        self.end(dst, length, old)

    def read_bytes(self, paddr_t pa, uint64_t length):
        """*length* bytes as ``bytes``."""
        self.check(pa, length)
        return (<char *> self.data + pa)[:length]

    def write_bytes(self, paddr_t pa, const uint8_t[::1] content not None):
        """Store the bytes of *content*, any contiguous buffer."""
        cdef uint64_t length = content.shape[0]
        cdef uint8_t *old
        self.check(pa, length)
        if length == 0:
            return
        old = self.begin(pa, length)
        memcpy(self.data + pa, &content[0], length)
        self.end(pa, length, old)

    def state(self, uint64_t pfn):
        """State of a frame, a :class:`FrameState` value."""
        self.check_frames(pfn, 1)
        return self.states[pfn] & STATE_MASK

    def set_state(self, uint64_t pfn, int state):
        """Change the state of a frame, and forget that it was poisoned.

        :raises ValueError: *state* is not a :class:`FrameState` value.
        """
        self.check_frames(pfn, 1)
        if state not in (FREE, ALLOCATED, TABLE):
            raise ValueError(f"{state} is not a FrameState")
        self.touch_state(pfn)
        self.states[pfn] = state

    def poison(self, uint64_t pfn, int order, uint8_t byte=0xaa):
        """Fill ``2**order`` frames with *byte* and mark them FREE and poisoned.

        The default leaves bit 0 of every 64-bit word clear: a walker that strays into a freed
        table finds entries that are not present.
        """
        cdef uint64_t count, i
        cdef uint8_t *old
        if not 0 <= order < 32:
            raise ValueError(f"order {order} is not in 0 to 31")
        count = <uint64_t> 1 << order
        self.check_frames(pfn, count)
        old = self.begin(pfn << PAGE_SHIFT, count << PAGE_SHIFT)
        memset(self.data + (pfn << PAGE_SHIFT), byte, count << PAGE_SHIFT)
        for i in range(count):
            self.touch_state(pfn + i)
            self.states[pfn + i] = FREE | POISONED
        self.end(pfn << PAGE_SHIFT, count << PAGE_SHIFT, old)

    def poisoned(self, uint64_t pfn):
        """Whether the frame was poisoned and has not changed state since."""
        self.check_frames(pfn, 1)
        return self.states[pfn] & POISONED != 0

    def poison_damage(self, uint64_t pfn, uint8_t byte=0xaa):
        """Offset of the first byte of the frame that is not *byte*, or None."""
        cdef uint8_t *start
        cdef int offset
        self.check_frames(pfn, 1)
        start = self.data + (pfn << PAGE_SHIFT)
        if start[0] == byte and memcmp(start, start + 1, PAGE_SIZE - 1) == 0:
            return None
        for offset in range(PAGE_SIZE):
            if start[offset] != byte:
                return offset

    def snapshot(self):
        """Make the present contents and states what :meth:`restore` returns to."""
        cdef uint64_t i, pfn
        cdef Observer observer
        for i in range(self.ndirty):
            pfn = self.dirty[i]
            memcpy(self.base + (pfn << PAGE_SHIFT), self.data + (pfn << PAGE_SHIFT), PAGE_SIZE)
            self.flags[pfn] &= ~<uint8_t> DATA_DIRTY
        for i in range(self.ndirty_states):
            self.flags[self.dirty_states[i]] &= ~<uint8_t> STATE_DIRTY
        self.ndirty = 0
        self.ndirty_states = 0
        self.tracking = True
        for observer in self.observers:
            observer.snapshot_taken()

    def restore(self):
        """Return to the last snapshot. Costs one 4 KiB copy per frame written since.

        :return: how many frames were copied back.
        :raises NoSnapshot: there is none.
        """
        cdef uint64_t i, pfn, copied
        cdef Observer observer
        if not self.tracking:
            raise NoSnapshot("restore() needs a snapshot() before it")
        for i in range(self.ndirty):
            pfn = self.dirty[i]
            memcpy(self.data + (pfn << PAGE_SHIFT), self.base + (pfn << PAGE_SHIFT), PAGE_SIZE)
            self.flags[pfn] &= ~<uint8_t> DATA_DIRTY
        for i in range(self.ndirty_states):
            pfn = self.dirty_states[i]
            self.states[pfn] = self.base_states[pfn]
            self.flags[pfn] &= ~<uint8_t> STATE_DIRTY
        copied = self.ndirty
        self.ndirty = 0
        self.ndirty_states = 0
        for observer in self.observers:
            observer.restored()
        return copied

    def dirty_frames(self):
        """Frames written since the snapshot, in the order of their first write."""
        return [self.dirty[i] for i in range(self.ndirty)]

    def add_observer(self, Observer observer not None):
        """Let *observer* hear of changes to watched frames, after those added before it."""
        self.observers.append(observer)

    def remove_observer(self, Observer observer not None):
        """Stop telling *observer*.

        :raises ValueError: it was not added.
        """
        self.observers.remove(observer)

    def watch_frame(self, uint64_t pfn):
        """Report changes of this frame to the observers until :meth:`unwatch_frame`; calls nest."""
        self.check_frames(pfn, 1)
        self.watch(pfn)

    def unwatch_frame(self, uint64_t pfn):
        """Undo one :meth:`watch_frame`."""
        self.check_frames(pfn, 1)
        self.unwatch(pfn)


cdef int _check_size(int size) except -1:
    if size not in (1, 2, 4, 8):
        raise ValueError(f"an access is 1, 2, 4 or 8 bytes, not {size}")
    return 0
