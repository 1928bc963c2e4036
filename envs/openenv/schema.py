"""Between a server's typed messages and text: actions in, observations out."""

import json
from typing import Any

HIDDEN = frozenset(("done", "reward", "metadata", "session_id", "expires_at"))
"""Fields of an observation that an agent is not shown."""


def text_field(schema: dict[str, Any]) -> str:
    """The field of an action that takes a text: the only required text field, or the only text field.

    Returns:
        Empty where none or several could be meant: actions are then JSON objects.
    """
    properties: dict[str, Any] = schema.get("properties") or {}
    texts = [name for name, of in properties.items() if name != "metadata" and of.get("type") == "string"]
    required = [name for name in schema.get("required") or [] if name in texts]
    for names in (required, texts):
        if len(names) == 1:
            return names[0]
    return ""


def action_of(text: str, field: str) -> dict[str, Any] | None:
    """An action out of an agent's text; None where it is no action.

    A JSON object is taken as it is. Any other text goes into the field, where there is one.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    return {field: text} if field and text.strip() else None


def language_of(schema: dict[str, Any], field: str) -> str:
    """The action language in words, from the schema of actions."""
    if field:
        description = schema.get("properties", {}).get(field, {}).get("description", "")
        return f"A text: {description or field}."
    names = {
        name: of.get("description") or of.get("type") or "value"
        for name, of in (schema.get("properties") or {}).items()
        if name != "metadata"
    }
    return "A JSON object with the fields " + "; ".join(f"{name}: {words}" for name, words in names.items())


def text_of(observation: dict[str, Any]) -> str:
    """An observation as a text: the one text that it holds, else its fields as JSON."""
    shown = {name: value for name, value in observation.items() if name not in HIDDEN}
    texts = [value for value in shown.values() if isinstance(value, str) and value]
    if len(texts) == 1 and all(value in (None, "", [], {}) or value == texts[0] for value in shown.values()):
        return texts[0]
    if isinstance(shown.get("observation"), str):
        return shown["observation"]
    return json.dumps(shown, ensure_ascii=False, default=str)
