"""Stored bytes: every object comes back equal, old bytes stay readable, wrong bytes are refused by name."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest

from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthPolicy, Interval, OnFailure, Rates, Recurring, TrafficClass, Window
from controller.model.network import Attachment, Network, PathPolicy, Pipe, Port, Spread, Subnet
from controller.model.tenancy import Meta, Quota, Tenant
from controller.service.codec import Undecodable, decode_resource, encode
from controller.service.interfaces import StoreFailed, Write
from controller.store.sqlite import SqliteStore
from tests.support.service import NETWORK, SUBNET, TENANT, Service

META = Meta(uid="u", display_name="Ünïcode \u2028", labels=(("a", "1"), ("b", "")), created_s=1.5, generation=2**40)
RATE = BandwidthPolicy(ceiling_in_kbps=64, ceiling_out_kbps=400_000_000, burst_ms=1)
POLICY = BandwidthPolicy(
    guarantee_in_kbps=64, guarantee_out_kbps=1_000, ceiling_out_kbps=2_000, weight=1_000_000_000,
    traffic_class=TrafficClass.CRITICAL, on_failure=OnFailure.SHED,
    schedule=(
        Window(when=Recurring(cron="0 20 * * 1-5", duration_s=3_600, time_zone="Europe/Rome"), rates=Rates()),
        Window(when=Interval(start_s=1.5, end_s=2e9), rates=Rates(guarantee_in_kbps=1, ceiling_in_kbps=2)),
    ),
)
PATHS = PathPolicy(trees=(0, 2), avoid_zones=("a", "b"), max_latency_us=1, spread=Spread.TOGETHER)
PORT = f"{NETWORK}/ports/p"
PIPE = f"{TENANT}/pipes/x"
OBJECTS: list[Resource] = [
    Tenant(name=TENANT), Tenant(name=TENANT, meta=META, quota=Quota(networks=0), bandwidth=RATE),
    Network(name=NETWORK), Network(name=NETWORK, meta=META, bandwidth=POLICY, path_policy=PATHS),
    Subnet(name=SUBNET),
    Subnet(name=SUBNET, meta=META, ipv4_cidr=IPv4Network("10.0.0.0/8"), ipv6_cidr=IPv6Network("fd00::/64"),
           ipv4_gateway=IPv4Address("10.0.0.1"), ipv6_gateway=IPv6Address("fd00::1")),
    Port(name=PORT, subnet=SUBNET, mac="02:00:00:00:00:01"),
    Port(name=PORT, meta=META, subnet=SUBNET, mac="02:00:00:00:00:01", bandwidth=RATE,
         addresses=(IPv4Address("10.0.0.2"), IPv6Address("fd00::2")),
         attachment=Attachment(dpid=2**64 - 1, interface="e")),
    Port(name=PORT, subnet=SUBNET, mac="02:00:00:00:00:01", attachment=Attachment(dpid=1, port_no=3)),
    Pipe(name=PIPE, a=PORT, b=f"{NETWORK}/ports/q"),
    Pipe(name=PIPE, a=PORT, b=f"{NETWORK}/ports/q", meta=META, bandwidth=POLICY),
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: type(obj).__name__)
def test_codec_round_trip_is_equal(obj: Resource) -> None:
    """What was stored is what is loaded, types included, and equal objects have equal bytes."""
    again = decode_resource(obj.name, encode(obj))
    assert again == obj
    assert encode(again) == encode(obj)


def test_codec_ignores_what_a_newer_version_added() -> None:
    """Unknown keys, at the top and inside, are skipped."""
    data = json.loads(encode(OBJECTS[1]))
    data["invented_later"] = {"x": 1}
    data["quota"]["invented_later"] = 7
    assert decode_resource(TENANT, json.dumps(data).encode()) == OBJECTS[1]


def test_codec_fills_what_an_older_version_lacked() -> None:
    """Fields that the writer did not know have their defaults."""
    assert decode_resource(TENANT, b'{"name": "%s"}' % TENANT.encode()) == Tenant(name=TENANT)
    old = b'{"name": "%s", "bandwidth": {"burst_ms": 9, "ceiling_in_kbps": 64, "ceiling_out_kbps": 0}}'
    ceiling = BandwidthPolicy(ceiling_in_kbps=64, burst_ms=9)
    assert decode_resource(NETWORK, old % NETWORK.encode()) == Network(name=NETWORK, bandwidth=ceiling)


@pytest.mark.parametrize("value", [
    b"", b"null", b"[]", b"\xff", b'{"name": "tenants/acme/networks/red/ports/p"}',
    b'{"name": "tenants/acme/networks/red/ports/other", "subnet": "", "mac": ""}',
    b'{"name": "tenants/acme/networks/red/ports/p", "subnet": "", "mac": "", "addresses": ["10.0.0.256"]}',
    b'{"name": "tenants/acme/networks/red/ports/p", "subnet": "", "mac": "", "attachment": {"port_no": "x"}}',
])
def test_codec_refuses_wrong_bytes_by_name(value: bytes) -> None:
    """Whatever is wrong, the error is one kind and says which object."""
    with pytest.raises(Undecodable, match=PORT):
        decode_resource(PORT, value)


def test_store_with_wrong_bytes_stops_the_start(tmp_path: Path) -> None:
    """An engine does not come up with part of the intent."""
    store = SqliteStore(tmp_path / "p.db")
    store.txn([], [Write(key=TENANT, value=b"{}")])
    store.close()
    with pytest.raises(StoreFailed, match=TENANT):
        Service(tmp_path / "p.db")
