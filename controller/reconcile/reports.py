"""What the reconcile thread has to say to whoever reads the log or the metrics."""

from __future__ import annotations

import structlog

from controller.fabric.observed import Alarm
from controller.model.ids import format_dpid
from controller.reconcile.granting import Regrant
from controller.reconcile.metrics import STARVED_EDGES
from controller.reconcile.reconciler import Outcome

log = structlog.get_logger()


def report_alarm(alarm: Alarm) -> None:
    log.warning("fabric_alarm", reason=alarm.reason, at=str(alarm.at), message=alarm.message)


def report_step(outcome: Outcome) -> None:
    STARVED_EDGES.set(outcome.n_starved)
    for alarm in outcome.alarms:
        report_alarm(alarm)
    for key, failure in outcome.failures.items():
        log.error("compile_failed", switch=format_dpid(key.dpid), fragment=key.kind, subject=key.subject,
                  exc_info=failure)


def report_regrant(regrant: Regrant) -> None:
    for alarm in regrant.alarms:
        report_alarm(alarm)
    if regrant.failure is not None:
        log.error("regrant_failed", exc_info=regrant.failure)
