"""Ended episodes in a file: out of one Valkey, into another one that spreads them otherwise."""

import asyncio
import gzip
import json
import math
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from espalier.cli import main
from services.contracts.action import Candidate
from services.contracts.episode import State
from services.orchestrator.api import create as create_orchestrator
from services.orchestrator.backup import BackupError, export_episodes, import_episodes, read_episodes
from services.orchestrator.settings import OrchestratorSettings
from services.orchestrator.store.transfer import Put, Transfer
from tests.orchestrator.conftest import Bench
from tests.orchestrator.test_replay import script
from tests.support import served

Change = Callable[[list[dict[str, Any]]], None]


@pytest.fixture
def elsewhere(bench: Bench, settings: OrchestratorSettings) -> OrchestratorSettings:
    """Another key space, of three partitions."""
    url = settings.redis_url.get_secret_value().removesuffix("/0") + "/1"
    return OrchestratorSettings(redis_url=url, partitions=3)  # pyright: ignore[reportArgumentType]


async def play(bench: Bench) -> dict[State, str]:
    """Episodes by how they ended, and one that has not."""
    script(bench)
    whole = await bench.run("tmbr", max_steps=4)
    bench.roles.act_by = lambda request: [Candidate(action="north", thought="x" * 500, well_formed=True)]
    long = await bench.run("react")
    cancelled, _ = await bench.create("react")
    await bench.store.cancel(cancelled)
    bench.roles.away.add("actor")
    bench.set(outage_grace=0.0)
    failed = await bench.run("react")
    bench.roles.away.clear()
    live, _ = await bench.create("react")
    assert failed.state is State.FAILED
    assert long.state is State.COMPLETED
    assert whole.state is State.COMPLETED
    return {
        State.COMPLETED: whole.id,
        State.FAILED: failed.id,
        State.CANCELLED: cancelled,
        State.RUNNING: long.id,
        State.QUEUED: live,
    }


def read_all(url: str, episodes: list[str]) -> dict[str, Any]:
    """What the API answers about episodes."""
    with httpx.Client(base_url=url, timeout=30) as http:
        listed = {each["id"]: each for each in http.get("/v1/episodes").json()["episodes"]}
        found: dict[str, Any] = {"listed": {name: listed[name] for name in episodes}}
        for name in episodes:
            events = http.get(f"/v1/episodes/{name}/events").text
            half = re.findall(r"^id: (\S+)", events, re.MULTILINE)[1]
            rest = http.get(f"/v1/episodes/{name}/events", headers={"Last-Event-ID": half}).text
            found[name] = {
                "episode": http.get(f"/v1/episodes/{name}").json(),
                "tree": http.get(f"/v1/episodes/{name}/tree").json(),
                "events": re.sub(r"^: ping.*\n\n", "", events, flags=re.MULTILINE),
                "rest": rest,
                "replay": http.post(f"/v1/episodes/{name}/replay").json(),
            }
            assert events.count("data: ") == rest.count("data: ") + 2
    return found


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_imported_episodes_are_read_as_the_originals(
    bench: Bench, settings: OrchestratorSettings, elsewhere: OrchestratorSettings, tmp_path: Path
) -> None:
    played = await play(bench)
    live = played.pop(State.QUEUED)
    file = tmp_path / "episodes.jsonl.gz"
    exported = await export_episodes(settings, None, file)
    assert (exported.episodes, exported.live, exported.unreadable) == (4, [live], [])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert files(tmp_path) == [file.name]
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert lines[0]["format"] == "espalier-episodes"
    assert (lines[0]["version"], lines[0]["episodes"], lines[0]["entries"]) == (1, 4, exported.entries)
    assert sum(len(line["log"]) for line in lines[1:]) == exported.entries
    assert any(line.get("texts") for line in lines[1:])

    imported = await import_episodes(elsewhere, file)
    assert imported.counts == {Put.ADDED: 4}
    names = sorted(played.values())
    with served(create_orchestrator(settings)) as here, served(create_orchestrator(elsewhere)) as there:
        assert read_all(here, names) == read_all(there, names)

    redis = Redis.from_url(elsewhere.redis_url.get_secret_value())
    keys = [key.decode() async for key in redis.scan_iter("espalier:*")]
    assert not [key for key in keys if "import" in key]
    own = [key for key in keys if ":episode:" in key]
    assert {key.split(":")[3] for key in own} == set(names)
    for key in own:
        assert 0 < await redis.pttl(key) <= elsewhere.episode_ttl * 1000
    assert (await Transfer(redis, elsewhere).count_live())[0] == 0
    assert await Transfer(redis, elsewhere).claim_ended() == []
    await redis.aclose()


async def test_an_import_is_repeated_safely_and_replaces_nothing(
    bench: Bench, settings: OrchestratorSettings, elsewhere: OrchestratorSettings, tmp_path: Path
) -> None:
    first, second = [(await bench.run()).id for _ in range(2)]
    file = tmp_path / "episodes.jsonl"
    await export_episodes(settings, [second, first, second], file)
    assert [episode.id for episode in read_episodes(file)] == [second, first]
    assert (await import_episodes(elsewhere, file)).counts == {Put.ADDED: 2}
    assert (await import_episodes(elsewhere, file)).counts == {Put.THERE: 2}

    redis = Redis.from_url(elsewhere.redis_url.get_secret_value())
    store = Transfer(redis, elsewhere)
    await redis.hset(store.key(first), "ended", "1.0")  # pyright: ignore[reportGeneralTypeIssues]
    again = await import_episodes(elsewhere, file)
    assert (again.counts, again.differing) == ({Put.THERE: 1, Put.DIFFERS: 1}, [first])
    assert await redis.hget(store.key(first), "ended") == b"1.0"  # pyright: ignore[reportGeneralTypeIssues]
    await redis.delete(store.key(first), store.log_key(first))
    short = elsewhere.model_copy(update={"episode_ttl": 1e-6})
    late = await import_episodes(short, file)
    assert (late.counts, late.expired) == ({Put.EXPIRED: 2}, [second, first])
    await redis.aclose()


def drop_last_line(lines: list[dict[str, Any]]) -> None:
    lines.pop()


def raise_version(lines: list[dict[str, Any]]) -> None:
    lines[0]["version"] = 2


def lose_header(lines: list[dict[str, Any]]) -> None:
    del lines[0]


def swap_entries(lines: list[dict[str, Any]]) -> None:
    lines[1]["log"][0], lines[1]["log"][1] = lines[1]["log"][1], lines[1]["log"][0]


def cut_log(lines: list[dict[str, Any]]) -> None:
    lines[1]["log"].pop()


def lose_texts(lines: list[dict[str, Any]]) -> None:
    lines[1].pop("texts")


def break_record(lines: list[dict[str, Any]]) -> None:
    lines[1]["record"].pop("request")


def break_answer(lines: list[dict[str, Any]]) -> None:
    answer = next(entry["event"] for entry in lines[1]["log"] if "seq" in entry["event"])
    answer["data"] = {}


def live_again(lines: list[dict[str, Any]]) -> None:
    lines[1]["state"] = "running"


def add_field(lines: list[dict[str, Any]]) -> None:
    lines[1]["surprise"] = 1


def rename(lines: list[dict[str, Any]]) -> None:
    lines[1]["id"] = "ep_*"


def set_field(name: str, value: Any) -> Change:
    def change(lines: list[dict[str, Any]]) -> None:
        lines[1][name] = value

    return change


def name_entry(place: int, entry: str) -> Change:
    def change(lines: list[dict[str, Any]]) -> None:
        lines[1]["log"][place]["id"] = entry

    return change


def change_answer(name: str, value: Any) -> Change:
    def change(lines: list[dict[str, Any]]) -> None:
        event = next(entry["event"] for entry in lines[1]["log"] if "seq" in entry["event"])
        event[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop_last_line, "not whole; export again"),
        (raise_version, "version 2 of the format, and this release reads version 1"),
        (lose_header, "line 1 is not the header"),
        (swap_entries, "line 2 .* order of their ids"),
        (cut_log, "line 2 .* its log ends with"),
        (lose_texts, "line 2 .* refers to texts that are not there"),
        (break_record, "line 2 .* request"),
        (break_answer, "line 2 .* cannot be read"),
        (live_again, "line 2 .* has not ended"),
        (add_field, "line 2 .* surprise"),
        (rename, "line 2 .* id: "),
        (set_field("created", math.nan), "line 2 .* created: .* finite"),
        (set_field("started", math.inf), "line 2 .* started: .* finite"),
        (set_field("ended", math.inf), "line 2 .* ended: .* finite"),
        (set_field("ended", 1e30), "line 2 .* ended: .* less than"),
        (set_field("started", -1.0), "line 2 .* started: .* greater than"),
        (name_entry(-1, f"{2**64}-0"), r"line 2 .* 2\^64-1 at most"),
        (name_entry(0, "0-0"), "line 2 .* 0-1 at least"),
        (name_entry(0, "00-1"), r"line 2 .*\.id: "),
        (change_answer("at", math.nan), "line 2 .* cannot be read"),
        (change_answer("at", 2**64), "line 2 .* 64-bit"),
        (change_answer("refs", [["a"], [5]]), "line 2 .* refers to texts that are not there"),
        (change_answer("refs", [[]]), "line 2 .* a place for a text that is not there"),
    ],
)
async def test_a_file_that_is_not_whole_is_refused_before_anything_is_written(
    bench: Bench,
    settings: OrchestratorSettings,
    elsewhere: OrchestratorSettings,
    tmp_path: Path,
    change: Change,
    says: str,
) -> None:
    bench.roles.act_by = lambda request: [Candidate(action="north", thought="x" * 500, well_formed=True)]
    names = [(await bench.run()).id for _ in range(2)]
    file = tmp_path / "episodes.jsonl"
    await export_episodes(settings, names, file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    change(lines)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BackupError, match=says):
        await import_episodes(elsewhere, file)
    redis = Redis.from_url(elsewhere.redis_url.get_secret_value())
    assert await redis.dbsize() == 0
    await redis.aclose()


async def test_an_end_that_has_yet_to_come_is_kept_no_longer_than_one_of_now(
    bench: Bench, settings: OrchestratorSettings, elsewhere: OrchestratorSettings, tmp_path: Path
) -> None:
    file = tmp_path / "episodes.jsonl"
    await export_episodes(settings, [(await bench.run()).id], file)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[1]["ended"] = 1e11
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert (await import_episodes(elsewhere, file)).counts == {Put.ADDED: 1}
    redis = Redis.from_url(elsewhere.redis_url.get_secret_value())
    keys = [key async for key in redis.scan_iter("espalier:*:episode:*")]
    assert len(keys) >= 2
    for key in keys:
        assert 0 < await redis.pttl(key) <= elsewhere.episode_ttl * 1000
    await redis.aclose()


async def test_a_cut_or_foreign_gzip_file_is_refused(
    bench: Bench, settings: OrchestratorSettings, tmp_path: Path
) -> None:
    file = tmp_path / "episodes.jsonl.gz"
    await export_episodes(settings, [(await bench.run()).id], file)
    whole = file.read_bytes()
    for damaged in (whole[:-20], whole[: len(whole) // 2] + b"\0" * 40 + whole[len(whole) // 2 + 40 :]):
        file.write_bytes(damaged)
        with pytest.raises(BackupError, match=r"damaged|no ended episode|not whole"):
            list(read_episodes(file))


async def test_an_export_names_what_is_unknown_or_unreadable(
    bench: Bench, settings: OrchestratorSettings, tmp_path: Path
) -> None:
    good, bad = [(await bench.run()).id for _ in range(2)]
    unknown = "ep_01k0000000000000000000000a"
    for names in ([good, unknown], [good, "../secrets"]):
        with pytest.raises(BackupError, match=f"there is no episode {re.escape(names[1])}"):
            await export_episodes(settings, names, tmp_path / "out.jsonl")
    assert not files(tmp_path)
    await bench.jobs.redis.hset(bench.store.key(bad), "spec", "{")
    exported = await export_episodes(settings, None, tmp_path / "out.jsonl")
    assert exported.episodes == 1
    assert bad in exported.unreadable[0]


def type_command(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["espalier", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code if isinstance(ended.value.code, int) else int(ended.value.code is not None)


async def test_the_commands_say_what_they_did(
    bench: Bench,
    settings: OrchestratorSettings,
    elsewhere: OrchestratorSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def typed(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(type_command, monkeypatch, *words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    ended, (live, _) = await bench.run(), await bench.create()
    file = str(tmp_path / "episodes.jsonl")
    monkeypatch.setenv("ESPALIER_REDIS_URL", settings.redis_url.get_secret_value())
    code, out, err = await typed("export", "--all", "--out", file)
    assert (code, out.startswith("1 episodes with ")) == (0, True)
    assert f"1 not ended, left out: {live}" in err
    assert (await typed("export", ended.id, "--out", file))[0] == 0
    assert (await typed("export", "--out", file))[0] == 2
    assert (await typed("export", ended.id, "--all", "--out", file))[0] == 2
    monkeypatch.setenv("ESPALIER_REDIS_URL", elsewhere.redis_url.get_secret_value())
    monkeypatch.setenv("ESPALIER_PARTITIONS", "3")
    assert (await typed("import", file))[:2] == (0, "1 episodes imported, 0 were there already\n")
    assert (await typed("import", file))[:2] == (0, "0 episodes imported, 1 were there already\n")
    monkeypatch.setenv("ESPALIER_PARTITIONS", "2")
    code, _, err = await typed("import", file)
    assert (code, "ESPALIER_PARTITIONS is 2" in err) == (1, True)
    monkeypatch.setenv("ESPALIER_REDIS_URL", "redis://:hidden@127.0.0.1:1/0")
    code, _, err = await typed("import", file)
    assert (code, "redis://127.0.0.1:1/0 (ESPALIER_REDIS_URL)" in err, "hidden" in err) == (1, True, False)
