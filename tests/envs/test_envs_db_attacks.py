"""Hostile statements: nothing is got, nothing is hit but the attacker's own session, and the next one works."""
# ruff: noqa: E501 - attacks stand one a line

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from envs.dbbench.engines.port import Table
from envs.dbbench.mysql.statements import checked
from envs.dbbench.settings import EngineKind
from tests.envs.test_envs_db_support import Db, database, mariadb

SECONDS = 0.5
"""The deadline of a statement here."""
LONGEST = 6.0
"""An attack and what is asked meanwhile are answered in this time, a busy machine included, seconds."""
SECRET = "the-neighbours-own-words"
TARGET = "/tmp/espalier-dbbench-attack"
ROWS = [[str(number), f"name {number}"] for number in range(30)]
TASK = {
    "instruction": "How many?",
    "data": {"table": {"name": "t", "columns": ["a", "b"], "rows": ROWS}, "label": ["30"]},
}
NEIGHBOUR = {
    "instruction": "What?",
    "data": {"table": {"name": "secrets", "columns": ["word"], "rows": [[SECRET]]}, "label": [SECRET]},
}
CROSS = ", ".join(f"t t{number}" for number in range(12))
FILES = [
    f"ATTACH DATABASE '{TARGET}' AS x",
    "SELECT LOAD_FILE('/etc/passwd')",
    f"SELECT 'x' INTO OUTFILE '{TARGET}'",
    f"SELECT 'x' INTO DUMPFILE '{TARGET}'",
    f"SELECT * FROM t INTO OUTFILE '{TARGET}' FIELDS TERMINATED BY ','",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
    "SELECT load_extension('/usr/lib/x.so')",
    "SELECT readfile('/etc/passwd')",
    f"SELECT writefile('{TARGET}', 'x')",
    f"VACUUM INTO '{TARGET}'",
    "SELECT fts3_tokenizer('x')",
    "CREATE VIRTUAL TABLE v USING csv(filename='/etc/passwd')",
    f"BACKUP TO '{TARGET}'",
    f"CREATE TABLE x (a int) DATA DIRECTORY='{TARGET}'",
    "INSTALL PLUGIN x SONAME 'x.so'",
    "CREATE FUNCTION x RETURNS STRING SONAME 'x.so'",
]
RIGHTS = [
    "PRAGMA writable_schema = 1",
    "PRAGMA database_list",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM sqlite_master",
    "UPDATE sqlite_master SET sql = 'x'",
    "DELETE FROM sqlite_schema",
    "SELECT * FROM mysql.user",
    "SELECT authentication_string FROM mysql.global_priv",
    "INSERT INTO mysql.user (user) VALUES ('x')",
    "SELECT * FROM performance_schema.threads",
    "SELECT * FROM information_schema.user_privileges WHERE grantee LIKE '%root%'",
    "SHOW GRANTS FOR root@localhost",
    "SHOW PROCESSLIST",
    "SHOW VARIABLES",
    "GRANT ALL ON *.* TO CURRENT_USER",
    "CREATE USER x IDENTIFIED BY 'x'",
    "SET PASSWORD = PASSWORD('x')",
    "SET GLOBAL max_statement_time = 0",
    "SET SESSION max_statement_time = 0",
    "SET STATEMENT max_statement_time = 0 FOR SELECT SLEEP(9)",
    "/*M! SET STATEMENT max_statement_time = 0 FOR */ SELECT SLEEP(9)",
    "/*!50000 DROP TABLE t */",
    "SELECT 1 /*!50000 INTO OUTFILE '/tmp/espalier-dbbench-attack' */",
    "DROP DATABASE dbbench",
    "DROP TABLE t",
    "TRUNCATE TABLE t",
    "ALTER TABLE t ADD COLUMN c TEXT",
    "RENAME TABLE t TO u",
    "CREATE TABLE u AS SELECT * FROM t",
    "CREATE TRIGGER x BEFORE DELETE ON t FOR EACH ROW SET @a = 1",
    "CREATE DATABASE other",
    "USE mysql",
    "FLUSH TABLES WITH READ LOCK",
    "LOCK TABLES t WRITE",
    "SHUTDOWN",
    "KILL 1",
    "DO SLEEP(9)",
    "PREPARE s FROM 'DROP TABLE t'",
    "CALL mysql.x()",
    "BEGIN",
    "SELECT 1; DROP TABLE t",
    "SELECT 1; SELECT 2",
    "DELETE FROM secrets",
    "SELECT * FROM secrets",
    "SELECT * FROM temp.t",
    "SELECT * FROM main.sqlite_master",
]
BOMBS = [
    "SELECT SLEEP(9)",
    "SELECT BENCHMARK(1000000000, MD5('a'))",
    "SELECT COUNT(*) FROM t WHERE SLEEP(1)",
    "WITH RECURSIVE q AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM q) SELECT COUNT(*) FROM q, q r",
    "WITH RECURSIVE q AS (SELECT 'x' AS n UNION ALL SELECT CONCAT(n, n) FROM q) SELECT MAX(LENGTH(n)) FROM q",
    f"SELECT COUNT(*) FROM {CROSS}",
    f"SELECT * FROM {CROSS}",
    f"SELECT GROUP_CONCAT(t1.b) FROM {CROSS}",
    f"SELECT t1.b FROM {CROSS} ORDER BY RAND()",
    "SELECT REPEAT('x', 2000000000)",
    "SELECT REPEAT(REPEAT('x', 900000), 900000)",
    "SELECT LENGTH(REPLACE(REPEAT('x', 900000), 'x', REPEAT('y', 900000)))",
    "SELECT SPACE(999999999), LPAD('x', 999999999, 'y')",
    "SELECT zeroblob(1000000000)",
    "SELECT randomblob(1000000000)",
    "SELECT printf('%.*c', 1000000000, 'x')",
    "SELECT FORMAT(1, 1000000000)",
    "SELECT ROUND(1.5, 99999999999), 1e308 * 1e308, POW(9, 99999), -9223372036854775808 DIV -1",
    "SELECT 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!' REGEXP '^(a+)+$'",
    "SELECT REPEAT('a', 20000) LIKE '" + "%a" * 400 + "b'",
    "SELECT REPEAT('a', 500000) REGEXP '(a*)*b'",
    "INSERT INTO t SELECT x.a, REPEAT('x', 60000) FROM t x, t y, t z",
    "UPDATE t SET b = REPEAT('x', 900000)",
    f"DELETE FROM t WHERE a IN (SELECT t1.a FROM {CROSS})",
    "SELECT " + "(" * 4000 + "1" + ")" * 4000,
    "SELECT " + "-" * 9000 + " 1",
    "SELECT " + "NOT " * 4500 + "1",
    "SELECT " + "1+" * 9000 + "1",
    "SELECT " + "CONCAT(" * 2000 + "'x'" + ")" * 2000,
    "SELECT " + "CASE WHEN 1 THEN " * 900 + "1" + " END" * 900,
    "SELECT " + "(SELECT " * 900 + "1" + ")" * 900,
    "SELECT 1" + " UNION SELECT 1" * 1200,
    "SELECT " + ", ".join(["a"] * 6000) + " FROM t",
    "SELECT * FROM t WHERE a IN (" + ",".join(["1"] * 9000) + ")",
    "SELECT " + "[" * 9000,
    "SELECT '" + "x" * 19000,
    "SELECT /*" + "/*" * 9000,
    "SELECT " + "`" * 9001,
    "SELECT CAST(" * 2000 + "1" + " AS CHAR)" * 1,
    "SELECT x'" + "41" * 9000 + "'",
    "SELECT '\0', 'a\0b' FROM t",
    "SELECT '\U0001f600' + '%s %d %n' FROM t LIMIT 1",
    "SELECT GET_LOCK('x', 9), GET_LOCK('x', 9)",
]


@pytest.fixture(scope="module", params=list(EngineKind))
def db(request: pytest.FixtureRequest) -> Iterator[Db]:
    """A server on either engine, with short deadlines."""
    fields: dict[str, Any] = {
        "dbbench_statement_seconds": SECONDS,
        "dbbench_generated": 0,
        "dbbench_workers": 2,
    }
    if request.param is EngineKind.SQLITE:
        with database(**fields) as served_db:
            yield served_db
    else:
        with (
            mariadb() as url,
            database(**fields, dbbench_engine=EngineKind.MYSQL, dbbench_url=url) as served_db,
        ):
            yield served_db


class Pulse:
    """Asks a server how it is while something else goes on; `worst` is its slowest answer, seconds."""

    def __init__(self, db: Db) -> None:
        self._url = str(db.http.base_url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.beats = 0
        self.worst = 0.0

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._stop.wait(0.02):
                began = time.monotonic()
                assert client.get("/healthz").status_code == 200
                self.worst = max(self.worst, time.monotonic() - began)
                self.beats += 1


def attack(db: Db, statements: list[str]) -> list[tuple[str, dict[str, Any], float]]:
    """Run each in a session of its own; afterwards that session and a neighbour's must be as they were."""
    neighbour = db.create(NEIGHBOUR)["session_id"]
    seen: list[tuple[str, dict[str, Any], float]] = []
    for sql in statements:
        session = db.create(TASK)["session_id"]
        began = time.monotonic()
        state = db.step(session, f"sql: {sql}"[:20_000])
        seen.append((sql, state, time.monotonic() - began))
        after = db.step(session, "SELECT COUNT(*) > 0, MIN(a) FROM t")
        assert (after["valid"], after["observation"][:2]) == (True, "[("), (sql[:100], after["observation"])
        db.end(session)
    kept = db.step(neighbour, "SELECT word FROM secrets")["observation"]
    assert kept == f"[('{SECRET}',)]"
    db.end(neighbour)
    return seen


@pytest.mark.parametrize("statements", [FILES, RIGHTS], ids=["files", "rights"])
def test_nothing_is_got_and_nothing_is_changed(db: Db, statements: list[str]) -> None:
    for sql, state, _ in attack(db, statements):
        text = state["observation"]
        assert SECRET not in text, sql
        assert "root" not in text.replace(sql, ""), (sql, text)
        assert not state["valid"] or text in ("[]", "[(None,)]"), (sql, text)
    assert not Path(TARGET).exists()


def test_bombs_are_stopped_and_the_server_answers_meanwhile(db: Db) -> None:
    with Pulse(db) as pulse:
        seen = attack(db, BOMBS)
    for sql, state, seconds in seen:
        assert seconds < LONGEST, (sql[:80], seconds)
        assert len(state["observation"]) <= 800 + len("[TRUNCATED]"), sql[:80]
    assert pulse.beats > 100
    assert pulse.worst < LONGEST


def test_a_session_survives_every_attack_in_a_row(db: Db) -> None:
    session = db.create(TASK)["session_id"]
    for sql in [*RIGHTS[::5], *BOMBS[::9]]:
        db.step(session, f"sql: {sql}"[:20_000])
    shown = db.step(session, "SELECT COUNT(*) FROM t")["observation"]
    assert shown == "[(30,)]"
    assert db.step(session, 'answer: ["30"]')["reward"] == 1.0


def test_many_attackers_at_once_leave_room_for_others(db: Db) -> None:
    attackers = [db.create(TASK)["session_id"] for _ in range(6)]
    threads = [
        threading.Thread(target=db.step, args=(session, f"SELECT COUNT(*) FROM {CROSS}"))
        for session in attackers
    ]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    session = db.create(TASK)["session_id"]
    assert db.step(session, "SELECT COUNT(*) FROM t")["observation"] == "[(30,)]"
    assert time.monotonic() - began < 15
    for thread in threads:
        thread.join()


def test_the_database_cannot_grow_without_end(db: Db) -> None:
    session = db.create(TASK)["session_id"]
    for _ in range(20):
        state = db.step(session, "INSERT INTO t SELECT a, b FROM t")
        if not state["valid"]:
            break
    assert not state["valid"], "too large, or too slow"
    assert "Error" in state["observation"]
    assert int(db.step(session, "SELECT COUNT(*) FROM t")["observation"].strip("[](),")) < 3_000_000


@pytest.mark.parametrize(
    "name", ["a`b; DROP TABLE t", 'x" y', "%s %d", "it's", "a.b", "--", "/*", "\\", "é ñ 中"]
)
def test_odd_names_are_names(db: Db, name: str) -> None:
    table = {"name": name, "columns": [name, f"{name} 2"], "rows": [["1", "x"]]}
    state = db.create({"instruction": "?", "data": {"table": table, "label": ["1"]}})
    quoted = "`" + name.replace("`", "``") + "`"
    shown = db.step(state["session_id"], f"sql: SELECT {quoted} FROM {quoted}")["observation"]
    assert shown == "[('1',)]"
    fork = db.fork(state["session_id"])["session_id"]
    assert db.step(fork, f"sql: UPDATE {quoted} SET {quoted} = '2'")["valid"]
    assert db.step(fork, "answer: 1")["reward"] == 1.0


@pytest.mark.parametrize("name", ["sqlite_master", "sqlite_x", "a\0b"])
def test_names_that_no_engine_takes_are_422_or_plain(db: Db, name: str) -> None:
    data = {"table": {"name": name, "columns": ["a"], "rows": [["1"]]}, "label": ["1"]}
    assert db.http.post("/v1/sessions", json={"task": {"instruction": "?", "data": data}}).status_code in (
        201,
        422,
    )
    assert db.create(TASK)


def test_halves_of_characters_are_replaced(db: Db) -> None:
    """A client's JSON can hold what no database can store."""
    body = {
        "task": {
            "instruction": "?",
            "data": {"table": {"name": "t", "columns": ["a"], "rows": [["x\ud800"]]}},
        }
    }
    body["task"]["data"]["label"] = ["x?"]  # type: ignore[index]
    made = db.http.post(
        "/v1/sessions", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert made.status_code in (201, 400, 422), made.text
    assert Table.of("t", ["a"], [["x\ud800"]]).rows == (("x?",),)
    assert checked("SELECT 'x\ud800'") == "SELECT 'x?'"


def test_a_worker_can_open_nothing() -> None:
    code = (
        "import os, sqlite3, socket\n"
        "from envs.dbbench.engines.sqlite_worker import confine, warm\n"
        "warm(); confine(512, 3)\n"
        "def refused(call):\n"
        "    try:\n        call()\n"
        "    except (OSError, sqlite3.Error, MemoryError):\n        return True\n"
        "    return False\n"
        f"calls = [lambda: open('/etc/passwd'), lambda: open({TARGET!r}, 'w'), socket.socket,\n"
        f"    lambda: sqlite3.connect({TARGET!r}).execute('create table x (a)'), lambda: os.pipe(),\n"
        "    lambda: bytearray(2**30)]\n"
        "print([refused(call) for call in calls])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str([True] * 6)
    assert not Path(TARGET).exists()


def test_no_attack_is_there_twice() -> None:
    attacks = FILES + RIGHTS + BOMBS
    assert len(set(attacks)) == len(attacks) > 100
