"""`fluxrun extend`: fixed code that reads more than was recorded gets its answers from a development environment."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pytest_fluxrun.judgement.guard import read_guard

APP = """\
import os
import sqlite3

import httpx

import pytest_fluxrun as fluxrun

fluxrun.init()


@fluxrun.capture("orders.price")
def price(order: int) -> dict[str, str]:
    connection = sqlite3.connect(os.environ["SHOP_DB"])
    (total, coupon) = connection.execute("SELECT total, coupon FROM orders WHERE id = ?", (order,)).fetchone()
    return {"price": str(total - DISCOUNTS[coupon])}


DISCOUNTS = {"TEN": 10}
"""
FIXED = """
    discount = DISCOUNTS.get(coupon)
    if discount is None:
        found = connection.execute("SELECT discount FROM coupons WHERE code = ?", (coupon,)).fetchone()
        discount = found[0]
        rate = httpx.get("http://rates.example/eur").json()["rate"]
        discount *= rate
    return {"price": str(total - discount)}
"""


@dataclass
class Rates:
    """An HTTP server that tells the rate."""

    port: int = 0
    asked: list[str] = field(default_factory=list)


@dataclass
class Project:
    """A project in a directory, worked on from the outside as its developer does."""

    root: Path
    environment: dict[str, str]

    def run(self, *arguments: str, code: int = 0) -> str:
        """A command's output, standard error included."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.root, env=self.environment, text=True, timeout=120, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert code == done.returncode, done.stdout
        return done.stdout

    def pytest(self, *, code: int) -> str:
        """A replay of all runs."""
        return self.run("-m", "pytest", "--fluxrun-dir=runs", "-p", "no:cacheprovider", code=code)

    def fluxrun(self, *arguments: str, code: int = 0) -> str:
        """A command of FluxRun."""
        return self.run("-m", "pytest_fluxrun", *arguments, code=code)

    def fix(self, before: str, after: str) -> None:
        """Change the application."""
        path = self.root / "shop.py"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def record_again(self) -> None:
        """Record the one run anew, as the application now is; its database is gone afterwards."""
        for path in (self.root / "runs").glob("*.fluxrun"):
            path.unlink()
        shutil.copy(self.root / "development.db", self.root / "production.db")
        token = self.fluxrun("token").strip().split()[-1].removeprefix("FLUXRUN_TOKEN=")
        self.environment["FLUXRUN_TOKEN"] = token
        self.run("-c", "import shop; shop.price(1)", code=1)
        del self.environment["FLUXRUN_TOKEN"]
        (self.root / "production.db").unlink()

    def recorded(self) -> str:
        """The name of the one run."""
        (path,) = (self.root / "runs").glob("*.fluxrun")
        return path.stem

    def guard(self) -> Path:
        """The one guard file."""
        (path,) = (self.root / "runs").glob("*.guard.toml")
        return path


@pytest.fixture
def rates() -> Iterator[Rates]:
    found = Rates()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"rate": 2}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def project(tmp_path: Path, rates: Rates) -> Project:
    """A project whose one run failed with a KeyError, and whose fix reads a table and a server."""
    root = tmp_path / "shop"
    root.mkdir()
    for name, coupons in (("production.db", ()), ("development.db", (("SUMMER", 3),))):
        with sqlite3.connect(root / name) as connection:
            connection.execute("CREATE TABLE orders (id, total, coupon)")
            connection.execute("INSERT INTO orders VALUES (1, 100, 'SUMMER')")
            connection.execute("CREATE TABLE coupons (code, discount)")
            connection.executemany("INSERT INTO coupons VALUES (?, ?)", coupons)
        connection.close()
    (root / "shop.py").write_text(APP)
    (root / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "PYTHONPATH")},
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "SHOP_DB": "production.db",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    made = Project(root, environment)
    made.fluxrun("init", "--yes")
    with (root / "pyproject.toml").open("a") as stream:
        stream.write(
            '[tool.fluxrun.live.dev]\nsqlite = "development.db"\n'
            f'http = {{ "http://rates.example" = "http://127.0.0.1:{rates.port}" }}\n'
        )
    toml = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(re.sub(r"modules = \[[^]]*\]", 'modules = ["shop"]', toml))
    token = made.fluxrun("token").strip().split()[-1].removeprefix("FLUXRUN_TOKEN=")
    environment["FLUXRUN_TOKEN"] = token
    made.run("-c", "import shop; shop.price(1)", code=1)
    del environment["FLUXRUN_TOKEN"]
    (root / "production.db").unlink()
    return made


def test_fix_that_reads_more_becomes_green_by_what_the_message_says(project: Project, rates: Rates):
    """Red with the command to run; one run of it; green from then on, and nothing is asked any more."""
    assert "KeyError" in project.pytest(code=1)
    project.fix('    return {"price": str(total - DISCOUNTS[coupon])}\n', FIXED)
    red = project.pytest(code=1)
    suggested = re.search(r"`fluxrun (extend \w+ --live)`", red)
    assert suggested is not None, red
    assert "SELECT discount FROM coupons WHERE code = ? ['SUMMER']" in red

    extended = project.fluxrun(*suggested[1].split())

    assert ["/eur"] == rates.asked
    assert "extended: 2 reads; 2 in runs/orders.price-" in extended
    assert "1 passed" in project.pytest(code=0)
    assert ["/eur"] == rates.asked
    guard = read_guard(project.guard())
    assert (64, "fix") == (len(guard.supplement), guard.expect)
    (sealed,) = (project.root / "runs").glob("*.supplement")
    assert b"SUMMER" not in sealed.read_bytes()


def test_what_the_answers_show_is_judged_as_ever(project: Project):
    """A guard that states another outcome stays red with all answers there."""
    project.fix('    return {"price": str(total - DISCOUNTS[coupon])}\n', FIXED)
    run = project.recorded()
    project.fluxrun("expect", run, "--returns", '{"price": "1"}', code=1)

    shown = project.fluxrun("extend", run, "--live", "dev", code=1)

    assert "expected '1', got '94'" in shown
    assert "expected '1', got '94'" in project.pytest(code=1)


def test_writes_are_never_made(project: Project):
    """An INSERT of the fixed code stops it, by name; the development database is as it was."""
    project.fix(
        '    return {"price": str(total - DISCOUNTS[coupon])}\n',
        '    connection.execute("INSERT INTO coupons VALUES (?, 1)", (coupon,))\n    return {}\n',
    )
    run = project.recorded()

    shown = project.fluxrun("extend", run, "--live", "dev", code=1)

    assert "stopped: the next missing call was not answered" in shown
    assert "it changes the outside and is never made" in shown
    assert f"`fluxrun extend {run[-26:][:10]} --live dev --effects` makes its answer up" in shown
    with sqlite3.connect(project.root / "development.db") as connection:
        assert [("SUMMER", 3)] == connection.execute("SELECT * FROM coupons").fetchall()
    connection.close()
    assert [] == list((project.root / "runs").glob("*.supplement"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--live", "prod"), "there is no environment 'prod': [tool.fluxrun.live] names dev"),
        (("--live", "dev"), "the environment gave no answer: OperationalError: no such table: rebates"),
    ],
)
def test_environment_that_cannot_answer_is_named(project: Project, arguments: tuple[str, ...], said: str):
    """An unknown name, a table that isn't there: each says so, and nothing is written."""
    project.fix(
        '    return {"price": str(total - DISCOUNTS[coupon])}\n',
        '    return {"price": connection.execute("SELECT 1 FROM rebates").fetchone()}\n',
    )
    run = project.recorded()

    shown = project.fluxrun("extend", run, *arguments, code=2 if "prod" in arguments else 1)

    assert said in shown
    assert [] == list((project.root / "runs").glob("*.supplement"))


def test_supplement_of_another_digest_or_none_is_refused(project: Project):
    """A file that isn't the pinned one, and one that is gone, make the run unready."""
    project.fix('    return {"price": str(total - DISCOUNTS[coupon])}\n', FIXED)
    run = project.recorded()
    project.fluxrun("extend", run, "--live", "dev")
    (path,) = (project.root / "runs").glob("*.supplement")
    whole = path.read_bytes()

    path.write_bytes(whole[:-1] + b"\0")
    assert "isn't the supplement that its guard pins" in project.pytest(code=1)
    path.unlink()
    assert "the supplement of" in project.pytest(code=1)
    path.write_bytes(whole)
    assert "1 passed" in project.pytest(code=0)


def test_column_that_was_not_recorded_is_named_and_narrower_select_is_served(project: Project):
    """SELECT of one of two columns is answered from the recording; a new column is named, and extended."""
    project.fix("SELECT total, coupon FROM orders WHERE id = ?", "select coupon from orders where (id = ?)")
    project.fix("(total, coupon) =", "(coupon,) =")
    project.fix("str(total - DISCOUNTS[coupon])", "coupon")
    run = project.recorded()
    shown = project.fluxrun("replay", run)
    assert "projected-read" in shown

    project.fix("select coupon from orders where (id = ?)", "SELECT coupon, rowid FROM orders WHERE id = ?")
    project.fix("(coupon,) =", "(coupon, _) =")
    shown = project.fluxrun("replay", run, code=1)
    assert "lacks:   column orders.rowid was not recorded" in shown


def test_new_effects_get_made_up_answers_that_stand_in_the_guard(project: Project, rates: Rates):
    """Nothing is written or posted: the guard says what INSERT, UPDATE and POST answer, for people to change."""
    project.fix(
        '    return {"price": str(total - DISCOUNTS[coupon])}\n',
        '    made = connection.execute("INSERT INTO coupons VALUES (?, 1) RETURNING id", (coupon,)).fetchone()\n'
        '    changed = connection.execute("UPDATE coupons SET discount = 2").rowcount\n'
        '    added = connection.execute("INSERT INTO orders VALUES (2, 1, ?)", (coupon,)).lastrowid\n'
        "    connection.commit()\n"
        '    posted = httpx.post("http://rates.example/eur", json={"of": coupon})\n'
        '    return {"made": made, "changed": changed, "added": added, "posted": posted.status_code}\n',
    )
    run = project.recorded()
    red = project.pytest(code=1)
    assert f"`fluxrun extend {run[-26:][:10]} --effects`" in red

    shown = project.fluxrun("extend", run, "--effects")

    assert "made up: 4 answers; review them in" in " ".join(shown.split())
    assert [] == rates.asked
    guard = read_guard(project.guard())
    assert [
        ("sqlite3 INSERT INTO coupons VALUES (?, 1) RETURNING id", {"count": 1, "rows": [{"id": 1_000_000_001}]}),
        ("sqlite3 UPDATE coupons SET discount = 2", {"count": 1}),
        ("sqlite3 INSERT INTO orders VALUES (2, 1, ?)", {"count": 1, "lastrowid": 3}),
        ("httpx POST http://rates.example/eur", {"status": 200, "json": {}}),
    ] == [(one.call, one.reply) for one in guard.answers]
    assert "1 passed" in project.pytest(code=0)

    text = project.guard().read_text().replace("status = 200", "status = 418").replace("1000000001", "17")
    project.guard().write_text(text)
    project.fluxrun("expect", run, "--returns", '{"made": [17], "changed": 1, "added": 3, "posted": 418}')
    assert "1 passed" in project.pytest(code=0)

    project.guard().write_text(text.replace("status = 418", 'state = "odd"'))
    assert "`headers`, a table, and `json`, `text` or `base64`" in project.pytest(code=1)


def test_answer_that_nobody_can_make_up_is_a_table_for_a_person(project: Project):
    """The message has the table as the guard is to have it, and the command that goes on from there."""
    project.fix(
        '    return {"price": str(total - DISCOUNTS[coupon])}\n',
        '    connection.execute("INSERT INTO coupons VALUES (?, 1) RETURNING discount", (coupon,)).fetchone()\n'
        '    connection.execute("UPDATE coupons SET discount = 2")\n'
        '    return {"price": "1"}\n',
    )
    run = project.recorded()
    short = run[-26:][:10]

    shown = project.fluxrun("extend", run, "--effects", code=1)

    assert "why:     sqlite3 can't tell what it would be answered" in shown
    assert f"then `fluxrun extend {short} --effects` again answers what comes after it" in shown
    table = shown[shown.index("[[answers]]") :].splitlines()[:3]
    assert ["[[answers]]", 'call = "sqlite3 INSERT INTO coupons VALUES (?, 1) RETURNING discount"', "reply = {}"] == [
        line.strip() for line in table
    ]
    project.fluxrun("expect", run, "--fix", code=1)
    with project.guard().open("a") as stream:
        stream.write("\n".join(table).replace("{}", "{ rows = [{ discount = 1 }] }") + "\n")
    project.fluxrun("extend", run, "--effects")
    assert ["sqlite3 INSERT", "sqlite3 UPDATE"] == [one.call[:14] for one in read_guard(project.guard()).answers]
    assert "1 passed" in project.pytest(code=0)


def test_answers_are_made_up_anew(project: Project):
    """What a person changed in the guard is forgotten with `--anew`, though there are as many answers."""
    project.fix(
        '    return {"price": str(total - DISCOUNTS[coupon])}\n',
        '    return {"made": connection.execute("UPDATE coupons SET discount = 2").rowcount}\n',
    )
    run = project.recorded()
    project.fluxrun("extend", run, "--effects")
    project.guard().write_text(project.guard().read_text().replace("count = 1", "count = 9"))

    project.fluxrun("extend", run, "--effects", "--anew")

    assert [{"count": 1}] == [one.reply for one in read_guard(project.guard()).answers]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "add to pyproject.toml [tool.fluxrun.live.dev] with postgres ="),
        ('[tool.fluxrun.live.b]\nhttp = "x"\n[tool.fluxrun.live.a]\nhttp = "y"\n',
         "say which: `fluxrun extend {run} --live a`, or `fluxrun extend {run} --live b`"),
    ],
)  # fmt: skip
def test_live_without_a_name_needs_one_environment(project: Project, settings: str, said: str):
    """With none the message says what to add; with several, which commands there are."""
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().partition("[tool.fluxrun.live.dev]")[0] + settings)
    run = project.recorded()

    shown = project.fluxrun("extend", run, "--live", code=2)

    assert said.format(run=run[-26:][:10]) in shown


def test_effect_that_a_fix_leaves_out_is_named_with_the_command_that_says_so(project: Project):
    """Its number is in the command, which keeps those that the guard has; after it the guard is met."""
    project.fix(
        "    (total, coupon) =",
        '    connection.execute("UPDATE orders SET total = 1")\n    connection.rollback()\n    (total, coupon) =',
    )
    project.record_again()
    project.fix('    connection.execute("UPDATE orders SET total = 1")\n    connection.rollback()\n', "")
    project.fix('    return {"price": str(total - DISCOUNTS[coupon])}\n', '    return {"price": "1"}\n')
    red = project.pytest(code=1)
    suggested = re.search(r"`fluxrun (expect \w+ --effect \d+)` says so in the guard", red)
    assert suggested is not None, red

    project.fluxrun(*suggested[1].split())

    assert "1 passed" in project.pytest(code=0)
    (number,) = read_guard(project.guard()).fix.effects  # type: ignore[union-attr]
    assert f"--effect {number}" in suggested[1]
