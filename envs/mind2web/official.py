"""Reads recorded steps: Mind2Web's own JSON files, and lines of single steps."""

import io
import json
import pickle
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson

from envs.mind2web.record import OPERATIONS, Element, Record, pack

SPLITS = ("train", "test_task", "test_website", "test_domain")
STEPS = "steps"
STEPS_FILE = "steps.jsonl"
SCORES = "scores_all_data.pkl"
SKIPPED = frozenset(("backend_node_id", "bounding_box_rect", "is_clickable", "data_pw_testid_buckeye"))
PLAIN = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "dict"),
    ("builtins", "int"),
    ("builtins", "float"),
    ("builtins", "str"),
}


class RecordsError(ValueError):
    """Raised when a folder's files are not Mind2Web's; the message has the file and the reason."""


Ranks = dict[str, dict[str, int]]
"""By `<annotation id>_<action uid>` and node id: the place in the ranking, from 0."""


def read(folder: Path, top_k: int, candidates: int) -> dict[str, list[Record]]:
    """All recorded steps of a folder by split.

    Args:
        folder: Holds `steps.jsonl`, or Mind2Web's `train`, `test_task`, `test_website`, `test_domain`,
            each a folder of JSON files; `scores_all_data.pkl` beside them ranks the candidates.
        top_k: How many ranked candidates are kept.
        candidates: How many are kept where they are not ranked.

    Raises:
        RecordsError: There is none of these, or one cannot be read.
    """
    if not folder.is_dir():
        raise RecordsError(f"{folder} is no folder")
    found: dict[str, list[Record]] = {}
    if (folder / STEPS_FILE).is_file():
        found[STEPS] = list(_steps(folder / STEPS_FILE, candidates))
    ranks = _ranks(folder / SCORES) if (folder / SCORES).is_file() else {}
    for split in SPLITS:
        place = folder / split if (folder / split).is_dir() else folder / "data" / split
        files = sorted(place.glob("*.json")) if place.is_dir() else []
        if files:
            found[split] = [
                record for path in files for record in _visits(path, split, ranks, top_k, candidates)
            ]
    if not found:
        raise RecordsError(
            f"{folder} holds neither {STEPS_FILE} nor one of the folders {', '.join(SPLITS)} with JSON files"
        )
    return found


def _steps(path: Path, candidates: int) -> Iterator[Record]:
    for number, line in enumerate(path.read_bytes().rstrip(b"\n").split(b"\n"), 1):
        try:
            raw = orjson.loads(line)
            elements = [
                Element(item["backend_node_id"], item["tag"], attributes_of(item["attrs"]))
                for item in raw["candidates"]
            ]
            yield _record(
                f"{STEPS}/{raw['annotation_id']}-{raw['action_idx']}",
                raw,
                raw["previous_actions"],
                (raw["op"], raw["value"]),
                frozenset(raw["pos_bnids"]),
                elements[:candidates],
                raw.get("html_prefix", ""),
            )
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise RecordsError(f"{path}, line {number}: {error!r}") from error


def _visits(path: Path, split: str, ranks: Ranks, top_k: int, candidates: int) -> Iterator[Record]:
    try:
        visits: list[dict[str, Any]] = orjson.loads(path.read_bytes())
        for visit in visits:
            for number, action in enumerate(visit["actions"]):
                name = f"{visit['annotation_id']}_{action['action_uid']}"
                places = ranks.get(name)
                right = [_element(item, places) for item in action["pos_candidates"]]
                wrong = [_element(item, places) for item in action["neg_candidates"]]
                if places is not None:
                    right = [item for item in right if item.rank is not None and item.rank < top_k]
                    wrong = [item for item in wrong if item.rank is not None and item.rank < top_k]
                else:
                    wrong = _spread(wrong, candidates - len(right))
                operation = action["operation"]
                yield _record(
                    f"{split}/{visit['annotation_id']}-{number}",
                    visit,
                    visit["action_reprs"][:number],
                    (operation["op"], operation.get("value", "")),
                    frozenset(item.id for item in right),
                    [*right, *wrong],
                    action.get("cleaned_html", ""),
                )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise RecordsError(f"{path}: {error!r}") from error


def _record(
    record_id: str,
    visit: dict[str, Any],
    previous: list[str],
    operation: tuple[str, str],
    right: frozenset[str],
    elements: list[Element],
    html: str,
) -> Record:
    name, value = operation
    if name not in OPERATIONS:
        raise ValueError(f"operation {name!r} is not one of {', '.join(OPERATIONS)}")
    return Record(
        id=record_id,
        split=record_id.partition("/")[0],
        website=visit["website"],
        task=visit["confirmed_task"],
        previous=tuple(previous),
        operation=name,
        value="" if name == "CLICK" else " ".join(value.split()),
        right=right & frozenset(element.id for element in elements),
        candidates=tuple(elements),
        packed=pack(html),
    )


def _element(item: dict[str, Any], places: dict[str, int] | None) -> Element:
    given = json.loads(item["attributes"]) if isinstance(item["attributes"], str) else item["attributes"]
    attributes = {name: str(value) for name, value in given.items() if name not in SKIPPED}
    node_id = str(item["backend_node_id"])
    return Element(node_id, item["tag"], attributes, None if places is None else places.get(node_id))


def _spread(elements: list[Element], room: int) -> list[Element]:
    """So many of the elements, evenly over the page."""
    if room <= 0 or not elements:
        return []
    stride = max(1.0, len(elements) / room)
    return [elements[int(place * stride)] for place in range(min(room, len(elements)))]


def attributes_of(text: str) -> dict[str, str]:
    """Attributes out of the inside of a tag, which may be cut off: `class="a b" type="submit"`."""
    reader = _Attributes()
    reader.feed(f"<x {text.rstrip('. ')}>")
    if reader.found is None:
        reader.feed('">')
    return reader.found or {}


class _Attributes(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """The one tag that there is."""
        self.found = {name: value or "" for name, value in attrs}


class _PlainUnpickler(pickle.Unpickler):
    """Loads numbers, texts and mappings and nothing else: a pickle may run what it likes."""

    def find_class(self, module: str, name: str) -> Any:
        """Only plain containers, and NumPy's scalars where NumPy is there."""
        if (module, name) in PLAIN or (module.startswith("numpy") and name in ("scalar", "dtype")):
            return super().find_class(module, name)
        raise RecordsError(f"{SCORES} holds {module}.{name}, which is not loaded")


def _ranks(path: Path) -> Ranks:
    try:
        loaded = _PlainUnpickler(io.BytesIO(path.read_bytes())).load()
        return {
            name: {str(node): int(rank) for node, rank in places.items()}
            for name, places in loaded["ranks"].items()
        }
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, ImportError) as error:
        raise RecordsError(f"{path}: {error!r}") from error
