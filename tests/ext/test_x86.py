# SPDX-License-Identifier: GPL-2.0-only
"""The MMU, rule by rule. Numbers in the docstrings are those cited in ``kmm_ext/x86.pyx``."""

from __future__ import annotations

from array import array

import pytest

from kmm_ext.memory import BusError, FrameState, Memory
from kmm_ext.x86 import CPU, FEATURES, GeneralProtection, InvalidOpcode, PageFault, StackFault

P, RW, US, A, D, PS, G, XD = 1, 2, 4, 32, 64, 128, 256, 1 << 63
FULL = P | RW | US
PCIDE, SMEP, SMAP, PKE, PKS, PGE, PAE, LA57 = (1 << n for n in (17, 20, 21, 22, 24, 7, 5, 12))
NXE, TCE, WP, KEEP = 1 << 11, 1 << 15, 1 << 16, 1 << 63
VA = 0x40_0000_5000      # PML4 index 0, PDPT 256, PD 0, PT 5


class Tables:
    """Memory, one processor, and tables that grow as addresses are mapped."""

    def __init__(self, levels: int = 4, frames: int = 4096, **options: object) -> None:
        self.memory = Memory(frames)
        self.levels = levels
        self.cpu = CPU(self.memory, levels=levels, **options)  # type: ignore[arg-type]
        self.next = 1
        self.root = self.table()
        self.cpu.write_cr3(self.root)

    def table(self) -> int:
        pa = self.next << 12
        self.memory.set_state(self.next, FrameState.TABLE)
        self.next += 1
        return pa

    def entry(self, va: int, level: int, root: int | None = None) -> int:
        """Physical address of the entry of *level* for *va*; tables above it are made."""
        table = self.root if root is None else root
        for above in range(self.levels, level, -1):
            at = table + 8 * (va >> (9 * above + 3) & 511)
            if not self.memory.load(at, 8) & P:
                self.memory.store(at, 8, self.table() | FULL)
            table = self.memory.load(at, 8) & 0xf_ffff_ffff_f000
        return table + 8 * (va >> (9 * level + 3) & 511)

    def map(self, va: int, pa: int, flags: int = FULL, level: int = 1, root: int | None = None) -> int:
        """Map a page; the physical address of its leaf entry."""
        at = self.entry(va, level, root)
        self.memory.store(at, 8, pa | flags | (PS if level > 1 else 0))
        return at

    def at(self, va: int, level: int) -> int:
        """The entry of *level* for *va*, as memory has it."""
        return self.memory.load(self.entry(va, level), 8)

    def fault(self, va: int, **access: bool) -> int:
        """Error code of the fault that the access raises."""
        with pytest.raises(PageFault) as caught:
            self.cpu.translate(va, **access)
        assert caught.value.address == va == self.cpu.cr2
        return caught.value.error_code


@pytest.fixture
def t() -> Tables:
    return Tables()


# --- walk and rights ----------------------------------------------------------------------------


@pytest.mark.parametrize(("levels", "va", "good"), [
    (4, 0x7fff_ffff_f000, True), (4, 0x8000_0000_0000, False), (4, 0xffff_8000_0000_0000, True),
    (5, 0x8000_0000_0000, True), (5, 0x00ff_ffff_ffff_f000, True), (5, 0x0100_0000_0000_0000, False),
    (5, 0xff00_0000_0000_0000, True),
])
def test_translate_checks_canonical_addresses(levels: int, va: int, good: bool) -> None:
    """Rules 1 to 4."""
    t = Tables(levels)
    if good:
        t.map(va, 0x9000)
        assert t.cpu.translate(va + 5) == 0x9005
        return
    for access in ({}, {"fetch": True}, {"write": True}):
        with pytest.raises(GeneralProtection):
            t.cpu.translate(va, **access)
    with pytest.raises(StackFault):
        t.cpu.translate(va, stack=True)
    assert t.cpu.cr2 == 0


@pytest.mark.parametrize(("level", "offset"), [(1, 0xfff), (2, 0x1f_ffff), (3, 0x3fff_ffff)])
def test_translate_maps_three_page_sizes(t: Tables, level: int, offset: int) -> None:
    """Rule 7."""
    t.map(VA & ~offset, (offset + 1) * 2, level=level)
    assert t.cpu.translate(VA & ~offset | offset) == (offset + 1) * 3 - 1


def test_translate_ignores_low_bits_of_cr3(t: Tables) -> None:
    """Rule 6."""
    t.map(VA, 0x9000)
    t.cpu.write_cr3(t.root | 0xfff)
    assert t.cpu.translate(VA) == 0x9000


def test_bit_12_of_a_large_leaf_is_pat(t: Tables) -> None:
    """Rule 8."""
    t.map(0, 0x20_1000, level=2)
    assert t.cpu.translate(0x123) == 0x20_0123


def test_ps_at_the_pdpte_is_reserved_without_1g_pages() -> None:
    """Rule 7."""
    t = Tables(features=FEATURES - {"GBPAGES"})
    t.map(0, 0, level=3)
    assert t.fault(0) == 0x9


@pytest.mark.parametrize(("maxphyaddr", "bit", "code"), [(36, 36, 9), (40, 39, 0), (40, 40, 9), (52, 51, 0)])
def test_reserved_bits_follow_maxphyaddr(maxphyaddr: int, bit: int, code: int) -> None:
    """Rules 8 and 23: RSVD implies P."""
    t = Tables(maxphyaddr=maxphyaddr)
    t.map(VA, 1 << bit)
    if code:
        assert t.fault(VA) == code
    else:
        assert t.cpu.translate(VA) == 1 << bit


def test_xd_is_reserved_while_nxe_is_clear(t: Tables) -> None:
    """Rules 8 and 19."""
    t.map(VA, 0x9000, FULL | XD)
    assert t.fault(VA, fetch=True) == 0x11
    assert t.cpu.translate(VA) == 0x9000
    t.cpu.write_efer(t.cpu.efer & ~NXE)
    t.cpu.forget()
    assert t.fault(VA) == 0x9


def test_not_present_entries_have_no_reserved_bits(t: Tables) -> None:
    """Rule 10."""
    t.memory.store(t.entry(VA, 1), 8, ~P & (1 << 64) - 1)
    assert t.fault(VA) == 0


def test_the_first_defect_on_the_path_decides(t: Tables) -> None:
    """Rule 11: a reserved bit above a not-present entry wins; rule 12: rights come last."""
    t.entry(VA, 1)
    t.memory.store(t.entry(VA, 3), 8, t.at(VA, 3) | 1 << 51)
    assert t.fault(VA) == 0x9
    t.memory.store(t.entry(VA, 4), 8, t.at(VA, 4) & ~US)
    assert t.fault(VA, user=True) == 0xd


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_rights_are_combined_over_all_levels(t: Tables, level: int) -> None:
    """Rule 13."""
    t.map(VA, 0x9000)
    at, entry = t.entry(VA, level), t.at(VA, level)
    t.memory.store(at, 8, entry & ~RW)
    assert t.fault(VA, write=True) == 0x3
    t.memory.store(at, 8, entry & ~US)
    assert t.fault(VA, user=True) == 0x5
    t.memory.store(at, 8, entry | XD)
    assert t.fault(VA, fetch=True) == 0x11


def test_wp_binds_the_supervisor_only(t: Tables) -> None:
    """Rules 14 and 15; 35: D is set in a read-only leaf then."""
    t.map(VA, 0x9000, P | US)
    assert t.fault(VA, write=True) == 0x3
    t.cpu.write_cr0(t.cpu.cr0 & ~WP)
    assert t.cpu.translate(VA, write=True) == 0x9000
    assert t.at(VA, 1) & D
    assert t.fault(VA, write=True, user=True) == 0x7


def test_smep_forbids_supervisor_fetches_from_user_pages(t: Tables) -> None:
    """Rules 16 and 24."""
    t.map(VA, 0x9000)
    t.cpu.write_cr4(t.cpu.cr4 | SMEP)
    assert t.fault(VA, fetch=True) == 0x11
    assert t.cpu.translate(VA, fetch=True, user=True) == 0x9000


def test_smap_and_ac(t: Tables) -> None:
    """Rules 17 and 18."""
    t.map(VA, 0x9000)
    t.cpu.write_cr4(t.cpu.cr4 | SMAP)
    assert t.fault(VA) == 0x1
    assert t.cpu.translate(VA, fetch=True) == 0x9000
    t.cpu.ac = True
    assert t.cpu.translate(VA) == 0x9000
    assert t.fault(VA, implicit=True) == 0x1
    t.cpu.cpl = 3
    assert t.cpu.translate(VA) == 0x9000
    assert t.fault(VA, implicit=True) == 0x1


def test_error_code_tells_fetches_only_with_nxe_or_smep(t: Tables) -> None:
    """Rule 24."""
    assert t.fault(VA, fetch=True) == 0x10
    t.cpu.write_efer(t.cpu.efer & ~NXE)
    assert t.fault(VA, fetch=True) == 0x0
    t.cpu.write_cr4(t.cpu.cr4 | SMEP)
    assert t.fault(VA, fetch=True) == 0x10


def test_pku_acts_at_once_and_at_every_cpl(t: Tables) -> None:
    """Rules 20, 22 and 27."""
    t.map(VA, 0x9000, FULL | 3 << 59)
    t.cpu.write_cr4(t.cpu.cr4 | PKE)
    assert t.cpu.translate(VA, write=True) == 0x9000
    t.cpu.write_pkru(1 << 6)
    assert t.fault(VA) == 0x21
    assert t.fault(VA, user=True, write=True) == 0x27
    assert t.cpu.translate(VA, fetch=True) == 0x9000
    t.cpu.write_pkru(2 << 6)
    assert t.cpu.translate(VA, user=True) == 0x9000
    assert t.fault(VA, write=True) == 0x23
    t.cpu.write_cr0(t.cpu.cr0 & ~WP)
    assert t.cpu.translate(VA, write=True) == 0x9000
    assert t.fault(VA, write=True, user=True) == 0x27


def test_pks_guards_supervisor_pages(t: Tables) -> None:
    """Rule 21."""
    t.map(VA, 0x9000, P | RW | 3 << 59)
    t.cpu.write_cr4(t.cpu.cr4 | PKS)
    t.cpu.write_pkrs(1 << 6)
    assert t.fault(VA) == 0x21
    t.cpu.write_pkrs(2 << 6)
    assert t.fault(VA, write=True) == 0x23
    t.cpu.write_cr0(t.cpu.cr0 & ~WP)
    assert t.cpu.translate(VA, write=True) == 0x9000


def test_xchg_reports_a_write(t: Tables) -> None:
    """Rule 26."""
    with pytest.raises(PageFault) as caught:
        t.cpu.xchg(VA, 8, 1)
    assert caught.value.error_code == 0x2


def test_cr2_of_a_page_crossing_access_is_in_the_second_page(t: Tables) -> None:
    """Rules 28 and 29: nothing is stored, and the first page has A and D already."""
    t.map(VA, 0x9000)
    with pytest.raises(PageFault) as caught:
        t.cpu.write(VA + 0xffc, 8, ~0 & (1 << 64) - 1)
    assert caught.value.address == VA + 0x1000
    assert t.memory.load(0x9ffc, 4) == 0
    assert t.at(VA, 1) & (A | D) == A | D


def test_read_and_write_cross_pages_that_are_not_adjacent(t: Tables) -> None:
    t.map(VA, 0x2_0000)
    t.map(VA + 0x1000, 0x1_0000)
    t.cpu.write(VA + 0xffd, 8, 0x8877665544332211)
    assert t.memory.load(0x2_0ffd, 2) == 0x2211
    assert t.memory.load(0x1_0000, 4) == 0x77665544
    assert t.cpu.read(VA + 0xffd, 8) == 0x8877665544332211
    assert t.cpu.xchg(VA + 0xffd, 8, 5) == 0x8877665544332211
    assert t.cpu.read(VA + 0xffd, 8) == 5


# --- accessed and dirty ---------------------------------------------------------------------------


def test_a_is_set_at_every_level_and_d_in_the_leaf_only(t: Tables) -> None:
    """Rule 30."""
    t.map(VA, 0x9000)
    t.cpu.translate(VA)
    assert [t.at(VA, level) & (A | D) for level in (4, 3, 2, 1)] == [A, A, A, A]
    t.cpu.translate(VA, write=True)
    assert [t.at(VA, level) & (A | D) for level in (4, 3, 2, 1)] == [A, A, A, A | D]


def test_a_store_through_a_clean_entry_walks_again(t: Tables) -> None:
    """Rule 36."""
    t.map(VA, 0x9000)
    t.cpu.translate(VA)
    walks = t.cpu.walks
    t.cpu.translate(VA, write=True)
    assert t.cpu.walks == walks + 1
    t.cpu.translate(VA, write=True)
    assert t.cpu.walks == walks + 1


def test_a_store_that_races_with_the_locked_update_wins(t: Tables) -> None:
    """Rules 31 and 37: the entry was cleared between read and update, so it stays clear."""
    at = t.map(VA, 0x9000)

    def clear(va: int) -> None:
        assert va == VA
        t.memory.store(at, 8, 0)

    t.cpu.race = clear
    assert t.fault(VA, write=True) == 0x2
    assert t.memory.load(at, 8) == 0


def test_a_changed_entry_is_walked_again(t: Tables) -> None:
    """Rule 31: A and D land in the new entry, which is the one used."""
    at = t.map(VA, 0x9000)

    def move(va: int) -> None:
        t.memory.store(at, 8, 0x8000 | FULL)
        t.cpu.race = None

    t.cpu.race = move
    assert t.cpu.translate(VA, write=True) == 0x8000
    assert t.memory.load(at, 8) == 0x8000 | FULL | A | D


def test_what_the_race_hook_raises_ends_the_access(t: Tables) -> None:
    at = t.map(VA, 0x9000)

    def stop(va: int) -> None:
        raise LookupError("enough")

    t.cpu.race = stop
    with pytest.raises(LookupError, match="enough"):
        t.cpu.read(VA, 8)
    with pytest.raises(LookupError, match="enough"):
        t.cpu.translate_many(array("Q", [VA]), array("Q", [0]), array("H", [0]))
    assert t.memory.load(at, 8) == 0x9000 | FULL


def test_early_accessed_marks_the_tables_of_a_faulting_walk() -> None:
    """Rules 33 and 52."""
    for early in (False, True):
        t = Tables(early_accessed=early)
        t.entry(VA, 1)
        assert t.fault(VA) == 0
        assert [bool(t.at(VA, level) & A) for level in (4, 3, 2)] == [early] * 3


# --- TLB --------------------------------------------------------------------------------------------


def test_a_held_translation_is_used_until_invalidated(t: Tables) -> None:
    """Rule 42."""
    at = t.map(VA, 0x9000)
    t.cpu.translate(VA)
    t.memory.store(at, 8, 0)
    assert t.cpu.translate(VA) == 0x9000
    t.cpu.invlpg(VA)
    assert t.fault(VA) == 0


def test_not_present_and_reserved_entries_are_not_held(t: Tables) -> None:
    """Rule 39."""
    t.fault(VA)
    t.map(VA, 1 << 51)
    t.fault(VA)
    assert t.cpu.held() == []


def test_speculate_caches_what_nobody_accessed(t: Tables) -> None:
    """Rule 40; 39: A is set first."""
    at = t.map(VA, 0x9000, P)
    assert t.cpu.speculate(VA)
    assert t.memory.load(at, 8) & A
    t.memory.store(at, 8, 0)
    assert t.cpu.translate(VA) == 0x9000
    assert not t.cpu.speculate(VA + 0x1000)
    assert not t.cpu.speculate(1 << 62)


def test_translations_belong_to_their_pcid(t: Tables) -> None:
    """Rules 43 and 57."""
    t.cpu.write_cr4(t.cpu.cr4 | PCIDE)
    at = t.map(VA, 0x9000)
    t.cpu.write_cr3(t.root | 1)
    t.cpu.translate(VA)
    t.memory.store(at, 8, 0)
    t.cpu.write_cr3(t.root | 2)
    assert t.fault(VA) == 0
    t.cpu.write_cr3(t.root | 1 | KEEP)
    assert t.cpu.translate(VA) == 0x9000
    assert {held.pcid for held in t.cpu.lookup(VA)} == {1}


def test_global_pages_serve_every_pcid_and_survive_mov_cr3(t: Tables) -> None:
    """Rules 44, 57 and 69: the tables above a global page are not global."""
    at = t.map(VA, 0x9000, FULL | G)
    t.cpu.translate(VA)
    t.memory.store(at, 8, 0)
    t.cpu.write_cr3(t.root)
    assert t.cpu.translate(VA) == 0x9000
    assert [held.cache for held in t.cpu.held()] == ["dtlb"]
    t.cpu.write_cr4(t.cpu.cr4 ^ PGE)
    assert t.fault(VA) == 0


def test_g_means_nothing_without_pge(t: Tables) -> None:
    """Rule 44."""
    t.cpu.write_cr4(t.cpu.cr4 & ~PGE)
    t.map(VA, 0x9000, FULL | G)
    t.cpu.translate(VA)
    t.cpu.write_cr3(t.root)
    assert t.cpu.held() == []


def test_fracture_holds_a_large_page_in_pieces() -> None:
    """Rule 45: INVLPG drops every piece of the page."""
    t = Tables(fracture=True)
    t.map(0, 0x20_0000, level=2)
    assert t.cpu.translate(0x1234) == 0x20_1234
    assert t.cpu.translate(0x5678) == 0x20_5678
    assert [(held.address, held.size) for held in t.cpu.held() if held.cache == "dtlb"] == [
        (0x1000, 0x1000), (0x5000, 0x1000)]
    t.cpu.invlpg(0x1f_f000)
    assert t.cpu.held() == []


def test_lookup_shows_an_ambiguous_translation() -> None:
    """Rule 46: the page size changed without an invalidation, and both are held."""
    t = Tables(caches={"pde": (1, 0)})
    t.map(0x1000, 0x9000)
    t.cpu.translate(0x1000)
    t.memory.store(t.entry(0, 2), 8, 0x20_0000 | FULL | PS)
    assert t.cpu.translate(0x2000) == 0x20_2000
    assert t.cpu.translate(0x1000) == 0x9000
    assert [held.size for held in t.cpu.lookup(0x1000) if held.cache == "dtlb"] == [0x1000, 0x20_0000]
    t.cpu.invlpg(0x1000)
    assert t.cpu.translate(0x1000) == 0x20_1000


def test_a_missing_right_may_fault_once_without_a_look_at_memory(t: Tables) -> None:
    """Rules 47 and 77."""
    t.map(VA, 0x9000, P | US)
    t.cpu.translate(VA)
    t.map(VA, 0x9000)
    assert t.fault(VA, write=True) == 0x3
    assert t.cpu.translate(VA, write=True) == 0x9000


def test_instruction_and_data_caches_differ_in_age(t: Tables) -> None:
    """Rule 48."""
    t.map(VA, 0x9000)
    t.cpu.translate(VA, fetch=True)
    t.map(VA, 0x8000)
    assert t.cpu.translate(VA) == 0x8000
    assert t.cpu.translate(VA, fetch=True) == 0x9000


def test_processors_do_not_share_caches(t: Tables) -> None:
    """Rule 49."""
    other = CPU(t.memory)
    other.write_cr3(t.root)
    at = t.map(VA, 0x9000)
    other.translate(VA)
    t.memory.store(at, 8, 0)
    t.cpu.invlpg(VA)
    assert t.fault(VA) == 0
    assert other.translate(VA) == 0x9000


def test_caches_are_finite(t: Tables) -> None:
    for page in range(200):
        t.map(VA + (page << 12), 0x10_0000 + (page << 12))
        t.cpu.translate(VA + (page << 12))
    assert len([held for held in t.cpu.held() if held.cache == "dtlb"]) == 64
    for page in range(200):
        assert t.cpu.translate(VA + (page << 12)) == 0x10_0000 + (page << 12)


# --- paging-structure caches --------------------------------------------------------------------------


@pytest.mark.parametrize("level", [4, 3, 2])
def test_walks_start_below_the_deepest_held_structure(t: Tables, level: int) -> None:
    """Rules 50 and 53 to 55: entries above it are not read again, for any address that they serve."""
    t.map(VA, 0x9000)
    t.map(VA + 0x1000, 0x8000)
    at = t.entry(VA, level)
    t.cpu.translate(VA)
    t.memory.store(at, 8, 0)
    assert t.cpu.translate(VA + 0x1000) == 0x8000
    assert [(held.level, held.size) for held in t.cpu.lookup(VA + 0x1000)] == [
        (1, 1 << 12), (2, 1 << 21), (3, 1 << 30), (4, 1 << 39)]


def test_five_levels_have_a_pml5e_cache() -> None:
    """Rule 50."""
    t = Tables(5)
    t.map(VA, 0x9000)
    t.cpu.translate(VA)
    assert (5, 1 << 48) in [(held.level, held.size) for held in t.cpu.lookup(VA)]


def test_rights_above_a_structure_hit_still_count(t: Tables) -> None:
    """Rule 51."""
    t.map(VA, 0x9000)
    t.map(VA + 0x1000, 0x8000)
    t.memory.store(t.entry(VA, 4), 8, t.at(VA, 4) & ~RW)
    t.cpu.translate(VA)
    assert t.fault(VA + 0x1000, write=True) == 0x3


def test_a_stale_structure_reads_a_freed_table() -> None:
    """Rule 56: nothing was invalidated before the table was freed; poison is not present."""
    t = Tables(audit=True)
    t.map(VA, 0x9000)
    t.memory.set_state(9, FrameState.ALLOCATED)
    t.cpu.translate(VA)
    assert t.cpu.strays == []
    table = t.entry(VA, 1) & ~0xfff
    t.memory.store(t.entry(VA, 2), 8, 0)
    t.memory.poison(table >> 12, 0)
    assert t.fault(VA + 0x1000) == 0
    assert [stray[:3] for stray in t.cpu.strays] == [("read", 1, table + 8 * 6)]


def test_a_stale_structure_fills_and_updates_from_reused_memory() -> None:
    """Rule 56, continued: the data of the frame's new owner is used as a PTE and modified."""
    t = Tables(audit=True)
    t.map(VA, 0x9000)
    t.memory.set_state(9, FrameState.ALLOCATED)
    t.cpu.translate(VA)
    table = t.entry(VA, 1) & ~0xfff
    t.memory.store(t.entry(VA, 2), 8, 0)
    t.memory.set_state(table >> 12, FrameState.ALLOCATED)
    t.memory.store(table + 8 * 7, 8, 0x8000 | FULL)
    assert t.cpu.translate(VA + 0x2000, write=True) == 0x8000
    assert [(stray.kind, stray.address) for stray in t.cpu.strays] == [
        ("read", table + 8 * 7), ("fill", table + 8 * 7), ("update", table + 8 * 7), ("use", 0x8000)]
    assert t.memory.load(table + 8 * 7, 8) == 0x8000 | FULL | A | D


def test_a_table_stays_held_when_it_is_emptied(t: Tables) -> None:
    """Rule 52."""
    at = t.map(VA, 0x9000)
    t.cpu.translate(VA)
    t.memory.store(at, 8, 0)
    assert t.cpu.lookup(VA)[1].target == at & ~0xfff


def test_a_structure_is_held_with_nothing_below_it() -> None:
    """Rule 52."""
    t = Tables(early_accessed=True)
    at = t.entry(VA, 1)
    assert not t.cpu.speculate(VA)
    assert t.cpu.lookup(VA)[0].target == at & ~0xfff


def test_a_processor_may_have_no_caches_at_all() -> None:
    """Rule 59."""
    none = dict.fromkeys(["dtlb4k", "dtlb2m", "dtlb1g", "itlb4k", "itlb2m", "itlb1g", "pde", "pdpte", "pml4e",
                          "pml5e"], (1, 0))
    t = Tables(caches=none)
    at = t.map(VA, 0x9000)
    t.cpu.translate(VA)
    t.memory.store(at, 8, 0)
    assert t.cpu.held() == []
    assert t.fault(VA) == 0


# --- invalidation -----------------------------------------------------------------------------------


@pytest.fixture
def two() -> Tables:
    """Two PCIDs with one mapping each of two far-apart addresses, all cached; PCID 2 is current."""
    t = Tables()
    t.cpu.write_cr4(t.cpu.cr4 | PCIDE)
    for va in (VA, VA + (1 << 39)):
        t.map(va, 0x9000)
        t.map(va + 0x1000, 0x8000, FULL | G)
    for pcid in (1, 2):
        t.cpu.write_cr3(t.root | pcid)
        for va in (VA, VA + (1 << 39)):
            t.cpu.translate(va)
            t.cpu.translate(va + 0x1000)
    return t


def summary(cpu: CPU) -> dict[tuple[str, int], int]:
    """How many entries are held, by (kind, PCID); global ones under "global"."""
    counts: dict[tuple[str, int], int] = {}
    for held in cpu.held():
        kind = ("global", 0) if held.global_page else (held.cache, held.pcid)
        counts[kind] = counts.get(kind, 0) + 1
    return counts


BEFORE = {("global", 0): 2, ("dtlb", 1): 2, ("dtlb", 2): 2, ("structure", 1): 6, ("structure", 2): 6}


def test_invlpg_drops_all_structures_of_the_current_pcid(two: Tables) -> None:
    """Rules 60 to 62."""
    assert summary(two.cpu) == BEFORE
    two.cpu.invlpg(VA)
    assert summary(two.cpu) == {("global", 0): 2, ("dtlb", 1): 2, ("dtlb", 2): 1, ("structure", 1): 6}


def test_invlpg_drops_global_pages(two: Tables) -> None:
    """Rule 60."""
    two.cpu.invlpg(VA + 0x1000)
    assert summary(two.cpu)["global", 0] == 1


def test_invlpg_with_tce_drops_the_path_only(two: Tables) -> None:
    """Rule 82."""
    two.cpu.write_efer(two.cpu.efer | TCE)
    two.cpu.invlpg(VA)
    assert summary(two.cpu) == BEFORE | {("dtlb", 2): 1, ("structure", 2): 3}


def test_invlpg_of_a_non_canonical_address_does_nothing(two: Tables) -> None:
    """Rule 63."""
    two.cpu.invlpg(1 << 62)
    assert summary(two.cpu) == BEFORE
    two.cpu.cpl = 3
    with pytest.raises(GeneralProtection):
        two.cpu.invlpg(VA)


def test_invpcid_0_is_weaker_than_invlpg(two: Tables) -> None:
    """Rule 64: global pages and other paths stay."""
    two.cpu.invpcid(0, 1, VA)
    assert summary(two.cpu) == BEFORE | {("dtlb", 1): 1, ("structure", 1): 3}
    two.cpu.invpcid(0, 2, VA + 0x1000)
    assert summary(two.cpu)["global", 0] == 2


def test_invpcid_1_drops_one_pcid(two: Tables) -> None:
    """Rule 65."""
    two.cpu.invpcid(1, 1, 0)
    assert summary(two.cpu) == {("global", 0): 2, ("dtlb", 2): 2, ("structure", 2): 6}


def test_invpcid_2_and_3_differ_in_global_pages(two: Tables) -> None:
    """Rules 66 and 67."""
    two.cpu.invpcid(3, 0, 0)
    assert summary(two.cpu) == {("global", 0): 2}
    two.cpu.invpcid(2, 0, 0)
    assert summary(two.cpu) == {}


def test_invpcid_refuses_bad_operands(two: Tables) -> None:
    """Rule 68."""
    for kind, pcid, va in ((4, 0, 0), (1 << 32, 0, 0), (1, 4096, 0), (0, 0, 1 << 62)):
        with pytest.raises(GeneralProtection):
            two.cpu.invpcid(kind, pcid, va)
    with pytest.raises(InvalidOpcode):
        Tables(features=FEATURES - {"INVPCID"}).cpu.invpcid(2, 0, 0)
    with pytest.raises(GeneralProtection):
        Tables().cpu.invpcid(1, 5, 0)
    assert summary(two.cpu) == BEFORE


def test_mov_cr3_drops_the_pcid_it_selects(two: Tables) -> None:
    """Rule 70."""
    two.cpu.write_cr3(two.root | 1)
    assert summary(two.cpu) == {("global", 0): 2, ("dtlb", 2): 2, ("structure", 2): 6}


def test_mov_cr3_with_bit_63_drops_nothing(two: Tables) -> None:
    """Rule 71: not even when the root changes under the same PCID."""
    other = two.table()
    two.cpu.write_cr3(other | 2 | KEEP)
    assert two.cpu.cr3 == other | 2
    assert summary(two.cpu) == BEFORE
    assert two.cpu.translate(VA) == 0x9000


def test_mov_cr3_refuses_reserved_bits(t: Tables) -> None:
    """Rules 6 and 71."""
    for value in (1 << 46, 1 << 62, KEEP):
        with pytest.raises(GeneralProtection):
            t.cpu.write_cr3(value)
    assert t.cpu.cr3 == t.root


def test_mov_cr4_invalidates_on_pge_pcide_and_smep(two: Tables) -> None:
    """Rules 72 to 74."""
    two.cpu.write_cr4(two.cpu.cr4 | SMAP | PKE | PKS)
    assert summary(two.cpu) == BEFORE
    two.cpu.write_cr4(two.cpu.cr4 | SMEP)
    assert summary(two.cpu) == {("global", 0): 2, ("dtlb", 1): 2, ("structure", 1): 6}
    two.cpu.write_cr4(two.cpu.cr4 & ~PCIDE)
    assert summary(two.cpu) == {}


@pytest.mark.parametrize("change", [PAE, LA57, 1 << 23, 1 << 32])
def test_mov_cr4_refuses_what_long_mode_forbids(t: Tables, change: int) -> None:
    """Rule 5."""
    with pytest.raises(GeneralProtection):
        t.cpu.write_cr4(t.cpu.cr4 ^ change)


def test_pcide_cannot_be_set_with_a_pcid_in_cr3(t: Tables) -> None:
    """Rule 75."""
    t.cpu.write_cr3(t.root | 1)
    with pytest.raises(GeneralProtection):
        t.cpu.write_cr4(t.cpu.cr4 | PCIDE)


def test_a_fault_drops_what_was_held_for_the_address(t: Tables) -> None:
    """Rule 77."""
    t.map(VA, 0x9000, P)
    t.map(VA + 0x1000, 0x8000)
    t.cpu.translate(VA)
    t.cpu.translate(VA + 0x1000)
    assert t.fault(VA, user=True) == 0x5
    assert t.cpu.lookup(VA) == []
    assert [held.address for held in t.cpu.held()] == [VA + 0x1000]


# --- the rest -----------------------------------------------------------------------------------------


def test_privileged_instructions_fault_at_cpl_3(t: Tables) -> None:
    t.cpu.cpl = 3
    for instruction in (t.cpu.write_cr0, t.cpu.write_cr3, t.cpu.write_cr4, t.cpu.write_efer, t.cpu.write_pkrs,
                        t.cpu.invlpg):
        with pytest.raises(GeneralProtection, match="CPL 3"):
            instruction(0)
    with pytest.raises(GeneralProtection, match="CPL 3"):
        t.cpu.invpcid(2, 0, 0)


def test_wrpkru_needs_pke(t: Tables) -> None:
    with pytest.raises(InvalidOpcode):
        t.cpu.write_pkru(0)


def test_tables_outside_memory_are_a_bus_error(t: Tables) -> None:
    t.cpu.write_cr3(1 << 45)
    with pytest.raises(BusError) as caught:
        t.cpu.translate(VA)
    assert caught.value.address == (1 << 45) + 8 * (VA >> 39)
    assert t.cpu.walk(VA) == []


def test_a_page_outside_memory_translates_but_cannot_be_read(t: Tables) -> None:
    t.map(VA, 1 << 45)
    assert t.cpu.translate(VA) == 1 << 45
    with pytest.raises(BusError):
        t.cpu.read(VA, 8)
    with pytest.raises(BusError):
        t.cpu.write(VA, 8, 1)
    with pytest.raises(BusError):
        t.cpu.xchg(VA, 8, 1)


def test_a_self_mapped_root_shows_its_tables(t: Tables) -> None:
    """Rule 58: one entry used at four levels of one walk."""
    t.memory.store(t.root + 8 * 511, 8, t.root | FULL)
    t.map(VA, 0x9000)
    assert t.cpu.translate(0xffff_ffff_ffff_f000, write=True) == t.root
    assert t.memory.load(t.root + 8 * 511, 8) == t.root | FULL | A | D
    assert t.cpu.read(0xffff_ff80_0000_0000 | VA >> 9 & ~7, 8) == t.at(VA, 1)


def test_translate_many_looks_ahead_without_a_trace(t: Tables) -> None:
    """What it asks the host for early is no access: no A bits, no bus errors."""
    for page in range(0, 100, 2):
        t.map(page << 12, 0x10_0000 + (page << 12))
    t.memory.store(t.root + 8, 8, 1 << 45 | FULL)
    addresses = array("Q", [page << 12 for page in range(100)] + [1 << 39, 1 << 62])
    out, status = array("Q", bytes(8 * 102)), array("H", bytes(2 * 102))
    assert t.cpu.translate_many(addresses[:99], out[:99], status[:99]) == 50
    assert t.memory.bus_errors == 0
    assert t.cpu.translate_many(addresses, out, status) == 50
    assert list(status) == [0, 0x100] * 50 + [0x300, 0x200]
    assert list(out) == [0 if code else 0x10_0000 + va for va, code in zip(addresses, status, strict=True)]
    assert t.memory.bus_errors == 1
    with pytest.raises(ValueError, match="differ in length"):
        t.cpu.translate_many(addresses, out, status[:5])


def test_walk_has_no_side_effects(t: Tables) -> None:
    t.map(VA, 0x9000)
    before = bytes(t.memory.buffer[:0x8000])
    assert [level for level, _, _ in t.cpu.walk(VA)] == [4, 3, 2, 1]
    assert t.cpu.walk(VA + 0x1000)[-1] == (1, t.entry(VA + 0x1000, 1), 0)
    assert before == bytes(t.memory.buffer[:0x8000])
    assert t.cpu.held() == []


def test_restore_brings_back_registers_and_caches(t: Tables) -> None:
    at = t.map(VA, 0x9000)
    t.cpu.translate(VA)
    t.memory.snapshot()
    t.cpu.snapshot()
    held = t.cpu.held()
    t.memory.store(at, 8, 0)
    t.cpu.write_cr4(t.cpu.cr4 | SMEP)
    t.cpu.write_efer(t.cpu.efer & ~NXE)
    t.cpu.write_cr3(0)
    t.cpu.forget()
    t.memory.restore()
    t.cpu.restore()
    assert (t.cpu.held(), t.cpu.cr3, t.cpu.cr4 & SMEP, t.cpu.efer & NXE) == (held, t.root, 0, NXE)


@pytest.mark.parametrize("options", [
    {"maxphyaddr": 35}, {"maxphyaddr": 53}, {"levels": 3}, {"features": {"WARP"}}, {"caches": {"l3": (1, 1)}},
    {"caches": {"pde": (3, 4)}}, {"caches": {"pde": (4, -1)}},
])
def test_cpu_refuses_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"not|unknown"):
        CPU(Memory(1), **options)  # type: ignore[arg-type]
