"""Lays out what was found in one video as an HTML page that stands alone: no script, no link, the picture inside."""

import base64
import html
from typing import Any

from ..base.clock import clock as format_clock
from ..judgement_holmes_vau import describe_verdict
from .words import choose_decimals, format_span, list_facts, list_warnings, name_file


STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1f2933; line-height: 1.55; overflow-wrap: anywhere;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Microsoft YaHei",
  "Noto Sans CJK SC", sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: 0; }
.facts, .note { color: #6b7785; }
.warning { margin: 1rem 0 0; padding: .6rem .9rem; background: #fff3d6; border-left: 4px solid #8a5a00;
  color: #6f4900; font-weight: 600; }
.warning + .warning { margin-top: .3rem; }
.answer + .note { margin-top: .6rem; }
.text { white-space: pre-wrap; }
.answer { font-size: 1.08rem; padding: .9rem 1.1rem; background: #f5f7f9; border-left: 4px solid #2f5d8a; }
.question { color: #4a5663; margin: 0 0 .6rem; }
figure { margin: 0; overflow-x: auto; }
img { display: block; width: 100%; min-width: 620px; height: auto; border: 1px solid #d9dee4; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid #e6eaee;
  font-weight: normal; font-variant-numeric: tabular-nums; }
thead th, tbody th { color: #6b7785; }
tbody th { white-space: nowrap; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 0 2.5rem; }
@media print {
  main { max-width: none; padding: 0; }
  img { min-width: 0; width: auto; max-width: 100%; max-height: 23cm; }
  figure, tr, .warning { break-inside: avoid; }
  h2 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def build_page(analysis: dict[str, Any], picture: bytes) -> str:
    """Lay out answer, picture, events and facts of one analysed video.

    Args:
        analysis (`dict[str, Any]`): As for `write_report`.
        picture (`bytes`): The PNG file of `draw_timeline`.

    Returns:
        `str`: HTML, every string of the analysis escaped.
    """
    name = html.escape(name_file(analysis))
    facts = html.escape(" \u00b7 ".join(list_facts(analysis)))
    warnings = [f'<p class="warning" role="alert">{html.escape(line)}</p>\n' for line in list_warnings(analysis)]
    said = f'<p class="note">Verdict: {describe_verdict(analysis["verdict"])}.</p>\n' if "verdict" in analysis else ""
    source = "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
    alternative = f"Anomaly score of {name} over time, and the {len(analysis['sampled_times_s'])} chosen frames"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{name}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{name}</h1>
<p class="facts">{facts}</p>
{"".join(warnings)}<h2>Answer</h2>
<p class="question text">{html.escape(analysis["prompt"])}</p>
<p class="answer text">{html.escape(analysis["answer"])}</p>
{said}<h2>Timeline</h2>
<figure><img src="{source}" alt="{alternative}"></figure>
<h2>Abnormal events</h2>
{_events_table(analysis)}
<div class="pair">
<section><h2>Video</h2>
{_video_table(analysis)}
</section>
<section><h2>Run</h2>
{_run_table(analysis)}
</section>
</div>
</main>
</body>
</html>
"""


def _events_table(analysis: dict[str, Any]) -> str:
    if not analysis["events"]:
        return '<p class="note">None found.</p>'
    decimals = max(1, choose_decimals(analysis))
    rows = [
        f"<tr><td>{number}</td><td>{format_clock(event['start_s'], decimals)}</td>"
        f"<td>{format_clock(event['end_s'], decimals)}</td>"
        f"<td>{event['end_s'] - event['start_s']:.{decimals}f} s</td><td>{event['peak_score']:.2f}</td></tr>"
        for number, event in enumerate(analysis["events"], start=1)
    ]
    head = "<tr><th></th><th>Start</th><th>End</th><th>Length</th><th>Peak score</th></tr>"
    return "\n".join(["<table>", f"<thead>{head}</thead>", "<tbody>", *rows, "</tbody>", "</table>"])


def _video_table(analysis: dict[str, Any]) -> str:
    rows = [
        ("File", analysis["video"]),
        ("Duration", f"{format_clock(analysis['duration_s'])} ({analysis['duration_s']:.2f} s)"),
        ("Frame rate", f"{analysis['fps']:.5g} fps"),
        ("Frames", f"{analysis['num_frames']:,}"),
        ("Scored frames", f"{len(analysis['scores']):,}"),
        ("Chosen frames", f"{len(analysis['sampled_times_s'])} ({analysis['sampler']})"),
    ]
    if analysis.get("gaps_s"):
        rows.append(("Gaps", ", ".join(format_span(*span_s) for span_s in analysis["gaps_s"])))
    if analysis.get("segment_s"):
        rows.append(("Analysed part", format_span(*analysis["segment_s"])))
    return _pairs_table(rows)


def _run_table(analysis: dict[str, Any]) -> str:
    seconds = analysis["seconds"]
    rows = [("Model", analysis["model"])]
    rows += [(name.capitalize(), f"{busy_s:.2f} s") for name, busy_s in seconds.items()]
    return _pairs_table(rows)


def _pairs_table(rows: list[tuple[str, str]]) -> str:
    lines = [f'<tr><th scope="row">{html.escape(key)}</th><td>{html.escape(value)}</td></tr>' for key, value in rows]
    return "\n".join(["<table>", "<tbody>", *lines, "</tbody>", "</table>"])
