"""Policies at their highest: the most that a schedule asks for at any time, and the same policy asking for less."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from immutables import Map

from controller.intent.snapshot import Snapshot
from controller.model.bandwidth import BandwidthPolicy, Rates, Window
from controller.model.network import Network, Pipe, Port
from controller.model.tenancy import Tenant

Guaranteed = Tenant | Network | Port | Pipe
"""What can have a policy."""


def peak_rates(policy: BandwidthPolicy) -> Rates:
    """The most of any moment, each rate by itself.  No ceiling at some moment is no ceiling."""
    every = [policy.rates, *(window.rates for window in policy.schedule)]
    out, inward = [each.ceiling_out_kbps for each in every], [each.ceiling_in_kbps for each in every]
    return Rates(
        guarantee_out_kbps=max(each.guarantee_out_kbps for each in every),
        guarantee_in_kbps=max(each.guarantee_in_kbps for each in every),
        ceiling_out_kbps=max(out) if all(out) else 0, ceiling_in_kbps=max(inward) if all(inward) else 0)


def peaks(rates: Map[str, Rates], intent: Snapshot, names: Iterable[str]) -> Map[str, Rates]:
    """The most of each schedule, brought up to these objects."""
    for name in names:
        obj = intent.get(name)
        if isinstance(obj, Guaranteed) and obj.bandwidth.schedule:
            rates = rates.set(name, peak_rates(obj.bandwidth))
        elif name in rates:
            rates = rates.delete(name)
    return rates


def scaled(policy: BandwidthPolicy, in_kbps: int, out_kbps: int) -> BandwidthPolicy:
    """The policy with these as its highest guarantees, and all others in proportion."""
    peak = peak_rates(policy)

    def within(rates: Rates) -> Rates:
        inward, outward = rates.guarantee_in_kbps, rates.guarantee_out_kbps
        return replace(
            rates,
            guarantee_in_kbps=inward * in_kbps // peak.guarantee_in_kbps if peak.guarantee_in_kbps else in_kbps,
            guarantee_out_kbps=outward * out_kbps // peak.guarantee_out_kbps if peak.guarantee_out_kbps else out_kbps)

    own = within(policy.rates)
    windows = tuple(Window(when=window.when, rates=within(window.rates)) for window in policy.schedule)
    return replace(policy, guarantee_in_kbps=own.guarantee_in_kbps, guarantee_out_kbps=own.guarantee_out_kbps,
                   schedule=windows)
