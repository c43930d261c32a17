"""The Python client of Pliant, and (in pliant.v1) the messages and stubs of its gRPC contract.

    import pliant
    from pliant.v1.tenant_pb2 import Tenant

    with pliant.Client() as client:
        client.tenants.create(Tenant(name="tenants/blue"), wait=True)
"""

from pliant.client import Client, Collection, Ports
from pliant.errors import ApiError
from pliant.streams import Stream, Watch

__all__ = ["ApiError", "Client", "Collection", "Ports", "Stream", "Watch"]
