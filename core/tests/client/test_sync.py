"""The blocking client."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import prism
import prism.sync
import pytest
from prism import F, Status


@pytest.fixture
def client() -> Iterator[prism.sync.Client]:
    with prism.sync.Client.embedded() as client:
        yield client


def test_every_operation_blocks_until_it_is_done(client: prism.sync.Client) -> None:
    registry = client.registry
    registered = registry.register("a", {"n": 1}, ttl=60)
    assert registry.get("a").revision == registered.revision
    assert len(registry.register_many({"b": {"n": 2}, "c": {"n": 3}})) == 2
    assert [found.identity for found in registry.get_many(["c", "b"])] == ["c", "b"]
    assert [found.identity for found in registry.enumerate(F.n >= 2, sort_by="n desc")] == ["c", "b"]
    assert [[found.identity for found in page] for page in registry.pages(size=2, sort_by="n")] == [["a", "b"], ["c"]]
    assert registry.count({"n.gt": 1}) == 2
    assert registry.explain({"n": 1}).registry == "memory"
    assert registry.update("a", {"n": 5}).metadata == {"n": 5}
    assert registry.heartbeat("a", 100) is not None
    assert len(registry.heartbeat(["a", "b"], 100)) == 2
    result = registry.multicast({"n": 5}, "hi")
    assert [status.status for status in result.statuses] == [Status.FAILED]
    assert registry.get_multicast(result.message_id).failed_count == 1
    assert registry.unregister("a") is True
    assert registry.unregister_many(["b", "nobody"]) == [True, False]


def test_errors_are_the_same(client: prism.sync.Client) -> None:
    with pytest.raises(prism.NotFound):
        client.registry.get("nobody")


def test_an_inbox_is_a_blocking_iterator(client: prism.sync.Client) -> None:
    with client.registry.attach("a", {"x": 1}) as inbox:
        for number in range(150):
            client.registry.multicast(None, {"n": number}, delivery="at-least-once", timeout=0)
        numbers = []
        for message in inbox:
            numbers.append(message.content["n"])
            message.ack()
            if len(numbers) == 150:
                break
        assert numbers == list(range(150))
        assert inbox.identities == ("a",)
    assert client.registry.count() == 0


def test_an_iteration_ends_when_nothing_comes_for_a_while(client: prism.sync.Client) -> None:
    with client.registry.attach("a", {}) as inbox:
        client.registry.multicast(None, "one")
        assert [message.text for message in inbox.messages(timeout=0.2)] == ["one"]


def test_a_message_has_all_attributes(client: prism.sync.Client) -> None:
    with client.registry.attach("a", {}) as inbox:
        client.registry.multicast(None, {"x": 1}, delivery="at-least-once", timeout=0)
        message = inbox.receive(10)
        assert message.identity == "a"
        assert message.json() == message.content == {"x": 1}
        assert message.text == message.payload.decode() == '{"x":1}'
        assert message.content_type == "application/json"
        assert message.sent_at.tzinfo is not None
        assert (message.attempt, message.redelivered, message.gap_before) == (1, False, False)
        message.nack()
        assert inbox.receive(10).id == message.id


def test_receiving_can_time_out(client: prism.sync.Client) -> None:
    with client.registry.attach("a", {}) as inbox, pytest.raises(TimeoutError):
        inbox.receive(0.01)


def test_identities_come_and_go(client: prism.sync.Client) -> None:
    with client.registry.attach({"a": {}}) as inbox:
        inbox.add("b", {})
        inbox.remove("a")
        assert inbox.identities == ("b",)
        assert inbox.registration_id("b")
        assert inbox.refused == {}


def test_a_client_serves_many_threads(client: prism.sync.Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: client.registry.register(f"i{i}", {"n": i}), range(100)))
    assert client.registry.count() == 100


def test_events_are_called_in_the_clients_thread(client: prism.sync.Client) -> None:
    threads: list[str] = []
    called = threading.Event()

    def note(event: prism.InboxEvent) -> None:
        threads.append(threading.current_thread().name)
        called.set()

    with client.registry.attach({"a": {}, "b": {}}, on_event=note):
        client.registry.unregister("a")
        assert called.wait(10)
    assert threads == ["prism client"]


def test_a_blocking_call_from_the_clients_thread_is_refused(client: prism.sync.Client) -> None:
    caught: list[BaseException] = []
    called = threading.Event()

    def call(event: prism.InboxEvent) -> None:
        try:
            client.registry.count()
        except RuntimeError as error:
            caught.append(error)
        called.set()

    with client.registry.attach({"a": {}, "b": {}}, on_event=call):
        client.registry.unregister("a")
        assert called.wait(10)
    assert "would wait for itself" in str(caught[0])


def test_a_closed_client_says_so() -> None:
    client = prism.sync.Client.embedded()
    client.registry.register("a")
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="closed"):
        client.registry.count()


def test_closing_a_client_that_was_never_used_is_fine() -> None:
    client = prism.sync.Client()
    client.close()


def test_a_dropped_client_ends_its_thread() -> None:
    before = set(threading.enumerate())
    client = prism.sync.Client.embedded()
    client.registry.register("a")
    (thread,) = set(threading.enumerate()) - before
    del client
    thread.join(10)
    assert not thread.is_alive()


PROGRAM = """
from prism.sync import Client
client = Client{kind}
client.registry.register("a", {{"x": 1}})
inbox = client.registry.attach("b", {{}})
inbox.__enter__()
client.registry.multicast(None, "x")
print(inbox.receive(10).text)
"""


def test_a_program_that_closes_nothing_ends_without_a_word() -> None:
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(kind=".embedded()")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("x\n", "", 0)
