"""The dashboard and the alerts in `deploy/`: they parse, and each alert fires for what it is about."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from souk.settings import CHECKOUT
from tests.promises import DASHBOARD, RULES, asked_for, expressions
from tests.sources import nodes, place

TESTS = RULES.with_name("alerts_test.yml")


def promtool(*arguments: str | Path) -> str:
    """What Prometheus's own checker says; the test is skipped where it is not installed, and fails where it objects."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not here (Debian: apt-get install prometheus)")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found = json.loads(DASHBOARD.read_text())["panels"]
    assert isinstance(found, list)
    return found


def test_prometheus_takes_the_rules_and_the_example_of_its_own_settings() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", RULES.with_name("prometheus.yml"))


def test_each_alert_fires_for_what_it_is_about_and_none_in_a_healthy_shop() -> None:
    promtool("test", "rules", TESTS)
    healthy = yaml.safe_load(TESTS.read_text())["tests"][0]["alert_rule_test"]
    assert {one["alertname"] for one in healthy} == {rule["alert"] for rule in rules()}


def test_every_rule_says_how_bad_it_is_and_what_it_means() -> None:
    """Without promtool this is what holds the rules: their shape, and that nothing is named twice."""
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_every_panel_of_the_dashboard_asks_what_prometheus_understands(tmp_path: Path) -> None:
    assert len({panel["id"] for panel in panels()}) == len(panels())
    asked = [target["expr"] for panel in panels() for target in panel.get("targets", [])]
    assert len(asked) > 40
    recorded = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(asked)
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    promtool("check", "rules", file)


def test_no_panel_lies_over_another_one() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & taken, panel["title"]
        taken |= own


def test_the_page_about_watching_names_every_metric_that_is_asked_for() -> None:
    page = (CHECKOUT / "docs" / "watching.md").read_text()
    assert [name for name in sorted(asked_for()) if f"`{name}" not in page] == []
    assert expressions()


def test_every_operation_that_is_a_transaction_is_traced() -> None:
    """Outermost: the commit of what it does is a part of its time. Imports change thousands of rows for nobody."""
    untraced = []
    for path, node in nodes("souk"):
        if "operations" not in str(path) or path.stem == "importing" or not isinstance(node, ast.FunctionDef):
            continue
        decorators = [ast.unparse(one).partition("(")[0] for one in node.decorator_list]
        if "transaction.atomic" in decorators and decorators[0] != "traced" and not node.name.startswith("_"):
            untraced.append(place(path, node.lineno))
    assert untraced == []
