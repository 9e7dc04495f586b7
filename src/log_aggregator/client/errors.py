"""What ends a client's command with a message."""


class ClientError(Exception):
    """The message is for the person at the terminal."""


class Refused(ClientError):
    """The server answered, and said no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"the server answered {status}: {text.strip() or 'nothing'}")
        self.status = status


class Unreachable(ClientError):
    """No answer came."""
