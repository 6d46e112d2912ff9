"""The HTML report in a headless Chromium: how long a report of many runs takes to be written, opened and scrolled.

Run by hand, where chromium and chromedriver are installed: `PYTHONPATH=. python benchmarks/report_page.py`. Runs have
seven calls each, in two lanes. Opened is from the navigation's start to the first frame with rows, in a warm browser.
Work is what the page's own thread does for a frame, whatever else the machine does; a screen asks for one in 16.7 ms.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from measuring import heading, print_row

from pytest_fluxrun.report.html import to_html
from tests.report.browser import Browser, chromium, missing_programs
from tests.report.made import mixed_runs, report_of

ROUNDS = 5
BARS_MS = {1_000: (1_000, 16.7), 10_000: (None, 16.7)}
_SCROLL = """
const list = document.getElementById("list"), done = arguments[0], taken = [];
let before = performance.now();
const step = () => {
  const now = performance.now();
  taken.push(now - before);
  before = now;
  list.scrollTop += 400;
  if (taken.length < 180) requestAnimationFrame(step);
  else done(taken.slice(5).sort((one, other) => one - other));
};
requestAnimationFrame(step);
"""


def main() -> int:
    """Print the rows."""
    missing = missing_programs()
    if missing:
        print(f"{', '.join(missing)} is not installed (Debian: apt-get install chromium chromium-driver)")
        return 1
    with tempfile.TemporaryDirectory() as directory, chromium() as browser:
        browser.resize(1440, 900)
        for number in BARS_MS:
            _measure(browser, Path(directory) / "out.html", number)
    return 0


def _measure(browser: Browser, path: Path, number: int) -> None:
    opening, frame = BARS_MS[number]
    report = report_of(*mixed_runs(number))
    began = time.process_time()
    path.write_bytes(to_html(report))
    heading(f"A report of {number:,} runs, {path.stat().st_size / 1e6:.1f} MB; medians of {ROUNDS}")
    print_row("written, CPU", 1_000 * (time.process_time() - began), "ms")
    opened, frames, work = [], [], []
    browser.devtools("Performance.enable", timeDomain="threadTicks")
    for _ in range(ROUNDS):
        browser.open(path)
        opened.append(float(browser.run("return document.documentElement.dataset.ready")))
        before_s = _busy_s(browser)
        frames.append(browser.run_async(_SCROLL))
        work.append(1_000 * (_busy_s(browser) - before_s) / len(frames[-1]))
    print_row("opened", statistics.median(opened), "ms", opening)
    print_row("work for a frame while scrolling", statistics.median(work), "ms", frame)
    print_row("from frame to frame, median", statistics.median(each[len(each) // 2] for each in frames), "ms")
    slow = statistics.median(each[int(len(each) * 0.95)] for each in frames)
    print_row("from frame to frame, 95 of 100 take less than", slow, "ms")


def _busy_s(browser: Browser) -> float:
    metrics = {each["name"]: each["value"] for each in browser.devtools("Performance.getMetrics")["metrics"]}
    return float(metrics["TaskDuration"])


if __name__ == "__main__":
    sys.exit(main())
