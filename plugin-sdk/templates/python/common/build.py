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


def version() -> None:
    """The version in pyproject.toml becomes the one that `describe` returns."""
    number = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (ROOT / "version.py").write_text(f"VERSION = {number!r}\n")


def check_syntax() -> None:
    """A fault of syntax in a second, with its line: componentize-py finds it after a minute."""
    for path in sorted(ROOT.glob("*.py")):
        try:
            compile(path.read_text(), str(path), "exec")
        except SyntaxError as error:
            sys.exit(f"{path.name}:{error.lineno}:{error.offset}: {error.msg}")


def bindings() -> None:
    """Writes the classes anew."""
    version()
    shutil.rmtree(BINDINGS, ignore_errors=True)
    componentize("bindings", str(BINDINGS))


def component() -> None:
    version()
    check_syntax()
    output = ROOT / "dist" / "plugin-name.wasm"
    output.parent.mkdir(exist_ok=True)
    componentize("componentize", "plugin", "--python-path", ".", "--output", str(output))
    print(f"{output.relative_to(ROOT)}: {output.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    bindings() if sys.argv[1:] == ["bindings"] else component()
