"""Put the tables of the kept results into the README: ``python -m bench.readme``."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
CASES = "<!-- table -->\n", "<!-- end of table -->"
THREADS = "<!-- threads -->\n", "<!-- end of threads -->"
CONTENTION = "Threads beside others"


def tables(report):
    """The tables of cases in a report: ours, ratio and target, fastest peer."""
    found = re.findall(
        r"^## (.+?)\n.*?(\| case \|.*?)\n\n", report, re.DOTALL | re.MULTILINE
    )
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in found)


def threads(report):
    """The note and the table of calls beside other processes."""
    return report.split(f"## {CONTENTION}\n\n", 1)[1].split("\n\n## ", 1)[0].strip()


def replaced(text, marks, body):
    """The text with another body between two marks."""
    begin, end = marks
    head, rest = text.split(begin, 1)
    return head + begin + f"\n{body}\n\n" + end + rest.split(end, 1)[-1]


def main():
    report = (ROOT / "bench/results/benchmark.md").read_text("utf-8")
    machine = report.splitlines()[2]
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    text = replaced(text, CASES, f"{machine}\n\n{tables(report)}")
    text = replaced(text, THREADS, threads(report))
    readme.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
