"""The exit codes of `prism`, one for each kind of outcome a script may want to tell apart."""

from __future__ import annotations

from enum import IntEnum

from prism.model.errors import DeadlineExceeded, InvalidArgument, InvalidConfig, NotFound, PrismError, Unavailable


class ExitCode(IntEnum):
    """What `prism` ends with. The numbers are promised: scripts depend on them."""

    OK = 0
    """Everything asked for was done."""
    FAILED = 1
    """Prism (or a check of the demo) refused or failed, or the output can't be written; the message says why."""
    USAGE = 2
    """The command line, the filter, the file or the metadata is wrong; trying again can't help."""
    NOT_FOUND = 3
    """An identity that was named isn't registered."""
    UNDELIVERED = 4
    """`send`: at least one delivery is neither DELIVERED nor PENDING."""
    UNREACHABLE = 5
    """No proxy could be reached, none answered in time, or the backend of the one that answered did not."""
    INTERRUPTED = 130
    """Ctrl-C, SIGTERM or SIGHUP, which `serve` ends with 0 after."""


EPILOGUE = (
    "Exit codes: 0 ok, 1 refused or failed, 2 wrong usage or input, 3 not found, "
    "4 some deliveries neither DELIVERED nor PENDING (send), 5 proxy (or its backend) unreachable or too slow, "
    "130 interrupted."
)
"""The last lines of `prism --help`."""


def exit_code(error: PrismError) -> ExitCode:
    """The exit code that an error ends with."""
    if isinstance(error, NotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, (Unavailable, DeadlineExceeded)):
        return ExitCode.UNREACHABLE
    if isinstance(error, InvalidConfig) and "slot" in error.details:
        return ExitCode.FAILED  # what a backend refuses isn't for who calls to put right
    return ExitCode.USAGE if isinstance(error, InvalidArgument) else ExitCode.FAILED
