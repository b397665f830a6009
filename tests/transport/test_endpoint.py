"""What a person may write as a relay's address, and what is made of it."""

import pytest

from agentnet_desktop.transport.endpoint import BadEndpoint, InsecureEndpoint, parse_endpoint

PATH = "/agent-network/v1/connect"


@pytest.mark.parametrize(
    ("address", "url", "origin"),
    [
        ("wss://Relay.Example.org", f"wss://relay.example.org:443{PATH}", "wss://relay.example.org:443"),
        (
            "wss://relay.example.org:9443/",
            f"wss://relay.example.org:9443{PATH}",
            "wss://relay.example.org:9443",
        ),
        (
            f"wss://relay.example.org{PATH}",
            f"wss://relay.example.org:443{PATH}",
            "wss://relay.example.org:443",
        ),
        ("wss://host/relay", f"wss://host:443/relay{PATH}", "wss://host:443"),
        ("https://host", f"wss://host:443{PATH}", "wss://host:443"),
        ("ws://127.0.0.1:8765", f"ws://127.0.0.1:8765{PATH}", "ws://127.0.0.1:8765"),
        ("http://localhost", f"ws://localhost:80{PATH}", "ws://localhost:80"),
        ("ws://[::1]:8765", f"ws://[::1]:8765{PATH}", "ws://[::1]:8765"),
    ],
)
def test_a_base_address_or_a_whole_endpoint_gives_url_and_origin(address: str, url: str, origin: str) -> None:
    endpoint = parse_endpoint(address)
    assert (endpoint.url, endpoint.origin) == (url, origin)
    assert endpoint.base + PATH == endpoint.url
    assert not endpoint.exposed


@pytest.mark.parametrize(
    "address",
    ["", "relay.example.org", "ftp://host", "wss://", "wss://u:p@host", "wss://host?x=1", "wss://host#f",
     "wss://host:99999", "wss://host:port"],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_words(address: str) -> None:
    with pytest.raises(BadEndpoint):
        parse_endpoint(address)


@pytest.mark.parametrize(
    "address", ["ws://192.168.1.7:8765", "ws://127.0.0.1.evil.example", "ws://localhost.evil"]
)
def test_plain_ws_to_another_machine_needs_the_opt_in(address: str) -> None:
    with pytest.raises(InsecureEndpoint, match="--insecure"):
        parse_endpoint(address)
    assert parse_endpoint(address, insecure=True).exposed
