# SPDX-License-Identifier: GPL-2.0-only
"""Record what the commands in the documentation print, or check that they still print it.

``python docs/record.py`` writes ``docs/recorded/NAME.txt`` for every command below, a schedule, and
the table of proposals; with names, only those.
Pages include these files, and what the README quotes is put into it, so nothing is shown that was not printed.
The fingerprints of kernels and scenarios change with every edit of a source file: they are blotted out.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import kmm

__all__ = ["COMMANDS", "RECORDED", "printed", "proposals", "readme", "schedule"]

DOCS = Path(__file__).resolve().parent
RECORDED = DOCS / "recorded"
ROOT = DOCS.parent
EXAMPLES = DOCS / "tutorial" / "examples"

#: Folder and arguments of ``kmm`` by name.
COMMANDS: dict[str, tuple[Path, str]] = {
    "kmm-help": (ROOT, "--help"),
    "check-help": (ROOT, "check --help"),
    "demo-help": (ROOT, "demo --help"),
    "replay-help": (ROOT, "replay --help"),
    "list": (ROOT, "check --list"),
    "before-the-fix": (ROOT, "check sva_device_vs_huge_promotion --set ASYNC_KERNEL_PGTABLE_FREE=n"),
    "after-the-fix": (ROOT, "check sva_device_vs_huge_promotion"),
    "at-once-shipped": (EXAMPLES, "check sva_device_vs_huge_promotion sva_device_vs_pmd_table "
                                  "sva_device_vs_vunmap --overlay at_once.py"),
    "vmap-vs-vmap": (EXAMPLES, "check vmap_vs_vmap.py"),
    "vmap-vs-vmap-at-once": (EXAMPLES, "check vmap_vs_vmap.py --overlay at_once.py"),
    "deferred": (EXAMPLES, "check vmap_vs_vmap.py sva_device_vs_vunmap --overlay deferred.py"),
    "ordered": (EXAMPLES, "check vmap_vs_vmap.py sva_device_vs_vunmap sva_boot_free --overlay ordered.py"),
    "guarded": (EXAMPLES, "check vmap_vs_vmap.py sva_device_vs_vunmap sva_boot_free --overlay guarded.py"),
    "bounded": (EXAMPLES, "check sva_device_vs_vunmap --max-executions 500"),
    "other-pcid": (ROOT, "check conformance/questions/kernel_table_vs_other_pcid.py"),
    "unknown-scenario": (ROOT, "check sva_device_vs_vumap"),
}

#: What the README quotes.
QUOTED = ("before-the-fix", "after-the-fix")

#: Columns of the table of proposals.
SCENARIOS = {
    "boot": "sva_boot_free",
    "PTE table": "sva_device_vs_huge_promotion",
    "no memory": "sva_device_vs_promotion_oom",
    "reused": "sva_device_walks_reused_table",
    "PMD table": "sva_device_vs_pmd_table",
    "two tables": "sva_device_vs_vunmap",
}

_FINGERPRINT = re.compile(r"\[[0-9a-f]{12}\]")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")


def _run(folder: Path, arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": str(Path(kmm.__file__).parent.parent)}
    return subprocess.run([sys.executable, "-c", "from kmm.cli import main; main()", *arguments.split()], cwd=folder,
                          env=environment, capture_output=True, text=True, check=False)


def printed(name: str) -> str:
    """The command line, what it prints, without progress, and its exit code."""
    folder, arguments = COMMANDS[name]
    done = _run(folder, arguments)
    output = _FINGERPRINT.sub("[............]", done.stderr if done.returncode == 2 else done.stdout)
    lines = [line.rstrip() for line in output.splitlines()]
    return "\n".join([f"$ kmm {arguments}", *lines, "$ echo $?", str(done.returncode)]) + "\n"


def schedule() -> str:
    """The file that ``kmm check --save`` writes for the bug of the README."""
    with tempfile.TemporaryDirectory() as folder:
        _run(ROOT, f"{COMMANDS['before-the-fix'][1]} --save {folder}")
        [path] = Path(folder).iterdir()
        return _HASH.sub("." * 64, path.read_text(encoding="utf-8"))


def proposals() -> str:
    """The table of proposals: a row for each kernel, a column for each scenario."""
    kernels = {"Linux 7.2.13": "", "before the fix": "--set ASYNC_KERNEL_PGTABLE_FREE=n"}
    folders = sorted((ROOT / "conformance" / "proposals").iterdir())
    kernels |= {f"``{folder.name}``": f"--overlay {folder.relative_to(ROOT)}" for folder in folders}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["kernel", *SCENARIOS])
    for name, options in kernels.items():
        done = _run(ROOT, f"check --json - {options} {' '.join(SCENARIOS.values())}")
        table.writerow([name, *(_cell(check) for check in json.loads(done.stdout)["checks"])])
    return text.getvalue()


def _cell(check: dict[str, Any]) -> str:
    rules = " ".join(dict.fromkeys(finding["rule_id"] for finding in check["findings"]))
    return f"{rules} ({check['executions']})" if rules and check["complete"] else f"{rules} +" if rules else (
        str(check["executions"]))


def readme(text: str) -> str:
    """*text* with what it shows of commands as recorded."""
    for name in QUOTED:
        recording = (RECORDED / f"{name}.txt").read_text(encoding="utf-8").split("$ echo $?")[0]
        command = re.escape(recording.splitlines()[0])
        text = re.sub(rf"^```console\n{command}\n.*?^```$", lambda _, new=recording: f"```console\n{new}```", text,
                      flags=re.MULTILINE | re.DOTALL)
    return text


def main(names: list[str]) -> None:
    """Record *names*, or everything, and remove what is not recorded any more."""
    RECORDED.mkdir(exist_ok=True)
    for name in names or [*COMMANDS, "schedule", "proposals"]:
        if name == "schedule":
            (RECORDED / "example.schedule").write_text(schedule(), encoding="utf-8")
        elif name == "proposals":
            (RECORDED / "proposals.csv").write_text(proposals(), encoding="utf-8")
        else:
            (RECORDED / f"{name}.txt").write_text(printed(name), encoding="utf-8")
    for path in RECORDED.glob("*.txt"):
        if path.stem not in COMMANDS:
            path.unlink()
    page = ROOT / "README.md"
    page.write_text(readme(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
