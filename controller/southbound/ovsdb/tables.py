"""The columns that Pliant reads.  Each one costs an update whenever it changes: none that only counts is here."""

from __future__ import annotations

DATABASE = "Open_vSwitch"

TABLES = {
    "Bridge": ("name", "datapath_id", "datapath_type", "ports"),
    "Port": ("name", "interfaces", "qos", "external_ids"),
    "Interface": ("name", "ofport", "external_ids", "bfd", "bfd_status"),
    "QoS": ("type", "other_config", "queues", "external_ids"),
    "Queue": ("other_config", "external_ids"),
}
