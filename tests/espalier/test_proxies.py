"""Commands and clients on machines with proxy variables."""

import pytest

from espalier.client import Espalier
from espalier.client.proxies import honours_proxy
from tests.services.test_door import probe
from tests.support import free_port, served


@pytest.mark.parametrize(
    ("url", "excluded", "honours"),
    [
        ("http://127.0.0.1:8000", "", False),
        ("http://127.8.9.1:8000", "", False),
        ("http://[::1]:8000", "", False),
        ("http://localhost:8000", "", False),
        ("http://gpu.example:8000", "", True),
        ("http://gpu.example:8000", "example", False),
        ("http://gpu.example:8000", ".example", False),
        ("http://gpu.example:8000", "ample", True),
        ("http://gpu.example:8000", "*", False),
        ("http://10.1.2.3:8000", "10.0.0.0/8", False),
        ("http://10.1.2.3:8000", "10.1.2.0/24, 192.168.0.0/16", False),
        ("http://11.1.2.3:8000", "10.0.0.0/8", True),
        ("http://[fd00::7]:8000", "fd00::/8", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_which_addresses_go_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, excluded: str, honours: bool
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv(name, excluded)
    assert honours_proxy(url) is honours


def test_a_client_reaches_this_machine_past_a_proxy_that_leads_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with served(probe()) as url, Espalier(url) as client:
        assert client._http.get("/healthz").status_code == 200
