# SPDX-License-Identifier: GPL-2.0-only
"""Hooks by which kernel code asserts something: BUG, WARN, might_sleep, lockdep."""

from __future__ import annotations

import linecache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from kmm.harness.places import place
from kmm.harness.violation import Place, Violation

if TYPE_CHECKING:
    from kmm.harness.machine import Machine

__all__ = ["AssertPort"]


class AssertPort:
    """Implements the assertion hooks."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def violate(self, slug: str, summary: str, **facts: Any) -> None:
        """Report that the running actor broke rule *slug* at the current place in kernel code."""
        machine = self.machine
        machine.report(Violation(slug, machine.context.name, place(3), summary, facts))

    def might_sleep(self, where: str) -> None:
        """See :func:`kmm.hooks.might_sleep`."""
        context = self.machine.context
        if not context.may_sleep:
            self.violate("sleep-in-atomic", f"{where or 'this call'} may sleep, but {context.why_atomic()}")

    def lockdep_assert_held(self, obj: object, where: str) -> None:
        """See :func:`kmm.hooks.lockdep_assert_held`."""
        if not any(held.lock is obj for held in self.machine.context.held):
            self.violate("lock-not-held", f"{where} needs a lock that its caller does not hold")

    def bug(self, where: str, condition: str) -> NoReturn:
        """See :func:`kmm.hooks.bug`."""
        self.violate("kernel-bug", f"BUG in {where}: {condition}")
        machine = self.machine
        machine.ended(machine.context)
        machine.scheduler.abort_process()
        raise AssertionError("an aborted actor was resumed")

    def failed(self, error: AssertionError) -> bool:
        """An assertion failed: ``self-check`` if it is one of the scenario's own.

        :return: False if kernel code raised it: then the port is wrong, or an overlay.
        """
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        if frame is None or not frame.tb_frame.f_globals.get("__name__", "").startswith("scenario."):
            return False
        code = frame.tb_frame.f_code
        text = linecache.getline(code.co_filename, frame.tb_lineno).strip()
        what = str(error) or text.partition("assert ")[2] or "an assertion"
        where = Place(Path(code.co_filename).name, code.co_name, frame.tb_lineno)
        machine = self.machine
        machine.report(Violation("self-check", machine.context.name, where, f"the scenario says: {what}"))
        return True

    def warn(self, where: str, condition: str) -> None:
        """See :func:`kmm.hooks.warn`."""
        self.violate("kernel-warning", f"WARN in {where}: {condition}")

    def violation(self, rule: str, where: str, **facts: Any) -> None:
        """See :func:`kmm.hooks.violation`."""
        self.violate(rule, str(facts.pop("summary", "") or f"{rule} in {where}"), **facts)
