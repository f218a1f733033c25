"""Holds a dashboard to Grafana's schema and to a layout that can be read.

    dashboard.py FILE

Each rule is tried on dashboards that break it, and must refuse them.
"""

import copy
import itertools
import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def understood(dashboard):
    """What Grafana's own types keep of it: what they do not know, they drop."""
    return json.loads(json.dumps(Dashboard.from_json(copy.deepcopy(dashboard)), cls=JSONEncoder))


def differences(said, read, path):
    if isinstance(said, dict) and isinstance(read, dict):
        for key, value in said.items():
            yield from differences(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key} is no field of Grafana's"]
    elif isinstance(said, list) and isinstance(read, list) and len(said) == len(read):
        for index, (one, other) in enumerate(zip(said, read)):
            yield from differences(one, other, f"{path}[{index}]")
    elif said != read:
        yield f"{path} is {said!r}, and Grafana reads {read!r}"


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def overlap(one, other):
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in (("x", "w"), ("y", "h")))


def check(dashboard):
    yield from differences(dashboard, understood(dashboard), dashboard.get("title", "?"))
    shown = list(panels(dashboard))
    if len({panel["id"] for panel in shown}) != len(shown):
        yield "two panels have one id"
    for panel in shown:
        place = panel["gridPos"]
        if place["x"] < 0 or place["x"] + place["w"] > 24:
            yield f"{panel['title']}: it is wider than the 24 columns"
        if panel["type"] == "row":
            continue
        if not panel.get("description") or not panel["fieldConfig"]["defaults"].get("unit"):
            yield f"{panel['title']}: it has no description, or no unit"
        if not panel.get("targets") or any(not target.get("expr") for target in panel["targets"]):
            yield f"{panel['title']}: it asks nothing"
        references = [target["refId"] for target in panel.get("targets", [])]
        if len(set(references)) != len(references):
            yield f"{panel['title']}: two queries have one name"
        # A dashboard that is imported elsewhere finds no data source by the name that it has here.
        if any(source.get("datasource", {}).get("uid") != "${datasource}" for source in [panel, *panel.get("targets", [])]):
            yield f"{panel['title']}: its data source is not the one that is chosen"
    for one, other in itertools.combinations(shown, 2):
        if overlap(one["gridPos"], other["gridPos"]):
            yield f"{one['title']} covers {other['title']}"


def first(dashboard):
    return next(panel for panel in panels(dashboard) if panel["type"] == "timeseries")


# What breaks a dashboard, and what must be said of it.
MUTATIONS = [
    ("an unknown field", lambda d: d.update(panel=[]), "no field of Grafana's"),
    ("an unknown field of a panel", lambda d: first(d)["options"].update(legends={}), "no field of Grafana's"),
    ("an unknown field of a query", lambda d: first(d)["targets"][0].update(query="up"), "no field of Grafana's"),
    ("one id twice", lambda d: first(d).update(id=d["panels"][0]["id"]), "one id"),
    ("too wide a panel", lambda d: first(d)["gridPos"].update(w=25), "24 columns"),
    ("panels in one place", lambda d: first(d)["gridPos"].update(y=0), "covers"),
    ("no unit", lambda d: first(d)["fieldConfig"]["defaults"].pop("unit"), "no unit"),
    ("no query", lambda d: first(d).update(targets=[]), "asks nothing"),
    ("one name twice", lambda d: first(d)["targets"].append(first(d)["targets"][0]), "one name"),
    ("a data source of one Grafana", lambda d: first(d)["datasource"].update(uid="PBFA97CFB590B2093"), "data source"),
]


def self_test(dashboard):
    for what, change, expected in MUTATIONS:
        broken = copy.deepcopy(dashboard)
        change(broken)
        problems = list(check(broken))
        if not any(expected in problem for problem in problems):
            yield f"the self-test: {what}: was not refused for `{expected}`: {problems}"


def main(arguments):
    if len(arguments) != 1:
        sys.exit("usage: dashboard.py FILE")
    register_default_plugins()
    with open(arguments[0]) as file:
        dashboard = json.load(file)
    # Of what is broken already, no rule can be told to bite.
    problems = list(check(dashboard)) or list(self_test(dashboard))
    for problem in problems:
        print(f"{arguments[0]}: {problem}", file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main(sys.argv[1:])
