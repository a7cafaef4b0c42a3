"""The code of the README runs as it stands, pasted block after block."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"


def test_code_runs(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), names)
    assert names["best"].fun < names["prepared"](names["z"])


def test_numbers_of_the_first_block():
    text = README.read_text("utf-8")
    calls = re.findall(r"^(log_loss\(.*\))\s+# ([0-9.e-]+?)(?:\.\.\.|,|$)", text, re.M)
    assert len(calls) == 3
    import numpy as np

    from fastlogloss import log_loss

    for call, value in calls:
        found = eval(call, {"np": np, "log_loss": log_loss})
        digits = len(value.split("e")[0].replace(".", "").lstrip("0"))
        assert found == pytest.approx(float(value), rel=10 ** (1 - digits))
