"""How arguments name resources."""

from __future__ import annotations

import click
import pytest

from apps.cli.kinds import OWNED, Scope, find_kind, find_targets, pad_dpid

HERE = Scope(tenant="red", network="net1")
WEB = "tenants/red/networks/net1/ports/web-1"


def named(*arguments: str, scope: Scope = HERE) -> list[tuple[str, str]]:
    return [(kind.name, name) for kind, name in find_targets(arguments, scope)]


@pytest.mark.parametrize("word", ["port", "ports", "po", "PORTS"])
def test_kind_has_several_names(word: str) -> None:
    """Singular, plural, short, in any case."""
    assert find_kind(word).name == "port"


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        (("ports",), [("port", "")]),
        (("ports", "web-1"), [("port", WEB)]),
        (("po", "web-1", "web-2"), [("port", WEB), ("port", WEB[:-1] + "2")]),
        (("port/web-1", "network/net1"), [("port", WEB), ("network", "tenants/red/networks/net1")]),
        ((WEB,), [("port", WEB)]),
        (("port", WEB), [("port", WEB)]),
        (("tenant", "blue"), [("tenant", "tenants/blue")]),
        (("networks,ports",), [("network", ""), ("port", "")]),
        (("all",), [(each, "") for each in ("tenant", "network", "subnet", "port", "peering", "pipe")]),
        (("switch", "1"), [("switch", "switches/0000000000000001")]),
        (("switch/0xAB",), [("switch", "switches/00000000000000ab")]),
        (("link", "1-3"), [("link", "links/0000000000000001-3")]),
        (("drops",), [("drop", "")]),
    ],
)
def test_arguments_name_targets(arguments: tuple[str, ...], targets: list[tuple[str, str]]) -> None:
    """KIND, KIND NAME..., KIND/NAME... and full resource names."""
    assert named(*arguments) == targets


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("prots",), "did you mean 'ports'?"),
        (("xyz",), "known here are tenants"),
        (("networks,ports", "a"), "exactly one kind"),
        (("port/web-1", "web-2"), "not of the form KIND/NAME"),
        (("port/",), "not of the form KIND/NAME"),
        (("drop", "x"), "have no names"),
        (("port", "tenants/red/networks/net1"), "does not name a port"),
        (("tenants/red/ports/x",), "does not name a port"),
    ],
)
def test_wrong_arguments_say_what_would_do(arguments: tuple[str, ...], says: str) -> None:
    """A usage error with a hint."""
    with pytest.raises(click.UsageError) as caught:
        named(*arguments)
    assert says in str(caught.value)


def test_id_needs_to_be_said_where_it_is() -> None:
    """-t and -n, whichever is missing."""
    with pytest.raises(click.UsageError, match="-t TENANT"):
        named("port", "web-1", scope=Scope())
    with pytest.raises(click.UsageError, match="-n NETWORK"):
        named("port", "web-1", scope=Scope(tenant="red"))


def test_kind_may_not_be_meant_for_a_command() -> None:
    """Switches cannot be waited for."""
    with pytest.raises(click.UsageError, match="known here are tenants, networks, subnets, ports"):
        find_kind("switches", OWNED)


def test_scope_that_is_not_said_is_everything() -> None:
    """As a parent with wildcards."""
    port, network, tenant = find_kind("port"), find_kind("network"), find_kind("tenant")
    assert Scope().parent(port) == "tenants/-/networks/-"
    assert Scope(tenant="red").parent(port) == "tenants/red/networks/-"
    assert HERE.parent(port) == "tenants/red/networks/net1"
    assert Scope(tenant="red").parent(network) == "tenants/red"
    assert HERE.parent(tenant) == ""


@pytest.mark.parametrize(
    ("text", "dpid"),
    [("1", "0000000000000001"), ("0xAb", "00000000000000ab"), ("00000000000000ff", "00000000000000ff"), ("s1", "s1")],
)
def test_dpid_is_padded(text: str, dpid: str) -> None:
    """What is no datapath id is the server's to refuse."""
    assert pad_dpid(text) == dpid
