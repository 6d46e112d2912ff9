"""The files boundary on a real disk: what is read, looked at and changed outside of the project, and how it fails."""

from __future__ import annotations

import builtins
import glob
import importlib
import io
import json
import linecache
import logging
import mmap
import os
import pathlib
import shutil
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pytest_fluxrun import patching
from pytest_fluxrun.boundaries.disk.roots import outside as lies_outside
from pytest_fluxrun.boundaries.files import boundary
from pytest_fluxrun.context import entered
from pytest_fluxrun.errors import UnrecordedCall
from pytest_fluxrun.fence import Fence
from pytest_fluxrun.kinds.file import FILE
from pytest_fluxrun.recording.recorder import Recorder
from pytest_fluxrun.testing.boundary import BoundaryContract, Exercise
from pytest_fluxrun.testing.sessions import MemoryRecorder, MemoryReplayer
from pytest_fluxrun.values import decode
from tests.boundaries.read_runs import record, replay

_MTIME_NS = 1_700_000_000_123_456_789
_EVENTS = {
    "open",
    *(f"os.{name}" for name in ("chmod", "link", "listdir", "mkdir", "remove", "rename", "rmdir", "scandir")),
}
_EVENTS |= {"os.symlink", "os.truncate", "os.utime"}


pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.*kept:pytest.PytestUnraisableExceptionWarning"
)
"""A miss in a finalizer is latched, and said nowhere else."""


class Folder:
    """An Outside: a directory; the interpreter's audit events tell when it is used."""

    _watched: ClassVar[list[Folder]] = []

    def __init__(self, path: Path) -> None:
        self.path = path
        self.touched = 0
        self._present = True
        self.reset()
        self._watched.append(self)

    @classmethod
    def audit(cls, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS:
            for folder in list(cls._watched):
                folder.touched += any(
                    isinstance(one, str | bytes | os.PathLike) and str(folder.path) in os.fsdecode(one)
                    for one in arguments
                )

    def calls(self) -> int:
        return self.touched

    def reset(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        (self.path / "sub").mkdir(parents=True)
        self.file.write_text("one\ntwo\ngrün\n", encoding="utf-8")
        (self.path / "b.bin").write_bytes(bytes(range(256)) * 64)
        (self.path / "sub" / "c.json").write_text('{"a": 1}')
        for path in self.path.rglob("*"):
            os.utime(path, ns=(_MTIME_NS, _MTIME_NS))
        self.touched = 0

    @property
    def file(self) -> Path:
        return self.path / "a.txt"

    def take_away(self) -> None:
        shutil.rmtree(self.path)
        self.touched = 0

    def forget(self) -> None:
        self._watched.remove(self)


sys.addaudithook(Folder.audit)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Folder]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    folder = Folder(tmp_path / "data")
    yield folder
    folder.forget()


def read(mode: str, use: Callable[[Any], Any], name: str = "a.txt", **options: Any) -> Callable[[Folder], Any]:
    def exercise(folder: Folder) -> Any:
        with open(folder.path / name, mode, **options) as file:
            return use(file), file.closed, type(file)

    return exercise


def write(mode: str, use: Callable[[Any], Any], name: str = "new.txt", **options: Any) -> Callable[[Folder], Any]:
    """Write, and read back what is there then."""

    def exercise(folder: Folder) -> Any:
        with open(folder.path / name, mode, **options) as file:
            said = use(file)
        return said, file.closed, type(file), (folder.path / name).read_bytes()

    return exercise


def seeking(file: Any) -> Any:
    said = [
        file.tell(),
        file.read(3),
        file.tell(),
        file.seek(-2, os.SEEK_END),
        file.read(),
        file.seek(10),
        file.read(2),
    ]
    return said, file.readable(), file.writable(), file.seekable(), file.mode, Path(file.name).name


def mapped(file: Any) -> Any:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view[:4], len(view)


def state(folder: Folder) -> Any:
    found = folder.file.stat()
    return found.st_size, found.st_mtime_ns, stat.S_IMODE(found.st_mode), found.st_mtime, tuple(found)[6:7]


def checks(folder: Folder) -> Any:
    path, gone = str(folder.file), str(folder.path / "gone")
    of = os.path
    return [
        (of.exists(path), of.isfile(path), of.isdir(path), of.getsize(path), of.getmtime(path), of.islink(path)),
        (of.exists(gone), of.isfile(gone), of.lexists(gone), Path(gone).exists(), Path(gone).is_dir()),
        (os.access(path, os.R_OK), os.access(gone, os.R_OK)),
    ]


def listings(folder: Folder) -> Any:
    path = str(folder.path)
    with os.scandir(path) as entries:
        found = sorted(
            (e.name, e.is_file(), e.is_dir(), e.is_symlink(), e.stat().st_mtime_ns if e.is_file() else 0)
            for e in entries
        )
    walked = sorted((top.removeprefix(path), sorted(dirs), sorted(files)) for top, dirs, files in os.walk(path))
    globbed = sorted(name.removeprefix(path) for name in glob.glob(f"{path}/**/*", recursive=True))
    return found, sorted(os.listdir(path)), walked, globbed, sorted(p.name for p in folder.path.iterdir())


def missing(folder: Folder) -> Any:
    open(folder.path / "gone")  # noqa: SIM115 - it fails


def failed(use: Callable[[Folder], Any]) -> Callable[[Folder], Any]:
    def exercise(folder: Folder) -> Any:
        try:
            return use(folder)
        except OSError as error:
            name = None if error.filename is None else Path(os.fsdecode(error.filename)).name
            return type(error), error.errno, error.strerror, name

    return exercise


def atomic(folder: Folder) -> Any:
    path = folder.path / "config.json"
    beside = folder.path / "config.json.new"
    beside.write_text('{"b": 2}')
    os.replace(beside, path)
    return json.loads(path.read_text()), beside.exists()


def tree(folder: Folder) -> Any:
    os.makedirs(folder.path / "x" / "y")
    (folder.path / "x" / "y" / "z.txt").write_text("z")
    (folder.path / "x" / "y" / "z.txt").unlink()
    os.rmdir(folder.path / "x" / "y")
    return sorted(os.listdir(folder.path))


def copied(folder: Folder) -> Any:
    shutil.copy2(folder.file, folder.path / "copy.txt")
    shutil.copyfile(folder.path / "b.bin", folder.path / "copy.bin")
    return (folder.path / "copy.txt").read_text(encoding="utf-8"), len((folder.path / "copy.bin").read_bytes())


def moved_in(folder: Folder) -> Any:
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("from elsewhere")
    os.replace(file.name, folder.path / "in.txt")
    return (folder.path / "in.txt").read_text(), os.path.exists(file.name)


def moved_out(folder: Folder) -> Any:
    target = os.path.join(tempfile.gettempdir(), "out.txt")
    os.replace(folder.file, target)
    with open(target, encoding="utf-8") as file:
        return file.read(), folder.file.exists()


def by_descriptor(folder: Folder) -> Any:
    number = os.open(folder.file, os.O_RDONLY)
    try:
        first = os.read(number, 3)
        os.lseek(number, 0, os.SEEK_SET)
        return first, os.read(number, 100), os.fstat(number).st_size
    finally:
        os.close(number)


def written_by_descriptor(folder: Folder) -> Any:
    number = os.open(folder.path / "raw", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    written = os.write(number, b"raw bytes")
    os.close(number)
    with os.fdopen(os.open(folder.path / "raw2", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as file:
        file.write("text")
    return written, (folder.path / "raw").read_bytes(), (folder.path / "raw2").read_text()


def unclosed(folder: Folder) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        pathlib.Path.open(folder.path / "kept", "w").write("by its finalizer")
    return (folder.path / "kept").read_text()


def links(folder: Folder) -> Any:
    os.symlink("a.txt", folder.path / "link")
    return (
        os.readlink(folder.path / "link"),
        os.lstat(folder.path / "link").st_size,
        (folder.path / "link").is_symlink(),
    )


def touched(folder: Folder) -> Any:
    os.chmod(folder.file, 0o600)
    os.utime(folder.file, ns=(1, 10**18))
    os.truncate(folder.file, 3)
    return stat.S_IMODE(os.stat(folder.file).st_mode), folder.file.stat().st_mtime_ns > 0, folder.file.read_bytes()


def from_here(folder: Folder) -> Any:
    before = os.getcwd()
    os.chdir("/")
    try:
        with open(str(folder.file)[1:], encoding="utf-8") as file:
            return file.read()
    finally:
        os.chdir(before)


EXERCISES: dict[str, Exercise] = {
    "read text": read("r", lambda f: f.read(), encoding="utf-8"),
    "read bytes": read("rb", lambda f: f.read(), "b.bin"),
    "lines": read("r", list, encoding="utf-8"),
    "readline and readlines": read("r", lambda f: [f.readline(), f.readlines()], encoding="utf-8"),
    "seek and tell": read("rb", seeking, "b.bin"),
    "unbuffered": read("rb", lambda f: [f.read(5), f.readall()], buffering=0),
    "readinto": read("rb", lambda f: [f.readinto(bytearray(4)), f.peek(1)[:1]]),
    "newlines and errors": read("r", lambda f: f.read(), encoding="ascii", errors="replace", newline=""),
    "mmap": read("rb", mapped, "b.bin"),
    "pathlib": lambda folder: (folder.file.read_text(encoding="utf-8"), (folder.path / "b.bin").read_bytes()[:5]),
    "json": lambda folder: json.loads((folder.path / "sub" / "c.json").read_text()),
    "relative to the working directory": from_here,
    "stat": state,
    "exists and its like": checks,
    "directories": listings,
    "links": links,
    "file missing": missing,
    "file missing, attributes": failed(missing),
    "directory opened": failed(lambda folder: (folder.path / "sub").open()),
    "stat of a missing file": failed(lambda folder: os.stat(folder.path / "gone")),
    "directory missing": failed(lambda folder: os.listdir(folder.path / "gone")),
    "remove of a missing file": failed(lambda folder: os.remove(folder.path / "gone")),
    "write": write("w", lambda f: f.write("a\nb")),
    "write bytes": write("wb", lambda f: [f.write(b"\x00\xff"), f.tell()]),
    "write over": write("w", lambda f: f.write("shorter"), "a.txt"),
    "append": write("a", lambda f: f.write("more"), "a.txt", encoding="utf-8"),
    "append and read": write("a+", lambda f: [f.write("more"), f.seek(0), f.read()], "a.txt", encoding="utf-8"),
    "create": write("x", lambda f: f.write("new")),
    "create what exists": failed(write("x", lambda f: f.write("new"), "a.txt")),
    "update": write("r+", lambda f: [f.read(3), f.seek(0), f.write("ONE")], "a.txt", encoding="utf-8"),
    "write and read": write("w+", lambda f: [f.write("abc"), f.seek(1), f.read()]),
    "write into a missing directory": failed(lambda folder: open(folder.path / "gone" / "x", "w").close()),
    "several writes and a flush": write("w", lambda f: [f.write("a"), f.flush(), f.writelines(["b", "c"])]),
    "closed by its finalizer": unclosed,
    "replace": atomic,
    "make and remove directories": tree,
    "copy": copied,
    "moved in from a temporary file": moved_in,
    "moved out to a temporary file": moved_out,
    "chmod, utime and truncate": touched,
    "read by descriptor": by_descriptor,
    "write by descriptor": written_by_descriptor,
}


class TestFiles(BoundaryContract):
    subject = "files"
    library = "python"
    boundary = boundary
    exercises: ClassVar[Mapping[str, Exercise]] = EXERCISES
    unreached: ClassVar[frozenset[str]] = frozenset(
        {"stat", "exists and its like", "stat of a missing file", "relative to the working directory"}
    )


@pytest.fixture
def _seams() -> Iterator[None]:
    """Its seams, alone."""
    others = patching.installed_patches()
    patching.restore_all()
    for module in (builtins, io, os):
        patching.install(boundary.patches(module))
    yield
    patching.restore_all()
    patching.install(others)


def requests_of(function: Callable[[], Any]) -> list[Any]:
    recorder = MemoryRecorder()
    with recorder.open():
        function()
    return [decode(one.request) for one in recorder.finish()]


@pytest.mark.usefixtures("_seams")
def test_replay_touches_nothing_and_trips_no_fence(outside: Folder) -> None:
    """A write outside goes to memory, before the fence could see it."""
    _, recording = record(lambda: write("w", lambda f: f.write("a"))(outside))
    outside.reset()

    with Fence() as fence:
        replay(lambda: write("w", lambda f: f.write("a"))(outside), recording)

    assert fence.attempts == ()
    assert (0, False) == (outside.calls(), (outside.path / "new.txt").exists())


@pytest.mark.usefixtures("_seams")
def test_written_content_is_an_effect_with_its_path(outside: Folder) -> None:
    """Opening is none; what was written is known at the close."""
    asked = requests_of(lambda: write("w", lambda f: f.write("grün"), encoding="utf-8")(outside))

    (effect,) = [form for form in asked if FILE.is_effect(form)]
    assert ("write", str(outside.path / "new.txt"), "w") == (effect["command"], effect["path"], effect["mode"])
    assert "grün".encode() == effect["content"]


@pytest.mark.usefixtures("_seams")
def test_program_s_own_files_and_imports_are_not_seen(outside: Folder) -> None:
    """Temporary files, the project, the interpreter: they are there at replay too."""

    def work() -> None:
        with tempfile.NamedTemporaryFile("w+") as file:
            file.write("x")
        Path("pyproject.toml").read_text(encoding="utf-8")
        os.listdir(os.path.dirname(os.__file__))
        os.stat(sys.executable)
        import this_is_nowhere  # noqa: F401 - it is looked for all over sys.path

    with pytest.raises(ModuleNotFoundError):
        assert [] == requests_of(work)
    assert [] == requests_of(lambda: (Path("pyproject.toml").resolve(), os.path.realpath(sys.executable), os.stat("/")))


@pytest.mark.usefixtures("_seams")
def test_runtime_s_own_reads_are_not_seen(outside: Folder) -> None:
    """Logging to a file outside, and reading a source line for a traceback."""

    def work() -> None:
        handler = logging.FileHandler(outside.path / "app.log", delay=True)
        handler.emit(logging.makeLogRecord({"msg": "hello"}))
        handler.close()
        linecache.getline(str(outside.file), 1)

    assert [] == requests_of(work)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/srv/data/a.txt", True),
        ("/srv/../srv//data/a.txt", True),
        ("/etc/shop/config.toml", True),
        (b"/srv/data/a.txt", True),
        (Path("/srv/data"), True),
        ("/proc/meminfo", True),
        (3, False),
        ("/dev/null", False),
        ("/usr/share/zoneinfo/Europe/Berlin", False),
        ("/root/.netrc", False),
        ("/", False),
        (os.__file__, False),
        (pytest.__file__, False),
        (__file__, False),
        ("pyproject.toml", False),
        (f"{tempfile.gettempdir()}/x", False),
        ("../../../../../../srv/x", True),
    ],
)
def test_what_lies_outside(path: Any, seen: bool) -> None:
    """By its place alone."""
    assert seen == (lies_outside(path) is not None)


def test_own_process_s_directory_has_one_name() -> None:
    """Its number differs at replay."""
    assert "/proc/self/status" == lies_outside(f"/proc/{os.getpid()}/status")


@pytest.mark.usefixtures("_seams")
@pytest.mark.skipif(not Path("/proc/uptime").exists(), reason="no /proc")
def test_file_of_the_kernel_is_given_as_it_was_kept() -> None:
    """Each read of one makes it anew, so that the program gets what the recording holds."""

    def uptime() -> str:
        with open("/proc/uptime") as file:
            return file.read()

    said, recording = record(uptime)

    assert said == replay(uptime, recording)
    assert said


@pytest.mark.usefixtures("_seams")
def test_run_reads_what_it_wrote_also_where_that_changed(outside: Folder) -> None:
    """The fixed code writes something else, and gets that back."""

    def work(text: str = "old") -> str:
        (outside.path / "note").write_text(text)
        return (outside.path / "note").read_text()

    _, recording = record(work)
    outside.take_away()

    assert "old" == replay(work, recording)
    assert "new" == replay(lambda: work("new"), recording)


@pytest.mark.usefixtures("_seams")
def test_run_looks_at_what_it_wrote_where_the_recorded_one_did_not(outside: Folder) -> None:
    """Exists, size, and content that only the replayed code asks for."""
    path = outside.path / "note"
    _, recording = record(lambda: path.write_text("text"))
    outside.take_away()

    def work() -> Any:
        path.write_text("text")
        return path.exists(), path.stat().st_size, path.read_text()

    assert (True, 4, "text") == replay(work, recording)


@pytest.mark.usefixtures("_seams")
def test_unrecorded_look_is_a_miss_though_the_file_is_there(outside: Folder) -> None:
    """What this machine has says nothing of the recorded one."""
    _, recording = record(lambda: outside.file.read_text(encoding="utf-8"))

    with pytest.raises(UnrecordedCall, match="stat"):
        replay(lambda: (outside.file.read_text(encoding="utf-8"), outside.file.exists()), recording)


@pytest.mark.usefixtures("_seams")
def test_run_from_before_files_were_recorded_looks_at_the_disk(outside: Folder) -> None:
    """Old bundles replay as they did, and the fence keeps them from writing."""
    _, recording = record(lambda: None)

    assert "one" == replay(lambda: outside.file.read_text(encoding="utf-8").split()[0], recording)


@pytest.mark.usefixtures("_seams")
def test_file_over_the_bound_makes_its_run_over_bound(outside: Folder) -> None:
    """Its content isn't kept, its size is; the program reads it all the same."""
    large = outside.path / "large"
    with open(large, "wb") as file:
        file.truncate(9 << 20)
    recorder = Recorder("job", "function", lambda *_: None)
    with entered(recorder.lane):
        size = len(large.read_bytes())

    recorder.size_bytes()
    (crossing,) = recorder.crossings
    assert (9 << 20, None) == (size, crossing.result["content"])
    assert recorder.size_bytes() > 8 << 20


@pytest.mark.usefixtures("_seams")
def test_pipes_are_noted_and_not_read(outside: Folder) -> None:
    """Reading one for the record would take its bytes from the program."""
    pipe = outside.path / "pipe"
    os.mkfifo(pipe)
    number = os.open(pipe, os.O_RDWR)
    recorder = MemoryRecorder()

    with recorder.open(), open(pipe, "rb", buffering=0) as file:
        os.write(number, b"x")
        assert b"x" == file.read(1)
    os.close(number)

    assert ["files:irregular"] == recorder.refused


@pytest.mark.usefixtures("_seams")
def test_start_up_may_look_at_what_the_recorded_one_did_not(outside: Folder) -> None:
    """Which files it reads after `init` differs from process to process."""
    replayer = MemoryReplayer([])
    replayer.preamble = True

    with replayer.open():
        assert outside.file.exists()
        assert "one" == outside.file.read_text(encoding="utf-8").split()[0]

    assert replayer.unrecorded is None


@pytest.mark.usefixtures("_seams")
def test_patched_functions_can_what_their_originals_can() -> None:
    """Shutil and pathlib ask os which of its functions take descriptors."""
    assert {os.stat, os.open, os.unlink, os.mkdir, os.rename} <= os.supports_dir_fd
    assert {os.listdir, os.scandir, os.stat, os.chmod, os.utime} <= os.supports_fd
    assert {os.stat, os.utime} <= os.supports_follow_symlinks


@pytest.mark.usefixtures("_seams")
def test_library_that_is_imported_in_a_run_is_not_seen(outside: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """At replay it may be imported already; what the program's own modules read when they are imported is."""
    packages = Path(tempfile.gettempdir()) / "site-packages"
    packages.mkdir()
    text = f"import os; found = os.path.exists({str(outside.file)!r})"
    (packages / "fluxrun_library.py").write_text(text)
    (Path(tempfile.gettempdir()) / "fluxrun_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.syspath_prepend(tempfile.gettempdir())

    assert [] == requests_of(lambda: importlib.import_module("fluxrun_library"))
    assert ["stat"] == [form["command"] for form in requests_of(lambda: importlib.import_module("fluxrun_module"))]


@pytest.mark.usefixtures("_seams")
def test_descriptor_that_c_code_closed_is_forgotten(outside: Folder) -> None:
    """Its number belongs to another file when `os.close` sees it next."""

    def work() -> None:
        number = os.open(outside.path / "x", os.O_WRONLY | os.O_CREAT)
        io.FileIO(number, "w").close()
        other = os.open(tempfile.gettempdir(), os.O_RDONLY)
        assert number == other
        os.close(other)

    assert ["open"] == [form["command"] for form in requests_of(work)]
