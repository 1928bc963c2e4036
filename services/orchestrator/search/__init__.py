"""The methods: pure logic over ports, no HTTP, no Redis."""

from services.contracts.action import Form
from services.orchestrator.search.linear import linear
from services.orchestrator.search.method import Method
from services.orchestrator.search.tmbr import TMBR

METHODS: dict[str, Method] = {
    method.name: method for method in (linear(Form.IO), linear(Form.COT), linear(Form.REACT), TMBR)
}
"""Every method by name."""

__all__ = ["METHODS", "Method"]
