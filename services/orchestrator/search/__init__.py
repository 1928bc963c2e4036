"""The methods: pure logic over ports, no HTTP, no Redis."""

from services.contracts.action import Form
from services.orchestrator.search.ensemble import BEST_OF_N, SELF_CONSISTENCY
from services.orchestrator.search.lats import LATS
from services.orchestrator.search.linear import linear
from services.orchestrator.search.method import Method
from services.orchestrator.search.reflexion import REFLEXION
from services.orchestrator.search.tmbr import TMBR
from services.orchestrator.search.tot import TOT

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        linear(Form.IO),
        linear(Form.COT),
        linear(Form.REACT),
        SELF_CONSISTENCY,
        BEST_OF_N,
        REFLEXION,
        LATS,
        TMBR,
        TOT,
    )
}
"""Every method by name."""

__all__ = ["METHODS", "Method"]
