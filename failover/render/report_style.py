"""The style sheet of report.html: system fonts, light and dark, prints well. No address of anything."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark; --font: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  --paper: #ffffff; --card: #f4f6f8; --ink: #14181d; --faint: #5b6672; --grid: #dde2e8;
  --write: #1f6fd6; --read: #b3680e;
  --bad: #c22030; --good: #17763a; --phase: #7b8794;
  --band-good: #17763a; --band-bad: #b51c2c; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181d; --card: #1d232a; --ink: #e8ecf1; --faint: #9aa6b2; --grid: #2c343d; --write: #6cb0ff;
    --read: #f0ad5a; --bad: #ff7b86; --good: #5bd48a; --phase: #8b97a5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 66rem; background: var(--paper); color: var(--ink);
  font: 16px/1.45 var(--font); }
header { border-radius: .6rem; padding: 1rem 1.3rem; color: #ffffff; background: var(--band-good); }
header.missed { background: var(--band-bad); }
header h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
header p { margin: .35rem 0 0; font-size: 1.05rem; }
.about { color: var(--faint); margin: .7rem 0 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .6rem; margin: 0 0 1.2rem; }
.tiles div { background: var(--card); border-radius: .5rem; padding: .65rem .8rem;
  border-left: .3rem solid var(--phase); }
.tiles .good { border-color: var(--good); } .tiles .bad { border-color: var(--bad); }
.tiles dt { color: var(--faint); font-size: .86rem; line-height: 1.25; }
.tiles dd { margin: .1rem 0 0; font-size: 1.55rem; font-weight: 650; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.tiles .bad dd { color: var(--bad); }
h2 { font-size: 1.15rem; margin: 1.7rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .38rem .7rem .38rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
th { color: var(--faint); font-weight: 600; font-size: .88rem; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.held { color: var(--good); font-weight: 650; } tr.missed td { font-weight: 650; } td.no { color: var(--bad); }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 2.4rem; }
figure { margin: 0; overflow-x: auto; } figure svg { width: 100%; min-width: 44rem; height: auto; display: block; }
.remarks li { margin: .25rem 0; } code { overflow-wrap: anywhere; }
footer { margin-top: 2rem; color: var(--faint); font-size: .88rem; }
@media (max-width: 40rem) { body { padding: .6rem; } header h1 { font-size: 1.35rem; }
  .tiles { grid-template-columns: 1fr 1fr; } td.n, th.n { white-space: normal; } th, td { padding-right: .4rem; } }
@media print { body { max-width: none; padding: 0; } figure { break-inside: avoid; }
  header, .tiles div { print-color-adjust: exact; } }
"""
