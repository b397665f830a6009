"""One window a profile: a second launch hands its link to the first and ends.

A user-only local socket, named after the profile's folder. What comes over it is a line of text from another
process of the same user: a link to ask about, or an empty line that means *show yourself*.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

_WAIT_MS = 500
_LONGEST = 4096


def server_name(profile: Path) -> str:
    """Name the socket of a profile."""
    digest = hashlib.sha256(str(profile.resolve()).encode()).hexdigest()
    return f"agentnet-desktop-{digest[:24]}"


def hand_over(profile: Path, link: str) -> bool:
    """Give a link, or "" for *show yourself*, to a running window of the profile.

    Returns:
        Whether there was one, and it took the line.
    """
    socket = QLocalSocket()
    socket.connectToServer(server_name(profile))
    if not socket.waitForConnected(_WAIT_MS):
        return False
    socket.write((link[:_LONGEST] + "\n").encode())
    written = socket.waitForBytesWritten(_WAIT_MS)
    socket.disconnectFromServer()
    return written


class InstanceServer(QObject):
    """Takes links of later launches."""

    received = Signal(str)  # a link, or "" for *show yourself*

    def __init__(self, profile: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._sockets: list[QLocalSocket] = []
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._take)
        name = server_name(profile)
        if not self._server.listen(name):
            # Nobody answered `hand_over`, so a socket of that name was left by a crash.
            QLocalServer.removeServer(name)
            self._server.listen(name)

    @property
    def listens(self) -> bool:
        """Whether later launches can reach this one."""
        return self._server.isListening()

    def close(self) -> None:
        """Stop listening."""
        self._server.close()
        for socket in self._sockets:
            socket.abort()

    def _take(self) -> None:
        while self._server.hasPendingConnections():
            socket = self._server.nextPendingConnection()
            # Bound methods only: a function that holds the socket would be torn down inside its destructor.
            self._sockets.append(socket)
            socket.readyRead.connect(self._read)
            socket.disconnected.connect(self._drop)
        self._read()

    def _read(self) -> None:
        for socket in list(self._sockets):
            while socket.canReadLine():
                line = bytes(socket.readLine(_LONGEST).data()).decode("utf-8", "replace").strip()
                self.received.emit(line)

    def _drop(self) -> None:
        self._read()
        ended = [
            socket
            for socket in self._sockets
            if socket.state() is QLocalSocket.LocalSocketState.UnconnectedState
        ]
        for socket in ended:
            self._sockets.remove(socket)
            socket.deleteLater()
