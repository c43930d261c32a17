"""Which of the two ways of making queues works on a switch.

    what forwards        the switch's kernel    ovs-vswitchd (datapath_type=netdev)    not known: no database says
    queues by            ovsdb                  tc, beside it: there set_queue         tc, if its ports are devices here
                                                does nothing
"""

from __future__ import annotations

from enum import StrEnum

from controller.fabric.ports import Switch
from controller.reconcile.queue_driver import Choice
from controller.southbound.queues.ovsdb import OvsdbQueues
from controller.southbound.queues.tc import Tc


class Preference(StrEnum):
    """What the operator says of it."""

    AUTO = "auto"
    TC = "tc"
    OVSDB = "ovsdb"
    NONE = "none"
    """no queues: what was made before is removed by whoever would make it"""


class Probe:
    """For the keeper's thread."""

    def __init__(self, tc: Tc, ovsdb: OvsdbQueues, preference: Preference = Preference.AUTO) -> None:
        self._tc = tc
        self._ovsdb = ovsdb
        self._preference = preference

    def __call__(self, switch: Switch) -> Choice:
        forwards = self._ovsdb.types.get(switch.dpid)
        if forwards is None and not self._ovsdb.is_settled:
            return Choice(None)
        if self._preference is not Preference.TC and forwards == "system":
            return Choice(self._ovsdb)
        if self._preference is Preference.OVSDB:
            return Choice(None, _NO_DATABASE if forwards is None else _USERSPACE)
        why_not = self._tc.why_not(switch)
        if not why_not:
            return Choice(self._tc)
        if forwards is None:
            return Choice(None, f"{_NO_DATABASE}, and {why_not}")
        return Choice(None, why_not if forwards == "system" else f"{_USERSPACE}, and {why_not}")


_NO_DATABASE = "no Open vSwitch database that pliantd is given knows this switch"
_USERSPACE = "this switch forwards in user space, where it heeds no queues"
