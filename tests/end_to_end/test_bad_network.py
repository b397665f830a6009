"""The bad network, briefly; `benchmarks/network.py` has the long storm and the outage of two minutes."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.bad_network import Weather
from tests.end_to_end.network_show import NetworkShow

SEED = 20_262
ITEMS = 24
OUTAGE_S = 4.0
ROUNDS = 4
WEATHER = Weather(
    cut=0.4, silent=0.2, mute=0.0, patience=16
)  # a dial that is never answered takes ten seconds


def test_in_bad_weather_nothing_is_lost_or_shown_twice_and_the_network_s_return_is_noticed(
    tmp_path: Path,
) -> None:
    print(f"seed {SEED}")
    show = NetworkShow(tmp_path, SEED)
    with show.running():
        show.storm(WEATHER, ITEMS, ROUNDS, tell=print)
        outage = show.outage(OUTAGE_S, ITEMS // 4)
        show.close()
    print(outage, show.network.messages)
    assert show.examine() == []
    assert outage.reconnected < 2.0
    assert outage.cpu < 0.25 * OUTAGE_S * 2
    assert show.network.fates.keys() == {"good", "cut", "silent"}  # of its seed's first three connections
    assert show.network.messages["repeated"] > 0
    assert show.network.messages["overtaken"] > 0
