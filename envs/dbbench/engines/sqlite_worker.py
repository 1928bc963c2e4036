"""One process that runs SQL in SQLite: a header in JSON on a line and a database's bytes, in and out.

It keeps nothing from one statement to the next, so that killing it loses nothing. Once it is ready it can
open no file and take no more memory than it was given. It ends when its standard input does.
"""

import json
import os
import resource
import sys
from typing import Any, BinaryIO

from envs.dbbench.engines.port import Table
from envs.dbbench.engines.sqlite_session import Bounds, build, contents, run
from envs.dbbench.mysql.statements import SqlError

DEPTH = 3000
"""How deep Python may recurse: sqlglot takes some fifteen frames a level."""
WARM = (
    "SELECT DATE_FORMAT('2001-02-03', '%M'), STR_TO_DATE('1 May 2001', '%e %M %Y'), FORMAT(1.5, 1), STD(1)",
    "SELECT UPPER(`a b`), COUNT(*) FROM `t` WHERE `a b` LIKE 'x%' AND `a b` REGEXP '[0-9]' "
    "GROUP BY UPPER(`a b`) ORDER BY 1 LIMIT 1",
    "SELECT MD5(`a b`), ROUND(1.5, 1), GROUP_CONCAT(DISTINCT `a b`) FROM `t` GROUP BY MD5(`a b`)",
    "UPDATE `t` SET `a b` = `a b` + 1 WHERE `a b` IN (SELECT `a b` FROM `t`) LIMIT 1",
    "INSERT INTO `t` (`a b`) VALUES (1.5), ('é')",
    "DELETE FROM `t` WHERE `a b` = 'ß'",
    "SHOW TABLES",
    "SELECT FROM",
    "x",
)
"""Statements that make Python load whatever it will need."""


def answer(request: dict[str, Any], database: bytes) -> tuple[dict[str, Any], bytes]:
    """Carry out a request: `build`, `run` or `contents`."""
    bounds = Bounds(**request["bounds"])
    try:
        match request["op"]:
            case "build":
                return {"ok": True}, build([_table(table) for table in request["tables"]], bounds)
            case "run":
                schema = {name: tuple(columns) for name, columns in request["schema"]}
                ran = run(database, schema, request["sql"], bounds)
                return {
                    "ok": ran.ok,
                    "text": ran.text,
                    "changed": ran.database is not None,
                }, ran.database or b""
            case _:
                return {"ok": True, "rows": contents(database, _table(request["table"]), bounds)}, b""
    except (SqlError, MemoryError) as error:
        return {"ok": False, "text": str(error) or "Out of memory"}, b""


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the requests end."""
    while line := requests.readline():
        request = json.loads(line)
        reply, payload = answer(request, requests.read(request["bytes"]))
        answers.write(json.dumps(reply | {"bytes": len(payload)}).encode() + b"\n" + payload)
        answers.flush()


def confine(memory: int, files: int) -> None:
    """Give up files and memory, for good.

    Args:
        memory: What the process may take, MiB.
        files: No descriptor of this number or above can be opened.
    """
    for kind, limit in (
        (resource.RLIMIT_AS, memory * 2**20),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, files),
    ):
        resource.setrlimit(kind, (limit, limit))


def warm() -> None:
    """Run what makes Python load its modules while it still can."""
    bounds = Bounds(5.0, 2**20, 800)
    database = build([Table("t", ("a b",), (("1",),))], bounds)
    for sql in WARM:
        run(database, {"t": ("a b",)}, sql, bounds)


def main() -> None:
    """Keep standard output for answers."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.setrecursionlimit(DEPTH)
    warm()
    confine(int(sys.argv[1]), answers.fileno() + 1)
    answers.write(b"ready\n")
    answers.flush()
    serve(sys.stdin.buffer, answers)


def _table(fields: list[Any]) -> Table:
    name, columns, rows = fields
    return Table(name, tuple(columns), tuple(tuple(row) for row in rows))


if __name__ == "__main__":
    main()
