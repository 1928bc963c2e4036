"""MariaDB as the reference: SQLite shows, changes and judges alike."""
# ruff: noqa: E501 - statements stand one a line

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import pytest

from envs.dbbench import scoring
from envs.dbbench.engines.mysql_engine import PREFIX, MysqlEngine
from envs.dbbench.engines.mysql_server import Server
from envs.dbbench.engines.port import Engine, Outcome, Table
from envs.dbbench.engines.sqlite_engine import SqliteEngine
from envs.dbbench.expert import Expert
from envs.dbbench.settings import DbSettings, EngineKind
from envs.dbbench.tasks.questions import Question
from envs.serving.environment import InstanceLostError
from tests.envs.test_envs_db_support import (
    FOLDER,
    NOT_IN_TABLE,
    database,
    gold,
    mariadb,
    mutated,
    play_gold,
    questions,
)

T = TypeVar("T")
MUTATIONS = 4
"""How many mutated statements each record has here."""
ODD = Table.of(
    "t x",
    ["Name", "Area (km²)", "Population", "Rank", "Note", "Date", "n"],
    [
        ["Giza", "85,153", "6,272,571", "1", "", "August 15, 2000", "5"],
        ["giza", "6,500", "10", "2", "x", "May 1, 2001", "10"],
        ["Ünal", "12.5", "9", "3", None, "2001-03-04", "9"],
        ["unal", "7%", "100", "21=", "abc", "2004-12-31", "abc"],
        ["O'Neil", "£8.5m", "-3", "T5", "A_b%", "1 May 2002", "-2.5"],
        ["Zoë \\n", "3.14", "1e3", "10", "Ab", "", "0"],
        ["ABC ", "abc", "0", " 7", "ab", "None", "00"],
    ],
)
STATEMENTS = """
SELECT * FROM `t x`
SELECT Name FROM `t x` WHERE n > 5
SELECT Name FROM `t x` WHERE n > '5'
SELECT Name FROM `t x` WHERE n = 9
SELECT Name FROM `t x` WHERE name = 'UNAL'
SELECT Name FROM `t x` WHERE Name LIKE '%z%'
SELECT Name FROM `t x` WHERE Note LIKE 'a\\_b%'
SELECT Name FROM `t x` WHERE Note LIKE 'a!_b%' ESCAPE '!'
SELECT Name, n FROM `t x` ORDER BY n
SELECT Name FROM `t x` ORDER BY n + 0 DESC, Rank LIMIT 1, 2
SELECT SUM(n), AVG(n), MAX(n), MIN(n), COUNT(n), COUNT(DISTINCT Name), MAX(Note) FROM `t x`
SELECT SUM(n + 0), AVG(n * 1.5), MAX(n + 0), MIN(CAST(n AS SIGNED)), AVG(CAST(n AS DECIMAL(10, 2))) FROM `t x`
SELECT MAX(REPLACE(Population, ',', '') + 0), MAX(CAST(REPLACE(Population, ',', '') AS SIGNED)) FROM `t x`
SELECT 1/3, 5/2, 7 DIV 2, 7 % 3, -7 % 3, 7.5 % 2, 1/0, 2*3.5, 0.1+0.2, '3abc'*2, 7 MOD 0, 5.25/2
SELECT COUNT(*)/3, SUM(1)/2, SUM(n > 5), AVG(n > 5) FROM `t x`
SELECT UPPER(Name), COUNT(*) FROM `t x` GROUP BY UPPER(Name) ORDER BY 2 DESC, 1
SELECT name, COUNT(*) c FROM `t x` GROUP BY name HAVING c > 5
SELECT CONCAT(Rank, '-', n), CONCAT_WS('/', Note, n), LEFT(Name, 2), RIGHT(Name, 2), SUBSTR(Name, -2) FROM `t x`
SELECT LENGTH(Name), CHAR_LENGTH(Name), LOWER(Name), REVERSE(Name), LPAD(n, 5, '0'), RPAD(n, 5, '*') FROM `t x`
SELECT SUBSTRING_INDEX(Population, ',', -1), LOCATE('z', Name), INSTR(Name, 'Z'), TRIM(LEADING '0' FROM n) FROM `t x`
SELECT IF(n > 5, 'big', 'small'), IFNULL(Note, 'none'), NULLIF(Name, 'giza'), GREATEST(n, 5), FIELD(n, '5') FROM `t x`
SELECT CASE n WHEN 5 THEN 'five' ELSE 'x' END, CASE WHEN n < 5 THEN 1 END FROM `t x`
SELECT ROUND(n, 1), ROUND(2.5), ROUND('2.5'), FLOOR(n), CEIL('1.2'), TRUNCATE(3.999, 1), FORMAT(1234567.891, 2) FROM `t x`
SELECT Name FROM `t x` WHERE n IN (5, '9')
SELECT Name FROM `t x` WHERE n NOT IN (5, 9)
SELECT Name FROM `t x` WHERE n IN (SELECT MAX(n + 0) FROM `t x`)
SELECT Name FROM `t x` WHERE n >= ALL (SELECT n + 0 FROM `t x`)
SELECT Name FROM `t x` WHERE Note NOT IN (SELECT Note FROM `t x`)
SELECT Name FROM `t x` WHERE n BETWEEN 5 AND 9
SELECT Name FROM `t x` WHERE Note <=> NULL
SELECT Name FROM `t x` WHERE n || Note
SELECT Name FROM `t x` WHERE Note REGEXP '^a'
SELECT 1 XOR 1, NOT 1, TRUE, NULL, 'a' 'b', "dq", x'41', 'it\\'s', 'a\\nb', 'a\\%b'
SELECT DATE_FORMAT('2001-03-04', '%d/%m/%y %W %D'), YEAR('2001-03-04'), DATEDIFF('2001-03-04', '2001-03-01'), NOW()
SELECT DATE_ADD('2001-01-31', INTERVAL 1 MONTH), '2001-01-01' + INTERVAL 1 DAY, STR_TO_DATE('May 1, 2001', '%M %d, %Y')
SELECT CAST('12.7' AS SIGNED), CAST(12.7 AS SIGNED), CAST('1,234' AS UNSIGNED), CAST('1.005' AS DECIMAL(10, 2))
SELECT MD5(Name), BINARY 'a' = 'A', 'a' = 'a ', 'a' LIKE 'a ' FROM `t x` LIMIT 1
SELECT x.c FROM (SELECT COUNT(*) c FROM `t x` GROUP BY Name) x ORDER BY c DESC
SELECT AVG(c) FROM (SELECT COUNT(*) c FROM `t x` GROUP BY Name) x
WITH q AS (SELECT Name, n + 0 AS m FROM `t x`) SELECT Name FROM q WHERE m = (SELECT MAX(m) FROM q)
WITH RECURSIVE q AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM q WHERE n < 5) SELECT SUM(n) FROM q
SELECT Name, SUM(n) OVER (ORDER BY n + 0, Name) FROM `t x` ORDER BY n + 0, Name
SELECT GROUP_CONCAT(n ORDER BY n + 0, n DESC SEPARATOR '; ') FROM `t x`
SHOW TABLES
DESCRIBE `t x`
SHOW COLUMNS FROM `t x`
SHOW CREATE TABLE `t x`
SELECT Nme FROM `t x`
SELECT `Nme` FROM `t x`
SELECT Name FROM `T X`
SELECT Name AS x FROM `t x` WHERE x = 'giza'
SELECT Name AS x FROM `t x` HAVING x = 'unal' ORDER BY Rank
SELECT rowid FROM `t x`
SELECT Name, MAX(n) FROM `t x`
SELECT Name FROM `t x` GROUP BY Note
SELECT Name FROM `t x` WHERE SUM(n) > 5
SELECT Name FROM 't x'
SELECT Name FROM table
SELECT Name FROM `t x` LIMIT 1 WHERE n = 5
SELECT Name FROM `t x` WHERE n = 5 LIMIT 1 LIMIT 1
SELECT Name, FROM `t x`
SELECT COUNT (*) FROM `t x`
SELECT Name FROM `t x` WHERE n < < 5
SELECT Name FROM `t x` WHERE n IN ()
SELECT Name FROM `t x` WHERE n = NOT 0
UPDATE `t x` SET n = 1, WHERE Name = 'a'
UPDATE `t x` SET , n = 1 WHERE Name = 'a'
UPDATE `t x` WHERE Name = 'a' SET n = 1
INSERT INTO `t x` (Name) VALUES (, 'a')
SELECT 1; SELECT 2
INSERT INTO `t x` VALUES ('a', 1.50, 10, TRUE, NULL, -5, 1 + 1)
INSERT INTO `t x` (Name, n) VALUES ('b', 7), ('c', 8.25)
INSERT INTO `t x` SET Name = 'd', n = 2 * 2.5
INSERT INTO `t x` (Nme) VALUES (1)
INSERT INTO `t x` VALUES (1)
INSERT INTO `t x` (Name, Name) VALUES (1, 2)
INSERT INTO `t x` (Name) SELECT n + 1 FROM `t x`
REPLACE INTO `t x` (Name) VALUES ('r')
UPDATE `t x` SET n = n * 2 WHERE n REGEXP '^[0-9]+$'
UPDATE `t x` SET n = n + 1
UPDATE `t x` SET n = Name, Name = n WHERE Note = 'x'
UPDATE `t x` SET Note = 3.10, n = 0.25 WHERE Name = 'b'
UPDATE `t x` SET Note = 'q' WHERE Rank = 1
UPDATE `t x` SET Note = CONCAT(Note, '!') WHERE Note LIKE 'a%'
UPDATE `t x` SET Note = 'lim' ORDER BY n LIMIT 2
UPDATE `t x` SET Nope = 1
DELETE FROM `t x` WHERE n > 100
DELETE FROM `t x` WHERE Name = 'd'
DELETE FROM `t x` ORDER BY n DESC LIMIT 1
SELECT * FROM `t x`
""".strip().splitlines()


class Pair:
    """Both engines, in one event loop."""

    def __init__(self, url: str) -> None:
        self.settings = DbSettings(
            dbbench_url=url,  # type: ignore[arg-type]
            dbbench_result_chars=50_000,
            dbbench_workers=1,
            agentbench_data=None,
        )
        self.loop = asyncio.new_event_loop()
        self.sqlite, self.mysql = SqliteEngine(self.settings), MysqlEngine(self.settings)
        self.engines: tuple[Engine, Engine] = (self.sqlite, self.mysql)
        self.both(lambda engine: engine.open())

    def both(self, call: Callable[[Engine], Awaitable[T]]) -> list[T]:
        async def calls() -> list[T]:
            return list(await asyncio.gather(*map(call, self.engines)))

        return self.loop.run_until_complete(calls())

    def do(self, call: Awaitable[T]) -> T:
        async def awaited() -> T:
            return await call

        return self.loop.run_until_complete(awaited())

    def close(self) -> None:
        self.both(lambda engine: engine.close())
        self.loop.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """MariaDB's address."""
    with mariadb() as address:
        yield address


@pytest.fixture(scope="module")
def pair(url: str) -> Iterator[Pair]:
    """Both engines."""
    engines = Pair(url)
    yield engines
    engines.close()


def verdict(outcome: Outcome, rows: Sequence[tuple[str | None, ...]], question: Question) -> bool:
    if question.changes:
        return (scoring.digest(rows, scoring.LONGEST_HASH),) == question.checksums
    return outcome.ok and scoring.correct(outcome.text, question.label or ())


def test_statements_show_and_change_the_same(pair: Pair) -> None:
    async def all_of(engine: Engine) -> list[tuple[str, list[tuple[str | None, ...]]]]:
        handle, seen = await engine.create([ODD]), []
        for sql in STATEMENTS:
            outcome = await engine.run(handle, sql)
            rows = await engine.contents(handle, ODD) or []
            shown = outcome.text if outcome.ok else outcome.text.partition(":")[0]
            seen.append((shown, sorted(rows, key=str)))
        await engine.end(handle)
        return seen

    sqlite, mysql = pair.both(all_of)
    different = [sql for sql, one, other in zip(STATEMENTS, sqlite, mysql, strict=True) if one != other]
    assert different == []
    refused = [shown for shown, _ in mysql if shown.startswith("Error")]
    assert 25 < len(refused) < 36, "most statements run"


@pytest.mark.parametrize("part", range(4))
def test_verdicts_agree_on_gold_and_mutated_statements(pair: Pair, part: int) -> None:
    found = questions()
    numbers = range(part, len(found), 4)

    async def all_of(engine: Engine) -> list[tuple[int, str, bool]]:
        seen: list[tuple[int, str, bool]] = []
        for number in numbers:
            question = found[number]
            statement = gold(number, question)
            tries = [mutated(statement, question, f"{number}/{one}") for one in range(MUTATIONS)]
            for sql in (statement, *tries):
                handle = await engine.create(question.tables)
                outcome = await engine.run(handle, sql)
                rows = await engine.contents(handle, question.tables[0]) or []
                seen.append((number, sql, verdict(outcome, rows, question)))
                await engine.end(handle)
        return seen

    sqlite, mysql = pair.both(all_of)
    assert [one for one, other in zip(sqlite, mysql, strict=True) if one != other] == []
    golden = {number: right for number, _, right in mysql[:: MUTATIONS + 1]}
    assert {number for number in numbers if not golden[number]} == NOT_IN_TABLE.keys() & set(numbers)
    assert any(not right for _, _, right in mysql)


def test_the_checksum_is_the_servers(pair: Pair, url: str) -> None:
    question = next(question for question in questions() if question.changes)
    handle = pair.do(pair.mysql.create(question.tables))
    table = question.tables[0]
    columns = ",".join(f"`{column}`" for column in table.columns)
    server = Server.parse(url)
    asked = (
        "SELECT MD5(GROUP_CONCAT(h ORDER BY h)) FROM (SELECT SUBSTRING(MD5(CONCAT_WS(',', "
        f"{columns})), 1, 5) AS h FROM `{handle}`.`{table.name}`) AS hashes"
    )
    theirs = server.administer("SET SESSION group_concat_max_len = 1024", asked)[0][0]
    rows = pair.do(pair.mysql.contents(handle, table)) or []
    assert theirs == scoring.digest(rows, scoring.LONGEST_HASH)
    hashes = (hashlib.md5(",".join(v for v in row if v is not None).encode()).hexdigest()[:5] for row in rows)
    assert theirs == hashlib.md5(",".join(sorted(hashes)).encode()).hexdigest()
    pair.do(pair.mysql.end(handle))


def test_forks_are_independent_and_nothing_is_left(pair: Pair, url: str) -> None:
    async def all_of(engine: Engine) -> list[str]:
        parent = await engine.create([ODD])
        await engine.run(parent, "UPDATE `t x` SET Note = 'p' WHERE Name = 'ABC'")
        fork = await engine.fork(parent)
        await engine.run(fork, "DELETE FROM `t x` WHERE Note = 'p'")
        await engine.run(parent, "UPDATE `t x` SET Note = 'q' WHERE Name = 'ABC'")
        count = "SELECT COUNT(*), SUM(Note = 'p'), SUM(Note = 'q') FROM `t x`"
        shown = [(await engine.run(handle, count)).text for handle in (parent, fork)]
        for handle in (parent, fork, parent, "nobody"):
            await engine.end(handle)
        with pytest.raises(InstanceLostError):
            await engine.run(parent, count)
        return shown

    assert pair.both(all_of) == [["[(7, 0, 1)]", "[(6, 0, 0)]"]] * 2
    server = Server.parse(url)
    assert [name for (name,) in server.administer("SHOW DATABASES") if name.startswith(PREFIX)] == []
    assert server.administer(f"SELECT user FROM mysql.user WHERE user LIKE '{PREFIX}%'") == []


def test_a_database_that_is_gone_is_a_lost_instance(pair: Pair, url: str) -> None:
    handle = pair.do(pair.mysql.create([ODD]))
    Server.parse(url).administer(f"DROP DATABASE `{handle}`")
    with pytest.raises(InstanceLostError):
        pair.do(pair.mysql.run(handle, "SELECT 1"))
    pair.do(pair.mysql.end(handle))


def test_official_and_generated_tasks_over_http(url: str) -> None:
    fields = {"dbbench_engine": EngineKind.MYSQL, "dbbench_url": url, "agentbench_data": FOLDER}
    with database(**fields) as db:
        found = questions()
        assert db.http.get("/metadata").json()["engine"].startswith("mysql 1")
        states = [play_gold(db, number, question) for number, question in enumerate(found)]
        assert [number for number, state in enumerate(states) if state["reward"] != 1.0] == []
        for number in range(11):
            assert db.play(f"generated_valid/{number}", Expert)["reward"] == 1.0, number
        session = db.create("generated_valid/0")["session_id"]
        db.environment._instances.clear()
        assert db.step(session, "SELECT DATABASE()")["observation"] == "[('dbbench',)]", "it is rebuilt"


def test_a_server_that_does_not_answer_is_no_score() -> None:
    fields = {"dbbench_engine": EngineKind.MYSQL, "dbbench_url": "mysql://root:@127.0.0.1:1"}
    with database(**fields) as db:
        ready = db.http.get("/readyz")
        assert (ready.status_code, "does not let us in" in ready.text) == (503, True)
        made = db.http.post("/v1/sessions", json={"task_id": "generated_valid/0"})
        assert made.status_code == 503
    with pytest.raises(ValueError, match="mysql://"):
        Server.parse("postgres://x")
