"""Runs that send mails, start programs and use files outside of the project, recorded for real and replayed without."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.boundaries.mail_server import MailServer
from tests.boundaries.programs import Programs
from tests.plugin.kiosk import Kiosk
from tests.plugin.recorded import recorded_kiosk

SERVICE = '''\
"""One capture for each sort of effect."""

import asyncio
import email.message
import email.utils
import json
import os
import platform
import smtplib
import subprocess
import threading

import pytest_fluxrun as fluxrun

fluxrun.init(project="kiosk")

PORT, PROGRAM, DATA = int(os.environ["SMTP_PORT"]), os.environ["PROGRAM"], os.environ["DATA"]


def message(number):
    made = email.message.EmailMessage()
    made["From"], made["To"], made["Subject"] = "shop@example.org", "ann@example.org", f"no. {number}"
    made["Date"], made["Message-ID"] = email.utils.formatdate(), email.utils.make_msgid(domain="shop")
    made.set_content("Hello")
    made.add_attachment(b"attached", maintype="application", subtype="octet-stream", filename="a.bin")
    return made


@fluxrun.capture("mail")
def mail():
    """Two mails, one of a thread; and one that is refused."""

    def send(number):
        with smtplib.SMTP("127.0.0.1", PORT) as client:
            client.login("shop", "s3cret")
            client.send_message(message(number))

    thread = threading.Thread(target=send, args=(1,))
    thread.start()
    thread.join()
    send(2)
    try:
        with smtplib.SMTP("127.0.0.1", PORT) as client:
            client.sendmail("shop@example.org", ["unknown@example.org"], b"Subject: x")
    except smtplib.SMTPRecipientsRefused as error:
        return {address: [code, text.decode()] for address, (code, text) in error.recipients.items()}


@fluxrun.capture("process")
def process():
    """Blocking and asyncio; platform asks a program of its own."""
    done = subprocess.run([PROGRAM, "cat"], input="told", capture_output=True, text=True, check=True)
    with subprocess.Popen([PROGRAM, "sh", "-c", "echo one; sleep 0.05; echo two"], stdout=subprocess.PIPE) as child:
        lines = [line.decode() for line in child.stdout]

    async def ask():
        child = await asyncio.create_subprocess_exec(
            PROGRAM, "cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await child.communicate(b"asked")
        return out.decode(), child.returncode

    return {"out": done.stdout, "lines": lines, "asked": asyncio.run(ask()), "here": bool(platform.processor() or 1)}


@fluxrun.capture("files")
def files():
    """Read a setting, list, write beside and move, read back."""
    with open(os.path.join(DATA, "settings.json")) as file:
        settings = json.load(file)
    target = os.path.join(DATA, "out.txt")
    with open(target + ".new", "w") as file:
        file.write(f"{settings['name']}\\n")
    os.replace(target + ".new", target)
    with open(target) as file:
        return {"out": file.read(), "names": sorted(os.listdir(DATA)), "there": os.path.exists(DATA + "/gone")}


@fluxrun.capture("refused")
def refused():
    """A fork, a pipe's descriptor, and a pipe that is opened by its name."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with subprocess.Popen([PROGRAM, "true"], stdout=subprocess.PIPE) as process:
        process.stdout.fileno()
    pipe = os.path.join(DATA, "pipe")
    os.close(os.open(pipe, os.O_RDWR))
'''

RECORD = """\
import sys, service
for entry in sys.argv[1].split(","):
    getattr(service, entry)()
assert service.fluxrun.flush(20)
"""


class Outside:
    """A mail server, a program, and a directory that is neither the project's nor a temporary one."""

    def __init__(self, base: Path) -> None:
        self.mails = MailServer()
        (base / "programs").mkdir()
        self.programs = Programs(base / "programs")
        self.data = base / "data"
        self.data.mkdir()
        (self.data / "settings.json").write_text('{"name": "shop"}')
        os.mkfifo(self.data / "pipe")
        (base / "temporary").mkdir()
        self.variables = {
            "SMTP_PORT": str(self.mails.port),
            "PROGRAM": str(self.programs.path),
            "DATA": str(self.data),
            "TMPDIR": str(base / "temporary"),
        }

    def take_away(self) -> None:
        self.mails.close()
        self.programs.take_away()
        shutil.rmtree(self.data)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    found = Outside(tmp_path)
    yield found
    found.mails.close()


def recorded(base: Path, outside: Outside, entries: str) -> Kiosk:
    """The runs of these entries; what they used is gone."""
    kiosk = recorded_kiosk(base, SERVICE, "", RECORD, entries, **outside.variables)
    outside.take_away()
    return kiosk


def test_runs_replay_with_all_of_it_gone(tmp_path: Path, outside: Outside) -> None:
    """Message-Ids, dates and boundaries are equal by themselves: they come from clock and entropy."""
    kiosk = recorded(tmp_path, outside, "mail,process,files")

    suite = kiosk.replay(**outside.variables)

    assert {"passed": 3} == suite.results, suite.output
    assert not outside.data.exists()


@pytest.mark.parametrize(
    ("entry", "old", "new", "said"),
    [
        ("mail", 'f"no. {number}"', 'f"number {number}"', "request.subject"),
        ("process", 'input="told"', 'input="else"', "request.input"),
        ("files", "['name']}\\n", "['name']}!\\n", "request.content"),
    ],
)
def test_changed_effect_is_seen(tmp_path: Path, outside: Outside, entry: str, old: str, new: str, said: Any) -> None:
    """By its path in the request."""
    kiosk = recorded(tmp_path, outside, entry)
    kiosk.edit("service.py", old, new)

    suite = kiosk.replay(**outside.variables)

    assert "failed" == suite.case(entry).result, suite.output
    assert "changed-effect" in suite.case(entry).text
    assert said in suite.case(entry).text


def test_run_that_can_t_be_recorded_whole_says_why(tmp_path: Path, outside: Outside) -> None:
    """By name: what was made past the boundaries."""
    kiosk = recorded(tmp_path, outside, "refused")

    suite = kiosk.replay(**outside.variables)

    assert "unready" == suite.case("refused").verdict, suite.output
    for name in ("os.fork", "subprocess:descriptors", "files:irregular"):
        assert name in suite.case("refused").text
