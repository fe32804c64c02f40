# SPDX-License-Identifier: GPL-2.0-only
"""The explorer's core: one execution at a time, and the tree of those still to run.

The algorithm is source-DPOR with sleep sets (Abdulla, Aronis, Jonsson, Sagonas, "Optimal dynamic
partial order reduction", POPL 2014, algorithm 1), stateless: an execution is a replayed prefix of
choices and a free extension.  Modes ``sleep`` (sleep sets only) and ``dfs`` (nothing) run on the same
scheduler and use none of the race code; they are the oracle of the reduced search.

:class:`Core` runs actors and decides who is next; :mod:`kmm_ext.trace` keeps what an execution did,
:mod:`kmm_ext.tree` what is still to be tried.

**Events.**  An actor's :meth:`Core.step` ends its previous event and blocks until the scheduler lets it
perform the next one; the first begins when it is started.  What an event touches is told while it runs
(:meth:`Core.read`, :meth:`Core.write`), so footprints are dynamic; the footprint used for a sleeping
actor is the one its event had in the sibling branch, which independence keeps valid.

**Locks** conflict like writes (exclusive) or reads (shared) of their location.  A CPU's interrupt token
is such a lock: a handler owns it while it runs, a task while it has interrupts off, and every event of
an actor of that CPU needs it free or its own.

**Waits** (:meth:`Core.step_when`) are enabled while their condition holds, which may be for a moment.

**Greenlets** are reused: one that has run an actor to its end runs the next actor.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memmove

from kmm_ext.trace cimport NEEDS, READS, WRITES, Event, Touch, Trace
from kmm_ext.tree cimport Tree

from greenlet import GreenletExit, getcurrent, greenlet

__all__ = ["ActorError", "Core", "Endless", "Nondeterminism"]

cdef enum Pending:
    NOTHING
    STEP
    ACQUIRE
    WAIT
    START_IRQ

cdef enum Mode:
    SOURCE
    SLEEP
    DFS
    REPLAY
    RANDOM
    PCT
    POS

cdef tuple _MODES = ("source", "sleep", "dfs", "replay", "random", "pct", "pos")
cdef int START = 0               # kind of an actor's first event
cdef int LONGEST = 1 << 15       # events of an execution; what happens before what takes a bit per pair
cdef uint64_t LOWEST = 1 << 32   # of the priorities that are drawn


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


class Endless(RuntimeError):
    """An execution has so many events that some loop of it may never end."""

    def __init__(self):
        super().__init__(f"more than {LONGEST} events in one schedule: does a loop poll for ever? A wait is "
                         "written as hooks.wait()")


cdef inline uint64_t mixed(uint64_t x) noexcept:
    """A number that says little about *x* (the finaliser of splitmix64)."""
    x += <uint64_t> 0x9e3779b97f4a7c15
    x = (x ^ (x >> 30)) * <uint64_t> 0xbf58476d1ce4e5b9
    x = (x ^ (x >> 27)) * <uint64_t> 0x94d049bb133111eb
    return x ^ (x >> 31)


cdef struct Actor:
    Pending pending
    int kind
    int lock                     # the place it wants
    bint shared
    int waits                    # the places it waits for, in the pool
    int wait_count
    bint holds                   # last value of the condition
    int64_t seen                 # versions of those places when it was evaluated
    int token                    # place of its CPU's token, -1: none
    bint irq
    bint started
    int last                     # its last event, -1: none
    int creator                  # event that created it, -1: the program
    int children
    int nth                      # number of its events so far
    uint64_t priority            # 0: draw one


def _host(list first):
    """What a greenlet runs: actors, one after the other.

    While it is idle it holds no reference to its core, nor to itself: either would keep both for ever.

    :param first: the core, to be taken out.
    """
    cdef Core core = first.pop()
    while True:
        core._run()
        hub = core.hub
        core = None
        core = hub.switch()


cdef class Core:
    """One search.

    :param mode: ``"source"``, ``"sleep"``, ``"dfs"``, ``"replay"``, ``"random"``, ``"pct"`` or ``"pos"``.
    :param seed: of the random modes.
    :param depth: of ``pct``: number of priority change points plus one.
    :param verify: compare replayed events with what was recorded.
    """

    cdef readonly str mode
    cdef readonly int current    # the actor that runs
    cdef public bint verify
    cdef readonly list violations
    cdef readonly str status
    cdef readonly list blocked_on
    cdef readonly int last_length
    cdef Mode _mode
    cdef Trace past
    cdef Tree tree
    cdef int index               # number of the current event
    cdef int fresh               # events below this number are replayed
    cdef bint open               # an event is going on
    cdef bint recording          # and its touches are wanted
    cdef bint dead
    cdef object failure

    cdef list names              # by actor, as are the following
    cdef list functions
    cdef list conditions
    cdef list hosts
    cdef list family             # by parent + 1: numbers of its children
    cdef Actor *actors
    cdef int capacity
    cdef int *alive              # in the order of their creation
    cdef int alive_count
    cdef int program_children
    cdef int *enabled
    cdef int enabled_count
    cdef int *waits
    cdef int waits_count
    cdef int waits_capacity

    cdef object hub
    cdef list idle
    cdef int starting            # whom a greenlet that is switched to has to run
    cdef int following           # whom the hub has to resume, -1: none

    cdef uint64_t rng
    cdef list script             # replay: [(pid, value)]
    cdef int pct_depth
    cdef set change_points
    cdef uint64_t low            # pct: the lowest priority so far
    cdef int length_estimate
    cdef dict habits             # pos: (actor, number of its event) to what that touched last time

    def __cinit__(self, str mode="source", *, seed=1, int depth=4, bint verify=False):
        if mode not in _MODES:
            raise ValueError(f"no search mode {mode!r}")
        self.mode = mode
        self._mode = <Mode> <int> _MODES.index(mode)
        self.verify = verify
        self.past = Trace()
        self.tree = Tree(self.past, self._mode != DFS, self._mode == SOURCE)
        self.names = []
        self.functions = []
        self.conditions = []
        self.hosts = []
        self.family = [[]]
        self.idle = []
        self.rng = (<uint64_t> (seed & 0xffffffffffffffff)) * <uint64_t> 0x9e3779b97f4a7c15 + 1
        if not self.rng:
            self.rng = 1
        self.script = []
        self.pct_depth = depth
        self.length_estimate = 64
        self.habits = {}
        self.status = "new"
        self._clear()

    def __dealloc__(self):
        free(self.actors)
        free(self.alive)
        free(self.enabled)
        free(self.waits)

    cdef int _clear(self) except -1:
        self.past.clear()
        self.violations = []
        self.blocked_on = []
        self.index = -1
        self.current = -1
        self.open = False
        self.recording = False
        self.dead = False
        self.failure = None
        self.alive_count = 0
        self.program_children = 0
        self.waits_count = 0
        return 0

    # --- actors ---------------------------------------------------------------------------------

    def spawn(self, function, name):
        """Create an actor, as part of the current event or before the first one.

        :return: its number, the same in every execution in which this parent's n-th child exists.
        """
        return self._spawn(function, name, -1, False)

    def spawn_irq(self, function, name, int cpu):
        """Create an interrupt handler of *cpu*: it starts when the CPU's token is free and owns the
        token until it ends."""
        return self._spawn(function, name, self.past.place(-1 - cpu), True)

    cdef int _spawn(self, object function, object name, int token, bint irq) except -2:
        cdef Actor *actor
        cdef list siblings
        cdef int pid, nth
        cdef int parent = self.current if self.open else -1
        if self.dead:
            return -1
        if parent >= 0:
            nth = self.actors[parent].children
            self.actors[parent].children += 1
        else:
            nth = self.program_children
            self.program_children += 1
        siblings = self.family[parent + 1]
        if nth < len(siblings):
            pid = siblings[nth]
            self.names[pid] = name
            self.functions[pid] = function
        else:
            pid = self._new_actor(siblings, name, function)
        actor = &self.actors[pid]
        actor.pending = START_IRQ if irq else STEP
        actor.kind = START
        actor.token = token
        actor.irq = irq
        actor.started = False
        actor.last = -1
        actor.creator = self.index if parent >= 0 else -1
        actor.children = 0
        actor.nth = 0
        actor.priority = 0
        self.alive[self.alive_count] = pid
        self.alive_count += 1
        return pid

    cdef int _new_actor(self, list siblings, object name, object function) except -1:
        """Number the next child of the parent that has these *siblings*."""
        cdef int pid = self._new_number()
        siblings.append(pid)
        self.names.append(name)
        self.functions.append(function)
        self.conditions.append(None)
        self.hosts.append(None)
        self.family.append([])
        return pid

    cdef int _new_number(self) except -1:
        cdef int pid = len(self.names), capacity = max(2 * self.capacity, 16)
        cdef void *grown
        self.tree.widen(pid + 1)
        if pid == self.capacity:
            grown = realloc(self.actors, capacity * sizeof(Actor))
            if not grown:
                raise MemoryError
            self.actors = <Actor *> grown
            grown = realloc(self.alive, capacity * sizeof(int))
            if not grown:
                raise MemoryError
            self.alive = <int *> grown
            grown = realloc(self.enabled, capacity * sizeof(int))
            if not grown:
                raise MemoryError
            self.enabled = <int *> grown
            self.capacity = capacity
        return pid

    def bind(self, int pid, int cpu):
        """Actor *pid* runs on *cpu*: each of its events needs that CPU's token free or its own."""
        if self.dead:
            return
        if not 0 <= pid < len(self.names):
            raise IndexError(f"there is no actor {pid}")
        self.actors[pid].token = self.past.place(-1 - cpu)

    # --- what actors call -----------------------------------------------------------------------

    def step(self, int kind):
        """Scheduling point: end the previous event; on return, the next one has begun."""
        cdef Actor *me = self._me()
        me.pending = STEP
        me.kind = kind
        self._yield()

    def step_when(self, int kind, condition, locs):
        """An event that waits: enabled while ``condition()`` holds.

        :param condition: a function of the state, without effects; what it says may change only by
            writes to *locs*.
        :param locs: what the event reads.
        """
        cdef Actor *me = self._me()
        cdef int k, first = self.waits_count, count = 0
        cdef void *grown
        for loc in locs:
            if self.waits_count == self.waits_capacity:
                grown = realloc(self.waits, (2 * self.waits_capacity + 16) * sizeof(int))
                if not grown:
                    raise MemoryError
                self.waits = <int *> grown
                self.waits_capacity = 2 * self.waits_capacity + 16
            self.waits[self.waits_count] = self.past.place(loc)
            self.waits_count += 1
            count += 1
        me.pending = WAIT
        me.kind = kind
        me.waits = first
        me.wait_count = count
        me.seen = -1
        self.conditions[self.current] = condition
        self._yield()
        if self.recording:
            for k in range(count):
                self.past.touch(self.waits[first + k], READS)

    def acquire(self, int kind, int64_t loc, bint shared=False):
        """An event that takes the lock *loc*; enabled while nobody holds it in a way that excludes."""
        cdef Actor *me = self._me()
        cdef int place = self.past.place(loc)
        me.pending = ACQUIRE
        me.kind = kind
        me.lock = place
        me.shared = shared
        self._yield()
        self._take(place, shared, NEEDS)

    def try_acquire(self, int kind, int64_t loc, bint shared=False):
        """An event that takes the lock if it can.

        :return: whether it did.
        """
        cdef Actor *me = self._me()
        cdef int place = self.past.place(loc)
        me.pending = STEP
        me.kind = kind
        self._yield()
        if self.past.available(place, shared):
            self._take(place, shared, 0)
            return True
        if self.recording:
            # Readers are in the way of a writer, but they do not write: he must, to conflict with them.
            self.past.touch(place, READS if shared or not self.past.available(place, True) else WRITES)
        return False

    cdef int _take(self, int place, bint shared, int flags) except -1:
        self.past.take(place, self.current, self.index, shared)
        if self.recording:
            self.past.touch(place, flags | (READS if shared else WRITES))
        return 0

    def release(self, int kind, int64_t loc, bint shared=False):
        """An event that gives a lock back."""
        cdef Actor *me = self._me()
        cdef int place = self.past.place(loc)
        me.pending = STEP
        me.kind = kind
        self._yield()
        self._give(place, shared)

    cdef int _give(self, int place, bint shared) except -1:
        cdef int acquired = self.past.give(place, self.current)
        cdef int touch
        if self.recording:
            touch = self.past.touch(place, READS if shared else WRITES)
            self.past.touches[touch].acquired = acquired
        return 0

    def mask(self, int cpu):
        """Part of the current event: its actor takes the interrupt token of *cpu*."""
        if self.open:
            self._take(self.past.place(-1 - cpu), False, 0)

    def unmask(self, int cpu):
        """Part of the current event: the token is free again."""
        if self.open:
            self._give(self.past.place(-1 - cpu), False)

    def read(self, int64_t loc):
        """The current event reads *loc*."""
        if self.recording:
            self.past.touch(self.past.place(loc), READS)

    def write(self, int64_t loc):
        """The current event writes *loc*."""
        if self.recording:
            self.past.touch(self.past.place(loc), WRITES)

    def choose(self, int kind, int n):
        """An event whose outcome is one of ``range(n)``; the search tries all of them."""
        cdef Actor *me = self._me()
        cdef int value = 0
        me.pending = STEP
        me.kind = kind
        self._yield()
        if self._mode <= DFS:
            self.tree.nodes[self.index].values = n
            value = self.tree.nodes[self.index].value
            if value < 0:
                value = self.tree.nodes[self.index].value = self.tree.awake(self.index, -1)
        elif self.index < len(self.script):
            value = self.script[self.index][1]
        elif self._mode != REPLAY:
            value = self._random() % <uint64_t> n
        if not 0 <= value < n:
            self._fail(Nondeterminism(self.index, f"a choice of more than {value}", f"a choice of {n}"))
        self.past.now.value = value
        return value

    def violation(self, payload):
        """The current event broke a rule; the execution goes on."""
        if not self.dead:
            self.violations.append((self.index, payload))

    def abort_process(self):
        """End the running actor here."""
        raise GreenletExit

    cdef Actor *_me(self) except NULL:
        if self.dead or self.current < 0:
            if self.hub is None or getcurrent() is self.hub:
                raise RuntimeError("only an actor that runs has events")
            raise GreenletExit
        return &self.actors[self.current]

    # --- scheduling -------------------------------------------------------------------------------

    cdef int _yield(self) except -1:
        """Find who performs the next event; come back when that is the actor that runs now."""
        cdef int me = self.current, chosen
        try:
            self._finish()
            chosen = self._choose()
        except Exception as error:
            self.failure = error
            chosen = -1
        if chosen == me:
            return self._begin(me)
        if chosen < 0:
            self.hub.switch()
        else:
            self._resume(chosen)
        if self.dead:
            raise GreenletExit
        return self._begin(me)

    cdef int _fail(self, object error) except -1:
        """The execution cannot go on; the actor that runs ends here."""
        self.failure = error
        self.hub.switch()
        raise GreenletExit

    cdef int _resume(self, int pid) except -1:
        """Switch to actor *pid*; return when somebody switches back."""
        if self.actors[pid].started:
            self.hosts[pid].switch()
            return 0
        self.actors[pid].started = True
        self.starting = pid
        if self.idle:
            self.hosts[pid] = self.idle.pop()
            self.hosts[pid].switch(self)
        else:
            self.hosts[pid] = greenlet(_host, self.hub)
            self.hosts[pid].switch([self])
        return 0

    cdef int _run(self) except -1:
        """Run an actor to its end, and then the next one if that has not started yet."""
        cdef int me = self.starting, chosen
        while True:
            failure = None
            try:
                self._begin(me)
                if self.actors[me].irq:
                    self._take(self.actors[me].token, False, NEEDS)
                self.functions[me]()
            except GreenletExit:
                pass
            except Exception as error:
                failure = ActorError(self.names[me], error, self.schedule())
                failure.__cause__ = error
            except BaseException as error:
                failure = error
            host = self.hosts[me]
            self.hosts[me] = None
            chosen = -1
            if failure is not None and not self.dead:
                self.failure = failure
            elif not self.dead:
                try:
                    chosen = self._end(me)
                except Exception as error:
                    self.failure = error
            if chosen < 0 or self.actors[chosen].started:
                self.following = chosen
                self.idle.append(host)
                return 0
            me = chosen
            self.actors[me].started = True
            self.hosts[me] = host

    cdef int _end(self, int me) except -2:
        """Actor *me* has ended, as part of the current event.

        :return: who is next.
        """
        cdef int k = 0
        cdef int token = self.actors[me].token
        if token >= 0 and self.past.holder(token) == me:
            self._give(token, False)
        self._finish()
        self.actors[me].pending = NOTHING
        while self.alive[k] != me:
            k += 1
        self.alive_count -= 1
        memmove(self.alive + k, self.alive + k + 1, (self.alive_count - k) * sizeof(int))
        return self._choose()

    cdef int _begin(self, int pid) except -1:
        """Actor *pid* performs its next event from here."""
        cdef Actor *me = &self.actors[pid]
        self.current = pid
        self.index += 1
        self.open = True
        me.pending = NOTHING
        self.recording = self.verify or self.index >= self.fresh
        if self.recording:
            self.past.begin(self.index, pid, me.kind, me.last if me.last >= 0 else me.creator,
                            self.index < self.fresh)
        me.last = self.index
        me.nth += 1
        if self.recording and me.token >= 0 and not me.irq and self.past.holder(me.token) != pid:
            self.past.touch(me.token, READS | NEEDS)
        if self.index >= LONGEST:
            raise Endless
        return 0

    cdef int _finish(self) except -1:
        """The current event ends."""
        cdef int n = self.index
        if not self.open:
            return 0
        self.open = False
        if n < self.fresh:
            if self.recording and not self.past.same(n):
                raise self._differs()
            self.recording = False
            self.past.apply(n)
            return 0
        self.recording = False
        self.past.record(n)
        self.past.reserve(n)
        self.past.conflicts(&self.past.events[n])
        if self._mode == SOURCE:
            self.tree.races(&self.past.events[n], n)
        self.past.order(n)
        self.past.apply(n)
        if self._mode == POS:
            self._redraw(&self.past.events[n])
        return 0

    cdef object _differs(self):
        """The current event is not the one that was recorded."""
        return Nondeterminism(self.index, self._describe(&self.past.events[self.index]),
                              self._describe(&self.past.now))

    cdef object _describe(self, Event *event):
        reads, writes = self._footprint(event)
        return f"{self.names[event.pid]} kind {event.kind} reads {list(reads)} writes {list(writes)}"

    cdef int _choose(self) except -2:
        """The next actor, and the node that this choice is; -1 ends the execution."""
        cdef int n = self.index + 1, k, pid
        if n < self.fresh or (self._mode <= DFS and n < self.tree.count):
            pid = self.tree.nodes[n].pid
            if pid >= len(self.names) or not self._is_alive(pid) or not self._enabled(pid, False):
                raise Nondeterminism(n, f"{self.names[pid]} can run", "it cannot")
            if n < self.fresh and self.actors[pid].kind != self.past.events[n].kind:
                raise Nondeterminism(n, f"{self.names[pid]} kind {self.past.events[n].kind}",
                                     f"kind {self.actors[pid].kind}")
            return pid
        self.enabled_count = 0
        for k in range(self.alive_count):
            if self._enabled(self.alive[k], True):
                self.enabled[self.enabled_count] = self.alive[k]
                self.enabled_count += 1
        if not self.enabled_count:
            self._ended_by_itself()
            return -1
        if self._mode > DFS:
            return self._choose_without_tree(n)
        k = self.tree.push(self.enabled, self.enabled_count, self.current)
        if k == self.enabled_count:
            self.status = "blocked"
            self._race_of_disabled()
            return -1
        return self.enabled[k]

    cdef bint _is_alive(self, int pid) noexcept:
        cdef int k
        for k in range(self.alive_count):
            if self.alive[k] == pid:
                return True
        return False

    cdef int _enabled(self, int pid, bint look) except -1:
        """Whether actor *pid* can perform its next event.

        :param look: a condition that does not hold was looked at, which is a read.
        """
        cdef Actor *actor = &self.actors[pid]
        cdef int64_t now = 0
        cdef int k, holder
        if actor.pending == NOTHING:
            return False
        if actor.token >= 0:
            holder = self.past.holder(actor.token)
            if holder >= 0 and holder != pid:
                return False
        if actor.pending == ACQUIRE:
            return self.past.available(actor.lock, actor.shared)
        if actor.pending != WAIT:
            return True
        for k in range(actor.wait_count):
            now += self.past.at(self.waits[actor.waits + k]).version
        if now == actor.seen:
            return actor.holds
        try:
            actor.holds = bool(self.conditions[pid]())
        except Exception as error:
            raise ActorError(self.names[pid], error, self.schedule()) from error
        if look:
            actor.seen = now
            if not actor.holds and self._mode == SOURCE:
                self._race_of_pending(pid)
        return actor.holds

    cdef int _ended_by_itself(self) except -1:
        cdef Actor *actor
        cdef int k
        if not self.alive_count:
            self.status = "done"
            return 0
        self.status = "deadlock"
        for k in range(self.alive_count):
            actor = &self.actors[self.alive[k]]
            self.blocked_on.append((self.alive[k], self.names[self.alive[k]], actor.kind,
                                    self.past.places[actor.lock].loc if actor.pending == ACQUIRE else -1))
        self._race_of_disabled()
        return 0

    cdef int _race_of_disabled(self) except -1:
        """The execution ends here, for whatever reason; some actors cannot go on."""
        cdef int k
        if self._mode == SOURCE:
            for k in range(self.alive_count):
                if not self._enabled(self.alive[k], False):
                    self._race_of_pending(self.alive[k])
        return 0

    cdef int _race_of_pending(self, int pid) except -1:
        """Actor *pid* cannot go on here; perhaps it could have, had it come earlier."""
        cdef Actor *actor = &self.actors[pid]
        cdef int k, n = self.index + 1
        self.past.begin(n, pid, actor.kind, actor.last if actor.last >= 0 else actor.creator, True)
        self.past.now.value = -1
        if actor.token >= 0 and self.past.holder(actor.token) != pid:
            self.past.touch(actor.token, (WRITES if actor.irq else READS) | NEEDS)
        if actor.pending == ACQUIRE:
            self.past.touch(actor.lock, (READS if actor.shared else WRITES) | NEEDS)
        elif actor.pending == WAIT:
            for k in range(actor.wait_count):
                self.past.touch(self.waits[actor.waits + k], READS)
        self.past.conflicts(&self.past.now)
        self.past.reserve(n)
        self.tree.races(&self.past.now, n)
        self.past.discard()
        return 0

    # --- without a tree -------------------------------------------------------------------------------

    cdef uint64_t _random(self) noexcept:
        self.rng ^= self.rng << 13
        self.rng ^= self.rng >> 7
        self.rng ^= self.rng << 17
        return self.rng

    cdef int _choose_without_tree(self, int n) except -2:
        cdef int k, pid, best = -1
        if n < len(self.script):
            pid = self.script[n][0]
            for k in range(self.enabled_count):
                if self.enabled[k] == pid:
                    return pid
            raise Nondeterminism(n, f"{self.names[pid] if 0 <= pid < len(self.names) else pid} can run", "it cannot")
        if self._mode == REPLAY:
            for k in range(self.enabled_count):
                if best < 0 or self.enabled[k] == self.current:
                    best = self.enabled[k]
            return best
        if self._mode == RANDOM:
            return self.enabled[self._random() % <uint64_t> self.enabled_count]
        if self._mode == PCT and n in self.change_points and self.current >= 0:
            self.low -= 1
            self.actors[self.current].priority = self.low
        for k in range(self.enabled_count):
            pid = self.enabled[k]
            if not self.actors[pid].priority:
                self.actors[pid].priority = LOWEST + (self._random() >> 8)
            if best < 0 or self.actors[pid].priority > self.actors[best].priority:
                best = pid
        return best

    cdef int _redraw(self, Event *event) except -1:
        """Mode pos: *event* has happened; its actor's next event, and those that raced with it, draw anew.

        What a pending event will touch is what the same event touched when it last happened.
        """
        cdef Touch *touches = self.past.touches + event.first
        cdef Touch guess
        cdef Actor *actor
        cdef int k, j
        self.habits[event.pid, self.actors[event.pid].nth] = tuple(
            [touches[k].place << 1 | ((touches[k].flags & WRITES) != 0) for k in range(event.count)])
        self.actors[event.pid].priority = 0
        self.past.mark(touches, event.count)
        for k in range(self.alive_count):
            actor = &self.actors[self.alive[k]]
            if actor.pending == ACQUIRE:
                guess.place = actor.lock
                guess.flags = READS if actor.shared else WRITES
                if self.past.clashes(&guess, 1):
                    actor.priority = 0
            elif actor.pending == WAIT:
                guess.flags = READS
                for j in range(actor.wait_count):
                    guess.place = self.waits[actor.waits + j]
                    if self.past.clashes(&guess, 1):
                        actor.priority = 0
            elif actor.pending != NOTHING:
                for touch in self.habits.get((self.alive[k], actor.nth + 1), ()):
                    guess.place = touch >> 1
                    guess.flags = WRITES if touch & 1 else READS
                    if self.past.clashes(&guess, 1):
                        actor.priority = 0
        return 0

    # --- the driver's side ------------------------------------------------------------------------------

    def execute(self, program):
        """Run one execution.

        :param program: called with this core; spawns the first actors.
        :return: ``"done"``, ``"deadlock"`` or ``"blocked"`` (redundant, cut off by a sleep set).
        :raises ActorError: an actor raised.
        :raises Nondeterminism: a replayed choice was impossible.
        """
        cdef int chosen
        self._clear()
        hub = getcurrent()
        if hub is not self.hub:
            self.idle = []                  # they belong to another thread, perhaps
            self.hub = hub
        self.status = "running"
        if self._mode == PCT:
            self.change_points = {self._random() % <uint64_t> max(self.length_estimate, 1)
                                  for _ in range(self.pct_depth - 1)}
        self.low = LOWEST
        try:
            program(self)
            chosen = self._choose()
            while chosen >= 0:
                self.following = -1
                self._resume(chosen)
                if self.failure is not None:
                    break
                chosen = self.following
        finally:
            self._kill()
        self.last_length = self.index + 1
        self.length_estimate = max(self.length_estimate, self.last_length)
        if self.failure is not None:
            failure = self.failure
            self.failure = None
            raise failure
        return self.status

    cdef int _kill(self) except -1:
        """Unwind the actors that have not ended; what they do meanwhile belongs to no execution."""
        cdef int k
        self.dead = True
        self.open = False
        self.recording = False
        if self.status == "running":
            self.status = "failed"
        for k in range(self.alive_count):
            host = self.hosts[self.alive[k]]
            if host is not None:
                host.throw(GreenletExit)
        for k in range(len(self.functions)):
            self.functions[k] = None
            self.conditions[k] = None
        return 0

    def advance(self):
        """Prepare the next execution of the tree.

        :return: False when there is none.
        """
        cdef bint more = self.tree.advance()
        self.fresh = self.tree.count - 1 if more else 0
        return more

    def follow(self, script):
        """Use *script* (a list of ``(actor number, value)``) for the next executions (mode replay)."""
        self.script = list(script)

    def actor_keys(self):
        """Where each actor comes from, by number: ``(number of its parent, or -1, n-th child)``.

        The numbers are those of this core; :meth:`adopt` makes another core use the same ones."""
        cdef int parent, nth
        keys = [(-1, 0)] * len(self.names)
        for parent in range(len(self.family)):
            for nth, pid in enumerate(self.family[parent]):
                keys[pid] = (parent - 1, nth)
        return keys

    def adopt(self, keys):
        """Number actors as the core did that gave *keys*; before the first execution.

        :raises ValueError: actors are numbered already, or *keys* has a child without its parent or its
            elder sibling before it.
        """
        cdef list siblings
        if self.names:
            raise ValueError("this core has numbered actors already")
        for number, (parent, nth) in enumerate(keys):
            siblings = self.family[parent + 1] if -1 <= parent < len(self.names) else None
            if siblings is None or len(siblings) != nth:
                raise ValueError(f"actor {number} is child {nth} of {parent}, which comes too early")
            self._new_actor(siblings, f"actor {number}", None)

    def estimate(self):
        """About how many executions the whole tree has, from the branching on the current path."""
        return self.tree.estimate()

    def schedule(self):
        """The choices of the last execution: ``[(actor number, value), ...]``."""
        cdef int n
        cdef list script = [(self.past.events[n].pid, self.past.events[n].value)
                            for n in range(min(self.index + 1, self.past.count))]
        if self.open and self.index >= self.fresh:
            del script[self.index:]
            script.append((self.past.now.pid, self.past.now.value))
        return script

    def actor_names(self):
        """Names of all actors by number."""
        return list(self.names)

    def trace(self):
        """The last execution: ``[(pid, name, kind, reads, writes), ...]``, reads and writes sorted."""
        cdef int n
        cdef list found = []
        for n in range(min(self.index + 1, self.past.count)):
            reads, writes = self._footprint(&self.past.events[n])
            found.append((self.past.events[n].pid, self.names[self.past.events[n].pid],
                          self.past.events[n].kind, reads, writes))
        return found

    cdef tuple _footprint(self, Event *event):
        cdef list reads = [], writes = []
        cdef int k
        for k in range(event.count):
            (writes if self.past.touches[event.first + k].flags & WRITES else reads).append(
                self.past.places[self.past.touches[event.first + k].place].loc)
        return tuple(sorted(reads)), tuple(sorted(writes))

    def trace_hash(self):
        """A number for the last execution as a partial order, the same in every core.

        Executions that differ only in the order of events that do not conflict have the same one.
        """
        cdef int length = min(self.index + 1, self.past.count), n, i, k, pid
        cdef uint64_t total = 0, mine
        cdef Event *event
        cdef Touch *touch
        cdef uint64_t *hashes = <uint64_t *> malloc((len(self.names) + length + 1) * sizeof(uint64_t))
        cdef uint64_t *actors = hashes + length
        if not hashes:
            raise MemoryError
        for pid, (parent, nth) in enumerate(self.actor_keys()):
            actors[pid] = mixed((actors[<int> parent] if parent >= 0 else 1) + 2 * <uint64_t> nth)
        for n in range(length):
            event = &self.past.events[n]
            mine = 0
            for k in range(event.count):
                touch = &self.past.touches[event.first + k]
                mine += mixed(<uint64_t> self.past.places[touch.place].loc * 2 + ((touch.flags & WRITES) != 0))
            for i in range(n):
                if self.past.before(i, n):
                    mine += hashes[i]
            mine = mixed(mine + mixed(actors[event.pid] + <uint64_t> event.kind))
            hashes[n] = mixed(mine + <uint64_t> event.value)
            total += hashes[n]
        free(hashes)
        return total

    def happens_before(self, int i, int n):
        """Whether event *i* happens before event *n* in the last execution."""
        if not 0 <= i < self.past.count or not 0 <= n < self.past.count:
            raise IndexError("no such event")
        return i != n and i < n and self.past.before(i, n)
