"""A collector of traces: takes OTLP over HTTP, as a real one does, and keeps the spans."""

import contextlib
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support import served


@dataclass(frozen=True)
class Collected:
    """One span."""

    part: str
    instance: str
    """The process."""
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    links: tuple[str, ...]
    """The ids of the spans that it follows from."""
    failed: bool
    events: int


@dataclass
class Collector:
    """The spans that came in."""

    url: str = ""
    spans: list[Collected] = field(default_factory=list[Collected])
    received: list[bytes] = field(default_factory=list[bytes])
    """The requests' bodies."""

    def of_trace(self, trace: str) -> list[Collected]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace == trace]

    def edges(self, trace: str) -> set[tuple[str, str]]:
        """Parents and children of a trace as `part name`; `outside` is a parent that did not come in."""
        spans = self.of_trace(trace)
        names = {span.id: f"{span.part} {span.name}" for span in spans}
        return {(names.get(span.parent, "outside"), names[span.id]) for span in spans}

    def take(self, body: bytes) -> None:
        """Keep what one request brings."""
        self.received.append(body)
        for batch in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {item.key: _value(item.value) for item in batch.resource.attributes}
            for scope in batch.scope_spans:
                for span in scope.spans:
                    self.spans.append(
                        Collected(
                            part=resource["service.name"],
                            instance=resource["service.instance.id"],
                            name=span.name,
                            kind=span.kind,
                            trace=span.trace_id.hex(),
                            id=span.span_id.hex(),
                            parent=span.parent_span_id.hex(),
                            attributes={item.key: _value(item.value) for item in span.attributes},
                            links=tuple(link.span_id.hex() for link in span.links),
                            failed=span.status.code == Status.STATUS_CODE_ERROR,
                            events=len(span.events),
                        )
                    )


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind) if kind else None


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()
    app = FastAPI()

    @app.post("/v1/traces")
    async def export(request: Request) -> Response:
        body = await request.body()
        collector.take(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)
        return Response(b"", media_type="application/x-protobuf")

    with served(app) as url:
        collector.url = url
        yield collector
