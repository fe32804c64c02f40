# SPDX-License-Identifier: GPL-2.0-only
"""A VT-d unit, driven as the Linux driver drives it."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kmm_ext.holds import Holds
from kmm_ext.memory import Memory
from kmm_ext.vtd import VTD, DMARFault, Reason

# Registers (drivers/iommu/intel/iommu.h)
CAP, ECAP, GCMD, GSTS, RTADDR, FSTS, FECTL = 0x08, 0x10, 0x18, 0x1C, 0x20, 0x34, 0x38
IQH, IQT, IQA, ICS, IQER, PQH, PQT, PQA, PRS = 0x80, 0x88, 0x90, 0x9C, 0xB0, 0xC0, 0xC8, 0xD0, 0xDC
TE, SRTP, QIE, SMT = 1 << 31, 1 << 30, 1 << 26, 1 << 10
IQE, ITE, PPF, PFO = 1 << 4, 1 << 6, 1 << 1, 1

# Frames
ROOT, CONTEXTS, DIRECTORY, PASIDS, QUEUE, STATUS, REQUESTS = 1, 2, 3, 4, 5, 7, 8
PGD, PUD, PMD, PTE, DATA = 16, 17, 18, 19, 20
KPUD, KPMD, KPTE, KDATA, OTHER = 21, 22, 23, 24, 25

P, RW, US, A, D, G = 1, 2, 4, 0x20, 0x40, 0x100
USER, KERNEL = P | RW | US | A, P | RW | A
VA, KVA = 0x40_0000_1000, 0xFFFF_8880_0000_1000
SOURCE, PASID, DID = 0x0108, 5, 1


def wait(status: int, address: int, *, fence: bool = False, interrupt: bool = False) -> tuple[int, int]:
    return status << 32 | fence << 6 | 1 << 5 | interrupt << 4 | 5, address


def piotlb(domain: int = DID, pasid: int = PASID) -> tuple[int, int]:
    return pasid << 32 | domain << 16 | 2 << 4 | 6, 0


def piotlb_pages(address: int, order: int, *, ih: bool, pasid: int = PASID) -> tuple[int, int]:
    return pasid << 32 | DID << 16 | 3 << 4 | 6, address | ih << 6 | order


def pasid_cache(pasid: int = PASID) -> tuple[int, int]:
    return pasid << 32 | DID << 16 | 1 << 4 | 7, 0


def device_tlb(pasid: int = PASID) -> tuple[int, int]:
    return pasid << 32 | SOURCE << 16 | 8, 0x7FFF_FFFF_FFFF_F000 | 1 << 11


class Rig:
    """A unit with one device, one PASID bound to an address space with both halves."""

    def __init__(self, *, saturating: bool = True, asynchronous: bool = True, ats: bool = False) -> None:
        self.memory = Memory(64)
        self.holds = Holds(self.memory)
        self.unit = VTD(self.memory, self.holds if saturating else None, asynchronous=asynchronous)
        for frame, index, entry in ((PGD, 0, PUD << 12 | USER), (PUD, 256, PMD << 12 | USER),
                                    (PMD, 0, PTE << 12 | USER), (PTE, 1, DATA << 12 | USER),
                                    (PGD, 273, KPUD << 12 | KERNEL), (KPUD, 0, KPMD << 12 | KERNEL),
                                    (KPMD, 0, KPTE << 12 | KERNEL), (KPTE, 1, KDATA << 12 | KERNEL | G)):
            self.put(frame, index, entry)
        self.put(ROOT, 2, CONTEXTS << 12 | P)                               # bus 1, devfn 0 to 127
        self.put(CONTEXTS, 4 * (SOURCE & 0xFF), DIRECTORY << 12 | 0x18 | ats << 2 | P)
        self.put(DIRECTORY, 0, PASIDS << 12 | P)
        self.unit.mmio_write(RTADDR, 8, ROOT << 12 | SMT)
        self.unit.mmio_write(GCMD, 4, SRTP)
        self.unit.mmio_write(IQT, 4, 0)
        self.unit.mmio_write(IQA, 8, QUEUE << 12 | 1 << 11 | 1)
        self.unit.mmio_write(GCMD, 4, QIE)
        self.unit.mmio_write(GCMD, 4, QIE | TE)
        self.gcmd = QIE | TE
        self.tail = 0

    def put(self, frame: int, index: int, entry: int) -> None:
        self.memory.store(frame * 4096 + 8 * index, 8, entry)

    def bind(self, pasid: int = PASID, root: int = PGD, flags: int = 0) -> None:
        """The stores of ``pasid_pte_config_first_level()``."""
        self.put(PASIDS, 8 * pasid + 2, root << 12 | flags)
        self.put(PASIDS, 8 * pasid + 1, DID | 1 << 23)
        self.put(PASIDS, 8 * pasid, 2 << 2 | 1 << 6)
        self.put(PASIDS, 8 * pasid, 2 << 2 | 1 << 6 | P)

    def unbind(self, pasid: int = PASID) -> None:
        """``pasid_clear_present()``."""
        self.put(PASIDS, 8 * pasid, 2 << 2 | 1 << 6)

    def submit(self, *descriptors: tuple[int, int]) -> None:
        for qw0, qw1 in descriptors:
            for index, word in enumerate((qw0, qw1, 0, 0)):
                self.memory.store((QUEUE << 12) + self.tail + 8 * index, 8, word)
            self.tail = (self.tail + 32) % 8192
        self.unit.mmio_write(IQT, 4, self.tail)

    def finish(self, *descriptors: tuple[int, int]) -> None:
        self.submit(*descriptors)
        while self.unit.pending:
            self.unit.step()

    def holders(self, pfn: int) -> list[str]:
        return [f"{hold.context} {hold.kind}{' stale' if hold.stale else ''}"
                for hold in self.holds.holders(pfn)]

    def reason(self, pasid: int | None = PASID, address: int = VA, *, source: int = SOURCE,
               write: bool = False, privileged: bool = False) -> Reason:
        with pytest.raises(DMARFault) as caught:
            self.unit.request(source, pasid, address, write=write, privileged=privileged)
        return caught.value.reason


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.bind()
    return rig


@pytest.fixture
def plain() -> Rig:
    rig = Rig(saturating=False)
    rig.bind()
    return rig


# --- registers ------------------------------------------------------------------------------------

def test_capabilities_satisfy_intel_svm_check(rig: Rig) -> None:
    """What Linux 7.2 asks of CAP and ECAP before it offers SVA."""
    cap, ecap = rig.unit.mmio_read(CAP, 8), rig.unit.mmio_read(ECAP, 8)
    for bit in (43, 40, 47, 48, 2, 29, 42, 1, 0):        # SMTS PASID FLTS SMPWC DT PRS PDS QI C
        assert ecap >> bit & 1, bit
    assert not ecap >> 46 & 1 and not ecap >> 26 & 1     # no second stage, no nesting
    assert not cap >> 7 & 1 and not cap >> 4 & 1         # no caching mode, no write-buffer flush
    assert cap >> 56 & 1 and cap >> 60 & 1               # 1 GiB pages, 5 levels
    assert 2 << (ecap >> 35 & 0x1F) == 1 << 20


def test_gcmd_levels_and_one_shots_show_in_gsts(rig: Rig) -> None:
    assert rig.unit.mmio_read(GSTS, 4) == TE | SRTP | QIE
    rig.unit.mmio_write(GCMD, 4, QIE)
    assert rig.unit.mmio_read(GSTS, 4) == SRTP | QIE
    assert rig.unit.request(SOURCE, PASID, 0x1234) == 0x1234


@pytest.mark.parametrize(("offset", "size"), [(0x18, 1), (0x19, 4), (0x20, 2)])
def test_mmio_refuses_odd_accesses(rig: Rig, offset: int, size: int) -> None:
    with pytest.raises(ValueError):
        rig.unit.mmio_read(offset, size)
    with pytest.raises(ValueError):
        rig.unit.mmio_write(offset, size, 0)


# --- requests -------------------------------------------------------------------------------------

@pytest.mark.parametrize("saturating", [True, False])
def test_request_walks_the_processs_tables_and_sets_a_and_d(saturating: bool) -> None:
    """Rules 7 and 10."""
    rig = Rig(saturating=saturating)
    rig.bind()
    rig.put(PMD, 0, PTE << 12 | USER & ~A)
    rig.put(PTE, 1, DATA << 12 | USER & ~A)
    assert rig.unit.request(SOURCE, PASID, VA + 0x123) == DATA << 12 | 0x123
    assert rig.memory.load(PMD << 12, 8) & (A | D) == A
    assert rig.memory.load((PTE << 12) + 8, 8) & (A | D) == A
    assert rig.unit.request(SOURCE, PASID, VA, write=True) == DATA << 12
    assert rig.memory.load((PTE << 12) + 8, 8) & (A | D) == A | D


def test_request_extended_accessed_flag(rig: Rig) -> None:
    rig.bind(pasid=6, flags=1 << 7)
    rig.unit.request(SOURCE, 6, VA)
    assert rig.memory.load((PTE << 12) + 8, 8) >> 10 & 1
    assert rig.memory.load(PGD << 12, 8) >> 10 & 1


def test_request_kernel_half_needs_supervisor_requests(rig: Rig) -> None:
    """Rule 8. What a user request is refused is walked, and cached, all the same (rule 14)."""
    assert rig.reason(address=KVA) == Reason.SUPERVISOR_PAGE
    assert rig.reason(address=KVA, privileged=True) == Reason.SUPERVISOR_DISABLED
    rig.bind(pasid=6, flags=1)
    assert rig.unit.request(SOURCE, 6, KVA, privileged=True) == KDATA << 12


def test_request_write_protection_of_supervisor_requests(rig: Rig) -> None:
    rig.put(KPTE, 1, KDATA << 12 | P | A)
    rig.bind(pasid=6, flags=1)
    assert rig.unit.request(SOURCE, 6, KVA, privileged=True, write=True) == KDATA << 12
    rig.bind(pasid=7, flags=1 | 1 << 4)
    assert rig.reason(7, KVA, privileged=True, write=True) == Reason.NOT_WRITABLE


def test_request_fault_reasons_from_the_top_down(rig: Rig) -> None:
    """Rules 2 to 4."""
    assert rig.reason(source=0x0208) == Reason.ROOT_NOT_PRESENT
    assert rig.reason(source=0x0109) == Reason.CONTEXT_NOT_PRESENT
    assert rig.reason(1 << 13) == Reason.PASID_TOO_LARGE
    assert rig.reason(64) == Reason.DIRECTORY_NOT_PRESENT
    assert rig.reason(6) == Reason.ENTRY_NOT_PRESENT
    assert rig.reason(None) == Reason.ENTRY_NOT_PRESENT
    assert rig.reason(address=1 << 47) == Reason.NON_CANONICAL
    assert rig.reason(address=0x2000) == Reason.FIRST_STAGE_NOT_PRESENT
    rig.put(PMD, 1, 1 << 13 | 0x80 | USER)
    assert rig.reason(address=VA + 0x200000) == Reason.FIRST_STAGE_RESERVED
    rig.put(PMD, 2, 1 << 45 | USER)
    assert rig.reason(address=VA + 0x400000) == Reason.FIRST_STAGE_ACCESS
    rig.put(PTE, 3, 0xFEE00 << 12 | USER)
    assert rig.reason(address=VA + 0x2000) == Reason.INTERRUPT_ADDRESS
    rig.put(PTE, 4, DATA << 12 | P | US | A)
    assert rig.reason(address=VA + 0x3000, write=True) == Reason.NOT_WRITABLE
    rig.put(PASIDS, 8 * 6, 2 << 6 | P)
    assert rig.reason(6) == Reason.ENTRY_INVALID                        # second stage: ECAP.SLTS is 0
    rig.put(PASIDS, 8 * 6, 1 << 6 | 1 << 10 | P)
    assert rig.reason(6) == Reason.ENTRY_RESERVED
    rig.bind(pasid=7, root=1 << 30)
    assert rig.reason(7) == Reason.FIRST_STAGE_ROOT
    rig.put(DIRECTORY, 1, 1 << 40 | P)
    assert rig.reason(64) == Reason.ENTRY_ACCESS
    rig.put(CONTEXTS, 4 * 8 + 1, 1 << 30)
    assert rig.reason() == Reason.CONTEXT_RESERVED
    rig.put(ROOT, 2, CONTEXTS << 12 | P | 2)
    assert rig.reason() == Reason.ROOT_RESERVED


def test_request_pass_through_and_five_levels(rig: Rig) -> None:
    """Rules 6 and 7."""
    rig.put(PASIDS, 8 * 6 + 1, 2)
    rig.put(PASIDS, 8 * 6, 4 << 6 | P)
    assert rig.unit.request(SOURCE, 6, 0x123456) == 0x123456
    rig.put(OTHER, 0, PGD << 12 | USER)
    rig.bind(pasid=7, root=OTHER, flags=1 << 2)
    assert rig.unit.request(SOURCE, 7, VA) == DATA << 12
    assert rig.holders(OTHER) == ["dmar0/did1/pasid7/5 levels root"]


def test_fault_records_fill_up_and_are_cleared_as_linux_does(rig: Rig) -> None:
    """Rule 47, and ``dmar_fault()``."""
    rig.unit.mmio_write(FECTL, 4, 0)
    for count in range(10):
        with pytest.raises(DMARFault) as caught:
            rig.unit.request(SOURCE, PASID, 0x3000 + 0x1000 * count, write=True)
        assert caught.value.recorded == (count < 8)
    status = rig.unit.mmio_read(FSTS, 4)
    assert status & (PPF | PFO) == PPF | PFO
    assert rig.unit.take_interrupts() == ["fault"] * 8
    base = (rig.unit.mmio_read(CAP, 8) >> 24 & 0x3FF) * 16
    index = status >> 8 & 0xFF
    seen = []
    while (high := rig.unit.mmio_read(base + 16 * index + 12, 4)) >> 31:
        low = rig.unit.mmio_read(base + 16 * index + 8, 4)
        seen.append((high & 0xFF, high >> 30 & 1, high >> 8 & 0xFFFFF, low & 0xFFFF, low >> 31,
                     rig.unit.mmio_read(base + 16 * index, 8)))
        rig.unit.mmio_write(base + 16 * index + 12, 4, 1 << 31)
        index = (index + 1) % 8
    assert len(seen) == 8
    assert seen[0] == (0x71, 0, PASID, SOURCE, 1, 0x3000)
    rig.unit.mmio_write(FSTS, 4, PFO | PPF)
    assert rig.unit.mmio_read(FSTS, 4) & 0xFF == 0


def test_fault_processing_disabled_suppresses_the_record_only(rig: Rig) -> None:
    """Rule 5, and ``pasid_clear_entry_with_fpd()``."""
    rig.put(PASIDS, 8 * PASID, 2)
    with pytest.raises(DMARFault) as caught:
        rig.unit.request(SOURCE, PASID, VA)
    assert caught.value.reason == Reason.ENTRY_NOT_PRESENT
    assert not caught.value.recorded
    assert not rig.unit.mmio_read(FSTS, 4) & PPF


# --- the queue --------------------------------------------------------------------------------------

def test_queue_completes_step_by_step(rig: Rig) -> None:
    """Rules 34 and 36: the head says nothing, the status write everything."""
    rig.submit(piotlb(), wait(2, STATUS << 12))
    assert rig.unit.mmio_read(IQH, 4) == rig.unit.mmio_read(IQT, 4) == 64
    assert rig.unit.pending == 2
    assert [rig.unit.next_descriptor(position) for position in (0, 1)] == [
        "pasid iotlb did 1 pasid 5", "wait"]
    assert rig.unit.step() == ()
    assert rig.memory.load(STATUS << 12, 4) == 0
    assert rig.unit.step() == (STATUS << 12,)
    assert rig.memory.load(STATUS << 12, 4) == 2
    assert rig.unit.step() == ()


def test_queue_order_is_kept_by_waits_only(rig: Rig) -> None:
    """Rules 33 and 34."""
    rig.submit(piotlb(), piotlb(pasid=6), wait(2, STATUS << 12), piotlb(pasid=7),
               wait(3, (STATUS << 12) + 4, fence=True), piotlb(pasid=8))
    assert rig.unit.ready() == (0, 1, 3)
    with pytest.raises(ValueError):
        rig.unit.step(2)
    rig.unit.step(3)
    rig.unit.step(1)
    rig.unit.step(0)
    assert rig.unit.ready() == (0,)
    rig.unit.step()
    rig.unit.step()
    assert rig.unit.ready() == (0,)


def test_queue_wraps_and_can_be_synchronous() -> None:
    rig = Rig(asynchronous=False)
    for number in range(300):
        rig.submit(wait(number, STATUS << 12))
    assert rig.memory.load(STATUS << 12, 4) == 299
    assert rig.unit.pending == 0
    assert rig.unit.mmio_read(IQH, 4) == 300 * 32 % 8192


@pytest.mark.parametrize(("descriptor", "code"), [
    ((0, 0), 3), ((0xF, 0), 3), ((0xE05, 0), 3), ((1 << 8 | 5, 0), 4), ((6, 0), 4),
    ((3 << 4 | 6, 46), 4), ((3 << 4 | 6, 0x1001), 4), ((2 << 4 | 7, 0), 4)])
def test_queue_error_stops_at_the_descriptor(rig: Rig, descriptor: tuple[int, int], code: int) -> None:
    """Rules 25 and 37; Linux overwrites the bad descriptor and clears IQE."""
    rig.finish(wait(1, STATUS << 12), descriptor, wait(2, STATUS << 12))
    assert rig.unit.mmio_read(FSTS, 4) & IQE
    assert rig.unit.mmio_read(IQER, 8) & 0xF == code
    assert rig.unit.mmio_read(IQH, 4) == 32
    assert rig.memory.load(STATUS << 12, 4) == 1
    rig.finish(wait(3, STATUS << 12))
    assert rig.unit.pending == 0                       # nothing is fetched while IQE is set
    for index, word in enumerate(wait(4, (STATUS << 12) + 8)):
        rig.memory.store((QUEUE << 12) + 32 + 8 * index, 8, word)
    rig.unit.mmio_write(FSTS, 4, IQE)
    while rig.unit.pending:
        rig.unit.step()
    assert rig.memory.load(STATUS << 12, 4) == 3
    assert rig.memory.load((STATUS << 12) + 8, 4) == 4


def test_queue_of_narrow_descriptors_refuses_wide_types(rig: Rig) -> None:
    """Rule 38."""
    rig.unit.mmio_write(GCMD, 4, TE)
    rig.unit.mmio_write(IQT, 4, 0)
    rig.unit.mmio_write(IQA, 8, QUEUE << 12)
    rig.unit.mmio_write(GCMD, 4, TE | QIE)
    for index, word in enumerate((*wait(9, STATUS << 12), *piotlb())):
        rig.memory.store((QUEUE << 12) + 8 * index, 8, word)
    rig.unit.mmio_write(IQT, 4, 32)
    rig.unit.step()
    assert rig.memory.load(STATUS << 12, 4) == 9
    assert rig.unit.mmio_read(IQER, 8) & 0xF == 5
    assert rig.unit.mmio_read(IQH, 4) == 16


def test_queue_device_time_out_aborts_the_waits(rig: Rig) -> None:
    rig.unit.unresponsive = {SOURCE}
    rig.finish(device_tlb(), wait(2, STATUS << 12))
    assert rig.unit.mmio_read(FSTS, 4) & ITE
    assert rig.unit.mmio_read(IQER, 8) >> 32 & 0xFFFF == SOURCE
    assert rig.memory.load(STATUS << 12, 4) == 0


def test_queue_wait_can_interrupt(rig: Rig) -> None:
    rig.unit.mmio_write(0xA0, 4, 0)
    rig.finish((1 << 4 | 5, 0))
    assert rig.unit.mmio_read(ICS, 4) == 1
    assert rig.unit.take_interrupts() == ["invalidation"]
    rig.unit.mmio_write(ICS, 4, 1)
    assert rig.unit.mmio_read(ICS, 4) == 0


# --- what the unit may hold --------------------------------------------------------------------------

def test_bound_pasid_holds_the_kernel_half_without_a_request(rig: Rig) -> None:
    """Rules 14, 16 and 48: the reason why kernel tables need an IOMMU flush at all."""
    assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]
    assert rig.holders(PTE) == ["dmar0/did1/pasid5 intermediate"]
    assert rig.holders(KPTE) == ["dmar0/did1/pasid5 intermediate"]


def test_kernel_table_freed_without_a_flush_is_still_walked(rig: Rig) -> None:
    """The bug of shared virtual addressing: the CPUs are flushed, the IOMMU is not."""
    rig.put(KPTE, 1, 0)
    rig.put(KPMD, 0, 0)
    assert rig.holders(KPTE) == ["dmar0/did1/pasid5 intermediate stale"]
    rig.put(KPTE, 7, OTHER << 12 | USER)               # the frame is someone else's data now
    assert rig.holders(OTHER) == ["dmar0/did1/pasid5 leaf"]
    rig.bind(pasid=6, flags=1)
    found = rig.unit.outcomes(SOURCE, PASID, KVA + 0x6000)
    assert [outcome.fault for outcome in found] == ["not-present", "protection"]


def test_kernel_table_freed_after_a_flush_is_not_held(rig: Rig) -> None:
    """``iommu_sva_invalidate_kva_range()``: PASID-selective, IH=0 (rules 21, 48)."""
    rig.put(KPMD, 0, 0)
    rig.submit(piotlb(), wait(2, STATUS << 12))
    assert rig.holders(KPTE) != []                     # submitted is not completed
    rig.unit.step()
    assert rig.holders(KPTE) == []
    assert rig.holders(PTE) == ["dmar0/did1/pasid5 intermediate"]


@pytest.mark.parametrize(("ih", "address", "order", "held"), [
    (False, VA & ~0xFFF, 0, False),       # rule 23: those used for the range
    (True, VA & ~0xFFF, 0, True),         # rule 24: IH=1 promises nothing about them
    (False, VA + 0x200000 & ~0xFFF, 0, True),
    (False, 0, 35, False)])
def test_page_selective_invalidation(rig: Rig, ih: bool, address: int, order: int, held: bool) -> None:
    rig.put(PTE, 1, 0)
    rig.put(PMD, 0, 0)
    assert rig.holders(DATA) == ["dmar0/did1/pasid5 leaf stale"]
    rig.finish(piotlb_pages(address, order, ih=ih))
    assert (rig.holders(PTE) != []) == held
    assert (rig.holders(DATA) != []) == (address == VA + 0x200000 & ~0xFFF)


def test_other_pasids_keep_what_they_hold(rig: Rig) -> None:
    rig.bind(pasid=6)
    rig.put(PMD, 0, 0)
    rig.finish(piotlb())
    assert rig.holders(PTE) == ["dmar0/did1/pasid6 intermediate stale"]
    rig.finish((DID << 16 | 2 << 4 | 2, 0))            # domain-selective (rule 27)
    assert rig.holders(PTE) == []


def test_tear_down_in_linuxs_order_lets_the_root_go(rig: Rig) -> None:
    """Rules 20, 39, 41: P=0, PASID cache, IOTLB; only then may the PGD be freed."""
    rig.unbind()
    assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]
    rig.finish(pasid_cache())
    assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]      # requests in flight (rule 35)
    rig.finish(piotlb())
    assert rig.holders(PGD) == []
    assert rig.holds.holders(PTE, inactive=True) == []


def test_tear_down_with_the_iotlb_first_keeps_the_root(rig: Rig) -> None:
    rig.unbind()
    rig.finish(piotlb(), pasid_cache())
    assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]


def test_pasid_cache_invalidation_before_the_store_proves_nothing(rig: Rig) -> None:
    rig.finish(pasid_cache())
    rig.unbind()
    rig.finish(piotlb())
    assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]


def test_replaced_root_is_held_beside_the_new_one(rig: Rig) -> None:
    """Rule 40."""
    rig.put(OTHER, 0, PUD << 12 | USER)
    rig.put(PASIDS, 8 * PASID + 2, OTHER << 12)
    assert rig.holders(PGD) == rig.holders(OTHER) == ["dmar0/did1/pasid5 root"]
    rig.finish(pasid_cache(), piotlb())
    assert rig.holders(PGD) == []
    assert rig.holders(OTHER) == ["dmar0/did1/pasid5 root"]


def test_device_tlb_must_be_invalidated_last() -> None:
    """Rule 29."""
    rig = Rig(ats=True)
    rig.bind()
    rig.put(PTE, 1, 0)
    rig.finish(device_tlb(), piotlb())
    assert rig.holders(DATA) == ["dmar0/device 0x108/did1/pasid5 leaf stale"]
    rig.finish(piotlb(), device_tlb())
    assert rig.holders(DATA) == []


def test_structure_holders_of_pasid_tables(rig: Rig) -> None:
    assert [role[0] for role in rig.unit.structure_holders(PASIDS)] == ["table"]
    assert [role[0] for role in rig.unit.structure_holders(DIRECTORY)] == ["directory"]
    assert [role[0] for role in rig.unit.structure_holders(CONTEXTS)] == ["context"]
    rig.put(DIRECTORY, 0, 0)
    assert rig.unit.structure_holders(PASIDS) != []
    rig.finish((3 << 4 | 7, 0), piotlb())              # PASID cache, global
    assert rig.unit.structure_holders(PASIDS) == []
    assert rig.holders(PGD) == []


def test_context_entry_change_counts_after_its_own_invalidation(rig: Rig) -> None:
    """Rules 19 and 20: the context cache first, then the PASID cache, then the IOTLB."""
    rig.put(CONTEXTS, 4 * 8, 0)
    rig.finish((3 << 4 | 7, 0), piotlb())
    assert rig.holders(PGD) != []
    rig.finish((1 << 4 | 1, 0), (3 << 4 | 7, 0), piotlb())
    assert rig.holders(PGD) == []


def test_translation_off_holds_nothing_in_use(rig: Rig) -> None:
    rig.unit.mmio_write(GCMD, 4, QIE)
    assert rig.holders(PGD) == []
    rig.unit.mmio_write(GCMD, 4, QIE | TE)
    assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]
    rig.unbind()
    rig.unit.mmio_write(GCMD, 4, QIE | TE | SRTP)      # ESRTPS: everything is invalidated
    assert rig.holders(PGD) == []


def test_restore_brings_the_unit_back() -> None:
    rig = Rig(ats=True)
    rig.bind()
    rig.memory.snapshot()
    for _ in range(3):
        rig.bind(pasid=6, root=OTHER)
        rig.unbind()
        rig.finish(pasid_cache(), piotlb(), wait(2, STATUS << 12))
        assert rig.holders(PGD) == []
        rig.reason()
        rig.submit(piotlb())
        rig.memory.restore()
        rig.tail = 0
        assert rig.holders(PGD) == ["dmar0/did1/pasid5 root"]
        assert rig.holders(OTHER) == []
        assert rig.unit.pending == 0 and rig.unit.mmio_read(IQH, 4) == 0
        assert not rig.unit.mmio_read(FSTS, 4)
        rig.holds.check()
    rig.bind(pasid=6, root=OTHER)
    assert rig.holders(OTHER) == ["dmar0/did1/pasid6 root"]


# --- concrete caches -----------------------------------------------------------------------------------

def test_concrete_iotlb_is_used_until_invalidated(plain: Rig) -> None:
    """Rule 17."""
    plain.unit.request(SOURCE, PASID, VA)
    plain.put(PTE, 1, OTHER << 12 | USER)
    assert plain.unit.request(SOURCE, PASID, VA) == DATA << 12
    plain.finish(piotlb_pages(VA & ~0xFFF, 0, ih=True))
    assert plain.unit.request(SOURCE, PASID, VA) == OTHER << 12


def test_concrete_structure_cache_survives_ih(plain: Rig) -> None:
    """Rule 24: the walk goes on from a cached entry into the old table."""
    plain.unit.request(SOURCE, PASID, VA)
    plain.put(PTE, 1, 0)
    plain.put(PMD, 0, OTHER << 12 | USER)
    plain.put(OTHER, 1, KDATA << 12 | USER)
    plain.finish(piotlb_pages(VA & ~0xFFF, 0, ih=True))
    assert plain.reason() == Reason.FIRST_STAGE_NOT_PRESENT
    plain.finish(piotlb_pages(VA & ~0xFFF, 0, ih=False))
    assert plain.unit.request(SOURCE, PASID, VA) == KDATA << 12


def test_concrete_pasid_cache_outlives_the_entry(plain: Rig) -> None:
    plain.unit.request(SOURCE, PASID, VA)
    plain.unbind()
    plain.finish(piotlb())
    assert plain.unit.request(SOURCE, PASID, VA) == DATA << 12
    plain.finish(pasid_cache())
    assert plain.reason() == Reason.ENTRY_NOT_PRESENT


def test_concrete_write_through_a_clean_entry_sets_dirty(plain: Rig) -> None:
    plain.unit.request(SOURCE, PASID, VA)
    plain.unit.request(SOURCE, PASID, VA, write=True)
    assert plain.memory.load((PTE << 12) + 8, 8) & D


# --- page requests --------------------------------------------------------------------------------------

def test_page_requests_are_queued_until_full(rig: Rig) -> None:
    """Rules 42 and 44."""
    rig.unit.mmio_write(0xE0, 4, 0)
    rig.unit.mmio_write(PQA, 8, REQUESTS << 12)
    assert rig.unit.page_request(SOURCE, PASID, VA, write=True, group=3)
    assert rig.unit.take_interrupts() == ["page request"]
    assert rig.memory.load(REQUESTS << 12, 8) == 1 | 0x100 | SOURCE << 16 | PASID << 32
    assert rig.memory.load((REQUESTS << 12) + 8, 8) == (VA & ~0xFFF) | 3 << 3 | 4 | 2 | 1
    queued = 1
    while rig.unit.page_request(SOURCE, PASID, VA):
        queued += 1
    assert queued == 127
    assert rig.unit.mmio_read(PRS, 4) == 3
    rig.finish((PASID << 32 | SOURCE << 16 | 1 << 4 | 9, 3 << 3))
    assert rig.unit.responses == [(SOURCE, PASID, 3, 0)]


# --- anything goes ---------------------------------------------------------------------------------------

words = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, P, *((f << 12) | USER for f in range(1, 30))]),
    st.sampled_from([piotlb()[0], pasid_cache()[0], device_tlb()[0], 1 << 4 | 1, 3 << 4 | 2, 1 << 6 | P]))


@settings(max_examples=120, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30 * 512 - 1), words), max_size=40),
       st.lists(st.tuples(st.sampled_from([GCMD, RTADDR, 0x28, 0x2C, FSTS, IQT, IQA, 0x50C, PQA, 0x60C]),
                          words), max_size=12))
def test_no_bytes_crash_the_unit(stores: list[tuple[int, int]], writes: list[tuple[int, int]]) -> None:
    memory = Memory(32)
    holds = Holds(memory, limit=5000)
    unit = VTD(memory, holds, concrete=True, capacity=4)
    memory.snapshot()
    unit.mmio_write(RTADDR, 8, ROOT << 12 | SMT)
    unit.mmio_write(GCMD, 4, SRTP | TE | QIE)
    for (place, word), (offset, value) in zip(stores, writes + [(GCMD, SRTP | TE | QIE)] * len(stores), strict=False):
        memory.store(8 * place, 8, word)
        unit.mmio_write(offset, 4 if offset % 8 else 8, value)
        for _ in range(20):
            unit.step()
        for source in (0, SOURCE):
            with suppress(DMARFault):
                unit.request(source, PASID, VA, write=True)
            unit.outcomes(source, PASID, VA)
            unit.page_request(source, None, VA)
    memory.restore()
    holds.check()
    assert unit.pending == 0


bind_steps = st.one_of(
    st.tuples(st.just("store"), st.sampled_from([(PGD, 0), (PUD, 256), (PMD, 0), (PTE, 1)]),
              st.sampled_from([0, *(f << 12 | USER for f in (PUD, PMD, PTE, DATA, OTHER))])),
    st.tuples(st.just("request"), st.sampled_from([VA, VA, 0x40_0000_0000])),
    st.tuples(st.just("invalidate"), st.sampled_from([
        piotlb(), pasid_cache(), piotlb_pages(0x40_0000_0000, 9, ih=True), piotlb_pages(0, 0, ih=False)])),
    st.tuples(st.just("bind"), st.sampled_from([PGD, OTHER])), st.tuples(st.just("unbind")))


@settings(max_examples=150, deadline=None)
@given(st.lists(bind_steps, max_size=30))
def test_what_the_concrete_unit_translates_the_saturating_one_may(sequence: list[tuple[object, ...]]) -> None:
    """The concrete unit's answers are always among the outcomes of the saturating one."""
    rig = Rig()
    both = VTD(rig.memory, rig.holds, concrete=True, name="dmar1")
    for offset, size, value in ((RTADDR, 8, ROOT << 12 | SMT), (GCMD, 4, SRTP),
                                (IQA, 8, QUEUE << 12 | 1 << 11 | 1), (GCMD, 4, TE | QIE)):
        both.mmio_write(offset, size, value)
    rig.bind()
    for step in sequence:
        match step:
            case ("store", (int(frame), int(index)), int(entry)):
                rig.put(frame, index, entry)
            case ("bind", int(root)):
                rig.bind(root=root)
            case ("unbind",):
                rig.unbind()
            case ("invalidate", descriptor):
                rig.finish(descriptor)  # type: ignore[arg-type]
                both.mmio_write(IQT, 4, rig.tail)
                while both.pending:
                    both.step()
            case ("request", int(address)):
                found = {outcome.pa for outcome in both.outcomes(SOURCE, PASID, address)}
                try:
                    assert both.request(SOURCE, PASID, address) in found
                except DMARFault as fault:
                    assert None in found or fault.reason < Reason.FIRST_STAGE_ACCESS
