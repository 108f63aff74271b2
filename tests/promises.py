"""What the dashboard and the alerts in `deploy/` ask Prometheus for."""

from __future__ import annotations

import json
import re

import yaml

from souk.settings import CHECKOUT

RULES = CHECKOUT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = CHECKOUT / "deploy" / "grafana" / "souk.json"
# What a histogram is read by.
SUFFIXES = re.compile(r"_(bucket|count|sum)$")


def expressions() -> list[str]:
    """Every expression of both."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [rule["expr"] for group in groups for rule in group["rules"]] + [
        target["expr"] for panel in panels for target in panel.get("targets", [])
    ]


def asked_for() -> set[str]:
    """The names of Souk's metrics in them, without the suffixes of histograms."""
    names = {name for one in expressions() for name in re.findall(r"\bsouk_\w+", one)}
    return {SUFFIXES.sub("", name) for name in names}
