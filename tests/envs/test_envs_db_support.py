"""What the tests of the database environment share: servers, the official records, mutated statements."""

import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.dbbench.environment import DbEnvironment
from envs.dbbench.settings import DbSettings
from envs.dbbench.tasks.questions import Question, from_record
from envs.serving.server import serve
from tests.conftest import DATA
from tests.support import eventually, free_port, running

FOLDER = DATA / "dbbench"
MENDED = {
    1: "SELECT SUBSTRING_INDEX(Drivers, '\\\\n', 1) FROM race_results WHERE Drivers LIKE '%\"Jimmy\"%'",
    2: "SELECT `weeks at No. 1` FROM `Music Chart History` WHERE Title LIKE '%Don''t Cry for Me Argentina%'",
    5: "SELECT COUNT(*) FROM historic_sites WHERE `City or town` = 'Dover'",
    6: "SELECT `Wrestler:` FROM `Wrestler Title Reigns` WHERE `Date:` LIKE '%1992%' GROUP BY `Wrestler:`",
    7: "SELECT Score FROM `Football Matches` WHERE Result = '2\u20131' AND Competition = 'Friendly' "
    "AND Goal < 17",
    8: "SELECT Average FROM `Football Team Performance` WHERE `W-L-T` = '5-1' AND Season < 2001 "
    "AND Games < 6",
    11: "SELECT Name FROM `table` ORDER BY REPLACE(`Area (km²)`, ',', '') + 0 DESC LIMIT 1",
    12: "SELECT MIN(Touchdowns) FROM football_stats WHERE Points = 11",
    13: "SELECT MAX(Crowd) FROM `Australian Rules Football Matches` WHERE `Home team score` = '13.17 (95)'",
    15: "SELECT COUNT(`Try bonus`) FROM `Rugby Club Standings` WHERE Points = 51",
    16: "SELECT MIN(Round + 0) FROM `Race Results` WHERE `Fastest Lap` = 'Takashi Kogure'",
    17: "SELECT MAX(Bronze + 0) FROM `Medal Tally` WHERE Silver < 0",
    18: "SELECT Attendance FROM `Baseball Team Record` WHERE Record = '15-28'",
    19: "SELECT AVG(Total) FROM Olympic_medal_counts WHERE Gold = 0 AND Nation = 'Iran'",
}
"""Statements for the records whose own does not run or does not give the label."""
NOT_IN_TABLE = {
    0: "no row has a Termination of Mission of August 15, 2000",
    11: "rows were added to the table: Qena (107,887) is larger than Giza (85,153)",
}
"""Records whose label no statement gives."""


@dataclass
class Db:
    """A database server over HTTP."""

    http: httpx.Client
    environment: DbEnvironment

    def create(self, task: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
        body = {"task_id": task} if isinstance(task, str) else {"task": task}
        answer = self.http.post("/v1/sessions", json=body | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def step(self, session: str, action: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(f"/v1/sessions/{session}/steps", json={"action": action} | fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fork(self, session: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(f"/v1/sessions/{session}/forks", json=fields)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def end(self, session: str) -> None:
        assert self.http.delete(f"/v1/sessions/{session}").status_code == 204

    def play(self, task: str, player: Any) -> dict[str, Any]:
        """Let a player play a task; its last state."""
        state = self.create(task)
        policy = player(state["observation"], state["instruction"]).play()
        action = next(policy, None)
        slips = 0
        while action is not None:
            state = self.step(state["session_id"], action)
            slips += not state["valid"]
            assert slips <= 1, (task, action, state["observation"])
            try:
                action = policy.send(state["observation"])
            except StopIteration:
                break
        self.end(state["session_id"])
        return state


def records() -> list[dict[str, Any]]:
    """AgentBench's dev records; skips the test where they are not."""
    path = FOLDER / "dev.jsonl"
    if not path.is_file():
        pytest.skip("no DB data: set ESPALIER_TEST_DATA to the folder that holds dbbench/")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def questions() -> list[Question]:
    """The dev records as tasks."""
    return [from_record(record) for record in records()]


def gold(number: int, question: Question) -> str:
    """The statement that answers a record, mended where its own does not."""
    return MENDED.get(number, question.sql)


def play_gold(db: Db, number: int, question: Question) -> dict[str, Any]:
    """Play an official record with its gold statement, as far as it goes."""
    session = db.create(f"dev/{number}")["session_id"]
    shown = db.step(session, f"Action: Operation\n```sql\n{gold(number, question)}\n```")
    answer = shown["observation"]
    if number in NOT_IN_TABLE:
        answer = json.dumps(question.label, ensure_ascii=False)
    state = db.step(session, f"Action: Answer\nFinal Answer: {answer}")
    db.end(session)
    return state


@contextlib.contextmanager
def database(**fields: Any) -> Iterator[Db]:
    """A server of the environment, over real HTTP."""
    settings = DbSettings(
        **{"agentbench_data": None, "dbbench_generated": 2000, "max_sessions": 2000} | fields
    )
    environment = DbEnvironment(settings)
    with running(serve(environment, settings)) as http:
        yield Db(http, environment)


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """MariaDB in a folder of its own, on a free port; its administrator's URL."""
    with tempfile.TemporaryDirectory(prefix="espalier-mariadb-") as name:
        # Not pytest's own folders: the server's account cannot get into them.
        Path(name).chmod(0o777)
        with _mariadb_in(Path(name)) as address:
            yield address


@contextlib.contextmanager
def _mariadb_in(folder: Path) -> Iterator[str]:
    install, server = shutil.which("mariadb-install-db"), shutil.which("mariadbd")
    if install is None or server is None:
        pytest.skip("no MariaDB: install Debian's mariadb-server")
    account = ["--user=mysql"] if os.geteuid() == 0 else []
    data, port = folder / "data", free_port()
    common = ["--no-defaults", *account, f"--datadir={data}"]
    subprocess.run(
        [install, *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
    )
    options = [
        f"--socket={folder}/sock",
        f"--port={port}",
        "--bind-address=127.0.0.1",
        f"--pid-file={folder}/pid",
        "--innodb-flush-log-at-trx-commit=0",
        "--innodb-buffer-pool-size=64M",
        "--skip-name-resolve",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([server, *common, *options], stdout=log, stderr=log)
        try:
            eventually(lambda: (folder / "sock").exists() or process.poll() is not None, 30)
            time.sleep(0.2)
            assert process.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
            yield f"mysql://root:@127.0.0.1:{port}?socket={folder}/sock"
        finally:
            process.terminate()
            process.wait(30)


def mutated(sql: str, question: Question, seed: str) -> str:
    """A statement with one or two things changed in it, as a model gets them wrong."""
    draw = random.Random(seed)
    for _ in range(draw.choice((1, 1, 2))):
        sql = draw.choice(MUTATIONS)(sql, question, draw)
    return sql


def _column(question: Question, draw: random.Random) -> str:
    return f"`{draw.choice(question.tables[0].columns)}`"


def _other_column(sql: str, question: Question, draw: random.Random) -> str:
    return re.sub(r"`[^`]+`", lambda found: _column(question, draw) if draw.random() < 0.4 else found[0], sql)


def _operator(sql: str, question: Question, draw: random.Random) -> str:
    sign = draw.choice(("<>", "<", ">", "<=", ">=", "LIKE", "REGEXP", "<=>"))
    return re.sub(r"(?<![<>!])\s?=\s?(?![>])", f" {sign} ", sql, count=1)


def _more(sql: str, question: Question, draw: random.Random) -> str:
    column, number = _column(question, draw), draw.randint(0, 60)
    condition = draw.choice(
        (
            f"{column} > {number}",
            f"{column} < '{number}'",
            f"{column} + 0 BETWEEN 1 AND {number}",
            f"{column} IN ('{number}', 'a')",
            f"{column} NOT IN ({number}, 1)",
            f"{column} LIKE '%{draw.choice('aeiou1')}%'",
            f"{column} <> ''",
            f"LENGTH({column}) > 4",
            f"{column} IS NOT NULL",
            f"{column} = (SELECT MAX({column}) FROM `{question.tables[0].name}`)",
            f"NOT {column}",
        )
    )
    joined = draw.choice(("AND", "OR"))
    if re.search(r"\bWHERE\b", sql):
        return re.sub(r"\bWHERE\b", f"WHERE {condition} {joined}", sql, count=1)
    return f"{sql.rstrip('; ')} WHERE {condition}"


def _shape(sql: str, question: Question, draw: random.Random) -> str:
    column, table = _column(question, draw), f"`{question.tables[0].name}`"
    return draw.choice(
        (
            f"SELECT {draw.choice(('MAX', 'MIN', 'SUM', 'AVG', 'COUNT'))}({column}) FROM {table}",
            f"SELECT {column} FROM {table} ORDER BY {column} LIMIT {draw.randint(1, 3)}",
            f"SELECT {column}, COUNT(*) FROM {table} GROUP BY {column} "
            f"ORDER BY COUNT(*) DESC, {column} LIMIT 2",
            f"SELECT DISTINCT {column} FROM {table} WHERE {_column(question, draw)} > 5",
            f"SELECT {column} FROM {table} WHERE {column} + 0 = (SELECT MAX({column} + 0) FROM {table})",
            f"SELECT {column}, MAX({_column(question, draw)}) FROM {table}",
            f"UPDATE {table} SET {column} = {column} + 1",
            f"UPDATE {table} SET {column} = CONCAT({column}, '!') WHERE {_column(question, draw)} LIKE '1%'",
            f"UPDATE {table} SET {column} = NULL WHERE {_column(question, draw)} = 1",
            f"DELETE FROM {table} WHERE {column} < {draw.randint(1, 50)}",
            f"INSERT INTO {table} ({column}) VALUES ({draw.randint(1, 50)}.50)",
            f"SELECT ROUND(AVG({column}), 2), SUM({column}) / COUNT(*) FROM {table}",
        )
    )


MUTATIONS = (
    _other_column,
    _operator,
    _more,
    _more,
    _shape,
    lambda sql, question, draw: re.sub(r"'(\d+)'", r"\1", sql),
    lambda sql, question, draw: re.sub(r"(?<=[<>=]) ?(\d+(?:\.\d+)?)\b", r" '\1'", sql),
    lambda sql, question, draw: re.sub(r"'[^']*'", lambda found: found[0].upper(), sql),
    lambda sql, question, draw: sql.replace(" AND ", " OR "),
    lambda sql, question, draw: re.sub(r"\bWHERE\b.*", "", sql),
    lambda sql, question, draw: sql.replace("`", ""),
    lambda sql, question, draw: sql.replace("`", '"'),
    lambda sql, question, draw: sql[: draw.randint(8, len(sql))],
    lambda sql, question, draw: f"{sql.rstrip('; ')} LIMIT {draw.randint(1, 2)}",
    lambda sql, question, draw: re.sub(r"\b(?:MAX|MIN|SUM|AVG)\b", draw.choice(("MIN", "MAX", "SUM")), sql),
)


def test_mutations_change_statements_and_repeat() -> None:
    found = questions()
    pairs = [(gold(number, question), question) for number, question in enumerate(found)]
    changed = [mutated(sql, question, f"{sql}/0") for sql, question in pairs]
    assert changed == [mutated(sql, question, f"{sql}/0") for sql, question in pairs]
    assert sum(new != old for new, (old, _) in zip(changed, pairs, strict=True)) > 35
