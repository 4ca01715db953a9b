"""The error for a request that is refused while it is read."""

from http import HTTPStatus


class RequestError(Exception):
    """Stops the parser: the request is answered with ``status`` and ``text``, and nothing behind it is read."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
