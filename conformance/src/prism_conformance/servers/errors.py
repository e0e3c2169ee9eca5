"""What can go wrong with a test server.

ServerError
├── InstallFailed      a server could not be fetched or does not run here
├── StartFailed        a server ended, or answered no real operation in time
├── SupervisorGone     the process that holds this run's servers has died, and they with it
└── SharedServer       a test tried to stop or disturb a server that others of the run use too
"""

from __future__ import annotations


class ServerError(Exception):
    """Any failure of a test server. It fails the test that asked for the server; nothing is ever skipped."""


class InstallFailed(ServerError):
    """A server could not be installed. The message lists what was tried and what to type instead."""


class StartFailed(ServerError):
    """A server did not become ready. The message ends with the last lines of its log."""


class SupervisorGone(ServerError):
    """The supervisor of this run has died; all servers of the run have died with it."""


class SharedServer(ServerError):
    """The server is shared by the whole run and can't be stopped, killed or paused by one test."""


class NotReady(Exception):
    """A probe got an answer that says "not yet". Only probes raise it; starting turns it into StartFailed."""
