"""What the machine room needs: jobs, health, statistics."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel
from sqlalchemy import func, select, text, update

from freight.cache import key, store
from freight.database import AsyncDatabase, Database
from freight.models import Job, JobStatus
from freight.security import Account, allowed
from freight.tasks import refresh_board, release_stale_space

router = APIRouter(tags=["operations"])

Admin = Annotated[Account, allowed("administer")]


class NewJobs(BaseModel):
    kind: str
    payloads: list[dict[str, Any]]
    priority: int = 0


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether this process answers."""
    return {"status": "up"}


@router.get("/ready")
async def ready(database: AsyncDatabase) -> dict[str, Any]:
    """Whether what we need answers too."""
    version = await database.scalar(text("SHOW server_version_num"))
    return {"database": int(version), "cache": await store.ping()}


@router.post("/jobs", status_code=201)
def enqueue(database: Database, account: Admin, new: NewJobs) -> dict[str, Any]:
    """Add jobs, all at once."""
    ids = database.scalars(
        Job.__table__.insert().returning(Job.id),
        [{"kind": new.kind, "payload": payload, "priority": new.priority} for payload in new.payloads],
    ).all()
    database.commit()
    return {"ids": ids}


@router.post("/jobs/claim")
def claim(database: Database, account: Admin, worker: str, count: int = 2) -> list[dict[str, Any]]:
    """Take the next jobs that nobody else has."""
    jobs = database.scalars(
        select(Job)
        .where(Job.status == JobStatus.READY, Job.run_after <= func.now())
        .order_by(Job.priority.desc(), Job.id)
        .limit(count)
        .with_for_update(skip_locked=True)
    ).all()
    for job in jobs:
        job.status = JobStatus.RUNNING
        job.claimed_by = worker
        job.attempts += 1
    database.commit()
    return [{"id": job.id, "kind": job.kind, "payload": job.payload, "attempts": job.attempts} for job in jobs]


@router.post("/jobs/{job_id}/{result}")
async def finish(database: AsyncDatabase, account: Admin, job_id: int, result: JobStatus) -> dict[str, Any]:
    """Say how a job went; failed ones come again later, three times."""
    delay = func.make_interval(0, 0, 0, 0, 0, 10 * Job.attempts)
    changes: dict[str, Any] = {"status": result}
    if result is JobStatus.FAILED:
        changes = {"status": JobStatus.READY, "run_after": func.now() + delay}
    row = (
        await database.execute(
            update(Job)
            .where(Job.id == job_id, Job.status == JobStatus.RUNNING, Job.attempts < 3)
            .values(**changes)
            .returning(Job.status, Job.attempts, Job.run_after - func.now())
        )
    ).one_or_none()
    await database.commit()
    if row is None:
        raise HTTPException(409, "not running")
    status, attempts, wait = row
    return {"status": status, "attempts": attempts, "again_in_s": max(wait, timedelta(0)).total_seconds()}


@router.post("/operations/refresh", status_code=202)
async def refresh(account: Admin) -> dict[str, Any]:
    """Have the workers tidy up."""
    async with store.lock(key("refreshing"), timeout=10, blocking=False):
        sent = [refresh_board.delay(30).id, release_stale_space.apply_async(kwargs={"hours": 1}, countdown=0).id]
    return {"tasks": sent, "process": os.environ.get("FREIGHT_REDIS_PREFIX", "freight")}


@router.get("/operations/statistics")
async def statistics(account: Admin) -> dict[str, Any]:
    """Counters that other endpoints and the workers keep."""
    async with store.pipeline(transaction=False) as pipe:
        pipe.hgetall(key("stats", "events"))
        pipe.hgetall(key("stats", "bookings"))
        pipe.zrevrange(key("board-viewers"), 0, 2, withscores=True)
        pipe.mget([key("billed", currency) for currency in ("EUR", "USD", "GBP")])
        events, bookings, viewers, billed = await pipe.execute()
    return {"events": events, "bookings": bookings, "viewers": viewers, "billed": billed}
