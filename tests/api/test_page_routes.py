"""Routes of the pages, on the built ones."""

import re

import httpx
import pytest

from nissa.api.page_routes import PAGES
from nissa.query.backend import Backend


@pytest.fixture
def client(serve) -> httpx.Client:
    """A client of an API without data: the pages ask for none."""
    return serve(Backend.__new__(Backend))


def test_every_page_is_the_same_document(client: httpx.Client) -> None:
    """The document comes for each path; it names scripts of this address only, and none stands inside it."""
    document = client.get("/")
    assert document.status_code == 200
    assert all(client.get(f"/{name}").text == document.text for name in PAGES)
    assert "default-src 'self'" in document.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in document.headers["content-security-policy"]
    assert document.headers.get_list("cache-control") == ["no-cache"]
    loaded = re.findall(r'(?:src|href)="([^"]+)"', document.text)
    assert loaded
    assert all(address.startswith("/assets/") for address in loaded)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=", document.text)


def test_assets_are_compressed_and_kept(client: httpx.Client) -> None:
    """The files of the first load take less than 250 KB by gzip, and may be cached for good."""
    document = client.get("/", headers={"Accept-Encoding": "gzip"})
    loaded_bytes = int(document.headers["content-length"])
    for address in re.findall(r'(?:src|href)="([^"]+)"', document.text):
        asset = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert asset.status_code == 200
        assert asset.headers["content-encoding"] == "gzip"
        assert "immutable" in asset.headers["cache-control"]
        loaded_bytes += int(asset.headers["content-length"])
    assert loaded_bytes < 250_000


def test_browsers_see_a_page_for_a_path_of_none(client: httpx.Client) -> None:
    """The document, with 404; the path of an incident leads to its page; whoever asks for no HTML gets an error."""
    browser = {"Accept": "text/html,application/xhtml+xml;q=0.9"}
    for path in ("/nowhere", "/incidents/none", "/sla/x/y"):
        answer = client.get(path, headers=browser)
        assert (answer.status_code, answer.text) == (404, client.get("/").text)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert client.get(path).json()["error"]
    for path in ("/api/v1/nowhere", "/assets/none.js"):
        assert client.get(path, headers=browser).json()["error"]
    assert client.post("/nowhere", headers=browser).json()["error"]
    answer = client.get("/incidents/7", headers=browser)
    assert (answer.status_code, answer.headers["location"]) == (307, "/incidents?id=7")
    assert client.get("/incidents/", headers=browser).status_code == 308


def test_other_names_are_not_found(client: httpx.Client) -> None:
    """No path leads out of the built files, and an unknown page is an error of the API."""
    for path in ("/assets/none.js", "/assets/..%2findex.html", "/assets/%2e%2e%2f%2e%2e%2fserve.py", "/nowhere"):
        assert client.get(path).status_code == 404
