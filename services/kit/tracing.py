"""Traces: spans of requests and of work, carried from part to part in W3C `traceparent` headers.

A part has one `Tracing`, which sends its spans to a collector over OTLP/HTTP. `Tracing.serve` and
`Tracing.begin` open the part's outermost spans; `span` opens one below them, and does nothing where there is
none. So nothing is spent while tracing is off. Spans hold names, counts and ids, never prompts, answers,
actions or observations.
"""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Link,
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    format_span_id,
    format_trace_id,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.kit.completion import as_count, as_list, as_object
from services.kit.settings import Settings

HEADERS = ("traceparent", "tracestate")
"""The headers of W3C Trace Context."""
QUEUE = 4096
"""Spans that wait for their export; past it the oldest are dropped."""
BATCH = 512
"""Spans of one export."""
DELAY = 1.0
"""The longest that a span waits for others before it is exported, seconds."""
EXPORT_SECONDS = 5.0
"""One export's deadline, its repetitions included."""
FLUSH_SECONDS = 2.0
"""How long a part that stops waits for its last export at most."""
REPORT_SECONDS = 60.0
"""The shortest time between two reports of what the exporter complains about."""
LONGEST_VALUE = 256
"""Characters after which a text in a span is cut."""
Attributes = Mapping[str, str | bool | int | float | Sequence[str]]
OFF: AbstractContextManager[Span] = nullcontext(INVALID_SPAN)
"""A span that is not recorded."""
_PROPAGATOR = TraceContextTextMapPropagator()
_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)
log = structlog.get_logger()


def span(
    name: str, *, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None
) -> AbstractContextManager[Span]:
    """Return a span below the current one, to be entered; `OFF` where the part has none."""
    tracer = _tracer.get()
    return OFF if tracer is None else _open(tracer, name, kind, attributes)


def mark_failed(error: BaseException) -> None:
    """Mark the current span as failed, by the error's type alone: messages may quote prompts."""
    opened = get_current_span()
    opened.set_attribute("error.type", type(error).__name__)
    opened.set_status(StatusCode.ERROR)


def trace_headers() -> dict[str, str]:
    """Return the headers that continue the current trace in another part; empty where there is none."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def current_traceparent() -> str:
    """Return the current span as W3C `traceparent`, to be recorded; empty where there is none."""
    return trace_headers().get("traceparent", "")


def add_trace(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Add the ids of the current trace and span to a log line."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace"] = format_trace_id(context.trace_id)
        event["span"] = format_span_id(context.span_id)
    return event


class Tracing:
    """The tracing of one part.

    Args:
        part: Its name, `service.name` in traces.
        settings: Where the collector is, and which share of traces is recorded.
    """

    def __init__(self, part: str, settings: Settings) -> None:
        self._part = part
        self._settings = settings
        self._own: Tracer | None = None

    @property
    def on(self) -> bool:
        """Whether spans are recorded now."""
        return self._own is not None

    @asynccontextmanager
    async def run(self) -> AsyncGenerator[None]:
        """Export spans inside the block, where the settings name a collector; flush them at its end."""
        if not self._settings.otlp_endpoint:
            yield
            return
        self._own, stop = _start_exporting(self._part, self._settings)
        try:
            yield
        finally:
            self._own = None
            await stop()

    def serve(
        self, method: str, header: Callable[[str], str], *, begins: bool
    ) -> AbstractContextManager[Span]:
        """Return the span of a request, to be entered.

        Args:
            method: The HTTP method.
            header: Returns a header by its name in lower case; empty: absent.
            begins: Whether the request begins a trace where its headers name none.
        """
        if self._own is None:
            return OFF
        context = _PROPAGATOR.extract({name: value for name in HEADERS if (value := header(name))})
        if not begins and not _continues(context):
            return OFF
        attributes = {"http.request.method": method}
        return _open(self._own, method, SpanKind.SERVER, attributes, context)

    def begin(
        self,
        name: str,
        *,
        parent: str,
        link: str = "",
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
    ) -> AbstractContextManager[Span]:
        """Return a span that continues a recorded trace, to be entered.

        Args:
            name: Its name.
            parent: The recorded `traceparent`; one that is empty or malformed begins a new trace.
            link: The `traceparent` of another span that it follows from; empty: none.
            kind: Its kind.
            attributes: Its attributes.
        """
        if self._own is None:
            return OFF
        linked = _PROPAGATOR.extract({"traceparent": link})
        links = [Link(get_current_span(linked).get_span_context())] if _continues(linked) else []
        context = _PROPAGATOR.extract({"traceparent": parent})
        return _open(self._own, name, kind, attributes, context, links)


def describe_answered(served: Span, method: str, route: str, status: int) -> None:
    """Describe how a request was answered in its span, which gets its name from the route's template."""
    if not served.is_recording():
        return
    served.update_name(f"{method} {route}")
    served.set_attributes({"http.route": route, "http.response.status_code": status})
    if status >= 500:
        served.set_attribute("error.type", str(status))
        served.set_status(StatusCode.ERROR)


def describe_chat(url: str, body: Mapping[str, Any], conversation: str) -> Attributes:
    """Return the attributes of a request to a model (OpenTelemetry's conventions for generative AI)."""
    address = urlsplit(url)
    attributes: dict[str, str | int | float] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": str(body.get("model", "")),
        "server.address": address.hostname or "",
    }
    for name, field in (
        ("gen_ai.request.max_tokens", "max_tokens"),
        ("gen_ai.request.temperature", "temperature"),
        ("gen_ai.request.choice.count", "n"),
    ):
        if isinstance(body.get(field), int | float):
            attributes[name] = body[field]
    if address.port:
        attributes["server.port"] = address.port
    if conversation:
        attributes["gen_ai.conversation.id"] = conversation
    return attributes


def describe_reply(answer: Any) -> Attributes:
    """Return the attributes of a model's answer, as far as it has them."""
    body = as_object(answer)
    usage = as_object(body.get("usage"))
    attributes: dict[str, str | int | list[str]] = {
        "gen_ai.usage.input_tokens": as_count(usage.get("prompt_tokens")),
        "gen_ai.usage.output_tokens": as_count(usage.get("completion_tokens")),
        "gen_ai.usage.cache_read.input_tokens": as_count(
            as_object(usage.get("prompt_tokens_details")).get("cached_tokens")
        ),
    }
    reasons = [as_object(choice).get("finish_reason") for choice in as_list(body.get("choices"))]
    if known := [reason for reason in reasons if isinstance(reason, str)]:
        attributes["gen_ai.response.finish_reasons"] = known
    for name, field in (("gen_ai.response.id", "id"), ("gen_ai.response.model", "model")):
        if isinstance(body.get(field), str):
            attributes[name] = body[field]
    return attributes


@contextmanager
def _open(
    tracer: Tracer,
    name: str,
    kind: SpanKind,
    attributes: Attributes | None,
    context: Context | None = None,
    links: Sequence[Link] = (),
) -> Generator[Span]:
    token = _tracer.set(tracer)
    try:
        with tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as opened:
            try:
                yield opened
            except Exception as error:
                mark_failed(error)
                raise
    finally:
        _tracer.reset(token)


def _continues(context: Context) -> bool:
    return get_current_span(context).get_span_context().is_valid


def _start_exporting(part: str, settings: Settings) -> tuple[Tracer, Callable[[], Any]]:
    """Start the exporter's thread; return what makes spans, and what flushes and stops it."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    _report_problems()
    session = requests.Session()
    session.trust_env = settings.use_proxy
    exporter = OTLPSpanExporter(
        f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS, session=session
    )
    named = {
        "service.namespace": "espalier",
        "service.name": part,
        "service.instance.id": f"{socket.gethostname()}/{os.getpid()}",
    }
    provider = TracerProvider(
        ParentBased(TraceIdRatioBased(settings.trace_ratio)),
        Resource.create(named),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_attribute_length=LONGEST_VALUE),
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=QUEUE,
            max_export_batch_size=BATCH,
            schedule_delay_millis=DELAY * 1000,
        )
    )

    async def stop() -> None:
        # A thread of its own: the processor's shutdown waits longer than a part that stops may.
        flushing = threading.Thread(target=provider.shutdown, daemon=True)
        flushing.start()
        await asyncio.to_thread(flushing.join, FLUSH_SECONDS)
        if flushing.is_alive():
            exporter.shutdown()

    return provider.get_tracer("espalier"), stop


class _Reporter(logging.Handler):
    """Reports what OpenTelemetry complains about, such as a collector that is away, once a minute at most."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, unless one was written within the last minute."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + REPORT_SECONDS
            log.warning("Traces cannot be exported", reason=record.getMessage())


def _report_problems() -> None:
    """Make OpenTelemetry's own log lines go through one reporter, however many parts the process has."""
    logger = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Reporter) for handler in logger.handlers):
        logger.addHandler(_Reporter())
        logger.propagate = False
