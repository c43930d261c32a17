"""How pliantd logs: one event name and key=value pairs to stderr, coloured on a terminal, JSON on request."""

from __future__ import annotations

import logging
import sys

import structlog

from controller.config import Log


def configure_logs(settings: Log) -> None:
    """Set up structlog, and the standard library's logging (os-ken, grpc) behind it, warnings and up."""
    level = getattr(logging, settings.level.upper())
    as_json = settings.format == "json"
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json
        else structlog.dev.ConsoleRenderer(colors=settings.format == "auto" and sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if as_json else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    form = "%(asctime)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=max(level, logging.WARNING), format=form)
