// The official TypeScript SDK, version 2, negotiating the era of the protocol.
// node every_call_v2.mjs NPM_ROOT PLAN.json
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [root, plan] = process.argv.slice(2);
const from = (path) => import(pathToFileURL(`${root}/node_modules/@modelcontextprotocol/${path}`));
const { Client } = await from("client/dist/index.mjs");
const { StdioClientTransport } = await from("client/dist/stdio.mjs");
const { walk } = await import("./every_call.mjs");
const client = new Client(
  { name: "judge", version: "1" },
  { versionNegotiation: { mode: process.env.MODE ?? "auto" } },
);
await walk(readFileSync(plan, "utf8"), client, StdioClientTransport);
