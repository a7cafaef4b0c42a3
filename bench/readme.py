"""Put the tables of the kept results into the README: ``python -m bench.readme``."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->"


def tables(report):
    """The tables of cases in a report: ours, ratio and target, fastest peer."""
    found = re.findall(
        r"^## (.+?)\n.*?(\| case \|.*?)\n\n", report, re.DOTALL | re.MULTILINE
    )
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in found)


def main():
    report = (ROOT / "bench/results/benchmark.md").read_text("utf-8")
    machine = report.splitlines()[2]
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[-1]
    body = f"\n{machine}\n\n{tables(report)}\n\n"
    readme.write_text(head + BEGIN + body + END + tail, "utf-8")


if __name__ == "__main__":
    main()
