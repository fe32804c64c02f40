# SPDX-License-Identifier: GPL-2.0-only
"""The command line: ``kmm demo``, ``kmm check``, ``kmm replay``.

Results go to standard output, talk and progress to standard error.  Exit codes: 0 every property
holds, 1 a counterexample, 2 usage or bad input (one line says what, why and what to do), 3 a bound
was hit before the search was complete.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from kmm.harness import console
from kmm.harness.check import BadInput, Options, check_all, replay_file
from kmm.harness.demo import run_demo
from kmm.harness.litmus import names

__all__ = ["main"]

EXIT_COUNTEREXAMPLE = 1
EXIT_USAGE = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kmm", message="%(prog)s %(version)s (base: Linux 7.2.13)")
def cli() -> None:
    """An executable reference of how Linux allocates, uses and frees page tables.

    kmm runs a translation of the kernel's own page-table code on a model of the hardware that walks
    those tables, under every interleaving that matters, and says when a table is freed while
    something may still walk it.
    """


@cli.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE",
              help="A kernel .config, e.g. your distribution's.")
@click.option("--set", "settings", multiple=True, metavar="X=y", help="Set one CONFIG symbol; may be repeated.")
@click.option("--overlay", "overlays", multiple=True, type=click.Path(path_type=Path), metavar="PATH",
              help="A patch as an overlay: a directory that mirrors the kernel tree, or one file. May be repeated; "
                   "applied in order.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Write the result as JSON to FILE (- for standard output).")
@click.option("--save", "save_dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Write each counterexample's schedule into DIR, for kmm replay.")
@click.option("--max-executions", type=click.IntRange(min=1), metavar="N",
              help="Stop a scenario after N schedules (exit 3 if nothing was found).")
@click.option("--first", is_flag=True,
              help="Stop a scenario at the first counterexample instead of finding the shortest.")
@click.option("--list", "listing", is_flag=True, help="List the scenarios and leave.")
def check(scenarios: tuple[str, ...], config: Path | None, settings: tuple[str, ...], overlays: tuple[Path, ...],
          json_file: Path | None, save_dir: Path | None, max_executions: int | None, first: bool,
          listing: bool) -> None:
    """Explore SCENARIO... (all of them by default) on a kernel and report what breaks.

    \b
    kmm check                                          the base: Linux 7.2, default configuration
    kmm check --config /boot/config-$(uname -r)        your distribution's configuration
    kmm check --set ASYNC_KERNEL_PGTABLE_FREE=n        the kernel before the fix
    kmm check --overlay my-patch/ sva_device_vs_vunmap your patch, one scenario
    """
    if listing:
        console.list_scenarios()
        return
    options = Options(scenarios=scenarios or tuple(names()), config=config, settings=settings, overlays=overlays,
                      max_executions=max_executions, stop_at_first=first, save_dir=save_dir)
    to_stdout = json_file is not None and str(json_file) == "-"
    report = check_all(options, console.observer(quiet_stdout=to_stdout))
    if json_file is not None:
        console.write_json(report, json_file)
    sys.exit(report.exit_code)


@cli.command()
def demo() -> None:
    """The headline, in seconds: CVE-2025-71089 found on the kernel's own code, and its fix explored."""
    sys.exit(run_demo())


@cli.command()
@click.argument("schedule", type=click.Path(path_type=Path), metavar="FILE")
def replay(schedule: Path) -> None:
    """Replay a schedule that kmm check saved; the report is the same, byte for byte.

    A schedule is bound to the kernel, the scenario and the machine it was found on; with any other it
    is refused and says what differs.
    """
    console.print_report(replay_file(schedule))
    sys.exit(EXIT_COUNTEREXAMPLE)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the ``kmm`` command."""
    try:
        cli.main(args=arguments, prog_name="kmm", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("kmm: interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"kmm: {error.format_message()}", err=True)
        sys.exit(EXIT_USAGE)
    except BadInput as error:
        click.echo(f"kmm: {error}", err=True)
        sys.exit(EXIT_USAGE)
