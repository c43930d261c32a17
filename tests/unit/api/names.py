"""What the tests of the contract call their objects, and short ways to make and refuse them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pliant import ApiError
from pliant.v1.network_pb2 import Port

TENANT = "tenants/blue"
NETWORK = f"{TENANT}/networks/web"
SUBNET = f"{NETWORK}/subnets/main"
PORTS = f"{NETWORK}/ports"


def port(port_id: str, **fields: Any) -> Port:
    return Port(name=f"{PORTS}/{port_id}", subnet=SUBNET, **fields)


def refusal(call: Callable[[], object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call()
    return caught.value
