"""Words to systemd: ready, alive, stopping. Without systemd nothing is sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class SystemdNotifier:
    """Sends states to the socket that systemd names in $NOTIFY_SOCKET; see sd_notify(3).

    Args:
        environment: the process's own if not given.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        address = (os.environ if environment is None else environment).get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, *states: str) -> None:
        """Send states such as "READY=1" or "WATCHDOG=1"; a socket that is gone is ignored."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.sendto("\n".join(states).encode(), self._address)
        except OSError:
            pass
