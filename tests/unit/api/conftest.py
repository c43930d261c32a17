"""A server over the real engine and its file, and a client of it; `network`: one that has something to work on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pliant import Client
from pliant.v1.network_pb2 import Network, Subnet
from pliant.v1.tenant_pb2 import Tenant

from tests.support.api import Api
from tests.unit.api.names import NETWORK, SUBNET, TENANT


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = Api(tmp_path)
    yield api
    api.close()


@pytest.fixture
def client(api: Api) -> Client:
    return api.client


@pytest.fixture
def network(client: Client) -> Client:
    """A client of a server that has SUBNET, 10.0.0.0/24."""
    client.apply([Subnet(name=SUBNET, ipv4_cidr="10.0.0.0/24"), Network(name=NETWORK), Tenant(name=TENANT)])
    return client
