# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue of rules: each one fires where it must, and is silent for the good twin (``rule_cases``)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from judging import judge
from rule_cases import ALSO, CASES, CONFIG, choose

import kmm
from kmm.harness.rules import RULES, rule
from kmm.harness.violation import Place, Violation

TREE = Path(kmm.__file__).parent


def twin(slug, which):
    """One of the two scenarios for a rule, explored."""
    text, patch = CASES[slug]
    patch = patch and {file: choose(body, which) for file, body in patch.items()}
    return judge(choose(text, which), patch=patch, config=CONFIG)


@pytest.mark.parametrize("slug", CASES)
def test_rule_fires(slug):
    judged = twin(slug, 1)
    assert slug in judged.rules
    assert judged.rules <= {slug} | ALSO.get(slug, set())


@pytest.mark.parametrize("slug", CASES)
def test_rule_is_silent_for_the_good_twin(slug):
    assert twin(slug, 2).rules == set()


# --- the catalogue ----------------------------------------------------------------------------------

def test_catalogue_ids_and_slugs_are_unique():
    assert len({entry.id for entry in RULES.values()}) == len(RULES)
    assert all(re.fullmatch(r"KMM\d{3}", entry.id) for entry in RULES.values())
    for slug, entry in RULES.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug) and entry.slug == slug


def test_catalogue_says_what_must_hold_and_who_demands_it():
    for entry in RULES.values():
        assert entry.source and entry.contract
        assert not entry.contract.endswith("."), "reports add the full stop"


def reported():
    """Every slug that some code reports."""
    call = re.compile(r"""(?:violation\(|violate\(|Violation\(|slug(?:, text)? =)\s*"([a-z-]+)\"""")
    return {slug for path in sorted(TREE.rglob("*.py")) for slug in call.findall(path.read_text())}


def test_every_slug_that_is_reported_is_in_the_catalogue():
    assert reported() <= set(RULES)


def test_every_rule_of_the_catalogue_is_reported_and_has_fired():
    assert set(RULES) == reported()
    assert set(RULES) == set(CASES)


def test_rule_names_a_slug_that_is_missing():
    assert rule("double-free") is RULES["double-free"]
    with pytest.raises(KeyError, match="no rule 'triple-free'"):
        rule("triple-free")


# --- violations -------------------------------------------------------------------------------------

def test_violations_are_the_same_finding_by_rule_place_and_actor():
    def violation(function="free_it", **facts):
        return Violation("double-free", "cpu0", Place("mm/page_alloc.c", function, 1), "twice", facts)

    assert violation(pfn=1).key == violation(pfn=2).key
    assert violation().key != violation("free_that").key
    assert violation().rule.id == "KMM006"
    assert str(violation()) == "double-free: twice"
