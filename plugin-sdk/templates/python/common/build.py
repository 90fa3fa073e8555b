"""Builds dist/plugin-name.wasm; `python build.py bindings` writes only the classes of the contract, for tests and editors."""

import pathlib
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent
BINDINGS = ROOT / "bindings"


def componentize(*arguments: str) -> None:
    world = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["extrack"]["kind"]
    # Beside this Python, whether the virtual environment is activated or not.
    tool = shutil.which("componentize-py", path=str(pathlib.Path(sys.executable).parent)) or "componentize-py"
    subprocess.run([tool, "--quiet", "--wit-path", "wit", "--world", world, *arguments], cwd=ROOT, check=True)


def bindings() -> None:
    """Writes the classes anew."""
    shutil.rmtree(BINDINGS, ignore_errors=True)
    componentize("bindings", str(BINDINGS))


def component() -> None:
    output = ROOT / "dist" / "plugin-name.wasm"
    output.parent.mkdir(exist_ok=True)
    componentize("componentize", "plugin", "--python-path", ".", "--output", str(output))
    print(f"{output.relative_to(ROOT)}: {output.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    bindings() if sys.argv[1:] == ["bindings"] else component()
