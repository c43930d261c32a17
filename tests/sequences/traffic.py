"""What hosts do to find out who reaches whom: every claim is a frame that was forwarded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import permutations

from controller.fabric.ports import EndPoint
from controller.model.ids import network_of
from controller.model.network import Port
from tests.fakes import packets
from tests.sequences.simulation import Simulation

Reach = frozenset[tuple[str, str]]


def unicast(sender: Port, receiver: Port) -> bytes:
    return packets.udp(sender.mac, receiver.mac, str(sender.addresses[0]), str(receiver.addresses[0]), data=b"hello")


def broadcast(sender: Port) -> bytes:
    return packets.udp(sender.mac, packets.BROADCAST, str(sender.addresses[0]), "255.255.255.255", data=b"all")


def reach(sim: Simulation) -> Reach:
    """Who reaches whom: (sender, receiver) of all bound ports, by unicast; broadcast must say the same."""
    net, placed, ports = sim.network(), sim.placed, sim.intent.ports
    names: dict[EndPoint, str] = {at: name for name, at in placed.items()}
    found = set()
    for sender, receiver in permutations(sorted(placed), 2):
        if network_of(sender) == network_of(receiver):
            got = net.inject(placed[sender], unicast(ports[sender], ports[receiver]))
            found |= {(sender, names[at]) for at, _ in got}
    flooded = set()
    for sender in sorted(placed):
        flooded |= {(sender, names[at]) for at, _ in net.inject(placed[sender], broadcast(ports[sender]))}
    assert flooded == found, flooded ^ found
    return frozenset(found)


def expected_reach(places: Mapping[str, EndPoint]) -> Reach:
    return frozenset((a, b) for a, b in permutations(places, 2) if network_of(a) == network_of(b))


def check_isolation(sim: Simulation, ports: Iterable[Port], *, of: int = 1, turn: int = 0) -> None:
    """Hosts of all these ports, current ones and former ones, send to each other's addresses from where they are.

    Whoever hears it must be of a network that the sender is of, too.  Of all frames only every `of`-th, by turns.
    """
    net = sim.network()
    frames = []
    for sender in ports:
        assert sender.attachment is not None
        at = EndPoint(sender.attachment.dpid, sender.attachment.port_no)
        frames += [(at, unicast(sender, other)) for other in ports if other.mac != sender.mac]
        frames.append((at, broadcast(sender)))
    for at, frame in dict.fromkeys(frames[turn % of :: of]):
        mine = sim.networks_at(at)
        for heard_at, heard in net.inject(at, frame):
            theirs = sim.networks_at(heard_at)
            who = f"{at} of {mine or 'nobody'} is heard at {heard_at} of {theirs or 'nobody'}"
            assert mine & theirs, f"{who}: {heard.hex()}"


def check_no_loss(sim: Simulation, pairs: Iterable[tuple[Port, Port]]) -> None:
    """Each sender's frame arrives at its receiver, once and nowhere else."""
    net = sim.network()
    for sender, receiver in pairs:
        frame = unicast(sender, receiver)
        assert net.inject(sim.placed[sender.name], frame) == [(sim.placed[receiver.name], frame)], (sender, receiver)
