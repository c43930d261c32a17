"""OpenFlow 1.3 with Nicira's extensions as plain bytes: a pure codec.

    fields, match, actions, instructions    the words a flow is made of -> canonical bytes
    entries                                 flows, groups, meters as values
    messages                                values -> frames for a switch
    parts, decode                           bytes from a switch -> values; raise DecodeError and nothing else
    requests                                the same for switches made of memory, which read what messages wrote
    text                                    values -> the syntax of ovs-ofctl

Bytes are canonical: what Open vSwitch returns in a dump equals what was sent, so comparing needs no decoding.
No I/O, no sockets, no os-ken (which serves the tests as the oracle).
"""
