"""`pliant decode` against the modules that make labels."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from apps.cli.__main__ import cli
from apps.cli.decode import decode_label
from controller.fabric.explicit import N_NUMBERS, explicit_label
from controller.fabric.labels import N_VERSIONS, label16, label_number
from controller.fabric.paths.plan import MAX_WORKING
from controller.intent.addresses import gateway_mac
from controller.model.queues import inner_queue
from controller.pipeline import tables
from tests.unit.cli.conftest import Pliant


def mac(value: int) -> str:
    return ":".join(f"{byte:02x}" for byte in value.to_bytes(6, "big"))


@given(
    st.sampled_from([tables.LABEL_UNICAST, tables.LABEL_BUM, tables.LABEL_ROUTED]),
    st.integers(1, 0x77F), st.integers(0, N_VERSIONS - 1), st.integers(0, MAX_WORKING - 1), st.booleans(),
    st.integers(1, 16_383), st.integers(0, 1_023),
)
def test_decode_undoes_what_the_pipeline_writes(
    kind: int, edge: int, version: int, tree: int, backup: bool, slice_: int, index: int
) -> None:
    """For every label that this version of the controller makes."""
    number = label_number(version, tree, backup=backup)
    label = tables.label_head(kind) | label16(edge, number) << tables.LABEL_BIT | slice_ << 10 | index
    decoded = decode_label(mac(label))
    assert (decoded.edge_id, decoded.version, decoded.tree, decoded.backup) == (edge, version, tree, backup)
    assert (decoded.slice, decoded.index, decoded.traffic_class) == (slice_, index, "best effort")
    assert decoded.index_of == ("the network" if kind == tables.LABEL_BUM else "its port")


@pytest.mark.parametrize("text", ["06:00:12:00:04:03", "6:0:12:0:4:3", "06-00-12-00-04-03", "0600.1200.0403",
                                  "060012000403"])
def test_decode_takes_every_spelling(text: str) -> None:
    """Of tcpdump, Windows and Cisco."""
    assert decode_label(text).mac == "06:00:12:00:04:03"
    assert decode_label(text).type == "broadcast or multicast"


@pytest.mark.parametrize("text", ["", "02:00:12:00:04", "02:00:12:00:04:03:01", "02:00:12:00:04:zz", "hello"])
def test_decode_refuses_what_is_no_mac(text: str) -> None:
    """By name."""
    with pytest.raises(ValueError, match="no MAC"):
        decode_label(text)


@pytest.mark.parametrize("text", ["00:00:12:00:04:03", "03:00:12:00:04:03", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:0e"])
def test_decode_refuses_what_cannot_be_a_label(text: str) -> None:
    """Universal and group addresses."""
    with pytest.raises(ValueError, match="no fabric label"):
        decode_label(text)


@given(st.integers(0, N_NUMBERS - 1), st.booleans())
def test_decode_knows_explicit_paths(number: int, backup: bool) -> None:
    """Their number, and whether it is the backup."""
    label = tables.label_head(tables.LABEL_UNICAST) | explicit_label(number, backup=backup) << tables.LABEL_BIT | 1
    decoded = decode_label(mac(label))
    assert (decoded.path, decoded.backup, decoded.edge_id, decoded.tree) == (number, backup, None, None)


def test_decode_tells_classes() -> None:
    """Of versions to come, as the layout has them."""
    decoded = decode_label("62:f0:01:00:04:03")
    assert (decoded.traffic_class, decoded.label, decoded.edge_id) == ("low latency", 0xF001, None)
    assert decode_label("02:00:3b:00:04:03").backup is True


def test_decode_prints_for_people_and_programs() -> None:
    """Without a controller."""
    run = CliRunner().invoke
    text = run(cli, ["--server", "127.0.0.1:1", "decode", "02:00:29:00:04:03"]).stdout
    assert "edge 1, version 2, tree 1" in text
    assert "1 (of a network)" in text
    assert "3 (its port)" in text
    assert "explicit path 9\n" in run(cli, ["decode", "02:f0:12:00:04:03"]).stdout
    (label,) = json.loads(run(cli, ["decode", "-o", "json", "02:00:29:00:04:03"]).stdout)
    assert (label["edge_id"], label["version"], label["slice"], label["index"]) == (1, 2, 1, 3)
    assert "gateway of the network of slice 3" in run(cli, ["decode", gateway_mac(3 << 10)]).stdout
    refused = run(cli, ["decode", "nonsense"])
    assert (refused.exit_code, refused.stdout) == (6, "")


def test_decode_tells_classes_of_queues() -> None:
    """An owner's own, or the sum of its parts; and those that are nobody's."""
    run = CliRunner().invoke
    text = run(cli, ["decode", "5011:A", "5011:b", "5011:fffe"]).stdout
    assert [line.split(maxsplit=1)[1] for line in text.splitlines() if line] == [
        "5011:a", "10", "its frames", "5011:b", "11", "the sum of its parts", "5011:fffe", "best effort"]
    assert run(cli, ["decode", "5012:a"]).exit_code == 6


def test_decode_asks_the_controller_whose_they_are(red: Pliant) -> None:
    """Network, port and switch of a label, owner of a queue; what nobody has is a dash, and no controller an error."""
    keys = red.api.service.engine.snapshot().keys
    port, network = "tenants/red/networks/net1/ports/web-1", "tenants/red/networks/net1"
    key = keys.port_key(port)
    assert key is not None
    label = label16(keys.edge_ids[1], 0) << tables.LABEL_BIT
    to_port, to_all, stale = (mac(tables.label_head(kind) | label | key24) for kind, key24 in (
        (0, key.key24), (tables.LABEL_BUM, keys.network_key(network)), (0, 9 << 10)))
    queue = f"5011:{inner_queue(keys.queue_id(network)):x}"
    told = json.loads(red.ok(f"decode --who -o json {to_port} {to_all} {stale} {queue} 5011:ffff"))
    switch = "switches/0000000000000001"
    assert [(each["network"], each["port"], each["switch"]) for each in told[:3]] == [
        (network, port, switch), (network, "", switch), ("", "", switch)]
    assert told[3]["owner"] == network and "owner" not in told[4]
    text = red.ok(f"decode --who {stale} 5011:fff0")
    assert f"network   -\nport      -\nswitch    {switch}\n" in text and "owner     -\n" in text
    explicit = mac(tables.label_head(0) | explicit_label(3) << tables.LABEL_BIT | key.key24)
    assert "port      -\nswitch    -\n" in red.ok(f"decode --who {explicit}")
    assert CliRunner().invoke(cli, ["--server", "127.0.0.1:1", "decode", "--who", to_port]).exit_code == 7
