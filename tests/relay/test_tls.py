"""The relay's own certificate: made once, whole, and one for all who start on a folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from relay.tls import TlsError, self_signed

HOSTS = ["localhost", "127.0.0.1"]
KEY = "tls-self-signed-key.pem"


def test_a_certificate_is_made_once_and_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    pin = self_signed(tmp_path, HOSTS).pin()
    assert self_signed(tmp_path, ["other.example"]).pin() == pin
    assert sorted(path.name for path in tmp_path.iterdir()) == [KEY, "tls-self-signed.pem"]
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600


def test_relays_that_start_at_once_on_one_folder_agree_on_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, pins = ec.generate_private_key, list[str]()

    def after_another(curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
        monkeypatch.setattr(ec, "generate_private_key", make)
        pins.append(self_signed(tmp_path, HOSTS).pin())  # has looked for the key later, and written it sooner
        return make(curve)

    monkeypatch.setattr(ec, "generate_private_key", after_another)
    pins.append(self_signed(tmp_path, HOSTS).pin())
    assert pins[0] == pins[1]


def test_a_key_whose_certificate_is_gone_keeps_its_pin(tmp_path: Path) -> None:
    pin = self_signed(tmp_path, HOSTS).pin()
    (tmp_path / "tls-self-signed.pem").unlink()
    assert self_signed(tmp_path, HOSTS).pin() == pin


def test_a_key_that_is_none_or_not_a_relays_is_named(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(b"half a key")
    with pytest.raises(TlsError, match=f"{KEY}: not a private key"):
        self_signed(tmp_path, HOSTS)
    foreign = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / KEY).write_bytes(foreign)
    with pytest.raises(TlsError, match=f"{KEY}: it was not made by a relay"):
        self_signed(tmp_path, HOSTS)
