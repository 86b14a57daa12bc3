"""Loads a file into a `Config`, or reports every mistake in it.

The steps: read, parse with positions, substitute references, structure into the schema.
There are no silent fallbacks: a file with a single mistake is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from nessus_sched.config.problems import ConfigError, KeyPath, Problem, ValueProblem, path_text
from nessus_sched.config.schema import Config
from nessus_sched.config.small_files import UnreadableFile, read_small_file
from nessus_sched.config.structure import structure
from nessus_sched.config.substitution import Sources, substitute
from nessus_sched.config.yaml_reader import Document, Place, YamlSyntaxError, read_document

MAX_BYTES: Final = 1_000_000


def load(
    path: Path, *, environ: Mapping[str, str], credentials_directory: Path | None = None
) -> Config:
    """The configuration in the file `path`. Reads files, so call it in a thread.

    `${credential:NAME}` is looked up in `credentials_directory`, by default the
    `CREDENTIALS_DIRECTORY` of `environ`, which systemd sets. Raises `ConfigError`.
    """
    return load_text(
        _read(path),
        file=str(path),
        folder=path.absolute().parent,
        environ=environ,
        credentials_directory=credentials_directory,
    )


def load_text(
    text: str,
    *,
    file: str,
    folder: Path,
    environ: Mapping[str, str],
    credentials_directory: Path | None = None,
) -> Config:
    """Like `load`, for text. Errors refer to it as `file`; relative paths are relative to
    `folder`. Raises `ConfigError`."""
    try:
        document = read_document(text)
    except YamlSyntaxError as error:
        line, column = error.place
        raise ConfigError([_problem(file, (line, column), str(error), error.hint)]) from None
    if document.data is None:
        raise ConfigError([_problem(file, (1, 1), "the file is empty", "see config init")])
    if credentials_directory is None and environ.get("CREDENTIALS_DIRECTORY"):
        credentials_directory = Path(environ["CREDENTIALS_DIRECTORY"])
    sources = Sources(environ=environ, folder=folder, credentials_directory=credentials_directory)
    data, unresolved = substitute(document.data, sources)
    config, unfit = structure(data, folder)
    problems = [
        _problem(file, place, wrong.message, wrong.hint) for place, wrong in document.mistakes
    ]
    problems += _placed(file, document, (*unresolved, *unfit))
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _problem(file: str, place: Place, message: str, hint: str) -> Problem:
    return Problem(file=file, line=place[0], column=place[1], message=message, hint=hint)


def _placed(
    file: str, document: Document, mistakes: Iterable[tuple[KeyPath, ValueProblem]]
) -> Iterable[Problem]:
    for path, wrong in mistakes:
        place = document.place(path, of_key=wrong.at_key)
        name = path_text(path)
        message = f"{name}: {wrong.message}" if name else wrong.message
        yield _problem(file, place, message, wrong.hint)


def _read(path: Path) -> str:
    try:
        found = read_small_file(path, MAX_BYTES)
    except UnreadableFile as error:
        raise ConfigError([Problem(file=str(path), message=str(error))]) from None
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found[: error.start].count(b"\n") + 1
        raise ConfigError(
            [Problem(file=str(path), line=line, column=1, message="is not UTF-8 text")]
        ) from None
