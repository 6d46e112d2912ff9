"""The report as one HTML file: data, style and script in it, and nothing that reaches the network. Pure but for assets.

The data is JSON in a script element that no browser runs; the script shows it as text nodes alone. The policy allows
this one style and this one script, by their digests, and no request at all.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib.resources import files
from string import Template

from pytest_fluxrun.report.document import Report, json_bytes

__all__ = ["to_html"]


def to_html(report: Report) -> bytes:
    """UTF-8."""
    style, script = _asset("report.css"), _asset("report.js")
    allowed = f"style-src {_digest(style)}; script-src {_digest(script)}"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    page = Template(_asset("report.html")).substitute(policy=policy, style=style, script=script, data=_embedded(report))
    return page.encode()


def _embedded(report: Report) -> str:
    """JSON in which no `<` can end the element that it stands in."""
    document = json_bytes(report.model_dump(mode="json", exclude_defaults=True)).decode()
    return document.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@functools.cache
def _asset(name: str) -> str:
    return files("pytest_fluxrun.report").joinpath("assets", name).read_text(encoding="utf-8")


def _digest(content: str) -> str:
    """As a policy names what an element holds."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
