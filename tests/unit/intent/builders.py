"""Short ways to say objects and edits in the tests of asked state."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address

from controller.intent import edits
from controller.intent.snapshot import EMPTY, Resource, Snapshot
from controller.model.network import Attachment, Network, Port, Subnet
from controller.model.tenancy import Quota, Tenant

T = "tenants/a"
N = f"{T}/networks/n"
S = f"{N}/subnets/s"


def tenant(name: str = T, **quota: int) -> Tenant:
    return Tenant(name=name, quota=Quota(**quota))


def network(name: str = N) -> Network:
    return Network(name=name)


def subnet(
    name: str = S, cidr: str | None = "10.0.0.0/24", cidr6: str | None = None, gateway: str | None = None,
    gateway6: str | None = None,
) -> Subnet:
    values = {
        "ipv4_cidr": IPv4Network(cidr) if cidr else None, "ipv6_cidr": IPv6Network(cidr6) if cidr6 else None,
        "ipv4_gateway": ip_address(gateway) if gateway else None,
        "ipv6_gateway": ip_address(gateway6) if gateway6 else None,
    }
    return Subnet(name=name, **values)  # type: ignore[arg-type]


def port(id_: str, *addresses: str, mac: str = "", at: Attachment | None = None, subnet: str = S) -> Port:
    name = f"{subnet.rsplit('/', 2)[0]}/ports/{id_}"
    return Port(name=name, subnet=subnet, mac=mac, addresses=tuple(map(ip_address, addresses)), attachment=at)


def on(dpid: int, where: str | int) -> Attachment:
    if isinstance(where, str):
        return Attachment(dpid=dpid, interface=where)
    return Attachment(dpid=dpid, port_no=where)


class Author:
    """Edits one snapshot after the other; each edit is one generation, confirmed at once unless `floor` is set."""

    def __init__(self, *objects: Resource, snapshot: Snapshot = EMPTY) -> None:
        self.snapshot = snapshot
        self.floor: int | None = None
        self._uids = 0
        for obj in objects:
            self.create(obj)

    @property
    def next(self) -> dict[str, int]:
        generation = self.snapshot.generation + 1
        return {"generation": generation, "floor": generation - 1 if self.floor is None else self.floor}

    def uid(self) -> str:
        self._uids += 1
        return f"uid-{self._uids}"

    def create(self, obj: Resource) -> Resource:
        self.snapshot, made = edits.create(self.snapshot, obj, now_s=1.5, uid=self.uid(), **self.next)
        return made

    def update(self, obj: Resource) -> Resource:
        self.snapshot, made = edits.update(self.snapshot, obj, **self.next)
        return made

    def delete(self, name: str, *, force: bool = False) -> tuple[str, ...]:
        self.snapshot, names = edits.delete(self.snapshot, name, force=force, **self.next)
        return names

    def apply(self, puts: list[Resource], deletes: tuple[str, ...] = (), *, force: bool = False) -> edits.Applied:
        numbers = self.next
        applied = edits.apply(
            self.snapshot, puts, deletes, now_s=1.5, new_uid=self.uid, force=force,
            floor=numbers["floor"], generation=numbers["generation"],
        )
        self.snapshot = applied.snapshot
        return applied


def small_network(cidr: str = "10.0.0.0/24", cidr6: str | None = None, gateway: str | None = None) -> Author:
    """A tenant with a network and a subnet."""
    return Author(tenant(), network(), subnet(S, cidr, cidr6, gateway))
