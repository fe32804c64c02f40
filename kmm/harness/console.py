# SPDX-License-Identifier: GPL-2.0-only
"""What a person sees: verdicts, progress and reports in a terminal.

Colour and progress appear only where there is a terminal to show them; ``NO_COLOR`` is respected
(by rich).  Plain output is the same text without the paint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.text import Text

from kmm.harness import litmus

if TYPE_CHECKING:
    from pathlib import Path

    from kmm.harness.outcome import Check, Finding, KernelInfo, Report

__all__ = ["Observer", "list_scenarios", "observer", "write_json"]

_STYLE = {"holds": "bold green", "violated": "bold red", "bounded": "bold yellow"}
_PAINT = (("Missing:", "bold yellow"), ("Replay:", "bold cyan"), ("KMM", "bold red"), ("<--", "bold red"))


class Observer:
    """Prints a run of checks as it goes.

    :param out: results; standard output, or standard error when JSON takes the other.
    :param err: progress and talk.
    """

    def __init__(self, out: Console, err: Console) -> None:
        self.out = out
        self.err = err
        self._status = err.status("") if err.is_terminal else None

    def kernel(self, info: KernelInfo) -> None:
        """Which kernel is about to be judged."""
        overlays = "".join(f" + {name}" for name in info.overlays)
        self.out.print(f"kernel: {info.base} {info.arch}{overlays}  [{info.fingerprint[:12]}]",
                       highlight=False, markup=False, soft_wrap=True)
        if info.config_file:
            self.out.print(f"config: {info.config_file}: {info.config_known} symbols known to kmm, "
                           f"{info.config_unknown} not", highlight=False, markup=False, soft_wrap=True)
        for sentence in info.config_forced:
            self.out.print(f"forced: {sentence}", highlight=False, markup=False, soft_wrap=True)

    def begin(self, scenario: str) -> None:
        """A scenario is about to be explored."""
        if self._status is not None:
            self._status.start()
            self._status.update(f"{scenario}: booting")

    def progress(self, scenario: str, executions: int, estimate: float | None) -> None:
        """The search goes on."""
        if self._status is not None:
            about = f" of about {estimate:.0f}" if estimate and estimate > executions else ""
            self._status.update(f"{scenario}: {executions} schedules explored{about}")
        elif executions > 1 and executions % 1000 == 1:
            self.err.print(f"{scenario}: {executions - 1} schedules explored so far", highlight=False, markup=False)

    def done(self, check: Check) -> None:
        """A scenario has its verdict."""
        if self._status is not None:
            self._status.stop()
        self.verdict(check)
        for finding in check.findings:
            self.finding(finding)

    def verdict(self, check: Check) -> None:
        """One line: what was found, and how much was explored."""
        line = Text()
        line.append(f"{check.verdict.upper():<9}", _STYLE[check.verdict])
        line.append(f"{check.scenario}: ")
        line.append(verdict_words(check))
        self.out.print(line, soft_wrap=True)

    def finding(self, finding: Finding) -> None:
        """The report of one counterexample."""
        print_report(finding.report, self.out)


def print_report(report: str, out: Console | None = None) -> None:
    """Print the text of a counterexample, painted where there is colour."""
    text = Text(report)
    for word, style in _PAINT:
        text.highlight_words([word], style)
    (out or Console()).print(text, soft_wrap=True)


def verdict_words(check: Check) -> str:
    """What a verdict claims, no more: schedules explored, complete or the bound that was hit."""
    explored = (f"explored {check.executions} schedule{'s' if check.executions != 1 else ''} "
                f"({check.events} events) under this model")
    extent = "complete" if check.complete else f"stopped by {check.bound}"
    words = f"{explored}, {extent}"
    if check.verdict == "violated":
        rules = ", ".join(dict.fromkeys(finding.rule for finding in check.findings))
        words = f"breaks {rules}; {words}"
    elif check.verdict == "holds":
        words = f"no rule broken; {words}"
    else:
        words = f"nothing found, not exhaustive; {words}"
    if check.expected is not None and check.expected != check.verdict:
        words += f" (expected: {check.expected})"
    return words


def observer(*, quiet_stdout: bool = False) -> Observer:
    """An observer on the terminal; *quiet_stdout* keeps standard output for JSON."""
    err = Console(stderr=True)
    return Observer(err if quiet_stdout else Console(), err)


def list_scenarios() -> None:
    """Print every scenario with its title."""
    out = Console()
    for name in litmus.names():
        title = litmus.find(name).source.text.split('"""', 2)[1].strip().splitlines()[0]
        out.print(f"{name:<32} {title}", highlight=False, markup=False, soft_wrap=True)


def write_json(report: Report, path: Path) -> None:
    """Write *report* as JSON to *path* (``-``: standard output).

    :raises BadInput: the file cannot be written.
    """
    from kmm.harness.check import BadInput
    text = msgspec.json.format(msgspec.json.encode(report), indent=2)
    if str(path) == "-":
        import sys
        sys.stdout.write(text.decode() + "\n")
        return
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise BadInput(f"{path}: cannot write the JSON report: {error.strerror}") from None
