"""HTML from templates in which everything is escaped: the status page and the HTML report.

Jinja2 is imported on first use: commands that make no page should not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template

Filters = tuple[Callable[..., Any], ...]


@cache
def template(package: str, name: str, shown: Callable[[str], str], filters: Filters) -> Template:
    """The template `templates/NAME` of a package, compiled once.

    Every value goes through `shown`, which takes out what no page should show, and is then
    escaped; None is shown as nothing. `filters` are available under their names.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: object) -> object:
        if value is None:
            return ""
        # Only macros and files of ours return Markup.
        return value if isinstance(value, Markup) else shown(str(value))

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    named: Mapping[str, Callable[..., Any]] = {each.__name__: each for each in filters}
    environment.filters.update(named)
    return environment.get_template(name)
