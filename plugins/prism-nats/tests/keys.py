"""Keys for servers of a test: certificates of a test CA, nkeys, and the JWTs of an operator."""

from __future__ import annotations

import json
import os
import subprocess
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]

_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


@dataclass(frozen=True)
class Certificates:
    """A CA, what it has signed, and another CA that has signed nothing."""

    folder: Path

    @classmethod
    def made_in(cls, folder: Path) -> Certificates:
        for ca in ("ca", "other-ca"):
            _openssl(folder, f"req -x509 {_NEW_KEY} -days 2 -subj /CN={ca} -keyout {ca}.key -out {ca}.pem")
        for name, alternative in (
            ("server", "IP:127.0.0.1,DNS:nats.test"),
            ("elsewhere", "DNS:nats.elsewhere"),
            ("client", "DNS:proxy"),
            ("stranger", "DNS:proxy"),
        ):
            names = f"-subj /CN={name} -addext subjectAltName={alternative}"
            _openssl(folder, f"req {_NEW_KEY} {names} -keyout {name}.key -out {name}.csr")
            ca = "other-ca" if name == "stranger" else "ca"
            signed = f"-CA {ca}.pem -CAkey {ca}.key -CAcreateserial -copy_extensions copy -out {name}.pem"
            _openssl(folder, f"x509 -req -days 2 -in {name}.csr {signed}")
        return cls(folder)

    def __getitem__(self, name: str) -> str:
        """The path of a file, such as `ca.pem`."""
        return str(self.folder / name)

    def server(self, name: str = "server", **more: str) -> dict[str, str]:
        """The entries of a server that encrypts."""
        files = {"cert_file": f"{name}.pem", "key_file": f"{name}.key", "ca_file": "ca.pem"}
        return {**{f"tls.{key}": json.dumps(self[file]) for key, file in files.items()}, **more}


@dataclass(frozen=True)
class Pair:
    """An nkey: its seed, and the public key."""

    seed: str
    public: str

    @classmethod
    def of(cls, prefix: int) -> Pair:
        """A new one of a kind, `nkeys.PREFIX_BYTE_...`."""
        seed = nkeys.encode_seed(os.urandom(32), prefix)
        return cls(seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode())

    def sign(self, subject: str, name: str, claims: Mapping[str, Any], **more: Any) -> str:
        """A JWT about a public key."""
        now = int(time.time())
        body = {"jti": name, "iat": now, "iss": self.public, "name": name, "sub": subject, **more}
        head = _base64({"typ": "JWT", "alg": "ed25519-nkey"})
        text = f"{head}.{_base64({**body, 'nats': {'version': 2, **claims}})}"
        signature = nkeys.from_seed(bytearray(self.seed.encode())).sign(text.encode())
        return f"{text}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


class Operator:
    """An operator with one account, which signs users."""

    def __init__(self) -> None:
        self.pair = Pair.of(nkeys.PREFIX_BYTE_OPERATOR)
        self.account = Pair.of(nkeys.PREFIX_BYTE_ACCOUNT)
        self.system = Pair.of(nkeys.PREFIX_BYTE_ACCOUNT)

    def server(self) -> dict[str, str]:
        """The entries of a server that knows the account."""
        limits = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
        storage = ("mem_storage", "disk_storage", "streams", "consumer")
        usual = {**dict.fromkeys(limits, -1), "wildcards": True}
        system = self._account(self.system, usual)
        account = self._account(self.account, {**usual, **dict.fromkeys(storage, -1)})
        return {
            "operator": self.pair.sign(self.pair.public, "operator", {"type": "operator"}),
            "system_account": self.system.public,
            "resolver": "MEMORY",
            "resolver_preload": f"{{ {self.account.public}: {account}, {self.system.public}: {system} }}",
        }

    def _account(self, pair: Pair, limits: Mapping[str, Any]) -> str:
        return self.pair.sign(pair.public, "account", {"type": "account", "limits": limits})

    def credentials(self, folder: Path, *, account: Pair | None = None, expires_in: int = 3_600, **claims: Any) -> str:
        """The path of a `.creds` file of a new user."""
        user = Pair.of(nkeys.PREFIX_BYTE_USER)
        limits = {"type": "user", "subs": -1, "data": -1, "payload": -1, **claims}
        jwt = (account or self.account).sign(user.public, "proxy", limits, exp=int(time.time()) + expires_in)
        path = folder / f"{user.public}.creds"
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        )
        return str(path)


def _base64(value: Mapping[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
