"""WSGI: records requests of Flask, Django, Bottle and others.

    app.wsgi_app = WsgiMiddleware(app.wsgi_app, RequestRecorder("shop"), route=lambda environ: …)

A WSGI server does not know routes. The template is what the application leaves in the environment under
``nissa.route``, or what the function ``route`` gives; without either, requests count as ``unrouted``. Raw paths are
never recorded.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nissa.middleware.asgi import UNROUTED
from nissa.middleware.recorder import RequestRecorder, written_failure
from nissa.service.clock import monotonic_ms

Environ = dict[str, Any]
RouteOf = Callable[[Environ], str]


class WsgiMiddleware:
    """An application around an application."""

    def __init__(
        self, app: Callable[..., Iterable[bytes]], recorder: RequestRecorder, route: RouteOf | None = None
    ) -> None:
        """route: gives the template of a request's route from its environment, after the application was called."""
        self._app, self._recorder, self._route = app, recorder, route

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        begin_ms, status = monotonic_ms(), [500]  # of an application that fails before it answers

        def start_seen(line: str, *arguments: Any) -> Any:
            status[0] = int(line.split(" ", 1)[0])
            return start_response(line, *arguments)

        def finish(failure: str = "") -> None:
            route = environ.get("nissa.route") or (self._route(environ) if self._route is not None else "")
            duration_s = (monotonic_ms() - begin_ms) / 1000
            trace = str(environ.get("HTTP_TRACEPARENT", ""))[:100]
            self._recorder.record(environ["REQUEST_METHOD"], route or UNROUTED, status[0], duration_s, trace, failure)

        try:
            return _Body(self._app(environ, start_seen), finish)
        except BaseException as error:  # raised again: a request that fails counts as well
            finish(written_failure(error))
            raise


class _Body:
    """The body, which counts the request when the server closes it."""

    def __init__(self, parts: Iterable[bytes], finish: Callable[[], None]) -> None:
        self._parts, self._finish = parts, finish

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._parts)

    def close(self) -> None:
        """As WSGI says: the server calls it at the end, whatever happened."""
        try:
            if hasattr(self._parts, "close"):
                self._parts.close()
        finally:
            self._finish()
