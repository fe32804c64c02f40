# SPDX-License-Identifier: GPL-2.0-only
"""Plain imports of Linux modules, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent


def run(code: str) -> None:
    """Run *code* in a fresh interpreter; its assertions must hold."""
    subprocess.run([sys.executable, "-c", dedent(code)], check=True)


def test_plain_imports_are_linked_with_the_real_hooks() -> None:
    run("""
        import sys
        from kmm.include.linux.list import list_add
        import kmm.c, kmm.include.linux.list, kmm.include.generated.autoconf
        from kmm import hooks
        assert kmm.include.linux.list.list_add is list_add
        assert sys.modules["kmm.include.linux.list"].list_add is list_add
        assert sys.modules["kmm.include.linux.list"].hooks is hooks
        assert list_add.__globals__["__builtins__"]["__import__"] is not __import__
        assert kmm.include.generated.autoconf.CONFIG_SMP is True
        """)


def test_plain_imports_of_absent_files_fail_as_usual() -> None:
    run("""
        import importlib.util
        import kmm
        assert importlib.util.find_spec("kmm.mm.absent") is None
        try:
            import kmm.mm.absent
        except ModuleNotFoundError:
            pass
        """)


def test_import_kmm_imports_nothing_else() -> None:
    run("""
        import sys
        import kmm
        assert {name for name in sys.modules if name.startswith("kmm")} == {"kmm", "kmm.plain", "kmm.tree"}
        """)
