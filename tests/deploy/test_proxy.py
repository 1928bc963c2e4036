"""A part below a path of a real reverse proxy."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.kit.settings import Settings
from tests.services.test_door import probe
from tests.support import eventually, free_port, served

CONF = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location /espalier/ {{
      proxy_pass {upstream}/;
      proxy_set_header Host espalier.example;
      proxy_set_header X-Forwarded-Proto https;
    }}
  }}
}}
"""


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    folder: Path = tmp_path_factory.mktemp("nginx")
    settings = Settings(root_path="/espalier", allowed_hosts="espalier.example")
    with served(probe(settings)) as upstream:
        port = free_port()
        (folder / "nginx.conf").write_text(CONF.format(folder=folder, port=port, upstream=upstream))
        process = subprocess.Popen(
            [nginx, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"]
        )
        try:
            url = f"http://127.0.0.1:{port}/espalier"
            eventually(lambda: answers(f"{url}/healthz"))
            yield url
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_the_documentation_finds_its_schema(proxied: str) -> None:
    assert "'/espalier/openapi.json'" in httpx.get(f"{proxied}/docs").text
    assert httpx.get(f"{proxied}/openapi.json").json()["servers"] == [{"url": "/espalier"}]


def test_requests_reach_the_part(proxied: str) -> None:
    assert httpx.post(f"{proxied}/v1/things", json={"number": 3}).json()["number"] == 3
    assert httpx.head(f"{proxied}/healthz").status_code == 200


def test_nothing_leads_out_of_the_path(proxied: str) -> None:
    answer = httpx.post(f"{proxied}/v1/things/", json={})
    assert (answer.status_code, answer.headers.get("location")) == (404, None)
    assert answer.headers["content-type"] == "application/problem+json"
