"""Model -> messages: what a client reads of an object and its status."""

from __future__ import annotations

from pliant.v1.apply_pb2 import Resource as ResourceMessage
from pliant.v1.common_pb2 import BandwidthStatus as StatusMessage
from pliant.v1.common_pb2 import Condition, DropsBy, State
from pliant.v1.common_pb2 import DirectionStatus as DirectionMessage
from pliant.v1.network_pb2 import Attachment as AttachmentMessage
from pliant.v1.network_pb2 import Network as NetworkMessage
from pliant.v1.network_pb2 import Port as PortMessage
from pliant.v1.network_pb2 import Subnet as SubnetMessage
from pliant.v1.peering_pb2 import Peering as PeeringMessage
from pliant.v1.pipe_pb2 import Pipe as PipeMessage
from pliant.v1.tenant_pb2 import Quota as QuotaMessage
from pliant.v1.tenant_pb2 import Tenant as TenantMessage

from controller.intent.snapshot import Resource
from controller.model.bandwidth import BandwidthStatus, DirectionStatus
from controller.model.ids import format_dpid
from controller.model.network import Attachment, Network, Peering, Pipe, Port, Subnet
from controller.model.status import Status
from controller.model.tenancy import Tenant
from controller.northbound.policies import bandwidth_message, path_message
from controller.northbound.times import timestamp
from controller.service.engine import etag_of

Message = TenantMessage | NetworkMessage | SubnetMessage | PortMessage | PeeringMessage | PipeMessage


def switch_name(dpid: int) -> str:
    return f"switches/{format_dpid(dpid)}"


def message_of(obj: Resource, status: Status | None = None, bandwidth: BandwidthStatus | None = None) -> Message:
    """The object as its message; without a status the fields of the status stay unset."""
    match obj:
        case Tenant():
            message: Message = _tenant(obj)
        case Network():
            message = NetworkMessage(
                bandwidth=bandwidth_message(obj.bandwidth), path_policy=path_message(obj.path_policy))
        case Subnet():
            message = _subnet(obj)
        case Port():
            message = _port(obj)
        case Peering():
            message = PeeringMessage(a=obj.a, b=obj.b)
        case Pipe():
            message = PipeMessage(a=obj.a, b=obj.b, bandwidth=bandwidth_message(obj.bandwidth))
    message.name = obj.name
    message.uid = obj.meta.uid
    message.display_name = obj.meta.display_name
    message.labels.update(obj.meta.labels)
    message.create_time.CopyFrom(timestamp(obj.meta.created_s))
    message.etag = etag_of(obj)
    message.generation = obj.meta.generation
    if status is not None:
        _add_status(message, status)
    if bandwidth is not None and not isinstance(message, SubnetMessage | PeeringMessage):
        message.bandwidth_status.CopyFrom(bandwidth_status(bandwidth))
    return message


def resource_of(message: Message) -> ResourceMessage:
    """The message in the envelope of Apply and Watch."""
    match message:
        case TenantMessage():
            return ResourceMessage(tenant=message)
        case NetworkMessage():
            return ResourceMessage(network=message)
        case SubnetMessage():
            return ResourceMessage(subnet=message)
        case PortMessage():
            return ResourceMessage(port=message)
        case PeeringMessage():
            return ResourceMessage(peering=message)
        case PipeMessage():
            return ResourceMessage(pipe=message)


def bandwidth_status(status: BandwidthStatus) -> StatusMessage:
    return StatusMessage(
        inward=_direction(status.inward), outward=_direction(status.outward), observe_time=timestamp(status.since_s))


def _direction(status: DirectionStatus) -> DirectionMessage:
    dropped = status.dropped
    return DirectionMessage(
        allotted_kbps=status.allotted_kbps,
        demand_kbps=status.demand_kbps,
        delivered_kbps=status.delivered_kbps,
        guarantee_kbps=status.guarantee_kbps,
        ceiling_kbps=status.ceiling_kbps,
        dropped=DropsBy(
            port_bytes=dropped.by_port, network_bytes=dropped.by_network, tenant_bytes=dropped.by_tenant,
            pipe_bytes=dropped.by_pipe, link_bytes=dropped.by_link,
        ),
        bottleneck=status.bottleneck,
        spare_kbps=status.spare_kbps,
        fulfilment=status.fulfilment,
    )


def _add_status(message: Message, status: Status) -> None:
    message.state = State.Value(f"STATE_{status.state.value}")
    message.reconciling = status.reconciling
    message.conditions.extend(
        Condition(reason=each.reason, message=each.message, switches=[switch_name(dpid) for dpid in each.switches])
        for each in status.conditions
    )


def _tenant(obj: Tenant) -> TenantMessage:
    quota = QuotaMessage(
        networks=obj.quota.networks, subnets=obj.quota.subnets, ports=obj.quota.ports, pipes=obj.quota.pipes,
        peerings=obj.quota.peerings)
    return TenantMessage(quota=quota, bandwidth=bandwidth_message(obj.bandwidth))


def _subnet(obj: Subnet) -> SubnetMessage:
    return SubnetMessage(
        ipv4_cidr=str(obj.ipv4_cidr or ""),
        ipv6_cidr=str(obj.ipv6_cidr or ""),
        ipv4_gateway=str(obj.ipv4_gateway or ""),
        ipv6_gateway=str(obj.ipv6_gateway or ""),
    )


def _port(obj: Port) -> PortMessage:
    return PortMessage(
        subnet=obj.subnet,
        mac_address=obj.mac,
        addresses=[str(address) for address in obj.addresses],
        attachment=_attachment(obj.attachment) if obj.attachment is not None else None,
        bandwidth=bandwidth_message(obj.bandwidth),
    )


def _attachment(attachment: Attachment) -> AttachmentMessage:
    switch = format_dpid(attachment.dpid)
    if attachment.interface:
        return AttachmentMessage(switch=switch, interface=attachment.interface)
    return AttachmentMessage(switch=switch, port_number=attachment.port_no)
