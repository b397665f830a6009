"""Token buckets, address groups and caps, with the time in hand."""

from __future__ import annotations

import pytest

from relay.limits import Backlog, Bucket, Limits, Meter, Meters, address_group


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=2, burst=3)
    assert [bucket.take(1, 1000) for _ in range(3)] == [0, 0, 0]
    wait = bucket.take(1, 1000)
    assert 500 <= wait <= 501
    assert bucket.take(1, 1000 + wait) == 0
    assert bucket.take(1, 1000 + wait) > 0


def test_what_was_put_back_can_be_taken_again() -> None:
    bucket = Bucket(rate=1, burst=1)
    bucket.take(1, 1000)
    bucket.put_back(1, 1000)
    assert bucket.take(1, 1000) == 0


def test_a_meter_refuses_by_bytes_as_by_messages_and_charges_nothing_when_it_does() -> None:
    meter = Meter(rate=1000, burst=1000, bytes_rate=100, bytes_burst=1000)
    assert meter.charge(900, 0) == 0
    assert 1990 <= meter.charge(300, 0) <= 2010
    assert meter.charge(100, 0) == 0


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::2%eth0", "2001:db8:1:2::/64"),
        ("a name", "a name"),
    ],
)
def test_ipv6_is_counted_by_its_64(address: str, group: str) -> None:
    assert address_group(address) == group


def test_idle_meters_are_forgotten_and_busy_ones_kept() -> None:
    meters = Meters(Limits())
    busy, idle = meters.address("a"), meters.address("b")
    busy.charge(1, 1_000_000)
    meters.opened(idle)
    meters.prune(1_000_000)
    assert meters.address("a") is busy
    assert meters.address("b") is idle
    meters.closed(idle, authenticated=False)
    meters.prune(2_000_000)
    assert meters.address("a") is not busy
    assert meters.address("b") is not idle


def test_a_receiver_may_be_slow_for_a_while_only() -> None:
    limits = Limits(queue_bytes=100, queue_bytes_max=1000, queue_seconds=10)
    backlog = Backlog()
    backlog.waiting = 80
    assert backlog.has_room(20, limits, 1000)
    assert not backlog.has_room(21, limits, 1000)
    assert not backlog.is_slow(limits, 10_999)
    assert backlog.is_slow(limits, 11_000)
    backlog.waiting = 50
    assert not backlog.is_slow(limits, 11_000)
    backlog.waiting = 1001
    assert backlog.is_slow(limits, 11_000)
