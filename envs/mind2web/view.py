"""What an agent is shown of a round."""

from envs.mind2web.actions import LETTERS
from envs.mind2web.record import Record
from envs.mind2web.rounds import Rounds

PREVIOUS = 5
"""AgentBench shows so many of the actions before."""
TEXT_CHARS = 80
NONE = "A. None of the above"
NOTE = "Answer with a letter from the choices and, except for A, CLICK, TYPE <text> or SELECT <option>."


def start(record: Record) -> str:
    """The visit so far: the site and the last actions."""
    lines = [f"Website: {record.website}", "Previous actions:"]
    earlier = len(record.previous) - PREVIOUS
    lines += [f"({earlier} earlier)"] if earlier > 0 else []
    return "\n".join([*lines, *(record.previous[-PREVIOUS:] or ("None",))])


def choices(rounds: Rounds, page_chars: int) -> str:
    """A round: the part of the page around its candidates, as far as that is wanted, and the choices."""
    record = rounds.record
    elements = {element.id: element for element in record.candidates}
    page = record.page.excerpt(list(rounds.shown), page_chars) if page_chars else ""
    lines = [
        f"{letter}. {record.line(elements[element_id], TEXT_CHARS)}"
        for letter, element_id in zip(LETTERS[1:], rounds.shown, strict=False)
    ]
    around = f"Page:\n{page}\n\n" if page else ""
    return around + "\n".join([f"Choices {rounds.number}:", NONE, *lines])
