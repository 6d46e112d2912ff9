"""FluxRun beside the plugins that many projects have, all in one session: nothing breaks inside pytest."""

from __future__ import annotations

import json

import pytest

from tests.plugin.kiosk import Kiosk, Upstream
from tests.plugin.own_tests import OWN_TESTS

_NAMES = (
    "xdist", "pytest_cov", "randomly", "rerunfailures", "timeout", "asyncio", "anyio", "django", "pytest_socket",
    "html", "html_fixtures", "metadata", "pytest_jsonreport", "sugar",
)  # fmt: skip
_USED = (
    "--cov=service", "--cov-report=", "--reruns=1", "--timeout=60", "--ds=site_settings", "--html=out.html",
    "--self-contained-html", "--json-report", "--json-report-file=out.json", "--force-sugar", "--allow-hosts=127.0.0.1",
)  # fmt: skip
_TESTS = ("test_loops.py", "test_sockets.py", "test_site.py", "site_settings.py")


@pytest.mark.parametrize(("workers", "order"), [("0", "no:randomly"), ("1", "randomly")])
def test_all_plugins_together(kiosk: Kiosk, upstream: Upstream, workers: str, order: str) -> None:
    """Three runs pass, two reproduce their failure, also when rerun; each report has them; no INTERNALERROR."""
    for name in _TESTS:
        kiosk.write(f"tests/{name}", OWN_TESTS[name])

    suite = kiosk.pytest(
        "runs", "tests", "--fluxrun-dir=runs", "--fluxrun-require=5", "--fluxrun-report=fluxrun.json",
        "--fluxrun-no-confirm", "-n", workers,
        "-W", "ignore::pytest.PytestUnraisableExceptionWarning", *_USED,
        plugins=[order if name == "randomly" else name for name in _NAMES],
        PYTHONPATH=f"{kiosk.environment()['PYTHONPATH']}:tests",
    )  # fmt: skip

    assert "INTERNALERROR" not in suite.output, suite.output
    runs = [case for case in suite.cases.values() if "fluxrun.run_id" in case.properties]
    others = {case.result for case in suite.cases.values() if "fluxrun.run_id" not in case.properties}
    assert ["match", "match", "match", "reproduced", "reproduced"] == sorted(case.verdict for case in runs), (
        suite.output
    )
    assert ({"passed"}, 1, 0) == (others, suite.exit_code, upstream.hits), suite.output
    assert "reproduced: the recorded failure happens again" in (kiosk.root / "out.html").read_text()
    assert "fluxrun: 5 runs: 3 match, 2 reproduced" == suite.line("fluxrun: 5")
    assert 2 == json.loads((kiosk.root / "out.json").read_text())["summary"]["failed"]
    session = json.loads((kiosk.root / "fluxrun.json").read_text())["session"]
    assert (True, {"match": 3, "reproduced": 2}, "") == (session["complete"], session["verdicts"], session["gate"])
