"""The paper's finding on data that nobody here wrote: facts of BMLAMA-53, culture of BLEnD."""

from experiments.common import main
from experiments.finding.run import run
from experiments.finding.shown import shown

if __name__ == "__main__":
    main("public", run, shown)
