"""Whatever the order of changes, confirmations and restarts: what admission lets pass fits, at every moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from controller.fabric.declared import LinkSettings
from controller.fabric.events import LinkDeclared
from controller.fabric.ports import EndPoint
from controller.model.bandwidth import NO_POLICY, BandwidthPolicy, TrafficClass
from controller.model.errors import PliantError
from controller.model.network import Pipe
from controller.model.queues import PortQueues
from controller.qos.ledger import budget
from controller.reconcile.admission import Admission
from controller.reconcile.queueing import Plans, port_queues
from controller.reconcile.reconciler import Outcome
from tests.sequences.simulation import LEAVES, Simulation
from tests.sequences.states import far_pipe, far_port, peered, port, port_name, tenant
from tests.support import queue_trees

LINK_KBPS = 100
TENANTS, PORTS = ("red", "blue", "green"), "abcd"
POLICIES = (
    NO_POLICY, BandwidthPolicy(guarantee_in_kbps=70, guarantee_out_kbps=60),
    BandwidthPolicy(guarantee_out_kbps=150), BandwidthPolicy(guarantee_in_kbps=25, guarantee_out_kbps=25),
    BandwidthPolicy(guarantee_in_kbps=40, guarantee_out_kbps=40, traffic_class=TrafficClass.CRITICAL),
)


class Course:
    """All links are up, so nothing but a promise too many could make any guarantee fall short."""

    def __init__(self) -> None:
        self.sim = Simulation()
        for end in (end for wire in self.sim.wires for end in wire):
            self.sim.observe(LinkDeclared(src=end, settings=LinkSettings(capacity_kbps=LINK_KBPS)))
        self.sim.apply(obj for name in TENANTS for obj in {**tenant(name, {}), **peered(name, {})}.values())
        self.plans, self.queues = Plans(), dict[EndPoint, PortQueues]()
        self.sim.settle()
        self.sim.gates = (Admission(lambda: self.sim.reconciler.view, lambda: self.sim.intent, lambda: 0.0),)
        self.sim.after_step = self.check

    def check(self, _: Outcome) -> None:
        """No link is promised twice, nobody gets less, and all of it is what a start from nothing makes."""
        granted = self.sim.reconciler.view.granted
        assert not granted.degraded
        assert all(total <= budget(LINK_KBPS) for total in granted.book.ledger.totals.values())
        self.sim.check_grants()
        self.check_queues()

    def check_queues(self) -> None:
        """Those that follow from change to change are those of a look at all of it."""
        view = self.sim.reconciler.view
        for at, queues in self.plans.update(view.world, view.grants).items():
            self.queues.pop(at, None)
            if queues is not None:
                queue_trees.check(queues)
                self.queues[at] = queues
        fresh = {at: port_queues(view.world, at, granted) for at, granted in view.grants.items()}
        assert self.queues == {at: queues for at, queues in fresh.items() if queues}


def put_port(course: Course, a: int, b: int) -> None:
    one, name = TENANTS[a % 3], PORTS[b % 4]
    at = LEAVES[a // 3 % 3], 10 + 10 * TENANTS.index(one) + PORTS.index(name)
    course.sim.apply([port(one, name, at, POLICIES[b // 4 % len(POLICIES)])])


def change_mac(course: Course, a: int, b: int) -> None:
    found = course.sim.intent.ports.get(port_name(TENANTS[a % 3], PORTS[b % 4]))
    if found is not None:
        course.sim.apply([replace(found, mac=f"02:00:00:00:{1 + a % 3:02x}:{b % 4:02x}")])


def delete_port(course: Course, a: int, b: int) -> None:
    course.sim.apply((), [port_name(TENANTS[a % 3], PORTS[b % 4])])


def change_tenant(course: Course, a: int, b: int) -> None:
    name = TENANTS[a % 3]
    course.sim.apply([tenant(name, {}, POLICIES[b % len(POLICIES)])[f"tenants/{name}"]])


def put_pipe(course: Course, a: int, b: int) -> None:
    one = TENANTS[a % 3]
    ends = port_name(one, PORTS[b % 4]), port_name(one, PORTS[(b + 1) % 4])
    policy = POLICIES[b // 4 % len(POLICIES)]
    course.sim.apply([Pipe(name=f"tenants/{one}/pipes/p{b % 4}", a=ends[0], b=ends[1], bandwidth=policy)])


def put_far_port(course: Course, a: int, b: int) -> None:
    one, name = TENANTS[a % 3], PORTS[b % 4]
    at = LEAVES[a // 3 % 3], 50 + 10 * TENANTS.index(one) + PORTS.index(name)
    policy = POLICIES[a // 9 % len(POLICIES)]
    course.sim.apply([replace(far_port(one, name, at if b % 16 else None), bandwidth=policy)])


def put_far_pipe(course: Course, a: int, b: int) -> None:
    course.sim.apply([far_pipe(TENANTS[a % 3], POLICIES[b % len(POLICIES)])])


def turn_peering(course: Course, a: int, _b: int) -> None:
    """Away, with the pipe that it carries, or there again."""
    name = f"tenants/{TENANTS[a % 3]}/peerings/far"
    if name in course.sim.intent.peerings:
        course.sim.apply((), [name])
    else:
        course.sim.apply([peered(TENANTS[a % 3], {})[name]])


def reconcile(course: Course, _a: int, _b: int) -> None:
    course.sim.reconcile()


def turn(course: Course, a: int, b: int) -> None:
    for _ in range(1 + b % 40):
        course.sim.turn(sorted(course.sim.switches)[a % 5])


def settle(course: Course, _a: int, _b: int) -> None:
    course.sim.settle()


def restart(course: Course, _a: int, _b: int) -> None:
    course.sim.restart()
    for dpid in course.sim.switches:
        course.sim.connect(dpid)


Act = Callable[[Course, int, int], None]
ACTS: tuple[Act, ...] = (
    put_port, put_port, put_port, put_port, delete_port, change_tenant, change_tenant, put_pipe, put_pipe,
    put_far_port, put_far_port, change_mac, put_far_pipe, put_far_pipe, turn_peering, reconcile, turn, settle,
    restart,
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 255), st.integers(0, 255)), min_size=5, max_size=40))
def test_no_order_of_changes_promises_a_link_twice(acts: list[tuple[Act, int, int]]) -> None:
    """Every change passes the gate that the service asks; nobody is ever granted less than it was promised."""
    course = Course()
    for act, a, b in acts:
        try:
            act(course, a, b)
        except PliantError:
            continue
    course.sim.settle()
