#!/usr/bin/env python3
"""Measures the house: language, size and structure of the sources.

    tests/house.py                      prints the figures
    tests/house.py --check              also fails beyond a limit (part of `make lint`)
    tests/house.py --list runtime/src/api   lists what counts against the limits below a folder
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ["runtime", "plugin-sdk", "plugins", "tests"]
SKIPPED = {"target", "node_modules", "corpus"}

# Words that leave the reader to guess what a doc comment is about.
PREPOSITIONS = """about above across after against along among around as at before behind below beneath beside
    besides between beyond by despite down during except for from in inside into like near of off on onto out outside
    over past per since through throughout till to toward towards under until up upon via with within without""".split()
PRONOUNS = """he her him his i it its it's me mine my our ours she that their theirs them these they this those us we
    what whatever which whichever who whoever whom whose you your yours somebody someone something anybody anyone
    anything everybody everyone everything nobody none nothing""".split()
VAGUE = set(PREPOSITIONS) | set(PRONOUNS)
DIALECT = re.compile(r"\b(told|tells?|hears?|heard|says?|nobody|whoever)\b", re.IGNORECASE)
FUNCTION = re.compile(r"^(\s*)(?:pub(?:\([^)]*\))? )?(?:const |async |unsafe |extern \"C\" )*fn (\w+)")
TEST_MODULE = re.compile(r"(?m)^\s*#\[cfg\(test\)\]\n(?:\s*#\[[^\n]*\]\n)*\s*(?:pub(?:\([^)]*\))? )?mod (\w+);")
WHY_WHOLE = re.compile(r"^//!.*\bone file\b", re.MULTILINE)

LIMITS = {
    "doc comments that begin with a preposition or a pronoun, in 100": 4.0,
    "words of the dialect in 1,000 comment words": 1.0,
    "`BoxFuture` in product files of the runtime": 20,
    "files in the largest circle of imports": 5,
    "files over 600 lines that do not say why": 0,
    "functions over 60 lines in 1,000 product lines": 0.3,
    "`match` on a boolean": 0,
}


def rust_files():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.rs")):
            relative = path.relative_to(ROOT)
            if not SKIPPED & set(relative.parts):
                yield relative, path.read_text()


def test_modules():
    """The files, without `.rs`, of modules that exist in tests alone."""
    found = set()
    for path, text in rust_files():
        below = path.parent if path.stem in ("lib", "main", "mod") else path.with_suffix("")
        found |= {below / name for name in TEST_MODULE.findall(text)}
    return found


def is_test(path):
    parts = path.parts
    if parts[0] == "tests" or "tests" in parts[1:-1] or path.stem == "tests":
        return True
    module = path.with_suffix("")
    return bool(TEST_MODULES & {module, *module.parents})


TEST_MODULES = test_modules()


def product_part(text):
    """The text without the inline test modules."""
    return re.sub(r"(?ms)^#\[cfg\(test\)\]\n(?:#\[.*?\]\n)*mod \w+ \{\n.*?^\}\n", "", text)


def doc_blocks(text):
    """(line number, text) of each doc comment."""
    start, lines = None, []
    for number, line in enumerate(text.splitlines() + [""], 1):
        match = re.match(r"\s*//[/!](?!/) ?(.*)", line)
        if match:
            start = start or number
            lines.append(match.group(1))
        elif lines:
            yield start, " ".join(lines).strip()
            start, lines = None, []


def first_word(block):
    match = re.match(r"[^\w`\"']*([\w']+)", block)
    return match.group(1).lower() if match and not block.lstrip().startswith("`") else ""


def comment_words(text):
    # Quoted code and texts are not ours to choose.
    comments = "\n".join(re.findall(r"(?m)(?:^|\s)//[/!]?(?: |$)(.*)$", text))
    return re.sub(r"`[^`]*`|\"[^\"\n]*\"", " ", comments)


def functions(text):
    lines = text.splitlines()
    for number, line in enumerate(lines):
        match = FUNCTION.match(line)
        if not match:
            continue
        closing = re.compile(re.escape(match.group(1)) + r"(?:\}$|\).*;$)")
        for end in range(number, len(lines)):
            if closing.match(lines[end]) or end == number and line.endswith(("}", ";")):
                yield number + 1, match.group(2), end - number + 1
                break


# --- Imports


def use_paths(tree):
    """The paths of a `use` tree: `a::{b::C, d}` is `a::b::C` and `a::d`, each with the name it gets."""
    tree = tree.strip()
    group = tree.find("{")
    if group < 0:
        path, _, alias = tree.partition(" as ")
        parts = [part.strip() for part in path.split("::")]
        yield parts, (alias.strip() or parts[-1])
        return
    before = [part for part in tree[:group].split("::") if part.strip()]
    depth, start, inner = 0, 0, tree[group + 1 : tree.rfind("}")]
    for index, character in enumerate(inner + ","):
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            if inner[start:index].strip():
                for parts, name in use_paths(inner[start:index]):
                    if parts == ["self"]:
                        parts, name = [], before[-1]
                    yield before + parts, name
            start = index + 1


class Crate:
    """The modules of a crate, and which of them names something of which."""

    def __init__(self, root):
        self.files, self.texts = {}, {}
        for path in sorted((ROOT / root).rglob("*.rs")):
            relative = path.relative_to(ROOT / root)
            if is_test(Path(root) / relative) or relative.name == "main.rs":
                continue
            module = () if relative.name == "lib.rs" else relative.with_suffix("").parts
            text = re.sub(r"(?m)//.*$", "", product_part(path.read_text()))
            # `pub(in crate::net)` says who may see it, and names nothing.
            text = re.sub(r"pub\(in [^)]*\)", "pub", text)
            self.files[module], self.texts[module] = Path(root) / relative, text
        self.names = {module: {} for module in self.files}
        self.arrows = {module: set() for module in self.files}
        uses = re.compile(r"(?ms)^\s*(pub(?:\([^)]*\))? )?use ([^;]+);")
        for module, text in self.texts.items():
            for match in uses.finditer(text):
                for parts, name in use_paths(re.sub(r"\s+", " ", match.group(2))):
                    self.names[module][name] = parts
        for module, text in self.texts.items():
            paths = []
            for match in uses.finditer(text):
                # A facade that passes a name on does not depend on it.
                if not match.group(1):
                    paths += [parts for parts, _ in use_paths(re.sub(r"\s+", " ", match.group(2)))]
            # How far an item is visible is no dependency.
            rest = re.sub(r"\bpub\([^)]*\)", "pub", uses.sub("", text))
            for match in re.finditer(r"\b(?:(?:crate|super|self)::)?[a-z_]\w*(?:::\w+)+", rest):
                paths.append(match.group(0).split("::"))
            for parts in paths:
                target = self.resolve(module, parts)
                if target is not None and target != module:
                    self.arrows[module].add(target)

    def resolve(self, module, parts, depth=0):
        at, parts = module, list(parts)
        if depth > 8 or not parts:
            return None
        if parts[0] == "crate":
            at, parts = (), parts[1:]
        elif parts[0] == "self":
            parts = parts[1:]
        elif parts[0] == "super":
            while parts and parts[0] == "super":
                at, parts = at[:-1], parts[1:]
        elif at + (parts[0],) not in self.files and parts[0] not in self.names.get(at, {}):
            return None
        while parts:
            if at + (parts[0],) in self.files:
                at, parts = at + (parts[0],), parts[1:]
            elif parts[0] in self.names.get(at, {}) and self.names[at][parts[0]] != parts:
                found = self.resolve(at, self.names[at][parts[0]] + parts[1:], depth + 1)
                return at if found is None else found
            else:
                break
        return at if at in self.files else None

    def circles(self):
        """Strongly connected components of more than one file (Tarjan), largest first."""
        index, low, stack, on, found, count = {}, {}, [], set(), [], [0]

        def visit(node):
            index[node] = low[node] = count[0]
            count[0] += 1
            stack.append(node)
            on.add(node)
            for target in self.arrows[node]:
                if target not in index:
                    visit(target)
                    low[node] = min(low[node], low[target])
                elif target in on:
                    low[node] = min(low[node], index[target])
            if low[node] == index[node]:
                circle = []
                while True:
                    circle.append(stack.pop())
                    on.discard(circle[-1])
                    if circle[-1] == node:
                        break
                if len(circle) > 1:
                    found.append(sorted(circle))

        sys.setrecursionlimit(10_000)
        for node in self.arrows:
            if node not in index:
                visit(node)
        return sorted(found, key=len, reverse=True)


def measure():
    counts = dict.fromkeys(["blocks", "words", "product lines"], 0)
    found = {name: [] for name in LIMITS}
    (vague, dialect, boxed, circle, large, long, boolean) = found.values()
    for path, text in rust_files():
        for number, block in doc_blocks(text):
            counts["blocks"] += 1
            if first_word(block) in VAGUE:
                vague.append(f"{path}:{number}: {block[:90]}")
        counts["words"] += len(re.findall(r"[\w']+", comment_words(text)))
        for number, line in enumerate(text.splitlines(), 1):
            for word in DIALECT.findall(comment_words(line)):
                dialect.append(f"{path}:{number}: {word}: {line.strip()[:90]}")
        if text.count("\n") > 600 and not WHY_WHOLE.search(text):
            large.append(f"{path}: {text.count(chr(10))} lines")
        if is_test(path):
            continue
        product = product_part(text)
        counts["product lines"] += product.count("\n")
        long += [f"{path}:{number}: {name}: {size} lines" for number, name, size in functions(product) if size > 60]
        boolean += [
            f"{path}:{product[: match.start()].count(chr(10)) + 1}: {match.group(0).strip().splitlines()[0]}"
            for match in re.finditer(r"(?m)^.*\bmatch [^\n{]*\{\n\s*(?:true|false) => ", product)
        ]
        if path.parts[:2] == ("runtime", "src"):
            boxed += [
                f"{path}:{number}: {line.strip()[:90]}"
                for number, line in enumerate(product.splitlines(), 1)
                for _ in re.findall(r"\bBoxFuture\b", line)
            ]
    for crate in ("runtime/src", "plugin-sdk/src"):
        house = Crate(crate)
        for files in house.circles():
            circle.append([str(house.files[module]) for module in files])
    figures = [
        100 * len(vague) / counts["blocks"],
        1000 * len(dialect) / counts["words"],
        len(boxed),
        max(map(len, circle), default=0),
        len(large),
        1000 * len(long) / counts["product lines"],
        len(boolean),
    ]
    found["files in the largest circle of imports"] = [", ".join(files) for files in circle]
    return counts, dict(zip(LIMITS, figures)), found


def main():
    arguments = sys.argv[1:]
    counts, figures, found = measure()
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    beyond = []
    for name, figure in figures.items():
        allowed = LIMITS[name]
        mark = "" if figure <= allowed else "   <- beyond"
        print(f"{figure:8.2f}  of {allowed:g}  {name}{mark}")
        if figure > allowed:
            beyond.append(name)
    if arguments[:1] == ["--list"]:
        folders = arguments[1:] or [""]
        for name, lines in found.items():
            lines = [line for line in lines if any(folder in line for folder in folders)]
            print(f"\n{name}: {len(lines)}")
            print("\n".join(lines))
    if "--check" in arguments and beyond:
        sys.exit("Beyond the limits of the house: see `tests/house.py --list`.")


main()
