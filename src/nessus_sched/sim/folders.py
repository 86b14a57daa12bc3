"""Folders: Trash and My Scans always exist, others can be created and deleted."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from nessus_sched.sim.messages import ApiError, NotFound

TRASH = 2
MY_SCANS = 3
SHORT_NAME = 20
"""Length at which some scanners may limit names."""


@attrs.define(kw_only=True)
class Folder:
    id: int
    name: str
    type: str
    """`trash`, `main` or `custom`."""


def _fresh() -> dict[int, Folder]:
    system = (
        Folder(id=TRASH, name="Trash", type="trash"),
        Folder(id=MY_SCANS, name="My Scans", type="main"),
    )
    return {folder.id: folder for folder in system}


@attrs.define
class Folders:
    """Folders by id. `ids` yields new ids, shared with scans and policies."""

    ids: Iterator[int]
    longest: int | None = None
    """Maximum length of a name."""
    by_id: dict[int, Folder] = attrs.field(factory=_fresh)

    def get(self, folder_id: int) -> Folder:
        try:
            return self.by_id[folder_id]
        except KeyError:
            raise NotFound from None

    def create(self, name: str) -> Folder:
        self._check_name(name)
        folder = Folder(id=next(self.ids), name=name, type="custom")
        self.by_id[folder.id] = folder
        return folder

    def rename(self, folder_id: int, name: str) -> None:
        folder = self._custom(folder_id)
        if folder.name != name:
            self._check_name(name)
            folder.name = name

    def delete(self, folder_id: int) -> None:
        del self.by_id[self._custom(folder_id).id]

    def _custom(self, folder_id: int) -> Folder:
        folder = self.get(folder_id)
        if folder.type != "custom":
            raise ApiError(403, "Can not change a system folder")
        return folder

    def _check_name(self, name: str) -> None:
        if not name or (self.longest is not None and len(name) > self.longest):
            raise ApiError(400, "Invalid 'name' field")
        if any(folder.name == name for folder in self.by_id.values()):
            raise ApiError(400, "A folder with this name already exists")
