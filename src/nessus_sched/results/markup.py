"""HTML from templates in which everything is escaped: the status page and the reports.

Jinja2 is imported on first use: commands that make no page should not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment, Template

Filters = tuple[Callable[..., Any], ...]


@cache
def template(package: str, name: str, shown: Callable[[str], str], filters: Filters) -> Template:
    """The template `templates/NAME` of a package, compiled once."""
    return environment(package, shown, filters).get_template(name)


def environment(
    package: str, shown: Callable[[str], str], filters: Filters, own: Path | None = None
) -> Environment:
    """The templates of a package, and those in the directory `own`, which replace any of the same
    name and are sandboxed: they can neither call Python nor change what they are given.

    Every value goes through `shown`, which takes out what no page should show, and is then
    escaped; None is shown as nothing. `filters` are available under their names.
    """
    from jinja2 import (
        ChoiceLoader,
        Environment,
        FileSystemLoader,
        FunctionLoader,
        PackageLoader,
        StrictUndefined,
        TemplateNotFound,
        TemplateSyntaxError,
    )
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    def finalize(value: object) -> object:
        if value is None:
            return ""
        # Only macros and files of ours return Markup.
        return value if isinstance(value, Markup) else shown(str(value))

    def users(name: str) -> tuple[str, str | None, Callable[[], bool] | None]:
        assert own is not None
        try:
            return FileSystemLoader(own).get_source(found, name)
        except TemplateNotFound:
            raise
        except (OSError, UnicodeDecodeError) as error:
            raise TemplateSyntaxError(f"cannot be read: {error}", 1, name) from error

    replacing = [] if own is None else [FunctionLoader(users)]
    kind = Environment if own is None else ImmutableSandboxedEnvironment
    found = kind(
        loader=ChoiceLoader([*replacing, PackageLoader(package)]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    named: Mapping[str, Callable[..., Any]] = {each.__name__: each for each in filters}
    found.filters.update(named)
    return found
