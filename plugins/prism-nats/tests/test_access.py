"""Logging in and encrypting, each way on a server that asks for it; what isn't permitted is an error, never silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
import pytest
from prism.config import load_config
from prism.coordinator.coordinator import Coordinator
from prism.model.errors import InvalidConfig
from prism.model.message import DeliverySemantics, Message, new_message_id
from prism.model.time import SECOND
from prism.slots.context import Code, Failure
from prism.slots.durability import Enqueued, Settled
from prism.slots.messaging import Publication, Published, PublishOutcome, Received, Topic, TopicKind
from prism_conformance.servers import Server

from .conftest import Slots
from .keys import Certificates, Operator, Pair

Start = Callable[..., Server]
INBOX = Topic(TopicKind.INBOX, "proxy")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.made_in(tmp_path_factory.mktemp("certificates"))


async def works(server: Server, slots: Slots, **options: Any) -> None:
    """Sends and receives, stores and reads, with these options."""
    messaging = await slots.messaging(server, **options)
    async with await messaging.subscribe() as subscription:
        await subscription.add([INBOX])
        assert await messaging.publish(Publication(b"sent"), [INBOX]) == [Published()]
        async with asyncio.timeout(10):
            assert await anext(aiter(subscription)) == [Received(INBOX, Publication(b"sent"))]
    durability = await slots.durability(server, **options)
    await durability.create(["alice"])
    message = Message(new_message_id(), b"stored", "text/plain", 1, DeliverySemantics.AT_LEAST_ONCE, "proxy 1")
    assert await durability.enqueue(message, ["alice"]) == [Enqueued()]
    leases = await durability.dequeue(["alice"], 1, 60 * SECOND)
    assert [lease.content for lease in leases] == [message]
    assert await durability.ack(leases) == [Settled()]


async def refusal(server: Server, slots: Slots, **options: Any) -> str:
    """What opening either slot says, which both call a wrong configuration."""
    said = set()
    for open_slot in (slots.messaging, slots.durability):
        with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, `classify` must know it
            await open_slot(server, **options)
        assert slots.opened[-1].classify(caught.value) is Code.INVALID_CONFIG, repr(caught.value)
        said.add(str(caught.value))
    (text,) = said
    return text


async def started(start_server: Start, **config: str) -> Server:
    entries = {key.replace("__", "."): value for key, value in config.items()}
    return await asyncio.to_thread(start_server, "nats", config=entries)


async def test_user_and_password(start_server: Start, slots: Slots) -> None:
    server = await started(start_server, authorization__user="proxy", authorization__password="secret")
    await works(server, slots, user="proxy", password="secret")
    address, advice = f"127.0.0.1:{server.port}", "check user ('proxy') and password"
    text = await refusal(server, slots, user="proxy", password="wrong")
    assert text == f"NATS server {address} refuses the login ('Authorization Violation'): {advice}"
    assert "give user and password, token, credentials or nkey_seed" in await refusal(server, slots)


async def test_login_in_the_url(start_server: Start, slots: Slots) -> None:
    server = await started(start_server, authorization__user="proxy", authorization__password="secret")
    await works(server, slots, servers=(f"nats://proxy:secret@127.0.0.1:{server.port}",))
    text = await refusal(server, slots, servers=(f"nats://proxy:wrong@127.0.0.1:{server.port}",))
    assert "check the login in servers" in text
    assert "wrong" not in text


async def test_token(start_server: Start, slots: Slots) -> None:
    server = await started(start_server, authorization__token="secret")
    await works(server, slots, token="secret")
    assert (await refusal(server, slots, token="wrong")).endswith("check token")


async def test_nkey(start_server: Start, slots: Slots) -> None:
    known, unknown = Pair.of(nkeys.PREFIX_BYTE_USER), Pair.of(nkeys.PREFIX_BYTE_USER)
    server = await started(start_server, authorization__users=f"[{{ nkey: {known.public} }}]")
    await works(server, slots, nkey_seed=known.seed)
    assert "public key of nkey_seed" in await refusal(server, slots, nkey_seed=unknown.seed)
    assert "nkey_seed: the seed isn't one" in await refusal(server, slots, nkey_seed=known.seed[:-2])
    assert known.seed not in await refusal(server, slots, nkey_seed=known.seed[:-2])


async def test_credentials(start_server: Start, slots: Slots, tmp_path: Path) -> None:
    operator, stranger = Operator(), Pair.of(nkeys.PREFIX_BYTE_ACCOUNT)
    server = await started(start_server, **operator.server())
    await works(server, slots, credentials=operator.credentials(tmp_path))
    for wrong in (
        operator.credentials(tmp_path, account=stranger),
        operator.credentials(tmp_path, expires_in=-60),
    ):
        assert f"check that the user in credentials ({wrong})" in await refusal(server, slots, credentials=wrong)


async def test_credentials_that_are_none(start_server: Start, slots: Slots, tmp_path: Path) -> None:
    server = await started(start_server, **Operator().server())
    assert "none.creds can't be read: No such file" in await refusal(
        server, slots, credentials=str(tmp_path / "none.creds")
    )
    empty = tmp_path / "empty.creds"
    empty.write_text("")
    assert f"{empty} has no user JWT" in await refusal(server, slots, credentials=str(empty))
    no_seed = tmp_path / "seedless.creds"
    no_seed.write_text("-----BEGIN NATS USER JWT-----\nx\n-----BEGIN USER NKEY SEED-----\nSUX\n")
    assert "credentials: the seed isn't one" in await refusal(server, slots, credentials=str(no_seed))


async def test_encryption(start_server: Start, slots: Slots, certificates: Certificates) -> None:
    server = await started(start_server, **certificates.server())
    await works(server, slots, tls={"ca": certificates["ca.pem"]})
    await works(server, slots, tls={"ca": certificates["ca.pem"], "hostname": "nats.test"})
    await works(server, slots, tls={"verify": False})
    for tls in (None, {"ca": certificates["other-ca.pem"]}):
        text = await refusal(server, slots, tls=tls)
        assert "isn't trusted" in text
        assert "tls.ca" in text
    wrong_name = await refusal(server, slots, tls={"ca": certificates["ca.pem"], "hostname": "nats.elsewhere"})
    assert "tls.hostname" in wrong_name


async def test_encryption_before_the_first_word(start_server: Start, slots: Slots, certificates: Certificates) -> None:
    server = await started(start_server, **certificates.server(), tls__handshake_first="true")
    tls = {"ca": certificates["ca.pem"]}
    await works(server, slots, tls={**tls, "handshake_first": True})


async def test_certificate_for_another_name(start_server: Start, slots: Slots, certificates: Certificates) -> None:
    server = await started(start_server, **certificates.server("elsewhere"))
    assert "certificate for another name" in await refusal(server, slots, tls={"ca": certificates["ca.pem"]})
    await works(server, slots, tls={"ca": certificates["ca.pem"], "hostname": "nats.elsewhere"})


async def test_client_certificate(start_server: Start, slots: Slots, certificates: Certificates) -> None:
    server = await started(start_server, **certificates.server(), tls__verify="true")
    ca = {"ca": certificates["ca.pem"]}
    await works(server, slots, tls={**ca, "cert": certificates["client.pem"], "key": certificates["client.key"]})
    assert "give tls.cert and tls.key" in await refusal(server, slots, tls=ca)
    stranger = {**ca, "cert": certificates["stranger.pem"], "key": certificates["stranger.key"]}
    assert "doesn't accept tls.cert" in await refusal(server, slots, tls=stranger)
    mixed = {**ca, "cert": certificates["client.pem"], "key": certificates["server.key"]}
    assert "tls.cert, tls.key" in await refusal(server, slots, tls=mixed)


async def test_file_that_is_no_certificate(nats_server: Server, slots: Slots, certificates: Certificates) -> None:
    assert "tls.ca: " in await refusal(nats_server, slots, tls={"ca": certificates["ca.key"]})
    assert "can't be read" in await refusal(nats_server, slots, tls={"ca": "/no/such/file"})


@pytest.mark.parametrize("way", ["tls", "url"])
async def test_server_that_does_not_encrypt_hears_nothing(
    start_server: Start, slots: Slots, certificates: Certificates, way: str
) -> None:
    server = await started(start_server, authorization__token="secret", trace="true")
    url = {"servers": (f"tls://127.0.0.1:{server.port}",)}
    options = {"tls": {"ca": certificates["ca.pem"]}} if way == "tls" else url
    assert "doesn't encrypt" in await refusal(server, slots, token="secret", **options)
    assert "[CONNECT" not in server.log_tail(10_000)


async def test_first_server_down_and_the_second_refusing_is_told_as_refused(start_server: Start, slots: Slots) -> None:
    server = await started(start_server, authorization__token="secret")
    text = await refusal(server, slots, servers=("nats://127.0.0.1:9", server.url), token="wrong")
    assert "check token" in text


async def test_refused_login_is_told_as_such_every_time(start_server: Start, slots: Slots) -> None:
    server = await started(start_server, authorization__user="proxy", authorization__password="secret")
    for _ in range(10):
        assert "check user" in await refusal(server, slots, user="proxy", password="wrong")


async def test_configuration_with_a_refused_login_fails_the_start(start_server: Start) -> None:
    server = await started(start_server, authorization__token="secret")
    slot = {"type": "nats", "servers": [server.url], "token": "wrong"}
    slots = {"registry": {"type": "memory"}, "messaging": slot}
    config = load_config({"namespaces": [{"name": "room", "pattern": "multicast-registry", "backend_slots": slots}]})
    with pytest.raises(InvalidConfig, match=r"messaging slot \(nats\) of namespace 'room'.*check token"):
        async with Coordinator(config):
            pass


USERS = """[
  {user: full, password: full}
  {user: few, password: few, permissions: {
    publish: ["_INBOX.>", "*.room.inbox.>", "*.room.to.allowed"]
    subscribe: ["_INBOX.>", "*.room.inbox.>", "*.room.to.allowed"]
  }}
  {user: mute, password: mute, permissions: {publish: ["_INBOX.>"], subscribe: [">"]}}
  {user: deaf, password: deaf, permissions: {publish: [">"], subscribe: ["_INBOX.>"]}}
  {user: none, password: none, permissions: {publish: ["a"], subscribe: ["a"]}}
  {user: core, password: core, permissions: {publish: ["_INBOX.>", "*.room.>"], subscribe: ["_INBOX.>", "*.room.>"]}}
]"""


@pytest.fixture
async def guarded(start_server: Start) -> Server:
    config = {"authorization.users": USERS, "no_auth_user": "full"}
    return await asyncio.to_thread(start_server, "nats", config=config)


@pytest.mark.parametrize(
    ("user", "forbidden"),
    [
        ("mute", "publish to .*room.inbox"),
        ("deaf", "subscription to .*room.inbox"),
        ("none", "(publish|subscription) to .*_inbox"),
    ],
)
async def test_permissions_that_are_too_narrow_fail_the_opening(
    guarded: Server, slots: Slots, user: str, forbidden: str
) -> None:
    with pytest.raises(Exception, match=f"(?i)permissions violation for {forbidden}.*needs") as caught:
        await slots.messaging(guarded, user=user, password=user)
    assert slots.opened[-1].classify(caught.value) is Code.INVALID_CONFIG


async def test_permissions_without_jetstream_fail_the_opening_of_durability(guarded: Server, slots: Slots) -> None:
    await slots.messaging(guarded, user="core", password="core")
    with pytest.raises(Exception, match=r"(?i)permissions violation for publish to .*\$js.api.*needs") as caught:
        await slots.durability(guarded, user="core", password="core")
    assert slots.opened[-1].classify(caught.value) is Code.INVALID_CONFIG


async def test_what_is_not_permitted_is_refused(guarded: Server, slots: Slots) -> None:
    slot = await slots.messaging(guarded, user="few", password="few")
    allowed, forbidden = Topic(TopicKind.IDENTITY, "allowed"), Topic(TopicKind.IDENTITY, "forbidden")
    async with await slot.subscribe() as subscription:
        await subscription.add([allowed])
        assert await slot.publish(Publication(b"x"), [allowed]) == [Published()]
        with pytest.raises(Exception, match=r"(?i)permissions violation for subscription.*forbidden") as caught:
            await subscription.add([forbidden])
        assert slot.classify(caught.value) is Code.INVALID_CONFIG
        outcomes = await slot.publish(Publication(b"x"), [forbidden, allowed])
        assert outcomes[1] == Published()
        assert_denied(outcomes[0])


def assert_denied(outcome: PublishOutcome) -> None:
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, InvalidConfig)
    assert "ermissions Violation for Publish to" in outcome.error.message


async def test_of_many_publications_those_that_are_not_permitted_fail(guarded: Server, slots: Slots) -> None:
    slot = await slots.messaging(guarded, user="few", password="few")
    names = [f"Forbidden-{i}" for i in range(5_000)]
    names[2_500] = "allowed"
    outcomes = await slot.publish(Publication(b"x"), [Topic(TopicKind.IDENTITY, name) for name in names])
    assert outcomes.pop(2_500) == Published(0)
    for outcome in outcomes:
        assert_denied(outcome)


async def test_server_without_jetstream_is_named(start_server: Start, slots: Slots) -> None:
    server = await started(start_server, authorization__token="secret", jetstream__enabled="false")
    with pytest.raises(Exception, match="JetStream") as caught:
        await slots.durability(server, token="secret", timeout=0.5)
    assert "enable" in str(caught.value)
