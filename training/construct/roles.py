"""A role: any OpenAI-compatible chat model, whose answers must have a form.

A model that rambles, refuses, is silent or slow spoils one conversation (`RoleError`, counted with its
reason). A model that is away spoils none: the run stops and is resumed later (`RoleAwayError`). A key or
name that the server refuses ends the run at once (`RoleSetupError`).

The client is our own: `openai`'s does not validate answers, follows redirects, reads variables of its own and
brings a second HTTP library; the bounds and the classes of errors below would remain.
"""

import asyncio
import random
import re
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from espalier.client.proxies import honours_proxy
from training.construct.role_settings import Address, ConstructSettings, Role, RoleSetupError

Answer = TypeVar("Answer")
Chat = list[dict[str, str]]
"""Messages in OpenAI's form: `role` and `content`."""
RETRIED_STATUS = frozenset({429, 502, 503, 504})
UNKNOWN_STATUS = frozenset({401, 403, 404})
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
SHOWN = 300
"""Characters of an answer that a rejection keeps."""
_REASONING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_REFUSAL = re.compile(
    r"(?:i'?m sorry|i am sorry|sorry\b|i can(?:no|')t|i won't|as an ai\b|unfortunately\b"
    r"|i(?:'m| am) (?:unable|not able))",
    re.IGNORECASE,
)


class RoleError(Exception):
    """A role's model spoilt a conversation."""

    def __init__(self, role: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{role}: {reason}")
        self.role = role
        self.reason = reason
        self.detail = detail[:SHOWN]


class FormError(RoleError):
    """Raised when an answer lacks its form; another call may help."""


class RoleAwayError(Exception):
    """Raised when a role's model is away; what was made so far stays, and the run can be resumed."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Message(_Wire):
    content: str | None = None
    refusal: str | None = None


class _Choice(_Wire):
    message: _Message
    finish_reason: str | None = None


class _Completion(_Wire):
    choices: list[_Choice] = Field(min_length=1)


class _Model(_Wire):
    id: str


class _Models(_Wire):
    data: list[_Model] = Field(min_length=1)


class RoleModel:
    """One role's model.

    Args:
        role: Which role.
        address: Where the model is.
        settings: Limits of an answer.
        concurrency: Requests in flight; more wait.
    """

    def __init__(self, role: Role, address: Address, settings: ConstructSettings, concurrency: int) -> None:
        self.role = role
        self.name = address.model
        """The model's name; known after the first question at the latest."""
        self._settings = settings
        self._places = asyncio.Semaphore(concurrency)
        self._limit = "max_tokens"
        url = address.url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=url if urlsplit(url).path else f"{url}/v1",
            headers={"Authorization": f"Bearer {address.key}"} if address.key else {},
            timeout=httpx.Timeout(settings.role_timeout, connect=min(5.0, settings.role_timeout)),
            limits=httpx.Limits(max_connections=concurrency),
            trust_env=honours_proxy(url),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def meet(self) -> None:
        """Learn the model's name where none was given.

        Raises:
            RoleSetupError: The server does not list models, or not for this key.
            RoleAwayError: It is away.
        """
        if self.name:
            return
        response = await self._send("GET", "/models")
        try:
            self.name = _Models.model_validate_json(response.content).data[0].id
        except ValidationError:
            raise RoleSetupError(
                f"the server of the {self.role} lists no model: set ESPALIER_ROLE_MODEL"
            ) from None

    async def complete(self, messages: Chat, read: Callable[[str], Answer | None]) -> Answer:
        """Return an answer that has its form, after at most `role_tries` calls.

        Args:
            messages: The conversation.
            read: Reads an answer; None where it lacks the form.

        Raises:
            RoleError: The model has not answered in the form, or not at all.
            RoleAwayError: It is away.
            RoleSetupError: The server refuses the key or the model.
        """
        left = self._settings.role_tries
        while True:
            left -= 1
            try:
                text = await self._answer(messages)
                answer = read(text)
                if answer is not None:
                    return answer
                raise FormError(self.role, "refuses" if _refuses(text) else "rambles", text)
            except FormError:
                if not left:
                    raise

    async def _answer(self, messages: Chat) -> str:
        await self.meet()
        choice = await self._complete(messages)
        text = _REASONING.sub("", choice.message.content or "").strip()
        if choice.message.refusal:
            raise FormError(self.role, "refuses", choice.message.refusal)
        if choice.finish_reason == "length":
            raise FormError(self.role, "rambles", text)
        if not text:
            raise FormError(self.role, "is empty")
        return text

    async def _complete(self, messages: Chat) -> _Choice:
        body: dict[str, Any] = {"model": self.name, "messages": messages, "n": 1}
        body["temperature"] = self._settings.role_temperature
        sent = self._limit
        response = await self._send("POST", "/chat/completions", {**body, sent: self._settings.role_tokens})
        if response.status_code == 400 and sent == "max_tokens" and "max_completion_tokens" in response.text:
            # Newer models take the limit by this name alone, and older servers only by the other.
            self._limit = "max_completion_tokens"
            return await self._complete(messages)
        if not response.is_success:
            raise RoleError(self.role, f"answers {response.status_code}", response.text)
        try:
            return _Completion.model_validate_json(response.content).choices[0]
        except ValidationError:
            raise RoleError(self.role, "answers no completion", response.text) from None

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        give_up = time.monotonic() + self._settings.role_retry_for
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._places, asyncio.timeout(self._settings.role_timeout):
                    response = await self._http.request(method, path, json=body)
                if response.status_code in UNKNOWN_STATUS:
                    raise RoleSetupError(
                        f"the server of the {self.role} at {self._http.base_url} answers "
                        f"{response.status_code}: is the address, the key or the model's name wrong? "
                        f"{response.text[:SHOWN]}"
                    )
                if response.status_code not in RETRIED_STATUS:
                    return response
                reason = f"answers {response.status_code}"
            except (httpx.ConnectTimeout, httpx.TransportError, TimeoutError) as error:
                slow = isinstance(error, TimeoutError | httpx.TimeoutException)
                if slow and not isinstance(error, httpx.ConnectTimeout):
                    limit = f"no answer within {self._settings.role_timeout:g} s"
                    raise RoleError(self.role, "times out", limit) from None
                reason = f"does not answer ({type(error).__name__})"
            except httpx.DecodingError as error:
                raise RoleError(self.role, "answers no completion", str(error)) from None
            if time.monotonic() + pause > give_up:
                raise RoleAwayError(f"the model of the {self.role} at {self._http.base_url} {reason}")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(pause * 2, LONGEST_PAUSE)


def _refuses(text: str) -> bool:
    return bool(_REFUSAL.match(text.replace("\u2019", "'").lstrip(" \n*_\"'")))
