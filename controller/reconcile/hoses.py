"""What of a network's guarantees counts where, as the sums of qos/hose.py take it.

    hose      the guarantees of its ports by edge switch, and its pool: what it has beyond them
    pool      what a tenant or network has beyond what those below it have
    limit     what all its guaranteed traffic together never exceeds
"""

from __future__ import annotations

from controller.model.bandwidth import Rates
from controller.qos.hose import UNBOUNDED, Hose
from controller.reconcile.book import Asked, Piped


def hose_of(asked: Asked, network: str) -> Hose:
    tallies, rates, piped = asked.tallies[network], asked.rates_of(network), piped_of(asked, network)
    sent = {dpid: float(tally.sent) for dpid, tally in tallies.items() if tally.sent}
    received = {dpid: float(tally.received) for dpid, tally in tallies.items() if tally.received}
    return Hose(
        sent=sent, received=received,
        open_senders=[dpid for dpid, tally in tallies.items() if tally.n_sending < tally.n_ports],
        open_receivers=[dpid for dpid, tally in tallies.items() if tally.n_receiving < tally.n_ports],
        pool=pool_of(rates, sum(sent.values()) + piped.sent, sum(received.values()) + piped.received),
        limit=limit_of(rates, piped))


def piped_of(asked: Asked, network: str) -> Piped:
    return asked.piped.get(network, Piped())


def pool_of(rates: Rates, sent: float, received: float) -> float:
    """What a tenant or network has beyond what its children have: in both directions, if it has both."""
    left = []
    if rates.guarantee_out_kbps:
        left.append(max(0.0, rates.guarantee_out_kbps - sent))
    if rates.guarantee_in_kbps:
        left.append(max(0.0, rates.guarantee_in_kbps - received))
    return min(left, default=0.0)


def limit_of(rates: Rates, piped: Piped) -> float:
    """All its guaranteed traffic together never comes to more; its pipes claim their part of it by themselves."""
    bounds = ((rates.guarantee_in_kbps, piped.received), (rates.guarantee_out_kbps, piped.sent),
              (rates.ceiling_in_kbps, piped.received), (rates.ceiling_out_kbps, piped.sent))
    return min((max(0.0, float(bound - taken)) for bound, taken in bounds if bound), default=UNBOUNDED)
