# SPDX-License-Identifier: GPL-2.0-only
"""Configurations: the rules of Kconfig, a distribution's file, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kmm import kconfig
from kmm.kconfig import Config, ConfigError

TREE = Path(kconfig.__file__).parent


@pytest.fixture(scope="module")
def config() -> Config:
    """The default configuration."""
    return Config.default()


def dotconfig(path: Path, *lines: str) -> Path:
    """A ``.config`` with these lines."""
    path.write_text("\n".join(lines) + "\n")
    return path


def test_default_has_what_distributions_ship(config: Config) -> None:
    for option in ("SMP", "ASYNC_KERNEL_PGTABLE_FREE", "MITIGATION_PAGE_TABLE_ISOLATION", "PT_RECLAIM",
                   "MMU_GATHER_RCU_TABLE_FREE", "TRANSPARENT_HUGEPAGE", "PREEMPT_RCU", "INTEL_IOMMU_SVM"):
        assert config[option] is True
    assert config["PGTABLE_LEVELS"] == 5
    assert config.report == kconfig.ConfigReport()


def test_default_of_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(ConfigError, match="kmm has no architecture vax; it has x86"):
        Config.default("vax")


def test_autoconf_file_is_in_sync(config: Config) -> None:
    file = TREE / "include" / "generated" / "autoconf.py"
    assert file.read_text() == kconfig.autoconf_text(config), "run python -m kmm.kconfig --write-autoconf"


def test_autoconf_has_every_option_that_linux_code_reads(config: Config) -> None:
    read = set()
    for top in ("arch", "drivers", "include", "init", "kernel", "lib", "mm"):
        for file in (TREE / top).rglob("*.py"):
            for imports in re.findall(r"^from kmm\.include\.generated\.autoconf import (\([^)]*\)|.*)$",
                                      file.read_text(), re.MULTILINE):
                read |= set(re.findall(r"CONFIG_\w+", imports))
    assert read - config.autoconf().keys() == set()


def test_with_set_follows_the_rules(config: Config) -> None:
    without = config.with_set({"INTEL_IOMMU": "n"})
    assert not without["INTEL_IOMMU_SVM"]
    assert not without["ASYNC_KERNEL_PGTABLE_FREE"]
    assert without.report.forced == ()
    assert without.with_set({"INTEL_IOMMU": "y"}) == config


def test_with_set_takes_numbers(config: Config) -> None:
    small = config.with_set({"CONFIG_NR_CPUS": "3"})
    assert small["NR_CPUS"] == 3
    assert config.differences(small) == [
        "HUGETLB_PMD_PAGE_TABLE_SHARING: y -> n", "NR_CPUS: 8 -> 3",
        "SPLIT_PMD_PTLOCKS: y -> n", "SPLIT_PTE_PTLOCKS: y -> n"]


def test_with_set_chooses(config: Config) -> None:
    full = config.with_set({"PREEMPT": "y"})
    assert full["PREEMPT"] and not full["PREEMPT_LAZY"]
    assert full.with_set({"PREEMPT_LAZY": "y"}) == config


@pytest.mark.parametrize(("changes", "message"), [
    ({"INTEL_IOMU": "y"}, "kmm knows no option INTEL_IOMU; is it INTEL_IOMMU or INTEL_IOMMU_SVM?"),
    ({"SMP": "yes"}, "SMP=yes: the value must be y or n"),
    ({"NR_CPUS": "many"}, "NR_CPUS=many: the value must be a decimal number"),
    ({"NR_CPUS": "9999"}, "NR_CPUS=9999 must be in 2..512"),
    ({"INTEL_IOMMU": "n", "INTEL_IOMMU_SVM": "y"}, "INTEL_IOMMU_SVM=y needs INTEL_IOMMU (=n)"),
    ({"INTEL_IOMMU": "y", "PCI": "n"}, "INTEL_IOMMU=y needs PCI_MSI (=n)"),
    ({"PREEMPT_LAZY": "n"}, "PREEMPT_LAZY=n: it is the one that is chosen: set another of its choice to y"),
    ({"PREEMPT": "y", "PREEMPT_LAZY": "y"}, "PREEMPT=y: PREEMPT_LAZY is chosen instead"),
    ({"PREEMPT_RT": "y"}, "PREEMPT_RT=y needs EXPERT (=n)"),
    ({"ADDRESS_MASKING": "y"}, ("ADDRESS_MASKING=y needs COMPILE_TEST || !CPU_MITIGATIONS "
                                "(COMPILE_TEST=n, CPU_MITIGATIONS=y)")),
    ({"PROVE_LOCKING": "y", "DEBUG_SPINLOCK": "n"}, "DEBUG_SPINLOCK=n: PROVE_LOCKING selects it"),
    ({"VM_EVENT_COUNTERS": "n"}, "VM_EVENT_COUNTERS=n is only asked if EXPERT (=n)"),
    ({"X86_64": "n"}, "X86_64=n: kmm's x86 has X86_64=y, which is not up for configuration"),
    ({"MMU_GATHER_RCU_TABLE_FREE": "n", "MMU_GATHER_NO_GATHER": "y"},
     "MMU_GATHER_NO_GATHER=y needs MMU_GATHER_TABLE_FREE (=n)"),
    ({"MMU_GATHER_NO_GATHER": "y", "MMU_GATHER_PAGE_SIZE": "y"},
     ("MMU_GATHER_NO_GATHER=y with MMU_GATHER_PAGE_SIZE=y does not compile in Linux 7.2: a gather that "
      "queues no pages has no page_size member (include/asm-generic/tlb.h)")),
])
def test_with_set_refuses(config: Config, changes: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.with_set(changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(("changes", "reasons"), [
    ({"ASYNC_KERNEL_PGTABLE_FREE": "n"}, ["X86 selects it if IOMMU_SVA"]),
    ({"ASYNC_KERNEL_PGTABLE_FREE": "y"}, []),
    ({"ASYNC_KERNEL_PGTABLE_FREE": "n", "INTEL_IOMMU_SVM": "n"}, []),
    ({"MMU_GATHER_PAGE_SIZE": "y"}, ["nothing selects it on x86"]),
    ({"PT_RECLAIM": "n"}, ["it follows from MMU_GATHER_RCU_TABLE_FREE && !HAVE_ARCH_TLB_REMOVE_TABLE"]),
    ({"HUGETLB_PAGE": "n"}, ["its default is HUGETLBFS"]),
    ({"MMU_GATHER_RCU_TABLE_FREE": "n", "MMU_GATHER_TABLE_FREE": "n"}, ["X86 selects it"]),
])
def test_with_set_forces_what_has_no_prompt(config: Config, changes: dict[str, str],
                                            reasons: list[str]) -> None:
    forced = config.with_set(changes).report.forced
    assert [str(one) for one in forced] == [
        f"{one.option}={one.value} is forced: no configuration of x86 reaches this kernel, as {one.option} "
        f"has no prompt and {reason}" for one, reason in zip(forced, reasons, strict=True)]


def test_with_set_says_what_linux_does_not_compile(config: Config) -> None:
    table_free = config.with_set({"MMU_GATHER_TABLE_FREE": "y", "MMU_GATHER_RCU_TABLE_FREE": "n"})
    assert [one.option for one in table_free.report.forced] == ["MMU_GATHER_TABLE_FREE", "MMU_GATHER_RCU_TABLE_FREE"]
    assert "Linux 7.2 does not compile it either" in str(table_free.report.forced[0])
    assert not table_free["PT_RECLAIM"]
    whole = config.with_set({"MMU_GATHER_NO_RANGE": "y"})
    assert "refuses an architecture's own tlb_flush(); here it is ignored" in str(whole.report.forced[0])


def test_with_set_releases_what_was_forced(config: Config) -> None:
    forced = config.with_set({"ASYNC_KERNEL_PGTABLE_FREE": "n"})
    assert not forced.with_set({"SWAP": "n"})["ASYNC_KERNEL_PGTABLE_FREE"]
    assert forced.with_set({"ASYNC_KERNEL_PGTABLE_FREE": "y"}) == config


def test_save_and_load_return_an_equal_configuration(config: Config, tmp_path: Path) -> None:
    for changes in ({}, {"PREEMPT": "y", "NR_CPUS": "3"}, {"ASYNC_KERNEL_PGTABLE_FREE": "n"}):
        saved = config.with_set(changes)
        saved.save(tmp_path / "config")
        loaded = Config.load(tmp_path / "config")
        assert loaded == saved
        assert loaded.fingerprint == saved.fingerprint
        assert loaded.report.forced == saved.report.forced
        assert (loaded.report.unknown, loaded.report.contradicted) == (0, ())


def test_fingerprint_differs_with_values_only(config: Config) -> None:
    assert config.fingerprint == config.with_set({"SMP": "y"}).fingerprint
    assert config.fingerprint != config.with_set({"SMP": "n"}).fingerprint


def test_load_reads_debians_configuration() -> None:
    debian = Config.load(TREE / "arch" / "x86" / "configs" / "debian_7.2.13.config")
    assert [str(one) for one in debian.report.contradicted] == [
        "INTEL_IOMMU_DEFAULT_ON=n became y: it is the one that is chosen: set another of its choice to y"]
    assert debian["NR_CPUS"] == 8192
    assert debian["ASYNC_KERNEL_PGTABLE_FREE"]
    assert not debian["DEBUG_VM"]


def test_load_reports(tmp_path: Path) -> None:
    loaded = Config.load(dotconfig(
        tmp_path / "config", "# a comment", "CONFIG_X86=y", "CONFIG_CC_VERSION_TEXT=\"gcc\"", "CONFIG_E1000=m", "",
        "# CONFIG_SMP is not set", "CONFIG_PREEMPT_RT=y", "# CONFIG_ASYNC_KERNEL_PGTABLE_FREE is not set",
        "CONFIG_PCI=y", "CONFIG_PCI_MSI=y", "CONFIG_INTEL_IOMMU=y", "CONFIG_INTEL_IOMMU_SVM=y"))
    assert loaded.report.unknown == 2
    assert loaded.report.known[:3] == ("X86", "SMP", "PREEMPT_RT")
    assert [str(one) for one in loaded.report.contradicted] == [
        "PREEMPT_RT=y became n: needs EXPERT (=n)",
        "ASYNC_KERNEL_PGTABLE_FREE=n became y: X86 selects it if IOMMU_SVA"]
    assert loaded["NR_CPUS"] == 1


@pytest.mark.parametrize(("lines", "message"), [
    (["CONFIG_SMP=y", "SMP=y"], "config:2: not a line of a .config: SMP=y"),
    (["CONFIG_SMP=m"], "config:1: SMP=m: the value must be y or n"),
    (["CONFIG_CC=\"gcc"], "config:1: a string without its closing quote: CONFIG_CC=\"gcc"),
    (["CONFIG_ARM64=y"], "config: a configuration of arm64; kmm has x86"),
    (["CONFIG_X86=y", "CONFIG_X86_32=y"], "config: a configuration of 32-bit x86; kmm has 64-bit x86 only"),
    (["# kmm: forced CONFIG_SMP=n"], "config: CONFIG_SMP cannot be forced"),
])
def test_load_refuses(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.load(dotconfig(tmp_path / "config", *lines))
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_load_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent: cannot read the configuration: No such file"):
        Config.load(tmp_path / "absent")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="binary: cannot read the configuration"):
        Config.load(tmp_path / "binary")
    with pytest.raises(ConfigError, match="cannot write the configuration"):
        Config.default().save(tmp_path)


def test_parse_assignment() -> None:
    assert Config.parse_assignment("CONFIG_SMP=y") == Config.parse_assignment(" SMP=y ") == ("SMP", "y")
    with pytest.raises(ConfigError, match="is not of the form OPTION=value"):
        Config.parse_assignment("SMP")


def test_environment_does_not_matter(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
                                     config: Config) -> None:
    for name, value in {"srctree": "/nowhere", "CONFIG_": "X_", "KCONFIG_WARN_UNDEF": "y", "SRCARCH": "vax",
                        "KCONFIG_FUNCTIONS": "this"}.items():
        monkeypatch.setenv(name, value)
    kconfig._library.cache_clear()
    assert config.with_set({"SMP": "n"})["NR_CPUS"] == 1
    kconfig._library.cache_clear()
    assert capfd.readouterr() == ("", "")


def test_kconfig_of_a_tree_is_reported(tmp_path: Path) -> None:
    (tmp_path / "arch" / "x86").mkdir(parents=True)
    (tmp_path / "arch" / "x86" / "Kconfig").write_text("config X86\n\tsometimes y\n")
    (tmp_path / "Kconfig").write_text("source \"arch/$(SRCARCH)/Kconfig\"\n")
    with pytest.raises(ConfigError, match=r"Kconfig files of x86 cannot be read: arch/x86/Kconfig:2"):
        Config.load(dotconfig(tmp_path / "config", ""), arch="x86", tree=tmp_path)


def test_with_set_tells_what_has_no_effect(config: Config) -> None:
    assert config.with_set({"KSM": "y", "SMP": "n"}).report.inert == ("KSM",)
    assert config.with_set({"INTEL_IOMMU": "n"}).report.inert == ()
