"""Flows, groups and meters as people read them: the syntax of ovs-ofctl.

Without table names, what is written here is accepted by `ovs-ofctl -O OpenFlow13 add-flow` (add-group, add-meter)
and gives the same bytes again.  With table names it is for reading and for golden files: names instead of numbers,
and no cookie, which only repeats the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address

from controller.openflow import actions as act
from controller.openflow import entries, parts
from controller.openflow.fields import FIELDS

TableNames = Mapping[int, str]

# (eth_type, ip_proto) -> the one word for both
_PROTOCOLS: dict[tuple[int, int | None], str] = {
    (0x0800, None): "ip",
    (0x0800, 1): "icmp",
    (0x0800, 6): "tcp",
    (0x0800, 17): "udp",
    (0x0806, None): "arp",
    (0x86DD, None): "ipv6",
    (0x86DD, 6): "tcp6",
    (0x86DD, 17): "udp6",
    (0x86DD, 58): "icmp6",
}
_PORTS = {act.IN_PORT: "in_port", act.LOCAL: "local", act.CONTROLLER: "controller"}
_GROUP_TYPES = {
    entries.GROUP_ALL: "all",
    entries.GROUP_SELECT: "select",
    entries.GROUP_INDIRECT: "indirect",
    entries.GROUP_FAST_FAILOVER: "fast_failover",
}
_CT_STATES = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
_FRAGMENTS: dict[int | tuple[int, int], str] = {
    0: "no",
    1: "first",
    3: "later",
    (1, 1): "yes",
    (0, 2): "not_later",
}
_MACS = frozenset({"eth_src", "eth_dst", "arp_sha", "arp_tha", "nd_sll", "nd_tll"})
_IPV4 = frozenset({"ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "tun_src", "tun_dst"})
_IPV6 = frozenset({"ipv6_src", "ipv6_dst", "nd_target"})
_DECIMAL = frozenset({"in_port", "ip_proto", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "icmpv4_type", "icmpv4_code",
                      "icmpv6_type", "icmpv6_code", "arp_op", "ip_dscp", "ip_ecn", "ip_ttl", "vlan_pcp", "conj_id",
                      "nd_options_type"})  # fmt: skip


def flow_text(flow: entries.Flow, table_names: TableNames | None = None) -> str:
    """One flow on one line."""
    head = [f"priority={flow.priority}", *match_words(flow.match)]
    if table_names is None:
        head = [f"cookie={flow.cookie:#x}", f"table={flow.table}", *head]
    else:
        head = [f"table={_table(flow.table, table_names)}", *head]
    return f"{','.join(head)} actions={instructions_text(flow.instructions, table_names)}"


def group_text(group: entries.Group, table_names: TableNames | None = None) -> str:
    """One group on one line."""
    kind = _GROUP_TYPES.get(group.type, str(group.type))
    return ",".join([f"group_id={group.id}", f"type={kind}", *(_bucket(b, group, table_names) for b in group.buckets)])


def meter_text(meter: entries.Meter) -> str:
    """One meter on one line."""
    return f"meter={meter.id},{meter.unit},burst,stats,bands=type=drop,rate={meter.rate},burst_size={meter.burst}"


def match_words(match: bytes) -> Iterator[str]:
    """The conditions of a match: "in_port=3", "tcp", "ip_dst=10.0.0.0/24"."""
    fields = parts.decode_match(match)
    eth_type, ip_proto = fields.get("eth_type"), fields.get("ip_proto")
    protocol = None
    hidden: frozenset[str] = frozenset()
    if isinstance(eth_type, int) and not isinstance(ip_proto, tuple):
        protocol = _PROTOCOLS.get((eth_type, ip_proto))
        hidden = frozenset({"eth_type", "ip_proto"})
        if protocol is None:
            protocol, hidden = _PROTOCOLS.get((eth_type, None)), frozenset({"eth_type"})
    if protocol is not None:
        fields = {name: value for name, value in fields.items() if name not in hidden}
        yield protocol
    for name, value in fields.items():
        yield _condition(name, value)


def instructions_text(instructions: bytes, table_names: TableNames | None = None) -> str:
    """All that a flow does, in the order of execution; "drop" for nothing."""
    done = parts.decode_instructions(instructions)
    words = [f"meter:{done.meter}"] if done.meter is not None else []
    words += (_action(action, table_names) for action in done.actions)
    if done.metadata is not None:
        value, mask = done.metadata
        words.append(f"write_metadata:{value:#x}" + (f"/{mask:#x}" if mask != 0xFFFFFFFFFFFFFFFF else ""))
    words += (f"unknown_instruction({raw.hex()})" for raw in done.unknown)
    if done.goto is not None:
        words.append(f"goto_table:{_table(done.goto, table_names)}")
    return ",".join(words) or "drop"


def actions_text(actions: bytes, table_names: TableNames | None = None) -> str:
    return ",".join(_action(action, table_names) for action in parts.decode_actions(actions)) or "drop"


def _bucket(bucket: entries.Bucket, group: entries.Group, table_names: TableNames | None) -> str:
    words = []
    if group.type == entries.GROUP_SELECT:
        words.append(f"weight:{bucket.weight}")
    if bucket.watch_port != entries.ANY:
        words.append(f"watch_port:{bucket.watch_port}")
    if bucket.watch_group != entries.ANY:
        words.append(f"watch_group:{bucket.watch_group}")
    return "bucket=" + ",".join([*words, f"actions={actions_text(bucket.actions, table_names)}"])


def _action(action: parts.Action, table_names: TableNames | None) -> str:
    match action:
        case parts.Output(act.CONTROLLER, max_len):
            return f"CONTROLLER:{max_len}"
        case parts.Output(act.IN_PORT):
            return "IN_PORT"
        case parts.Output(port_no):
            return f"output:{_PORTS.get(port_no, port_no)}"
        case parts.Punt(max_len, meter_id):
            return f"controller(max_len={max_len},meter_id={meter_id})"
        case parts.ToGroup(group_id):
            return f"group:{group_id}"
        case parts.SetQueue(queue):
            return f"set_queue:{queue}"
        case parts.SetField(field, value):
            return f"set_field:{_value(field, value)}->{_ofctl(field)}"
        case parts.Load(field, value, first_bit, bits):
            return f"load:{value:#x}->{_bits(field, first_bit, bits)}"
        case parts.Move(src, dst, src_bit, dst_bit, bits):
            return f"move:{_bits(src, src_bit, bits)}->{_bits(dst, dst_bit, bits)}"
        case parts.Spread(field, n, first_bit, bits):
            return f"multipath(symmetric_l3l4+udp,0,modulo_n,{n},0,{_bits(field, first_bit, bits)})"
        case parts.Resubmit(table):
            return f"resubmit(,{_table(table, table_names)})"
        case parts.DecTtl():
            return "dec_ttl"
        case parts.OutputTruncated(port_no, max_len):
            return f"output(port={port_no},max_len={max_len})"
        case parts.Clone(inner):
            return f"clone({','.join(_action(one, table_names) for one in inner)})"
        case parts.UnknownAction(raw):
            return f"unknown_action({raw.hex()})"


def _condition(name: str, value: int | tuple[int, int]) -> str:
    if name == "ct_state":
        return "ct_state=" + _ct_state(value)
    if name == "ip_frag" and value in _FRAGMENTS:
        return f"ip_frag={_FRAGMENTS[value]}"
    if name == "vlan_vid" and value == 0:
        return "vlan_tci=0x0000/0x1fff"
    if not isinstance(value, tuple):
        return f"{_ofctl(name)}={_value(name, value)}"
    number, mask = value
    bits = FIELDS[name].bits if name in FIELDS else 0
    length = mask.bit_count()
    if name in _IPV4 | _IPV6 and mask == (1 << length) - 1 << bits - length:
        return f"{_ofctl(name)}={_value(name, number)}/{length}"
    return f"{_ofctl(name)}={_value(name, number)}/{_value(name, mask)}"


def _ct_state(value: int | tuple[int, int]) -> str:
    bits, mask = value if isinstance(value, tuple) else (value, 0xFF)
    return "".join(f"{'+' if bits >> i & 1 else '-'}{flag}" for i, flag in enumerate(_CT_STATES) if mask >> i & 1)


def _value(name: str, value: int) -> str:
    if name in _MACS:
        return value.to_bytes(6, "big").hex(":")
    if name in _IPV4:
        return str(IPv4Address(value))
    if name in _IPV6:
        return str(IPv6Address(value))
    if name == "in_port":
        return _PORTS.get(value, str(value))
    return str(value) if name in _DECIMAL else f"{value:#x}"


def _bits(name: str, first_bit: int, bits: int) -> str:
    if bits == FIELDS[name].subfield_bits:
        return f"{_ofctl(name)}[]"
    last = f"..{first_bit + bits - 1}" if bits > 1 else ""
    return f"{_ofctl(name)}[{first_bit}{last}]"


def _ofctl(name: str) -> str:
    return FIELDS[name].ofctl if name in FIELDS else name


def _table(table: int, table_names: TableNames | None) -> str:
    return str(table) if table_names is None else table_names.get(table, str(table))
