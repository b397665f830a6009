"""Two agents whose way to the relay is a bad network, and what must hold in the end: the same as after crashes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.bad_network import FAIR, BadNetwork, Weather
from tests.end_to_end.crash_show import Show

_HEARTBEATS = "heartbeat_interval = 1.0\nidle_timeout = 5.0\n"  # half-open connections are found sooner


@dataclass(frozen=True)
class Outage:
    """How an outage went, in seconds."""

    lasted: float
    reconnected: float  # after the network's return, the slower of the two agents
    cpu: float  # of both agents while it lasted


class NetworkShow(Show):
    """The relay is reached through a bad network, which is fair until `storm`."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, seed)
        self.network = BadNetwork(seed)
        self._outages = 0

    def prepare(self) -> None:
        self.network.start()
        config = self.folder / "relay.toml"
        config.write_text(_HEARTBEATS)
        url = f"ws://127.0.0.1:{self.network.port}"
        self.relay.extra = ("--public-url", url, "--config", str(config))

    def connect(self) -> None:
        self.network.target = self.relay.port

    def storm(
        self,
        weather: Weather,
        items: int,
        rounds: int,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Has items written in bad weather, in rounds that begin with new connections, until all are settled."""
        self.network.weather = weather
        for _ in range(rounds):
            self.network.drop_all()
            self._grant(self.items + items // rounds)
            self._settle()
            tell(f"{self.items} items settled in bad weather, {dict(self.network.fates)}")
        self.network.weather = FAIR

    def _settle(self) -> None:
        for agent in self.agents.values():
            if agent.settled_or_dead(self.items):
                raise AssertionError(f"{agent.name} ended by itself:\n{agent.complaints()}")

    def outage(self, seconds: float, items: int) -> Outage:
        """Takes the network away while items are being written, gives it back, and waits until all is settled."""
        self._outages += 1
        name = f"outage-{self._outages}"
        for agent in self.agents.values():
            agent.order(f"watch {name}")
        self._grant(self.items + items)
        self.network.fall()
        for agent in self.agents.values():
            agent.until(f"^down {name}$")
        begun, cpu = time.monotonic(), self._cpu(f"{name}-begun")
        time.sleep(seconds)  # the outage itself
        lasted, used = time.monotonic() - begun, self._cpu(f"{name}-over") - cpu
        returned = time.monotonic()
        self.network.rise()
        for agent in self.agents.values():
            agent.order(f"network {self._outages + 1}")
        for agent in self.agents.values():
            agent.until(f"^up {name}$")
        reconnected = time.monotonic() - returned
        self._settle()
        return Outage(lasted, reconnected, used)

    def _cpu(self, name: str) -> float:
        total = 0.0
        for agent in self.agents.values():
            agent.order(f"cpu {name}")
            total += float(agent.until(f"^cpu {name} .*").split()[2])
        return total

    def close(self) -> None:
        """Ends the agents in order, and the network."""
        for agent in self.agents.values():
            status = agent.stop()
            assert status == 0, f"{agent.name} ended with {status}:\n{agent.complaints()}"
        self.network.stop()
