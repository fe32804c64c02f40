# SPDX-License-Identifier: GPL-2.0-only
"""Sphinx directives that print tables of kmm's own catalogues, so that no page can lag behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from kmm.harness.check import NOT_MODELLED
from kmm.harness.rules import RULES

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]


class Rules(SphinxDirective):
    """``.. kmm-rules::`` prints the catalogue of rules, by id."""

    def run(self) -> list[nodes.Node]:
        """The rules, one definition each."""
        lines: list[str] = []
        for rule in sorted(RULES.values(), key=lambda rule: rule.id):
            lines += [f".. _{rule.slug}:", "", f"``{rule.id}`` ``{rule.slug}``",
                      f"    {rule.contract[0].upper()}{rule.contract[1:]}.", "", f"    *Source:* {rule.source}", ""]
        return _parsed(self, lines)


class NotModelled(SphinxDirective):
    """``.. kmm-not-modelled::`` prints what every JSON report says that no verdict covers."""

    def run(self) -> list[nodes.Node]:
        """The list."""
        return _parsed(self, [f"* {line[0].upper()}{line[1:]}." for line in NOT_MODELLED])


def _parsed(directive: SphinxDirective, lines: list[str]) -> list[nodes.Node]:
    container = nodes.container()
    directive.state.nested_parse(StringList(lines, source=directive.get_source_info()[0]), 0, container)
    return container.children


def setup(app: Sphinx) -> dict[str, object]:
    """Register the directives."""
    app.add_directive("kmm-rules", Rules)
    app.add_directive("kmm-not-modelled", NotModelled)
    return {"parallel_read_safe": True}
