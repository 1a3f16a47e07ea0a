"""README, guides and scripts: every command they show exists, with its options; every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
from documents import FENCE, INLINE_CODE, LINK, PACKAGE, ROOT, Command, commands, commands_in, markdown_files

from vqdna.cli import app, spread_options
from vqdna.config import find_config, load_config
from vqdna.finetune.settings import FinetuneConfig
from vqdna.pretrain.train import PretrainConfig
from vqdna.vocabulary.train import VocabularyConfig

VQDNA = typer.main.get_command(app)
STAGES = {"vocabulary": VocabularyConfig, "pretrain": PretrainConfig, "finetune": FinetuneConfig}
EXAMPLES = [example for command in VQDNA.commands.values() for example in INLINE_CODE.findall(command.epilog or "")]
TEXTS = [*markdown_files(), *sorted((ROOT / "runs").glob("*.sh"))]
SHOWN = [
    *(command for path in TEXTS for command in commands(path)),
    *commands_in("\n".join(example for example in EXAMPLES if example.startswith("vqdna")), "--help"),
]


def called(program: str) -> list[Command]:
    return [command for command in SHOWN if command.program == program]


@pytest.mark.parametrize("command", called("vqdna"), ids=str)
def test_every_command_shown_is_one_that_the_program_takes(command):
    """Parses it without running it: unknown commands, unknown options and missing ones are refused by the parser."""
    arguments = spread_options(command.arguments)
    if arguments[:1] in (["--version"], ["--help"]):
        return
    name = arguments[0]
    assert name in VQDNA.commands
    if "--help" in arguments:
        return
    options = VQDNA.commands[name].make_context(name, arguments[1:]).params
    if name in STAGES and "$" not in (options["config"] or "$"):
        find_config(options["config"], name)
        load_config(STAGES[name], options["config"], name, options["overrides"] or ())


def test_readme_shows_the_commands_of_all_three_stages():
    shown = {command.arguments[0] for command in commands(ROOT / "README.md") if command.program == "vqdna"}
    assert {"vocabulary", "pretrain", "finetune"} <= shown


def first_python(name: str) -> str:
    return next(block for language, block in FENCE.findall((ROOT / name).read_text()) if language == "python")


def test_the_python_of_the_readme_and_of_the_extractors_runs():
    names: dict[str, Any] = {}
    exec(first_python("README.md"), names)
    assert (names["codes"].shape, names["spans"].shape, names["vectors"].shape) == ((12, 6), (12, 2), (2, 128))
    exec(first_python("docs/guides/extractors.md"), names)
    assert (names["vectors"].shape, names["per_base"].shape) == ((2, 128), (12, 128))


@pytest.mark.parametrize("command", called("make"), ids=str)
def test_every_make_target_shown_exists(command):
    assert set(command.arguments) <= make_targets()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_make_has_the_promised_targets_and_each_installs_by_itself():
    text = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "check", "format", "bench"):
        assert re.search(rf"^{target}: \$\(INSTALLED\)", text, re.MULTILINE), target


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_or_heading(path):
    broken = []
    for target in LINK.findall(FENCE.sub("", path.read_text())):
        file, _, heading = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        linked = path.parent / file if file else path
        if not linked.exists() or (heading and heading not in headings(linked)):
            broken.append(target)
    assert broken == []


def headings(path: Path) -> set[str]:
    """Anchors of a Markdown file's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.+?) *$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_tree_of_the_readme_lists_the_packages_that_exist():
    assert readme_packages() == {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def readme_packages() -> set[str]:
    """Folders below the line of `src/vqdna/` in the README's tree, by their deeper indentation."""
    blocks = [block for _, block in FENCE.findall((ROOT / "README.md").read_text())]
    lines = next((block for block in blocks if "src/vqdna/" in block), "")
    found: set[str] = set()
    depth = None
    for line in lines.splitlines():
        indentation = len(line) - len(line.lstrip(" │├└─|`-"))
        if "src/vqdna/" in line:
            depth = indentation
        elif depth is not None and indentation <= depth:
            break
        elif depth is not None and (name := re.match(r"[ │├└─|`-]*(\w+)/", line)):
            found.add(name[1])
    return found


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_named_in_code_font_exists(path):
    """Paths such as `docs/paper.md` or `configs/pretrain/cpu.yaml`, from the root or from the file's folder."""
    known = r"(?:src|tests|docs|configs|runs|speed)/[\w./-]+\.(?:py|md|yaml|sh)"
    named = [name for code in INLINE_CODE.findall(path.read_text()) for name in re.findall(rf"^{known}", code)]
    assert [name for name in named if not (ROOT / name).exists() and not (path.parent / name).exists()] == []


def test_what_counts_as_a_command():
    text = """
    # vqdna comment
    $ VQDNA_DATA=x vqdna encode --vocabulary run \\
        genome.fa -o codes.csv | head > out.txt && make demo; echo vqdna
    splits=(--train a.csv --test "b c.csv")
    torchrun --nproc-per-node 2 -m vqdna probe "${splits[@]}" --tokenizer kmer:4
    """
    expected = [
        ("vqdna", ("encode", "--vocabulary", "run", "genome.fa", "-o", "codes.csv")),
        ("make", ("demo",)),
        ("vqdna", ("probe", "--train", "a.csv", "--test", "b c.csv", "--tokenizer", "kmer:4")),
    ]
    assert [(command.program, command.arguments) for command in commands_in(text, "here")] == expected
