"""Adds up the guarantees of intent by network and edge switch, at the cost of what changed.

Nothing is kept of a tenant without any guarantee, so whoever has none pays nothing; the first one makes its tenant's
ports be counted once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from immutables import Map

from controller.intent.snapshot import NO_NAMES, Snapshot
from controller.model.bandwidth import BandwidthPolicy, Rates
from controller.model.ids import network_of, tenant_of
from controller.model.network import Port
from controller.reconcile.book import Asked, Piped, Tally


class Tallying:
    """From one Asked to the next, `asked`."""

    def __init__(self, before: Asked, intent: Snapshot, rates: Map[str, Rates], names: Collection[str]) -> None:
        """`names`: objects that are other ones than before, or with other rates in force."""
        self._before = before
        self._now = Asked(intent=intent, rates=rates)
        self._promises, self._tallies = before.promises, before.tallies
        self._piped, self._joining = before.piped, before.joining
        self._guaranteed = before.guaranteed
        self.moved: set[str] = set()
        """networks that are on other switches now"""
        self.tenants = {tenant_of(name) for name in names if self._counts(name)}
        """those with a guarantee, now or before, among whose objects these are"""
        self._add_up(names)
        # A port that was taken out and put back may have been the only one there.
        self.moved = {network for network in self.moved if self._edges(before.tallies, network)
                      != self._edges(self._tallies, network)}
        self.asked = Asked(
            intent=intent, rates=rates, promises=self._promises, tallies=self._tallies,
            guaranteed=self._guaranteed, piped=self._piped, joining=self._joining)

    @staticmethod
    def _edges(tallies: Map[str, Map[int, Tally]], network: str) -> frozenset[int]:
        return frozenset(tallies.get(network, ()))

    def _counts(self, name: str) -> bool:
        """Enter what the object promises; whether its tenant has, or had, any guarantee."""
        tenant, old, new = tenant_of(name), self._before.policy_of(name), self._now.policy_of(name)
        if "/pipes/" in name:
            self._pipe(self._before, name, -1)
            self._pipe(self._now, name, 1)
        else:
            self._promise(tenant, old, -1)
            self._promise(tenant, new, 1)
        return self._is_counted(tenant) or self._was_counted(tenant)

    def _is_counted(self, tenant: str) -> bool:
        return tenant in self._promises or tenant in self._joining

    def _was_counted(self, tenant: str) -> bool:
        return tenant in self._before.promises or tenant in self._before.joining

    def _promise(self, tenant: str, policy: BandwidthPolicy, count: int) -> None:
        if not policy.may_guarantee:
            return
        how, here = (policy.traffic_class, policy.on_failure), self._promises.get(tenant, Map())
        total = here.get(how, 0) + count
        here = here.set(how, total) if total else here.delete(how)
        self._promises = self._promises.set(tenant, here) if here else self._promises.delete(tenant)

    def _pipe(self, asked: Asked, name: str, count: int) -> None:
        pipe, rates = asked.intent.pipes.get(name), asked.rates_of(name)
        if pipe is None or not pipe.bandwidth.may_guarantee:
            return
        if pipe.joins_networks:
            n_joining = self._joining.get(pipe.tenant, 0) + count
            self._joining = (
                self._joining.set(pipe.tenant, n_joining) if n_joining else self._joining.delete(pipe.tenant))
        into, out = rates.guarantee_in_kbps, rates.guarantee_out_kbps
        for end, sent, received in ((pipe.a, out, into), (pipe.b, into, out)) if rates.has_guarantee else ():
            network = network_of(end)
            before = self._piped.get(network, Piped())
            now = Piped(before.sent + count * sent, before.received + count * received)
            self._piped = self._piped.set(network, now) if any(now) else self._piped.delete(network)

    def _add_up(self, names: Iterable[str]) -> None:
        fresh = {tenant for tenant in self.tenants
                 if self._is_counted(tenant) and not self._was_counted(tenant)}
        intent = self._now.intent
        for tenant in fresh:
            for network in intent.networks_by_tenant.get(tenant, NO_NAMES):
                for port in intent.ports_by_network.get(network, NO_NAMES):
                    self._add(intent.ports[port], self._now.rates_of(port), 1)
        for name in names:
            if "/ports/" in name and (tenant := tenant_of(name)) in self.tenants and tenant not in fresh:
                if (old := self._before.intent.ports.get(name)) is not None:
                    self._add(old, self._before.rates_of(name), -1)
                if (new := intent.ports.get(name)) is not None:
                    self._add(new, self._now.rates_of(name), 1)
        if not all(map(self._is_counted, self.tenants)):
            for network in [each for each in self._tallies if not self._is_counted(tenant_of(each))]:
                self._tallies = self._tallies.delete(network)
                if network in self._guaranteed:
                    self._guaranteed = self._guaranteed.delete(network)
                self.moved.add(network)

    def _add(self, port: Port, rates: Rates, count: int) -> None:
        if port.attachment is None:
            return
        network, dpid = network_of(port.name), port.attachment.dpid
        here = self._tallies.get(network, Map())
        tally = here.get(dpid, Tally()).plus(rates, count)
        if (dpid in here) != bool(tally.n_ports):
            self.moved.add(network)
        here = here.set(dpid, tally) if tally.n_ports else here.delete(dpid)
        self._tallies = self._tallies.set(network, here) if here else self._tallies.delete(network)
        if rates.has_guarantee:
            self._list(network, dpid, port.name, count)

    def _list(self, network: str, dpid: int, port: str, count: int) -> None:
        edges = self._guaranteed.get(network, Map())
        ports = edges.get(dpid, Map())
        ports = ports.set(port, None) if count > 0 else ports.delete(port)
        edges = edges.set(dpid, ports) if ports else edges.delete(dpid)
        self._guaranteed = self._guaranteed.set(network, edges) if edges else self._guaranteed.delete(network)
