# SPDX-License-Identifier: GPL-2.0-only
"""The explorer's core: one execution at a time, and the tree of those still to run.

The algorithm is source-DPOR with sleep sets (Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic
partial order reduction", POPL 2014, algorithm 1), stateless: an execution is a replayed prefix of
choices and a free extension.  Modes ``sleep`` (sleep sets only) and ``dfs`` (nothing) run on the same
scheduler and use none of the race code; they are the oracle of the reduced search.

**Events.**  An actor's :meth:`Core.step` ends its previous event and blocks until the scheduler lets it
perform the next one.  What an event touches is told while it runs (:meth:`Core.read`,
:meth:`Core.write`), so footprints are dynamic; the footprint used for a sleeping actor is the one its
event had in the sibling branch, which independence keeps valid.

**Happens-before** is one bit row per event: row ``n`` has bit ``i`` iff event ``i`` happens before ``n``.

**Locks.**  Two critical sections cannot be swapped by swapping an unlock with the lock that waited for
it; the race is *lifted* to the acquisition that the unlock ended, provided nothing else orders the two.
A CPU's interrupt token is such a lock: a handler owns it while it runs, a task while it has interrupts
off, and every event of an actor of that CPU needs it free or its own.

**Waits** (:meth:`Core.step_when`) are enabled when their condition holds; which actors were enabled is
kept at every node, so whether a reversal is possible is known, not guessed.  An actor that is blocked
at the end still races with what blocks it.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["ActorError", "Core", "Nondeterminism"]

cdef enum:
    PENDING_STEP = 0
    PENDING_ACQUIRE = 1
    PENDING_WAIT = 2
    PENDING_START_IRQ = 3
    PENDING_NONE = 4

cdef int START = 0


class Nondeterminism(RuntimeError):
    """Replaying the same choices did something else.

    :ivar index: number of the first event that differs.
    """

    def __init__(self, index, expected, found):
        self.index = index
        super().__init__(f"event {index} differs between two runs of one schedule: {expected} before, "
                         f"{found} now; something outside the model decides what happens")


class ActorError(RuntimeError):
    """An actor raised an exception that its code does not handle.

    :ivar actor: its name.
    :ivar error: the exception.
    :ivar schedule: the choices that led there.
    """

    def __init__(self, actor, error, schedule):
        self.actor = actor
        self.error = error
        self.schedule = schedule
        super().__init__(f"{actor}: {type(error).__name__}: {error}")


cdef class _Process:
    cdef int pid
    cdef object name
    cdef object function
    cdef object glet
    cdef int cpu                 # -1: none
    cdef bint irq
    cdef bint started
    cdef bint ended
    cdef int pending             # PENDING_*
    cdef int kind
    cdef int64_t lock
    cdef bint shared
    cdef object condition
    cdef object locs
    cdef bint holds              # last value of the condition
    cdef int64_t seen            # versions of locs when it was evaluated
    cdef int last                # its last event, -1: none
    cdef int spawned_by          # event that created it, -1: the program
    cdef int children


cdef class _Node:
    cdef int pid
    cdef int value
    cdef int values
    cdef object enabled          # frozenset of pids
    cdef set backtrack
    cdef set done
    cdef dict sleep              # pid -> (reads, writes)


cdef class _Event:
    cdef int pid
    cdef int kind
    cdef int prev                # program-order predecessor or spawn event, -1
    cdef set reads
    cdef set writes
    cdef list needs              # locs of locks that it could not run without
    cdef dict released           # loc -> index of the event that acquired it
    cdef int value


cdef class Core:
    """One search.

    :param mode: ``"source"``, ``"sleep"``, ``"dfs"``, ``"replay"``, ``"random"``, ``"pct"`` or ``"pos"``.
    :param seed: of the random modes.
    :param depth: of ``pct``: number of priority change points plus one.
    :param verify: compare replayed events with what was recorded.
    """

    cdef readonly str mode
    cdef readonly int current
    cdef public bint verify
    cdef readonly list violations
    cdef readonly str status
    cdef readonly list blocked_on
    cdef readonly int last_length
    cdef dict keys               # structural key -> pid
    cdef list names
    cdef list nodes
    cdef list events             # _Event, index = node index
    cdef list processes          # by pid, of this execution (None: not alive)
    cdef list alive
    cdef dict last_write         # loc -> event
    cdef dict last_reads         # loc -> {pid: event}
    cdef dict versions           # loc -> writes so far
    cdef dict locks              # loc -> list of (pid, acquire event, shared)
    cdef _Event event            # the current event
    cdef int index               # its number
    cdef int fresh               # events below this number are replayed
    cdef bint dead
    cdef object hub
    cdef object failure
    cdef uint64_t *rows
    cdef int words
    cdef int capacity
    cdef uint64_t *scratch
    cdef uint64_t rng
    cdef list script             # replay: [(pid, value)]
    cdef int pct_depth
    cdef dict priorities
    cdef set change_points
    cdef int low
    cdef int length_estimate

    def __cinit__(self, str mode="source", *, seed=1, int depth=4, bint verify=False):
        if mode not in ("source", "sleep", "dfs", "replay", "random", "pct", "pos"):
            raise ValueError(f"no search mode {mode!r}")
        self.mode = mode
        self.verify = verify
        self.keys = {}
        self.names = []
        self.nodes = []
        self.events = []
        self.fresh = 0
        self.words = 4
        self.capacity = 256
        self.rows = <uint64_t *> malloc(self.capacity * self.words * sizeof(uint64_t))
        self.scratch = <uint64_t *> malloc(4 * self.words * sizeof(uint64_t))
        if not self.rows or not self.scratch:
            raise MemoryError
        self.rng = (<uint64_t> (seed & 0xffffffffffffffff)) * 0x9e3779b97f4a7c15 + 1
        self.script = []
        self.pct_depth = depth
        self.length_estimate = 64
        self.violations = []
        self.status = "new"
        self.blocked_on = []
        self.processes = []
        self.alive = []
        self._clear()

    def __dealloc__(self):
        free(self.rows)
        free(self.scratch)

    cdef void _clear(self):
        self.processes = [None] * len(self.names)
        self.alive = []
        self.last_write = {}
        self.last_reads = {}
        self.versions = {}
        self.locks = {}
        self.violations = []
        self.event = None
        self.index = -1
        self.current = -1
        self.dead = False
        self.failure = None
        self.blocked_on = []

    # --- rows -----------------------------------------------------------------------------------

    cdef uint64_t *row(self, int n):
        return self.rows + <int64_t> n * self.words

    cdef int reserve(self, int n) except -1:
        """Room for event *n*; widening the rows lays them out anew."""
        cdef int words = self.words, capacity = self.capacity, i
        cdef uint64_t *grown
        if n < capacity:
            return 0
        while n >= capacity:
            capacity *= 2
        while capacity > words * 64:
            words *= 2
        grown = <uint64_t *> malloc(<size_t> capacity * words * sizeof(uint64_t))
        if not grown:
            raise MemoryError
        memset(grown, 0, <size_t> capacity * words * sizeof(uint64_t))
        for i in range(min(n, self.capacity)):
            memcpy(grown + <int64_t> i * words, self.rows + <int64_t> i * self.words, self.words * sizeof(uint64_t))
        free(self.rows)
        self.rows = grown
        self.words = words
        self.capacity = capacity
        grown = <uint64_t *> realloc(self.scratch, 4 * words * sizeof(uint64_t))
        if not grown:
            raise MemoryError
        self.scratch = grown
        return 0

    cdef bint before(self, int i, int n):
        """Whether event *i* happens before event *n*."""
        return i == n or (self.row(n)[i >> 6] >> (i & 63)) & 1

    # --- actors ---------------------------------------------------------------------------------

    def spawn(self, function, name):
        """Create an actor, as part of the current event or before the first one.

        :return: its number, the same in every execution in which this parent's n-th child exists.
        """
        return self._spawn(function, name, -1, False)

    def spawn_irq(self, function, name, int cpu):
        """Create an interrupt handler of *cpu*: it starts when the CPU's token is free and owns the
        token until it ends."""
        return self._spawn(function, name, cpu, True)

    cdef int _spawn(self, object function, object name, int cpu, bint irq) except -1:
        cdef _Process parent = None
        cdef _Process child = _Process()
        if self.current >= 0 and not self.dead:
            parent = self.processes[self.current]
            key = (self.current, parent.children)
            parent.children += 1
        else:
            key = (-1, len(self.alive))
        pid = self.keys.get(key)
        if pid is None:
            pid = self.keys[key] = len(self.names)
            self.names.append(name)
            self.processes.append(None)
        self.names[pid] = name
        child.pid = pid
        child.name = name
        child.function = function
        child.cpu = cpu
        child.irq = irq
        child.pending = PENDING_START_IRQ if irq else PENDING_STEP
        child.kind = START
        child.last = -1
        child.spawned_by = self.index if self.current >= 0 else -1
        self.processes[pid] = child
        self.alive.append(child)
        return pid

    def bind(self, int pid, int cpu):
        """Actor *pid* runs on *cpu*: each of its events needs that CPU's token free or its own."""
        (<_Process> self.processes[pid]).cpu = cpu

    # --- what actors call -----------------------------------------------------------------------

    def step(self, int kind):
        """Scheduling point: end the previous event; on return, the next one has begun."""
        cdef _Process me = self._me()
        me.pending = PENDING_STEP
        me.kind = kind
        self._yield(me)

    def step_when(self, int kind, condition, locs):
        """An event that waits: enabled while ``condition()`` holds.

        :param condition: a function of the state, without effects; it may change only by writes to
            *locs*.
        :param locs: what the event reads.
        """
        cdef _Process me = self._me()
        me.pending = PENDING_WAIT
        me.kind = kind
        me.condition = condition
        me.locs = tuple(locs)
        me.seen = -1
        self._yield(me)
        self.event.reads.update(me.locs)

    def acquire(self, int kind, int64_t loc, bint shared=False):
        """An event that takes the lock *loc*; enabled while nobody holds it in a way that excludes."""
        cdef _Process me = self._me()
        me.pending = PENDING_ACQUIRE
        me.kind = kind
        me.lock = loc
        me.shared = shared
        self._yield(me)
        self.event.needs.append(loc)
        self._take(me, loc, shared)

    def try_acquire(self, int kind, int64_t loc, bint shared=False):
        """An event that takes the lock if it can.

        :return: whether it did.
        """
        cdef _Process me = self._me()
        me.pending = PENDING_STEP
        me.kind = kind
        self._yield(me)
        if not self._free(loc, shared):
            self.event.reads.add(loc)
            return False
        self._take(me, loc, shared)
        return True

    cdef void _take(self, _Process me, object loc, bint shared):
        holders = self.locks.get(loc)
        if holders is None:
            holders = self.locks[loc] = []
        holders.append((me.pid, self.index, shared))
        if shared:
            self.event.reads.add(loc)
        else:
            self.event.writes.add(loc)

    cdef bint _free(self, object loc, bint shared):
        holders = self.locks.get(loc)
        if not holders:
            return True
        if not shared:
            return False
        for _, _, mode in holders:
            if not mode:
                return False
        return True

    def release(self, int kind, int64_t loc, bint shared=False):
        """An event that gives a lock back."""
        cdef _Process me = self._me()
        me.pending = PENDING_STEP
        me.kind = kind
        self._yield(me)
        self._give(me.pid, loc, shared)

    cdef void _give(self, int pid, object loc, bint shared):
        holders = self.locks.get(loc)
        if holders:
            for position in range(len(holders) - 1, -1, -1):
                if holders[position][0] == pid:
                    if self.event.released is None:
                        self.event.released = {}
                    self.event.released[loc] = holders[position][1]
                    del holders[position]
                    break
        if shared:
            self.event.reads.add(loc)
        else:
            self.event.writes.add(loc)

    def mask(self, int cpu):
        """Part of the current event: its actor takes the interrupt token of *cpu*."""
        self._take(<_Process> self.processes[self.current], -1 - cpu, False)

    def unmask(self, int cpu):
        """Part of the current event: the token is free again."""
        self._give(self.current, -1 - cpu, False)

    def read(self, int64_t loc):
        """The current event reads *loc*."""
        if self.event is not None:
            self.event.reads.add(loc)

    def write(self, int64_t loc):
        """The current event writes *loc*."""
        if self.event is not None:
            self.event.writes.add(loc)

    def choose(self, int kind, int n):
        """An event whose outcome is one of ``range(n)``; the search tries all of them."""
        cdef _Process me = self._me()
        cdef _Node node
        me.pending = PENDING_STEP
        me.kind = kind
        self._yield(me)
        if self.index < len(self.nodes):
            node = self.nodes[self.index]
            node.values = n
            if node.value >= n:
                raise Nondeterminism(self.index, f"a choice of more than {node.value}", f"a choice of {n}")
            self.event.value = node.value
            return node.value
        if self.index < len(self.script):
            self.event.value = self.script[self.index][1]
        elif self.mode in ("random", "pct", "pos"):
            self.event.value = self._random() % n
        return self.event.value

    def violation(self, payload):
        """The current event broke a rule; the execution goes on."""
        self.violations.append((self.index, payload))

    def abort_process(self):
        """End the running actor here."""
        raise GreenletExit

    cdef _Process _me(self):
        if self.dead:
            raise GreenletExit
        return <_Process> self.processes[self.current]

    # --- scheduling -------------------------------------------------------------------------------

    cdef int _yield(self, _Process me) except -1:
        """Find who performs the next event; come back when that is *me*."""
        cdef _Process chosen
        self._finish_event()
        chosen = self._choose()
        if chosen is not me:
            if chosen is None:
                self.hub.switch()
            else:
                self._switch(chosen)
            if self.dead:
                raise GreenletExit
        self._begin(me)
        return 0

    cdef int _switch(self, _Process chosen) except -1:
        if chosen.glet is None:
            chosen.glet = greenlet(self._body, self.hub)
            chosen.glet.switch(chosen)
        else:
            chosen.glet.switch()
        return 0

    def _body(self, _Process me):
        cdef _Process chosen
        try:
            self._begin(me)
            if me.irq:
                self.event.needs.append(-1 - me.cpu)
                self._take(me, -1 - me.cpu, False)
            me.function()
        except GreenletExit:
            if self.dead:
                return
        except BaseException as error:  # noqa: BLE001 - handed to the driver
            self.failure = ActorError(me.name, error, self.schedule())
            self.failure.__cause__ = error
            return                      # to the hub, the parent
        me.ended = True
        me.pending = PENDING_NONE
        self._drop_locks(me)
        self._finish_event()
        self.alive.remove(me)
        chosen = self._choose()
        if chosen is not None:
            # The hub resumes whoever is chosen, so that this greenlet can die.
            self.current = -2 - chosen.pid

    cdef void _drop_locks(self, _Process me):
        if me.cpu >= 0:
            holders = self.locks.get(-1 - me.cpu)
            if holders and holders[0][0] == me.pid:
                self._give(me.pid, -1 - me.cpu, False)

    cdef int _begin(self, _Process me) except -1:
        """*me* performs its next event from here."""
        cdef _Event event = _Event()
        cdef _Node node
        self.current = me.pid
        self.index += 1
        event.pid = me.pid
        event.kind = me.kind
        event.prev = me.last if me.last >= 0 else me.spawned_by
        event.reads = set()
        event.writes = set()
        event.needs = []
        event.value = 0
        me.started = True
        me.pending = PENDING_NONE
        if me.cpu >= 0 and not me.irq:
            event.reads.add(-1 - me.cpu)
            event.needs.append(-1 - me.cpu)
        me.last = self.index
        self.event = event
        return 0

    cdef int _enabled(self, _Process p) except -1:
        cdef int64_t now
        if p.pending == PENDING_NONE:
            return False
        if p.cpu >= 0:
            holders = self.locks.get(-1 - p.cpu)
            if holders and (<object> holders[0])[0] != p.pid:
                return False
        if p.pending == PENDING_ACQUIRE:
            return self._free(p.lock, p.shared)
        if p.pending == PENDING_WAIT:
            now = 0
            for loc in p.locs:
                now += <int64_t> self.versions.get(loc, 0)
            if now != p.seen:
                p.seen = now
                p.holds = bool(p.condition())
            return p.holds
        return True

    cdef _Process _choose(self):
        """The next actor, and the node that this choice is; None ends the execution."""
        cdef int n = self.index + 1
        cdef _Node node, parent
        cdef _Process p, chosen = None
        cdef list enabled = [p for p in self.alive if self._enabled(p)]
        if n < len(self.nodes):
            node = self.nodes[n]
            p = self.processes[node.pid] if node.pid < len(self.processes) else None
            if p is None or p not in enabled:
                self.failure = Nondeterminism(n, f"{self.names[node.pid]} can run", "it cannot")
                self.status = "failed"
                return None
            return p
        if not enabled:
            self._ended_by_itself()
            return None
        if self.mode in ("replay", "random", "pct", "pos"):
            return self._choose_without_tree(n, enabled)
        node = _Node()
        node.enabled = frozenset([(<_Process> p).pid for p in enabled])
        node.values = 1
        node.sleep = self._inherited_sleep(n)
        for p in enabled:
            if p.pid not in node.sleep and (chosen is None or p.pid == self.current):
                chosen = p
        if chosen is None:
            self.status = "blocked"
            return None
        node.pid = chosen.pid
        node.done = {chosen.pid}
        if self.mode == "source":
            node.backtrack = {chosen.pid}
        else:
            node.backtrack = set(node.enabled)
        self.nodes.append(node)
        return chosen

    cdef dict _inherited_sleep(self, int n):
        cdef dict sleep = {}
        cdef _Node parent
        cdef _Event event
        if n and self.mode != "dfs":
            parent = self.nodes[n - 1]
            event = self.events[n - 1]
            for pid, (reads, writes) in parent.sleep.items():
                if pid != event.pid and writes.isdisjoint(event.writes) and writes.isdisjoint(event.reads) \
                        and reads.isdisjoint(event.writes):
                    sleep[pid] = (reads, writes)
        return sleep

    cdef void _ended_by_itself(self):
        cdef _Process p
        if not self.alive:
            self.status = "done"
            return
        self.status = "deadlock"
        for p in self.alive:
            self.blocked_on.append((p.pid, p.name, p.kind, p.lock if p.pending == PENDING_ACQUIRE else -1))
        if self.mode == "source":
            for p in self.alive:
                self._race_of_pending(p)

    # --- the end of an event ------------------------------------------------------------------------

    cdef int _finish_event(self) except -1:
        cdef _Event event = self.event, recorded
        cdef int n = self.index
        if event is None:
            return 0
        self.event = None
        event.reads -= event.writes
        if n < self.fresh:
            recorded = self.events[n]
            if event.pid != recorded.pid or event.kind != recorded.kind or (
                    self.verify and (event.reads != recorded.reads or event.writes != recorded.writes)):
                raise Nondeterminism(n, self._describe(recorded), self._describe(event))
        else:
            del self.events[n:]
            self.events.append(event)
            self.reserve(n)
            self._order(n, event)
        for loc in event.writes:
            self.last_write[loc] = n
            self.last_reads.pop(loc, None)
            self.versions[loc] = self.versions.get(loc, 0) + 1
        for loc in event.reads:
            readers = self.last_reads.get(loc)
            if readers is None:
                self.last_reads[loc] = {event.pid: n}
            else:
                readers[event.pid] = n
        return 0

    def _describe(self, _Event event):
        return (f"{self.names[event.pid]} kind {event.kind} reads {sorted(event.reads)} "
                f"writes {sorted(event.writes)}")

    cdef list _conflicts(self, _Event event):
        """The latest events of other actors that touch what *event* touches, ascending."""
        cdef set found = set()
        for loc in event.writes:
            other = self.last_write.get(loc)
            if other is not None:
                found.add(other)
            readers = self.last_reads.get(loc)
            if readers is not None:
                found.update(readers.values())
        for loc in event.reads:
            other = self.last_write.get(loc)
            if other is not None:
                found.add(other)
        return sorted([i for i in found if (<_Event> self.events[i]).pid != event.pid])

    cdef int _order(self, int n, _Event event) except -1:
        """Fill row *n*, and reverse the races that end in event *n*."""
        cdef uint64_t *mine = self.row(n)
        cdef uint64_t *other
        cdef int word, i
        cdef list found = self._conflicts(event)
        memset(mine, 0, self.words * sizeof(uint64_t))
        if event.prev >= 0:
            memcpy(mine, self.row(event.prev), self.words * sizeof(uint64_t))
            mine[event.prev >> 6] |= <uint64_t> 1 << (event.prev & 63)
        if self.mode == "source" and found:
            self._races(n, event, found)
        for i in found:
            other = self.row(i)
            for word in range(self.words):
                mine[word] |= other[word]
            mine[i >> 6] |= <uint64_t> 1 << (i & 63)
        return 0

    cdef bint _known(self, int i, _Event event):
        """Whether event *i* happens before *event* by program order or creation alone."""
        return event.prev >= 0 and self.before(i, event.prev)

    cdef int _races(self, int n, _Event event, list found) except -1:
        cdef int i, k, j
        cdef bint immediate
        cdef list immediate_ones = []
        cdef list lifted = []
        cdef _Event earlier
        for i in found:
            if self._known(i, event):
                continue
            immediate = True
            for k in found:
                if k > i and self.before(i, k):
                    immediate = False
                    break
            if immediate:
                immediate_ones.append(i)
        for i in immediate_ones:
            earlier = self.events[i]
            j = i
            if earlier.released is not None:
                for loc in event.needs:
                    if loc in earlier.released:
                        j = min(j, <int> earlier.released[loc])
            if j == i:
                self._reverse(i, [i], n, event, found)
            else:
                lifted.append((j, i))
        for j, i in lifted:
            if self._known(j, event):
                continue
            earlier = self.events[i]
            immediate = True
            for k in found:
                if k != i and self.before(j, k) and not (
                        (<_Event> self.events[k]).pid == earlier.pid and j <= k <= i):
                    # Another holder's section may overlap this one; any other order is real.
                    if not any([k == end for _, end in lifted]):
                        immediate = False
                        break
            if not immediate or any([start < j < end for start, end in lifted]):
                continue
            self._reverse(j, [start for start, _ in lifted], n, event, found)
        return 0

    cdef int _reverse(self, int r, list without, int n, _Event event, list found) except -1:
        """Make sure that some execution runs *event* before event *r*.

        :param without: events whose successors cannot come along.
        """
        cdef _Node node = self.nodes[r]
        cdef uint64_t *kept = self.scratch
        cdef uint64_t *base = self.scratch + self.words
        cdef uint64_t *other
        cdef int k, word, x
        cdef bint clash
        cdef set initials = set()
        memset(kept, 0, self.words * sizeof(uint64_t))
        for k in range(r + 1, n):
            clash = False
            for x in without:
                if x <= k and self.before(x, k):
                    clash = True
                    break
            if clash:
                continue
            other = self.row(k)
            clash = False
            for word in range(r >> 6, (k >> 6) + 1):
                if other[word] & kept[word]:
                    clash = True
                    break
            if not clash:
                initials.add((<_Event> self.events[k]).pid)
            kept[k >> 6] |= <uint64_t> 1 << (k & 63)
        memset(base, 0, self.words * sizeof(uint64_t))
        if event.prev >= 0:
            other = self.row(event.prev)
            for word in range(self.words):
                base[word] = other[word]
            base[event.prev >> 6] |= <uint64_t> 1 << (event.prev & 63)
        for k in range(r + 1, n):
            if (kept[k >> 6] >> (k & 63)) & 1 and self._dependent(<_Event> self.events[k], event):
                base[k >> 6] |= <uint64_t> 1 << (k & 63)
        clash = False
        for word in range(self.words):
            if base[word] & kept[word]:
                clash = True
                break
        if not clash:
            initials.add(event.pid)
        for pid in initials:
            if pid in node.backtrack or pid in node.sleep:
                return 0
        possible = initials & node.enabled
        if possible:
            node.backtrack.add(event.pid if event.pid in possible else min(possible))
        return 0

    cdef bint _dependent(self, _Event a, _Event b):
        return not (a.writes.isdisjoint(b.writes) and a.writes.isdisjoint(b.reads)
                    and a.reads.isdisjoint(b.writes))

    cdef int _race_of_pending(self, _Process p) except -1:
        """*p* is blocked for good here; it might not be had it come earlier."""
        cdef _Event event = _Event()
        cdef int n = self.index + 1
        event.pid = p.pid
        event.kind = p.kind
        event.prev = p.last if p.last >= 0 else p.spawned_by
        event.reads = set()
        event.writes = set()
        event.needs = []
        if p.cpu >= 0:
            event.needs.append(-1 - p.cpu)
            event.reads.add(-1 - p.cpu)
        if p.pending == PENDING_ACQUIRE:
            event.needs.append(p.lock)
            if p.shared:
                event.reads.add(p.lock)
            else:
                event.writes.add(p.lock)
        elif p.pending == PENDING_WAIT:
            event.reads.update(p.locs)
        event.reads -= event.writes
        found = self._conflicts(event)
        # What still holds the lock is no race to lift; the acquisition itself is the conflict.
        self._races(n, event, found)
        return 0

    # --- without a tree -------------------------------------------------------------------------------

    cdef uint64_t _random(self):
        self.rng ^= self.rng << 13
        self.rng ^= self.rng >> 7
        self.rng ^= self.rng << 17
        return self.rng

    cdef _Process _choose_without_tree(self, int n, list enabled):
        cdef _Process p, best = None
        if n < len(self.script):
            pid = self.script[n][0]
            for p in enabled:
                if p.pid == pid:
                    return p
            self.failure = Nondeterminism(n, f"{self.names[pid] if pid < len(self.names) else pid} can run",
                                          "it cannot")
            self.status = "failed"
            return None
        if self.mode == "replay":
            for p in enabled:
                if best is None or p.pid == self.current:
                    best = p
            return best
        if self.mode == "random":
            return enabled[self._random() % <uint64_t> len(enabled)]
        if self.mode == "pct" and n in self.change_points and self.current >= 0:
            self.low -= 1
            self.priorities[self.current] = self.low
        for p in enabled:
            if p.pid not in self.priorities:
                self.priorities[p.pid] = 1 + (self._random() >> 16)
            if best is None or self.priorities[p.pid] > self.priorities[best.pid]:
                best = p
        if self.mode == "pos":
            # A chosen actor draws anew, and so does whoever raced with it; the footprint is known
            # only afterwards, so everybody who was enabled draws.
            self.priorities = {}
        return best

    # --- the driver's side ------------------------------------------------------------------------------

    def execute(self, program):
        """Run one execution.

        :param program: called with this core; spawns the first actors.
        :return: ``"done"``, ``"deadlock"`` or ``"blocked"`` (redundant, cut off by a sleep set).
        :raises ActorError: an actor raised.
        :raises Nondeterminism: a replayed choice was impossible.
        """
        cdef _Process p
        cdef _Process chosen
        self._clear()
        self.hub = getcurrent()
        self.status = "running"
        if self.mode == "pct":
            self.change_points = {self._random() % <uint64_t> max(self.length_estimate, 1)
                                  for _ in range(self.pct_depth - 1)}
        self.priorities = {}
        self.low = 0
        try:
            program(self)
            chosen = self._choose()
            while chosen is not None and self.failure is None:
                self._switch(chosen)
                if self.failure is not None or self.status != "running":
                    break
                if self.current <= -2:
                    chosen = self.processes[-2 - self.current]
                else:
                    break
        except Nondeterminism as error:
            self.failure = error
        finally:
            self._kill()
        self.last_length = self.index + 1
        self.length_estimate = max(self.length_estimate, self.last_length)
        if self.failure is not None:
            failure = self.failure
            self.failure = None
            self.status = "failed"
            cause = failure.__cause__
            if isinstance(cause, Nondeterminism):
                raise cause
            raise failure
        return self.status

    cdef void _kill(self):
        cdef _Process p
        self.dead = True
        for p in self.alive:
            if p.glet is not None and not p.glet.dead:
                p.glet.throw(GreenletExit)
        self.event = None

    def advance(self):
        """Prepare the next execution of the tree.

        :return: False when there is none.
        """
        cdef _Node node
        cdef _Event event
        while self.nodes:
            node = self.nodes[len(self.nodes) - 1]
            if node.value + 1 < node.values:
                node.value += 1
                self.fresh = len(self.nodes) - 1
                return True
            if self.mode != "dfs" and len(self.nodes) <= len(self.events):
                event = self.events[len(self.nodes) - 1]
                node.sleep[node.pid] = (event.reads, event.writes)
            rest = sorted([pid for pid in node.backtrack if pid not in node.done and pid not in node.sleep])
            if rest:
                node.pid = rest[0]
                node.done.add(rest[0])
                node.value = 0
                node.values = 1
                self.fresh = len(self.nodes) - 1
                return True
            self.nodes.pop()
            del self.events[len(self.nodes):]
        return False

    def follow(self, script):
        """Use *script* (a list of ``(actor number, value)``) for the next executions (mode replay)."""
        self.script = list(script)

    def actor_keys(self):
        """Where each actor comes from, by number: ``(number of its parent, or -1, n-th child)``.

        The numbers are those of this core; :meth:`adopt` makes another core use the same ones."""
        keys = [(-1, 0)] * len(self.names)
        for key, pid in self.keys.items():
            keys[pid] = key
        return keys

    def adopt(self, keys):
        """Number actors as the core did that gave *keys* (before the first execution).

        :raises ValueError: actors are numbered already.
        """
        if self.names:
            raise ValueError("this core has numbered actors already")
        for pid, key in enumerate(keys):
            self.keys[tuple(key)] = pid
            self.names.append(f"actor {pid}")

    def estimate(self):
        """About how many executions the whole tree has, from the branching on the current path."""
        cdef _Node node
        cdef double product = 1
        for node in self.nodes:
            product *= max(len(node.backtrack), 1) * node.values
        return product

    def schedule(self):
        """The choices of the last execution: ``[(actor number, value), ...]``."""
        cdef _Event event
        return [(event.pid, event.value) for event in self.events[:self.index + 1]]

    def actor_names(self):
        """Names of all actors by number."""
        return list(self.names)

    def trace(self):
        """The last execution: ``[(pid, name, kind, reads, writes), ...]``, reads and writes sorted."""
        cdef _Event event
        return [(event.pid, self.names[event.pid], event.kind, tuple(sorted(event.reads)),
                 tuple(sorted(event.writes))) for event in self.events[:self.index + 1]]

    def happens_before(self, int i, int n):
        """Whether event *i* happens before event *n* in the last execution."""
        if not 0 <= i < len(self.events) or not 0 <= n < len(self.events):
            raise IndexError("no such event")
        return i != n and self.before(i, n)
