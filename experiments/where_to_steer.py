"""Which tokens to steer, and where to read the vectors: a sweep on dev, never on test.

Reads at the last token or the mean over tokens; steers all tokens, the prompt's, or from the last prompt token onward.
"""

import pandas as pd

import steerlens as sl
from steerlens.tables import ResultTable

LOCALES = ("es-ES", "id-ID", "ko-KR")
LAYERS = (5, 8, 11, 14)
READ_AND_STEERED = (("last", "last_onward"), ("last", "all"), ("mean", "all"))


def main() -> None:
    model, split = sl.load("gemma-3-270m"), sl.data.atlas(LOCALES).split(seed=0)
    train, dev = split.train.sample(120), split.dev.sample(32)
    results = []
    for positions, tokens in READ_AND_STEERED:
        vectors = sl.steering.take(model, train, locales=LOCALES, positions=positions)
        swept = sl.evaluation.sweep(model, dev, vectors, LAYERS, scores=["transfer", "localization"], tokens=tokens)
        for name, score in swept.aims.items():
            cells = swept.cells(score).query("vector == @name")
            results.append(cells.assign(read=positions, steered=tokens, score=score))
            grid = cells.pivot_table(index="layer", columns="strength", values=["change", "margin"]).round(3)
            print(f"\n{name}: read at {positions}, steered {tokens}; change of {score}, and of the margin in nats\n{grid}")
    ResultTable(pd.concat(results)).save("results/where_to_steer.parquet")


if __name__ == "__main__":
    main()
