// The official TypeScript SDK, version 1: lists and calls every tool of a stdio server.
// node every_call_v1.mjs NPM_ROOT PLAN.json
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [root, plan] = process.argv.slice(2);
const from = (path) => import(pathToFileURL(`${root}/node_modules/@modelcontextprotocol/${path}`));
const { Client } = await from("sdk/dist/esm/client/index.js");
const { StdioClientTransport } = await from("sdk/dist/esm/client/stdio.js");
const { walk } = await import("./every_call.mjs");
await walk(readFileSync(plan, "utf8"), new Client({ name: "judge", version: "1" }), StdioClientTransport);
