"""Middleware for applications: duration and status of requests by route, and logs of failed and slow ones."""

from nissa.middleware.asgi import AsgiMiddleware
from nissa.middleware.recorder import RequestRecorder
from nissa.middleware.wsgi import WsgiMiddleware

__all__ = ["AsgiMiddleware", "RequestRecorder", "WsgiMiddleware"]
