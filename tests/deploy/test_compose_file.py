"""The compose file as docker-compose renders it, profile by profile."""

import importlib
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from espalier.adapter_folder import read_card
from espalier.serve import PORTS
from services.router.settings import RouterSettings
from tests.deploy.composing import PROMETHEUS, ROOT, Compose
from tests.deploy.parts import ENVIRONMENTS, ROLES, SETTINGS, read_settings

CORE = {"redis", *ROLES, *ENVIRONMENTS, "orchestrator", "worker"}
PROFILES = {
    "scripted": {"router", "engine-scripted"},
    "cpu": {"router", "engine-cpu"},
    "gpu": {"engine-planner", "engine-judge", "engine-actor"},
    "observability": {"prometheus", "grafana"},
    "two-webshops": {"webshop-2"},
    "tracing": {"jaeger"},
}
PUBLISHED = {"orchestrator": 8000, "prometheus": 9090, "grafana": 3000, "jaeger": 16686}
WRITABLE = {"grafana", *PROFILES["gpu"]}
"""Official images that write where they please; all others have a root file system that is read-only."""


@pytest.fixture(scope="module")
def stacks(env_file: Path) -> dict[str, dict[str, Any]]:
    return {profile: Compose(env_file, profiles=[profile]).rendered() for profile in PROFILES}


@pytest.fixture(scope="module")
def everything(env_file: Path) -> dict[str, Any]:
    return Compose(env_file, profiles=list(PROFILES)).rendered()


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_adds_its_services_alone(stacks: dict[str, dict[str, Any]], profile: str) -> None:
    assert {name for name in stacks[profile] if name in CORE} == CORE
    inactive = {name for services in PROFILES.values() for name in services} - PROFILES[profile]
    active = {
        name
        for name, service in stacks[profile].items()
        if not service.get("profiles") or profile in service["profiles"]
    }
    assert active == CORE | PROFILES[profile]
    assert not active & inactive


def test_every_service_is_confined(everything: dict[str, Any]) -> None:
    assert everything.keys() == CORE.union(*PROFILES.values())
    for name, service in everything.items():
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service["mem_limit"], name
        assert int(service["pids_limit"]) > 0, name
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert bool(service.get("read_only")) == (name not in WRITABLE), name
        assert not {"privileged", "container_name", "network_mode", "pid", "cap_add"} & service.keys(), name
        assert "docker.sock" not in str(service.get("volumes", [])), name


def test_images_are_pinned(everything: dict[str, Any]) -> None:
    for name, service in everything.items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d+\.\d+", tag), f"{name}: {service['image']}"


def test_only_loopback_is_published(everything: dict[str, Any]) -> None:
    published = {name: service["ports"] for name, service in everything.items() if service.get("ports")}
    assert published.keys() == PUBLISHED.keys()
    for name, ports in published.items():
        (port,) = ports
        if isinstance(port, dict):
            assert (port["host_ip"], port["target"]) == ("127.0.0.1", PUBLISHED[name])
        else:
            assert port.removesuffix("/tcp") == f"127.0.0.1:{PUBLISHED[name]}:{PUBLISHED[name]}"


def test_what_is_needed_is_waited_for(everything: dict[str, Any]) -> None:
    for name in ("orchestrator", "worker"):
        needs = everything[name]["depends_on"]
        assert needs.keys() == {"redis", *ROLES, *ENVIRONMENTS}
        assert {need["condition"] for need in needs.values()} == {"service_healthy"}


def test_an_engine_answers_for_each_role(stacks: dict[str, dict[str, Any]]) -> None:
    for profile in ("scripted", "cpu", "gpu"):
        stack = stacks[profile]
        answers = {
            alias: name
            for name in PROFILES[profile]
            for alias in stack[name]["networks"].get("models", {}).get("aliases", [])
            if alias.endswith("-model")
        }
        for role in ROLES:
            url = urlsplit(stack[role]["environment"]["ESPALIER_MODEL_URL"])
            assert url.port == 8100
            assert answers[str(url.hostname)] in PROFILES[profile]
        assert len(answers) == 3


def test_settings_are_ones_that_the_parts_read_and_take(everything: dict[str, Any]) -> None:
    for part in SETTINGS:
        service = "engine-scripted" if part == "scripted-model" else part
        read_settings(part, everything[service]["environment"])


def test_parts_are_where_the_others_look(everything: dict[str, Any]) -> None:
    environment = everything["worker"]["environment"]
    for role, port in ROLES.items():
        assert environment[f"ESPALIER_{role.upper()}_URL"] == f"http://{role}:{port}"
        assert everything[role]["healthcheck"]["test"][-2:] == [str(port), "/readyz"]
    assert json.loads(environment["ESPALIER_ENVIRONMENTS"]) == {
        name: f"http://{name}:{entry.port}" for name, entry in ENVIRONMENTS.items()
    }
    redis = urlsplit(environment["ESPALIER_REDIS_URL"])
    assert redis.password == everything["redis"]["environment"]["REDISCLI_AUTH"]
    targets = [
        target
        for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
        for group in job.get("static_configs", [])
        for target in group["targets"]
    ]
    probed = {
        f"{name}:{service['healthcheck']['test'][-2]}"
        for name, service in everything.items()
        if name in CORE - {"redis", "worker"}
    }
    assert probed == {f"{name}:{PORTS[name]}" for name in CORE - {"redis", "worker"}}
    assert probed == {target for target in targets if not target.startswith("127.")}


def test_workers_scale_and_are_all_found(everything: dict[str, Any]) -> None:
    assert "ports" not in everything["worker"]
    jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
    (found,) = jobs["worker"]["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert found["port"] == PORTS["worker"]
    assert everything["worker"]["healthcheck"]["test"][-2] == str(PORTS["worker"])
    (engines,) = jobs["engine"]["dns_sd_configs"]
    assert set(engines["names"]) == (PROFILES["scripted"] | PROFILES["cpu"] | PROFILES["gpu"]) - {"router"}
    routed = read_settings("router", everything["router"]["environment"])
    assert isinstance(routed, RouterSettings)
    assert {found["port"] for found in jobs["router"]["dns_sd_configs"]} == {
        PORTS["router"],
        routed.router_metrics_port,
    }


def test_engines_are_reached_through_the_router_by_roles_alone(everything: dict[str, Any]) -> None:
    (url,) = map(urlsplit, everything["router"]["environment"]["ESPALIER_ROUTER_ENGINES"].split(","))
    for name in ("engine-scripted", "engine-cpu"):
        assert everything[name]["networks"]["models"]["aliases"] == [url.hostname]
    assert everything["router"]["healthcheck"]["test"][-2:] == [str(PORTS["router"]), "/readyz"]
    reaching = {name for name, service in everything.items() if "models" in service["networks"]}
    assert reaching == {*ROLES, "prometheus", *PROFILES["cpu"], *PROFILES["scripted"], *PROFILES["gpu"]}


def test_gpu_engines_have_a_device_each(stacks: dict[str, dict[str, Any]]) -> None:
    devices: list[str] = []
    for name in PROFILES["gpu"]:
        (reserved,) = stacks["gpu"][name]["deploy"]["resources"]["reservations"]["devices"]
        assert reserved["capabilities"] == ["gpu"]
        assert reserved["driver"] == "nvidia"
        devices += reserved["device_ids"]
    assert sorted(devices) == ["0", "1", "2"]


def test_vllm_accepts_what_the_gpu_engines_are_given(
    stacks: dict[str, dict[str, Any]], vllm_parser: Any
) -> None:
    environment = importlib.import_module("vllm.envs").environment_variables
    for name in PROFILES["gpu"]:
        service = stacks["gpu"][name]
        assert service["entrypoint"] == ["vllm", "serve"]
        read = vllm_parser.parse_args(service["command"])
        assert read.model_tag == "Qwen/Qwen2.5-7B-Instruct"
        assert read.port == 8100
        assert read.enable_lora is True
        assert read.max_lora_rank == 64
        assert read.max_loras <= read.max_cpu_loras
        assert read.enable_prefix_caching is True
        assert read.enable_prompt_tokens_details is True
        given = service["environment"]
        assert given["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
        assert {key for key in given if key.startswith("VLLM_")} <= environment.keys()


def test_vllm_accepts_what_the_cpu_engine_is_given(
    stacks: dict[str, dict[str, Any]], vllm_parser: Any, tmp_path: Path
) -> None:
    (tmp_path / "models/SmolLM2-135M-Instruct").mkdir(parents=True)
    seen = tmp_path / "seen"
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then exec {sys.executable} "$@"; fi\n'
        f'printf "%s\\n" "$@" >{seen}\nenv >>{seen}.env\n'
    )
    python.chmod(0o755)
    # The entry point itself, with a `python` that writes down how it was called.
    subprocess.run(
        [ROOT / "deploy/docker/engine-cpu.sh"],
        env={"PATH": f"{python.parent}:{os.environ['PATH']}", "ESPALIER_HOME": str(tmp_path)},
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    module, *arguments = seen.read_text().splitlines()[1:]
    assert importlib.util.find_spec(module)
    read = vllm_parser.parse_args(arguments)
    assert read.dtype in ("bfloat16", "float32")
    assert read.scheduling_policy == "priority"
    assert read.model == str(tmp_path / "models/SmolLM2-135M-Instruct")
    assert (read.port, read.enable_prefix_caching, read.enable_prompt_tokens_details) == (8100, True, True)
    given = dict(line.split("=", 1) for line in Path(f"{seen}.env").read_text().splitlines() if "=" in line)
    given |= stacks["cpu"]["engine-cpu"]["environment"]
    known = importlib.import_module("vllm.envs").environment_variables
    assert {key for key in given if key.startswith("VLLM_")} <= known.keys() | {"VLLM_TARGET_DEVICE"}


def test_a_second_server_is_the_first_ones_twin(env_file: Path, everything: dict[str, Any]) -> None:
    twin = {key: value for key, value in everything["webshop-2"].items() if key != "profiles"}
    assert twin == everything["webshop"]
    files = ["docker-compose.yml", "deploy/docker/two-webshops.yml"]
    services = Compose(env_file, profiles=list(PROFILES), files=files).rendered()
    assert services.keys() == everything.keys()
    one = json.loads(everything["worker"]["environment"]["ESPALIER_ENVIRONMENTS"])
    both = {**one, "webshop": [one["webshop"], one["webshop"].replace("webshop", "webshop-2")]}
    for name in ("worker", "orchestrator"):
        assert json.loads(services[name]["environment"]["ESPALIER_ENVIRONMENTS"]) == both


def test_an_environment_runs_its_part_in_an_image_that_has_what_it_needs(everything: dict[str, Any]) -> None:
    text = (ROOT / "deploy/docker/Dockerfile").read_text()
    stages = {found[2]: found[1] for found in re.finditer(r"^FROM (\S+) AS (\S+)$", text, re.MULTILINE)}
    bodies = {
        found[1]: found[2]
        for found in re.finditer(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    }
    for name, entry in ENVIRONMENTS.items():
        assert everything[name]["command"] == [name]
        assert everything[name]["image"].partition(":")[0] == f"espalier/{entry.image}"
        assert entry.image in stages
        [installed] = re.findall(r"--from=(\S+) /opt/espalier", bodies[entry.image])
        for extra in entry.extras:
            assert f"requirements/{extra}.txt" in bodies[installed], f"{name}: {installed} lacks {extra}"


OFFICIAL = {
    "ALFWORLD_DATA": ("official-data", "/data/alfworld"),
    "ESPALIER_WEBSHOP_DATA": ("official-webshop", "/data/webshop"),
    "ESPALIER_MIND2WEB_DATA": ("official-mind2web", "/data/mind2web"),
    "ESPALIER_AGENTBENCH_DATA": ("official-agentbench", "/data/agentbench"),
}


def test_all_data_that_environments_take_can_be_mounted() -> None:
    assert {entry.data for entry in ENVIRONMENTS.values() if entry.data} == OFFICIAL.keys()


@pytest.mark.parametrize(
    ("override", "variable", "folders"),
    [
        (
            override,
            variable,
            {name: folder for name, entry in ENVIRONMENTS.items() if entry.data == variable},
        )
        for variable, (override, folder) in OFFICIAL.items()
    ],
)
def test_official_data_is_mounted_by_its_own_file(
    env_file: Path, tmp_path: Path, override: str, variable: str, folders: dict[str, str]
) -> None:
    compose = Compose(env_file, environment={variable: str(tmp_path)})
    text = compose.run("-f", "docker-compose.yml", "-f", f"deploy/docker/{override}.yml", "config")
    services = yaml.safe_load(text)["services"]
    for name, folder in folders.items():
        assert services[name]["environment"][variable] == folder
        assert str(tmp_path) in str(services[name]["volumes"])
        assert services[name]["read_only"] is True
    assert len(services["os_interaction"]["volumes"]) == 1 + ("os_interaction" in folders)


def test_without_keys_it_says_what_to_run(tmp_path: Path, env_file: Path) -> None:
    assert env_file.exists()
    empty = tmp_path / ".env"
    empty.touch()
    with pytest.raises(AssertionError, match=r"run deploy/make-env\.sh"):
        Compose(empty, profiles=["scripted"]).rendered()


def test_keys_are_random_private_and_kept(tmp_path: Path) -> None:
    files = [tmp_path / "a", tmp_path / "b"]
    for file in [*files, files[0]]:
        before = file.read_text() if file.exists() else None
        subprocess.run([ROOT / "deploy/make-env.sh", file], check=True, capture_output=True)
        assert before in (None, file.read_text())
    keys = [dict(line.split("=") for line in file.read_text().splitlines()[1:]) for file in files]
    assert keys[0].keys() == keys[1].keys()
    values = [value for each in keys for value in each.values()]
    assert len(set(values)) == len(values) == 10
    assert all(re.fullmatch(r"[0-9a-f]{48}", value) for value in values)
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_an_adapter_is_told_to_engine_and_roles(tmp_path: Path, stacks: dict[str, dict[str, Any]]) -> None:
    plain = stacks["cpu"]
    assert plain["engine-cpu"]["environment"]["ESPALIER_ADAPTER"] == "none"
    assert plain["actor"]["environment"]["ESPALIER_MERGED_ADAPTER"] == ""
    file = tmp_path / ".env"
    command = [ROOT / "deploy/make-env.sh", "--adapter", "agent", file]
    subprocess.run(command, check=True, capture_output=True)
    card = read_card(ROOT / "training/adapters/agent")
    services = Compose(file, profiles=["cpu"]).rendered()
    assert services["engine-cpu"]["environment"]["ESPALIER_ADAPTER"] == "agent"
    for role in ROLES:
        outcome = services[role]["environment"]
        assert outcome["ESPALIER_MERGED_ADAPTER"] == card.name
        assert outcome["ESPALIER_PROMPT_PROFILE"] == card.profile.partition("@")[0]
    unknown = subprocess.run(
        [ROOT / "deploy/make-env.sh", "--adapter", "nobody", tmp_path / "other"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert unknown.returncode == 1
    assert "agent" in unknown.stderr
    assert not (tmp_path / "other").exists()


def test_traces_reach_the_collector_and_are_bounded_there(everything: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy/tracing/jaeger.yml").read_text())
    pipeline = config["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == config[kind].keys()
    assert set(config["service"]["extensions"]) == config["extensions"].keys()
    backends = config["extensions"]["jaeger_storage"]["backends"]
    assert {config["exporters"]["jaeger_storage_exporter"]["trace_storage"]} == backends.keys()
    assert {config["extensions"]["jaeger_query"]["storage"]["traces"]} == backends.keys()
    assert all(backend["memory"]["max_traces"] > 0 for backend in backends.values())
    (protocol,) = config["receivers"]["otlp"]["protocols"].values()
    usage = (ROOT / "docker-compose.yml").read_text().partition("\nx-")[0]
    (endpoint,) = re.findall(r"ESPALIER_OTLP_ENDPOINT=(\S+)", usage)
    url = urlsplit(endpoint)
    assert (url.hostname, protocol["endpoint"]) == ("jaeger", f"0.0.0.0:{url.port}")
    health = config["extensions"]["healthcheckv2"]["http"]["endpoint"]
    assert everything["jaeger"]["healthcheck"]["test"][-1] == f"http://{health}/status"
    for name in CORE - {"redis"}:
        assert everything[name]["environment"]["ESPALIER_OTLP_ENDPOINT"] == ""


def test_prometheus_takes_its_configuration() -> None:
    if not shutil.which("promtool"):
        pytest.skip(
            "promtool is not installed here (Debian: prometheus); the docker test asks the image's own"
        )
    done = subprocess.run(
        ["promtool", "check", "config", PROMETHEUS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
