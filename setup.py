"""Build the optional C extension; everything else is declared in pyproject.toml."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("pytest_fluxrun._ambient", ["pytest_fluxrun/_ambient.c"], optional=True)])
