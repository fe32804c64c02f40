# SPDX-License-Identifier: GPL-2.0-only
"""What CPUs may hold of page tables, and what that says about freeing them.

Four tables are made by hand, one below the other: frames 1 (PGD) to 4 (PTE table), each linked by its entry 0;
frame 5 is mapped at address 0.
"""

from __future__ import annotations

import pytest
from bare_machine import BareMachine

from kmm_ext.memory import FrameState

PGD, PUD, PMD, PTE, PAGE = range(1, 6)
TABLE = 0x7
NOFLUSH = 1 << 63
PCIDE, PGE = 1 << 17, 1 << 7


def made(**spec):
    """A machine with these tables, loaded by every CPU."""
    bare = BareMachine(**spec)
    memory = bare.machine.memory
    for pfn in range(PGD, PAGE + 1):
        memory.set_state(pfn, FrameState.TABLE if pfn < PAGE else FrameState.ALLOCATED)
        if pfn < PAGE:
            memory.store(pfn << 12, 8, pfn + 1 << 12 | TABLE)
    bare.snapshot()
    for cpu in range(bare.machine.spec.cpus):
        bare.run(**{f"cpu{cpu}": lambda: bare.cpu.write_cr3(PGD << 12)})
        bare.snapshot()
    return bare


@pytest.fixture
def one_cpu():
    return made(cpus=1)


@pytest.fixture
def two_cpus():
    return made(cpus=2)


def unlink(bare, table):
    """Clear the entry that leads to a table."""
    bare.memory.store(bare.address(table - 1), 8, 0)


def frees(bare, table, *steps):
    """An actor that does some steps and frees a table."""
    def body():
        for step in steps:
            step()
        bare.memory.frames_freed(table, 0)
    return body


@pytest.mark.parametrize("table", [PUD, PMD, PTE])
def test_a_table_is_freed_after_it_was_unlinked_and_flushed(one_cpu, table):
    bare = one_cpu

    def rules(*steps):
        return bare.run(cpu0=frees(bare, table, *steps)).rules

    def unhook():
        unlink(bare, table)

    def flush():
        bare.cpu.invlpg(0)

    assert rules(unhook, flush) == ()
    assert rules(unhook) == ("table-freed-while-cached",)
    assert rules(flush) == ("table-freed-while-linked",)
    assert rules(flush, unhook) == ("table-freed-while-cached",), "the CPU may have cached it again"


def test_a_page_may_be_freed_while_its_leaf_is_cached(one_cpu):
    """That is the business of whoever maps it; lazily purged vmap areas rely on it."""
    assert one_cpu.run(cpu0=frees(one_cpu, PAGE)).rules == ()


def test_every_cpu_that_loaded_the_tables_must_be_flushed(two_cpus):
    bare = two_cpus
    steps = (lambda: unlink(bare, PTE), lambda: bare.cpu.invlpg(0))
    assert bare.run(cpu0=frees(bare, PTE, *steps)).rules == ("table-freed-while-cached",)
    assert bare.machine.violations[0].facts["agents"] == ["CPU1 PCID 0"]
    both = (*steps, lambda: bare.sync.send_ipi(1, "flush", lambda: bare.cpu.invlpg(0)),
            lambda: bare.sync.wait("the flush", lambda: not bare.machine.translations.holds.is_held(PTE)))
    assert bare.run(cpu0=frees(bare, PTE, *both)).rules == ()


def test_invlpg_of_any_address_drops_every_intermediate_entry(one_cpu):
    """SDM vol. 3A 4.10.4.1: of the current PCID."""
    bare = one_cpu
    far = 0x7FFF_0000_0000
    assert bare.run(cpu0=frees(bare, PTE, lambda: unlink(bare, PTE), lambda: bare.cpu.invlpg(far))).rules == ()


@pytest.mark.parametrize(("kind", "enough"), [(0, False), (1, True), (2, True), (3, True)])
def test_invpcid_types(one_cpu, kind, enough):
    """Type 0 is one address of one PCID: kept apart from what leads to other addresses it need not drop more."""
    bare = one_cpu
    other_gigabyte = 5 << 30
    run = bare.run(cpu0=frees(bare, PTE, lambda: unlink(bare, PTE),
                              lambda: bare.cpu.invpcid(kind, 0, other_gigabyte if kind == 0 else 0)))
    assert (run.rules == ()) is enough


def test_mov_cr3_flushes_unless_bit_63_says_no(one_cpu):
    bare = one_cpu

    def rules(cr4, value):
        return bare.run(cpu0=frees(bare, PTE, lambda: bare.cpu.write_cr4(cr4), lambda: bare.cpu.write_cr3(PGD << 12),
                                   lambda: unlink(bare, PTE), lambda: bare.cpu.write_cr3(value))).rules

    assert rules(PGE, PGD << 12) == ()
    assert rules(PGE | PCIDE, PGD << 12) == ()
    assert rules(PGE | PCIDE, PGD << 12 | NOFLUSH) == ("table-freed-while-cached",)
    assert rules(PGE, PGD << 12 | NOFLUSH) == (), "bit 63 means something only with PCIDs on"


def test_toggling_global_pages_flushes_everything(one_cpu):
    bare = one_cpu
    assert bare.run(cpu0=frees(bare, PTE, lambda: unlink(bare, PTE), lambda: bare.cpu.write_cr4(0))).rules == ()


def test_registers_read_back_and_are_restored(one_cpu):
    bare = one_cpu

    def body():
        bare.seen += [bare.cpu.read_cr3(), bare.cpu.read_cr4()]
        bare.cpu.write_cr4(PGE | PCIDE)
        bare.cpu.write_cr3(PGD << 12 | 5)
        bare.seen += [bare.cpu.read_cr3(), bare.cpu.read_cr4()]

    run = bare.run(cpu0=body)
    assert run.seen == (PGD << 12, PGE, PGD << 12 | 5, PGE | PCIDE)
    assert bare.run(cpu0=body) == run


# --- accesses ---------------------------------------------------------------------------------------

def test_access_goes_where_memory_says(one_cpu):
    bare = one_cpu

    def body():
        bare.seen += [bare.devices.access(0x123), bare.devices.access(0x1000), bare.devices.access(0, write=True)]

    assert bare.run(cpu0=body).seen == ("ok", "fault", "ok")


def test_access_may_use_a_leaf_that_is_no_longer_there(one_cpu):
    bare = one_cpu

    def body():
        bare.memory.store(bare.address(PTE), 8, 0)
        bare.seen.append(bare.devices.access(0))
        bare.cpu.invlpg(0)
        bare.seen.append(bare.devices.access(0))

    assert bare.run(cpu0=body).seen == ("stale", "fault")


def test_access_through_a_freed_table_finds_what_its_new_owner_wrote(one_cpu):
    bare = one_cpu

    def body():
        unlink(bare, PTE)
        bare.memory.frames_freed(PTE, 0)
        bare.memory.frames_allocated(PTE, 0, 0)
        bare.memory.store(bare.address(PTE) + 8, 8, PAGE << 12 | TABLE)
        bare.seen.append(bare.devices.access(0x1000))

    run = bare.run(cpu0=body)
    assert run.seen == ("stale",)
    assert run.rules == ("table-freed-while-cached", "freed-table-walked", "freed-table-written")


# --- what commutes ----------------------------------------------------------------------------------

def test_unlink_and_flush_of_another_cpu_do_not_commute(two_cpus):
    """Flush first, and that CPU may have cached the entry again."""
    bare = two_cpus
    runs = bare.explore(cpu0=lambda: unlink(bare, PTE), cpu1=lambda: bare.cpu.invlpg(0))
    assert len(runs) == 2


def test_a_late_flush_is_found_whoever_frees(two_cpus):
    """CPU0 unlinks and frees, CPU1 flushes itself at some moment: right only in between."""
    bare = two_cpus
    steps = (lambda: unlink(bare, PTE), lambda: bare.cpu.invlpg(0))
    runs = bare.explore(cpu0=frees(bare, PTE, *steps), cpu1=lambda: bare.cpu.invlpg(0))
    assert {run.rules for run in runs} == {(), ("table-freed-while-cached",)}
    same = bare.explore("dfs", cpu0=frees(bare, PTE, *steps), cpu1=lambda: bare.cpu.invlpg(0))
    assert {run.rules for run in same} == {run.rules for run in runs}
    assert len(runs) < len(same)


def test_flushes_of_two_cpus_commute(two_cpus):
    bare = two_cpus
    assert len(bare.explore(cpu0=lambda: bare.cpu.invlpg(0), cpu1=lambda: bare.cpu.invlpg(0))) == 1
