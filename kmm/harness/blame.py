# SPDX-License-Identifier: GPL-2.0-only
"""Whose mistake an exception is: an overlay's, a scenario's, or kmm's own.

What a user wrote runs inside the kernel, so its mistakes come out as Python exceptions, from deep below
an actor.  :func:`one_line` makes one line of them that names the user's file and line.  An exception
that no file of the user's is part of is a bug of kmm and is left alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from kmm.harness.litmus import ScenarioError
from kmm.harness.straight import Stuck
from kmm.harness.world import BootError
from kmm.hooks import Unported
from kmm.kconfig import ConfigError
from kmm.linker import LinkError
from kmm.overlay import OverlayError
from kmm_ext.explorer import ActorError, Nondeterminism
from kmm_ext.snapshot import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from kmm.harness.litmus import Scenario
    from kmm.overlay import Overlay

__all__ = ["BadInput", "one_line"]


class BadInput(ValueError):
    """What the user gave cannot be used: one line that names it, the reason and the way out."""


@contextmanager
def one_line(overlays: Sequence[Overlay] = (), scenario: Scenario | None = None) -> Iterator[None]:
    """Turn what goes wrong with the user's files into one line.

    :raises BadInput: for every error that is the user's, or that kmm cannot help.
    """
    try:
        yield
    except (BadInput, KeyboardInterrupt):
        raise
    except (ConfigError, OverlayError, ScenarioError, BootError, ImageError) as error:
        raise BadInput(str(error)) from error
    except Nondeterminism as error:
        name = scenario.name if scenario is not None else "the boot"
        raise BadInput(f"{name}: a schedule went differently when it was run again ({error}): something "
                       "outside the kernel decides what happens, or outlives an execution") from error
    except Stuck as error:
        name = scenario.name if scenario is not None else "the kernel"
        raise BadInput(f"{name}: the boot, setup() or finish() gets stuck: {error}") from error
    except Exception as error:
        text = _blamed(error.error if isinstance(error, ActorError) else error, overlays, scenario)
        if text is None:
            raise
        raise BadInput(text) from error


def _blamed(error: BaseException, overlays: Sequence[Overlay], scenario: Scenario | None) -> str | None:
    """The line for an exception, or None if it is not the user's."""
    if isinstance(error, Unported):
        return f"execution reached {error.file}: {error.function}, which kmm does not model"
    patches = {str(file.path) for overlay in overlays for file in overlay.files}
    suspects = [patches]
    if scenario is not None and (overlays or not scenario.shipped):
        suspects.append({str(scenario.source.path)})
    for files in suspects:
        if isinstance(error, SyntaxError) and error.filename in files:
            return f"{error.filename}:{error.lineno}: not valid Python: {error.msg}"
        place = _innermost(error.__traceback__, files)
        if place is not None:
            what = str(error) if isinstance(error, LinkError) else f"{type(error).__name__}: {error}"
            return f"{place}: {what}"
    return str(error) if isinstance(error, LinkError) else None


def _innermost(traceback: TracebackType | None, files: set[str]) -> str | None:
    """The last step of a traceback that is in one of *files*, as ``file:line: in function()``."""
    found = None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_filename in files:
            found = f"{code.co_filename}:{traceback.tb_lineno}"
            if code.co_name != "<module>":
                found += f": in {code.co_name}()"
        traceback = traceback.tb_next
    return found
