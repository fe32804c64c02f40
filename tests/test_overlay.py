# SPDX-License-Identifier: GPL-2.0-only
"""Overlays: what is read, and what is refused in one line."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from kmm.overlay import Overlay, OverlayError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A kernel tree of two files."""
    tree = tmp_path / "tree"
    write(tree / "mm" / "pgtable_generic.py", "x = 1\n")
    write(tree / "include" / "asm_generic" / "tlb.py", "x = 1\n")
    return tree


def write(path: Path, text: str) -> Path:
    """Write a file, with the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_load_reads_a_folder(tree: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fix"
    write(folder / "overlay.toml", 'subject = "mm: fix"\nmessage-id = "1@x"\nbase = "7.2"\n'
                                   'expects = { walk = "never" }\nconfig = { SMP = "n" }\n')
    write(folder / "README.md", "why")
    write(folder / "include" / "asm-generic" / "tlb.py", "y = 2\n")
    path = write(folder / "mm" / "pgtable_generic.py", "x = 2\n")
    overlay = Overlay.load(folder, tree=tree)
    assert (overlay.name, overlay.subject, overlay.message_id, overlay.base) == ("fix", "mm: fix", "1@x", "7.2")
    assert (overlay.expects, overlay.config, overlay.origin) == ({"walk": "never"}, {"SMP": "n"}, str(folder))
    assert [file.module for file in overlay.files] == ["kmm.include.asm_generic.tlb", "kmm.mm.pgtable_generic"]
    assert (overlay.files[1].path, overlay.files[1].text) == (path, "x = 2\n")


def test_load_reads_a_single_file(tree: Path, tmp_path: Path) -> None:
    for first in ("# overlay: mm/pgtable-generic.c", "# SPDX-License-Identifier: MIT\n#overlay: mm/pgtable_generic.py"):
        overlay = Overlay.load(write(tmp_path / "fix.py", f"{first}\nx = 2\n"), tree=tree)
        assert (overlay.name, overlay.files[0].module) == ("fix", "kmm.mm.pgtable_generic")


def test_of_takes_texts(tree: Path) -> None:
    overlay = Overlay.of("mutant", {"mm/pgtable-generic.c": "x = 3\n"}, tree=tree)
    assert overlay.files[0].module == "kmm.mm.pgtable_generic"
    assert hash(overlay) == hash(pickle.loads(pickle.dumps(overlay)))
    assert overlay.fingerprint != Overlay.of("mutant", {"mm/pgtable-generic.c": "x = 4\n"}, tree=tree).fingerprint


@pytest.mark.parametrize(("files", "message"), [
    ({}, ": cannot read the overlay: No such file or directory"),
    ({"overlay.toml": ""}, ": an overlay that patches nothing: no Python file in it"),
    ({"mm/absent.py": ""}, "/mm/absent.py: kmm has no kernel file mm/absent.py to lay this over"),
    ({"harness/machine.py": ""}, "/harness/machine.py: kmm has no kernel file harness/machine.py to lay this over"),
    ({"mm/__init__.py": ""}, "/mm/__init__.py: kmm has no kernel file mm/__init__.py to lay this over"),
    ({"mm/pgtable-generic.c": ""},
     "/mm/pgtable-generic.c: an overlay is written in Python, as kmm's own kernel files are: pgtable-generic.py"),
    ({"mm/pgtable_generic.py": "x = 1\ndef f(:\n"}, "/mm/pgtable_generic.py:2: not valid Python: invalid syntax"),
    ({"mm/pgtable_generic.py": "", "overlay.toml": "subject = \"a\"\nbase =\n"},
     "/overlay.toml:2: not valid TOML: Invalid value"),
    ({"mm/pgtable_generic.py": "", "overlay.toml": "title = \"a\"\n"},
     "/overlay.toml: unknown key title; there are subject, commit, message-id, base, expects, config"),
    ({"mm/pgtable_generic.py": "", "overlay.toml": "base = 7.2\n"}, "/overlay.toml: base must be a string"),
    ({"mm/pgtable_generic.py": "", "overlay.toml": "expects = \"never\"\n"},
     "/overlay.toml: expects must be a table of strings"),
    ({"mm/pgtable_generic.py": "", "overlay.toml": "expects = { walk = \"no\" }\n"},
     "/overlay.toml: expects.walk is 'no', not one of never, sometimes, always"),
])
def test_load_refuses_a_folder(tree: Path, tmp_path: Path, files: dict[str, str], message: str) -> None:
    folder = tmp_path / "bad"
    for name, text in files.items():
        write(folder / name, text)
    with pytest.raises(OverlayError) as caught:
        Overlay.load(folder, tree=tree)
    assert str(caught.value) == f"{folder}{message}"


@pytest.mark.parametrize(("name", "content", "message"), [
    ("fix.py", b"x = 1\n",
     ":1: no kernel file named: begin with a line such as '# overlay: mm/pgtable-generic.c'"),
    ("fix.py", b"# overlay: mm/absent.c\n", ": kmm has no kernel file mm/absent.c to lay this over"),
    ("fix.py", b"# overlay: mm/pgtable-generic.c\n  x\n", ":2: not valid Python: unexpected indent"),
    ("fix.py", b"\xff\xfe", ": cannot read the overlay: it is not UTF-8 text"),
    ("fix.patch", b"--- a\n", ": an overlay is a folder or a Python file"),
])
def test_load_refuses_a_file(tree: Path, tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(OverlayError) as caught:
        Overlay.load(path, tree=tree)
    assert str(caught.value) == f"{path}{message}"
