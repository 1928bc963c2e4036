"""The language of a page's actions: a search where there is a search bar, and the page's buttons."""

from envs.serving.grammar import any_of, group
from envs.webshop.actions import fold
from envs.webshop.pages import Page

QUERY = r"[^\[\]\n ][^\[\]\n]*"
"""The words of a search."""


def render_grammar(page: Page) -> str:
    """Return the language of a page; empty where nothing can be done any more.

    A button is written as the list of clickables has it, or as the page has it.
    """
    written = {fold(part): " ".join(part.split()) for part in page.parts}
    buttons = {*page.clickables, *(written[button] for button in page.clickables if button in written)}
    forms = [rf"search\[{QUERY}\]"] if page.has_search_bar else []
    forms += [rf"click\[{any_of(buttons)}\]"] if buttons else []
    return group(forms) if forms and not page.closed else ""
