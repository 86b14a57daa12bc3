"""Templates of reports: ours render, and mistakes in a user's are named with their line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nessus_sched.results.reports import rendering, sample
from support.reading import Page

KINDS = ("management", "team", "technical", "comparison")


def copied(directory: Path) -> Path:
    for name in rendering.template_names():
        (directory / name).write_text(rendering.template_text(name))
    return directory


def changed(directory: Path, name: str, old: str, new: str) -> int:
    """The line of the change."""
    path = copied(directory) / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def test_ours_render_and_so_do_copies(tmp_path: Path) -> None:
    assert list(sample.bad_templates(tmp_path)) == []
    assert list(sample.bad_templates(copied(tmp_path))) == []
    assert {f"{kind}.html" for kind in KINDS} < set(rendering.template_names())


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        ("team.html", "{{ group.solution }}", "{{ group.solutoin }}", "solutoin"),
        ("team.html", "{{ group.solution }}", "{{ group.solution", "unexpected"),
        ("team.html", "{{ group.solution }}", "{{ 1 / 0 }}", "division by zero"),
        ("team.html", "{{ group.solution }}", "{{ group.solution + 1 }}", "concatenate"),
        ("team.html", "{{ group.solution }}", "{{ group.names[99] }}", "has no element 99"),
        ("team.html", "{{ group.solution }}", '{% include "no.html" %}', "no template no.html"),
        ("team.html", "{{ group.solution }}", "{{ group | nosuch }}", "nosuch"),
        ("team.html", "{{ group.solution }}", "{{ group.__class__.mro() }}", "unsafe"),
        ("team.html", "{{ group.solution }}", "{{ group.names.append(1) }}", "unsafe"),
        ("team.html", "{{ group.solution }}", "{{ range(1000000) | list }}", "too big"),
        ("team.html", "{{ group.solution }}", "{{ cycler() }}", "at least one item"),
        (
            "team.html",
            "{{ group.solution }}",
            "{{ 'long enough' | truncate(1) }}",
            "expected length",
        ),
        ("team.html", "{{ group.solution }}", "{{ 'x' * 10**18 }}", "memoryerror"),
    ],
)
def test_a_mistake_is_named_with_its_line(
    tmp_path: Path, name: str, old: str, new: str, problem: str
) -> None:
    line = changed(tmp_path, name, old, new)
    (error,) = sample.bad_templates(tmp_path)
    assert error.name == name
    assert error.line is not None
    assert line <= error.line <= line + 1
    assert problem in error.problem.lower()
    assert str(error).startswith(f"template {name}, line {error.line}: ")


def test_a_mistake_in_a_shared_template_is_told_once(tmp_path: Path) -> None:
    line = changed(tmp_path, "base.html", "{{ scope }}", "{{ scoop }}")
    (error,) = sample.bad_templates(tmp_path)
    assert (error.name, error.line) == ("base.html", line)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    (error,) = sample.bad_templates(tmp_path / "none")
    assert str(error) == f"template {tmp_path}/none: no such directory"


def test_a_template_that_is_not_text(tmp_path: Path) -> None:
    (copied(tmp_path) / "team.html").write_bytes(b"\xff\xfe")
    errors = list(sample.bad_templates(tmp_path))
    assert [error.name for error in errors] == ["team.html"]


def test_users_templates_replace_ours_and_escape_too(tmp_path: Path) -> None:
    (tmp_path / "team.html").write_text(
        '{% extends "base.html" %}{% block content %}<p class="ours">{{ title }}</p>{% endblock %}'
    )
    head = rendering.head("team", "<b>x</b>", scope="all", period="", made="today")
    page = Page("".join(rendering.page("team", head, tmp_path)))
    assert page.texts("p.ours") == ["<b>x</b>"]
    assert "b" not in {tag for tag, _ in page.tags}


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_well_formed_and_need_nothing(kind: str) -> None:
    head = rendering.head(kind, "T", scope="s", period="p", made="m", notes=["n"])
    made = sample._SAMPLES[kind]()
    html = "".join(rendering.page(kind, {**head, **made}))
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    assert not page.attributes("style") | page.attributes("src") | page.attributes("href")
    assert "default-src 'none'" in html
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids)), "an id is used twice"
    for labels in page.attributes("aria-labelledby"):
        assert set(labels.split()) <= set(ids)
    for name in re.findall(r"url\(#([^)]*)\)", html):
        assert name in ids
    charts = [given for tag, given in page.tags if tag == "svg" and given.get("role") == "img"]
    assert all(given.get("aria-labelledby") for given in charts)
    assert charts or kind == "team"
    for title in page.texts("svg title"):
        assert title
