# SPDX-License-Identifier: GPL-2.0-only
"""One execution of the explorer: its events, what they touched and which happens before which.

A *place* is a location's index here, dense and stable over executions; state that belongs to one
execution carries its number, so that a new one starts without clearing anything.  The touches of all
events lie in one pool in the order of the events: dropping the end of an execution is moving its top.

Two events of different actors conflict if both touch a place and one writes it.  Row ``n`` of the
happens-before relation has bit ``i`` iff event ``i`` happens before event ``n``.
"""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

__all__ = ["Trace"]


cdef class Trace:
    """See the module; everything here is called by :class:`kmm_ext.explorer.Core` only."""

    def __cinit__(self):
        self._event_capacity = 64
        self._row_capacity = 64
        self.words = 1
        self._touch_capacity = 256
        self._place_capacity = 64
        self._table_size = 256
        self._link_capacity = 256
        self._found_capacity = 64
        self.events = <Event *> malloc(self._event_capacity * sizeof(Event))
        self.rows = <uint64_t *> malloc(self._row_capacity * self.words * sizeof(uint64_t))
        self.touches = <Touch *> malloc(self._touch_capacity * sizeof(Touch))
        self.places = <Place *> malloc(self._place_capacity * sizeof(Place))
        self._table = <int *> malloc(self._table_size * sizeof(int))
        self._links = <Link *> malloc(self._link_capacity * sizeof(Link))
        self.found = <int *> malloc(self._found_capacity * sizeof(int))
        if not (self.events and self.rows and self.touches and self.places and self._table and self._links
                and self.found):
            raise MemoryError
        memset(self._table, 0, self._table_size * sizeof(int))
        self.clear()

    def __dealloc__(self):
        free(self.events)
        free(self.rows)
        free(self.touches)
        free(self.places)
        free(self._table)
        free(self._links)
        free(self.found)

    cdef void clear(self) noexcept:
        """A new execution begins; recorded events stay, to be replayed."""
        self._execution += 1
        self._stamp += 1
        self._link_count = 0
        self.now.pid = -1
        self.now.count = 0

    # --- places -----------------------------------------------------------------------------------

    cdef int place(self, int64_t loc) except -1:
        """The place of *loc*."""
        cdef uint64_t key = <uint64_t> loc
        cdef int slot, found
        key = (key ^ (key >> 29)) * <uint64_t> 0x9e3779b97f4a7c15
        slot = <int> (key >> 33) & (self._table_size - 1)
        while True:
            found = self._table[slot] - 1
            if found < 0:
                break
            if self.places[found].loc == loc:
                return found
            slot = (slot + 1) & (self._table_size - 1)
        if self.place_count == self._place_capacity:
            self._grow_table()
            return self.place(loc)
        found = self.place_count
        self.place_count += 1
        self._table[slot] = found + 1
        memset(&self.places[found], 0, sizeof(Place))
        self.places[found].loc = loc
        return found

    cdef int _grow_table(self) except -1:
        cdef Place *places
        cdef int *table
        cdef Place kept
        cdef int n
        cdef int count = self.place_count
        places = <Place *> realloc(self.places, 2 * self._place_capacity * sizeof(Place))
        if not places:
            raise MemoryError
        self.places = places
        table = <int *> realloc(self._table, 2 * self._table_size * sizeof(int))
        if not table:
            raise MemoryError
        self._table = table
        self._place_capacity *= 2
        self._table_size *= 2
        memset(self._table, 0, self._table_size * sizeof(int))
        self.place_count = 0
        for n in range(count):
            kept = self.places[n]
            self.place(kept.loc)
            self.places[n] = kept
        return 0

    cdef Place *at(self, int place) noexcept:
        """State of *place* in this execution."""
        cdef Place *found = &self.places[place]
        if found.execution != self._execution:
            found.execution = self._execution
            found.last_write = -1
            found.readers = -1
            found.holders = -1
            found.version = 0
        return found

    # --- the event that is going on -----------------------------------------------------------------

    cdef int begin(self, int n, int pid, int kind, int prev, bint behind) except -1:
        """Event *n* begins.

        :param behind: keep its touches behind all recorded ones, for a comparison or for an event that
            never happens; otherwise it takes the place of what was recorded as event *n* and later.
        """
        cdef int last = self.count if behind else n
        self.now.pid = pid
        self.now.kind = kind
        self.now.value = 0
        self.now.prev = prev
        self.now.first = self.events[last - 1].first + self.events[last - 1].count if last else 0
        self.now.count = 0
        self._stamp += 1
        self.top = self.now.first
        return 0

    cdef int touch(self, int place, int flags) except -1:
        """The event touches *place*.

        :return: index of the touch.
        """
        cdef Place *found = self.at(place)
        cdef Touch *grown
        if found.touched_by == self._stamp:
            self.touches[found.touched].flags |= flags
            return found.touched
        if self.top == self._touch_capacity:
            grown = <Touch *> realloc(self.touches, 2 * self._touch_capacity * sizeof(Touch))
            if not grown:
                raise MemoryError
            self.touches = grown
            self._touch_capacity *= 2
        found.touched_by = self._stamp
        found.touched = self.top
        self.touches[self.top].place = place
        self.touches[self.top].flags = flags
        self.touches[self.top].acquired = -1
        self.top += 1
        self.now.count += 1
        return found.touched

    cdef int record(self, int n) except -1:
        """The event ended; it is number *n* from now on."""
        cdef Event *grown
        if n >= self._event_capacity:
            grown = <Event *> realloc(self.events, 2 * self._event_capacity * sizeof(Event))
            if not grown:
                raise MemoryError
            self.events = grown
            self._event_capacity *= 2
        self.events[n] = self.now
        self.count = n + 1
        return 0

    cdef void discard(self) noexcept:
        """Forget what was begun."""
        self.now.pid = -1
        self.now.count = 0

    cdef bint same(self, int n) noexcept:
        """Whether the event touched what event *n* touched."""
        cdef Event *event = &self.events[n]
        cdef Touch *touch
        cdef Touch *twin
        cdef Place *place
        cdef int k
        if event.count != self.now.count:
            return False
        for k in range(event.count):
            touch = &self.touches[event.first + k]
            place = self.at(touch.place)
            if place.touched_by != self._stamp:
                return False
            twin = &self.touches[place.touched]
            if twin.acquired != touch.acquired or (twin.flags & WRITES) != (touch.flags & WRITES):
                return False
        return True

    cdef int apply(self, int n) except -1:
        """Event *n* has happened: later ones conflict with it."""
        cdef Event *event = &self.events[n]
        cdef Touch *touch
        cdef Place *place
        cdef int k, link
        for k in range(event.count):
            touch = &self.touches[event.first + k]
            place = self.at(touch.place)
            if touch.flags & WRITES:
                place.last_write = n
                place.readers = -1
                place.version += 1
                continue
            link = place.readers
            while link >= 0:
                if self._links[link].pid == event.pid:
                    self._links[link].event = n
                    break
                link = self._links[link].next
            else:
                place.readers = self._link(event.pid, n, True, place.readers)
        return 0

    # --- locks --------------------------------------------------------------------------------------

    cdef int _link(self, int pid, int event, bint shared, int following) except -1:
        cdef Link *grown
        if self._link_count == self._link_capacity:
            grown = <Link *> realloc(self._links, 2 * self._link_capacity * sizeof(Link))
            if not grown:
                raise MemoryError
            self._links = grown
            self._link_capacity *= 2
        self._links[self._link_count].pid = pid
        self._links[self._link_count].event = event
        self._links[self._link_count].shared = shared
        self._links[self._link_count].next = following
        self._link_count += 1
        return self._link_count - 1

    cdef int take(self, int place, int pid, int n, bint shared) except -1:
        """Actor *pid* holds the lock *place* since event *n*."""
        cdef int link = self._link(pid, n, shared, self.at(place).holders)
        self.at(place).holders = link
        return 0

    cdef int give(self, int place, int pid) noexcept:
        """Actor *pid* gives the lock back.

        :return: the event that took it, -1 if it does not hold it.
        """
        cdef Place *found = self.at(place)
        cdef int link = found.holders, before = -1
        while link >= 0:
            if self._links[link].pid == pid:
                if before < 0:
                    found.holders = self._links[link].next
                else:
                    self._links[before].next = self._links[link].next
                return self._links[link].event
            before = link
            link = self._links[link].next
        return -1

    cdef bint available(self, int place, bint shared) noexcept:
        """Whether the lock can be taken."""
        cdef int link = self.at(place).holders
        if link >= 0 and not shared:
            return False
        while link >= 0:
            if not self._links[link].shared:
                return False
            link = self._links[link].next
        return True

    cdef int holder(self, int place) noexcept:
        """The actor that took the lock last of those who hold it, -1: nobody holds it."""
        cdef int link = self.at(place).holders
        return self._links[link].pid if link >= 0 else -1

    cdef Link *holders(self, int place) noexcept:
        """The first of those who hold the lock, or NULL."""
        cdef int link = self.at(place).holders
        return &self._links[link] if link >= 0 else NULL

    cdef Link *next_holder(self, Link *holder) noexcept:
        return &self._links[holder.next] if holder.next >= 0 else NULL

    # --- happens before -------------------------------------------------------------------------------

    cdef uint64_t *row(self, int n) noexcept:
        return self.rows + <int64_t> n * self.words

    cdef bint before(self, int i, int n) noexcept:
        """Whether event *i* is event *n* or happens before it."""
        return i == n or (i < n and (self.row(n)[i >> 6] >> (i & 63)) & 1)

    cdef int conflicts(self, Event *event) except -1:
        """Put the latest events of other actors that conflict with *event* in ``found``, ascending."""
        cdef Touch *touch
        cdef Place *place
        cdef int k, link
        self.found_count = 0
        for k in range(event.count):
            touch = &self.touches[event.first + k]
            place = self.at(touch.place)
            if place.last_write >= 0 and self.events[place.last_write].pid != event.pid:
                self._find(place.last_write)
            if touch.flags & WRITES:
                link = place.readers
                while link >= 0:
                    if self._links[link].pid != event.pid:
                        self._find(self._links[link].event)
                    link = self._links[link].next
        return 0

    cdef int _find(self, int n) except -1:
        cdef int k = self.found_count
        cdef int *grown
        while k and self.found[k - 1] > n:
            k -= 1
        if k and self.found[k - 1] == n:
            return 0
        if self.found_count == self._found_capacity:
            grown = <int *> realloc(self.found, 2 * self._found_capacity * sizeof(int))
            if not grown:
                raise MemoryError
            self.found = grown
            self._found_capacity *= 2
        memmove(self.found + k + 1, self.found + k, (self.found_count - k) * sizeof(int))
        self.found[k] = n
        self.found_count += 1
        return 0

    cdef int reserve(self, int n) except -1:
        """Room for row *n*; widening the rows lays them out anew."""
        cdef int words = self.words, capacity = self._row_capacity, i
        cdef uint64_t *grown
        if n < capacity:
            return 0
        while n >= capacity:
            capacity *= 2
        words = capacity >> 6
        grown = <uint64_t *> malloc(<size_t> capacity * words * sizeof(uint64_t))
        if not grown:
            raise MemoryError
        for i in range(self._row_capacity):
            memset(grown + <int64_t> i * words, 0, words * sizeof(uint64_t))
            memcpy(grown + <int64_t> i * words, self.row(i), self.words * sizeof(uint64_t))
        free(self.rows)
        self.rows = grown
        self.words = words
        self._row_capacity = capacity
        return 0

    cdef void order(self, int n) noexcept:
        """Fill row *n* from ``found``, which :meth:`conflicts` left for event *n*."""
        cdef uint64_t *mine = self.row(n)
        cdef uint64_t *other
        cdef int prev = self.events[n].prev
        cdef int word, k, i
        memset(mine, 0, self.words * sizeof(uint64_t))
        if prev >= 0:
            other = self.row(prev)
            for word in range((prev >> 6) + 1):
                mine[word] = other[word]
            mine[prev >> 6] |= <uint64_t> 1 << (prev & 63)
        for k in range(self.found_count):
            i = self.found[k]
            other = self.row(i)
            for word in range((i >> 6) + 1):
                mine[word] |= other[word]
            mine[i >> 6] |= <uint64_t> 1 << (i & 63)

    cdef void mark(self, Touch *touches, int count) noexcept:
        """Compare with *touches* from now on."""
        cdef int k
        self._mark += 1
        for k in range(count):
            self.places[touches[k].place].mark = self._mark
            self.places[touches[k].place].marked = touches[k].flags

    cdef bint clashes(self, Touch *touches, int count) noexcept:
        """Whether *touches* conflict with the marked ones."""
        cdef int k
        for k in range(count):
            if self.places[touches[k].place].mark == self._mark and \
                    (self.places[touches[k].place].marked | touches[k].flags) & WRITES:
                return True
        return False
