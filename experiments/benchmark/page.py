"""The tables in ``docs/benchmark.md``: those of two cores, and a block of its own for each GPU and shape."""

import re

_END = "<!-- /bench -->"


def with_block(page: str, text: str, gpu: str | None = None) -> str:
    """The page with a text in the block of the CPU, or of a GPU, behind the last block where that GPU has none yet.

    Args:
        page: the page's Markdown.
        text: the tables.
        gpu: the card and the model that ran on it; ``None`` for the CPU.
    """
    name = "bench" if gpu is None else f"bench on {gpu}"
    block = re.compile(rf"(<!-- {re.escape(name)}: .*? -->\n).*?({re.escape(_END)})", re.DOTALL)
    if gpu is not None and not block.search(page):
        begins = f"<!-- {name}: written by `python experiments/benchmark/run.py --device cuda --docs` -->\n"
        at = page.rindex(_END) + len(_END)
        page = f"{page[:at]}\n\n## {gpu}\n\n{begins}{_END}{page[at:]}"
    return block.sub(lambda found: found[1] + text + found[2], page, count=1)
