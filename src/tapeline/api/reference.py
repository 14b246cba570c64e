"""The page at ``/docs``: every route with its parameters and answers, as plain HTML that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
code, pre, td:first-child, h3 { font-family: ui-monospace, monospace; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid; }
h3 { margin: 1.5rem 0 0.25rem; font-size: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
td { padding: 0.2rem 0.75rem 0.2rem 0; vertical-align: top; border-bottom: 1px solid #8884; }
p { margin: 0.25rem 0; }
pre { overflow-x: auto; padding: 0.5rem; background: #8882; }
"""


def page(document: dict[str, Any]) -> str:
    """Return an OpenAPI document as a page."""
    parts = "".join(f"<h2>{escape(tag)}</h2>{''.join(routes)}" for tag, routes in _by_tag(document).items())
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}: API</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css"></head>'
        f"<body><h1>{title}: API</h1><p>{escape(document['info']['description'])}</p>"
        f'<p>As a document for programs: <a href="/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>{parts}'
        f"<h2>Documents</h2>{''.join(_schemas(document))}</body></html>"
    )


def _by_tag(document: dict[str, Any]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for path, verbs in document["paths"].items():
        for verb, route in verbs.items():
            made.setdefault(route.get("tags", ["other"])[0], []).append(_route(path, verb, route))
    return made


def _route(path: str, verb: str, route: dict[str, Any]) -> str:
    rows = [
        (one["name"], "required" if one.get("required") else "", _rule(one["schema"]), one.get("description", ""))
        for one in route.get("parameters", [])
    ]
    if "requestBody" in route:
        rows.append(("body", "required", _name(route["requestBody"]["content"]["application/json"]["schema"]), ""))
    for status, told in route["responses"].items():
        content: dict[str, Any] = next(iter(told.get("content", {}).values()), {})
        rows.append((f"→ {status}", "", _name(content.get("schema", {})), told["description"]))
    lock = " 🔒" if route.get("security") else ""
    what = f"<p>{escape(route.get('description', ''))}</p>"
    return f"<h3>{verb.upper()} {escape(path)}{lock}</h3>{what}{_table(rows)}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{lines}</table>"


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        rows = [(key, _rule(value)) for key, value in schema.get("properties", {}).items()]
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>{_table(rows)}'


def _name(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2] if "$ref" in schema else str(schema.get("type", ""))


def _rule(schema: dict[str, Any]) -> str:
    """Return what a schema asks for, in a few words."""
    if "anyOf" in schema:
        return " or ".join(_rule(one) for one in schema["anyOf"])
    if "items" in schema:
        return f"list of {_rule(schema['items']) if isinstance(schema['items'], dict) else 'values'}"
    words = [_name(schema)]
    names = {"minimum": "from", "maximum": "to", "maxLength": "at most", "default": "default"}
    words += [f"{word} {schema[key]}" for key, word in names.items() if schema.get(key) not in (None, "")]
    return ", ".join(word for word in words if word)
