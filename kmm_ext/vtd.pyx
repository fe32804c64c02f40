# SPDX-License-Identifier: GPL-2.0-only
"""One VT-d remapping unit in scalable mode, as the Linux driver drives it.

Registers, root table, context entries, PASID directory and table, first-stage walk with A and D,
invalidation queue, fault records, page requests.  The first-stage tables are those of the CPU
(shared virtual addressing), so the walking loop is that of :mod:`kmm_ext.walker`.

Two ways to cache, which may be combined:

- *saturating*, with a :class:`kmm_ext.holds.Holds`: every (domain, PASID) is a context of it, active
  while a PASID entry that the unit may hold leads to a root.  The unit may hold every context and
  PASID entry that was ever reachable since the last invalidation that covers it.
- *concrete*: finite context, PASID, IOTLB and paging-structure caches, first in first out.

Invalidation is asynchronous.  Writing the tail register fetches the new descriptors and moves the
head (so the head says nothing about completion); each completes by :meth:`VTD.step`, in any order
that wait descriptors allow, unless the unit was made with ``asynchronous=False``.

Clearing a PASID entry and invalidating the PASID cache does not stop requests in flight: the old
root counts as reachable until an IOTLB invalidation that covers the whole PASID has drained them
(VT-d 6.5.5).

Rules are cited by their number in the list of VT-d facts in the documentation; section numbers are
those of the VT-d specification.  Register layouts are those that the Linux 7.2 driver relies on;
what Linux does not look at (IQEI codes, bits 29-31 of the source-id word of a fault record) is from
memory of the specification.

Not modelled:

- Legacy mode, second-stage and nested translation: ECAP says so, a PASID entry that asks for them
  is invalid (fault 0x5b).
- Interrupt remapping (commands are accepted, IRTA is storage) and the performance monitors.
- Caching mode, non-coherent structures, required write-buffer flushes: the capabilities say that
  software need not care.
- A device TLB is modelled in saturating mode only: a device whose context entry has DTE=1 may hold
  any translation that its (domain, PASID) may hold.  Queue depths and completion messages are not;
  a device in :attr:`VTD.unresponsive` times out.
- Page responses are recorded, not delivered; a page request has no effect on paging.
- Execute requests only check ERE and XD.  A first stage without NXE still has XD as a valid bit.
- Cached PASID-directory entries are dropped by any PASID-cache invalidation of their PASID.
- More than 1,024 (domain, PASID) pairs, or devices with a TLB: :attr:`VTD.truncated` is set.
- Faults do not collapse: each takes a record, until there is none left.
"""

from enum import IntEnum

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from kmm_ext._types cimport CAS_STORED, PAGE_SHIFT, PAGE_SIZE, entry_t, paddr_t
from kmm_ext.holds cimport Holds
from kmm_ext.memory cimport Memory, Observer
from kmm_ext.walker cimport (RIGHT_EXEC, RIGHT_USER, RIGHT_WRITE, WALK_BUS_ERROR, WALK_DONE, WALK_NOT_PRESENT,
                             Walk, entry_table, walk_from, walk_from_root, walk_mark, walk_read, walk_unmarked,
                             x86_format)


cdef enum:
    REGISTER_BYTES = 4096
    VER = 0x00
    CAP = 0x08
    ECAP = 0x10
    GCMD = 0x18
    GSTS = 0x1c
    RTADDR = 0x20
    CCMD = 0x28
    FSTS = 0x34
    FECTL = 0x38
    IQH = 0x80
    IQT = 0x88
    IQA = 0x90
    ICS = 0x9c
    IECTL = 0xa0
    IQERCD = 0xb0
    PQH = 0xc0
    PQT = 0xc8
    PQA = 0xd0
    PRS = 0xdc
    PECTL = 0xe0
    IVA = 0x500
    IOTLB = 0x508
    FRCD = 0x600

    FSTS_PFO = 1
    FSTS_PPF = 2
    FSTS_IQE = 0x10
    FSTS_ICE = 0x20
    FSTS_ITE = 0x40
    FSTS_PRO = 0x80

    IQE_TAIL = 1             # the tail is outside the queue
    IQE_FETCH = 2            # the descriptor cannot be read
    IQE_TYPE = 3
    IQE_RESERVED = 4
    IQE_WIDTH = 5            # needs a queue of 256-bit descriptors
    IQE_ALIGNMENT = 6        # the tail points into a 256-bit descriptor

    TYPE_CONTEXT = 1
    TYPE_IOTLB = 2
    TYPE_DEVICE = 3
    TYPE_INTERRUPT = 4
    TYPE_WAIT = 5
    TYPE_PASID_IOTLB = 6
    TYPE_PASID_CACHE = 7
    TYPE_PASID_DEVICE = 8
    TYPE_PAGE_RESPONSE = 9

    ANY = -1

cdef uint32_t GSTS_TES = 1U << 31
cdef uint32_t GSTS_RTPS = 1U << 30
cdef uint32_t GSTS_QIES = 1U << 26
cdef uint32_t GSTS_KEPT = 1U << 31 | 1U << 26 | 1U << 25 | 1U << 23     # TE, QIE, IRE, CFI
cdef uint64_t ADDRESS = ~0xfffULL
cdef uint64_t EVERYWHERE = ~0ULL
cdef uint64_t EXTENDED_ACCESSED = 1ULL << 10


class Reason(IntEnum):
    """Fault reasons of scalable mode (VT-d 7.1.3; the texts of Linux's ``dmar.c``)."""

    ROOT_ADDRESS = 0x30
    LEGACY_WITH_PASID = 0x31
    ROOT_ACCESS = 0x38
    ROOT_NOT_PRESENT = 0x39
    ROOT_RESERVED = 0x3a
    CONTEXT_ACCESS = 0x40
    CONTEXT_NOT_PRESENT = 0x41
    CONTEXT_RESERVED = 0x42
    CONTEXT_INVALID = 0x43
    DEVICE_TLB_DISABLED = 0x44
    PASID_DISABLED = 0x45
    PASID_TOO_LARGE = 0x46
    PAGE_REQUEST_DISABLED = 0x47
    RID_PASID = 0x48
    DIRECTORY_ACCESS = 0x50
    DIRECTORY_NOT_PRESENT = 0x51
    DIRECTORY_RESERVED = 0x52
    ENTRY_ACCESS = 0x58
    ENTRY_NOT_PRESENT = 0x59
    ENTRY_RESERVED = 0x5a
    ENTRY_INVALID = 0x5b
    EXECUTE_DISABLED = 0x5c
    SUPERVISOR_DISABLED = 0x5d
    FIRST_STAGE_ACCESS = 0x70
    FIRST_STAGE_NOT_PRESENT = 0x71
    FIRST_STAGE_RESERVED = 0x72
    FIRST_STAGE_ROOT = 0x73
    NON_CANONICAL = 0x80
    SUPERVISOR_PAGE = 0x81
    NOT_EXECUTABLE = 0x82
    BEYOND_HARDWARE = 0x83
    NOT_WRITABLE = 0x85
    INTERRUPT_ADDRESS = 0x87
    UPDATE_NOT_SNOOPED = 0x90
    UPDATE_FAILED = 0x91


class DMARFault(Exception):
    """A request that the unit blocked.

    :ivar reason: a :class:`Reason`.
    :ivar source: requester id.
    :ivar pasid: its PASID, or None for a request without one.
    :ivar address: what it asked for.
    :ivar write: whether it was a write.
    :ivar recorded: False if software suppressed recording (FPD) or no fault record was free.
    """

    def __init__(self, reason, source, pasid, address, write, recorded):
        super().__init__(reason, source, pasid, address, write, recorded)
        self.reason = Reason(reason)
        self.source = source
        self.pasid = pasid
        self.address = address
        self.write = write
        self.recorded = recorded

    def __str__(self):
        who = f"{self.source >> 8:02x}:{self.source >> 3 & 31:02x}.{self.source & 7}"
        tag = "" if self.pasid is None else f" PASID {self.pasid}"
        return (f"DMA {'write' if self.write else 'read'} by {who}{tag} at {self.address:#x}: "
                f"{self.reason.name.lower().replace('_', ' ')} ({int(self.reason):#x})")


cdef inline uint64_t _bits(uint64_t word, int high, int low) noexcept nogil:
    return (word >> low) & ((<uint64_t> 2 << (high - low)) - 1)


cdef class VTD(Observer):
    """A unit that translates for every device.

    :param memory: where its tables and queues are.
    :param holds: makes the unit saturating; None makes it concrete.
    :param concrete: keep concrete caches also beside *holds*.
    :param name: begins the names of its contexts in *holds*.
    :param five_levels: whether a first stage of 5 levels is offered (CAP.FL5LP).
    :param maxphyaddr: host address width, 36 to 52.
    :param fault_registers: how many fault records, 1 to 64.
    :param asynchronous: whether invalidations wait for :meth:`step`.
    :param srtp_invalidates: CAP.ESRTPS: setting the root pointer drops everything cached.
    :param capacity: entries of each concrete cache.
    """

    def __cinit__(self, Memory memory not None, Holds holds=None, *, concrete=None, str name="dmar0",
                  bint five_levels=True, int maxphyaddr=52, int fault_registers=8, bint asynchronous=True,
                  bint srtp_invalidates=True, int capacity=256):
        if not 36 <= maxphyaddr <= 52:
            raise ValueError(f"maxphyaddr must be 36 to 52, not {maxphyaddr}")
        if not 1 <= fault_registers <= 64:
            raise ValueError(f"fault_registers must be 1 to 64, not {fault_registers}")
        if capacity < 1:
            raise ValueError(f"capacity must be positive, not {capacity}")
        if holds is not None and holds.memory is not memory:
            raise ValueError("holds must watch the same memory")
        self.memory = memory
        self.holds = holds
        self.concrete = holds is None if concrete is None else concrete
        if holds is None and not self.concrete:
            raise ValueError("a unit without concrete caches needs a Holds")
        self.name = name
        self.asynchronous = asynchronous
        self.capacity = capacity
        self.capacity_of_tags = 1024
        self.fault_registers = fault_registers
        self.fl5lp = five_levels
        self.srtp_invalidates = srtp_invalidates
        self.reserved_address = ~((1ULL << maxphyaddr) - 1)
        x86_format(&self.formats[0], 4, maxphyaddr, True, True)
        x86_format(&self.formats[1], 5, maxphyaddr, True, True)
        self.registers = <uint8_t *> calloc(1, REGISTER_BYTES)
        self.saved_registers = <uint8_t *> calloc(1, REGISTER_BYTES)
        if not (self.registers and self.saved_registers):
            raise MemoryError("cannot keep the registers")
        self.responses = []
        self.unresponsive = frozenset()
        self.queue = []
        self.raised = []
        self.context_cache = {}
        self.pasid_cache = {}
        self.iotlb = {}
        self.structure = {}
        self.contexts_held = {}
        self.directories_held = {}
        self.entries_held = {}
        self.paths = {}
        self.draining = {}
        self.tags = {}
        self.devices = {}
        self.roles = {}
        self.watched = []
        self.agent = 0 if holds is None else holds.agent(name)
        self.set(VER, 4, 0x60)
        self.set(CAP, 8,
                 6                                               # ND: 65,536 domains
                 | (0x04 | (0x08 if five_levels else 0)) << 8    # SAGAW
                 | <uint64_t> ((57 if five_levels else 48) - 1) << 16   # MGAW
                 | <uint64_t> (FRCD // 16) << 24                 # FRO
                 | <uint64_t> 3 << 34                            # SLLPS
                 | <uint64_t> 1 << 39                            # PSI
                 | <uint64_t> (fault_registers - 1) << 40        # NFR
                 | <uint64_t> 45 << 48                           # MAMV
                 | <uint64_t> 3 << 54                            # DWD, DRD
                 | <uint64_t> 1 << 56                            # FL1GP
                 | <uint64_t> five_levels << 60                  # FL5LP
                 | <uint64_t> srtp_invalidates << 63)            # ESRTPS
        self.set(ECAP, 8,
                 0x1 | 0x2 | 0x4                                 # C, QI, DT
                 | 0x40 | 0x80                                   # PT, SC
                 | (IVA // 16) << 8                              # IRO
                 | <uint64_t> 1 << 29                            # PRS
                 | <uint64_t> 1 << 31                            # SRS
                 | <uint64_t> 1 << 34                            # EAFS
                 | <uint64_t> 19 << 35                           # PSS: 20 bits
                 | <uint64_t> 1 << 40                            # PASID
                 | <uint64_t> 1 << 42                            # PDS
                 | <uint64_t> 1 << 43                            # SMTS
                 | <uint64_t> 1 << 47                            # FLTS
                 | <uint64_t> 1 << 48)                           # SMPWC
        self.set(FECTL, 4, 1U << 31)
        self.set(IECTL, 4, 1U << 31)
        self.set(PECTL, 4, 1U << 31)
        memory.add_observer(self)

    def __dealloc__(self):
        free(self.registers)
        free(self.saved_registers)

    def __repr__(self):
        return f"<VTD {self.name}, {len(self.queue)} invalidations pending>"

    # --- registers ------------------------------------------------------------------------------

    cdef uint64_t get(self, int offset, int size) noexcept nogil:
        cdef uint64_t value = 0
        memcpy(&value, self.registers + offset, size)
        return value

    cdef void set(self, int offset, int size, uint64_t value) noexcept nogil:
        memcpy(self.registers + offset, &value, size)

    def mmio_read(self, int64_t offset, int size):
        """Read 4 or 8 bytes; registers that do not exist read as zero.

        :raises ValueError: *size* is neither 4 nor 8, or the access is unaligned.
        """
        cdef int i
        cdef uint32_t status
        _check_access(offset, size)
        if not 0 <= offset <= REGISTER_BYTES - size:
            return 0
        if offset == FSTS:
            status = self.get(FSTS, 4) & ~FSTS_PPF
            for i in range(self.fault_registers):
                if self.get(FRCD + 16 * i + 12, 4) >> 31:
                    status |= FSTS_PPF
            return status
        return self.get(offset, size)

    def mmio_write(self, int64_t offset, int size, uint64_t value):
        """Write 4 or 8 bytes; an 8-byte write is two, low half first. Writes to registers that
        do not exist or cannot be written are ignored.

        :raises ValueError: as for :meth:`mmio_read`.
        """
        _check_access(offset, size)
        if not 0 <= offset <= REGISTER_BYTES - size:
            return
        self.dirty = True
        self.write32(offset, <uint32_t> value)
        if size == 8:
            self.write32(offset + 4, <uint32_t> (value >> 32))

    cdef int write32(self, int offset, uint32_t value) except -1:
        cdef uint32_t old
        if offset < GCMD or offset in (GSTS, IQH, IQH + 4, IQERCD, IQERCD + 4):
            return 0
        if offset == GCMD:
            return self.command(value)
        if FRCD <= offset < FRCD + 16 * self.fault_registers:
            if offset % 16 == 12 and value >> 31:
                self.set(offset, 4, self.get(offset, 4) & 0x7fffffff)
            return 0
        if offset == FSTS:
            old = self.get(FSTS, 4)
            self.set(FSTS, 4, old & ~(value & (FSTS_PFO | FSTS_IQE | FSTS_ICE | FSTS_ITE | FSTS_PRO)))
            if (old & ~self.get(FSTS, 4)) & (FSTS_IQE | FSTS_ITE):
                self.fetch()
            return 0
        if offset == ICS:
            self.set(ICS, 4, self.get(ICS, 4) & ~(value & 1))
            return 0
        if offset == PRS:
            self.set(PRS, 4, self.get(PRS, 4) & ~(value & 3))
            return 0
        if offset in (FECTL, IECTL, PECTL):
            old = self.get(offset, 4)
            self.set(offset, 4, value & (1U << 31))
            if old & (1U << 30) and not value >> 31:       # pending while it was masked
                self.raised.append({FECTL: "fault", IECTL: "invalidation", PECTL: "page request"}[offset])
            elif old & (1U << 30):
                self.set(offset, 4, 3U << 30)
            return 0
        if offset == IQT:
            self.set(IQT, 4, value & 0x7fff0)
            return self.fetch()
        self.set(offset, 4, value)
        if offset == CCMD + 4 and value >> 31:
            self.drop_contexts(_bits(value, 30, 29), _bits(self.get(CCMD, 4), 31, 16), value & 3)
            self.set(CCMD + 4, 4, value & 0x7fffffff & ~(3U << 27) | _bits(value, 30, 29) << 27)
        if offset == IOTLB + 4 and value >> 31:
            if _bits(value, 29, 28) == 1:
                self.drop_translations(ANY, ANY, 0, EVERYWHERE, False, True)
            else:
                self.drop_translations(value & 0xffff, ANY, 0, EVERYWHERE, False, True)
            self.set(IOTLB + 4, 4, value & 0x7fffffff & ~(3U << 25) | _bits(value, 29, 28) << 25)
        return 0

    cdef int command(self, uint32_t value) except -1:
        """GCMD: TE, QIE, IRE and CFI are levels; SRTP, WBF and SIRTP are one-shot."""
        cdef uint32_t status = self.get(GSTS, 4)
        cdef bint was = self.translating()
        cdef bint queue_was = status & GSTS_QIES
        status = (status & ~GSTS_KEPT) | (value & GSTS_KEPT)
        if value & 1U << 24:
            status |= 1U << 24
        if value & GSTS_RTPS:
            self.root = self.get(RTADDR, 8)
            status |= GSTS_RTPS
        self.set(GSTS, 4, status)
        if value & GSTS_RTPS:
            if self.srtp_invalidates:
                self.drop_everything()
            if was and self.translating():
                self.scan_root()
        if was != self.translating():
            self.set_active(not was)
        if queue_was and not status & GSTS_QIES:
            self.queue.clear()
            self.set(IQH, 4, 0)
        elif not queue_was and status & GSTS_QIES:
            self.set(IQH, 4, 0)
            self.fetch()
        return 0

    cdef bint translating(self) noexcept nogil:
        cdef uint32_t status = self.get(GSTS, 4)
        return status & GSTS_TES != 0 and status & GSTS_RTPS != 0 and _bits(self.root, 11, 10) == 1

    cdef int interrupt(self, str what, int control) except -1:
        if self.get(control, 4) >> 31:
            self.set(control, 4, 3U << 30)
        else:
            self.raised.append(what)
        return 0

    def take_interrupts(self):
        """Interrupts raised since the last call: ``"fault"``, ``"invalidation"``,
        ``"page request"``."""
        taken = self.raised
        self.raised = []
        return taken

    # --- the invalidation queue -----------------------------------------------------------------

    cdef int queue_error(self, int code) except -1:
        self.set(FSTS, 4, self.get(FSTS, 4) | FSTS_IQE)
        self.set(IQERCD, 8, self.get(IQERCD, 8) & ~0xfULL | code)
        self.interrupt("fault", FECTL)
        return 0

    cdef int fetch(self) except -1:
        """Take the descriptors between head and tail; stop at the first that is bad (rule 37)."""
        cdef uint64_t base = self.get(IQA, 8)
        cdef int width = 32 if base & 0x800 else 16
        cdef uint32_t length = 4096U << (base & 7)
        cdef uint32_t head = self.get(IQH, 4), tail = self.get(IQT, 4)
        cdef uint64_t[4] qw
        cdef int i, error
        if not self.get(GSTS, 4) & GSTS_QIES or self.get(FSTS, 4) & (FSTS_IQE | FSTS_ITE):
            return 0
        if tail >= length:
            return self.queue_error(IQE_TAIL)
        head = head // width * width % length
        if tail % width:
            return self.queue_error(IQE_ALIGNMENT)
        while head != tail:
            memset(qw, 0, sizeof(qw))
            for i in range(width // 8):
                if not self.memory.get64((base & ADDRESS) + head + 8 * i, &qw[i]):
                    return self.queue_error(IQE_FETCH)
            error = self.validate(qw[0], qw[1], qw[2], qw[3])
            if error == 0 and width == 16 and _kind(qw[0]) >= TYPE_PASID_IOTLB:
                error = IQE_WIDTH
            if error:
                return self.queue_error(error)
            self.queue.append((head // width, qw[0], qw[1], qw[2], qw[3]))
            head = (head + width) % length
            self.set(IQH, 4, head)
        if not self.asynchronous:
            while self.queue:
                self.step()
        return 0

    cdef int validate(self, uint64_t qw0, uint64_t qw1, uint64_t qw2, uint64_t qw3):
        """0, or why the descriptor is bad. Reserved bits of VT-d 6.5.2."""
        cdef int kind = _kind(qw0)
        cdef uint64_t low = 0, high = 0
        cdef int granularity = _bits(qw0, 5, 4)
        if qw0 & 0xe00:
            return IQE_TYPE
        if kind == TYPE_CONTEXT:
            low, high = 0xfffc00000000f1c0, EVERYWHERE
        elif kind == TYPE_IOTLB:
            low, high = 0xffffffff0000f100, 0xf80
        elif kind == TYPE_DEVICE:
            low, high = 0x000f0000ffe001f0, 0xffe
        elif kind == TYPE_INTERRUPT:
            low, high = 0xffff000007fff1e0, EVERYWHERE
        elif kind == TYPE_WAIT:
            low, high = 0x00000000fffff100, 0x3
        elif kind == TYPE_PASID_IOTLB:
            low, high = 0xfff000000000f1c0, 0xf80
        elif kind == TYPE_PASID_CACHE:
            low, high = 0xfff000000000f1c0, EVERYWHERE
        elif kind == TYPE_PASID_DEVICE:
            low, high = 0x0000000000000000, 0x7fe
        elif kind == TYPE_PAGE_RESPONSE:
            low, high = 0xfff00000000001e0, 0xfffffffffffff003
        else:
            return IQE_TYPE
        if qw0 & low or qw1 & high or qw3:
            return IQE_RESERVED
        if qw2 and kind != TYPE_PAGE_RESPONSE:
            return IQE_RESERVED
        if kind in (TYPE_CONTEXT, TYPE_IOTLB) and granularity == 0:
            return IQE_RESERVED
        if kind == TYPE_PASID_IOTLB and granularity < 2 or kind == TYPE_PASID_CACHE and granularity == 2:
            return IQE_RESERVED
        if (kind == TYPE_IOTLB or kind == TYPE_PASID_IOTLB) and granularity == 3:
            if qw1 & 0x3f > _bits(self.get(CAP, 8), 53, 48):
                return IQE_RESERVED                                   # rule 25
            if qw1 & ADDRESS & ((<uint64_t> PAGE_SIZE << (qw1 & 0x3f)) - 1):
                return IQE_RESERVED
        return 0

    @property
    def pending(self):
        """How many fetched descriptors have not completed."""
        return len(self.queue)

    def ready(self):
        """Positions in the queue of pending descriptors that may complete next (rules 33, 34): a
        wait only when it is the oldest, nothing past a wait with FN=1."""
        found = []
        for position, descriptor in enumerate(self.queue):
            if _kind(descriptor[1]) == TYPE_WAIT:
                if position == 0:
                    found.append(position)
                if descriptor[1] & 0x40:
                    break
            else:
                found.append(position)
        return tuple(found)

    def next_descriptor(self, int position=0):
        """What is pending at a position, in words: ``"wait"``, ``"pasid iotlb did 1 pasid 5"``...

        :raises IndexError: nothing is pending there.
        """
        cdef uint64_t qw0, qw1
        cdef int kind, granularity
        if not 0 <= position < len(self.queue):
            raise IndexError(f"no descriptor is pending at position {position}")
        qw0, qw1 = self.queue[position][1], self.queue[position][2]
        kind = _kind(qw0)
        granularity = _bits(qw0, 5, 4)
        text = _NAMES[kind]
        if kind == TYPE_IOTLB and granularity == 1 or kind == TYPE_PASID_CACHE and granularity == 3:
            return f"{text} global"
        if kind == TYPE_CONTEXT:
            return f"{text} global" if granularity != 3 else f"{text} device {_bits(qw0, 47, 32):#x}"
        if kind == TYPE_DEVICE:
            return f"{text} {_bits(qw0, 47, 32):#x}"
        if kind == TYPE_PASID_DEVICE:
            return f"{text} {_bits(qw0, 31, 16):#x} pasid {_bits(qw0, 51, 32)}"
        if kind in (TYPE_IOTLB, TYPE_PASID_IOTLB, TYPE_PASID_CACHE):
            text = f"{text} did {_bits(qw0, 31, 16)}"
            if kind == TYPE_PASID_IOTLB or kind == TYPE_PASID_CACHE and granularity == 1:
                text = f"{text} pasid {_bits(qw0, 51, 32)}"
            if kind != TYPE_PASID_CACHE and granularity == 3:
                text = f"{text} {qw1 & ADDRESS:#x} order {qw1 & 0x3f} ih {_bits(qw1, 6, 6)}"
        return text

    def step(self, int position=0):
        """Complete one pending descriptor.

        :param position: one of :meth:`ready`.
        :return: physical addresses of the words that were written (a wait's status), as a tuple;
            empty also if nothing was pending.
        :raises ValueError: the one at *position* may not complete now.
        """
        if not self.queue:
            return ()
        if position and position not in self.ready():
            raise ValueError(f"the descriptor at position {position} may not complete yet")
        self.dirty = True
        descriptor = self.queue.pop(position)
        self.execute(descriptor)
        if _kind(descriptor[1]) == TYPE_WAIT and descriptor[1] & 0x20:
            return (descriptor[2] & ~3,)
        return ()

    cdef int execute(self, tuple descriptor) except -1:
        cdef uint64_t qw0 = descriptor[1], qw1 = descriptor[2], last, size
        cdef int kind = _kind(qw0), granularity = _bits(qw0, 5, 4), domain = _bits(qw0, 31, 16)
        cdef int pasid = _bits(qw0, 51, 32), source, order
        if kind == TYPE_CONTEXT:
            self.drop_contexts(granularity, _bits(qw0, 47, 32), _bits(qw0, 49, 48))
        elif kind == TYPE_IOTLB:
            # Page-selective covers all first-stage entries of the domain (rule 26).
            self.drop_translations(ANY if granularity == 1 else domain, ANY, 0, EVERYWHERE,
                                   granularity == 3 and qw1 & 0x40, granularity != 3)
        elif kind == TYPE_PASID_IOTLB:
            if granularity == 2:
                self.drop_translations(domain, pasid, 0, EVERYWHERE, False, True)
            else:
                last = (qw1 & ADDRESS) + (<uint64_t> PAGE_SIZE << (qw1 & 0x3f)) - 1
                self.drop_translations(domain, pasid, qw1 & ADDRESS, last, qw1 & 0x40, False)
        elif kind == TYPE_PASID_CACHE:
            self.drop_entries(granularity, domain, pasid)
        elif kind == TYPE_DEVICE or kind == TYPE_PASID_DEVICE:
            source = _bits(qw0, 47, 32) if kind == TYPE_DEVICE else domain
            if source in self.unresponsive:
                self.set(FSTS, 4, self.get(FSTS, 4) | FSTS_ITE)
                self.set(IQERCD, 8, self.get(IQERCD, 8) & 0xffff0000ffffffff | <uint64_t> source << 32)
                self.queue[:] = [item for item in self.queue if _kind(item[1]) != TYPE_WAIT]
                self.interrupt("fault", FECTL)
                return 0
            order = 0
            if qw1 & (1 if kind == TYPE_DEVICE else 0x800):           # S: rule 31
                order = 1
                while order < 52 and qw1 >> (11 + order) & 1:
                    order += 1
            size = EVERYWHERE if order >= 52 else (<uint64_t> PAGE_SIZE << order) - 1
            if kind == TYPE_DEVICE:
                pasid = 0                            # RID_PASID of all that Linux sets up
            elif qw1 & 1:                            # G
                pasid = ANY
            self.drop_device(source, pasid, qw1 & ADDRESS & ~size, qw1 & ADDRESS | size)
        elif kind == TYPE_WAIT:
            if qw0 & 0x20:
                self.memory.put(qw1 & ~<uint64_t> 3, 4, qw0 >> 32)
            if qw0 & 0x10 and not self.get(ICS, 4) & 1:
                self.set(ICS, 4, 1)
                self.interrupt("invalidation", IECTL)
        elif kind == TYPE_PAGE_RESPONSE:
            self.responses.append((domain, pasid if qw0 & 0x10 else None, <int> _bits(qw1, 11, 3),
                                   <int> _bits(qw0, 15, 12)))
        return 0

    cdef int drop_contexts(self, int granularity, int source, int mask) except -1:
        """Context-cache invalidation (rule 19). Scalable context entries have no domain, so a
        domain-selective one covers all."""
        cdef int keep = 0xffff & ~((1 << mask) - 1)
        for sid in [sid for sid in self.context_cache
                    if granularity != 3 or sid & keep == source & keep]:
            del self.context_cache[sid]
        covered = [sid for sid in self.contexts_held if granularity != 3 or sid & keep == source & keep]
        for sid in covered:
            del self.contexts_held[sid]
        if self.translating():
            for sid in covered:
                self.scan_context(sid, False)
        return 0

    cdef int drop_entries(self, int granularity, int domain, int pasid) except -1:
        """PASID-cache invalidation (rule 20): 0 domain-, 1 PASID-selective, 3 global."""
        for key in [key for key, entry in self.pasid_cache.items()
                    if (granularity == 3 or entry[1] & 0xffff == domain)
                    and (granularity != 1 or key[1] == pasid)]:
            del self.pasid_cache[key]
        covered = {}
        for key, entries in self.entries_held.items():
            if granularity == 1 and key[1] != pasid:
                continue
            for entry in list(entries):
                if granularity == 3 or entry[1] & 0xffff == domain:
                    del entries[entry]
                    self.unlead(key[0], key[1], entry)
                    covered[key] = None
        for key in [key for key in self.directories_held if granularity != 1 or key[1] == pasid >> 6]:
            del self.directories_held[key]
            if granularity != 1:
                for low in range(64):
                    if (key[0], key[1] << 6 | low) in self.entries_held:
                        covered[key[0], key[1] << 6 | low] = None
            else:
                covered[key[0], pasid] = None
        if self.translating():
            for sid, low in covered:
                self.rescan_pasid(sid, low)
        return 0

    cdef int drop_translations(self, int domain, int pasid, uint64_t first, uint64_t last, bint leaves_only,
                               bint drains) except -1:
        """IOTLB and structure-cache invalidation (rules 21 to 27). *drains*: it covers whole PASIDs,
        so no request that uses an older root is left in flight."""
        for key, item in list(self.iotlb.items()):
            if (domain in (ANY, key[0]) and pasid in (ANY, key[1]) and key[2] <= last
                    and key[2] + (1 << item[1]) - 1 >= first):
                del self.iotlb[key]
        if not leaves_only:
            for key in list(self.structure):
                if (domain in (ANY, key[0]) and pasid in (ANY, key[1]) and key[3] <= last
                        and key[3] + (1 << (12 + 9 * key[2])) - 1 >= first):
                    del self.structure[key]
        if drains:
            for key in [key for key in self.draining if domain in (ANY, key[0]) and pasid in (ANY, key[1])]:
                del self.draining[key]
                self.holds.c_deactivate(self.tags[key[0], key[1], key[3]], key[2], False)
        for key, context in self.tags.items():
            if domain in (ANY, key[0]) and pasid in (ANY, key[1]):
                self.holds.c_drop(context, first, last, 1, 0 if leaves_only else 1)
        return 0

    cdef int drop_device(self, int source, int pasid, uint64_t first, uint64_t last) except -1:
        """Device-TLB invalidation."""
        for key, context in self.devices.items():
            if key[0] == source and pasid in (ANY, key[2]):
                self.holds.c_drop(context, first, last, 3, 0)
        return 0

    cdef int drop_everything(self) except -1:
        self.context_cache.clear()
        self.pasid_cache.clear()
        self.iotlb.clear()
        self.structure.clear()
        self.contexts_held.clear()
        self.directories_held.clear()
        for key in list(self.entries_held):
            for entry in list(self.entries_held[key]):
                self.unlead(key[0], key[1], entry)
        self.entries_held.clear()
        return self.drop_translations(ANY, ANY, 0, EVERYWHERE, False, True)

    # --- reading the remapping structures ---------------------------------------------------------

    cdef object read_context(self, int source, int *reason):
        """(low, high) of the context entry in memory, or None and why."""
        cdef uint64_t root = 0, low = 0, high = 0, more = 0, pa
        cdef int devfn = source & 0xff
        pa = (self.root & ADDRESS) + 16 * (source >> 8) + (8 if devfn >= 0x80 else 0)
        if not self.memory.get64(pa, &root):
            reason[0] = 0x38
            return None
        if not root & 1:
            reason[0] = 0x39
            return None
        if root & 0xffe or root & self.reserved_address:
            reason[0] = 0x3a
            return None
        pa = (root & ADDRESS) + 32 * (devfn & 0x7f)
        if not (self.memory.get64(pa, &low) and self.memory.get64(pa + 8, &high)):
            reason[0] = 0x40
            return None
        if not low & 1:
            reason[0] = 0x41
            return (low, high)
        self.memory.get64(pa + 16, &more)
        if low & 0x1e0 or low & self.reserved_address or high >> 21 or more:
            reason[0] = 0x42
            return (low, high)
        reason[0] = 0
        return (low, high)

    cdef object read_entry(self, uint64_t directory, int size, int pasid, int *reason, bint *quiet):
        """The eight words of a PASID entry in memory, or None and why; *quiet* if FPD was seen."""
        cdef uint64_t entry = 0
        cdef uint64_t[8] words
        cdef int i
        if pasid >> 6 >= size:
            reason[0] = 0x46
            return None
        if not self.memory.get64((directory & ADDRESS) + 8 * (pasid >> 6), &entry):
            reason[0] = 0x50
            return None
        quiet[0] = quiet[0] or entry & 2 != 0
        if not entry & 1:
            reason[0] = 0x51
            return None
        if entry & 0xffc or entry & self.reserved_address:
            reason[0] = 0x52
            return None
        for i in range(8):
            if not self.memory.get64((entry & ADDRESS) + 64 * (pasid & 63) + 8 * i, &words[i]):
                reason[0] = 0x58
                return None
        quiet[0] = quiet[0] or words[0] & 2 != 0
        found = (words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])
        reason[0] = self.check_entry(found)
        return found

    cdef int check_entry(self, tuple entry):
        """0 if the PASID entry can be used, else the fault reason."""
        cdef uint64_t word0 = entry[0], word1 = entry[1], word2 = entry[2]
        cdef int kind = _bits(word0, 8, 6)
        if not word0 & 1:
            return 0x59
        if word0 & 0xc00 or word1 & 0x7f0000 or entry[3] or entry[4] or entry[5] or entry[6] or entry[7]:
            return 0x5a
        if kind == 4:
            return 0
        if kind != 1:
            return 0x5b
        if word2 & 0xf00 or word2 & self.reserved_address:
            return 0x5a
        if _bits(word2, 3, 2) > (1 if self.fl5lp else 0):
            return 0x5b
        return 0

    cdef object structures(self, int source, object pasid, bint remember):
        """(PASID entry, PASID) for a request, by the concrete caches if *remember*; or (None, PASID,
        reason, quiet)."""
        cdef int reason = 0, number, size
        cdef bint quiet = False
        context = self.context_cache.get(source) if remember else None
        if context is None:
            context = self.read_context(source, &reason)
            if reason:
                return None, pasid, reason, context is not None and context[0] & 2 != 0
            if remember:
                _insert(self.context_cache, source, context, self.capacity)
        quiet = context[0] & 2 != 0
        if pasid is not None and not context[0] & 8:
            return None, pasid, 0x45, quiet
        number = <int> (context[1] & 0xfffff) if pasid is None else pasid
        entry = self.pasid_cache.get((source, number)) if remember else None
        if entry is None:
            size = 1 << (_bits(context[0], 11, 9) + 7)
            entry = self.read_entry(context[0], size, number, &reason, &quiet)
            if reason == 0x46 and pasid is None:
                reason = 0x48
            if reason:
                return None, pasid, reason, quiet
            if remember:
                _insert(self.pasid_cache, (source, number), entry, self.capacity)
        return entry, number, 0, quiet or entry[0] & 2 != 0

    # --- requests ---------------------------------------------------------------------------------

    def request(self, int source, pasid, uint64_t address, *, bint write=False, bint privileged=False,
                bint execute=False):
        """A DMA request.

        With concrete caches it uses and fills them; otherwise it walks memory as it is now (the
        other possibilities: :meth:`outcomes`). Sets A and D.

        :param source: requester id, 16 bits.
        :param pasid: up to 20 bits, or None for a request without PASID.
        :return: the physical address; the same address while translation is off.
        :raises DMARFault: the request is blocked; the fault is recorded.
        :raises ValueError: *source* or *pasid* has too many bits.
        """
        if not 0 <= source <= 0xffff:
            raise ValueError(f"a source id has 16 bits, {source:#x} has more")
        if pasid is not None and not 0 <= pasid <= 0xfffff:
            raise ValueError(f"a PASID has 20 bits, {pasid:#x} has more")
        if not self.translating():
            if self.get(GSTS, 4) & GSTS_TES:
                self.block(0x30 if pasid is None else 0x31, source, pasid, address, write, privileged, False)
            return address
        found = self.structures(source, pasid, self.concrete)
        self.dirty = self.dirty or self.concrete
        if found[0] is None:
            self.block(found[2], source, pasid, address, write, privileged, found[3])
        result = self.first_stage(found[0], found[1], address, write, privileged, execute)
        if result[0] is None:
            self.block(result[1], source, pasid, address, write, privileged, found[3])
        return result[0]

    cdef object first_stage(self, tuple entry, int pasid, uint64_t va, bint write, bint privileged,
                            bint execute):
        """(physical address, 0) or (None, reason)."""
        cdef uint64_t word0 = entry[0], word1 = entry[1], word2 = entry[2], root, expected, marked
        cdef int domain = word1 & 0xffff, five = _bits(word2, 3, 2), level, i, shift, status, tries = 0
        cdef Format *format = &self.formats[five]
        cdef Walk walk
        cdef bint fresh
        if _bits(word0, 8, 6) == 4:
            if va & self.reserved_address:
                return None, 0x83
            return va, 0
        if privileged and not word2 & 1:
            return None, 0x5d
        if execute and not word2 & 2:
            return None, 0x5c
        shift = 7 if five else 16
        if <uint64_t> (<int64_t> (va << shift) >> shift) != va:
            return None, 0x80
        if self.concrete:
            for shift in (12, 21, 30):
                hit = self.iotlb.get((domain, pasid, va >> shift << shift, shift))
                if hit is not None:
                    if _denied(hit[2], write, privileged, execute, word2) or (write and not hit[3]):
                        del self.iotlb[domain, pasid, va >> shift << shift, shift]
                    else:
                        return self.remapped(hit[0] | va & ((<uint64_t> 1 << shift) - 1))
        root = word2 & ADDRESS
        fresh = not self.concrete
        while True:
            walk_from_root(&walk, format, root, va)
            if not fresh:
                for level in range(1, format.levels):
                    shift = 12 + 9 * level
                    cached = self.structure.get((domain, pasid, level, va >> shift << shift))
                    if cached is not None:
                        walk_from(&walk, level, cached[0], cached[1], va)
                        break
            status = walk_read(self.memory, format, &walk, False)
            if status != WALK_DONE:
                if status == WALK_BUS_ERROR:
                    return None, 0x73 if walk.level == format.levels else 0x70
                return None, 0x71 if status == WALK_NOT_PRESENT else 0x72
            level = _denied(walk.rights, write, privileged, execute, word2)
            if level:
                if not fresh and not walk.start_level == format.levels:
                    fresh = True               # do not trust a cached right that forbids
                    continue
                return None, level
            if not word1 & 1 << 23 and walk_unmarked(format, &walk, True, write):
                return None, 0x90
            status = walk_mark(self.memory, format, &walk, True, write)
            if status == WALK_DONE:
                break
            tries += 1
            if status == WALK_BUS_ERROR or tries > 64:
                return None, 0x91
        if word2 & 0x80:
            for i in range(walk.steps):
                expected = walk.path[i].entry
                marked = expected | EXTENDED_ACCESSED
                if marked != expected and self.memory.cas64(walk.path[i].pa, &expected, marked) != CAS_STORED:
                    return None, 0x91
        if self.concrete:
            for i in range(walk.steps - 1):
                level = walk.path[i].level - 1
                shift = 12 + 9 * level
                _insert(self.structure, (domain, pasid, level, va >> shift << shift),
                        (entry_table(format, walk.path[i].entry), walk.reached[i]), self.capacity)
            _insert(self.iotlb, (domain, pasid, va >> walk.shift << walk.shift, walk.shift),
                    (walk.page, walk.shift, walk.rights, write or walk.dirty), self.capacity)
        return self.remapped(walk.page | va & ((<uint64_t> 1 << walk.shift) - 1))

    cdef object remapped(self, uint64_t pa):
        """Nothing may be translated into the interrupt range (rule 4, 0x87)."""
        if pa >> 20 == 0xfee:
            return None, 0x87
        return pa, 0

    def outcomes(self, int source, pasid, uint64_t address, *, bint write=False, bint privileged=False):
        """Saturating: every way in which a request may end, by every PASID entry that the unit may
        hold and every translation below it.

        :return: a list of :class:`kmm_ext.holds.Outcome`; empty if no entry is held (the request
            faults for want of a PASID entry).
        """
        found = []
        number = pasid
        if pasid is None:
            for context in self.contexts_held.get(source, ()):
                number = context[1] & 0xfffff
        for entry in self.entries_held.get((source, number), ()):
            if entry[0] >> 6 & 7 != 1 or (privileged and not entry[2] & 1):
                continue
            context = self.tags[entry[1] & 0xffff, number, 5 if entry[2] >> 2 & 3 else 4]
            for outcome in self.holds.access(context, address, write=write, user=not privileged,
                                             protect=entry[2] & 16 != 0):
                if outcome not in found:
                    found.append(outcome)
        return found

    cdef int block(self, int reason, int source, object pasid, uint64_t address, bint write, bint privileged,
                   bint quiet) except -1:
        """Record a fault (not if *quiet*: FPD was set in a structure that was used) and raise it."""
        cdef int at = FRCD + 16 * self.next_record
        cdef uint64_t who
        cdef bint recorded = False
        if not quiet and not self.get(FSTS, 4) & FSTS_PFO:
            self.dirty = True
            if self.get(at + 12, 4) >> 31:
                self.set(FSTS, 4, self.get(FSTS, 4) | FSTS_PFO)
            else:
                if not self.mmio_read(FSTS, 4) & FSTS_PPF:
                    self.set(FSTS, 4, self.get(FSTS, 4) & ~0xff00U | self.next_record << 8)
                who = source | <uint64_t> privileged << 30 | <uint64_t> reason << 32
                who |= <uint64_t> (not write) << 62 | 1ULL << 63
                if pasid is not None:
                    who |= 1U << 31 | <uint64_t> pasid << 40
                self.set(at, 8, address & ADDRESS)
                self.set(at + 8, 8, who)
                self.next_record = (self.next_record + 1) % self.fault_registers
                self.interrupt("fault", FECTL)
                recorded = True
        raise DMARFault(reason, source, pasid, address, write, recorded)

    def page_request(self, int source, pasid, uint64_t address, *, bint write=False, bint privileged=False,
                     int group=0, bint last=True):
        """A device asks for a page (PRI). The request is queued for software.

        The unit drops its concrete translations of the page (rule 43).

        :return: whether it was queued; False if requests are not enabled for the device, the
            queue is full (PRO is set) or software has not cleared PRO.
        """
        cdef int reason = 0
        cdef uint64_t base = self.get(PQA, 8), pa
        cdef uint32_t length = 4096U << (base & 7), tail = self.get(PQT, 4), head = self.get(PQH, 4)
        cdef bint ok
        if not self.translating():
            return False
        context = self.read_context(source, &reason)
        if reason or not context[0] & 0x10:
            return False
        self.dirty = True
        number = context[1] & 0xfffff if pasid is None else pasid
        for shift in (12, 21, 30):
            for key in [key for key in self.iotlb
                        if key[1] == number and key[3] == shift and key[2] == address >> shift << shift]:
                del self.iotlb[key]
        if self.get(PRS, 4) & 2:
            return False
        if tail >= length or (tail + 32) % length == head:
            self.set(PRS, 4, self.get(PRS, 4) | 2)
            self.set(FSTS, 4, self.get(FSTS, 4) | FSTS_PRO)
            self.interrupt("page request", PECTL)
            return False
        pa = (base & ADDRESS) + tail
        ok = self.memory.put64(pa, 1 | (0 if pasid is None else 0x100 | <uint64_t> pasid << 32)
                               | <uint64_t> source << 16 | <uint64_t> privileged << 53)
        ok = ok and self.memory.put64(pa + 8, (address & ADDRESS) | <uint64_t> (group & 0x1ff) << 3
                                      | <uint64_t> last << 2 | write << 1 | 1)
        ok = ok and self.memory.put64(pa + 16, 0) and self.memory.put64(pa + 24, 0)
        if not ok:
            return False
        self.set(PQT, 4, (tail + 32) % length)
        if not self.get(PRS, 4) & 1:
            self.set(PRS, 4, self.get(PRS, 4) | 1)
            self.interrupt("page request", PECTL)
        return True

    # --- saturating: which structures the unit may hold -------------------------------------------

    cdef int follow(self, str kind, paddr_t pa, tuple role) except -1:
        """Watch the frame at *pa*, which is read as part of a remapping structure."""
        cdef uint64_t pfn = pa >> PAGE_SHIFT
        roles = self.roles.setdefault(pfn, {})
        if not roles:
            self.memory.watch(pfn)
            self.watched.append(pfn)
        if (kind, *role) not in roles:
            self.dirty = True
            roles[(kind, *role)] = None
        return 0

    cdef int scan_root(self) except -1:
        cdef int bus
        if self.holds is None:
            return 0
        self.follow("root", self.root & ADDRESS, ())
        for bus in range(256):
            self.scan_bus(bus, 0)
            self.scan_bus(bus, 1)
        return 0

    cdef int scan_bus(self, int bus, int half) except -1:
        cdef uint64_t root = 0
        cdef int device
        if not self.memory.get64((self.root & ADDRESS) + 16 * bus + 8 * half, &root) or not root & 1:
            return 0
        if root & 0xffe or root & self.reserved_address:
            return 0
        self.follow("context", root & ADDRESS, (bus << 8 | half << 7,))
        for device in range(128):
            self.scan_context(bus << 8 | half << 7 | device, True)
        return 0

    cdef int scan_context(self, int source, bint again) except -1:
        """Hold the context entry of a device, if there is one, and all that it leads to; what is
        held already is looked at only if *again*."""
        cdef int reason = 0, index, size
        cdef uint64_t directory, pa
        context = self.read_context(source, &reason)
        if reason:
            return 0
        held = self.contexts_held.setdefault(source, {})
        if context in held and not again:
            return 0
        self.dirty = True
        held[context] = None
        directory = context[0] & ADDRESS
        size = 1 << (_bits(context[0], 11, 9) + 7)
        for pa in range(directory, directory + 8 * size, PAGE_SIZE):
            self.follow("directory", pa, (source, directory))
        for index in range(size):
            self.scan_directory_entry(source, directory, index)
        return 0

    cdef int scan_directory_entry(self, int source, uint64_t directory, int index) except -1:
        cdef uint64_t entry = 0
        if not self.memory.get64(directory + 8 * index, &entry) or not entry & 1:
            return 0
        if entry & 0xffc or entry & self.reserved_address:
            return 0
        return self.scan_table(source, index, entry & ADDRESS)

    cdef int scan_table(self, int source, int index, paddr_t table) except -1:
        cdef int low
        cdef uint64_t word = 0
        held = self.directories_held.setdefault((source, index), {})
        if table not in held:
            self.dirty = True
            held[table] = None
            self.follow("table", table, (source, index))
        for low in range(64):
            if self.memory.get64(table + 64 * low, &word) and word & 1:
                self.scan_entry(source, index << 6 | low, table + 64 * low)
        return 0

    cdef int scan_entry(self, int source, int pasid, paddr_t pa) except -1:
        """Hold the PASID entry at *pa* if it can be used."""
        cdef uint64_t[8] words
        cdef int i
        for i in range(8):
            if not self.memory.get64(pa + 8 * i, &words[i]):
                return 0
        entry = (words[0], words[1], words[2], words[3], words[4], words[5], words[6], words[7])
        if self.check_entry(entry):
            return 0
        held = self.entries_held.setdefault((source, pasid), {})
        if entry in held:
            return 0
        self.dirty = True
        held[entry] = None
        return self.lead(source, pasid, entry)

    cdef int rescan_pasid(self, int source, int pasid) except -1:
        """Hold again what leads to a PASID of a device now."""
        cdef uint64_t entry = 0, directory
        for context in self.contexts_held.get(source, ()):
            directory = context[0] & ADDRESS
            if pasid >> 6 >= 1 << (_bits(context[0], 11, 9) + 7):
                continue
            if self.memory.get64(directory + 8 * (pasid >> 6), &entry) and entry & 1 and not (
                    entry & 0xffc or entry & self.reserved_address):
                self.scan_table(source, pasid >> 6, entry & ADDRESS)
        for table in self.directories_held.get((source, pasid >> 6), ()):
            self.scan_entry(source, pasid, table + 64 * (pasid & 63))
        return 0

    cdef int lead(self, int source, int pasid, tuple entry) except -1:
        """A held PASID entry leads to a root: its context of Holds is active."""
        cdef int64_t context
        cdef int levels = 5 if _bits(entry[2], 3, 2) else 4
        cdef bint device = False
        if self.holds is None or _bits(entry[0], 8, 6) != 1 or not self.translating():
            return 0
        tag = entry[1] & 0xffff, pasid, levels
        if tag in self.tags:
            context = self.tags[tag]
        elif len(self.tags) >= self.capacity_of_tags:
            self.truncated = True
            return 0
        else:
            suffix = "" if levels == self.holds.levels else f"/{levels} levels"
            context = self.holds.c_context(f"{self.name}/did{tag[0]}/pasid{pasid}{suffix}", self.agent,
                                           tag[0] << 20 | pasid, levels, False)
            self.tags[tag] = context
        for held in self.contexts_held.get(source, ()):
            device = device or held[0] & 4 != 0
        if device and len(self.devices) >= self.capacity_of_tags:
            self.truncated = True
        elif device and (source, context, pasid) not in self.devices:
            self.devices[source, context, pasid] = self.holds.device(
                f"{self.name}/device {source:#x}/did{tag[0]}/pasid{pasid}"
                + ("" if levels == self.holds.levels else f"/{levels} levels"), context)
        path = tag[0], pasid, entry[2] & ADDRESS, levels
        users = self.paths.setdefault(path, {})
        if not users:
            if path in self.draining:
                del self.draining[path]
            else:
                self.holds.c_activate(context, path[2])
        users[source, pasid, entry] = None
        return 0

    cdef int unlead(self, int source, int pasid, tuple entry) except -1:
        """A held PASID entry was dropped. Its root stays active until requests are drained."""
        path = entry[1] & 0xffff, pasid, entry[2] & ADDRESS, 5 if _bits(entry[2], 3, 2) else 4
        users = self.paths.get(path)
        if users is None or (source, pasid, entry) not in users:
            return 0
        del users[source, pasid, entry]
        if not users:
            del self.paths[path]
            self.draining[path] = None
        return 0

    cdef int set_active(self, bint on) except -1:
        """Translation was switched on or off."""
        if self.holds is None:
            return 0
        if on:
            for key, entries in self.entries_held.items():
                for entry in entries:
                    self.lead(key[0], key[1], entry)
            return self.scan_root()
        for path in [*self.paths, *self.draining]:
            self.holds.c_deactivate(self.tags[path[0], path[1], path[3]], path[2], False)
        self.paths.clear()
        self.draining.clear()
        return 0

    cdef int structure_changed(self, paddr_t pa) except -1:
        """A word of a frame with roles changed: hold what it leads to now."""
        cdef int source, index
        roles = self.roles.get(pa >> PAGE_SHIFT)
        if roles is None or not self.translating():
            return 0
        for role in list(roles):
            if role[0] == "root":
                if pa >> PAGE_SHIFT == self.root >> PAGE_SHIFT:
                    self.scan_bus((pa & 0xfff) >> 4, (pa >> 3) & 1)
            elif role[0] == "context":
                self.scan_context(role[1] | <int> ((pa & 0xfff) >> 5), False)
            elif role[0] == "directory":
                source = role[1]
                for context in list(self.contexts_held.get(source, ())):
                    index = (pa - <uint64_t> role[2]) >> 3
                    if context[0] & ADDRESS == role[2] and index < 1 << (_bits(context[0], 11, 9) + 7):
                        self.scan_directory_entry(source, role[2], index)
            elif pa & ADDRESS in self.directories_held.get((role[1], role[2]), ()):
                self.scan_entry(role[1], role[2] << 6 | <int> ((pa & 0xfff) >> 6), pa & ~0x3fULL)
        return 0

    cdef void entry_changed(self, paddr_t pa, entry_t old, entry_t new) noexcept:
        if self.holds is not None:
            self.structure_changed(pa)

    def structure_holders(self, uint64_t pfn):
        """By what the unit may read a frame as root, context or PASID structure: a list of
        ``(kind, role...)``, where kind is ``"root"``, ``"context"``, ``"directory"`` or ``"table"``."""
        found = []
        if not self.translating():
            return found
        for role in self.roles.get(pfn, ()):
            if role[0] == "root":
                valid = pfn == self.root >> PAGE_SHIFT
            elif role[0] == "context":
                valid = self.leads_to(pfn, role[1])
            elif role[0] == "directory":
                valid = any(context[0] & ADDRESS == role[2]
                            for context in self.contexts_held.get(role[1], ()))
            else:
                valid = pfn << PAGE_SHIFT in self.directories_held.get((role[1], role[2]), ())
            if valid:
                found.append(role)
        return found

    cdef bint leads_to(self, uint64_t pfn, int source):
        cdef uint64_t root = 0
        self.memory.get64((self.root & ADDRESS) + 16 * (source >> 8) + 8 * (source >> 7 & 1), &root)
        return root & 1 and root >> PAGE_SHIFT == pfn

    # --- snapshots ----------------------------------------------------------------------------------

    cdef tuple state(self):
        return (list(self.queue), list(self.raised), list(self.responses), self.unresponsive,
                dict(self.context_cache), dict(self.pasid_cache), dict(self.iotlb), dict(self.structure),
                _copy(self.contexts_held), _copy(self.directories_held), _copy(self.entries_held),
                _copy(self.paths), dict(self.draining), dict(self.tags), dict(self.devices),
                _copy(self.roles), self.next_record)

    cdef void snapshot_taken(self) noexcept:
        memcpy(self.saved_registers, self.registers, REGISTER_BYTES)
        self.saved_root = self.root
        self.watched.clear()
        self.saved = self.state()
        self.dirty = False

    cdef void restored(self) noexcept:
        if self.saved is None or not self.dirty:
            return
        memcpy(self.registers, self.saved_registers, REGISTER_BYTES)
        self.root = self.saved_root
        for pfn in self.watched:
            self.memory.unwatch(pfn)
        self.watched.clear()
        saved = self.saved
        self.queue = list(saved[0])
        self.raised = list(saved[1])
        self.responses[:] = saved[2]
        self.unresponsive = saved[3]
        self.context_cache = dict(saved[4])
        self.pasid_cache = dict(saved[5])
        self.iotlb = dict(saved[6])
        self.structure = dict(saved[7])
        self.contexts_held = _copy(saved[8])
        self.directories_held = _copy(saved[9])
        self.entries_held = _copy(saved[10])
        self.paths = _copy(saved[11])
        self.draining = dict(saved[12])
        self.tags = dict(saved[13])
        self.devices = dict(saved[14])
        self.roles = _copy(saved[15])
        self.next_record = saved[16]
        self.dirty = False


_NAMES = {
    TYPE_CONTEXT: "context cache", TYPE_IOTLB: "iotlb", TYPE_DEVICE: "device tlb",
    TYPE_INTERRUPT: "interrupt entry cache", TYPE_WAIT: "wait", TYPE_PASID_IOTLB: "pasid iotlb",
    TYPE_PASID_CACHE: "pasid cache", TYPE_PASID_DEVICE: "pasid device tlb",
    TYPE_PAGE_RESPONSE: "page response",
}


cdef inline int _kind(uint64_t qw0) noexcept nogil:
    """Descriptor type; its upper half, bits 11:9, is zero in all that exist."""
    return qw0 & 0xf


cdef int _denied(int rights, bint write, bint privileged, bint execute, uint64_t word2) noexcept nogil:
    """0, or the reason for which the rights of a translation forbid a request."""
    if not privileged and not rights & RIGHT_USER:
        return 0x81
    if write and not rights & RIGHT_WRITE and (not privileged or word2 & 16):
        return 0x85
    if execute and not rights & RIGHT_EXEC:
        return 0x82
    return 0


cdef int _insert(dict cache, object key, object value, int capacity) except -1:
    """First in, first out."""
    if key not in cache and len(cache) >= capacity:
        del cache[next(iter(cache))]
    cache[key] = value
    return 0


cdef dict _copy(dict nested):
    return {key: dict(inner) for key, inner in nested.items()}


cdef int _check_access(int64_t offset, int size) except -1:
    if size not in (4, 8):
        raise ValueError(f"registers are read and written 4 or 8 bytes at a time, not {size}")
    if offset % 4:
        raise ValueError(f"register offset {offset:#x} is not aligned")
    return 0
