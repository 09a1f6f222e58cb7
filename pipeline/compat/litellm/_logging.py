"""litellm's loggers. This module writes to them sparsely, and configures nothing."""

from __future__ import annotations

import logging
import sys

verbose_logger = logging.getLogger("LiteLLM")
verbose_proxy_logger = logging.getLogger("LiteLLM Proxy")
verbose_router_logger = logging.getLogger("LiteLLM Router")

ALL_LOGGERS = [logging.getLogger(), verbose_logger, verbose_router_logger, verbose_proxy_logger]

json_logs = False
set_verbose = False
log_level = "WARNING"
handler = logging.StreamHandler()


def _turn_on_debug() -> None:
    """Log in all detail, to standard error if nobody else listens."""
    for logger in (verbose_logger, verbose_router_logger, verbose_proxy_logger):
        logger.setLevel(logging.DEBUG)
    if not verbose_logger.hasHandlers():
        for logger in (verbose_logger, verbose_router_logger, verbose_proxy_logger):
            logger.addHandler(handler)


def _disable_debugging() -> None:
    """Log nothing."""
    for logger in (verbose_logger, verbose_router_logger, verbose_proxy_logger):
        logger.disabled = True


def _enable_debugging() -> None:
    """Log again."""
    for logger in (verbose_logger, verbose_router_logger, verbose_proxy_logger):
        logger.disabled = False


def _is_debugging_on() -> bool:
    return verbose_logger.isEnabledFor(logging.DEBUG) or set_verbose


def print_verbose(print_statement: object) -> None:
    """Write something to standard error if `set_verbose` is on."""
    if set_verbose:
        sys.stderr.write(f"{print_statement}\n")
