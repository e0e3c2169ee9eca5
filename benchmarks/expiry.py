"""50,000 registrations that run out at once, swept by four proxies: how long until the last is announced."""

from __future__ import annotations

import asyncio
import secrets

from prism.plugins.spec import SlotKind
from prism_conformance.servers import Run
from prism_conformance.together.backends import BACKENDS, shared_options
from prism_conformance.together.expiries import Swept, expire_together
from prism_conformance.together.mixes import EMBEDDED, Mix, configuration

from benchmarks.harness import Report, quick

PROXIES = 4


async def swept(mix: Mix, count: int) -> Swept:
    """One mass expiry on fresh slots."""
    options = {**await shared_options(mix.types), EMBEDDED: {"store": secrets.token_hex(8)}}
    found = await expire_together(configuration(mix, options), count, PROXIES)
    assert set(found.announced.values()) == {1}, "an expiry was announced twice"
    assert len(found.announced) == count + 1
    return found


def main() -> None:
    """Measures all backends that fill the registry."""
    report = Report("expiry")
    count = 2_000 if quick() else 50_000
    mixes = [Mix(EMBEDDED, EMBEDDED, EMBEDDED)]
    mixes += [Mix(name, "redis", name) for name, backend in BACKENDS.items() if backend.fills(SlotKind.REGISTRY)]
    try:
        for mix in mixes:
            found = asyncio.run(swept(mix, count))
            rate = count / found.seconds
            report.rounds[str(mix)] = [found.seconds]
            report.add(f"{count:,} expiries, {PROXIES} proxies, {mix.registry} with queues", rate, "expiries/s")
            busy = sum(share > 0 for share in found.shares)
            report.add(f"proxies that took part, {mix.registry}", busy, "proxies")
    finally:
        Run.current().close()
    report.write()


if __name__ == "__main__":
    main()
