"""What packaging ships beside the relay agrees with the relay: dashboard, settings of service and container."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from relay.config import load
from relay.metrics import Counters, render
from tests.processes import ROOT

DASHBOARD = json.loads((ROOT / "packaging" / "grafana" / "agentnet-relay.json").read_text())


def exposed() -> dict[str, str]:
    """Each metric's name with its kind, as Prometheus reads them."""
    counters = Counters()
    counters.error("MESSAGE_ERROR")
    counters.closed(1001)
    families = text_string_to_metric_families(render(counters))
    return {sample.name: family.type for family in families for sample in family.samples}


def expressions() -> list[str]:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    named = {name for expression in expressions() for name in re.findall(r"agentnet_relay_\w+", expression)}
    assert named == set(exposed())


def test_totals_are_shown_as_rates_and_gauges_as_they_are() -> None:
    for expression in expressions():
        (name,) = re.findall(r"agentnet_relay_\w+", expression)
        assert (f"rate({name}" in expression) == (exposed()[name] == "counter"), expression


def test_metrics_by_code_are_shown_by_code() -> None:
    labelled = {"agentnet_relay_errors_total", "agentnet_relay_closed_total"}
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            by_code = any(name in target["expr"] for name in labelled)
            assert ("{{code}}" in target["legendFormat"]) == by_code


def test_every_panel_has_a_place_of_its_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_the_services_settings_are_good_and_believe_the_proxy_beside_it() -> None:
    settings = load({}, environment={}, file=str(ROOT / "packaging" / "systemd" / "relay.toml"))
    assert set(settings.trusted_proxies) == {"127.0.0.1", "::1"}
    assert settings.public_url == ("wss://relay.example.org",)
    assert settings.wipe_memory


def test_the_containers_variables_are_good_and_believe_no_public_address() -> None:
    text = (ROOT / "packaging" / "container" / "Containerfile").read_text()
    variables = dict(re.findall(r"(AGENTNET_RELAY_\w+)=(\S+)", text))
    settings = load({}, environment=variables)
    assert settings.trusted_proxies
    assert all(ipaddress.ip_network(network).is_private for network in settings.trusted_proxies)
    assert settings.wipe_memory
