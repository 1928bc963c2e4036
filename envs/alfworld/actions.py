"""The action language: what is tolerated in an action before the engine gets it."""

import re

PUT = re.compile(r"put (?P<object>.+?) (?:in/on|into|onto|in|on|to) (?P<receptacle>.+)")
"""The older release (and the paper) puts; the present one moves."""
DESCRIPTION = "You are in a room of a house and act in it by text. Your hands hold one object at a time."
LANGUAGE = """go to R; open R; close R; take O from R; move O to R; use O; heat O with R; cool O with R; \
clean O with R; slice O with O; examine X; look; inventory
R is a receptacle and O an object, each with its number, such as "drawer 2" or "apple 1". Go to a receptacle \
before you use it, and open it if it is closed. Heat with a microwave, cool with a fridge, clean with a \
sinkbasin. "Nothing happens." means that the action was not possible."""


def command(action: str) -> str:
    """The engine's command for an action: case, blanks and a full stop at the end do not matter."""
    text = " ".join(action.lower().split()).rstrip(" .")
    put = PUT.fullmatch(text)
    return f"move {put['object']} to {put['receptacle']}" if put else text
