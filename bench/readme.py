"""Put the tables of the kept results into the README and the documents.

python -m bench.readme
"""

import re
from pathlib import Path

from bench.case import EXACT, ORDINARY

ROOT = Path(__file__).parent.parent
CASES = "<!-- table -->\n", "<!-- end of table -->"
OF_EXACT = "<!-- exact -->\n", "<!-- end of exact -->"
OF_ORDINARY = "<!-- ordinary -->\n", "<!-- end of ordinary -->"
OF_FILES = "<!-- files -->\n", "<!-- end of files -->"
OF_SPARK = "<!-- spark -->\n", "<!-- end of spark -->"
THREADS = "<!-- threads -->\n", "<!-- end of threads -->"
CONTENTION = "Threads beside others"


def tables(report):
    """The tables of cases in a report: ours, ratio and target, fastest peer."""
    found = re.findall(
        r"^## (.+?)\n.*?(\| case \|.*?)\n\n", report, re.DOTALL | re.MULTILINE
    )
    return "\n\n".join(
        f"**{title}**\n\n{table}"
        for title, table in found
        if title not in (EXACT, ORDINARY)
    )


def exact(report):
    """The note of batches and groups and their table, without all times."""
    if f"## {EXACT}\n" not in report:
        return ""
    return section(report, EXACT).rpartition("\n\n")[0]


def ordinary(report):
    """The note and the table of ordinary input; nothing where that was not measured."""
    return section(report, ORDINARY) if f"## {ORDINARY}\n" in report else ""


def threads(report):
    """The note and the table of calls beside other processes."""
    return section(report, CONTENTION)


def section(report, title):
    return report.split(f"## {title}\n\n", 1)[1].split("\n\n## ", 1)[0].strip()


def replaced(text, marks, body):
    """The text with another body between two marks."""
    begin, end = marks
    head, rest = text.split(begin, 1)
    body = body and f"\n{body}\n"
    return head + begin + f"{body}\n" + end + rest.split(end, 1)[-1]


def main():
    report = (ROOT / "bench/results/benchmark.md").read_text("utf-8")
    machine = report.splitlines()[2]
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8")
    text = replaced(text, CASES, f"{machine}\n\n{tables(report)}")
    text = replaced(text, OF_EXACT, exact(report))
    text = replaced(text, OF_ORDINARY, ordinary(report))
    text = replaced(text, THREADS, threads(report))
    readme.write_text(text, "utf-8")
    scaling = ROOT / "docs/scaling.md"
    text = scaling.read_text("utf-8")
    for marks, name in (OF_FILES, "files"), (OF_SPARK, "spark"):
        table = (ROOT / f"bench/results/{name}.md").read_text("utf-8")
        text = replaced(text, marks, table.strip())
    scaling.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
