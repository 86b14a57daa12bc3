"""Which columns of a table give way when there is little room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.cli.output import fitted_widths

COLUMNS = ("task", "state", "name", "progress", "why")


@pytest.mark.slow
@given(st.lists(st.integers(0, 200), min_size=5, max_size=5), st.integers(0, 400))
def test_names_give_way_first_then_texts_and_nothing_else(natural: list[int], room: int) -> None:
    task, state, name, progress, why = fitted_widths(COLUMNS, natural, room)
    assert (task, state, progress) == (natural[0], natural[1], natural[3])
    assert name <= natural[2]
    assert why <= natural[4]
    if why < natural[4]:
        assert name <= max(8, min(natural[2], 8))
    fits = task + state + name + progress + why <= room
    assert fits or (name <= 8 and why <= 16)
    if sum(natural) <= room:
        assert [task, state, name, progress, why] == natural
