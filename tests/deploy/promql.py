"""What a PromQL expression names: metrics, and the values that it asks their labels for.

Invariants: text in, names out. It need not understand an expression, since promtool does; it must not overlook a name.

Not here: whether the names exist.
"""

import re

WORDS = set("and or unless bool offset by without on ignoring group_left group_right inf nan".split())
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
IDENTIFIER = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[a-zA-Z0-9_:])")
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}")
GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
# What the scrape adds, not vedetta.
ADDED = {"namespace", "pod", "container", "job", "le"}
MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def metrics(expression: str) -> set[str]:
    """Names of metrics and recorded series."""
    # Braces before strings: a label is no metric. Ranges before words: `5m` is none either.
    bare = re.sub(r"\{[^}]*\}", "", STRING.sub('""', expression))
    bare = GROUPED.sub("", re.sub(r"\[[^\]]*\]", "", bare))
    words = {word for word in IDENTIFIER.findall(bare) if not re.fullmatch(r"[0-9].*", word)}
    return {word for word in words if word.lower() not in WORDS}


def asked(expression: str) -> list[tuple[str, str, str]]:
    """(metric, label, value) for each value that a matcher spells out; variables of a dashboard spell out nothing."""
    found = []
    for metric, matchers in SELECTOR.findall(expression):
        for label, values in MATCHER.findall(matchers):
            found += [(metric, label, value) for value in values.split("|") if "$" not in value and value != ".*"]
    return found


def unknown(expression: str, live: dict, recorded: set[str]) -> list[str]:
    """What the expression names and nobody has: metrics, and values of their labels."""
    # `up` is Prometheus's own, about the scrape.
    names = metrics(expression) - set(live) - recorded - {"up"}
    wrong = [f"metric {name}" for name in sorted(names)]
    labels = ADDED.union(*live.values())
    grouped = {label.strip() for group in GROUPED.findall(expression) for label in group.split(",")} - {""}
    wrong += [f"label {label}" for label in sorted(grouped - labels)]
    for metric, label, value in asked(expression):
        if label in ADDED:
            continue
        if metric in live:
            have = live[metric].get(label, set())
        else:
            # A recorded series has the labels of those it was made from.
            have = set().union(*(labels.get(label, set()) for labels in live.values()))
        if value not in have:
            wrong.append(f'{label}="{value}" of {metric}')
    return wrong
