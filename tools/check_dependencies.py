"""Holds all dependencies against deny.toml: licences, bans and sources.

A stand-in for the same three checks of cargo-deny, for machines that lack it (building it takes
longer than building Owlet): it asks `cargo metadata` and evaluates the SPDX expressions. It knows
the keys that deny.toml uses and stops at any other, so that none is passed over in silence.

usage: python tools/check_dependencies.py
"""

import json
import re
import subprocess
import sys

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

KNOWN_KEYS = {
    "graph": {"targets", "all-features"},
    "licenses": {"allow", "confidence-threshold", "exceptions"},
    "bans": {"multiple-versions", "wildcards", "deny"},
    "sources": {"unknown-registry", "unknown-git"},
}
# Keys of the items of lists.
KNOWN_ITEM_KEYS = {
    ("licenses", "exceptions"): {"crate", "allow"},
    ("bans", "deny"): {"crate", "reason", "wrappers"},
}
# Every value that changes the outcome is the one that is implemented below.
FIXED_VALUES = {
    ("bans", "multiple-versions"): "allow",
    ("bans", "wildcards"): "deny",
    ("sources", "unknown-registry"): "deny",
    ("sources", "unknown-git"): "deny",
}
DEFAULT_REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def is_allowed(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with the allowed licences alone.

    `/` is the old way to write OR. AND binds tighter than OR. `X WITH exception` is allowed where
    that whole text is, or X without its exception (an exception only gives more).
    """
    tokens = re.findall(r"[()/]|[^\s()/]+", expression)

    def alternatives() -> bool:
        met = conjunction()
        while tokens and tokens[0] in ("OR", "/"):
            tokens.pop(0)
            met = conjunction() or met
        return met

    def conjunction() -> bool:
        met = licence()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = licence() and met
        return met

    def licence() -> bool:
        token = tokens.pop(0)
        if token == "(":
            met = alternatives()
            if tokens.pop(0) != ")":
                raise IndexError
            return met
        if tokens and tokens[0] == "WITH":
            tokens.pop(0)
            return f"{token} WITH {tokens.pop(0)}" in allowed or token in allowed
        return token in allowed

    try:
        return alternatives() and not tokens
    except IndexError:
        return False


def read_rules() -> dict:
    """deny.toml, refused where this script would not do what it says."""
    with open("deny.toml", "rb") as file:
        rules = tomllib.load(file)
    unknown = [
        f"{table}.{key}"
        for table, keys in rules.items()
        for key in keys
        if key not in KNOWN_KEYS.get(table, set())
    ] + [
        f"{table}.{key} = {rules[table][key]!r}"
        for (table, key), value in FIXED_VALUES.items()
        if rules[table][key] != value
    ] + [
        f"{table}.{key}: {item_key}"
        for (table, key), known in KNOWN_ITEM_KEYS.items()
        for item in rules[table][key]
        for item_key in item
        if item_key not in known
    ]
    if unknown:
        sys.exit(f"deny.toml: not known to tools/check_dependencies.py: {', '.join(unknown)}")
    return rules


def read_packages(targets: list[str]) -> dict[str, dict]:
    """All packages that are compiled for one of the targets, by id; `dependents` are the names of
    those that depend on each directly."""
    packages = {}
    dependents: dict[str, set[str]] = {}
    for target in targets:
        command = ["cargo", "metadata", "--format-version=1", "--locked", "--all-features"]
        output = subprocess.run(
            [*command, f"--filter-platform={target}"], check=True, stdout=subprocess.PIPE
        )
        metadata = json.loads(output.stdout)
        used = {node["id"] for node in metadata["resolve"]["nodes"]}
        for package in metadata["packages"]:
            if package["id"] in used:
                packages[package["id"]] = package
        for node in metadata["resolve"]["nodes"]:
            for dependency in node["deps"]:
                dependents.setdefault(dependency["pkg"], set()).add(packages[node["id"]]["name"])
    for key, package in packages.items():
        package["dependents"] = dependents.get(key, set())
    return packages


def is_banned(dependents: set[str], ban: dict) -> bool:
    """Whether a ban holds: not where only the ban's wrappers depend on the crate."""
    wrappers = set(ban.get("wrappers", []))
    return not wrappers or not dependents <= wrappers


def problems(packages: dict[str, dict], rules: dict) -> list[str]:
    """One line for each package that breaks a rule."""
    allowed = set(rules["licenses"]["allow"])
    excepted = {item["crate"]: set(item["allow"]) for item in rules["licenses"]["exceptions"]}
    bans = {ban["crate"]: ban for ban in rules["bans"]["deny"]}
    found = []
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if not is_allowed(package["license"] or "", allowed | excepted.get(package["name"], set())):
            found.append(f"{name}: licence {package['license']!r} is not allowed")
        ban = bans.get(package["name"])
        if ban and is_banned(package["dependents"], ban):
            found.append(f"{name}: banned: {ban['reason']}")
        if package["source"] not in (None, DEFAULT_REGISTRY):
            found.append(f"{name}: comes from {package['source']}")
        if package["source"] is None:
            found += [
                f"{name}: any version of {dependency['name']} would do: name one"
                for dependency in package["dependencies"]
                if dependency["req"] == "*"
            ]
    return found


def check_self() -> None:
    """The evaluation of expressions and wrappers, on those that are easy to get wrong."""
    allowed = {"MIT", "Apache-2.0", "ISC"}
    for expression, expected in [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only/MIT", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT OR ISC AND GPL-3.0-only", True),
        ("(MIT OR ISC) AND GPL-3.0-only", False),
        ("ISC AND (Apache-2.0 OR GPL-3.0-only)", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-3.0-only WITH Classpath-exception-2.0", False),
        ("", False),
        ("(MIT", False),
        ("MIT ISC", False),
    ]:
        if is_allowed(expression, allowed) != expected:
            sys.exit(f"tools/check_dependencies.py reads {expression!r} wrongly")
    for dependents, wrappers, expected in [
        ({"a"}, ["a"], False),
        ({"a"}, ["a", "b"], False),
        ({"a", "c"}, ["a"], True),
        ({"a"}, [], True),
    ]:
        if is_banned(dependents, {"wrappers": wrappers}) != expected:
            sys.exit(f"tools/check_dependencies.py takes {wrappers} of {dependents} wrongly")


def main() -> None:
    check_self()
    rules = read_rules()
    packages = read_packages(rules["graph"]["targets"])
    found = problems(packages, rules)
    if found:
        sys.exit("\n".join(found))
    print(f"{len(packages)} packages hold to deny.toml: licences, bans, sources")


if __name__ == "__main__":
    main()
