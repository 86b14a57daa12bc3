"""The style sheet of the status page."""

STYLE = """
:root { color-scheme: light dark; --line: #dde3ea; --dim: #66727f; --card: #fff; --page: #f4f6f8;
  --ink: #1c252e; --good: #1a7f4b; --warn: #9a6200; --bad: #c0271f; --busy: #1f63c4; }
@media (prefers-color-scheme: dark) { :root { --line: #2c3742; --dim: #93a1ae; --card: #19222b;
  --page: #10171d; --ink: #e6ecf1; --good: #4cc38a; --warn: #e5b04c; --bad: #ff7b72;
  --busy: #6ea8ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1180px; margin: 0 auto; padding: 0 20px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 12px; padding-top: 18px; }
h1 { font-size: 20px; margin: 0; white-space: nowrap; } h2 { font-size: 15px; margin: 0 0 8px; }
.when { margin-left: auto; color: var(--dim); font-variant-numeric: tabular-nums; }
section, .troubles, .totals > div { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
section { padding: 14px 16px; margin: 14px 0; overflow-x: auto; }
.troubles { list-style: none; margin: 14px 0 0; padding: 10px 16px;
  border-left: 4px solid var(--bad); }
.troubles.warn { border-left-color: var(--warn); }
.troubles li { margin: 4px 0; } .troubles .pill { margin-right: 8px; }
.whole { white-space: nowrap; } td:first-child { min-width: 150px; }
.totals { display: flex; flex-wrap: wrap; gap: 14px; margin: 14px 0; }
.totals > div { flex: 1 1 130px; padding: 10px 16px; }
.totals b { display: block; font-size: 24px; font-weight: 600; }
.totals span { color: var(--dim); }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--dim); font-size: 12px; white-space: nowrap; }
th, td { padding: 6px 14px 6px 0; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr { border-top: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; }
td b { font-weight: 600; } td b + small, .pill + small { display: block; }
small { color: var(--dim); font-size: 12px; margin-left: 4px; }
td b + small { margin-left: 0; } .pill + small { margin: 2px 0 0; }
.troubles small { display: inline; margin-left: 8px; }
.dim { color: var(--dim); } p { margin: 0 0 8px; } b.bad { color: var(--bad); }
table + p { margin: 8px 0 0; }
.pill { display: inline-block; padding: 0 8px; border-radius: 9px; font-size: 12px;
  white-space: nowrap; border: 1px solid currentColor; }
.pill.good { color: var(--good); } .pill.warn { color: var(--warn); }
.pill.bad { color: var(--bad); } .pill.busy { color: var(--busy); }
.slots { color: var(--busy); letter-spacing: 2px; } .slots i { color: var(--line);
  font-style: normal; }
progress { width: 110px; height: 8px; vertical-align: middle; accent-color: var(--busy); }
.severities { white-space: nowrap; }
.severity { display: inline-block; min-width: 22px; padding: 0 5px; margin-right: 3px;
  border-radius: 4px; text-align: center; font-size: 12px; color: #fff; }
.critical { background: #91243e; } .high { background: #cf3a2c; }
.medium { background: #f5b041; color: #1c252e; } .low { background: #2f74c0; }
.info { background: #7d8a97; }
.unknown { background: #555; }
footer { padding: 4px 20px 24px; color: var(--dim); font-size: 12px; }
footer a { color: inherit; margin-left: 12px; }
@media (max-width: 600px) { header, main, footer { padding-left: 10px; padding-right: 10px; } }
"""
