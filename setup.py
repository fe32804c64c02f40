# SPDX-License-Identifier: GPL-2.0-only
"""Builds the compiled hardware model and explorer core, and says which folders are packages.

Everything else is in pyproject.toml, which has no word for a package that lives outside its parent.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_namespace_packages, setup

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
    packages=[*find_namespace_packages(include=["kmm", "kmm.*", "kmm_ext"], exclude=["*.__pycache__"]),
              "kmm.conformance"],
    package_dir={"kmm.conformance": "conformance"},
    options={"build_ext": {"parallel": os.cpu_count()}},
    ext_modules=cythonize(
        [
            Extension(
                f"kmm_ext.{source.stem}",
                [str(source)],
                extra_compile_args=["-O0", "-g"] if DEBUG else ["-O2", "-g0"],
                define_macros=[("CYTHON_TRACE", "1")] if DEBUG else [],
            )
            for source in sorted(Path("kmm_ext").glob("*.pyx"))
        ],
        compiler_directives=DIRECTIVES,
    ),
)
