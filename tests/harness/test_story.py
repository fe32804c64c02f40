# SPDX-License-Identifier: GPL-2.0-only
"""From the records of an execution to the story of one finding."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import world_of

from kmm.harness.kernels import Recipe
from kmm.harness.litmus import find
from kmm.harness.recorder import Recorder
from kmm.harness.search import explore, run_script
from kmm.harness.story import tell
from kmm.harness.violation import Place, Violation
from kmm.harness.world import boot

PROPOSALS = Path(__file__).parents[2] / "conformance" / "proposals"
VUNMAP = "sva_device_vs_vunmap"


def story_of(scenario, overlay=None, **settings):
    """The story of the first counterexample that is found."""
    recipe = Recipe.of(settings=[f"{key}={value}" for key, value in settings.items()],
                       overlays=[PROPOSALS / overlay] if overlay else [])
    world = boot(recipe.build(), find(scenario))
    result = explore(world.start, world.reset, key=lambda violation: violation.key, at_end=world.at_end,
                     stop_at_first=True)
    found = min(result.found, key=lambda found: found.index)
    recorder = Recorder()
    again = boot(recipe.build(), find(scenario), recorder=recorder)
    core, status = run_script(again.start, found.script, found.actors)
    again.at_end(core, status)
    return tell(recorder, found.payload)


@pytest.fixture(scope="module")
def at_once():
    """The kernel before the fix: freed at once."""
    return story_of(VUNMAP, ASYNC_KERNEL_PGTABLE_FREE="n")


@pytest.fixture(scope="module")
def flush_first():
    """The worker that flushes before it takes the list."""
    return story_of(VUNMAP, "async-free-flush-first")


def steps(story):
    """What happened to the subject, agents left out, repetitions folded."""
    words = [record.what for record in story.life]
    return [word for word, before in zip(words, [None, *words], strict=False) if word != before]


def test_life_goes_from_the_allocation_to_the_end(at_once):
    assert steps(at_once) == ["allocated", "linked", "cached", "unlinked", "flushed", "freed"]
    assert at_once.life[-1].violations == [at_once.violation]
    assert [record.phase for record in at_once.life if record.what in ("allocated", "freed")] == ["setup", "run"]


def test_life_of_a_deferred_free_has_a_queue_in_it(flush_first):
    life = steps(flush_first)
    assert life[:3] == ["allocated", "linked", "cached"] and life[-1] == "freed"
    assert life.index("unlinked") < life.index("queued") < life.index("freed")


def test_life_is_about_the_subject_only(at_once):
    pfn = at_once.violation.facts["pfn"]
    assert all(pfn in record.frames for record in at_once.life)
    assert at_once.subject.startswith("T")


def test_missing_names_who_was_not_told(at_once, flush_first):
    name = at_once.subject
    assert at_once.missing == (f"No invalidation of dmar0 PASID 1 lies between the moment {name} was unlinked and "
                               "the moment it was freed.")
    assert flush_first.missing.startswith("No invalidation of dmar0 PASID 1 lies between the moment T")
    assert flush_first.missing.endswith("; the one that was issued came before the unlink.")


def test_missing_of_a_free_that_was_deferred_and_not_told():
    story = story_of(VUNMAP, "async-free-v5-6of8")
    assert story.missing.endswith(", although its free was deferred.")


def test_scene_is_what_ran_in_order_up_to_the_violation(at_once, flush_first):
    for story in at_once, flush_first:
        seqs = [record.seq for record in story.scene]
        assert seqs == sorted(set(seqs))
        assert {record.phase for record in story.scene} == {"run"}
        assert story.scene[-1].violations[0].key == story.violation.key
    assert len({record.actor for record in flush_first.scene}) > 1


def test_a_rule_without_a_table_has_no_subject():
    recorder = Recorder()
    world = world_of("""
        from kmm.include.linux.bug import WARN_ON

        def cpu0():
            hooks.local_irq_enable()
            WARN_ON(True)
    """, recorder=recorder)
    world.reset()
    core, status = run_script(world.start, [], [])
    world.at_end(core, status)
    story = tell(recorder, world.seen[0])
    assert (story.subject, story.life, story.missing) == ("", (), "")
    assert len(story.scene) == 1


def test_tell_refuses_a_violation_that_was_not_recorded():
    with pytest.raises(LookupError, match="does not break double-free"):
        tell(Recorder(), Violation("double-free", "cpu0", Place("", ""), "twice"))
