"""Build the optional C extensions; everything else is declared in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(f"pytest_fluxrun.{name}", [f"pytest_fluxrun/{name}.c"], optional=True)
        for name in ("_ambient", "_rows")
    ]
)
