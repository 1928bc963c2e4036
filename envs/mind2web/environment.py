"""Mind2Web behind the session server."""

import asyncio
import json
import math

from envs.mind2web import actions, official, view
from envs.mind2web.grammar import render_grammar
from envs.mind2web.record import Record
from envs.mind2web.rounds import PER_ROUND, Rounds
from envs.mind2web.scoring import judge
from envs.mind2web.settings import Mind2webSettings
from envs.mind2web.tasks import count_most_candidates, make_table
from envs.serving.environment import BadTaskError, Frame
from envs.serving.values import ValueEnvironment
from services.contracts.session import DoneMeans, Fork, Metadata, TerminalAction

SLACK = 2
"""Steps beyond the rounds of the longest choice: an answer that was not understood costs one."""


class Mind2webEnvironment(ValueEnvironment[Record, Rounds]):
    """Mind2Web in memory. A step takes well under a millisecond, so that it runs on the event loop."""

    no_inline = "Mind2Web takes no inline tasks: a step needs its page and its reference"

    def __init__(self, settings: Mind2webSettings) -> None:
        super().__init__("choice", make_table({}, settings.mind2web_generated))
        self._settings = settings
        self._recorded: dict[str, list[Record]] = {}
        self._trouble: str | None = "the records are not read yet"

    @property
    def metadata(self) -> Metadata:
        """What Mind2Web is and how it is played."""
        rounds = math.ceil((count_most_candidates(self._recorded) - 1) / (PER_ROUND - 1))
        return Metadata(
            name="mind2web",
            version="1",
            fork=Fork.NATIVE,
            done_means=DoneMeans.END,
            terminal_action=TerminalAction.NONE,
            splits=self._tasks.splits(),
            max_steps=rounds + SLACK,
            description=actions.DESCRIPTION,
            actions=actions.LANGUAGE,
            engine="offline",
        )

    async def open(self) -> None:
        """Read the recorded steps, where there are any."""
        self._trouble = None
        folder = self._settings.mind2web_data
        if folder is not None:
            try:
                self._recorded = await asyncio.to_thread(
                    official.read, folder, self._settings.mind2web_top_k, self._settings.mind2web_candidates
                )
            except official.RecordsError as error:
                self._trouble = str(error)
        self._tasks = make_table(self._recorded, self._settings.mind2web_generated)

    async def ready(self) -> str | None:
        """Return None where choices can be started; else what is wrong with the data."""
        return self._trouble

    def begin(self, item: Record, seed: int) -> tuple[Rounds, Frame]:
        """Show the first choices; the order of the candidates is drawn from the seed."""
        rounds = Rounds.begin(item, seed)
        if rounds.over:
            raise BadTaskError(f"{item.id} has no candidates")
        return rounds, Frame(f"{view.start(item)}\n\n{self._shown(rounds)}")

    def act(self, value: Rounds, action: str) -> tuple[Rounds, Frame]:
        """Take one answer; one that is not understood changes nothing."""
        answer = actions.parse(action)
        following = value.answer(answer) if answer else None
        if following is None:
            return value, Frame(f"{view.NOTE}\n\n{self._shown(value)}", valid=False)
        if not following.over:
            return following, Frame(self._shown(following))
        verdict = judge(following.record, following.pick, following.did)
        info = verdict.info() | {
            "pick": following.pick,
            "did": following.did,
            "wanted": following.record.wanted,
        }
        outcome = json.dumps([following.pick, following.did])
        return following, Frame("The choice is made.", verdict.reward, done=True, outcome=outcome, info=info)

    def grammar(self, handle: str) -> str:
        """Return the language of the answers to the round that is shown."""
        return render_grammar(len(self._instances.get(handle).shown))

    def _shown(self, rounds: Rounds) -> str:
        return view.choices(rounds, self._settings.mind2web_page_chars)
