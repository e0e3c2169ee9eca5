"""How a proxy proves who it is, and what is wrong when a server doesn't let it in."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from nats import errors as driver

from prism_nats.config import NatsConfig, TlsConfig
from prism_nats.errors import CertificateWanted, Misconfigured

_JWT = b"BEGIN NATS USER JWT"
_SEED = b"BEGIN USER NKEY SEED"


def check_keys(config: NatsConfig) -> None:
    """Reads what signs the login before any server is asked.

    Raises:
        Misconfigured: a file can't be read, isn't what it should be, or the library for it is missing.
    """
    if config.credentials is not None:
        content = _read("credentials", config.credentials)
        for mark, what in ((_JWT, "user JWT"), (_SEED, "user seed")):
            if mark not in content:
                text = f"credentials: {config.credentials} has no {what}; give a .creds file as nsc writes them"
                raise Misconfigured(text)
        _, _, behind = content.partition(_SEED)
        lines = behind.split(b"\n", 2)
        _check_seed("credentials", lines[1].strip() if len(lines) > 1 else b"")
    if config.nkey_seed is not None:
        _check_seed("nkey_seed", config.nkey_seed.get_secret_value().strip().encode())


def tls_context(config: TlsConfig) -> ssl.SSLContext:
    """How to encrypt.

    Raises:
        Misconfigured: a file of `tls` can't be read, or isn't PEM.
    """
    for name in ("ca", "cert", "key"):
        path = getattr(config, name)
        if path is not None:
            _read(f"tls.{name}", path)
    try:
        context = ssl.create_default_context(cafile=config.ca)
    except ssl.SSLError as error:
        raise Misconfigured(f"tls.ca: {config.ca} has no certificate in PEM form ({error})") from error
    if config.cert is not None:
        try:
            context.load_cert_chain(config.cert, config.key)
        except ssl.SSLError as error:
            text = f"tls.cert, tls.key: {config.cert} and {config.key} aren't a certificate and its key in PEM form"
            raise Misconfigured(f"{text} ({error})") from error
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def explained(config: NatsConfig, failures: Sequence[tuple[str, Exception]]) -> Exception | None:
    """The failure that tells most about why no server could be connected to, of pairs of server and failure.

    One that trying again can't help goes before a server that can't be reached. None where nothing failed.
    """
    for server, error in failures:
        reason = _reason(config, error)
        if reason is not None:
            explanation = Misconfigured(f"NATS server {server} {reason}")
            explanation.__cause__ = error
            return explanation
    return failures[-1][1] if failures else None


def _reason(config: NatsConfig, error: Exception) -> str | None:
    """What a server or the encryption doesn't accept, and what to change; None for other failures."""
    text = str(error).lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        if "hostname mismatch" in text or "ip address mismatch" in text:
            return f"has a certificate for another name ({what}): connect by its name, or give it as tls.hostname"
        return f"has a certificate that isn't trusted ({what}): give the file of its CA as tls.ca"
    if isinstance(error, CertificateWanted):
        if config.tls is None or config.tls.cert is None:
            return "asks for a client certificate: give tls.cert and tls.key"
        return f"asks for a client certificate and doesn't accept tls.cert ({config.tls.cert}): have its CA sign one"
    if isinstance(error, ssl.SSLError):
        return f"can't be encrypted with ({error.reason}): check tls and tls.handshake_first against the server's"
    if isinstance(error, driver.SecureConnWantedError):
        return "doesn't encrypt, and the configuration asks for it: set up TLS there, or leave out tls and tls://"
    if isinstance(error, driver.AuthorizationError) or "authorization" in text or "authentication" in text:
        return f"refuses the login ({str(error).removeprefix('nats: ')}): {_advice(config)}"
    return None


def _advice(config: NatsConfig) -> str:
    if config.user is not None:
        return f"check user ({config.user!r}) and password"
    if config.token is not None:
        return "check token"
    if config.credentials is not None:
        return f"check that the user in credentials ({config.credentials}) is valid, and its account known"
    if config.nkey_seed is not None:
        return "check that the server knows the public key of nkey_seed"
    if any("@" in url for url in config.servers):
        return "check the login in servers"
    return "it asks for one; give user and password, token, credentials or nkey_seed"


def _read(option: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Misconfigured(f"{option}: {path} can't be read: {error.strerror}") from error


def _check_seed(option: str, seed: bytes) -> None:
    try:
        import nkeys  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, for logins by keys
    except ImportError as error:
        fix = "from a checkout of Prism: pip install './plugins/prism-nats[nkeys]'"
        raise Misconfigured(f"{option} needs another library; {fix}") from error
    try:
        nkeys.from_seed(bytearray(seed)).wipe()
    except Exception as error:  # noqa: BLE001 - nkeys raises what base64, struct and its own code raise
        text = f"{option}: the seed isn't one ({type(error).__name__}); it begins with SU and has 58 characters"
        raise Misconfigured(text) from None
