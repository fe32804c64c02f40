# SPDX-License-Identifier: GPL-2.0-only
"""The command line: exit codes, JSON, saved schedules, and one line for whatever cannot be used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from kmm.cli import main
from kmm.harness.litmus import names
from kmm.harness.outcome import report_schema
from kmm.kconfig import Config

ROOT = Path(__file__).parents[1]
PROMOTION = "sva_device_vs_huge_promotion"
VUNMAP = "sva_device_vs_vunmap"
BEFORE_THE_FIX = "ASYNC_KERNEL_PGTABLE_FREE=n"
SCHEMA = ROOT / "kmm" / "harness" / "check.schema.json"


@pytest.fixture
def kmm(capsys, monkeypatch, tmp_path):
    """Run the command in an empty folder: ``code, out, err = kmm("check", ...)``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as raised:
            main([str(argument) for argument in arguments])
            raise SystemExit(0)
        out, err = capsys.readouterr()
        return raised.value.code, out, err

    return run


@pytest.fixture
def refused(kmm):
    """Run the command, which must refuse with exit code 2; the one line that it says."""
    def run(*arguments):
        code, out, err = kmm(*arguments)
        assert code == 2, (out, err)
        assert err.startswith("kmm: ") and err.count("\n") == 1, err
        return err.removeprefix("kmm: ").removesuffix("\n")

    return run


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- verdicts ---------------------------------------------------------------------------------------

def test_check_holds(kmm):
    code, out, err = kmm("check", PROMOTION)
    assert (code, err) == (0, "")
    assert re.search(rf"^HOLDS +{PROMOTION}: no rule broken; explored \d+ schedules .*, complete$", out, re.M)
    assert out.startswith("kernel: Linux 7.2.13 x86  [")


def test_check_finds_a_counterexample(kmm):
    code, out, err = kmm("check", PROMOTION, "--set", BEFORE_THE_FIX)
    assert (code, err) == (1, "")
    assert re.search(rf"^VIOLATED +{PROMOTION}: breaks table-freed-while-cached; ", out, re.M)
    assert "KMM001 table-freed-while-cached" in out
    assert "forced: ASYNC_KERNEL_PGTABLE_FREE=n is forced" in out
    assert max(map(len, out[out.index("==="):].splitlines())) <= 75


def test_check_says_that_a_bound_stopped_it(kmm):
    code, out, _ = kmm("check", PROMOTION, "--max-executions", "1")
    assert code == 3
    assert re.search(r"^BOUNDED +.*: nothing found, not exhaustive; .* --max-executions 1", out, re.M)


def test_check_counterexample_weighs_more_than_a_bound(kmm):
    code, _, _ = kmm("check", PROMOTION, "--set", BEFORE_THE_FIX, "--max-executions", "1")
    assert code == 1


def test_check_first_stops_at_the_first_counterexample(kmm):
    code, out, _ = kmm("check", PROMOTION, "--first", "--json", "-",
                       "--overlay", ROOT / "conformance/proposals/async-free-kzalloc-drop")
    found, = json.loads(out)["checks"]
    assert (code, found["verdict"], found["complete"]) == (1, "violated", False)
    assert found["bound"] == "the first counterexample"


def test_check_the_worst_of_several_scenarios_decides(kmm, tmp_path):
    good = write("good.py", '"""Nothing."""\nVERDICT = "never"\n\ndef cpu0():\n    pass\n')
    bad = write("bad.py", '"""Wrong."""\nVERDICT = "always"\n\ndef cpu0():\n    assert False, "no"\n')
    code, out, _ = kmm("check", f"./{good}", f"./{bad}")
    assert code == 1
    assert re.findall(r"^(HOLDS|VIOLATED) +(\w+):", out, re.M) == [("HOLDS", "good"), ("VIOLATED", "bad")]
    assert "KMM020 self-check: the scenario says: no" in out


def test_check_says_when_a_verdict_was_not_expected(kmm):
    write("wrong.py", '"""Wrong."""\nVERDICT = "never"\n\ndef cpu0():\n    assert False\n')
    _, out, _ = kmm("check", "./wrong.py")
    assert re.search(r"^VIOLATED .*\(expected: holds\)$", out, re.M)


def test_check_lists_the_scenarios(kmm):
    code, out, _ = kmm("check", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == names()


def test_check_reads_the_configuration_of_a_distribution(kmm):
    config = ROOT / "kmm/arch/x86/configs/debian_7.2.13.config"
    code, out, _ = kmm("check", PROMOTION, "--config", config, "--json", "-")
    report = json.loads(out)
    assert code == 0
    assert report["kernel"]["config_file"] == str(config)
    assert report["kernel"]["config_known"] == len(Config.load(config).report.known) > 100


def test_version_and_help(kmm):
    code, out, _ = kmm("--version")
    assert code == 0 and re.fullmatch(r"kmm \d+\.\d+\.\d+\S* \(base: Linux 7\.2\.13\)\n", out)
    for arguments in ["--help"], ["check", "-h"], ["replay", "--help"], ["demo", "--help"]:
        code, out, _ = kmm(*arguments)
        assert code == 0 and out.startswith("Usage: kmm")


# --- JSON -------------------------------------------------------------------------------------------

def test_schema_is_in_sync():
    """``python -m kmm.harness.outcome > kmm/harness/check.schema.json`` writes it anew."""
    assert json.loads(SCHEMA.read_text()) == report_schema()


@pytest.mark.parametrize("arguments", [[], ["--set", BEFORE_THE_FIX], ["--max-executions", "1"]],
                         ids=["holds", "violated", "bounded"])
def test_json_fits_the_schema_and_says_what_the_text_says(kmm, arguments):
    code, text, _ = kmm("check", PROMOTION, *arguments)
    same, out, err = kmm("check", PROMOTION, *arguments, "--json", "-")
    report = json.loads(out)
    jsonschema.validate(report, json.loads(SCHEMA.read_text()))
    check, = report["checks"]

    assert same == code and err == text, "the text goes to standard error then"
    assert f"[{report['kernel']['fingerprint'][:12]}]" in text
    assert re.search(rf"^{check['verdict'].upper()} +{check['scenario']}: ", text, re.M)
    assert f"explored {check['executions']} schedule" in text
    assert (f", {check['bound']}" if check["bound"] else ", complete") in text.replace("stopped by ", "")
    assert [finding["rule"] for finding in check["findings"]] == re.findall(r"^KMM\d+ ([a-z-]+):", text, re.M)
    for finding in check["findings"]:
        assert finding["report"] in text
        assert finding["rule_id"] in text and finding["actor"] in text


def test_json_file_holds_the_same_as_standard_output(kmm):
    _, out, _ = kmm("check", PROMOTION, "--json", "-")
    code, _, _ = kmm("check", PROMOTION, "--json", "result.json")
    assert code == 0
    assert Path("result.json").read_text() == out


def test_json_holds_no_address(kmm):
    _, out, _ = kmm("check", PROMOTION, "--set", BEFORE_THE_FIX, "--json", "-")
    for finding in json.loads(out)["checks"][0]["findings"]:
        assert not re.search(r"0x[0-9a-f]{4,}|[0-9a-f]{12,}", finding["report"])


# --- replay -----------------------------------------------------------------------------------------

def saved(kmm, *arguments, scenario=VUNMAP):
    """Check with --save; the schedule's file and the report."""
    _, out, _ = kmm("check", scenario, *arguments, "--save", "found")
    path, = Path("found").iterdir()
    bar = "=" * 75
    return path, out[out.index(bar):]


@pytest.mark.parametrize(("scenario", "arguments"), [
    pytest.param(VUNMAP, ["--set", BEFORE_THE_FIX], id="before the fix"),
    pytest.param(PROMOTION, ["--overlay", ROOT / "conformance/proposals/async-free-kzalloc-drop"], id="an overlay"),
    pytest.param("sva_device_vs_promotion_oom", ["--overlay", ROOT / "conformance/proposals/async-free-kzalloc-drop"],
                 id="a choice"),
    pytest.param("sva_device_vs_pmd_table", ["--overlay", ROOT / "conformance/proposals/async-free-pte-only",
                                             "--first"], id="the first counterexample"),
])
def test_replay_prints_the_same_report(kmm, scenario, arguments):
    path, report = saved(kmm, *arguments, scenario=scenario)
    assert path.name == f"{scenario}.table-freed-while-cached.schedule"
    assert f"Replay: kmm replay {path}" in report
    assert kmm("replay", path) == (1, report, "")
    assert kmm("replay", path) == (1, report, "")


def test_replay_in_a_process_of_its_own_prints_the_same_report(kmm):
    path, report = saved(kmm, "--set", BEFORE_THE_FIX)
    for seed in "1", "2":
        done = subprocess.run([sys.executable, "-c", "from kmm.cli import main; main()", "replay", path],
                              capture_output=True, text=True, check=False,
                              env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "COLUMNS": "40"})
        assert (done.returncode, done.stdout, done.stderr) == (1, report, "")



def line(name, value):
    """An edit of a schedule: another value for one of its lines."""
    return lambda text: re.sub(f"^{name}: .*", f"{name}: {value}", text, flags=re.M)


def with_line(text):
    """An edit of a schedule: one line more."""
    return lambda schedule: schedule.replace("set: ", f"{text}\nset: ", 1)


EDITS = {
    "another kernel": (line("kernel", "0" * 64), r"found on kernel 000000000000, but this one is \w{12} "
                       r"\(sources, configuration or overlays differ\); run kmm check --save again"),
    "another configuration": (with_line("set: PT_RECLAIM=n"), r"found on kernel \w{12}, but this one is"),
    "unknown option": (with_line("set: NO_SUCH_OPTION=y"), "kmm knows no option NO_SUCH_OPTION"),
    "missing overlay": (with_line("overlay: nosuch"), "nosuch: cannot read the overlay"),
    "missing configuration": (with_line("config: nosuch"), "nosuch: cannot read the configuration"),
    "another scenario": (line("scenario-hash", "0" * 64), "its text has changed"),
    "another scenario's name": (line("scenario", PROMOTION), "is not the one this schedule was found"),
    "unknown scenario": (line("scenario", "nosuch"), "nosuch: no such scenario; there are"),
    "another rule": (line("rule", "double-free"), "the schedule runs, but does not break double-free"),
    "unknown rule": (line("rule", "nosuch"), "the schedule runs, but does not break nosuch"),
    "impossible choice": (line("run", "3*2"), "the schedule does not fit"),
    "malformed run": (line("run", "0*x"), r"'0\*x' is not ACTOR"),
    "unknown actor": (line("run", "99"), "there is no actor 99"),
    "too long": (line("run", "0*999999999"), "more than 1000000 events"),
    "impossible actors": (line("actors", "5.0"), "actors: '5.0' is not"),
    "cut off": (lambda text: text[:text.index("run:")], "the field 'run' is missing"),
    "typo": (lambda text: text.replace("rule: ", "ruel: "), "line 6: 'ruel: .*' is no field of a schedule"),
    "another version": (lambda text: text.replace("schedule 1", "schedule 2"),
                        "not a schedule of this version: expected 'kmm-schedule 1', found 'kmm-schedule 2'"),
    "empty": (lambda text: "", "line 1: not a schedule"),
    "control characters": (lambda text: "\0\1\2\n" * 10, "line 1: not a schedule"),
    "binary": (lambda text: b"\xff\xfe\0" * 99, "cannot read the schedule: not a text file"),
}


@pytest.mark.parametrize("name", EDITS)
def test_replay_refuses_what_does_not_fit(kmm, refused, name):
    edit, says = EDITS[name]
    path, _ = saved(kmm, "--set", BEFORE_THE_FIX)
    write("edited.schedule", edit(path.read_text()))
    assert re.search(says, refused("replay", "edited.schedule"))


def test_replay_refuses_what_is_no_file(refused):
    assert refused("replay", "nosuch") == "nosuch: cannot read the schedule: No such file or directory"
    assert refused("replay", ".") == ".: cannot read the schedule: Is a directory"


# --- what cannot be used ----------------------------------------------------------------------------

def test_refuses_a_config_that_is_missing_or_none(refused):
    assert refused("check", PROMOTION, "--config", "nosuch").startswith("nosuch: cannot read the configuration")
    write("binary", b"\xff\xfe\0" * 99)
    assert refused("check", PROMOTION, "--config", "binary").startswith("binary: cannot read the configuration")
    write("broken", "CONFIG_SMP=y\nhello world\n")
    assert refused("check", PROMOTION, "--config", "broken") == "broken:2: not a line of a .config: hello world"


@pytest.mark.parametrize(("settings", "says"), [
    (["ASYNC_KERNEL_PGTABLE_FRE=n"], "kmm knows no option ASYNC_KERNEL_PGTABLE_FRE; "
                                     "is it ASYNC_KERNEL_PGTABLE_FREE?"),
    (["SMP=maybe"], "SMP=maybe: the value must be y or n"),
    (["SMP"], "--set SMP: write it as SYMBOL=value, e.g. --set PT_RECLAIM=n"),
    (["=y"], "--set =y: write it as SYMBOL=value, e.g. --set PT_RECLAIM=n"),
    (["INTEL_IOMMU_SVM=y", "INTEL_IOMMU=n"], "INTEL_IOMMU_SVM=y needs INTEL_IOMMU (=n)"),
], ids=" ".join)
def test_refuses_settings(refused, settings, says):
    assert refused("check", PROMOTION, *(word for setting in settings for word in ("--set", setting))) == says


PGTABLE = "overlay/arch/x86/mm/pgtable.py"


def free_pte_page(statement):
    """An overlay whose pmd_free_pte_page() does one thing, on its second line."""
    return f"def pmd_free_pte_page(pmd, addr):\n    {statement}\n"


OVERLAYS = {
    "syntax": (PGTABLE, "def f(:\n", f"{PGTABLE}:1: not valid Python: invalid syntax"),
    "binary": (PGTABLE, b"\xff\xfe", f"{PGTABLE}: cannot read the overlay: it is not UTF-8 text"),
    "empty": ("overlay/x.txt", "", "overlay: an overlay that patches nothing: no Python file in it"),
    "no such kernel file": ("overlay/mm/nosuch.py", "", "overlay/mm/nosuch.py: kmm has no kernel file "
                                                        "mm/nosuch.py to lay this over"),
    "C": ("overlay/mm/memory.c", "", "overlay/mm/memory.c: an overlay is written in Python, as kmm's own kernel "
                                     "files are: memory.py"),
    "raises when linked": (PGTABLE, "\nx = 1 / 0\n", f"{PGTABLE}:2: ZeroDivisionError: division by zero"),
    "imports what is not there": (PGTABLE, "from kmm.mm.memory import nosuch\n",
                                  f"{PGTABLE}:1: kmm.arch.x86.mm.pgtable: kmm.mm.memory.nosuch: the module does "
                                  "not define it"),
    "imports what is not Linux": (PGTABLE, "import numpy\n",
                                  f"{PGTABLE}:1: kmm.arch.x86.mm.pgtable: numpy: Linux code imports Linux code, "
                                  "kmm.c and kmm.hooks only"),
    "raises in setup": (PGTABLE, "def pgd_alloc(mm):\n    return nosuch\n",
                        f"{PGTABLE}:2: in pgd_alloc(): NameError: name 'nosuch' is not defined"),
    "NameError": (PGTABLE, free_pte_page("return nosuch"),
                  f"{PGTABLE}:2: in pmd_free_pte_page(): NameError: name 'nosuch' is not defined"),
    "TypeError": (PGTABLE, free_pte_page("pmd_clear(pmd, addr)"),
                  f"{PGTABLE}:2: in pmd_free_pte_page(): TypeError: pmd_clear() takes 1 positional argument but 2 "
                  "were given"),
    "AttributeError": (PGTABLE, free_pte_page("page_ptdesc(None).pt_list"),
                       f"{PGTABLE}:2: in pmd_free_pte_page(): AttributeError: 'NoneType' object has no attribute "
                       "'pt_list'"),
    "bus error": (PGTABLE, "from kmm import hooks\n" + free_pte_page("hooks.load(addr, 8)"),
                  f"{PGTABLE}:3: in pmd_free_pte_page(): BusError: "),
    "failed assertion": (PGTABLE, free_pte_page("assert addr == 0"),
                         f"{PGTABLE}:2: in pmd_free_pte_page(): AssertionError"),
    "endless recursion": (PGTABLE, free_pte_page("pmd_free_pte_page(pmd, addr)"),
                          f"{PGTABLE}:2: in pmd_free_pte_page(): RecursionError: maximum recursion depth exceeded"),
    "endless loop": (PGTABLE, free_pte_page("while pmd[0]: pass"),
                     f"{PGTABLE}:2: in pmd_free_pte_page(): Endless: more than 32768 events in one schedule"),
    "unported": (PGTABLE, "from kmm import hooks\n" + free_pte_page("raise hooks.Unported('mm/memory.c', 'f')"),
                 "execution reached mm/memory.c: f, which kmm does not model"),
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_refuses_overlays(refused, name):
    file, text, says = OVERLAYS[name]
    write(file, text)
    assert refused("check", PROMOTION, "--overlay", "overlay").startswith(says)


def test_refuses_overlays_that_are_missing_or_say_nothing(refused):
    assert refused("check", PROMOTION, "--overlay", "nosuch").startswith("nosuch: cannot read the overlay")
    write("patch.py", "x = 1\n")
    assert refused("check", PROMOTION, "--overlay", "patch.py").startswith("patch.py:1: no kernel file named")
    write("patch.diff", "--- a\n")
    assert refused("check", PROMOTION, "--overlay", "patch.diff") == ("patch.diff: an overlay is a folder or a "
                                                                      "Python file")
    write("folder/mm/memory.py", "")
    write("folder/overlay.toml", "subject = 1\n")
    assert refused("check", PROMOTION, "--overlay", "folder") == "folder/overlay.toml: subject must be a string"
    write("folder/overlay.toml", "= 1\n")
    assert refused("check", PROMOTION, "--overlay", "folder").startswith("folder/overlay.toml:1: not valid TOML")


HEAD = '"""A title."""\nVERDICT = "never"\n'
ACTOR = "def cpu0():\n    pass\n"
LOCKS_TWICE = """\
from kmm.include.linux.mutex import DEFINE_MUTEX, mutex_lock
lock = DEFINE_MUTEX()
def setup():
    mutex_lock(lock)
    mutex_lock(lock)
"""
COUNTS_ITS_RUNS = """\
import sys
from kmm import hooks
sys.runs_of_mine = 0
def cpu0():
    sys.runs_of_mine += 1
    for _ in range(sys.runs_of_mine):
        hooks.local_irq_enable()
"""

SCENARIOS = {
    "no docstring": ("VERDICT = 'never'\n" + ACTOR, "mine: a scenario needs a docstring; its first line is the "
                                                    "title"),
    "no verdict": ('"""A title."""\n' + ACTOR, "mine: VERDICT must be 'never', 'sometimes' or 'always', not None"),
    "no actor": (HEAD, "mine: no actor; define cpu0(), cpu1()... or device0()..."),
    "too few CPUs": (HEAD + "CPUS = 1\ndef cpu3(): pass\n", "mine: CPUS must be a number from 4 to 64, not 1"),
    "syntax": (HEAD + "def f(:\n", "mine.py:3: not valid Python: invalid syntax"),
    "raises when linked": (HEAD + "x = 1 / 0\n", "mine.py:3: ZeroDivisionError: division by zero"),
    "no such kernel file": (HEAD + "import kmm.mm.nosuch\n",
                            "mine.py:3: scenario.mine: kmm.mm.nosuch: kmm has no such kernel file"),
    "raises in an actor": (HEAD + "def cpu0():\n    nosuch()\n",
                           "mine.py:4: in cpu0(): NameError: name 'nosuch' is not defined"),
    "raises in setup": (HEAD + "def setup(): nosuch()\n" + ACTOR,
                        "mine.py:3: in setup(): NameError: name 'nosuch' is not defined"),
    "raises in finish": (HEAD + "def finish(): nosuch()\n" + ACTOR,
                         "mine.py:3: in finish(): NameError: name 'nosuch' is not defined"),
    "stuck in setup": (HEAD + LOCKS_TWICE + ACTOR, "mine: the boot, setup() or finish() gets stuck: "),
    "iterator": (HEAD + "import itertools\ncount = itertools.count()\n" + ACTOR,
                 "scenario.mine.count is a itertools.count: its state cannot be put back"),
    "not the same each time": (HEAD + COUNTS_ITS_RUNS,
                               "mine: a schedule went differently when it was run again "),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_refuses_scenarios(refused, name):
    text, says = SCENARIOS[name]
    write("mine.py", text)
    assert refused("check", "./mine.py").startswith(says)


def test_refuses_scenarios_that_are_missing(refused):
    assert refused("check", "nosuch") == f"nosuch: no such scenario; there are {', '.join(names())}"
    assert refused("check", "./nosuch.py") == "./nosuch.py: no such scenario file"
    write("binary.py", b"\xff\xfe")
    assert "cannot read the scenario" in refused("check", "./binary.py")


def test_refuses_files_that_cannot_be_written(refused, kmm):
    assert refused("check", PROMOTION, "--json", "/nosuch/x.json") == (
        "/nosuch/x.json: cannot write the JSON report: No such file or directory")
    write("file", "")
    assert "cannot write the schedule" in refused("check", PROMOTION, "--set", BEFORE_THE_FIX, "--save", "file")


@pytest.mark.parametrize("arguments", [["check", "--nosuch"], ["nosuch"], ["check", "--max-executions", "0"],
                                       ["check", "--max-executions", "many"], ["replay"], ["check", "--set"]],
                         ids=" ".join)
def test_refuses_a_command_line(refused, arguments):
    assert refused(*arguments)


def test_interrupt_exits_with_130():
    """Ctrl-C while a search runs."""
    program = ("import os, signal, sys; from kmm.cli import main; import kmm.harness.console as console\n"
               "console.Observer.progress = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
               f"main(['check', '{PROMOTION}'])\n")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(ROOT)}, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "kmm: interrupted")
    assert "Traceback" not in done.stderr
