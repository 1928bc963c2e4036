"""What the reward reads out of words: the nouns of a title, the colour of an option.

WebShop tags titles with spaCy's large English model. In a title nearly every content word is tagged a
noun or a proper noun, so that leaving out what is not comes close, is the same everywhere and needs no model.
"""

import re


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


WORD = re.compile(r"[^\W_](?:[^\W_]|[.'\u2019](?=[^\W_]))*")
PARTICIPLE = re.compile(r"[a-z]{2,}[^e\W]ed")
FUNCTION_WORDS = _listed(
    """
    a an the this that these those some any all each every both no not and or nor but so as if than then
    of for with without to from in into on onto off at by up down out over under between through per via
    about around after before during is are was be been being has have had do does can will may must should
    it its you your yours we our they their them he his she her who which what when where how i my me us
    """
)
ADJECTIVES = _listed(
    """
    new big small large mini long short high low wide slim thin thick deep great good best better fresh
    easy soft hard heavy strong extra super ultimate perfect suitable available compatible different
    same many more most other such own very only also just too even still well
    beautiful lovely cute natural organic healthy portable adjustable washable reusable durable comfortable
    """
)
COLOURS = _listed(
    """
    amber apricot aqua ash aubergine azure beige black blue blush bronze brown burgundy camel caramel
    champagne charcoal cherry chocolate cobalt coffee copper coral cream crimson cyan denim ebony emerald
    espresso fuchsia gold gray green grey indigo ivory jade khaki lavender lilac lime magenta mahogany
    maroon mauve mint mocha mustard navy nude ochre olive orange peach pewter pink platinum plum purple
    red rose ruby rust sage salmon sapphire scarlet silver slate tan taupe teal terracotta turquoise
    vanilla violet walnut white wine yellow
    """
)


def nouns(title: str) -> list[str]:
    """The words of a title that count as nouns, lower-cased, in order, repeated as they are."""
    return [word for word in (found[0].lower() for found in WORD.finditer(title)) if _noun(word)]


def colour(option: str) -> str:
    """The option's colour, where it names one: the first in the alphabet that stands in it, else the option.

    As WebShop's `normalize_color`, which looks for parts of words too: `light blue` and `blue-2` are `blue`.
    """
    return min((name for name in COLOURS if name in option), default=option)


def _noun(word: str) -> bool:
    if len(word) == 1 or any(letter.isdigit() for letter in word):
        return False
    return not (word in FUNCTION_WORDS or word in ADJECTIVES or PARTICIPLE.fullmatch(word))
