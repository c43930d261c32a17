"""os-ken as the oracle: the same message built from its classes, byte for byte.

Fields are found by their number, so that no table of names can hide a wrong one.  What os-ken lacks is None here.
"""

from __future__ import annotations

from typing import Any

from os_ken.ofproto import ofproto_protocol
from os_ken.ofproto import ofproto_v1_3 as ofp
from os_ken.ofproto import ofproto_v1_3_parser as osken

from controller.openflow import actions as act
from controller.openflow import parts
from controller.openflow.entries import Flow, Group, Meter
from controller.openflow.fields import FIELDS

SWITCH = ofproto_protocol.ProtocolDesc(version=ofp.OFP_VERSION)
_NAMES: dict[int, str] = {field.num: field.name for field in ofp.oxm_types if isinstance(field.num, int)}


def name(oxm: tuple[int, int]) -> str | None:
    """os-ken's name of a field number."""
    return _NAMES.get(oxm[0] << 7 | oxm[1])


def known(field: str) -> bool:
    return name(FIELDS[field].oxm) is not None


def frame(message: Any) -> bytes:
    message.serialize()
    return bytes(message.buf)


def match(fields: dict[str, int | tuple[int, int]]) -> Any:
    """An OFPMatch of these fields, in their order."""
    ordered = []
    for key, value in fields.items():
        field = FIELDS[key]
        number, mask = value if isinstance(value, tuple) else (value, None)
        masked = None if mask is None else mask.to_bytes(field.width_bytes, "big")
        ordered.append(_user(key, number.to_bytes(field.width_bytes, "big"), masked))
    return osken.OFPMatch(_ordered_fields=ordered)


def _user(field: str, value: bytes, mask: bytes | None = None) -> Any:
    number = FIELDS[field].oxm
    return ofp.oxm_to_user(number[0] << 7 | number[1], value, mask)


def action(done: parts.Action) -> Any:
    match done:
        case parts.Output(port_no, max_len):
            return osken.OFPActionOutput(port_no, max_len)
        case parts.ToGroup(group_id):
            return osken.OFPActionGroup(group_id)
        case parts.SetQueue(queue):
            return osken.OFPActionSetQueue(queue)
        case parts.DecTtl():
            return osken.OFPActionDecNwTtl()
        case parts.Resubmit(table):
            return osken.NXActionResubmitTable(in_port=ofp.OFPP_IN_PORT & 0xFFFF, table_id=table)
        case parts.Spread(field, n, first_bit, bits):
            return osken.NXActionMultipath(
                fields=act.SYMMETRIC_L3L4_UDP, basis=0, algorithm=act.MODULO_N, max_link=n - 1, arg=0,
                ofs_nbits=first_bit << 6 | bits - 1, dst=_subfield(field))
        case parts.OutputTruncated(port_no, max_len):
            return osken.NXActionOutputTrunc(port=port_no, max_len=max_len)
        case parts.SetField(field, value):
            key, user = _user(field, value.to_bytes(FIELDS[field].width_bytes, "big"))
            return osken.OFPActionSetField(**{key: user})
        case parts.Load(field, value, first_bit, bits):
            place = first_bit << 6 | bits - 1
            return osken.NXActionRegLoad(ofs_nbits=place, dst=_subfield(field), value=value)
        case parts.Move(src, dst, src_bit, dst_bit, bits):
            return osken.NXActionRegMove(
                src_field=_subfield(src), dst_field=_subfield(dst), n_bits=bits, src_ofs=src_bit, dst_ofs=dst_bit
            )
    raise LookupError(f"os-ken has no {done}")


def _subfield(field: str) -> str:
    found = name(FIELDS[field].subfield)
    if found is None:
        raise LookupError(f"os-ken has no {field}")
    return found


def has(done: parts.Action) -> bool:
    """Whether os-ken can say this."""
    fields = [getattr(done, key) for key in ("field", "src", "dst") if hasattr(done, key)]
    return not isinstance(done, parts.Punt | parts.Clone | parts.UnknownAction) and all(map(known, fields))


def instructions(done: parts.Instructions) -> list[Any]:
    result: list[Any] = []
    if done.meter is not None:
        result.append(osken.OFPInstructionMeter(done.meter))
    if done.actions:
        result.append(osken.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, [action(one) for one in done.actions]))
    if done.metadata is not None:
        result.append(osken.OFPInstructionWriteMetadata(*done.metadata))
    if done.goto is not None:
        result.append(osken.OFPInstructionGotoTable(done.goto))
    return result


def flow_mod(command: int, flow: Flow, cookie_mask: int = 0) -> bytes:
    return frame(
        osken.OFPFlowMod(
            SWITCH,
            cookie=flow.cookie,
            cookie_mask=cookie_mask,
            table_id=flow.table,
            command=command,
            priority=flow.priority,
            buffer_id=ofp.OFP_NO_BUFFER,
            out_port=ofp.OFPP_ANY,
            out_group=ofp.OFPG_ANY,
            flags=flow.flags,
            match=match(parts.decode_match(flow.match)),
            instructions=instructions(parts.decode_instructions(flow.instructions)),
        )
    )


def group_mod(command: int, group: Group) -> bytes:
    buckets = [
        osken.OFPBucket(b.weight, b.watch_port, b.watch_group, [action(one) for one in parts.decode_actions(b.actions)])
        for b in group.buckets
    ]
    return frame(osken.OFPGroupMod(SWITCH, command, group.type, group.id, buckets))


def meter_mod(command: int, meter: Meter) -> bytes:
    unit = ofp.OFPMF_KBPS if meter.unit == "kbps" else ofp.OFPMF_PKTPS
    flags = unit | ofp.OFPMF_BURST | ofp.OFPMF_STATS
    bands = [osken.OFPMeterBandDrop(meter.rate, meter.burst)]
    return frame(osken.OFPMeterMod(SWITCH, command, flags, meter.id, bands))


def packet_out(data: bytes, actions: bytes, in_port: int) -> bytes:
    return frame(
        osken.OFPPacketOut(
            SWITCH,
            buffer_id=ofp.OFP_NO_BUFFER,
            in_port=in_port,
            actions=[action(one) for one in parts.decode_actions(actions)],
            data=data,
        )
    )
