# SPDX-License-Identifier: GPL-2.0-only
"""The executions that are still to run: the branch that is explored, and where it must fork.

Node ``n`` is the choice of event ``n``.  Its *backtrack* set holds the actors to try there, its *sleep
set* the alternatives whose continuations are covered elsewhere: an actor and the outcome of its choice,
with what that event touched.

**Source sets.**  When an event conflicts with an earlier one, and nothing else orders the two,
some execution must run it before that one: :meth:`Tree._reverse` makes sure that the earlier event's
node tries an actor with which such an execution can begin.

**Locks.**  Two critical sections cannot be swapped by swapping a release with the acquisition that
waited for it; the race is lifted to the acquisition that the release ended.

**Waits.**  An event that waits is thought to look at its condition after every event that may change
it.  A look that fails races like any read (:meth:`Tree.races` is called for it although it is no event),
so a condition that holds for a moment only, in another order, is found.
"""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from kmm_ext.trace cimport NEEDS, WRITES, Event, Link, Touch, Trace

__all__ = ["Tree"]

cdef enum:
    ENABLED = 0
    BACKTRACK = 1
    DONE = 2
    DROWSY = 3                   # some alternative is asleep
    ASLEEP = 4                   # all are
    SETS = 5


cdef class Tree:
    """See the module; everything here is called by :class:`kmm_ext.explorer.Core` only.

    :param trace: the execution that the branch describes.
    :param sleeping: use sleep sets.
    :param reducing: use source sets.
    """

    def __cinit__(self, Trace trace, bint sleeping, bint reducing):
        self.trace = trace
        self.sleeping = sleeping
        self.reducing = reducing
        self._node_capacity = 64
        self._set_words = 1
        self._sleeper_capacity = 64
        self._nap_capacity = 256
        self._touch_capacity = 256
        self._section_capacity = 16
        self._kept_words = 1
        self.nodes = <Node *> malloc(self._node_capacity * sizeof(Node))
        self._sets = <uint64_t *> malloc(self._node_capacity * SETS * self._set_words * sizeof(uint64_t))
        self._sleepers = <Sleeper *> malloc(self._sleeper_capacity * sizeof(Sleeper))
        self._naps = <int *> malloc(self._nap_capacity * sizeof(int))
        self._touches = <Touch *> malloc(self._touch_capacity * sizeof(Touch))
        self._sections = <Section *> malloc(self._section_capacity * sizeof(Section))
        self._kept = <uint64_t *> malloc(self._kept_words * sizeof(uint64_t))
        if not (self.nodes and self._sets and self._sleepers and self._naps and self._touches and self._sections
                and self._kept):
            raise MemoryError

    def __dealloc__(self):
        free(self.nodes)
        free(self._sets)
        free(self._sleepers)
        free(self._naps)
        free(self._touches)
        free(self._sections)
        free(self._kept)

    # --- sets of actors -----------------------------------------------------------------------------

    cdef uint64_t *set_of(self, int n, int which) noexcept:
        return self._sets + (<size_t> n * SETS + which) * self._set_words

    cdef bint has(self, int n, int which, int pid) noexcept:
        return (self.set_of(n, which)[pid >> 6] >> (pid & 63)) & 1

    cdef void put(self, int n, int which, int pid) noexcept:
        self.set_of(n, which)[pid >> 6] |= <uint64_t> 1 << (pid & 63)

    cdef int widen(self, int pids) except -1:
        """Room for *pids* actors in each set."""
        cdef int words = self._set_words, row
        cdef uint64_t *grown
        if pids <= 64 * words:
            return 0
        while pids > 64 * words:
            words *= 2
        grown = <uint64_t *> malloc(<size_t> self._node_capacity * SETS * words * sizeof(uint64_t))
        if not grown:
            raise MemoryError
        for row in range(self.count * SETS):
            memset(grown + <size_t> row * words, 0, words * sizeof(uint64_t))
            memcpy(grown + <size_t> row * words, self._sets + <size_t> row * self._set_words,
                   self._set_words * sizeof(uint64_t))
        free(self._sets)
        self._sets = grown
        self._set_words = words
        return 0

    # --- the branch -----------------------------------------------------------------------------------

    cdef int push(self, int *enabled, int count, int current) except -1:
        """A new node, for the choice among *enabled*.

        :return: the number of the chosen actor in *enabled*, or *count* if all are asleep.
        """
        cdef int n = self.count, k, chosen = count
        cdef Node *node
        cdef void *grown
        if n == self._node_capacity:
            grown = realloc(self.nodes, 2 * n * sizeof(Node))
            if not grown:
                raise MemoryError
            self.nodes = <Node *> grown
            grown = realloc(self._sets, <size_t> 2 * n * SETS * self._set_words * sizeof(uint64_t))
            if not grown:
                raise MemoryError
            self._sets = <uint64_t *> grown
            self._node_capacity *= 2
        node = &self.nodes[n]
        node.naps = self._nap_count
        node.nap_count = 0
        node.sleepers = self._sleeper_count
        node.touches = self._touch_count
        node.value = 0
        node.values = 1
        memset(self.set_of(n, 0), 0, SETS * self._set_words * sizeof(uint64_t))
        for k in range(count):
            self.put(n, ENABLED, enabled[k])
        if self.sleeping and n and self.nodes[n - 1].nap_count:
            self._inherit(n)
        for k in range(count):
            if (chosen == count or enabled[k] == current) and not self.has(n, DROWSY, enabled[k]):
                chosen = k
        if chosen == count:
            # Some alternatives of an actor may be awake while others sleep.  As long as anybody else can
            # run they are left alone: one who sleeps may still be woken.
            for k in range(count):
                if not self.has(n, ASLEEP, enabled[k]):
                    self.put(n, BACKTRACK, enabled[k])
                    if chosen == count or enabled[k] == current:
                        chosen = k
        if chosen == count:
            self._nap_count = node.naps
            return count
        node.pid = enabled[chosen]
        self.count = n + 1
        self.put(n, DONE, node.pid)
        if self.reducing:
            self.put(n, BACKTRACK, node.pid)
        else:
            memcpy(self.set_of(n, BACKTRACK), self.set_of(n, ENABLED), self._set_words * sizeof(uint64_t))
        if self.has(n, DROWSY, node.pid):
            node.value = -1
        return chosen

    cdef int advance(self) except -1:
        """Change the last choice that has an alternative left; what lies below is dropped.

        :return: whether there was one.
        """
        cdef Node *node
        cdef int n, word, pid
        cdef uint64_t left
        while self.count:
            n = self.count - 1
            node = &self.nodes[n]
            if self.sleeping and n < self.trace.count:
                self._fall_asleep(n)
            node.value = self.awake(n, node.value)
            if node.value < node.values:
                return True
            for word in range(self._set_words):
                left = self.set_of(n, BACKTRACK)[word] & ~(self.set_of(n, DONE)[word]
                                                           | self.set_of(n, ASLEEP)[word])
                if not left:
                    continue
                pid = 64 * word
                while not left & 1:
                    left >>= 1
                    pid += 1
                self.put(n, DONE, pid)
                node.pid = pid
                node.values = 1
                node.value = -1 if self.has(n, DROWSY, pid) else 0
                return True
            self.count = n
            self._nap_count = node.naps
            self._sleeper_count = node.sleepers
            self._touch_count = node.touches
        return False

    cdef double estimate(self) noexcept:
        """About how many executions there are in all, from the branching on this branch."""
        cdef double product = 1
        cdef uint64_t left
        cdef int n, word, tried
        for n in range(self.count):
            tried = 0
            for word in range(self._set_words):
                left = self.set_of(n, BACKTRACK)[word]
                while left:
                    left &= left - 1
                    tried += 1
            product *= max(tried, 1) * self.nodes[n].values
        return product

    # --- sleep sets -----------------------------------------------------------------------------------

    cdef bint naps(self, int n, int pid, int value) noexcept:
        """Whether actor *pid* with outcome *value* is asleep at node *n*."""
        cdef Node *node = &self.nodes[n]
        cdef Sleeper *sleeper
        cdef int k
        if not self.has(n, DROWSY, pid) or self.has(n, ASLEEP, pid):
            return self.has(n, ASLEEP, pid)
        for k in range(node.nap_count):
            sleeper = &self._sleepers[self._naps[node.naps + k]]
            if sleeper.pid == pid and sleeper.value == value:
                return True
        return False

    cdef int awake(self, int n, int after) noexcept:
        """The first outcome after *after* that is not asleep for the actor of node *n*."""
        cdef Node *node = &self.nodes[n]
        after += 1
        while after < node.values and self.naps(n, node.pid, after):
            after += 1
        return after

    cdef int _inherit(self, int n) except -1:
        """Who was asleep at the last node still is, unless the event since conflicts with his."""
        cdef Node *parent = &self.nodes[n - 1]
        cdef Event *event = &self.trace.events[n - 1]
        cdef Sleeper *sleeper
        cdef int k, nap
        self.trace.mark(self.trace.touches + event.first, event.count)
        for k in range(parent.nap_count):
            nap = self._naps[parent.naps + k]
            sleeper = &self._sleepers[nap]
            if sleeper.pid != event.pid and not self.trace.clashes(self._touches + sleeper.first, sleeper.count):
                self._nap(n, nap)
        return 0

    cdef int _nap(self, int n, int sleeper) except -1:
        """Node *n*, the last one, has one more sleeper."""
        cdef Node *node = &self.nodes[n]
        cdef int *grown
        cdef int k, same = 1, pid = self._sleepers[sleeper].pid
        if self._nap_count == self._nap_capacity:
            grown = <int *> realloc(self._naps, 2 * self._nap_capacity * sizeof(int))
            if not grown:
                raise MemoryError
            self._naps = grown
            self._nap_capacity *= 2
        if self.has(n, DROWSY, pid):
            for k in range(node.nap_count):
                same += self._sleepers[self._naps[node.naps + k]].pid == pid
        self._naps[self._nap_count] = sleeper
        self._nap_count += 1
        node.nap_count += 1
        self.put(n, DROWSY, pid)
        if same == self._sleepers[sleeper].values:
            self.put(n, ASLEEP, pid)
        return 0

    cdef int _fall_asleep(self, int n) except -1:
        """What was just explored at node *n*, the last one, need not be again below its siblings."""
        cdef Node *node = &self.nodes[n]
        cdef Event *event = &self.trace.events[n]
        cdef Sleeper *sleeper
        cdef void *grown
        if self._sleeper_count == self._sleeper_capacity:
            grown = realloc(self._sleepers, 2 * self._sleeper_capacity * sizeof(Sleeper))
            if not grown:
                raise MemoryError
            self._sleepers = <Sleeper *> grown
            self._sleeper_capacity *= 2
        while self._touch_count + event.count > self._touch_capacity:
            grown = realloc(self._touches, 2 * self._touch_capacity * sizeof(Touch))
            if not grown:
                raise MemoryError
            self._touches = <Touch *> grown
            self._touch_capacity *= 2
        sleeper = &self._sleepers[self._sleeper_count]
        sleeper.pid = node.pid
        sleeper.value = node.value
        sleeper.values = node.values
        sleeper.first = self._touch_count
        sleeper.count = event.count
        memcpy(self._touches + self._touch_count, self.trace.touches + event.first, event.count * sizeof(Touch))
        self._touch_count += event.count
        self._sleeper_count += 1
        return self._nap(n, self._sleeper_count - 1)

    # --- races ------------------------------------------------------------------------------------------

    cdef int races(self, Event *event, int n) except -1:
        """Reverse the races that end in *event*, whose conflicts were found last.

        :param n: its number, or the one that it would have.
        """
        cdef Trace trace = self.trace
        cdef int k, s
        if not trace.found_count:
            return 0
        trace.mark(trace.touches + event.first, event.count)
        self._section_count = 0
        for k in range(event.count):
            if trace.touches[event.first + k].flags & NEEDS:
                self._find_sections(event)
                break
        for k in range(trace.found_count):
            if not self._known(trace.found[k], event) and self._immediate(k) and not self._ends(trace.found[k]):
                self._reverse(trace.found[k], n, event)
        for s in range(self._section_count):
            if not self._sections[s].known and self._section_is_immediate(&self._sections[s]):
                self._reverse(self._sections[s].start, n, event)
        return 0

    cdef bint _known(self, int i, Event *event) noexcept:
        """Whether event *i* happens before *event* by program order or creation alone."""
        return event.prev >= 0 and self.trace.before(i, event.prev)

    cdef bint _immediate(self, int k) noexcept:
        """Whether no later conflict lies between the one numbered *k* and the event."""
        cdef Trace trace = self.trace
        cdef int later
        for later in range(k + 1, trace.found_count):
            if trace.before(trace.found[k], trace.found[later]):
                return False
        return True

    cdef int _find_sections(self, Event *event) except -1:
        """The sections of locks that *event* needs: those that are open, and those that a conflict ended."""
        cdef Trace trace = self.trace
        cdef Touch *needed
        cdef Link *holder
        cdef int k, i, start
        for k in range(event.count):
            needed = &trace.touches[event.first + k]
            if not needed.flags & NEEDS:
                continue
            holder = trace.holders(needed.place)
            while holder:
                if holder.pid != event.pid and not (holder.shared and not needed.flags & WRITES):
                    self._add_section(event, holder.event, holder.event, True)
                holder = trace.next_holder(holder)
        for k in range(trace.found_count):
            i = trace.found[k]
            if not self._known(i, event):
                start = self._start_of(event, i)
                if 0 <= start < i:
                    self._add_section(event, start, i, False)
        return 0

    cdef int _add_section(self, Event *event, int start, int end, bint held) except -1:
        cdef void *grown
        cdef Section *section
        if self._section_count == self._section_capacity:
            grown = realloc(self._sections, 2 * self._section_capacity * sizeof(Section))
            if not grown:
                raise MemoryError
            self._sections = <Section *> grown
            self._section_capacity *= 2
        section = &self._sections[self._section_count]
        section.start = start
        section.end = end
        section.held = held
        section.known = self._known(start, event)
        self._section_count += 1
        return 0

    cdef int _start_of(self, Event *event, int i) noexcept:
        """The event that took what *event* needs and event *i* gave back, or -1."""
        cdef Trace trace = self.trace
        cdef Event *earlier = &trace.events[i]
        cdef Touch *touch
        cdef int k, other, start = -1
        for k in range(event.count):
            if not trace.touches[event.first + k].flags & NEEDS:
                continue
            for other in range(earlier.count):
                touch = &trace.touches[earlier.first + other]
                if touch.place == trace.touches[event.first + k].place and touch.acquired >= 0 and (
                        start < 0 or touch.acquired < start):
                    start = touch.acquired
        return start

    cdef bint _ends(self, int i) noexcept:
        """Whether event *i* ends a section."""
        cdef int s
        for s in range(self._section_count):
            if self._sections[s].end == i:
                return True
        return False

    cdef bint _section_is_immediate(self, Section *section) noexcept:
        """Whether no later conflict lies between *section* and the event.

        Those inside do not count, and neither does the end of another one, which may overlap this one.
        """
        cdef Trace trace = self.trace
        cdef int k, i
        if section.held:
            return True
        for k in range(trace.found_count):
            i = trace.found[k]
            if trace.before(section.start, i) and not trace.before(i, section.end) and not self._ends(i):
                return False
        return True

    # --- reversing one race -------------------------------------------------------------------------------

    cdef int _reverse(self, int r, int n, Event *event) except -1:
        """Make sure that some execution runs *event* before event *r*.

        It has the events in between that do not depend on *r*, as far as *event* can follow them; it
        may begin with any of these that comes first, or with *event* itself.
        """
        cdef Trace trace = self.trace
        cdef uint64_t *row
        cdef int k, word, low = r >> 6, pid, first = -1
        cdef bint after, mine = event.prev <= r
        cdef void *grown
        if self._kept_words < trace.words:
            grown = realloc(self._kept, trace.words * sizeof(uint64_t))
            if not grown:
                raise MemoryError
            self._kept = <uint64_t *> grown
            self._kept_words = trace.words
        if not self._keep(r, n):
            return 0
        for k in range(r + 1, n):
            if not (self._kept[k >> 6] >> (k & 63)) & 1:
                continue
            row = trace.row(k)
            after = False
            for word in range(low, (k >> 6) + 1):
                if row[word] & self._kept[word]:
                    after = True
                    break
            if not after:
                pid = trace.events[k].pid
                if self.has(r, BACKTRACK, pid) or self.naps(r, pid, trace.events[k].value):
                    return 0
                if self.has(r, ENABLED, pid) and first != event.pid and (
                        first < 0 or pid < first or pid == event.pid):
                    first = pid
            if mine and trace.clashes(trace.touches + trace.events[k].first, trace.events[k].count):
                mine = False
        if mine and not self._try_first(r, n, event):
            return 0
        if first >= 0:
            self.put(r, BACKTRACK, first)
        return 0

    cdef bint _keep(self, int r, int n) noexcept:
        """Put what can come before the event, of what is between *r* and *n*, in the bits of ``_kept``.

        A section of a lock that the event needs can come along only whole.

        :return: whether the event can come before *r*.
        """
        cdef Section *section
        cdef int s
        cdef bint again = True
        for s in range(self._section_count):
            self._sections[s].dropped = self._sections[s].start == r
        while again:
            again = False
            self._drop(r, n)
            for s in range(self._section_count):
                section = &self._sections[s]
                if section.dropped or (not section.held and (
                        section.end < r or (self._kept[section.end >> 6] >> (section.end & 63)) & 1)):
                    continue
                if section.start < r or section.known:
                    return False
                section.dropped = again = True
        return True

    cdef void _drop(self, int r, int n) noexcept:
        """Put the events between *r* and *n* that depend neither on *r* nor on what is dropped in ``_kept``."""
        cdef uint64_t *row
        cdef int k, s, low = r >> 6
        cdef bint dropped
        memset(self._kept + low, 0, ((n >> 6) - low + 1) * sizeof(uint64_t))
        for k in range(r + 1, n):
            row = self.trace.row(k)
            dropped = (row[r >> 6] >> (r & 63)) & 1
            for s in range(self._section_count):
                if dropped:
                    break
                dropped = self._sections[s].dropped and self._sections[s].start <= k and \
                    self.trace.before(self._sections[s].start, k)
            if not dropped:
                self._kept[k >> 6] |= <uint64_t> 1 << (k & 63)

    cdef bint _try_first(self, int r, int n, Event *event) noexcept:
        """*event* depends on nothing that is kept before it: try its actor at node *r*, if that is awake.

        What a sleeper touched is known for sure; what *event* touches is not, there or at all.

        :return: whether something that is kept must be tried first, for it would wake the actor.
        """
        cdef Node *node = &self.nodes[r]
        cdef Sleeper *sleeper
        cdef bint asleep = self.has(r, ASLEEP, event.pid), woken = False
        cdef int nap, k
        for nap in range(node.nap_count):
            sleeper = &self._sleepers[self._naps[node.naps + nap]]
            if sleeper.pid != event.pid or (event.value >= 0 and sleeper.value != event.value):
                continue
            if event.value >= 0:
                asleep = True
            self.trace.mark(self._touches + sleeper.first, sleeper.count)
            for k in range(r + 1, n):
                if (self._kept[k >> 6] >> (k & 63)) & 1 and self.trace.clashes(
                        self.trace.touches + self.trace.events[k].first, self.trace.events[k].count):
                    woken = True
                    break
            self.trace.mark(self.trace.touches + event.first, event.count)
        if not asleep and self.has(r, ENABLED, event.pid):
            self.put(r, BACKTRACK, event.pid)
        return woken
