# SPDX-License-Identifier: GPL-2.0-only
"""Recipes: how to build a kernel again and again, and how to say which one it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kmm.harness.outcome import KernelInfo
from kmm.kconfig import Config, ConfigError
from kmm.linker import build
from kmm.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kmm.harness.outcome import Verdict
    from kmm.linker import Kernel

__all__ = ["BASE", "Recipe"]

_OUTCOME: dict[str, Verdict] = {"never": "holds", "sometimes": "violated", "always": "violated"}

#: The kernel that the tree translates.
BASE = "Linux 7.2.13"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration and overlays; :meth:`build` links a fresh kernel of them.

    :ivar config_file: where the configuration came from, or None for the default.
    """

    config: Config
    overlays: tuple[Overlay, ...] = ()
    config_file: str | None = None
    settings: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Path | None = None, settings: Sequence[str] = (),
           overlays: Sequence[Path] = ()) -> Recipe:
        """From what a user gives.

        :param config: path of a ``.config``.
        :param settings: ``X=y`` strings; a leading ``CONFIG_`` is allowed.
        :param overlays: paths of overlays, in order.
        :raises ConfigError: the file, a setting or their combination is refused.
        :raises OverlayError: an overlay cannot be read.
        """
        base = Config.default() if config is None else Config.load(config)
        loaded = tuple(Overlay.load(path) for path in overlays)
        changes = {name: value for overlay in loaded for name, value in overlay.config.items()}
        for setting in settings:
            name, equals, value = setting.partition("=")
            if not equals or not name:
                raise ConfigError(f"--set {setting}: write it as SYMBOL=value, e.g. --set PT_RECLAIM=n")
            changes[name.removeprefix("CONFIG_")] = value
        if changes:
            base = base.with_set(changes)
        return cls(base, loaded, None if config is None else str(config),
                   tuple(settings))

    def build(self) -> Kernel:
        """Link a fresh kernel."""
        return build(self.config, self.overlays)

    def info(self) -> KernelInfo:
        """What a report says about the kernel."""
        report = self.config.report
        return KernelInfo(BASE, self.config.arch, self.build().fingerprint, [overlay.name for overlay in self.overlays],
                          self.config_file, len(report.known), report.unknown, [str(one) for one in report.forced])

    def expected(self, scenario: str, verdict: str) -> Verdict | None:
        """What should come out of *scenario*, or None if nobody says.

        :param verdict: the scenario's own word for an unpatched kernel of the default configuration.
        """
        for overlay in reversed(self.overlays):
            if scenario in overlay.expects:
                return _OUTCOME[overlay.expects[scenario]]
        return None if self.overlays or self.config.report.forced else _OUTCOME[verdict]
