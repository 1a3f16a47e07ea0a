"""The card of a model: README.md of its folder, as the Hub shows it.

Flow: model (and the results of the run that trained it) -> what it is, how to use it, what it saw, how it scores ->
Markdown under YAML metadata. The code in it runs. It must not know training, nor where results lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    PreTrainedModel,
)

from vqdna.tokenizers.loading import tokenizer_name

TAGS = ("genomics", "dna", "vqdna")
NUM_NAMED_SPECIES = 20
SPLITS = ("evaluation", "dev", "test")

AUTO_CLASSES: dict[str, tuple[str, Any]] = {
    "fill-mask": ("AutoModelForMaskedLM", MODEL_FOR_MASKED_LM_MAPPING),
    "text-generation": ("AutoModelForCausalLM", MODEL_FOR_CAUSAL_LM_MAPPING),
    "text-classification": ("AutoModelForSequenceClassification", MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING),
    "token-classification": ("AutoModelForTokenClassification", MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING),
}
"""Auto class and its models for each task of the Hub; a model of none of them is the encoder itself."""
WITHOUT_CLASSES = ("fill-mask", "text-generation")

DESCRIPTIONS = {
    "feature-extraction": "A genome encoder: DNA in, one contextual state per position out.",
    "fill-mask": "A genome encoder with the heads that it was pre-trained with: it predicts what was hidden from it.",
    "text-generation": "A genome encoder that looks back alone, and its head: it predicts each word from those before.",
    "text-classification": "A genome encoder fine-tuned on labelled DNA sequences: one row of logits per sequence.",
    "token-classification": "A genome encoder fine-tuned on labelled bases: one row of logits per base.",
}
CALLS = {
    "feature-extraction": "print(model(**inputs).last_hidden_state.shape)  # sequence, position, width",
    "fill-mask": """\
base_ids, is_base = inputs["input_ids"].byte(), inputs["attention_mask"].bool()
print(model(base_ids, masked_bases=base_ids == base_ids[0, 3], attention_mask=is_base).loss)""",
    "text-generation": "print(model(**inputs).log_likelihoods.sum(dim=1))  # one per sequence, in nats",
    "text-classification": "print(model(**inputs).logits)  # one row per sequence",
    "token-classification": "print(model(**inputs).logits.argmax(dim=-1))  # sequence, base",
}


def hub_task(model: PreTrainedModel) -> str:
    """The Hub's name for what the model does, its `pipeline_tag`."""
    kind, own = type(model.config), type(model)
    for task, (_, models) in AUTO_CLASSES.items():
        if own is models.get(kind, None):
            return task
    return "feature-extraction"


def model_card(
    model: PreTrainedModel,  # an encoder, or a model with one in `encoder`
    name: str,  # what to load it by: its name on the Hub, or a folder
    *,
    results: Mapping[str, Any] | None = None,  # `results.json` of the run that trained these weights, where it is known
    tags: Iterable[str] = (),
    notes: Iterable[str] = (),  # sentences about using this very model
    title: str | None = None,  # headline; None makes one of the name
    license: str = "apache-2.0",
) -> str:
    """Text of the card."""
    task = hub_task(model)
    title = title or (type(model).__name__ if name == "." else name.rpartition("/")[2])
    metadata = {
        "library_name": "transformers",
        "license": license,
        "pipeline_tag": task,
        "tags": list(dict.fromkeys((*TAGS, *tags))),
    }
    sections = [
        f"# {title}\n\n{DESCRIPTIONS[task]}",
        _table(("", ""), _facts(model)),
        "## Use\n\nWhere the Python package `vqdna` is installed:\n\n" + _snippet(task, name),
        *notes,
        *(_results_sections(results) if results else []),
    ]
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n\n" + "\n\n".join(sections) + "\n"


def _facts(model: PreTrainedModel) -> list[tuple[str, str]]:
    encoder: Any = getattr(model, "encoder", model)
    names: Any = model.config.id2label
    tokenizer, backbone = encoder.tokenizer, encoder.backbone.config
    sizes = " + ".join(f"{size:,}" for size in tokenizer.level_sizes)
    facts = [
        ("tokenizer", f"{tokenizer_name(tokenizer)}, {sizes} codes, frozen"),
        ("bases per token", f"{tokenizer.bases_per_position:.4g}"),
        ("bases per position", f"{encoder.bases_per_position:.4g}"),
        ("backbone", f"{backbone.model_type}, {backbone.num_hidden_layers} layers of width {backbone.hidden_size}"),
        ("parameters", f"{_size(model):,}, of them {_size(tokenizer):,} in the tokenizer"),
    ]
    if encoder is not model and hub_task(model) not in WITHOUT_CLASSES:
        facts.append(("outputs", ", ".join(names.values())))
    return facts


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _snippet(task: str, name: str) -> str:
    auto = AUTO_CLASSES[task][0] if task in AUTO_CLASSES else "AutoModel"
    return f"""\
```python
import vqdna  # makes the model known to transformers
from transformers import {auto}, AutoTokenizer

text = AutoTokenizer.from_pretrained("{name}")
model = {auto}.from_pretrained("{name}")
inputs = text(["ACGTTGCANNacgtRYacgtgattaca", "GATTACAGATTACA"], padding=True, return_tensors="pt")
{CALLS[task]}
```"""


def _results_sections(results: Mapping[str, Any]) -> list[str]:
    """What the run trained on and how it scored; a section is left out where the record has nothing for it."""
    training = _training(results)
    scores = [
        (split, metric.replace("_", " "), _shown(value))
        for split in SPLITS
        for metric, value in (results.get(split) or {}).items()
        if isinstance(value, int | float)
    ]
    sections = ["## Training\n\n" + "\n".join(f"- {line}" for line in training)] if training else []
    return sections + (["## Scores\n\n" + _table(("split", "metric", "value"), scores)] if scores else [])


def _training(results: Mapping[str, Any]) -> list[str]:
    lines = []
    if "genomes" in results:
        species, num_bases = results["genomes"]["species"], results["genomes"]["num_bases"]
        named, more = species[:NUM_NAMED_SPECIES], len(species) - NUM_NAMED_SPECIES
        rest = f" and {more} more" if more > 0 else ""
        lines.append(f"genomes: {num_bases:,} bases of {len(species)} species ({', '.join(named)}{rest})")
    if "dataset" in results:
        lines.append(f"dataset: {results['dataset']}")
    if "sequences" in results:
        lines.append("sequences: " + ", ".join(f"{count:,} {split}" for split, count in results["sequences"].items()))
    counts = ("steps", "bases_seen", "epochs", "best_epoch", "method", "seed")
    return lines + [f"{key.replace('_', ' ')}: {_shown(results[key])}" for key in counts if key in results]


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
