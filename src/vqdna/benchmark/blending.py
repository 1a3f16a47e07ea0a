"""An encoder's predictions averaged with those of logistic regression on its tokens' counts, the share chosen on dev.

What single words say and what an encoder makes of their order are different evidence; on a thousand sequences either
may be the better half. Every tokenizer's encoder gets the same five shares to choose from, the two extremes among them.
It must not know tokenizers; test labels play no part.
"""

from __future__ import annotations

from vqdna.benchmark.outcomes import Predictions
from vqdna.tasks.loading import LabelledSequences
from vqdna.tasks.metrics import metric_value, primary_metric, task_metrics

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the encoder in the average."""

EVEN = 0.5


def blended(encoder: Predictions, counts: Predictions, share: float) -> Predictions:
    """Average of two systems' probabilities, `share` of it the encoder's."""
    return share * encoder + (1 - share) * counts


def best_share(encoder: Predictions, counts: Predictions, dev: LabelledSequences) -> tuple[float, dict[str, float]]:
    """Share that does best on dev, the one nearest to even on a tie; and the dev score of each share."""
    metric = primary_metric(dev.task)
    scores = {
        share: metric_value(task_metrics(dev.task, dev.labels, blended(encoder, counts, share)), metric)
        for share in SHARES
    }
    best = max(SHARES, key=lambda share: (scores[share], -abs(share - EVEN)))
    return best, {str(share): score for share, score in scores.items()}
