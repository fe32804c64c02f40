# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue of rules: what a violation means, and who says so.

A rule has a stable id and a slug; reports, JSON, tests and documentation use these and nothing else.
``contract`` is the sentence that the code under test must keep; ``source`` is where it is written
(kernel file, or section of the Intel SDM or VT-d specification).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RULES", "Rule", "rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    :ivar id: permanent, ``KMM`` and three digits.
    :ivar slug: the name used everywhere.
    :ivar contract: what must hold.
    :ivar source: who demands it.
    :ivar danger: what may happen to who breaks it.
    """

    id: str
    slug: str
    contract: str
    source: str
    danger: str = ""


_CATALOGUE = (
    Rule("KMM001", "table-freed-while-cached",
         "a page table is freed only after every agent that may hold an entry leading to it has been invalidated",
         "SDM vol. 3A 4.10.3 and 4.10.4 (paging-structure caches); VT-d 6.2.5, 6.5.2; mm/pgtable-generic.c",
         "the agent may read what the frame holds next as a page table, use what it finds there as translations, "
         "and write Accessed bits into it."),
    Rule("KMM002", "table-freed-while-linked",
         "a page table is unlinked from every table an agent walks before it is freed",
         "include/asm-generic/tlb.h (unhook, invalidate, free)"),
    Rule("KMM003", "freed-table-walked",
         "no hardware walker reads a freed frame as a page table",
         "SDM vol. 3A 4.10.3; VT-d 6.2.5"),
    Rule("KMM004", "freed-table-written",
         "no hardware walker writes Accessed or Dirty bits into a frame that is no longer a page table",
         "SDM vol. 3A 4.8; VT-d 3.6"),
    Rule("KMM005", "use-after-free",
         "software does not load from or store to a freed frame",
         "mm/page_alloc.c"),
    Rule("KMM006", "double-free", "a frame is freed once", "mm/page_alloc.c"),
    Rule("KMM007", "bad-page",
         "a page is given back without page type, extra references or mappings", "mm/page_alloc.c"),
    Rule("KMM008", "page-table-accounting",
         "constructor and destructor of a page table balance: page type and NR_PAGETABLE",
         "include/linux/mm.h (__pagetable_ctor, pagetable_dtor)"),
    Rule("KMM009", "union-clobber",
         "a member of a union is not read after another member was written",
         "include/linux/mm_types.h (struct ptdesc)"),
    Rule("KMM010", "list-corruption", "list neighbours point at each other", "lib/list_debug.c"),
    Rule("KMM011", "sleep-in-atomic",
         "code that may sleep runs with preemption and interrupts enabled and outside RCU readers",
         "kernel/sched/core.c (might_sleep)"),
    Rule("KMM012", "lock-not-held", "the documented lock is held", "lockdep_assert_held()"),
    Rule("KMM013", "deadlock", "some actor can always go on", "kernel/locking"),
    Rule("KMM014", "work-before-workqueue",
         "work is scheduled only after the workqueues exist", "kernel/workqueue.c (workqueue_init_early)"),
    Rule("KMM015", "leak-at-quiescence",
         "when every actor, worker and callback has ended, no page table that was unlinked is still allocated",
         "mm/pgtable-generic.c"),
    Rule("KMM016", "kernel-bug", "no BUG() is reached", "include/linux/bug.h"),
    Rule("KMM017", "kernel-warning", "no WARN() is reached", "include/linux/bug.h"),
    Rule("KMM018", "ipi-with-irqs-off",
         "a CPU does not wait for IPIs with its own interrupts disabled", "kernel/smp.c"),
    Rule("KMM019", "object-use-after-free", "a slab object is not used or freed after kfree()", "mm/slub.c"),
    Rule("KMM021", "bad-free", "kfree() is given what kmalloc() gave, once", "mm/slub.c"),
    Rule("KMM022", "bad-page-map", "a page table entry maps a page that may be mapped there", "mm/memory.c"),
    Rule("KMM023", "pgtables-bytes", "an address space is freed without page tables", "kernel/fork.c (check_mm)"),
    Rule("KMM020", "self-check", "an assertion of the scenario holds", "the scenario"),
)

#: Every rule by slug.
RULES: dict[str, Rule] = {entry.slug: entry for entry in _CATALOGUE}


def rule(slug: str) -> Rule:
    """The rule called *slug*.

    :raises KeyError: no such rule; a model reported something that is not in the catalogue.
    """
    try:
        return RULES[slug]
    except KeyError:
        raise KeyError(f"no rule {slug!r} in kmm.harness.rules") from None
