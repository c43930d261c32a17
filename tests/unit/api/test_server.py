"""The server itself: who may call, where it listens, what it survives; and the operator's plane."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pliant import Client
from pliant.v1.fabric_pb2 import PORT_ROLE_EDGE, PORT_ROLE_FABRIC, Link, Switch
from prometheus_client import REGISTRY

from controller.fabric.events import SwitchDisconnected
from controller.model.status import DropCount
from controller.northbound.server import CannotListen, Listen, Server, Tls
from tests.support.api import TOKEN, Api, two_switches
from tests.unit.api.names import PORTS, TENANT, port, refusal

# -- the operator's plane


def test_switches_and_links_are_shown(api: Api, client: Client) -> None:
    """With roles in effect, capacities, and how far each is."""
    api.operator.tell(*two_switches(), SwitchDisconnected(dpid=2))
    one, two = client.switches.list()
    assert (one.name, one.connected, one.in_sync) == ("switches/0000000000000001", True, True)
    assert (two.connected, two.in_sync, two.software, two.meter_count_max) == (False, False, "3.1", 100)
    assert [p.role for p in one.switch_ports] == [PORT_ROLE_FABRIC, one.switch_ports[1].role]
    assert client.switches.get("switches/1") == one
    assert [s.name for s in client.switches.list(filter="connected = false")] == [two.name]
    link = client.links.get("links/0000000000000001-1")
    assert (link.source.interface, link.destination.switch, link.up) == ("eth1", two.name, True)
    assert link.capacity_kbps == 1_000_000
    assert [x.name for x in client.links.list(page_size=1)] == [
        "links/0000000000000001-1",
        "links/0000000000000002-1",
    ]
    info = client.server_info()
    assert (info.version, info.switch_count, info.switches_connected, info.switches_in_sync) == ("1.2.3", 2, 1, 1)
    assert info.boot_id


def test_operator_declares_roles_and_capacities(api: Api, client: Client) -> None:
    """Also of a switch that has yet to connect."""
    ahead = Switch(name="switches/9", declared_roles={"eth1": PORT_ROLE_EDGE})
    assert client.switches.update(ahead, ["declared_roles"]).declared_roles == {"eth1": PORT_ROLE_EDGE}
    api.operator.tell(*two_switches())
    declared = Switch(name="switches/1", declared_roles={"eth2": PORT_ROLE_EDGE})
    assert client.switches.update(declared, ["declared_roles"]).switch_ports[1].role == PORT_ROLE_EDGE
    link = Link(name="links/1-1", capacity_override_kbps=500_000)
    updated = client.links.update(link, ["capacity_override_kbps"])
    assert (updated.capacity_kbps, updated.capacity_override_kbps) == (500_000, 500_000)
    link.capacity_override_kbps = 0
    assert client.links.update(link, ["*"]).capacity_kbps == 1_000_000


def test_only_a_disconnected_switch_can_be_forgotten(api: Api, client: Client) -> None:
    """It would come back at once."""
    api.operator.tell(*two_switches())
    error = refusal(lambda: client.switches.delete("switches/1"))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SWITCH_CONNECTED")
    api.operator.tell(SwitchDisconnected(dpid=1))
    client.switches.delete("switches/1")
    assert refusal(lambda: client.switches.delete("switches/1")).reason == "NOT_FOUND"
    client.switches.delete("switches/1", allow_missing=True)


@pytest.mark.parametrize(
    ("reason", "call"),
    [
        ("INVALID_NAME", lambda c: c.switches.get("1")),
        ("INVALID_FIELD", lambda c: c.switches.get("switches/s1")),
        ("NOT_FOUND", lambda c: c.switches.get("switches/7")),
        ("INVALID_UPDATE_MASK", lambda c: c.switches.update(Switch(name="switches/1", connected=True), ["connected"])),
        ("INVALID_UPDATE_MASK", lambda c: c.switches.update(Switch(name="switches/1"), [])),
        (
            "INVALID_FIELD",
            lambda c: c.switches.update(Switch(name="switches/1", declared_roles={"a/b": PORT_ROLE_EDGE}), ["*"]),
        ),
        ("INVALID_ENUM", lambda c: c.switches.update(Switch(name="switches/1", declared_roles={"a": 9}), ["*"])),
        ("INVALID_ENUM", lambda c: c.switches.update(Switch(name="switches/1", declared_roles={"a": 0}), ["*"])),
        ("INVALID_NAME", lambda c: c.links.get("links/1")),
        ("INVALID_NAME", lambda c: c.links.get("links/1-0")),
        ("NOT_FOUND", lambda c: c.links.get("links/1-2")),
        ("INVALID_RATE", lambda c: c.links.update(Link(name="links/1-1", capacity_override_kbps=-1), ["*"])),
        ("INVALID_RATE", lambda c: c.links.update(Link(name="links/1-1", capacity_override_kbps=1), ["*"])),
        ("INVALID_NAME", lambda c: c.drops(tenant="blue")),
        ("INVALID_NAME", lambda c: c.drops(switch="blue")),
    ],
)
def test_bad_requests_about_the_fabric_are_refused(
    api: Api, client: Client, reason: str, call: Callable[[Client], object]
) -> None:
    """With the reason that programs can tell apart."""
    api.operator.tell(*two_switches())
    assert refusal(lambda: call(client)).reason == reason


def test_drops_are_listed_by_switch_tenant_and_reason(api: Api, client: Client) -> None:
    """All of them, or those of one switch or tenant."""
    api.operator.counts = [
        DropCount(dpid=1, tenant=TENANT, reason="SPOOFED_MAC", packets=5, bytes=320),
        DropCount(dpid=2, tenant="", reason="UNBOUND", packets=1),
    ]
    assert [(d.tenant, d.reason, d.packets) for d in client.drops()] == [(TENANT, "SPOOFED_MAC", 5), ("", "UNBOUND", 1)]
    assert [d.reason for d in client.drops(switch="switches/2")] == ["UNBOUND"]
    assert [d.bytes for d in client.drops(tenant=TENANT)] == [320]


# -- who may call, and the rest of the server


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_no_token_no_entry(api: Api, token: str) -> None:
    """Over TCP; streams too."""
    with Client(api.target, token=token) as stranger:
        for call in (lambda: next(stranger.tenants.list()), lambda: next(stranger.watch())):
            error = refusal(call)
            assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
            assert "PLIANT_TOKEN_FILE" in error.message


def test_unix_socket_is_opened_by_its_mode(api: Api) -> None:
    """Whoever can open the file may call; nobody else can open it."""
    assert api.unix.stat().st_mode & 0o777 == 0o600
    with Client(f"unix:{api.unix}", token="") as neighbour:
        assert list(neighbour.tenants.list()) == []


def test_health_and_reflection_need_no_token(api: Api) -> None:
    """So that a probe and grpcurl work; reflection shows our services and their files."""
    channel = grpc.insecure_channel(api.target)
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="pliant.v1.NetworkService"),
    ]
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    listed, file = stub.ServerReflectionInfo(iter(requests))
    services = {service.name for service in listed.list_services_response.service}
    assert services >= {f"pliant.v1.{x}Service" for x in ("Tenant", "Network", "Apply", "Watch", "Fabric")}
    names = [FileDescriptorProto.FromString(x).name for x in file.file_descriptor_response.file_descriptor_proto]
    assert "pliant/v1/network.proto" in names


def test_defects_answer_internal_with_an_incident_id(api: Api, client: Client) -> None:
    """The client gets a number to quote, not a traceback."""
    api.operator.drops = lambda: 1 // 0  # type: ignore[method-assign,assignment,return-value]
    error = refusal(client.drops)
    assert (error.code, error.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert error.metadata["incident"] in error.message
    assert "ZeroDivision" not in error.message


def test_client_tries_again_while_the_controller_restarts(api: Api, network: Client) -> None:
    """A call that meets a closed port is sent again, with the same request_id."""
    api.service.stop()
    assert api.server.stop(grace_s=0.1)
    back = threading.Timer(0.3, lambda: (api.service.start(), api.start()))
    back.start()
    assert network.ports.create(port("p1")).name == f"{PORTS}/p1"
    back.join()


def test_client_gives_up_in_its_time() -> None:
    """UNAVAILABLE, with what gRPC knows of it."""
    error = refusal(lambda: next(Client("127.0.0.1:1", token="", timeout_s=0.3).tenants.list()))
    assert error.code is grpc.StatusCode.UNAVAILABLE
    assert error.reason == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "example.com"])
def test_others_reach_the_server_with_tls_only(host: str) -> None:
    """An address that is not this machine's own refuses to start in the clear."""
    with pytest.raises(CannotListen):
        Server(None, Listen(host=host, port=0), token=TOKEN).start()  # type: ignore[arg-type]


def test_unix_socket_that_cannot_be_made_says_why(api: Api, tmp_path: Path) -> None:
    """A directory that cannot be made, a file in its place, a path that is too long."""
    file = tmp_path / "file"
    file.write_text("mine")
    for path, why in (
        (file / "socket", "cannot make its directory"),
        (file, "no socket"),
        (tmp_path / ("x" * 108), "longer than 107 bytes"),
    ):
        with pytest.raises(CannotListen, match=why):
            Server(api.backend, Listen(host="", unix=path), token=TOKEN).start()
    assert file.read_text() == "mine"


def test_server_speaks_tls(api: Api, tmp_path: Path) -> None:
    """With a certificate it listens anywhere; the token is still asked for."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    tls = Tls(certificate=certificate.read_bytes(), key=key.read_bytes())
    server = Server(api.backend, Listen(host="0.0.0.0", port=0, tls=tls), token=TOKEN)
    target, credentials = f"localhost:{server.start()}", grpc.ssl_channel_credentials(tls.certificate)
    with Client(target, token=TOKEN, credentials=credentials) as client:
        assert list(client.tenants.list()) == []
    with Client(target, token="", credentials=credentials) as stranger:
        assert refusal(stranger.server_info).reason == "UNAUTHENTICATED"
    assert server.stop(grace_s=0.1)


def test_calls_are_counted_by_method_and_code(network: Client) -> None:
    """For Prometheus; a refusal counts under its code."""
    def count(code: str) -> float:
        labels = {"method": "/pliant.v1.NetworkService/GetPort", "code": code}
        return REGISTRY.get_sample_value("pliant_calls_total", labels) or 0.0

    before = count("OK"), count("NOT_FOUND")
    network.ports.create(port("p1"))
    network.ports.get(f"{PORTS}/p1")
    refusal(lambda: network.ports.get(f"{PORTS}/p2"))
    network.ports.get(f"{PORTS}/p1")
    assert (count("OK") - before[0], count("NOT_FOUND") - before[1]) == (2, 1)


def test_second_controller_on_the_same_address_is_refused(api: Api) -> None:
    """Not a lottery of who gets the call, neither by TCP nor by the socket's file."""
    for listen in (Listen(port=api.port), Listen(host="", unix=api.unix)):
        with pytest.raises(CannotListen):
            Server(api.backend, listen, token=TOKEN).start()
    assert list(api.client.tenants.list()) == []
