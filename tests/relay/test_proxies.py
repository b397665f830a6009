"""The recipes of packaging/proxy, run for real: TLS from a certificate authority of our own, on high ports."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.exceptions import InvalidStatus

from agentnet_desktop.crypto.keys import IdentityKey
from agentnet_desktop.transport import dial
from agentnet_desktop.transport.signals import State
from tests.processes import ROOT, Lines, end, real_part
from tests.relay.conftest import Net, invite_code
from tests.transport.test_with_relay import connected, local_tokens

NAME = "relay.example.org"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True)
class Authority:
    """A certificate authority's certificate, and what it issued to localhost."""

    root: Path
    chain: Path
    key: Path


def issued(folder: Path) -> Authority:
    """Make an authority that is trusted by nobody, and a certificate of it for this machine."""
    now, root_key, key = dt.datetime.now(dt.UTC), *(ec.generate_private_key(ec.SECP256R1()) for _ in "ab")
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Our root", "localhost")]

    def certificate(name: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool) -> bytes:
        hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(names[0])
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
            .sign(root_key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    found = Authority(folder / "root.pem", folder / "chain.pem", folder / "key.pem")
    found.root.write_bytes(certificate(names[0], root_key.public_key(), ca=True))
    found.chain.write_bytes(certificate(names[1], key.public_key(), ca=False))
    found.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return found


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """The recipe with names and places of this test; each must have stood there."""
    for old, new in pairs:
        assert old in text, f"the recipe has no {old!r} any more"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, relay: int, authority: Authority) -> list[str]:
    """The command that runs the nginx recipe."""
    recipe = replaced(
        (ROOT / "packaging" / "proxy" / "nginx.conf").read_text(),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("    listen [::]:443 ssl;\n", ""),
        (NAME + ";", "localhost;"),
        (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(authority.chain)),
        (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(authority.key)),
        ("127.0.0.1:8765;", f"127.0.0.1:{relay};"),
    )
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {places}\n{recipe}\n}}\n"
    )
    return [
        real_part("nginx", "nginx"),
        "-p",
        str(folder),
        "-e",
        f"{folder}/error.log",
        "-c",
        f"{folder}/nginx.conf",
    ]


def caddy(folder: Path, port: int, relay: int, authority: Authority) -> list[str]:
    """The command that runs the Caddy recipe."""
    recipe = replaced(
        (ROOT / "packaging" / "proxy" / "Caddyfile").read_text(),
        (f"\n{NAME} {{", f"\nlocalhost:{port} {{\n\tbind 127.0.0.1\n\ttls {authority.chain} {authority.key}"),
        ("reverse_proxy 127.0.0.1:8765", f"reverse_proxy 127.0.0.1:{relay}"),
    )
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
    (folder / "Caddyfile").write_text(options + recipe)
    return [real_part("caddy", "caddy"), "run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"]


@contextlib.contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Run a proxy, until it takes connections and then as long as it is wanted."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
    )
    assert process.stdout is not None
    said = Lines(process.stdout)
    try:
        deadline = time.monotonic() + 20
        while not listens(port):  # neither says when it is ready
            assert process.poll() is None, said.rest()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield
    finally:
        end(process)
        said.rest()


def listens(port: int) -> bool:
    """Whether something takes connections on a port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class Proxied:
    """A relay behind a proxy.

    Attributes:
        net: its agents, who know only the proxy's address.
        authority: who has vouched for the proxy.
    """

    net: Net
    authority: Authority

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority.root))


@pytest.fixture(params=[nginx, caddy], ids=["nginx", "caddy"])
async def proxied(
    request: pytest.FixtureRequest, start_net: Callable[..., Net], tmp_path: Path
) -> AsyncIterator[Proxied]:
    authority, port = issued(tmp_path), free_port()
    url = f"wss://localhost:{port}"
    net = start_net(
        "--public-url", url, "--trusted-proxies", "127.0.0.1", "--limits-address-connections-burst", "2"
    )
    command = request.param(tmp_path, port, net.relay.port, authority)
    with running(command, tmp_path, port):
        net.relay.url = url
        yield Proxied(net, authority)
        await net.close()


async def test_an_agent_enrols_and_works_through_the_recipe(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = proxied.net.relay
    monkeypatch.setattr(dial, "_trust", lambda: proxied.trust)
    assert f"relay=wss%3A%2F%2Flocalhost%3A{relay.url.rpartition(':')[2]}" in relay.invite_link
    tokens = local_tokens(
        relay,
        "alice",
        IdentityKey.from_seed(os.urandom(32)),
        enrolled=False,
        invite=invite_code(relay.invite_link),
    )
    async with connected(relay, tokens) as desk:
        await desk.reaches(State.CONNECTED)
        await desk.until(lambda: desk.client.status.round_trip_ms is not None)


async def test_limits_count_for_the_client_and_not_for_what_it_claims(proxied: Proxied) -> None:
    async def come(number: int, address: str) -> None:
        claimed = {"X-Forwarded-For": f"192.0.2.{number}"}
        client = await proxied.net.join(
            f"agent-{number}", ssl=proxied.trust, local_addr=(address, 0), headers=claimed
        )
        await client.settled()

    await come(1, "127.0.0.2")
    await come(2, "127.0.0.2")
    with pytest.raises(InvalidStatus) as refused:
        await come(3, "127.0.0.2")
    assert refused.value.response.status_code == 429
    await come(3, "127.0.0.3")


async def test_the_recipe_passes_on_nothing_but_the_endpoint(proxied: Proxied) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await proxied.net.join("alice", ssl=proxied.trust, path="/metrics")
    assert refused.value.response.status_code == 404
