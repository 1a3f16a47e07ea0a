"""The order of the packages, read from the sources: nothing imports what stands above it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from documents import PACKAGE

FREE = {"errors", "results", "stage_results", "config", "data_root", "quantities", "quiet"}
"""Modules that everyone may import; they import none but each other."""

STAGES = ("vocabulary", "pretrain", "finetune")
MAX_LINES = 400
FORBIDDEN_NAMES = {"utils", "util", "misc", "helpers", "helper", "common", "core", "manager", "managers"}
HEAVY = {"torch", "transformers", "peft", "accelerate"}
WITHOUT_TORCH = {"genome", "simulation", "tasks", "experiments", "reports", *FREE}
SOURCES = sorted(PACKAGE.rglob("*.py"))

STUDY = {
    "baselines",
    "benchmark",
    "encoder",
    "experiments",
    "finetune",
    "genome",
    "inference",
    "models",
    "operations",
    "pretrain",
    "simulation",
    "tasks",
    "tokenizers",
    "training",
    "vocabulary",
    "weights",
    "devices",
    "audit",
}
ALLOWED: dict[str, set[str]] = {
    "genome": set(),
    "simulation": {"genome", "tasks"},
    "tasks": {"genome"},
    "training": {"genome", "operations", "devices"},
    "vocabulary": {"devices", "genome", "training"},
    "tokenizers": {"devices", "genome", "vocabulary", "weights"},
    "encoder": {"genome", "tokenizers"},
    "pretrain": {"encoder", "genome", "tokenizers", "training"},  # never vocabulary: tokenizers stay exchangeable
    "finetune": {"encoder", "genome", "tasks", "tokenizers", "training", "devices", "weights"},
    "checkpoints": {"encoder", "genome", "pretrain", "tokenizers"},
    "models": {"devices", "encoder", "finetune", "pretrain", "tokenizers", "vocabulary", "weights"},
    "inference": {"encoder", "finetune", "genome", "models", "pretrain", "tasks", "tokenizers", "weights", "devices"},
    "baselines": {"encoder", "finetune", "genome", "tasks", "tokenizers", "weights", "devices"},
    "experiments": set(),
    "reports": set(),
    "audit": {"genome", "tokenizers"},
    "benchmark": {
        "baselines",
        "experiments",
        "encoder",
        "finetune",
        "pretrain",
        "vocabulary",
        "tokenizers",
        "tasks",
        "genome",
        "operations",
        "weights",
        "devices",
    },
    "studies": STUDY,
    "operations": set(),  # counts what runs, whatever it is
    "devices": set(),
    "weights": set(),
    "extractors": {"genome", "encoder", "tokenizers", "finetune", "inference", "models", "weights", "devices"},
    "whole_report": {"reports", "audit", "benchmark", "studies"},
    "cli": {
        "vocabulary",
        "pretrain",
        "finetune",
        "genome",
        "tokenizers",
        "encoder",
        "tasks",
        "simulation",
        "audit",
        "baselines",
        "benchmark",
        "studies",
        "checkpoints",
        "inference",
        "reports",
        "whole_report",
        "weights",
        "models",
        "training",
        "devices",
        "__init__",
    },
    "__main__": {"cli"},
    "__init__": {
        "registration",
        "benchmark",
        "finetune",
        "genome",
        "inference",
        "models",
        "tokenizers",
    },  # when asked for
    "registration": set(),  # names the modules of the models, and imports none
    **{name: set() for name in FREE},
}
"""What each package, or module directly below `vqdna`, may import besides itself and the free modules."""


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def shown(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def part_of(path: Path) -> str:
    """Package directly below `vqdna`, or the module where it lies there itself."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def allowed_for(path: Path) -> set[str]:
    """Parts that the file may import: its own, the free ones, those of the table; pages also the toolkit of pages."""
    page = {"reports"} if "report" in path.relative_to(PACKAGE).parts[:-1] else set()
    return ALLOWED[part_of(path)] | FREE | {part_of(path)} | page


def imported_modules(path: Path) -> set[str]:
    """Full names of everything the file imports, at its head or within functions."""
    names: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_parts(path: Path) -> set[str]:
    """Packages and modules directly below `vqdna` that the file imports."""
    parts = {name.split(".")[1] for name in imported_modules(path) if name.startswith("vqdna.")}
    return {part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").is_file() else "__init__" for part in parts}


def faults(rule: Callable[[Path], Iterable[str]], sources: Iterable[Path] = SOURCES) -> list[str]:
    """Each fault that the rule finds, behind its file."""
    return [f"{shown(path)}: {fault}" for path in sources for fault in sorted(rule(path))]


def test_every_package_has_its_place_among_the_layers():
    assert {part_of(path) for path in SOURCES} <= set(ALLOWED)


def test_the_order_has_no_circle():
    """What a part may import, directly or through others, never leads back to it."""
    for part in ALLOWED:
        reached, frontier = set(), ALLOWED[part] - {part}
        while frontier - reached:
            reached |= frontier
            frontier = set().union(*(ALLOWED[name] for name in frontier))
        assert part not in reached


def test_no_file_imports_what_stands_above_it():
    assert faults(lambda path: imported_parts(path) - allowed_for(path)) == []


def test_studies_benchmark_and_audit_are_clients_of_the_product():
    """The command line and the public API start them, and the page on everything shows them; no study knows another."""

    def rule(path: Path) -> set[str]:
        part = part_of(path)
        clients = {"studies", "benchmark", "audit"} - ({"benchmark"} if part == "studies" else set()) - {part}
        return set() if part in ("__init__", "cli", "whole_report") else imported_parts(path) & clients

    def other_studies(path: Path) -> set[str]:
        own = path.relative_to(PACKAGE).parts[:2]
        names = {tuple(name.split(".")[1:3]) for name in imported_modules(path) if name.startswith("vqdna.studies.")}
        return {".".join(name) for name in names if part_of(path) == "studies" and name != own}

    assert faults(rule) + faults(other_studies) == []


def test_a_package_with_a_page_has_an_empty_init():
    """So a page can be made without what the package runs."""
    inits = [folder.parent / "__init__.py" for folder in PACKAGE.rglob("report") if folder.is_dir()]
    assert len(inits) >= 6
    assert faults(lambda path: {name for name in imported_at_the_head(path) if name.startswith("vqdna.")}, inits) == []


def imported_at_the_head(path: Path) -> set[str]:
    """Modules of ours that are imported whenever the file is: outside functions and `if TYPE_CHECKING`."""
    found: set[str] = set()
    for node in tree_of(path).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vqdna"):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_file_needs_itself():
    """No circle of imports among files, not even one that Python could resolve."""
    names = {".".join(("vqdna", *path.relative_to(PACKAGE).with_suffix("").parts)): path for path in SOURCES}
    names = {name.removesuffix(".__init__"): path for name, path in names.items()}
    graph = {name: (imported_at_the_head(path) & set(names)) - {name} for name, path in names.items()}
    # `from vqdna.genome import x` needs the package's __init__, which may take x from a file of the package.
    done: set[str] = set()
    while ready := {name for name in graph if name not in done and graph[name] <= done}:
        done |= ready
    assert sorted(set(graph) - done) == []


def test_no_import_hides_where_it_leads():
    assert faults(lambda path: {name for name in imported_modules(path) if name.startswith(".")}) == []


def test_embedding_and_encoding_know_no_head_and_no_training():
    files = [PACKAGE / "inference" / name for name in ("embed.py", "encode.py")]
    assert faults(lambda path: imported_parts(path) & {"finetune", "pretrain", "training"}, files) == []


def test_training_is_driven_by_the_stages_train_py_alone():
    """Elsewhere only its settings may be imported, which configurations are made of."""

    def rule(path: Path) -> set[str]:
        if part_of(path) == "training" or (path.name == "train.py" and part_of(path) in STAGES):
            return set()
        names = {name for name in imported_modules(path) if name.startswith("vqdna.training.")}
        return {name for name in names if not name.startswith("vqdna.training.settings.")}

    assert faults(rule) == []


def test_what_needs_no_torch_imports_none():
    light = [path for path in SOURCES if part_of(path) in WITHOUT_TORCH]
    assert faults(lambda path: {name.split(".")[0] for name in imported_modules(path)} & HEAVY, light) == []


def test_the_command_line_imports_stages_only_when_called():
    def rule(path: Path) -> set[str]:
        at_the_head = {str(node.module) for node in tree_of(path).body if isinstance(node, ast.ImportFrom)}
        ours = {name for name in at_the_head if name.startswith("vqdna")} - {
            "vqdna",
            "vqdna.errors",
            "vqdna.quantities",
            "vqdna.quiet",
            "vqdna.data_root",
            "vqdna.weights",
        }
        return {name for name in ours if not name.startswith("vqdna.cli")}

    assert faults(rule, (PACKAGE / "cli").glob("*.py")) == []


def test_names_say_what_they_hold():
    def rule(path: Path) -> set[str]:
        parts = {part.removesuffix(".py") for part in path.relative_to(PACKAGE).parts}
        defined = [node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef | ast.FunctionDef)]
        words = {word.lower() for name in defined for word in re.findall(r"[A-Z]?[a-z]+", name)}
        return (parts | words) & FORBIDDEN_NAMES

    assert faults(rule) == []


def test_no_file_is_too_long_to_read():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert faults(lambda path: [str(lengths[path])] if lengths[path] > MAX_LINES else []) == []


def test_every_module_opens_with_what_it_owns():
    modules = [path for path in SOURCES if path.name != "__init__.py"]
    assert faults(lambda path: [] if ast.get_docstring(tree_of(path)) else ["no docstring at the head"], modules) == []


def test_nothing_is_left_undone():
    undone = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    assert faults(lambda path: undone.findall(path.read_text())) == []


def test_one_file_alone_asks_whether_anybody_watches():
    words = ("VQDNA_QUIET", "isatty")
    asking = {shown(path) for path in SOURCES for word in words if word in path.read_text()}
    assert asking <= {"quiet.py"}, "elsewhere a bar would be shown that --quiet does not know of"
