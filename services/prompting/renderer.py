"""Renders contexts and questions as chat messages.

All roles share one head and the same turns; what varies (the subtask in hand, the role's question)
comes at the very end of the last message and is not kept. So every prompt of a path begins as the
one before it did, and the engine's prefix cache serves what they share.
"""

from typing import Any

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.contracts.action import ActionRequest
from services.contracts.context import Context, Turn
from services.contracts.plan import PlanRequest
from services.contracts.verdict import PathQuestion, SelectionQuestion, SubtaskQuestion
from services.prompting.parser import fenced
from services.prompting.profile import Profile

Chat = list[dict[str, str]]


class Renderer:
    """Renders with one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        jinja = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
        )
        self._templates = {purpose: jinja.from_string(text) for purpose, text in profile.prompts.items()}

    def planner(self, request: PlanRequest) -> str:
        """The planner's question (P_sub, section 3.3)."""
        return self._render("planner", k=request.num_subtasks)

    def actor(self, request: ActionRequest) -> str:
        """Return the actor's question, in the requested form."""
        return self._render(
            f"actor_{request.form}",
            subtask=request.subtask,
            submit=request.submit,
            environment=request.context.environment,
        )

    def subtask(self, question: SubtaskQuestion) -> str:
        """Whether the subtask is done (P_jdg, section 3.3)."""
        return self._render("judge_subtask", subtask=question.subtask)

    def selection(self, question: SelectionQuestion) -> str:
        """Which candidate is best."""
        return self._render("judge_selection", subtask=question.subtask, options=question.options)

    def path(self, context: Context) -> str:
        """Whether a path's end is good enough."""
        return self._render("judge_path", task=context.task)

    def paths(self, question: PathQuestion) -> str:
        """Which of several paths is best."""
        return self._render("judge_paths", task=question.paths[0].task, paths=question.paths)

    def value(self, context: Context) -> str:
        """Return the question of how likely success is from a context's state."""
        return self._render("judge_value", task=context.task)

    def reflection(self, context: Context) -> str:
        """Return the question of what a path that was not good enough teaches."""
        return self._render("judge_reflect", task=context.task)

    def turn(self, turn: Turn) -> str:
        """Return the actor's answer at a step for the transcript; an action of several lines is fenced."""
        action = fenced(turn.action)
        rendered = turn if action == turn.action else turn.model_copy(update={"action": action})
        return self._render("turn", turn=rendered)

    def messages(self, context: Context, question: str, first_turn: int = 0) -> Chat:
        """The prompt: head, the turns from `first_turn` on, and the question at the end."""
        messages = [{"role": "system", "content": self._render("system")}]
        messages.append({"role": "user", "content": self._head(context)})
        for turn in context.turns[first_turn:]:
            messages.append({"role": "assistant", "content": self.turn(turn)})
            messages.append({"role": "user", "content": self._seen(context, turn.observation)})
        last = messages[-1]
        if question:
            last["content"] = f"{last['content']}\n\n{question}"
        return messages

    def _head(self, context: Context) -> str:
        parts = [
            self._render(
                "head",
                environment=context.environment,
                task=context.task,
                observation=self._seen(context, context.observation),
            )
        ]
        if context.tried:
            parts.append(self._render("tried", task=context.task, tried=context.tried))
        if any(path.lesson for path in context.tried):
            parts.append(self._render("lessons", tried=context.tried))
        if context.plan:
            parts.append(self._render("plan", plan=context.plan))
        return "\n\n".join(parts)

    def _seen(self, context: Context, observation: str) -> str:
        """An observation as the profile shows it."""
        return self._render("observation", environment=context.environment, observation=observation)

    def _render(self, purpose: str, **values: Any) -> str:
        return self._templates[purpose].render(**values).strip()
