"""Progress and errors of the commands that make data and tune."""

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

from rich.console import Console

from espalier.client import EspalierError
from espalier.plain import plain


@contextlib.contextmanager
def describe_errors() -> Iterator[None]:
    """End the command with one line for errors that a person can mend."""
    from espalier.adapter_folder import AdapterError
    from espalier.improve import ImproveError
    from training.construct.experts import UnknownEnvironmentError
    from training.construct.record import RecordError
    from training.construct.role_settings import RoleSetupError
    from training.construct.servers import ServerError
    from training.construct.templates import PromptError
    from training.sft.examples import ChatTemplateError, GeneralDataError
    from training.sft.mix import MixError

    try:
        yield
    except (
        AdapterError,
        ChatTemplateError,
        GeneralDataError,
        ImproveError,
        MixError,
        OSError,
        PromptError,
        RecordError,
        RoleSetupError,
        ServerError,
        UnknownEnvironmentError,
        EspalierError,
    ) as error:
        stop(str(error))


def stop(text: str) -> NoReturn:
    """End the command: an error, in one line."""
    line = plain(" ".join(f"error: {text}".split()))
    Console(stderr=True).print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(1)


def report(line: str) -> None:
    """A line of progress."""
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)
