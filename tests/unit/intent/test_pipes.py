"""Pipes in asked state: between two ports of one network, or two peered networks, below both and below their tenant."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.intent.records import load_keys, record_of
from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import BandwidthPolicy
from controller.model.errors import PliantError
from controller.model.network import Network, Peering, Pipe
from controller.model.tenancy import Tenant
from tests.unit.intent.builders import Author, N, T, network, port, small_network, subnet, tenant

A, B, C = (f"{N}/ports/{id_}" for id_ in "abc")
PIPE = f"{T}/pipes/p"


def pipe(id_: str = "p", a: str = A, b: str = B, **rates: int) -> Pipe:
    return Pipe(name=f"{T}/pipes/{id_}", a=a, b=b, bandwidth=BandwidthPolicy(**rates))  # type: ignore[arg-type]


def three_ports() -> Author:
    author = small_network()
    for id_ in "abc":
        author.create(port(id_))
    return author


def refusal(author: Author, obj: Pipe) -> PliantError:
    with pytest.raises(PliantError) as caught:
        author.create(obj)
    return caught.value


def test_pipe_is_found_by_tenant_and_by_both_ports() -> None:
    """The indexes lead to it, and away when it is gone."""
    author = three_ports()
    author.create(pipe())
    author.create(pipe("q", B, C))
    snapshot = author.snapshot
    assert set(snapshot.pipes_by_tenant[T]) == {PIPE, f"{T}/pipes/q"}
    assert set(snapshot.pipes_by_end[B]) == {PIPE, f"{T}/pipes/q"}
    assert snapshot.get(PIPE) == snapshot.pipes[PIPE]
    author.delete(PIPE)
    assert set(author.snapshot.pipes_by_end) == {B, C}
    assert author.snapshot == Snapshot.rebuild(
        author.snapshot.objects(), author.snapshot.keys, author.snapshot.generation)


@pytest.mark.parametrize(("obj", "reason", "field"), [
    (pipe(b=A), "INVALID_FIELD", "pipe.b"),
    (pipe(a=T), "INVALID_NAME", "pipe.a"),
    (pipe(a=f"{N}/subnets/s"), "INVALID_NAME", "pipe.a"),
    (pipe(b=N), "INVALID_FIELD", "pipe.b"),
    (pipe(a=N, b=N), "INVALID_FIELD", "pipe.b"),
    (pipe(a=N, b=f"{T}/networks/none"), "PARENT_NOT_FOUND", "pipe.b"),
    (pipe(b=f"{N}/ports/none"), "PARENT_NOT_FOUND", "pipe.b"),
    (pipe(a="tenants/b/networks/n/ports/a"), "INVALID_FIELD", "pipe.a"),
    (pipe(b=f"{T}/networks/m/ports/x"), "INVALID_FIELD", "pipe.b"),
])
def test_pipe_needs_two_ports_of_one_network(obj: Pipe, reason: str, field: str) -> None:
    """Anything else is refused, and the violation names the end."""
    author = three_ports()
    for made in (network(f"{T}/networks/m"), subnet(f"{T}/networks/m/subnets/s"),
                 port("x", subnet=f"{T}/networks/m/subnets/s")):
        author.create(made)
    error = refusal(author, obj)
    assert (error.reason, list(error.fields)) == (reason, [field])


def test_pipe_between_the_same_ports_is_refused_either_way_round() -> None:
    """Frames between two ports can belong to one pipe only."""
    author = three_ports()
    author.create(pipe())
    error = refusal(author, pipe("q", B, A))
    assert (error.reason, error.metadata) == ("PIPE_EXISTS", {"holder": PIPE})


def test_pipe_keeps_its_ends() -> None:
    """Its policy can change; where it goes cannot."""
    author = three_ports()
    author.create(pipe())
    author.update(pipe(ceiling_in_kbps=5_000))
    assert author.snapshot.pipes[PIPE].bandwidth.ceiling_in_kbps == 5_000
    with pytest.raises(PliantError) as caught:
        author.update(pipe(b=C))
    assert (caught.value.reason, list(caught.value.fields)) == ("IMMUTABLE_FIELD", ["pipe.b"])


def test_port_with_pipes_is_deleted_by_force_only_and_takes_them_along() -> None:
    """Delete names the pipe that is in the way; force deletes it first."""
    author = three_ports()
    author.create(pipe())
    author.create(pipe("q", B, C))
    with pytest.raises(PliantError, match=PIPE) as caught:
        author.delete(A)
    assert caught.value.reason == "HAS_CHILDREN"
    assert author.delete(A, force=True) == (PIPE, A)
    assert set(author.snapshot.pipes) == {f"{T}/pipes/q"}


@pytest.mark.parametrize("name", [T, N, f"{N}/subnets/s"])
def test_whatever_holds_its_ports_takes_a_pipe_along_once(name: str) -> None:
    """Each name is deleted once, children first."""
    author = three_ports()
    author.create(pipe())
    gone = author.delete(name, force=True)
    assert gone.count(PIPE) == 1
    assert gone.index(PIPE) < gone.index(A)
    assert gone[-1] == name


def test_batch_needs_no_order_between_ports_and_pipes() -> None:
    """Ports before pipes when they come, pipes before ports when they go."""
    author = small_network()
    applied = author.apply([pipe(), port("b"), port("a")])
    assert [obj.name for obj in applied.objects] == [PIPE, B, A]
    applied = author.apply([], (A, PIPE))
    assert applied.deleted == (PIPE, A)


def test_pipe_counts_against_its_own_quota() -> None:
    """And against nobody else's."""
    author = Author(replace(tenant(), quota=replace(tenant().quota, pipes=1)), network(), subnet())
    for id_ in "abc":
        author.create(port(id_))
    author.create(pipe())
    assert refusal(author, pipe("q", B, C)).reason == "QUOTA_EXCEEDED"


def test_pipe_id_rests_until_every_switch_let_go_of_it() -> None:
    """A queue that a switch out of reach still has is not given to another pipe's frames."""
    author = three_ports()
    author.create(pipe())
    first = author.snapshot.keys.pipe_id(PIPE)
    author.floor = author.snapshot.generation
    author.delete(PIPE)
    author.create(pipe("q"))
    assert author.snapshot.keys.pipe_id(f"{T}/pipes/q") != first
    keys = author.snapshot.keys
    ids = (f"pipe/{T}/pipes/q", "cursor/fabric/pipes", "resting/fabric/pipes/0")
    records = {record_id: record for record_id in ids if (record := record_of(keys, record_id)) is not None}
    loaded = load_keys(records)
    assert len(records) == 3
    assert loaded.pipe_ids == keys.pipe_ids
    assert loaded.pools.in_scope("fabric")["pipes"] == keys.pools.in_scope("fabric")["pipes"]


# -- between networks

M = f"{T}/networks/m"
PEERING = f"{T}/peerings/nm"


def two_networks() -> Author:
    author = three_ports()
    for made in (network(M), subnet(f"{M}/subnets/s", "10.1.0.0/24"), Peering(name=PEERING, a=N, b=M)):
        author.create(made)
    return author


def test_pipe_between_networks_needs_a_peering_of_the_two() -> None:
    """Nothing goes from one to the other otherwise; while there is a pipe the peering stays, or goes by force."""
    author = two_networks()
    author.delete(PEERING)
    error = refusal(author, pipe(a=N, b=M))
    assert (error.reason, list(error.fields)) == ("NOT_PEERED", ["pipe.b"])
    author.apply([pipe(a=N, b=M), Peering(name=PEERING, a=M, b=N)])
    assert set(author.snapshot.pipes_by_end) == {N, M}
    with pytest.raises(PliantError, match=PIPE) as caught:
        author.delete(PEERING)
    assert caught.value.reason == "HAS_CHILDREN"
    assert author.delete(PEERING, force=True) == (PIPE, PEERING)


@pytest.mark.parametrize("name", [T, M])
def test_network_takes_its_pipes_and_peerings_along(name: str) -> None:
    """Each once, the pipe before the peering, and that before the network."""
    author = two_networks()
    author.create(pipe(a=N, b=M))
    gone = author.delete(name, force=True)
    assert (gone.count(PIPE), gone.count(PEERING)) == (1, 1)
    assert gone.index(PIPE) < gone.index(PEERING) < gone.index(M)


def test_ports_of_two_networks_have_no_pipe() -> None:
    """Frames between them are routed, and tell their port no longer; the refusal says what to do."""
    author = two_networks()
    author.create(port("x", subnet=f"{M}/subnets/s"))
    assert "between the two networks" in refusal(author, pipe(b=f"{M}/ports/x")).message


@pytest.mark.parametrize(("owner", "rates", "parent"), [
    (network(N), {"guarantee_out_kbps": 5_000}, N),
    (network(M), {"guarantee_in_kbps": 5_000}, M),
    (network(M), {"ceiling_out_kbps": 1_000}, M),
    (tenant(), {"guarantee_in_kbps": 6_500}, T),
    (tenant(), {"ceiling_out_kbps": 6_500}, T),
])
def test_pipe_between_networks_comes_out_of_both_and_of_the_tenant(
    owner: Network | Tenant, rates: dict[str, int], parent: str,
) -> None:
    """Out of what the one sends and the other receives; of the tenant's both ways, as its ports are at both ends."""
    author = two_networks()
    author.update(replace(owner, bandwidth=BandwidthPolicy(**rates)))  # type: ignore[arg-type]
    error = refusal(author, pipe(a=N, b=M, guarantee_out_kbps=5_001, guarantee_in_kbps=1_500))
    assert error.metadata["parent"] == parent
    author.create(pipe(a=N, b=M, guarantee_out_kbps=5_000, guarantee_in_kbps=1_000))
    author.delete(PIPE)
    assert not author.snapshot.promises or set(author.snapshot.promises) <= {(T, "in"), (T, "out")}
