# SPDX-License-Identifier: GPL-2.0-only
"""A VT-d unit for other compiled modules: ``from kmm_ext.vtd cimport VTD``."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from kmm_ext._types cimport entry_t, paddr_t
from kmm_ext.holds cimport Holds
from kmm_ext.memory cimport Memory, Observer
from kmm_ext.walker cimport Format

cdef class VTD(Observer):
    cdef readonly Memory memory
    cdef readonly Holds holds
    cdef readonly str name
    cdef readonly bint concrete
    cdef readonly bint asynchronous
    cdef readonly int capacity
    cdef readonly bint truncated         # something was left out because a limit was reached
    cdef readonly list responses
    cdef public object unresponsive
    cdef uint8_t *registers
    cdef uint8_t *saved_registers
    cdef Format[2] formats               # 4 and 5 levels
    cdef uint64_t reserved_address       # bits that a structure's address may not have
    cdef int fault_registers
    cdef int next_record                 # fault record to fill next
    cdef int capacity_of_tags
    cdef bint fl5lp
    cdef bint srtp_invalidates
    cdef int64_t agent
    cdef uint64_t root                   # RTADDR as latched by SRTP
    cdef uint64_t saved_root
    cdef list queue                      # fetched descriptors: (index, qw0, qw1, qw2, qw3)
    cdef list raised                     # interrupts not yet taken
    cdef dict context_cache, pasid_cache, iotlb, structure       # concrete
    cdef dict contexts_held              # source id -> {(low, high): None}
    cdef dict directories_held           # (source id, directory index) -> {frame of a table: None}
    cdef dict entries_held               # (source id, PASID) -> {PASID entry: None}
    cdef dict paths                      # (domain, PASID, root, levels) -> {(source id, PASID, entry): None}
    cdef dict draining                   # the same keys: no longer led to, not yet invalidated
    cdef dict tags                       # (domain, PASID, levels) -> context
    cdef dict devices                    # (source id, context, PASID) -> context of the device TLB
    cdef dict roles                      # frame -> {(kind, ...): None}
    cdef list watched                    # frames watched since the snapshot
    cdef object saved
    cdef bint dirty                      # the Python state changed since the snapshot

    cdef uint64_t get(self, int offset, int size) noexcept nogil
    cdef void set(self, int offset, int size, uint64_t value) noexcept nogil
    cdef int write32(self, int offset, uint32_t value) except -1
    cdef int command(self, uint32_t value) except -1
    cdef bint translating(self) noexcept nogil
    cdef int fetch(self) except -1
    cdef int queue_error(self, int code) except -1
    cdef int validate(self, uint64_t qw0, uint64_t qw1, uint64_t qw2, uint64_t qw3)
    cdef int execute(self, tuple descriptor) except -1
    cdef int block(self, int reason, int source, object pasid, uint64_t address, bint write, bint privileged,
                   bint quiet) except -1
    cdef object remapped(self, uint64_t pa)
    cdef bint leads_to(self, uint64_t pfn, int source)
    cdef tuple state(self)
    cdef int interrupt(self, str what, int control) except -1
    cdef int drop_contexts(self, int granularity, int source, int mask) except -1
    cdef int drop_entries(self, int granularity, int domain, int pasid) except -1
    cdef int drop_translations(self, int domain, int pasid, uint64_t first, uint64_t last, bint leaves_only,
                               bint drains) except -1
    cdef int drop_device(self, int source, int pasid, uint64_t first, uint64_t last) except -1
    cdef int drop_everything(self) except -1
    cdef object read_context(self, int source, int *reason)
    cdef object read_entry(self, uint64_t directory, int size, int pasid, int *reason, bint *quiet)
    cdef int check_entry(self, tuple entry)
    cdef object structures(self, int source, object pasid, bint remember)
    cdef object first_stage(self, tuple entry, int pasid, uint64_t va, bint write, bint privileged,
                            bint execute)
    cdef int follow(self, str kind, paddr_t pa, tuple role) except -1
    cdef int scan_root(self) except -1
    cdef int scan_bus(self, int bus, int half) except -1
    cdef int scan_context(self, int source, bint again) except -1
    cdef int scan_directory_entry(self, int source, uint64_t directory, int index) except -1
    cdef int scan_table(self, int source, int index, paddr_t table) except -1
    cdef int scan_entry(self, int source, int pasid, paddr_t pa) except -1
    cdef int rescan_pasid(self, int source, int pasid) except -1
    cdef int lead(self, int source, int pasid, tuple entry) except -1
    cdef int unlead(self, int source, int pasid, tuple entry) except -1
    cdef int set_active(self, bint on) except -1
    cdef int structure_changed(self, paddr_t pa) except -1
