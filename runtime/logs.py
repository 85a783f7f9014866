"""Structured logs: one JSON object a line on standard error."""

from __future__ import annotations

import logging
import sys

import grpc
import structlog

SECRET_WORDS = ("password", "secret", "token", "pin", "plaintext", "material", "private_key")


def _redact(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A last line of defence: a field whose name says secret never shows its value."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "[redacted]"
    return event


def _is_own(record: logging.LogRecord) -> bool:
    """Whether what is told is a fault of this process, and not of whoever sent a request, or went away."""
    error = record.exc_info[1] if record.exc_info else None
    left = isinstance(error, ConnectionError | grpc.aio.InternalError)
    return not left and type(error).__module__ != "aiohttp.http_exceptions"


def _name_cause(_: object, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What a library warns of, it tries again by itself: its cause in one line, and no traceback."""
    error = sys.exc_info()[1] if event.get("exc_info") is True else (event.get("exc_info") or (None, None))[1]
    if level == "warning" and error is not None:
        del event["exc_info"]
        event["error"] = f"{type(error).__name__}: {error}"
    return event


def setup_logs(process: str, level: str = "INFO") -> None:
    """Write every log line of this process, the libraries' included, with the process's name and a UTC time."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _name_cause],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # The broker's client repeats every reconnection of ours at WARNING, with its stack.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # A request that is no HTTP was answered with 400; a caller that left cannot be answered.
    for name in ("aiohttp.server", "grpc._cython.cygrpc"):
        logging.getLogger(name).addFilter(_is_own)
    structlog.contextvars.bind_contextvars(process=process)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines carry `module=name`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(module=name)
    return logger
