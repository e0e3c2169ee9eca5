"""Apache Kafka without ZooKeeper: one node that is broker and controller, quick to start from a formatted folder."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from prism_conformance.servers.cache import build_once, cache_folder
from prism_conformance.servers.control import Control
from prism_conformance.servers.errors import InstallFailed
from prism_conformance.servers.install import Installed, install
from prism_conformance.servers.kafka_protocol import Kafka
from prism_conformance.servers.pins import KAFKA
from prism_conformance.servers.recipe import Place, Process, Recipe, Settings
from prism_conformance.servers.run import Run

_CLUSTER_ID = "cHJpc20tdGVzdC1zZXJ2ZQ"
_FORMAT_TIMEOUT_S = 120.0
_READY_TOPIC = "prism-ready"
_ARCHIVE = "classes.jsa"

_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # which would leave a file in the system's temporary folder
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)

_PROPERTIES: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "2000",  # a killed broker is itself again after this
    "log.cleaner.dedupe.buffer.size": "4194304",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
}


class KafkaServer(Recipe):
    """One node. What it acknowledges is in a file, so `durable` changes nothing for a killed process.

    A configuration that replaces `listeners` keeps `PLAINTEXT://127.0.0.1:{client}` and
    `CONTROLLER://127.0.0.1:{controller}` in it, as they stand here: the ports are put in.
    """

    kind = "kafka"
    summary = "Apache Kafka, one broker"
    pin = KAFKA
    ports = 2
    start_timeout_s = 60.0
    stop_grace_s = 30.0

    def install(self) -> Installed:
        """Fetches the jars, then formats a data folder and archives the loaded classes, once for all starts."""
        installed = install(self.pin)
        template = cache_folder() / f"{self.pin.name}-{self.pin.version}-template"
        return Installed(build_once(template, lambda part: self._prepare(installed, part)), installed.binary)

    def _prepare(self, installed: Installed, part: Path) -> None:
        place = Place("node0", part, (1, 2))
        properties = self._write_properties(place, {})
        argv = _java(installed, "kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties))
        try:
            done = subprocess.run(  # noqa: S603 - our own arguments
                argv, cwd=part, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InstallFailed(f"kafka: its storage could not be formatted: {error}") from error
        if done.returncode:
            raise InstallFailed(f"kafka: {' '.join(argv[-6:])}: exit {done.returncode}: {done.stderr[-2000:]}")
        self._archive_classes(installed, part)

    def _archive_classes(self, installed: Installed, part: Path) -> None:
        """Runs a broker once and keeps what it loaded: later ones start in half the time."""
        with Run.current().lease() as lease:
            folder = Path(lease.request("folder", name="kafka-archive")["folder"])
            place = Place("node0", folder / "node0", tuple(lease.request("ports", count=self.ports)["ports"]))
            shutil.copytree(part / "data", place.folder / "data")
            archive = f"-XX:ArchiveClassesAtExit={part / _ARCHIVE}"
            process = Process(_java(installed, "kafka.Kafka", str(self._write_properties(place, {})), jvm=(archive,)))
            control = Control(self, Settings(), lease, (place,), (process,))
            control.spawn([place])
            control.wait_ready(self.probe, [place])
            control.stop()

    def lay_out(self, installed: Installed, places: Sequence[Place], settings: Settings) -> list[Process]:
        """Copies the formatted folder and writes `server.properties`."""
        archive = f"-XX:SharedArchiveFile={installed.folder / _ARCHIVE}"
        processes = []
        for place in places:
            shutil.copytree(installed.folder / "data", place.folder / "data")
            properties = self._write_properties(place, settings.config)
            processes.append(Process(_java(installed, "kafka.Kafka", str(properties), jvm=(archive,))))
        return processes

    def _write_properties(self, place: Place, config: Mapping[str, str]) -> Path:
        client, controller = place.ports
        entries = {
            **_PROPERTIES,
            "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client}",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(place.folder / "data"),
            **{key: _with_ports(value, place) for key, value in config.items()},
        }
        path = place.folder / "server.properties"
        path.write_text("".join(f"{key}={value}\n" for key, value in entries.items()))
        return path

    def probe(self, places: Sequence[Place], _settings: Settings) -> None:
        """Creates a topic, stores a record in it, and deletes it."""
        for place in places:
            with Kafka(place.ports[0]) as kafka:
                kafka.create_topic(_READY_TOPIC)
                kafka.produce(_READY_TOPIC, b"ready")
                kafka.delete_topic(_READY_TOPIC)

    def url(self, places: Sequence[Place], _settings: Settings) -> str:
        """Returns the bootstrap servers, `127.0.0.1:port`, which is what Kafka's clients take."""
        return ",".join(f"127.0.0.1:{place.ports[0]}" for place in places)


def _with_ports(value: str, place: Place) -> str:
    """An entry of a test's configuration, which may name the node's ports as `{client}` and `{controller}`."""
    client, controller = place.ports
    return value.replace("{client}", str(client)).replace("{controller}", str(controller))


def _java(installed: Installed, main: str, *arguments: str, jvm: Sequence[str] = ()) -> tuple[str, ...]:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise InstallFailed("kafka needs Java 17 or later: `apt-get install openjdk-17-jre`, or set JAVA_HOME.")
    # Spelt out and sorted: an archive of classes is only good for the class path it was made with.
    jars = ":".join(str(jar) for jar in sorted(installed.binary.glob("*.jar")))
    return (java, *_JVM, *jvm, "-cp", jars, main, *arguments)


RECIPES: tuple[Recipe, ...] = (KafkaServer(),)
