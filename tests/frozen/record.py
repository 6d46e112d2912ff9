"""Make the bundles of the present schema in a new directory beside the others: `python tests/frozen/record.py vN`.

Run it once, when a schema is released. What it wrote is committed and never made again; every later version replays it.
"""

from __future__ import annotations

import http.server
import os
import sys
import tempfile
import threading
from pathlib import Path

from pytest_fluxrun.bundle import Algorithm, Producer, ProjectKey, Recipient, Token, Trust, write_trust
from pytest_fluxrun.judgement.corpus import scan
from pytest_fluxrun.judgement.guard import Guard, digest, write_guard


class Payments(http.server.BaseHTTPRequestHandler):
    """Answers each charge with a number of its own."""

    charges = 0

    def do_POST(self) -> None:
        """Count and answer."""
        Payments.charges += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"charge": %d}' % Payments.charges
        self.send_response(201)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main(directory: Path) -> None:
    """Record two sales and one failure into `directory`/runs."""
    key, token = ProjectKey.generate(Algorithm.X25519), Token.generate()
    trust = Trust("frozen", (Recipient(key.public, "frozen test runs"),), (Producer.of(token),))
    write_trust(directory / "fluxrun-trust.toml", trust)
    (directory / "key.txt").write_text(f"{key.to_text()}\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Payments)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= {
            "FLUXRUN_TOKEN": token.to_text(),
            "FLUXRUN_SAMPLE": "1",
            "FLUXRUN_STORE": str(directory / "runs"),
            "FLUXRUN_TRUST_FILE": str(directory / "fluxrun-trust.toml"),
            "TILL_DATABASE": f"{scratch}/till.db",
            "TILL_PAYMENTS": f"http://127.0.0.1:{server.server_port}",
        }
        sys.path.insert(0, str(directory))
        import till

        till.sell("tea", 250)
        till.sell("cup", 900)
        try:
            till.sell("leaflet", 0)
        except ValueError:
            pass
        till.fluxrun.flush(10)
    server.shutdown()
    for placed in scan(directory / "runs"):
        guard = Guard(run=placed.run_id, sha256=digest(placed.bundle.read_bytes()))
        write_guard(placed.bundle.with_name(f"{placed.name}.guard.toml"), guard)


if __name__ == "__main__":
    main(Path(__file__).parent / sys.argv[1])
