"""Prompt profiles: files, one renderer, one parser. It serves, and it makes the training data."""

from services.prompting.parser import ParsedAction, fenced, parse_action, parse_plan
from services.prompting.profile import Profile, load_profile
from services.prompting.renderer import Renderer
from services.prompting.window import fit

__all__ = [
    "ParsedAction",
    "Profile",
    "Renderer",
    "fenced",
    "fit",
    "load_profile",
    "parse_action",
    "parse_plan",
]
