# SPDX-License-Identifier: GPL-2.0-only
"""Builds the compiled hardware model and explorer core; everything else is in pyproject.toml."""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("KMM_EXT_DEBUG") == "1"

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": DEBUG,
    "linetrace": DEBUG,
    "embedsignature": True,
}

setup(
    ext_modules=cythonize(
        [
            Extension(
                f"kmm_ext.{source.stem}",
                [str(source)],
                extra_compile_args=["-O0", "-g"] if DEBUG else ["-O2"],
                define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
            )
            for source in sorted(Path("kmm_ext").glob("*.pyx"))
        ],
        compiler_directives=DIRECTIVES,
    ),
)
