"""Celery apps beyond the contract: which tasks are recorded, what a name finds, and what is left to the worker."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import celery
import kombu.messaging
import pytest
from celery import _state
from celery.app.trace import trace_task
from celery.events import dispatcher
from celery.result import allow_join_result, denied_join_result

from pytest_fluxrun import patching, registry
from pytest_fluxrun.boundaries import celery as celery_seams
from pytest_fluxrun.boundaries import kombu as kombu_seams
from pytest_fluxrun.context import entered
from pytest_fluxrun.entries.celery import entry
from pytest_fluxrun.entry import open_run, register, registered_entry, set_opener
from pytest_fluxrun.errors import EntryNotFound
from pytest_fluxrun.values import has_opaque


@pytest.fixture(autouse=True)
def _seams() -> Iterator[None]:
    others = patching.installed_patches()
    patching.install(kombu_seams.boundary.patches(kombu.messaging))
    patching.install(celery_seams.boundary.patches(dispatcher))
    yield
    patching.restore_all()
    patching.install(others)


def new_app(name: str = "shop") -> celery.Celery:
    return celery.Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)


def instrumented(app: celery.Celery) -> celery.Celery:
    wrapped = entry.wrap(app, "celery")
    register("celery", entry, wrapped)
    return wrapped


def task_of(app: celery.Celery, function: Any, name: str = "it") -> Any:
    function.__name__ = name  # Celery writes a signature from it
    return app.task(name=name, shared=False)(function)


def execute(task: Any, *args: Any, **request: Any) -> Any:
    """As a worker does."""
    return trace_task(task, "7", args, {}, {"id": "7", **request}, app=task.app)


def test_app_is_instrumented_under_a_name_that_no_web_app_has():
    """A project has both, and each is called after it."""
    assert "celery:shop" == entry.default_name(new_app(), "kiosk")
    assert "celery:kiosk" == entry.default_name(celery.Celery(set_as_current=False), "kiosk")
    app = new_app()
    assert app is registry.instrument(app)
    assert app is registered_entry("celery:shop").target


def test_only_tasks_of_an_instrumented_app_are_recorded(runs: Any):
    """Another app in the process, and the tasks that Celery brings itself, are not."""
    app, other = instrumented(new_app()), new_app("other")
    ours = task_of(app, lambda: 1, "ours")
    theirs = task_of(other, lambda: 1, "theirs")

    for task in (ours, theirs, app.tasks["celery.backend_cleanup"]):
        execute(task)

    assert ["ours"] == [recorder.entry for recorder in runs.opened]
    assert "ours" == runs.ending.route


def test_task_instrumented_after_its_tracer_was_built_is_recorded(runs: Any):
    """No order of imports loses runs once the worker builds its tracers."""
    app = new_app()
    task = task_of(app, lambda: 1)
    execute(task)
    instrumented(app)
    task.__trace__ = None
    execute(task)
    assert 1 == len(runs.finished)


def test_name_from_a_bundle_finds_registered_tasks_only(driving: Any):
    """A path that could be imported is no task."""
    app = instrumented(new_app())
    task_of(app, lambda: 1)
    assert app is registered_entry("it", "celery").target
    with pytest.raises(EntryNotFound):
        registered_entry("os.getpid", "celery")
    with pytest.raises(EntryNotFound):
        entry.drive(app, {"task": "os.getpid", "args": [], "kwargs": {}, "request": {}, "waits": True}, driving)


def test_tasks_that_a_worker_would_discover_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`autodiscover_tasks` takes effect where no worker runs."""
    package = f"shop_{uuid.uuid4().hex}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    source = "import celery\n\n@celery.shared_task(name='found')\ndef found():\n    return 1\n"
    (tmp_path / package / "tasks.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    app = instrumented(new_app())
    app.autodiscover_tasks([package])

    assert "found" in entry.names(app)
    assert f"{package}.tasks" in sys.modules


def test_argument_that_no_bundle_holds_makes_the_run_unready(runs: Any):
    """Where a serialiser such as pickle lets it come that far; the task runs."""
    app = instrumented(new_app())
    task = task_of(app, lambda thing: type(thing).__name__)

    assert "object" == execute(task, object()).retval
    assert has_opaque(runs.dumped()[0])


def test_events_are_no_part_of_a_run(runs: Any):
    """`task-sent` says when and from which process: one message is recorded, the task's."""
    app = instrumented(new_app())
    app.conf.task_send_sent_event = True
    task = task_of(app, lambda: app.send_task("other") and None)

    execute(task)

    ((recorder, _),) = runs.finished
    assert ["celery other"] == [crossing.call.form()["channel"] for crossing in recorder.crossings]


def test_result_backend_is_itself_outside_of_runs(runs: Any):
    """Tasks see the worker's own backend; in a run one that passes all but its writes on."""
    app = instrumented(new_app())
    task = task_of(app, lambda: None)
    assert task.backend is app.backend

    run = open_run("other", entry)
    assert run is not None
    with entered(run.lane):
        assert task.backend is not app.backend
        assert isinstance(task.backend, type(app.backend))
        task.backend.store_result("8", {"half": True}, "PROGRESS")
    set_opener(None)
    assert {"half": True} == app.AsyncResult("8").info
    assert [] == runs.opened[0].crossings


@pytest.mark.parametrize("waits", [True, False])
def test_task_driven_again_may_wait_for_results_as_it_might(runs: Any, driving: Any, waits: bool):
    """A worker refuses `result.get()` within a task, and so does an eager `delay`; `apply` doesn't."""
    app = instrumented(new_app())
    task = task_of(app, lambda: _state.task_join_will_block())
    with allow_join_result() if waits else denied_join_result():
        execute(task)
    recorded_input, outcome = runs.dumped()

    assert (not waits) is outcome["returned"]
    assert outcome == entry.drive(app, recorded_input, driving)
    assert False is _state.task_join_will_block()


def test_message_that_celery_refuses_is_a_run_that_failed(runs: Any):
    """Before there is a request: keyword arguments that are no mapping."""
    app = instrumented(new_app())
    task = task_of(app, lambda: 1)
    with pytest.warns(RuntimeWarning, match="outside body"):
        trace_task(task, "7", (), [1], {"id": "7"}, app=app)
    assert "InvalidTaskError" in runs.ending.dump()[1]["error"]["type"]
