"""What the composition root puts together: the messages about jobs, as their ends were."""

from __future__ import annotations

import json
from typing import Any

from indexmill.assembly import compose_callbacks
from indexmill.domain.job import JobKind, Submission
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from tests.documents import text_item
from tests.draining import drain, job_of


def told(engine: Engine) -> list[dict[str, Any]]:
    """The bodies of the messages that wait; they are delivered now."""
    compose = compose_callbacks(engine.ledger)
    bodies = []
    while events := engine.ledger.callbacks.claim(50, 60):
        for event in events:
            message = compose(engine.find(str(event.job)), event)
            engine.ledger.callbacks.delivered(event)
            if message is not None and not message.type.endswith("progress"):
                bodies.append(json.loads(message.body))
    return bodies


def test_an_end_is_told_as_it_was_although_the_job_runs_again(engine: Engine) -> None:
    engine.open_collection("library", "tiny", "whole")
    callback = {"amqp": {"exchange": "main"}, "properties": {}}
    item = text_item("a", "One text.", {"k": 1}, file_name="a.txt", sha256="0" * 64)
    job = engine.submit(Submission(JobKind.INGESTION, "tiny", [item], collection="library", callback=callback)).job
    drain(engine)
    engine.rerun(job_of(engine, job))
    assert job_of(engine, job).state is JobState.QUEUED

    [first] = told(engine)
    assert [each["artifact"] for each in first["data"]["data"]] == ["a"]

    drain(engine)
    [second] = told(engine)
    assert second["data"]["data"] == [], "nothing had changed"
