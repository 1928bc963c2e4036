"""Requests and answers as vLLM 0.32's OpenAI server has them, as far as Espalier speaks them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """Unknown fields are taken and ignored, as vLLM does."""

    model_config = ConfigDict(extra="ignore")


class TextPart(Wire):
    """One part of a message's content."""

    type: Literal["text"]
    text: str


class WireMessage(Wire):
    """One message of a chat."""

    role: str
    content: str | list[TextPart] | None = None

    def text(self) -> str:
        """The content as one text."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class ChatRequest(Wire):
    """`POST /v1/chat/completions`."""

    messages: list[WireMessage] = Field(min_length=1)
    model: str | None = None
    n: int | None = Field(default=1, ge=1, le=256)
    temperature: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = 0
    logprob_token_ids: list[int] | None = None
    structured_outputs: dict[str, Any] | None = None
    stream: bool | None = False
    priority: int = 0

    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class TokenLogprob(Wire):
    """One token and its logprob."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(TokenLogprob):
    """A token of the answer, with the others that were requested at its place."""

    top_logprobs: list[TokenLogprob] = Field(default_factory=list[TokenLogprob])


class Logprobs(Wire):
    """The logprobs of a choice."""

    content: list[ContentLogprob]


class ChoiceMessage(Wire):
    """The model's message, with the fields that vLLM fills with null."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: None = None
    audio: None = None
    function_call: None = None
    reasoning: None = None


class Choice(Wire):
    """One of the n answers."""

    index: int
    message: ChoiceMessage
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length"] = "stop"
    stop_reason: str | None = None
    token_ids: None = None


class PromptDetails(Wire):
    """Where the prompt's tokens came from."""

    cached_tokens: int | None = None


class Usage(Wire):
    """Tokens."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int
    prompt_tokens_details: PromptDetails | None = None


class ChatResponse(Wire):
    """The answer to a chat."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    service_tier: None = None
    system_fingerprint: None = None
    prompt_logprobs: None = None
    prompt_token_ids: None = None
    kv_transfer_params: None = None


class TokenizeRequest(Wire):
    """`POST /tokenize`, of a prompt or of a chat."""

    model: str | None = None
    prompt: str | None = None
    messages: list[WireMessage] | None = None
    add_generation_prompt: bool = True
    add_special_tokens: bool | None = None
    return_token_strs: bool | None = False


class TokenizeResponse(Wire):
    """The tokens."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class DetokenizeRequest(Wire):
    """`POST /detokenize`."""

    model: str | None = None
    tokens: list[int]


class DetokenizeResponse(Wire):
    """The text of tokens."""

    prompt: str


class ScoringRequest(Wire):
    """`POST /generative_scoring`."""

    model: str | None = None
    query: str | list[int]
    items: list[str] | list[list[int]]
    label_token_ids: list[int]
    apply_softmax: bool = True
    item_first: bool = False
    add_special_tokens: bool = True


class ScoringItem(Wire):
    """The probability of the first label after one item."""

    index: int
    object: Literal["score"] = "score"
    score: float


class ScoringResponse(Wire):
    """A score for each item."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[ScoringItem]
    usage: Usage


class LoadAdapter(Wire):
    """`POST /v1/load_lora_adapter`."""

    lora_name: str
    lora_path: str
    load_inplace: bool = False


class UnloadAdapter(Wire):
    """`POST /v1/unload_lora_adapter`."""

    lora_name: str


class ModelCard(Wire):
    """A model or an adapter that is served."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["vllm"] = "vllm"
    root: str | None = None
    parent: str | None = None
    max_model_len: int | None = None
    permission: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])


class ModelList(Wire):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ErrorInfo(Wire):
    """What went wrong, in OpenAI's words."""

    message: str
    type: str
    param: str | None = None
    code: int


class ErrorResponse(Wire):
    """OpenAI's error shape."""

    error: ErrorInfo


class EngineError(Exception):
    """An error that is answered in OpenAI's shape."""

    def __init__(
        self, message: str, status: int = 400, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = ErrorResponse(error=ErrorInfo(message=message, type=kind, param=param, code=status))
