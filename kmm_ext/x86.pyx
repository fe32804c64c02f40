# SPDX-License-Identifier: GPL-2.0-only
"""The x86-64 MMU of one logical processor, with concrete caches.

What one real processor might do: it walks, keeps finite TLBs and paging-structure caches with PCID
tags, replaces round robin, and never looks at memory again until something invalidates an entry.
Always in IA-32e mode.  Left out: shadow stacks, LASS, LAM, memory types (PAT, PCD and PWT bits are
walked over, not interpreted), nested paging.

Rule numbers are those of the list of paging rules (walk 1-29, accessed and dirty 30-38, TLB 39-49,
structure caches 50-59, invalidation 60-82); section numbers those of SDM volume 3A with paging as
chapter 4.
"""

from typing import NamedTuple

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kmm_ext._types cimport FREE, PAGE_SHIFT, PAGE_SIZE, TABLE, entry_t
from kmm_ext.caches cimport cache_find, cache_layout, cache_place, cache_put
from kmm_ext.memory cimport memory_get64
from kmm_ext.walker cimport (ENTRY_TABLE, RIGHT_EXEC, RIGHT_USER, RIGHT_WRITE,
                             WALK_BUS_ERROR, WALK_CHANGED, WALK_DONE, WALK_NOT_PRESENT, decode,
                             entry_index, entry_table, walk_from, walk_from_root, walk_mark, walk_read,
                             walk_unmarked, x86_format)

from kmm_ext.memory import BusError, NoSnapshot


cdef extern from *:
    void __builtin_prefetch(const void *) nogil

cdef enum:
    AHEAD = 12      # translate_many asks the host for entries this many addresses before it needs them

cdef enum:
    # Page-fault error code (4.7)
    PF_P = 1
    PF_WR = 2
    PF_US = 4
    PF_RSVD = 8
    PF_ID = 16
    PF_PK = 32

cdef enum:
    CR0_PE = 1 << 0
    CR0_WP = 1 << 16

cdef enum:
    CR4_PAE = 1 << 5
    CR4_PGE = 1 << 7
    CR4_LA57 = 1 << 12
    CR4_PCIDE = 1 << 17
    CR4_SMEP = 1 << 20
    CR4_SMAP = 1 << 21
    CR4_PKE = 1 << 22
    CR4_PKS = 1 << 24
    # Bits that exist and have nothing to do with paging: VME..PSE, MCE, PCE, OSFXSR, OSXMMEXCPT,
    # UMIP, VMXE, SMXE, FSGSBASE, OSXSAVE
    CR4_OTHER = 0x1f | 1 << 6 | 0xf << 8 | 3 << 13 | 1 << 16 | 1 << 18

cdef enum:
    EFER_LME = 1 << 8
    EFER_LMA = 1 << 10
    EFER_NXE = 1 << 11
    EFER_TCE = 1 << 15
    EFER_OTHER = 1 | 7 << 12      # SCE, SVME, LMSLE, FFXSR


class Fault(Exception):
    """An exception that the processor raises."""


class GeneralProtection(Fault):
    """#GP(0), with the reason in words."""


class StackFault(Fault):
    """#SS(0): a stack access with a non-canonical address (rule 4)."""


class InvalidOpcode(Fault):
    """#UD: the processor, or CR4, does not have the instruction."""


class PageFault(Fault):
    """#PF.

    :ivar address: what CR2 holds.
    :ivar error_code: bits P, W/R, U/S, RSVD, I/D, PK (4.7).
    """

    def __init__(self, address, error_code):
        super().__init__(address, error_code)
        self.address = address
        self.error_code = error_code

    def __str__(self):
        cdef int code = self.error_code
        what = "fetch from" if code & PF_ID else "write to" if code & PF_WR else "read of"
        why = ("a reserved bit is set" if code & PF_RSVD else "protection key" if code & PF_PK
               else "protection" if code & PF_P else "not present")
        return (f"{'user' if code & PF_US else 'supervisor'} {what} {self.address:#x}: {why} "
                f"(error code {code:#x})")


class HeldEntry(NamedTuple):
    """One entry that a cache holds.

    :ivar cache: ``"dtlb"``, ``"itlb"`` or ``"structure"``.
    :ivar level: level of the entry it was made from; 1 is a PTE, 2 a PDE...
    :ivar address: first linear address it serves.
    :ivar size: how many bytes of linear address it serves.
    :ivar target: physical address of the page or table it leads to.
    :ivar source: physical address of the entry it was made from.
    :ivar entry: what was read there.
    :ivar pcid: tag.
    :ivar rights: 1 write, 2 user, 4 execute, ANDed over the walk.
    """

    cache: str
    level: int
    address: int
    size: int
    target: int
    source: int
    entry: int
    pcid: int
    global_page: bool
    dirty: bool
    rights: int
    key: int


class Stray(NamedTuple):
    """A processor touched memory that is not a page table as one, or a free page (rule 56).

    :ivar kind: ``"read"`` (a walk read an entry there), ``"fill"`` (it made a cache entry of what it
        found), ``"update"`` (it set A or D there), ``"use"`` (a translation leads to a free frame).
    :ivar level: level of the entry; 0 for ``"use"``.
    :ivar address: physical address.
    :ivar linear: linear address that was translated.
    :ivar entry: contents read; 0 for ``"use"``.
    """

    kind: str
    level: int
    address: int
    linear: int
    entry: int


FEATURES = frozenset({"NX", "GBPAGES", "PCID", "INVPCID", "SMEP", "SMAP", "PKU", "PKS", "TCE"})

GEOMETRY = {
    "dtlb4k": (16, 4), "dtlb2m": (4, 4), "dtlb1g": (1, 4),
    "itlb4k": (16, 4), "itlb2m": (4, 4), "itlb1g": (1, 4),
    "pde": (4, 4), "pdpte": (1, 4), "pml4e": (1, 4), "pml5e": (1, 2),
}


cdef class CPU:
    """One logical processor, in 64-bit mode at CPL 0.

    :param memory: physical memory; its tables are read by 64-bit words.
    :param maxphyaddr: 36 to 52.
    :param levels: 4, or 5 for CR4.LA57=1; fixed, because long mode is on (rule 5).
    :param features: names from :data:`FEATURES`, as Linux calls them.
    :param caches: ``{name: (sets, ways)}`` instead of the ones in :data:`GEOMETRY`; *sets* is a power
        of two, 0 ways takes the cache away (rule 59).
    :param early_accessed: set A in each entry when the walk uses it, and keep what a walk that faults
        lower down has read (rules 33 and 52). Otherwise both happen after the rights were granted.
    :param fracture: hold large pages as 4 KiB translations (rule 45).
    :param audit: record a :class:`Stray` in :attr:`strays` for every use of memory in the wrong frame
        state. For machines that keep frame states.
    :raises ValueError: a parameter is out of range; says which.

    Starts with CR0 = PG|WP|PE, CR4 = PAE|PGE, EFER = LMA|LME|SCE and NXE if there is NX; CR3 is 0.
    :attr:`race` may be a function of one linear address: it is called between the reads of a walk and
    its locked updates, and may change memory (rule 31); what it raises ends the access.
    """

    def __cinit__(self, Memory memory not None, *, int maxphyaddr=46, int levels=4, features=FEATURES,
                  caches=None, bint early_accessed=False, bint fracture=False, bint audit=False):
        cdef int side, size, level
        cdef Held *held
        cdef uint32_t *victim
        if not 36 <= maxphyaddr <= 52:
            raise ValueError(f"maxphyaddr is 36 to 52, not {maxphyaddr}")
        if levels not in (4, 5):
            raise ValueError(f"levels is 4 or 5, not {levels}")
        self.features = frozenset(features)
        if not self.features <= FEATURES:
            raise ValueError(f"unknown features {sorted(self.features - FEATURES)}; "
                             f"there are {sorted(FEATURES)}")
        geometry = dict(GEOMETRY)
        geometry.update(caches or {})
        if geometry.keys() != GEOMETRY.keys():
            raise ValueError(f"unknown caches {sorted(geometry.keys() - GEOMETRY.keys())}; "
                             f"there are {sorted(GEOMETRY)}")
        self.memory = memory
        self.maxphyaddr = maxphyaddr
        self.levels = levels
        self.early_accessed = early_accessed
        self.fracture = fracture
        self.audit = audit
        self.strays = []
        for side in range(2):
            for size, name in enumerate(("4k", "2m", "1g")):
                self._layout(&self.tlb[side][size], "di"[side] + "tlb" + name, geometry)
        for level, name in enumerate(("pde", "pdpte", "pml4e", "pml5e"), 2):
            self._layout(&self.structure[level], name, geometry)
        self.held_block = <Held *> calloc(self.nheld + 1, sizeof(Held))
        self.saved_block = <Held *> calloc(self.nheld + 1, sizeof(Held))
        self.victim_block = <uint32_t *> calloc(self.nvictims, sizeof(uint32_t))
        self.saved_victims = <uint32_t *> calloc(self.nvictims, sizeof(uint32_t))
        if not (self.held_block and self.saved_block and self.victim_block and self.saved_victims):
            raise MemoryError
        held = self.held_block
        victim = self.victim_block
        for side in range(2):
            for size in range(3):
                cache_place(&self.tlb[side][size], held, victim)
                held += self.tlb[side][size].size
                victim += self.tlb[side][size].sets
        for level in range(2, 6):
            cache_place(&self.structure[level], held, victim)
            held += self.structure[level].size
            victim += self.structure[level].sets
        self.registers.cr0 = <uint64_t> 0x80000000 | CR0_WP | CR0_PE
        self.registers.cr4 = CR4_PAE | CR4_PGE | (CR4_LA57 if levels == 5 else 0)
        self.registers.efer = EFER_LMA | EFER_LME | 1
        if "NX" in self.features:
            self.registers.efer |= EFER_NXE
        self._new_format()

    def __dealloc__(self):
        free(self.held_block)
        free(self.saved_block)
        free(self.victim_block)
        free(self.saved_victims)

    cdef int _layout(self, Cache *cache, str name, dict geometry) except -1:
        sets, ways = geometry[name]
        if not cache_layout(cache, sets, ways):
            raise ValueError(f"cache {name}: sets is a power of two up to 4096 and ways 0 to 64, "
                             f"not {sets}, {ways}")
        self.nheld += cache.size
        self.nvictims += cache.sets
        return 0

    cdef void _new_format(self) noexcept:
        x86_format(&self.format, self.levels, self.maxphyaddr,
                   self.registers.efer & EFER_NXE != 0, "GBPAGES" in self.features)

    def __repr__(self):
        return (f"<CPU cr3={self.registers.cr3:#x} pcid={self.registers.pcid} "
                f"cpl={self.registers.cpl} levels={self.levels}>")

    # --- translation ----------------------------------------------------------------------------

    cdef bint canonical(self, vaddr_t va) noexcept nogil:
        """Rules 1 and 2: all bits from the top of the address width up are equal."""
        cdef int unused = 16 if self.levels == 4 else 7
        return <vaddr_t> ((<int64_t> (va << unused)) >> unused) == va

    cdef int deny(self, int rights, int key, int how) noexcept nogil:
        """Error code of an access that the rights of a complete walk forbid, or 0 (rules 13 to 27)."""
        cdef Registers *r = &self.registers
        cdef bint user = how & ACCESS_USER != 0, write = how & ACCESS_WRITE != 0
        cdef bint user_page = rights & RIGHT_USER != 0, wp = r.cr0 & CR0_WP != 0
        cdef bint bad = False, by_key = False
        cdef uint32_t keys = 0
        cdef int code = PF_P
        if user and not user_page:
            bad = True
        if how & ACCESS_FETCH:
            if r.efer & EFER_NXE and not rights & RIGHT_EXEC:
                bad = True
            if not user and user_page and r.cr4 & CR4_SMEP:
                bad = True
            if bad and (r.efer & EFER_NXE or r.cr4 & CR4_SMEP):
                code |= PF_ID
        else:
            if write and not rights & RIGHT_WRITE and (user or wp):
                bad = True
            if not user and user_page and r.cr4 & CR4_SMAP and (how & ACCESS_IMPLICIT or not r.ac):
                bad = True
            if user_page:
                if r.cr4 & CR4_PKE:
                    keys = r.pkru >> (2 * key)
                    by_key = keys & 1 or (keys & 2 and write and (user or wp))
            elif r.cr4 & CR4_PKS:
                keys = r.pkrs >> (2 * key)
                by_key = keys & 1 or (keys & 2 and write and wp)
        if by_key:
            code |= PF_PK
        elif not bad:
            return 0
        if write:
            code |= PF_WR
        if user:
            code |= PF_US
        return code

    cdef int page_fault(self, vaddr_t va, int code, int shift) noexcept nogil:
        """CR2, and rule 77: a fault drops what was held for the address, so it cannot repeat."""
        self.registers.cr2 = va
        self.drop_page(va, shift, self.registers.pcid, True)
        self.drop_structure_path(va, self.registers.pcid)
        return ACCESS_PAGE_FAULT | code

    cdef int access(self, vaddr_t va, int how, paddr_t *out) noexcept nogil:
        cdef int side = 1 if how & ACCESS_FETCH else 0, size, status, code
        cdef uint64_t shift
        cdef Held *held
        cdef Walk walk
        if not self.canonical(va):
            return ACCESS_NON_CANONICAL
        for size in range(3):
            shift = 12 + 9 * size
            held = cache_find(&self.tlb[side][size], va >> shift, self.registers.pcid)
            if held == NULL:
                continue
            code = self.deny(held.rights, held.key, how)
            if code:
                # Rule 47: a right missing in the held entry faults without a look at memory.
                return self.page_fault(va, code, held.page_shift)
            if how & ACCESS_WRITE and not held.dirty:
                break    # rule 36: walk again, to set D
            self.tlb_hits += 1
            out[0] = held.target | (va & ((<uint64_t> 1 << shift) - 1))
            if self.audit:
                with gil:
                    self.note_use(va, out[0])
            return 0
        status = self.walk_for(&walk, va, how, False)
        if status:
            return status
        out[0] = walk.page | (va & ((<uint64_t> 1 << walk.shift) - 1))
        if self.audit:
            with gil:
                self.note_use(va, out[0])
        return 0

    cdef int walk_for(self, Walk *walk, vaddr_t va, int how, bint speculative) noexcept nogil:
        """Walk from the deepest structure cache that knows *va* (rule 55), check, mark, fill."""
        cdef int level, status, code
        cdef bint write = how & ACCESS_WRITE != 0 and not speculative
        cdef Held *held
        cdef Walk before
        while True:
            walk_from_root(walk, &self.format, self.registers.cr3 & self.format.table, va)
            for level in range(2, self.levels + 1):
                held = cache_find(&self.structure[level], va >> self.format.shift[level],
                                  self.registers.pcid)
                if held != NULL:
                    self.structure_hits += 1
                    walk_from(walk, level - 1, held.target, held.rights, va)
                    break
            self.walks += 1
            status = walk_read(self.memory, &self.format, walk, self.early_accessed)
            if self.audit:
                before = walk[0]
            if self.early_accessed:
                self.fill_structure(walk)
            if status != WALK_DONE:
                if self.audit:
                    with gil:
                        self.note_walk(walk, &before, False)
                if status == WALK_BUS_ERROR:
                    self.bus_address = walk.fault
                    return ACCESS_BUS_ERROR
                code = 0 if status == WALK_NOT_PRESENT else PF_P | PF_RSVD
                if write:
                    code |= PF_WR
                if how & ACCESS_USER:
                    code |= PF_US
                if how & ACCESS_FETCH and (self.registers.efer & EFER_NXE
                                           or self.registers.cr4 & CR4_SMEP):
                    code |= PF_ID
                if speculative:
                    return ACCESS_PAGE_FAULT | code
                return self.page_fault(va, code, PAGE_SHIFT)
            if not speculative:
                code = self.deny(walk.rights, walk.key, how)
                if code:
                    if self.audit:
                        with gil:
                            self.note_walk(walk, &before, False)
                    return self.page_fault(va, code, walk.shift)
            if walk_unmarked(&self.format, walk, True, write):
                if self.race is not None:
                    with gil:
                        if not self.call_race(va):
                            return ACCESS_ABANDONED
                status = walk_mark(self.memory, &self.format, walk, True, write)
                if status == WALK_CHANGED:
                    continue
                if status == WALK_BUS_ERROR:
                    self.bus_address = walk.fault
                    return ACCESS_BUS_ERROR
            self.fill_structure(walk)
            self.fill_tlb(walk, how & ACCESS_FETCH != 0)
            if self.audit:
                with gil:
                    self.note_walk(walk, &before, True)
            return 0

    cdef void fill_structure(self, Walk *walk) noexcept nogil:
        """Rules 50 to 52: hold every entry of the walk that references a table."""
        cdef Held held
        cdef int i, level
        held.valid = True
        held.tag = self.registers.pcid
        held.key = held.dirty = held.global_page = 0
        for i in range(walk.steps):
            level = walk.path[i].level
            if decode(&self.format, level, walk.path[i].entry) != ENTRY_TABLE:
                break
            held.level = level
            held.shift = held.page_shift = self.format.shift[level]
            held.prefix = walk.va >> held.shift
            held.target = entry_table(&self.format, walk.path[i].entry)
            held.source = walk.path[i].pa
            held.entry = walk.path[i].entry
            held.rights = walk.reached[i]
            cache_put(&self.structure[level], &held)

    cdef void fill_tlb(self, Walk *walk, bint fetch) noexcept nogil:
        """Rule 41: what a TLB entry holds. Rule 44: global only while CR4.PGE is set."""
        cdef Held held
        cdef int shift = walk.shift
        held.valid = True
        held.tag = self.registers.pcid
        held.level = walk.path[walk.steps - 1].level
        held.page_shift = shift
        held.target = walk.page
        if self.fracture and shift > PAGE_SHIFT:
            held.target |= walk.va & ((<uint64_t> 1 << shift) - PAGE_SIZE)
            shift = PAGE_SHIFT
        held.shift = shift
        held.prefix = walk.va >> shift
        held.source = walk.path[walk.steps - 1].pa
        held.entry = walk.path[walk.steps - 1].entry
        held.rights = walk.rights
        held.key = walk.key
        held.dirty = walk.dirty
        held.global_page = walk.global_page and self.registers.cr4 & CR4_PGE != 0
        cache_put(&self.tlb[fetch][(shift - 12) // 9], &held)

    cdef void prefetch(self, vaddr_t va, int last) noexcept nogil:
        """Ask the host to fetch the entry of level *last* that memory has for *va*. Nothing happens in
        the model: entries above it are looked at, no more."""
        cdef int level = self.levels
        cdef paddr_t table = self.registers.cr3 & self.format.table, pa
        cdef entry_t entry = 0
        while True:
            pa = table + 8 * entry_index(&self.format, level, va)
            if pa > self.memory.size - 8:
                return
            if level == last:
                __builtin_prefetch(self.memory.data + pa)
                return
            memory_get64(self.memory, pa, &entry)
            if decode(&self.format, level, entry) != ENTRY_TABLE:
                return
            table = entry_table(&self.format, entry)
            level -= 1

    # --- invalidation, inner ----------------------------------------------------------------------

    cdef int mapped_shift(self, vaddr_t va) noexcept nogil:
        """Size of the page that memory maps *va* by now, without touching anything."""
        cdef Walk walk
        walk_from_root(&walk, &self.format, self.registers.cr3 & self.format.table, va)
        if walk_read(self.memory, &self.format, &walk, False) == WALK_DONE:
            return walk.shift
        return PAGE_SHIFT

    cdef void drop_page(self, vaddr_t va, int shift, uint32_t pcid, bint globals_too) noexcept nogil:
        """Every piece of a page that contains *va*, and everything inside its page of *shift* bits."""
        cdef int side, size
        cdef uint32_t i
        cdef Held *held
        cdef vaddr_t start
        for side in range(2):
            for size in range(3):
                for i in range(self.tlb[side][size].size):
                    held = self.tlb[side][size].held + i
                    if not held.valid or (held.global_page and not globals_too):
                        continue
                    if held.tag != pcid and not held.global_page:
                        continue
                    start = held.prefix << held.shift
                    if start >> held.page_shift == va >> held.page_shift or start >> shift == va >> shift:
                        held.valid = False

    cdef void drop_tlb(self, bint one_pcid, uint32_t pcid, bint globals_too) noexcept nogil:
        cdef int side, size
        cdef uint32_t i
        cdef Held *held
        for side in range(2):
            for size in range(3):
                for i in range(self.tlb[side][size].size):
                    held = self.tlb[side][size].held + i
                    if (globals_too or not held.global_page) and (not one_pcid or held.tag == pcid):
                        held.valid = False

    cdef void drop_structure(self, bint one_pcid, uint32_t pcid) noexcept nogil:
        cdef int level
        cdef uint32_t i
        cdef Held *held
        for level in range(2, self.levels + 1):
            for i in range(self.structure[level].size):
                held = self.structure[level].held + i
                if not one_pcid or held.tag == pcid:
                    held.valid = False

    cdef void drop_structure_path(self, vaddr_t va, uint32_t pcid) noexcept nogil:
        cdef int level
        cdef Held *held
        for level in range(2, self.levels + 1):
            held = cache_find(&self.structure[level], va >> self.format.shift[level], pcid)
            if held != NULL:
                held.valid = False

    # --- what reports and tests hear --------------------------------------------------------------

    cdef bint call_race(self, vaddr_t va) noexcept:
        """Whether it returned; what it raised else waits in self.pending for the door."""
        try:
            self.race(va)
        except BaseException as error:
            self.pending = error
            return False
        return True

    cdef void note_walk(self, Walk *walk, Walk *before, bint filled) noexcept:
        cdef int i
        for i in range(walk.steps):
            step = (walk.path[i].level, walk.path[i].pa, walk.va, before.path[i].entry)
            if self.memory.frame_state(walk.path[i].pa >> PAGE_SHIFT) == TABLE:
                continue
            self.strays.append(Stray("read", *step))
            if filled:
                self.strays.append(Stray("fill", *step))
            if walk.path[i].entry != before.path[i].entry:
                self.strays.append(Stray("update", *step))

    cdef void note_use(self, vaddr_t va, paddr_t pa) noexcept:
        if self.memory.frame_state(pa >> PAGE_SHIFT) == FREE:
            self.strays.append(Stray("use", 0, pa, va, 0))

    cdef int raise_for(self, vaddr_t va, int status, bint stack) except -1:
        if status == 0:
            return 0
        if status == ACCESS_NON_CANONICAL:
            raise (StackFault if stack else GeneralProtection)(f"{va:#x} is not canonical")
        if status == ACCESS_BUS_ERROR:
            raise BusError(self.bus_address, 8)
        if status == ACCESS_ABANDONED:
            error, self.pending = self.pending, None
            raise error
        raise PageFault(va, status & 0xff)

    cdef int gp(self, str why) except -1:
        raise GeneralProtection(why)

    cdef int privileged(self, str what) except -1:
        if self.registers.cpl:
            raise GeneralProtection(f"{what} at CPL {self.registers.cpl}")
        return 0

    cdef int how(self, bint write, bint fetch, object user, bint implicit) except -1:
        cdef int how = 0
        cdef bint by_user = self.registers.cpl == 3 if user is None else user
        if write:
            how |= ACCESS_WRITE
        if fetch:
            how |= ACCESS_FETCH
        if write and fetch:
            raise ValueError("an access is a fetch or a store, not both")
        if implicit:
            how |= ACCESS_IMPLICIT
        elif by_user:
            how |= ACCESS_USER
        return how

    cdef paddr_t translated(self, vaddr_t va, int how, bint stack) except? 0:
        cdef paddr_t pa = 0
        cdef int status = self.access(va, how, &pa)
        if status:
            self.raise_for(va, status, stack)
        return pa

    cdef int span(self, vaddr_t va, int size, int how, bint stack, paddr_t *first, paddr_t *second) except -1:
        """Translate both pages of an access before any byte moves (rules 28 and 29).

        :return: how many bytes lie in the first page.
        """
        cdef int here
        if size not in (1, 2, 4, 8):
            raise ValueError(f"an access is 1, 2, 4 or 8 bytes, not {size}")
        here = PAGE_SIZE - <int> (va & (PAGE_SIZE - 1))
        if here > size:
            here = size
        if not (self.canonical(va) and self.canonical(va + size - 1)):
            self.raise_for(va, ACCESS_NON_CANONICAL, stack)
        first[0] = self.translated(va, how, stack)
        if here < size:
            second[0] = self.translated(va + here, how, stack)
        return here

    # --- doors: accesses --------------------------------------------------------------------------

    def translate(self, vaddr_t va, *, bint write=False, bint fetch=False, user=None,
                  bint implicit=False, bint stack=False):
        """The physical address that an access to *va* reaches, with all its side effects.

        :param user: access in user mode; None means CPL 3.
        :param implicit: a supervisor access whatever the CPL, which SMAP checks whatever AC (rule 18).
        :param stack: a non-canonical address is #SS instead of #GP (rule 4).
        :raises PageFault: and CR2 is set.
        :raises GeneralProtection: *va* is not canonical.
        :raises BusError: the walk left memory.
        """
        return self.translated(va, self.how(write, fetch, user, implicit), stack)

    def read(self, vaddr_t va, int size, *, bint fetch=False, user=None, bint implicit=False,
             bint stack=False):
        """Load 1, 2, 4 or 8 bytes; both pages are translated before any is read."""
        cdef paddr_t first = 0, second = 0
        cdef uint64_t value = 0, rest = 0
        cdef int here = self.span(va, size, self.how(False, fetch, user, implicit), stack, &first, &second)
        if here == size:
            if not self.memory.get(first, size, &value):
                raise BusError(first, size)
            return value
        if not self.memory.get(first, here, &value):
            raise BusError(first, here)
        if not self.memory.get(second, size - here, &rest):
            raise BusError(second, size - here)
        return value | rest << (8 * here)

    def write(self, vaddr_t va, int size, uint64_t value, *, user=None, bint implicit=False,
              bint stack=False):
        """Store the low *size* bytes of *value*; nothing is stored unless both pages allow it."""
        cdef paddr_t first = 0, second = 0
        cdef int here = self.span(va, size, self.how(True, False, user, implicit), stack, &first, &second)
        if here < size and not self.memory.inside(second, size - here):
            raise BusError(second, size - here)
        if not self.memory.put(first, here, value):
            raise BusError(first, here)
        if here < size:
            self.memory.put(second, size - here, value >> (8 * here))

    def xchg(self, vaddr_t va, int size, uint64_t value, *, user=None):
        """Atomic exchange: one write access, also for its read part (rule 26).

        :return: the old contents.
        """
        cdef paddr_t first = 0, second = 0
        cdef uint64_t old = 0, rest = 0
        cdef int here = self.span(va, size, self.how(True, False, user, False), False, &first, &second)
        if not self.memory.get(first, here, &old):
            raise BusError(first, here)
        if here < size:
            if not self.memory.get(second, size - here, &rest):
                raise BusError(second, size - here)
            self.memory.put(second, size - here, value >> (8 * here))
        self.memory.put(first, here, value)
        return old | rest << (8 * here) if here < size else old

    def translate_many(self, const uint64_t[::1] addresses not None, uint64_t[::1] out not None,
                       uint16_t[::1] status not None, *, bint write=False, bint fetch=False, user=None):
        """Translate every address in order, each as :meth:`translate` does, without the GIL.

        ``status[i]`` is 0 and ``out[i]`` the physical address; or it is ``0x100 | error code`` (#PF),
        ``0x200`` (#GP) or ``0x300`` (the walk left memory), and ``out[i]`` is 0.

        :return: how many were translated.
        :raises ValueError: the buffers differ in length.
        """
        cdef Py_ssize_t i, n = addresses.shape[0]
        cdef int how = self.how(write, fetch, user, False), result
        cdef paddr_t pa
        cdef uint64_t done = 0, walks = self.walks
        if out.shape[0] != n or status.shape[0] != n:
            raise ValueError(f"buffers differ in length: {n}, {out.shape[0]}, {status.shape[0]}")
        with nogil:
            for i in range(n):
                if self.walks != walks and i + 2 * AHEAD < n:    # the last one missed the TLB
                    self.prefetch(addresses[i + 2 * AHEAD], 2)
                    self.prefetch(addresses[i + AHEAD], 1)
                walks = self.walks
                pa = 0
                result = self.access(addresses[i], how, &pa)
                status[i] = <uint16_t> result
                out[i] = pa
                done += result == 0
                if result == ACCESS_ABANDONED:
                    break
        if self.pending is not None:
            self.raise_for(0, ACCESS_ABANDONED, False)
        return done

    def speculate(self, vaddr_t va, *, bint fetch=False):
        """Cache *va* without an access, as a processor may at any time (rules 33 and 40).

        :return: whether there was a translation to cache.
        """
        cdef Walk walk
        cdef int status
        if not self.canonical(va):
            return False
        status = self.walk_for(&walk, va, ACCESS_FETCH if fetch else 0, True)
        if status == ACCESS_ABANDONED:
            self.raise_for(va, status, False)
        return status == 0

    # --- doors: looking without touching ------------------------------------------------------------

    def walk(self, vaddr_t va):
        """What memory says now: ``(level, entry address, entry)`` from the root down to the leaf or to
        the entry at fault. No caches, no side effects.

        :raises GeneralProtection: *va* is not canonical.
        """
        cdef Walk walk
        cdef int i
        if not self.canonical(va):
            self.raise_for(va, ACCESS_NON_CANONICAL, False)
        walk_from_root(&walk, &self.format, self.registers.cr3 & self.format.table, va)
        walk_read(self.memory, &self.format, &walk, False)
        return [(walk.path[i].level, walk.path[i].pa, walk.path[i].entry) for i in range(walk.steps)]

    def lookup(self, vaddr_t va):
        """Every held entry that may be used to translate *va* under the current PCID, as a list of
        :class:`HeldEntry`: TLBs first, smallest page first, then the structure caches from the PDE up.
        More than one TLB entry of a kind is an ambiguous translation (rule 46)."""
        return [held for held in self.held()
                if held.address <= va < held.address + held.size
                and (held.pcid == self.registers.pcid or held.global_page)]

    def held(self):
        """Everything that is held, under every PCID."""
        cdef int side, size, level
        result = []
        for side in range(2):
            for size in range(3):
                _append_held(result, "itlb" if side else "dtlb", &self.tlb[side][size])
        for level in range(2, self.levels + 1):
            _append_held(result, "structure", &self.structure[level])
        return result

    # --- doors: registers ---------------------------------------------------------------------------

    @property
    def cr0(self):
        """CR0."""
        return self.registers.cr0

    @property
    def cr2(self):
        """CR2: address of the last page fault."""
        return self.registers.cr2

    @property
    def cr3(self):
        """CR3."""
        return self.registers.cr3

    @property
    def cr4(self):
        """CR4."""
        return self.registers.cr4

    @property
    def efer(self):
        """IA32_EFER."""
        return self.registers.efer

    @property
    def pkru(self):
        """PKRU."""
        return self.registers.pkru

    @property
    def pkrs(self):
        """IA32_PKRS."""
        return self.registers.pkrs

    @property
    def pcid(self):
        """The current PCID: CR3[11:0], or 0 while CR4.PCIDE is clear."""
        return self.registers.pcid

    @property
    def cpl(self):
        """Current privilege level, 0 to 3."""
        return self.registers.cpl

    @cpl.setter
    def cpl(self, int value):
        if not 0 <= value <= 3:
            raise ValueError(f"CPL is 0 to 3, not {value}")
        self.registers.cpl = value

    @property
    def ac(self):
        """RFLAGS.AC."""
        return bool(self.registers.ac)

    @ac.setter
    def ac(self, bint value):
        self.registers.ac = value

    def write_cr0(self, uint64_t value):
        """MOV to CR0. PG cannot be cleared in 64-bit mode; WP needs no invalidation."""
        self.privileged("MOV to CR0")
        if value >> 32:
            self.gp("CR0[63:32] is reserved")
        if not value & CR0_PE or not value & <uint64_t> 0x80000000:
            self.gp("CR0.PG and PE cannot be cleared in 64-bit mode")
        if value & 1 << 29 and not value & 1 << 30:
            self.gp("CR0.NW=1 with CD=0")
        self.registers.cr0 = value

    def write_cr3(self, uint64_t value):
        """MOV to CR3 (rules 69 to 71)."""
        cdef bint keep = value >> 63, pcide = self.registers.cr4 & CR4_PCIDE != 0
        self.privileged("MOV to CR3")
        if keep and not pcide:
            self.gp("CR3[63] is set without CR4.PCIDE")
        value &= ~(<uint64_t> 1 << 63)
        if value >> self.maxphyaddr:
            self.gp(f"CR3 has a bit above MAXPHYADDR {self.maxphyaddr}")
        self.registers.cr3 = value
        self.registers.pcid = <uint32_t> value & 0xfff if pcide else 0
        if not keep:
            self.drop_tlb(True, self.registers.pcid, False)
            self.drop_structure(True, self.registers.pcid)

    def write_cr4(self, uint64_t value):
        """MOV to CR4 (rules 5 and 72 to 75)."""
        cdef uint64_t old = self.registers.cr4, changed = old ^ value
        cdef uint64_t allowed = CR4_OTHER | CR4_PAE | CR4_PGE | CR4_LA57
        self.privileged("MOV to CR4")
        for bit, feature in ((CR4_PCIDE, "PCID"), (CR4_SMEP, "SMEP"), (CR4_SMAP, "SMAP"),
                             (CR4_PKE, "PKU"), (CR4_PKS, "PKS")):
            if feature in self.features:
                allowed |= bit
        if value & ~allowed:
            self.gp(f"CR4 bits {value & ~allowed:#x} are reserved")
        if not value & CR4_PAE:
            self.gp("CR4.PAE cannot be cleared in long mode")
        if changed & CR4_LA57:
            self.gp("CR4.LA57 cannot change in long mode")
        if changed & value & CR4_PCIDE and self.registers.cr3 & 0xfff:
            self.gp("CR4.PCIDE set with CR3[11:0] not 0")
        self.registers.cr4 = value
        self.registers.pcid = <uint32_t> self.registers.cr3 & 0xfff if value & CR4_PCIDE else 0
        if changed & CR4_PGE or changed & old & CR4_PCIDE:
            self.forget()
        elif changed & value & CR4_SMEP:
            self.drop_tlb(True, self.registers.pcid, True)
            self.drop_structure(True, self.registers.pcid)

    def write_efer(self, uint64_t value):
        """WRMSR to IA32_EFER; LMA is read-only."""
        cdef uint64_t allowed = EFER_LME | EFER_LMA | EFER_OTHER
        self.privileged("WRMSR")
        if "NX" in self.features:
            allowed |= EFER_NXE
        if "TCE" in self.features:
            allowed |= EFER_TCE
        if value & ~allowed:
            self.gp(f"EFER bits {value & ~allowed:#x} are reserved")
        if not value & EFER_LME:
            self.gp("EFER.LME cannot change while paging is on")
        self.registers.efer = value | EFER_LMA
        self._new_format()

    def write_pkru(self, uint32_t value):
        """WRPKRU; acts at once, without invalidation (rule 22).

        :raises InvalidOpcode: CR4.PKE is clear.
        """
        if not self.registers.cr4 & CR4_PKE:
            raise InvalidOpcode("WRPKRU with CR4.PKE=0")
        self.registers.pkru = value

    def write_pkrs(self, uint64_t value):
        """WRMSR to IA32_PKRS; acts at once (rule 22)."""
        self.privileged("WRMSR")
        if "PKS" not in self.features or value >> 32:
            self.gp("IA32_PKRS: no such register, or bits above 31")
        self.registers.pkrs = <uint32_t> value

    # --- doors: invalidation ------------------------------------------------------------------------

    def invlpg(self, vaddr_t va):
        """INVLPG (rules 60 to 63): the page of *va* in the current PCID and global, and *every*
        structure-cache entry of the current PCID; with EFER.TCE only those on the path of *va* (82)."""
        self.privileged("INVLPG")
        if not self.canonical(va):
            return
        self.drop_page(va, self.mapped_shift(va), self.registers.pcid, True)
        if self.registers.efer & EFER_TCE:
            self.drop_structure_path(va, self.registers.pcid)
        else:
            self.drop_structure(True, self.registers.pcid)

    def invpcid(self, uint64_t kind, uint64_t pcid, vaddr_t va):
        """INVPCID (rules 64 to 68).

        :param kind: 0 one address of one PCID, 1 one PCID, 2 everything, 3 everything but global.
        :param pcid: descriptor[63:0].
        :param va: descriptor[127:64].
        :raises InvalidOpcode: no such instruction.
        """
        if "INVPCID" not in self.features:
            raise InvalidOpcode("INVPCID")
        self.privileged("INVPCID")
        if kind > 3:
            self.gp(f"INVPCID type {kind}")
        if pcid >> 12:
            self.gp("INVPCID descriptor[63:12] is not 0")
        if kind < 2 and pcid and not self.registers.cr4 & CR4_PCIDE:
            self.gp("INVPCID of a PCID without CR4.PCIDE")
        if kind == 0:
            if not self.canonical(va):
                self.gp(f"INVPCID of {va:#x}, not canonical")
            self.drop_page(va, self.mapped_shift(va) if pcid == self.registers.pcid else PAGE_SHIFT,
                           <uint32_t> pcid, False)
            self.drop_structure_path(va, <uint32_t> pcid)
        else:
            self.drop_tlb(kind == 1, <uint32_t> pcid, kind == 2)
            self.drop_structure(kind == 1, <uint32_t> pcid)

    def forget(self):
        """Drop everything, as a processor may at any time (rule 78)."""
        self.drop_tlb(False, 0, True)
        self.drop_structure(False, 0)

    # --- doors: snapshots ---------------------------------------------------------------------------

    def snapshot(self):
        """Make registers and caches as they are what :meth:`restore` returns to."""
        self.saved_registers = self.registers
        memcpy(self.saved_block, self.held_block, self.nheld * sizeof(Held))
        memcpy(self.saved_victims, self.victim_block, self.nvictims * sizeof(uint32_t))
        self.saved = True

    def restore(self):
        """Return to the last snapshot, and forget :attr:`strays`.

        :raises NoSnapshot: there is none.
        """
        if not self.saved:
            raise NoSnapshot("restore() needs a snapshot() before it")
        self.registers = self.saved_registers
        memcpy(self.held_block, self.saved_block, self.nheld * sizeof(Held))
        memcpy(self.victim_block, self.saved_victims, self.nvictims * sizeof(uint32_t))
        self.strays.clear()
        self._new_format()


cdef void _append_held(list result, str name, const Cache *cache) noexcept:
    cdef uint32_t i
    cdef const Held *held
    for i in range(cache.size):
        held = cache.held + i
        if held.valid:
            result.append(HeldEntry(
                name, held.level, held.prefix << held.shift, <uint64_t> 1 << held.shift, held.target,
                held.source, held.entry, held.tag, bool(held.global_page), bool(held.dirty),
                held.rights, held.key))
