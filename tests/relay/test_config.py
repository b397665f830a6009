"""Every setting of the relay, in every place that it can stand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from relay.cli import _config, _parser
from relay.config import TABLES, Config, option_types
from relay.limits import Limits

OTHERS: dict[str, Any] = {
    "host": "::1",
    "port": 1234,
    "name": "Another",
    "public_url": ("wss://a.example", "wss://b.example"),
    "auth": ("local", "oidc"),
    "open_registration": True,
    "tls_cert": "cert.pem",
    "tls_key": "key.pem",
    "tls_self_signed": True,
    "metrics_port": 9464,
    "nats": "nats://127.0.0.1:4222",
    "max_message_bytes": 8192,
    "heartbeat_interval": 10.0,
    "idle_timeout": 100.0,
    "authentication_timeout": 3.0,
    "expiry_grace": 4.0,
    "refusal_delay": 0.5,
    "drain": 7.0,
    "compression": True,
    "wipe_memory": True,
    "trusted_proxies": ("192.0.2.0/24", "::1"),
    "log_format": "json",
    "log_level": "debug",
    "log_addresses": True,
    **{f"limits.{name}": kind(7) for name, kind in option_types(Limits).items()},
    "firebase.project": "a-project",
    "firebase.keys_url": "https://keys.example",
    "firebase.emulator": True,
    "oidc.issuer": "https://issuer.example",
    "oidc.audience": "a-client",
    "oidc.agent_claim": "agent",
    "oidc.algorithms": ("ES256", "PS256"),
}
COMPANIONS: dict[str, Any] = {  # what a setting needs beside it
    "tls_cert": {"tls_key": "key.pem"},
    "tls_key": {"tls_cert": "cert.pem"},
    "auth": {"oidc.issuer": "https://issuer.example", "oidc.audience": "a-client"},
}


def settings() -> set[str]:
    """Every setting there is, but for the data folder's place."""
    found = set(option_types()) - set(TABLES) - {"data_dir"}
    return found | {f"{table}.{key}" for table, struct in TABLES.items() for key in option_types(struct)}


def value_of(config: Config, setting: str) -> Any:
    table, _, key = setting.rpartition(".")
    return getattr(getattr(config, table) if table else config, key)


def test_the_table_of_settings_below_is_whole() -> None:
    assert set(OTHERS) == settings()
    assert not [name for name in OTHERS if OTHERS[name] == value_of(Config(), name)]


def written(**values: Any) -> str:
    """Settings as a file, those of tables as `table.key`."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


@pytest.mark.parametrize("place", ["file", "variable", "option"])
@pytest.mark.parametrize("setting", sorted(OTHERS))
def test_a_setting_can_stand_in_the_file_the_environment_and_the_command(
    setting: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("AGENTNET_RELAY_")]:
        monkeypatch.delenv(variable)
    value, file = OTHERS[setting], dict(COMPANIONS.get(setting, {}))
    text = ",".join(value) if isinstance(value, tuple) else json.dumps(value).strip('"')
    given: list[str] = []
    if place == "file":
        file[setting] = value
    elif place == "variable":
        monkeypatch.setenv("AGENTNET_RELAY_" + setting.replace(".", "_").upper(), text)
    else:
        option = "--" + setting.replace(".", "-").replace("_", "-")
        given = [option] if value is True else [f"{option}={text}"]
    (tmp_path / "relay.toml").write_text(written(**file))
    config = _config(_parser().parse_args(["config", "print", "--data-dir", str(tmp_path), *given]))
    assert value_of(config, setting) == value
    assert [name for name in OTHERS if value_of(config, name) != value_of(Config(), name)] == [
        name for name in OTHERS if name in {setting, *file}
    ]


def test_a_flag_can_be_taken_back_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "relay.toml").write_text("compression = true\n")
    chosen = _parser().parse_args(["check", "--data-dir", str(tmp_path), "--no-compression"])
    assert _config(chosen).compression is False
