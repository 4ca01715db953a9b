"""Routes of the pages: one document for all of them, and the files that it loads.

The document finds by the path which page to show. It holds no data: what it shows it asks from the API.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nissa.api.envelope import refused
from nissa.api.page_files import INDEX, POLICY, PageFile, read_pages

router = APIRouter(include_in_schema=False)  # they are for browsers
PAGES = (
    *("explore", "series", "events", "alerts", "incidents", "slos", "sla", "performance"),
    *("flow", "storage", "settings"),
)
_FILES: dict[str, PageFile] = read_pages()


async def page(request: Request) -> Response:
    """The document."""
    return _answer(request, INDEX)


for _path in ("/", *(f"/{name}" for name in PAGES)):
    router.get(_path)(page)


@router.get("/incidents/{number:int}")
async def room(request: Request) -> Response:
    """The page of an incident, by the path that people try."""
    return Response(status_code=307, headers={"Location": f"/incidents?id={request.path_params['number']}"})


def no_such_page(request: Request) -> Response | None:
    """The document for a browser that has opened a path of no page, with 404; None for all others."""
    path, accepted = request.scope["path"], request.headers.get("accept", "")
    if request.method not in ("GET", "HEAD") or "text/html" not in accepted or INDEX not in _FILES:
        return None
    if path.startswith(("/api/", "/assets/", "/-/", "/v1/")):
        return None
    answer = _answer(request, INDEX)
    answer.status_code = 404
    return answer


@router.get("/assets/{name}")
async def asset(request: Request) -> Response:
    """A script, a style or an icon that the document loads."""
    return _answer(request, f"assets/{request.path_params['name']}")


def _answer(request: Request, name: str) -> Response:
    file = _FILES.get(name)
    if file is None and not _FILES:
        return refused(404, "not_found", "the pages are not built: run scripts/build-pages")
    if file is None:
        return refused(404, "not_found", f"no file {name[:200]!r}")
    coding, body = file.choose(request.headers.get("accept-encoding", ""))
    headers = {
        "Cache-Control": file.cache_control,
        "Content-Security-Policy": POLICY,
        "Vary": "Accept-Encoding",
        **({"Content-Encoding": coding} if coding else {}),
    }
    return Response(body, media_type=file.media_type, headers=headers)
