"""Everything compiled, behind one choice of instruction set.

``FASTLOGLOSS_ISA=base|v3|v4`` forces a variant; without it, or if it is empty, the best
one that the processor runs is taken. All give the same bits.
"""

import importlib
import importlib.util
import os
import sys
from types import ModuleType

from fastlogloss._kernels import _cpu

# name -> (module, can this processor run it?); the first that can is the default.
_VARIANTS = {
    "v4": ("fastlogloss._kernels._v4", _cpu.supports_v4),
    "v3": ("fastlogloss._kernels._v3", _cpu.supports_v3),
    "base": ("fastlogloss._kernels._base", lambda: True),
}

for _module, _runs in _VARIANTS.values():
    if not _runs():
        # Makes its import an ImportError, as the language reference has it (not so
        # typeshed): an instruction that is unknown here would end the process.
        sys.modules[_module] = None  # type: ignore[assignment]


def available() -> list[str]:
    """Names of the variants that are built and run on this processor, best first."""
    return [
        name
        for name, (module, _) in _VARIANTS.items()
        if importlib.util.find_spec(module) is not None
    ]


def load(name: str) -> ModuleType:
    """Import the variant `name`; ValueError, listing the choices, if it cannot run."""
    choices = available()
    if name not in choices:
        raise ValueError(
            f"FASTLOGLOSS_ISA={name!r} is not available here; "
            f"choose one of {', '.join(choices)}"
        )
    return importlib.import_module(_VARIANTS[name][0])


def _choose() -> ModuleType:
    return load(os.environ.get("FASTLOGLOSS_ISA") or available()[0])


loops = _choose()
mean_loss = loops.mean_loss
