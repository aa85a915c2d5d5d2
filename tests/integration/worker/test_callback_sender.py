"""Callbacks on a real RabbitMQ: confirmed, in order, each at least once, and none that keeps another waiting."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest

from indexmill.dialects.artifacts.callbacks import callback_message
from indexmill.domain.callback import CallbackEvent, CallbackMessage
from indexmill.domain.job import Item, Job, JobKind, Submission
from indexmill.engine import Engine
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.settings import CallbackSettings, Settings
from indexmill.worker import callback_sender, sweep_loop
from indexmill.worker.callback_sender import CallbackSender
from indexmill.worker.sweep_loop import SweepLoop
from indexmill.worker.sweeps import callback_sweeps
from tests.draining import drain, execute, items_of, rows
from tests.rabbitmq_server import RabbitmqServer
from tests.running_service import wait_until

pytestmark = pytest.mark.rabbitmq

RESPONSE = {"object": "list", "model": "private-gpt", "data": [{"object": "ingest.document", "artifact": "a1"}]}
compose = partial(callback_message, ingest_response=lambda *_: RESPONSE)


#: What an upsertion tells on its way.
STEPS = ("Validation", "Parse", "Storage")


def callback(exchange: str, **amqp: str) -> dict[str, Any]:
    return {"amqp": {"exchange": exchange, **amqp}, "properties": {"ticket": 7}}


def submit(engine: Engine, name: str, exchange: str, **amqp: str) -> Job:
    wanted = callback(exchange, **amqp)
    return engine.submit(Submission(JobKind.UPSERTION, "tiny", items_of({name: name}), callback=wanted)).job


def sender_of(ledger: Ledger, server: RabbitmqServer, **changes: Any) -> CallbackSender:
    return CallbackSender(ledger, server.url, **{"compose": compose, "give_up_seconds": 3600, **changes})


def pending(engine: Engine) -> list[dict[str, Any]]:
    return rows(engine, "SELECT * FROM callback_outbox WHERE settled_at IS NULL ORDER BY id")


def due_now(engine: Engine) -> None:
    execute(engine, "UPDATE callback_outbox SET due_at = ledger_now() WHERE settled_at IS NULL")


def all_of(job: Job) -> list[str]:
    """The ids of all messages of a job that succeeded, in order."""
    return [*(f"{job.id}.1.progress.{step}" for step in STEPS), f"{job.id}.1.done"]


def assert_sent(sender: CallbackSender, count: int) -> None:
    """In as many turns as a broker needs that was away a moment ago."""
    sent: list[int] = []

    def enough() -> bool:
        sent.append(sender.run())
        return sum(sent) >= count

    wait_until(enough, 60, f"{count} messages to be sent")
    assert sum(sent) == count


def ids(messages: list[Any]) -> list[str]:
    return [message.properties["message_id"] for message in messages]


# What arrives


def test_a_job_s_callbacks_arrive_as_documented_and_in_order(engine: Engine, rabbitmq: RabbitmqServer) -> None:
    rabbitmq.declare("documented", "documented")
    done = submit(engine, "a", "documented", routing_key_done="my.done")
    drain(engine)
    assert sender_of(engine.ledger, rabbitmq).run() == 4
    progress, _, _, end = rabbitmq.take_all("documented")
    assert progress.delivery_info["routing_key"] == "pgpt.vector_index_task.progress"
    assert json.loads(progress.body) == {
        "data": {"percentage": 0, "warnings": None, "current_step": "Validation"},
        "type": "pgpt.vector_index_task.progress",
        "error": None,
        "callback_properties": {"ticket": 7},
    }
    assert end.delivery_info["routing_key"] == "my.done"
    body = json.loads(end.body)
    assert list(body) == ["data", "type", "error", "callback_properties"]
    assert body == {
        "data": RESPONSE,
        "type": "pgpt.vector_index_task.done",
        "error": None,
        "callback_properties": {"ticket": 7},
    }
    assert end.properties["message_id"] == f"{done.id}.1.done"
    assert end.properties["content_type"] == "application/json"
    assert end.properties["delivery_mode"] == 2
    assert pending(engine) == []


def test_deletions_and_failures_arrive_as_documented(engine: Engine, rabbitmq: RabbitmqServer) -> None:
    rabbitmq.declare("ends", "ends")
    engine.submit(Submission(JobKind.DELETION, "tiny", [Item("a")], callback=callback("ends")))
    drain(engine)
    engine.submit(Submission(JobKind.UPSERTION, "tiny", [Item("b", {"none": 1})], callback=callback("ends")))
    drain(engine)
    engine.cancel(submit(engine, "c", "ends"))
    assert sender_of(engine.ledger, rabbitmq).run() == 6
    found = [json.loads(message.body) for message in rabbitmq.take_all("ends")]
    bodies = [(body["type"], body["data"], body["error"]) for body in found if not body["type"].endswith("progress")]
    assert bodies[0] == ("pgpt.delete_ingested_task.done", None, None)
    failed = {"errors": ["zpgt.ingest.no_valid_nodes.error"], "warnings": None}
    revoked = {"errors": ["zpgt.ingest.revoked.error"], "warnings": None}
    assert ("pgpt.vector_index_task.error", None, failed) in bodies
    assert ("pgpt.vector_index_task.error", None, revoked) in bodies


# Brokers that are away


def test_a_broker_that_is_down_at_the_job_s_end_gets_the_message_once_when_it_is_back(
    engine: Engine, rabbitmq: RabbitmqServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_sender, "_MAX_BROKER_PAUSE", 0.1)
    rabbitmq.declare("outage", "outage")
    sender = sender_of(engine.ledger, rabbitmq)
    rabbitmq.stop()
    job = submit(engine, "a", "outage")
    drain(engine)
    for _ in range(3):
        assert sender.run() == 0
        # Longer than it leaves the broker alone.
        time.sleep(0.15)
    # Waiting for the broker is no try, and nothing that counts towards giving up.
    assert [(row["tries"], row["refused_at"]) for row in pending(engine)] == [(0, None)] * 4
    rabbitmq.start()
    assert_sent(sender, 4)
    assert sender.run() == 0
    assert ids(rabbitmq.take_all("outage")) == all_of(job)


def test_a_broker_that_is_silent_holds_nobody_up_for_long(
    engine: Engine, rabbitmq: RabbitmqServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback_sender, "_MAX_BROKER_PAUSE", 0.1)
    rabbitmq.declare("silent", "silent")
    sender = sender_of(engine.ledger, rabbitmq)
    job = submit(engine, "a", "silent")
    drain(engine)
    rabbitmq.pause()
    try:
        with monkeypatch.context() as patch:
            patch.setattr("indexmill.worker.amqp_publisher._TIMEOUT_SECONDS", 1.0)
            # A sender that waited for the broker would wait until the test's own time is over.
            assert sender.run() == 0
    finally:
        rabbitmq.resume()
    assert_sent(sender, 4)
    assert ids(rabbitmq.take_all("silent")) == all_of(job)


def test_a_broker_that_falls_silent_between_message_and_confirm_gets_it_again(
    engine: Engine, rabbitmq: RabbitmqServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rabbitmq.declare("doubtful", "doubtful")
    job = submit(engine, "a", "doubtful")
    drain(engine)

    def pausing(composed_for: Job, event: CallbackEvent) -> CallbackMessage | None:
        rabbitmq.pause()
        return compose(composed_for, event)

    try:
        with monkeypatch.context() as patch:
            patch.setattr("indexmill.worker.amqp_publisher._TIMEOUT_SECONDS", 1.0)
            assert sender_of(engine.ledger, rabbitmq, compose=pausing).run() == 0
    finally:
        rabbitmq.resume()
    assert len(pending(engine)) == 4
    assert_sent(sender_of(engine.ledger, rabbitmq), 4)
    arrived = ids(rabbitmq.take_all("doubtful"))
    assert list(dict.fromkeys(arrived)) == all_of(job)


# Exchanges that refuse


def test_a_missing_exchange_delays_its_own_callbacks_only(engine: Engine, rabbitmq: RabbitmqServer) -> None:
    rabbitmq.declare("there", "there")
    missing = [submit(engine, f"m{number}", "not-yet") for number in range(3)]
    there = submit(engine, "t", "there")
    drain(engine)
    sender = sender_of(engine.ledger, rabbitmq)
    assert sender.run() == 4
    assert ids(rabbitmq.take_all("there")) == all_of(there)
    waiting = pending(engine)
    assert {row["exchange"] for row in waiting} == {"not-yet"}
    assert "not-yet" in next(row["problem"] for row in waiting if row["tries"])
    assert sender.run() == 0
    rabbitmq.declare("not-yet", "not-yet")
    due_now(engine)
    assert sender.run() == 12
    arrived = ids(rabbitmq.take_all("not-yet"))
    assert len(arrived) == 12
    for job in missing:
        assert [each for each in arrived if each.startswith(str(job.id))] == all_of(job)


def test_a_refusal_is_borne_for_so_long_and_then_given_up(engine: Engine, rabbitmq: RabbitmqServer) -> None:
    engine.submit(Submission(JobKind.DELETION, "tiny", [Item("a")], callback=callback("nowhere")))
    drain(engine)
    sender = sender_of(engine.ledger, rabbitmq)
    for _ in range(2):
        assert sender.run() == 0
        due_now(engine)
    [waiting] = pending(engine)
    assert waiting["tries"] == 2
    execute(engine, "UPDATE callback_outbox SET refused_at = refused_at - interval '2 h'")
    assert sender.run() == 0
    [given_up] = rows(engine, "SELECT given_up, problem FROM callback_outbox WHERE settled_at IS NOT NULL")
    assert given_up["given_up"]
    assert "nowhere" in given_up["problem"]


def test_progress_that_nobody_listens_to_is_left_out_and_an_end_waits_for_a_queue(
    engine: Engine, rabbitmq: RabbitmqServer
) -> None:
    rabbitmq.declare("selective", "selective", binding="*.*.nothing")
    job = submit(engine, "a", "selective")
    drain(engine)
    sender = sender_of(engine.ledger, rabbitmq)
    assert sender.run() == 0
    [end] = pending(engine)
    assert end["event"] == "done"
    assert "no queue" in end["problem"]
    rabbitmq.declare("selective", "selective", binding="#.done")
    due_now(engine)
    # The confirm of what was returned must not be taken for this one's.
    assert sender.run() == 1
    assert ids(rabbitmq.take_all("selective")) == [f"{job.id}.1.done"]


def test_a_message_that_cannot_be_made_stops_no_other(engine: Engine, rabbitmq: RabbitmqServer) -> None:
    rabbitmq.declare("defect", "defect")
    broken, whole = submit(engine, "a", "defect"), submit(engine, "b", "defect")
    drain(engine)

    def composing(job: Job, event: CallbackEvent) -> CallbackMessage | None:
        if job.id == broken.id:
            raise KeyError("a defect")
        return compose(job, event)

    assert sender_of(engine.ledger, rabbitmq, compose=composing).run() == 4
    assert {each.partition(".")[0] for each in ids(rabbitmq.take_all("defect"))} == {str(whole.id)}
    assert {row["job"] for row in pending(engine)} == {broken.id}


# Senders that die, and several of them

KILLED = """
import os, signal, sys
from functools import partial
from indexmill.dialects.artifacts.callbacks import callback_message
from indexmill.ledger.callbacks import Callbacks
from indexmill.ledger.ledger import open_ledger
from indexmill.settings import DatabaseSettings, Settings
from indexmill.worker.callback_sender import CallbackSender
Callbacks.delivered = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
url, broker = sys.argv[1:]
ledger = open_ledger(url, Settings(database=DatabaseSettings(url=url, direct_url=url)))
CallbackSender(ledger, broker, partial(callback_message, ingest_response=lambda *_: {}), 3600).run()
"""


def test_a_sender_that_is_killed_between_message_and_mark_leaves_it_to_the_next(
    engine: Engine, rabbitmq: RabbitmqServer, database_url: str
) -> None:
    rabbitmq.declare("killed", "killed")
    job = submit(engine, "a", "killed")
    drain(engine)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, database_url, rabbitmq.url], timeout=60, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert rabbitmq.depth("killed") == 1
    sender = sender_of(engine.ledger, rabbitmq)
    assert sender.run() == 0, "it is the dead one's for a while"
    due_now(engine)
    assert sender.run() == 4
    assert ids(rabbitmq.take_all("killed")) == [all_of(job)[0], *all_of(job)]


def test_two_senders_send_each_message_once_and_in_order(
    engine: Engine, rabbitmq: RabbitmqServer, settings: Settings, database_url: str
) -> None:
    rabbitmq.declare("shared", "shared")
    jobs = [submit(engine, f"doc{number}", "shared") for number in range(60)]
    drain(engine)
    ledgers = [open_ledger(database_url, settings) for _ in range(2)]
    sent: list[int] = []
    start = threading.Barrier(2)

    def work(ledger: Ledger) -> None:
        start.wait()
        sender = sender_of(ledger, rabbitmq)
        sent.extend(sender.run() for _ in range(5))

    threads = [threading.Thread(target=work, args=[ledger]) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ledger in ledgers:
        ledger.database.close()
    assert sum(sent) == 240
    arrived = ids(rabbitmq.take_all("shared"))
    assert len(arrived) == 240
    for job in jobs:
        assert [each for each in arrived if each.startswith(str(job.id))] == all_of(job)


def test_the_loop_sends_within_a_second_of_the_end(
    engine: Engine, rabbitmq: RabbitmqServer, settings: Settings
) -> None:
    rabbitmq.declare("quick", "quick")
    configured = settings.model_copy(update={"callbacks": CallbackSettings(amqp_url=rabbitmq.url)})
    [sweep] = callback_sweeps(engine.ledger, configured, compose)
    # Whose turn it is has it within a tick of the loop.
    assert sweep.seconds + sweep_loop._TICK_SECONDS < 1
    loop = SweepLoop(engine.ledger.sweeps, [sweep])
    loop.start()
    try:
        for number in range(3):
            submit(engine, f"doc{number}", "quick")
            drain(engine)
            wait_until(lambda: not pending(engine), 30, "the callbacks to be sent")
    finally:
        loop.stop()
    assert len(rabbitmq.take_all("quick")) == 12


def test_without_a_broker_callbacks_wait(engine: Engine, settings: Settings) -> None:
    assert callback_sweeps(engine.ledger, settings, compose) == []
