"""The filter of List: what it understands and what it refuses."""

from __future__ import annotations

import pytest
from pliant.v1.common_pb2 import STATE_ACTIVE
from pliant.v1.fabric_pb2 import PORT_ROLE_EDGE, Switch
from pliant.v1.network_pb2 import Attachment, Port

from controller.model.errors import InvalidArgument
from controller.northbound.filters import parse_filter

PORT = Port(
    name="tenants/a/networks/n/ports/p",
    display_name="the port",
    labels={"env": "prod", "example.com/tier": "1"},
    state=STATE_ACTIVE,
    addresses=["10.0.0.5", "fd00::5"],
    attachment=Attachment(switch="00ab", port_number=3),
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        'labels.env = "prod"',
        "labels.env=prod",
        "labels.env != test",
        'labels.missing = ""',
        "labels.example.com/tier = 1",
        "state = ACTIVE",
        "state = active",
        "state = STATE_ACTIVE",
        "state != PENDING",
        "reconciling = false",
        "addresses = fd00::5",
        "addresses != 10.0.0.9",
        "attachment.switch = 00ab AND attachment.port_number = 3",
        'display_name = "the port" AND labels.env = prod AND state = ACTIVE',
        'mac_address = ""',
        "name = tenants/a/networks/n/ports/p",
    ],
)
def test_filter_accepts_what_it_describes(text: str) -> None:
    """Equality of texts, numbers, enums, list elements and labels."""
    assert parse_filter(text, Port.DESCRIPTOR)(PORT)


@pytest.mark.parametrize(
    "text",
    ["labels.env = test", "labels.env != prod", "state = PENDING", "addresses = 10.0.0.9", "addresses != 10.0.0.5",
     "reconciling = true", "labels.env = prod AND state = PENDING", 'display_name = ""'],
)
def test_filter_leaves_out_the_rest(text: str) -> None:
    """One term that does not hold is enough."""
    assert not parse_filter(text, Port.DESCRIPTOR)(PORT)


@pytest.mark.parametrize(
    "text",
    ["labels", "labels = x", "= x", "display_name", "display_name =", 'display_name = "open', "no_such = 1",
     "attachment = x", "attachment.no_such = 1", "display_name.x = 1", "state = SLEEPING", "a = b OR c = d",
     "display_name = a display_name = b", "display_name = a AND", "display_name = a ANDstate = ACTIVE",
     "conditions.reason = X", "display_name > a", "(display_name = a)", "display_name = " + "x" * 1_000, "é = 1"],
)
def test_filter_refuses_what_it_does_not_understand(text: str) -> None:
    """A filter that is misread would show too much or too little."""
    with pytest.raises(InvalidArgument) as caught:
        parse_filter(text, Port.DESCRIPTOR)
    assert (caught.value.reason, list(caught.value.fields)) == ("INVALID_FILTER", ["filter"])


def test_filter_knows_enums_in_maps() -> None:
    """Declared roles by interface."""
    switch = Switch(declared_roles={"eth0": PORT_ROLE_EDGE})
    assert parse_filter("declared_roles.eth0 = EDGE", Switch.DESCRIPTOR)(switch)
    assert not parse_filter("declared_roles.eth1 = EDGE", Switch.DESCRIPTOR)(switch)
