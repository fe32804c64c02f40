# SPDX-License-Identifier: GPL-2.0-only
"""The linker, on small trees of its own."""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path
from textwrap import dedent

import pytest

from kmm import hooks
from kmm.kconfig import Config
from kmm.linker import Kernel, LinkError, ScenarioSource, build
from kmm.overlay import Overlay, OverlayError, OverlayFile
from kmm.tree import module_name
from kmm_ext.snapshot import Image


class Tree:
    """A kernel tree in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str) -> None:
        """Write ``path`` (from the root of the tree)."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))

    def build(self, *overlays: Overlay, **changes: str) -> Kernel:
        """A kernel of this tree."""
        return build(Config.default().with_set(changes), overlays, tree=self.root)

    def overlay(self, file: str, text: str) -> Overlay:
        """An overlay of one file."""
        path = self.root.parent / f"overlay-{Path(file).name}"
        path.write_text(dedent(text))
        return Overlay("fix", (OverlayFile(module_name(file, self.root), path, dedent(text)),))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Two C files and two headers that include each other."""
    tree = Tree(tmp_path / "tree")
    tree.write("include/asm_generic/tlb.py", """
        from __future__ import annotations
        from kmm.c import struct
        from kmm import hooks
        from kmm.include.generated.autoconf import CONFIG_SMP

        LIMIT = 8

        class mmu_gather(struct):
            start: int

        def tlb_start(tlb):
            return tlb.start

        if CONFIG_SMP:
            def tlb_cpus():
                return "many"
        else:
            def tlb_cpus():
                return "one"

        def tlb_size():
            hooks.read(None, "size")
            return gather_size()

        # Declared here, defined there:
        from kmm.mm.mmu_gather import gather_size
        """)
    tree.write("mm/__init__.py", "import kmm.include.asm_generic.tlb\n")
    tree.write("mm/mmu_gather.py", """
        from kmm.include.asm_generic.tlb import LIMIT, mmu_gather, tlb_start

        nr_gathers = 0
        pool = []

        def work(x):
            return ("base", x)

        def __inner(x):
            return ("base", x)

        ops = {"work": work, "inner": __inner}

        def gather_size():
            global nr_gathers
            nr_gathers += 1
            return LIMIT * 2

        def gather_run(x):
            return ops["work"](x)

        def gather_start():
            tlb = mmu_gather.zeroed()
            return tlb_start(tlb)

        def fail():
            raise ValueError("here")
        """)
    return tree


def test_build_links_modules_that_include_each_other(tree: Tree) -> None:
    kernel = tree.build()
    assert kernel.module("mm/mmu_gather.c").gather_size() == 16
    assert kernel.symbol("tlb_cpus")() == "many"
    assert list(kernel.modules) == ["kmm.mm", "kmm.include", "kmm.include.asm_generic",
                                    "kmm.include.asm_generic.tlb", "kmm.c",
                                    "kmm.include.generated", "kmm.include.generated.autoconf",
                                    "kmm.mm.mmu_gather"]


def test_build_two_kernels_share_no_state(tree: Tree) -> None:
    one, two = tree.build(), tree.build(SMP="n")
    assert (one.symbol("tlb_cpus")(), two.symbol("tlb_cpus")()) == ("many", "one")
    first, second = one.module("mm/mmu_gather.c"), two.module("mm/mmu_gather.c")
    first.gather_size()
    first.pool.append(1)
    assert (second.nr_gathers, second.pool) == (0, [])
    assert one.symbol("mmu_gather") is not two.symbol("mmu_gather")
    assert one.module("kmm.c").struct is not two.module("kmm.c").struct
    assert first.gather_size.__code__ is second.gather_size.__code__


def test_hooks_are_private_and_rebindable(tree: Tree) -> None:
    one, two = tree.build(), tree.build()
    vars(one.hooks)["read"] = lambda obj, field: None
    assert one.symbol("tlb_size")() == 16
    with pytest.raises(hooks.NotBooted):
        two.symbol("tlb_size")()
    assert one.module("kmm.c").hooks is one.hooks
    assert one.hooks.Unported is hooks.Unported


def test_rebound_lists_what_functions_assign(tree: Tree) -> None:
    kernel = tree.build()
    kernel.link_all()
    assert kernel.rebound["kmm.mm.mmu_gather"] == {"nr_gathers"}
    assert kernel.rebound["kmm.include.asm_generic.tlb"] == set()


def test_import_of_a_rebound_name_is_refused(tree: Tree) -> None:
    tree.write("mm/vmstat.py", "from kmm.mm.mmu_gather import nr_gathers\n")
    with pytest.raises(LinkError, match=r"kmm\.mm\.vmstat: kmm\.mm\.mmu_gather\.nr_gathers: functions rebind it"):
        tree.build().module("mm/vmstat.c")


def test_cyclic_includes_bind_names_when_they_are_defined(tree: Tree) -> None:
    tree.write("mm/a.py", """
        from kmm.mm.b import b, through_c, LATE as late
        table = {"b": [b]}
        def a():
            return ("a", b())
        EARLY = 1
        """)
    tree.write("mm/b.py", """
        from kmm.mm.a import EARLY, a
        from kmm.mm.c import through_c
        LATE = 2
        def b():
            return "b", EARLY
        """)
    tree.write("mm/c.py", """
        from kmm.mm.b import b
        from kmm.mm.a import a as renamed
        def through_c():
            return b(), renamed
        """)
    for first in ("mm/a.c", "mm/b.c", "mm/c.c"):
        kernel = tree.build()
        kernel.module(first)
        a = kernel.symbol("a")
        assert a() == ("a", ("b", 1))
        assert kernel.symbol("through_c")() == (("b", 1), a)
        assert kernel.module("mm/a.c").table["b"][0] is kernel.symbol("b")
        assert kernel.module("mm/a.c").late == 2


@pytest.mark.parametrize(("use", "reason"), [
    ("class y(x): pass", "not defined yet: kmm.mm.a includes kmm.mm.b"),
    ("y = x + 1", "needed while the kernel is linked"),
    ("if x: pass", "needed while the kernel is linked"),
    ("y = x.field", "needed while the kernel is linked"),
    ("y = x()", "needed while the kernel is linked"),
    ("y = (x,)", "b.y is a tuple that holds x, which is only defined now"),
])
def test_cyclic_includes_refuse_what_cannot_wait(tree: Tree, use: str, reason: str) -> None:
    tree.write("mm/a.py", "from kmm.mm.b import b\nclass x: pass\n")
    tree.write("mm/b.py", f"from kmm.mm.a import x\n{use}\nb = 1\n")
    with pytest.raises(LinkError, match=reason):
        tree.build().module("mm/a.c")
    assert tree.build().module("mm/b.c").b == 1 if "(x,)" in use else True


def test_cyclic_includes_refuse_what_is_never_defined(tree: Tree) -> None:
    tree.write("mm/a.py", "from kmm.mm.b import b\n")
    tree.write("mm/b.py", "from kmm.mm.a import a\nb = 1\n")
    kernel = tree.build()
    with pytest.raises(LinkError, match=r"kmm\.mm\.b: kmm\.mm\.a\.a: the module does not define it"):
        kernel.module("mm/a.c")
    assert "kmm.mm.a" not in kernel.modules and "kmm.mm.b" not in kernel.modules


@pytest.mark.parametrize(("text", "reason"), [
    ("import kmm.harness.machine", "Linux code imports Linux code"),
    ("from kmm import linker", "does not define it"),
    ("from kmm_ext import memory", "Linux code imports Linux code"),
    ("import pytest", "Linux code imports Linux code"),
    ("from . import mmu_gather", "not relatively"),
    ("from kmm.mm import absent", "does not define it"),
    ("from kmm.mm.absent import f", "no such kernel file"),
    ("from kmm.include.generated.autoconf import CONFIG_ABSENT", "no Kconfig file declares it"),
])
def test_import_refuses(tree: Tree, text: str, reason: str) -> None:
    tree.write("mm/bad.py", text + "\n")
    kernel = tree.build()
    with pytest.raises(LinkError, match=reason) as caught:
        kernel.module("mm/bad.c")
    assert caught.value.importer == "kmm.mm.bad"
    assert "kmm.mm.bad" not in kernel.modules


def test_import_never_falls_back_to_plain_modules(tree: Tree) -> None:
    import kmm.include.linux  # noqa: F401 - a plain import that the kernel must not see
    tree.write("mm/bad.py", "from kmm.include import linux\n")
    with pytest.raises(LinkError):
        tree.build().module("mm/bad.c")


def test_import_forms(tree: Tree) -> None:
    tree.write("mm/forms.py", """
        from __future__ import annotations
        import collections.abc
        import kmm.mm.mmu_gather
        import kmm.mm.mmu_gather as short
        from kmm.mm import mmu_gather as named
        from kmm.include.asm_generic.tlb import *
        same = kmm.mm.mmu_gather is short is named
        """)
    forms = tree.build().module("mm/forms.c")
    assert forms.same and forms.LIMIT == 8 and forms.collections.abc


def test_asm_means_the_architecture_that_is_built(tree: Tree) -> None:
    for arch in ("x86", "arm64"):
        tree.write(f"arch/{arch}/include/asm/page.py", f"NAME = {arch!r}\n")
    tree.write("arch/x86/mm/pgtable.py", "from kmm.arch.x86.include.asm.page import NAME\n")
    tree.write("mm/memory.py", "from kmm.arch.x86.include.asm.page import NAME\n")
    tree.write("mm/swap.py", "from kmm.arch.x86.include.asm import page\n")
    default = Config.default()
    arm64 = dataclasses.replace(default, arch="arm64")
    assert build(default, tree=tree.root).module("mm/memory.c").NAME == "x86"
    kernel = build(arm64, tree=tree.root)
    assert kernel.module("mm/memory.c").NAME == "arm64"
    assert kernel.module("mm/swap.c").page.NAME == "arm64"
    kernel.link_all()
    assert not any(name.startswith("kmm.arch.x86") for name in kernel.modules)


def test_traceback_shows_file_and_line(tree: Tree) -> None:
    with pytest.raises(ValueError, match="here") as caught:
        tree.build().symbol("fail")()
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == str(tree.root / "mm" / "mmu_gather.py")
    assert last.line == 'raise ValueError("here")'


def test_traceback_of_a_failed_link_shows_who_includes_whom(tree: Tree) -> None:
    tree.write("mm/a.py", "from kmm.mm.b import b\n")
    tree.write("mm/b.py", "1 / 0\n")
    with pytest.raises(ZeroDivisionError) as caught:
        tree.build().module("mm/a.c")
    files = [Path(frame.filename).name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert files[-2:] == ["a.py", "b.py"]
    assert files.count("linker.py") == 2


def test_overlay_replaces_before_anyone_imports(tree: Tree) -> None:
    fix = tree.overlay("include/asm-generic/tlb.h", """
        LIMIT = 9
        def tlb_start(tlb):
            return new_helper(tlb) + LIMIT
        def new_helper(tlb):
            return 100
        """)
    kernel = tree.build(fix)
    assert kernel.symbol("gather_start")() == 109
    assert kernel.symbol("gather_size")() == 18
    assert tree.build().symbol("gather_start")() == 0


def test_overlay_is_seen_by_modules_that_it_imports_itself(tree: Tree) -> None:
    fix = tree.overlay("include/asm-generic/tlb.h", """
        from kmm.mm.mmu_gather import gather_run
        LIMIT = 9
        def tlb_start(tlb):
            return "new"
        """)
    kernel = tree.build(fix)
    assert kernel.symbol("gather_start")() == "new"
    assert kernel.symbol("gather_size")() == 18


def test_overlay_wins_over_what_the_base_imports_last(tree: Tree) -> None:
    fix = tree.overlay("include/asm-generic/tlb.h", """
        def gather_size():
            return 1
        """)
    assert tree.build(fix).symbol("tlb_size").__globals__["gather_size"]() == 1


def test_overlay_replaces_functions_in_static_tables(tree: Tree) -> None:
    fix = tree.overlay("mm/mmu_gather.c", """
        _before = work
        def work(x):
            return ("new", *_before(x))
        """)
    assert tree.build(fix).symbol("gather_run")(1) == ("new", "base", 1)
    fix = tree.overlay("mm/mmu_gather.c", "def __inner(x):\n    return x\n")
    assert tree.build(fix).module("mm/mmu_gather.c").ops["inner"](1) == 1


def test_overlays_stack_in_order(tree: Tree) -> None:
    first = tree.overlay("mm/mmu_gather.c", "def gather_start():\n    return 1\n")
    second = tree.overlay("mm/mmu_gather.c", "_s = gather_start\ndef gather_start():\n    return _s() + 1\n")
    assert tree.build(first, second).symbol("gather_start")() == 2
    assert tree.build(second, first).symbol("gather_start")() == 1


def test_overlay_of_a_struct_with_static_storage_is_refused(tree: Tree) -> None:
    tree.write("mm/init.py", """
        from __future__ import annotations
        from kmm.c import struct
        class pool(struct):
            n: int
        the_pool = pool.zeroed()
        """)
    fix = tree.overlay("mm/init.c", "from kmm.c import struct\nclass pool(struct):\n    n: int\n    m: int\n")
    with pytest.raises(LinkError, match=r"kmm.mm.init.the_pool is storage of struct pool"):
        tree.build(fix).module("mm/init.c")


def test_overlay_of_an_absent_file_is_refused(tree: Tree) -> None:
    with pytest.raises(OverlayError, match=r"absent\.py: kmm has no kmm\.mm\.absent to lay this over"):
        tree.build(Overlay("x", (OverlayFile("kmm.mm.absent", Path("absent.py"), ""),)))


def test_scenario_is_linked_into_the_kernel(tree: Tree, tmp_path: Path) -> None:
    file = tmp_path / "test_race.py"
    file.write_text("import kmm\nimport pytest\nimport kmm.mm.mmu_gather\nfrom kmm.mm import mmu_gather\n"
                    "from kmm import linker\n"
                    "def run():\n    return kmm.mm.mmu_gather.gather_size()\n")
    kernel = tree.build()
    scenario = kernel.insmod(ScenarioSource.load(file))
    assert scenario.run() == 16
    assert scenario.mmu_gather is kernel.module("mm/mmu_gather.c")
    assert kernel.module("mm/mmu_gather.c").nr_gathers == 1
    assert scenario.linker.Kernel is Kernel
    with pytest.raises(LinkError, match="a name of its own"):
        kernel.insmod(ScenarioSource.load(file))
    with pytest.raises(LinkError, match="No such file"):
        ScenarioSource.load(tmp_path / "absent.py")


def test_statics_can_be_put_back(tree: Tree, tmp_path: Path) -> None:
    file = tmp_path / "test_counts.py"
    file.write_text("from kmm.mm.mmu_gather import gather_size, pool\nseen = 0\n"
                    "def run():\n    global seen\n    seen += gather_size()\n    pool.append(seen)\n")
    kernel = tree.build()
    scenario = kernel.insmod(ScenarioSource.load(file))
    image = Image(kernel.statics())
    scenario.run()
    gather = kernel.module("mm/mmu_gather.c")
    assert (scenario.seen, gather.nr_gathers, gather.pool) == (16, 1, [16])
    image.restore()
    assert (scenario.seen, gather.nr_gathers, gather.pool) == (0, 0, [])
    assert "test_counts" not in kernel.statics(scenarios=False)


def test_symbol_errors(tree: Tree) -> None:
    tree.write("mm/other.py", "def work(x):\n    return 0\n")
    kernel = tree.build()
    with pytest.raises(LinkError, match=r"is defined in kmm.mm.mmu_gather, kmm.mm.other"):
        kernel.symbol("work")
    assert kernel.symbol("work", "mm/other.c")(1) == 0
    with pytest.raises(LinkError, match="no module of this kernel defines it"):
        kernel.symbol("absent")


def test_link_all_leaves_out_what_kbuild_does_not_build(tree: Tree) -> None:
    tree.write("mm/mmu_notifier.py", "")
    (tree.root / "Kbuild").write_text("# comment\nobj-$(CONFIG_MMU_NOTIFIER) += mm/mmu-notifier.o\n")
    kernel = tree.build()
    kernel.link_all()
    assert "kmm.mm.mmu_notifier" in kernel.modules
    kernel = tree.build(INTEL_IOMMU="n")
    kernel.link_all()
    assert "kmm.mm.mmu_notifier" not in kernel.modules


def test_fingerprint_covers_sources_config_and_overlays(tree: Tree) -> None:
    fix = tree.overlay("mm/mmu_gather.c", "def gather_start():\n    return 1\n")
    prints = {tree.build().fingerprint, tree.build(fix).fingerprint, tree.build(SMP="n").fingerprint}
    assert len(prints) == 3
    assert tree.build().fingerprint in prints
    tree.write("mm/other.py", "x = 1\n")
    assert tree.build().fingerprint not in prints
