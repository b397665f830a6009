"""TLS of the relay's own: certificates from files, or one made here (docs/self-hosting.md, "TLS").

A new certificate is tried in a context of its own before it takes the old one's place, so a bad file never
stops a running relay.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_LIFETIME: Final = dt.timedelta(days=3650)


class TlsError(Exception):
    """A certificate or key that cannot be used; one sentence for a person."""


class Certificate:
    """A certificate in files, and the context that serves it."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load it.

        Args:
            certificate: PEM, the leaf first and then its chain.
            key: PEM, without a passphrase.

        Raises:
            TlsError: the files cannot be read, or do not belong together.
        """
        self._certificate, self._key = certificate, key
        self.context = _context(certificate, key)
        self._seen = self._stamps()

    def _stamps(self) -> list[tuple[int, int]]:
        found = [path.stat() for path in (self._certificate, self._key)]
        return [(stat.st_mtime_ns, stat.st_ino) for stat in found]

    def reload(self, *, only_if_changed: bool = False) -> bool:
        """Read the files again; connections from now on get the new certificate.

        Args:
            only_if_changed: do nothing unless a file's time has changed.

        Returns:
            Whether a certificate was loaded.

        Raises:
            TlsError: the files are no good; the old certificate stays.
        """
        try:
            stamps = self._stamps()
        except OSError as problem:
            raise TlsError(f"Cannot read {problem.filename}: {problem.strerror}.") from None
        if only_if_changed and stamps == self._seen:
            return False
        self._seen = stamps
        _context(self._certificate, self._key)
        self.context.load_cert_chain(self._certificate, self._key)
        return True

    def _leaf(self) -> x509.Certificate:
        return x509.load_pem_x509_certificates(self._certificate.read_bytes())[0]

    def pin(self) -> str:
        """The hex SHA-256 of the leaf's SPKI."""
        public = self._leaf().public_key()
        spki = public.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(spki).hexdigest()

    def expires_at(self) -> int:
        """When the leaf expires, seconds since the Unix epoch."""
        return int(self._leaf().not_valid_after_utc.timestamp())


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError as problem:
        words = problem.reason or "not a certificate with its key, in PEM"
        raise TlsError(f"Cannot use {certificate} with {key}: {words}.") from None
    except OSError as problem:
        raise TlsError(f"Cannot read {certificate} and {key}: {problem.strerror}.") from None
    return context


def self_signed(folder: Path, hosts: Sequence[str]) -> Certificate:
    """The relay's own certificate, made at the first call and kept.

    Relays that start at once on one folder agree on one key, whoever's certificate for it stays.

    Args:
        folder: where it is kept, as `tls-self-signed.pem` and `…-key.pem`.
        hosts: names and addresses that it is for.

    Raises:
        TlsError: it cannot be written or read.
    """
    certificate, key = folder / "tls-self-signed.pem", folder / "tls-self-signed-key.pem"
    if not (certificate.exists() and key.exists()):
        try:
            _make(certificate, key, hosts)
        except OSError as problem:
            raise TlsError(f"Cannot write {problem.filename}: {problem.strerror}.") from None
    return Certificate(certificate, key)


def _make(certificate: Path, key: Path, hosts: Sequence[str]) -> None:
    private = _settle_key(key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "AgentNet relay")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    own = _beside(certificate)
    own.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    own.replace(certificate)


def _settle_key(key: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in a file, made where there is none; when another process is first, its key counts."""
    if not key.exists():
        made = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        own = _beside(key)
        with open(own, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(made)
        with contextlib.suppress(FileExistsError):
            os.link(own, key)
        own.unlink()
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (ValueError, TypeError):
        raise TlsError(f"Cannot use {key}: not a private key in PEM.") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise TlsError(f"Cannot use {key}: it was not made by a relay.")
    return private


def _beside(path: Path) -> Path:
    """A file of this process' own, in the same folder."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
