"""Documentation is run: its Python, the commands and options it names, its links between files."""

from __future__ import annotations

import doctest
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "bench" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^( *)```(\w+)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{2,3} `?tapeline ([a-z][a-z-]*)", re.MULTILINE)

pages = pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])


def blocks(page: Path, *languages: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each fenced block of these languages."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        if match[2] in languages:
            yield text.count("\n", 0, match.start(3)) + 1, match[3]


def group() -> click.Group:
    import tapeline.cli

    return next(value for value in vars(tapeline.cli).values() if isinstance(value, click.Group))


def commands() -> dict[str, click.Command]:
    root = group()
    context = click.Context(root)
    found = {name: root.get_command(context, name) for name in root.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None and not command.hidden}


def options(command: click.Command) -> set[str]:
    named = [parameter for parameter in command.params if isinstance(parameter, click.Option) and not parameter.hidden]
    return {name for option in named for name in (*option.opts, *option.secondary_opts) if name.startswith("--")}


def shell_calls(page: Path) -> Iterator[list[str]]:
    """Yield the words of each call of a program in the page's shell blocks."""
    for _, text in blocks(page, "sh", "bash", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&|;")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in lexer:
                if set(word) <= set("&|;"):
                    yield words
                    words = []
                else:
                    words.append(word)
            if words:
                yield words


@pages
def test_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    for line, text in blocks(page, "python"):
        if ">>>" not in text:
            exec(compile("\n" * (line - 1) + text, str(page), "exec", dont_inherit=True), names)
            continue
        test = doctest.DocTestParser().get_doctest(text, names, page.name, str(page), line - 1)
        runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
        failed: list[str] = []
        runner.run(test, out=failed.append, clear_globs=False)
        assert not failed, "".join(failed)
        names.update(test.globs)


@pages
def test_calls_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    unknown = []
    for words in shell_calls(page):
        if words[0] == "make":
            unknown += [word for word in words[1:] if "=" not in word and word not in targets]
        if words[0].rpartition("/")[2] == "tapeline":
            unknown += unknown_to_tapeline(words[1:])
    assert unknown == []


def unknown_to_tapeline(words: list[str]) -> list[str]:
    """Return the words that name neither a command nor one of its options."""
    known = commands()
    name = next((word for word in words if word in known), None)
    allowed = {"--help", *options(group()), *(options(known[name]) if name else ())}
    named = [word.partition("=")[0] for word in words if word.startswith("--")]
    return ([] if name or "--help" in named else [" ".join(words)]) + [word for word in named if word not in allowed]


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    _, *parts = HEADING.split(text)
    sections = dict(zip(parts[::2], parts[1::2], strict=True))
    missing = [name for name in commands() if name not in sections]
    for name, command in commands().items():
        missing += [f"{name} {option}" for option in options(command) if option not in sections.get(name, "")]
    missing += [option for option in options(group()) if option not in text]
    assert missing == []
    assert [name for name in sections if name not in commands()] == []


def test_pages_of_the_menu_exist() -> None:
    menu = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    values = [value for entry in menu for value in entry.values()]
    named = [page for value in values for page in ([value] if isinstance(value, str) else value)]
    assert [page for page in named if not (ROOT / "docs" / page).exists()] == []


@pages
def test_links_between_files_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_decision_is_listed_with_its_status() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "index.md").read_text(encoding="utf-8")
    for decision in sorted(folder.glob("[0-9]*.md")):
        assert re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", decision.name)
        assert f"({decision.name})" in index
        assert re.match(
            rf"# {decision.name[:4]}\. \S.*\n\nStatus: \w+.*\d{{4}}-\d\d-\d\d", decision.read_text(encoding="utf-8")
        )


def test_the_readme_names_the_test_command_that_ci_runs() -> None:
    assert ["make", "test"] in list(shell_calls(ROOT / "README.md"))
    assert re.search(r"^for step in test ", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
