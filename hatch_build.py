"""Compile the serving path for a wheel: `TOWPLANE_COMPILED=1 pip wheel .` (or `make wheel`).

The modules listed under this hook in pyproject.toml are compiled ahead of time by mypyc, from the
same sources and types that everything else runs from. Their `.py` files stay in the wheel beside
the compiled ones, so that tracebacks show lines. Without the variable the wheel is plain Python;
an editable install always is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileHook(BuildHookInterface[Any]):
    """Compiles into a copy, so that no compiled module ever lies in the source tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Before the wheel is packed. Raises SystemExit with the compiler's words."""
        if version == "editable" or os.environ.get("TOWPLANE_COMPILED") != "1":
            return
        self._copy = TemporaryDirectory(prefix="towplane-wheel-")
        tree = Path(self._copy.name)
        shutil.copytree(Path(self.root, "src", "towplane"), tree / "towplane")
        modules = [f"towplane/{module}" for module in self.config["modules"]]
        self.app.display_info(f"compiling {len(modules)} modules, about a minute")
        done = subprocess.run(
            [sys.executable, "-m", "mypyc", "--strict", *modules],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = (done.stdout + done.stderr)[-4000:]
            raise SystemExit(f"{said}\nerror: mypyc did not compile the serving path (above)")
        for compiled in tree.glob("**/*.so"):
            if "build" not in compiled.relative_to(tree).parts:
                build_data["force_include"][str(compiled)] = str(compiled.relative_to(tree))
        build_data["infer_tag"] = True
        build_data["pure_python"] = False

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002  # hatchling's signature
        """The wheel is packed."""
        if hasattr(self, "_copy"):
            self._copy.cleanup()
