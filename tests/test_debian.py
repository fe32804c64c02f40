# SPDX-License-Identifier: GPL-2.0-only
"""The kernel of a distribution: what Debian's own configuration of Linux 7.2.13 makes of the scenarios."""

from __future__ import annotations

import pytest

from kmm.harness.kernels import Recipe
from kmm.harness.litmus import find, names
from kmm.harness.search import explore
from kmm.harness.world import boot
from kmm.tree import TREE

DEBIAN = TREE / "arch" / "x86" / "configs" / "debian_7.2.13.config"


def explored(recipe, scenario):
    world = boot(recipe.build(), find(scenario))
    return explore(world.start, world.reset, key=lambda violation: violation.slug, at_end=world.at_end)


@pytest.fixture(scope="module")
def debian():
    return Recipe.of(DEBIAN)


@pytest.mark.parametrize("scenario", [
    pytest.param(name, marks=[pytest.mark.long] if name == "sva_device_vs_vunmap" else []) for name in names()])
def test_scenario_holds_on_debian(debian, scenario):
    result = explored(debian, scenario)
    assert result.complete
    assert result.found == ()


def test_debian_before_the_fix_breaks():
    recipe = Recipe.of(DEBIAN, ["ASYNC_KERNEL_PGTABLE_FREE=n"])
    result = explored(recipe, "sva_device_vs_huge_promotion")
    assert {found.payload.slug for found in result.found} == {"table-freed-while-cached"}


def test_debian_is_another_kernel_and_says_so(debian):
    info = debian.info()
    assert info.fingerprint != Recipe.of().info().fingerprint
    assert info.config_file == str(DEBIAN)
    assert info.config_known > 100 and info.config_unknown == 0 and info.config_forced == []


def test_debian_with_what_kmm_does_not_know_is_the_same_kernel(debian, tmp_path):
    """The distribution's file has thousands of options more; they are counted, and change nothing."""
    full = tmp_path / "config-7.2.13"
    full.write_text(DEBIAN.read_text() + "CONFIG_MODVERSIONS=y\nCONFIG_DRM_AMDGPU=m\n"
                    "CONFIG_DEFAULT_HOSTNAME=\"(none)\"\n# CONFIG_KGDB is not set\n")
    recipe = Recipe.of(full)
    assert recipe.info().config_unknown == 4
    assert recipe.info().fingerprint == debian.info().fingerprint
