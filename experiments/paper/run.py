"""The paper's finding on the paper's own data: facts of Global-MMLU, culture of BLEnD."""

from experiments.common import main
from experiments.finding.run import run
from experiments.finding.shown import shown

if __name__ == "__main__":
    main("paper", run, shown)
