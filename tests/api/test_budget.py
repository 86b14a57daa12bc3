"""What the tools cost a model before it has called one: `pytest -s` prints the table."""

from __future__ import annotations

from mcp import Client

from nessus_sched.api.tools import ALL_TOOLS, INSTRUCTIONS
from nessus_sched.mcp.server import ServerParts, build_server
from support.tokens import tokens_in, tokens_of

INPUTS, OUTPUTS, TOLD = 8_000, 6_000, 600
"""Tokens of all names, descriptions and arguments; of all answers' schemas; of the instructions.
The tools for operators are counted although most models are not shown them."""


async def test_descriptions_and_schemas_are_within_the_budget() -> None:
    parts = ServerParts(app=None, tools=ALL_TOOLS)
    server = build_server(parts, version="0", instructions=INSTRUCTIONS)
    async with Client(server, mode="legacy") as client:
        listed = (await client.list_tools()).tools
    operators = {tool.name for tool in ALL_TOOLS if tool.operator}
    rows = []
    for tool in listed:
        shown = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
        given = {key: shown[key] for key in ("name", "description", "inputSchema")}
        cost = tokens_of(given), tokens_of(shown["outputSchema"])
        rows.append((*cost, tool.name in operators, tool.name))
    print(f"\n{'tool':<24}{'input':>7}{'output':>7}")
    for tokens, answered, operator, name in sorted(rows, reverse=True):
        print(f"{name:<24}{tokens:>7}{answered:>7}{'  operator' if operator else ''}")
    usual = [row for row in rows if not row[2]]
    for title, some in (("all", rows), ("usual", usual)):
        print(f"{title:<24}{sum(row[0] for row in some):>7}{sum(row[1] for row in some):>7}")
    print(f"{'instructions':<24}{tokens_in(INSTRUCTIONS):>7}")
    assert sum(row[0] for row in rows) <= INPUTS
    assert sum(row[1] for row in rows) <= OUTPUTS
    assert tokens_in(INSTRUCTIONS) <= TOLD
