"""The same jobs with the steering-vectors package, run by the Python of its own environment: ``python worker.py MODEL_FOLDER``.

Reads one JSON request a line from standard input and answers each with its seconds and peak memory on standard output.
"""

import json
import sys

import torch
from steering_vectors import SteeringVector, train_steering_vector
from steering_vectors.train_steering_vector import extract_activations
from timing import peak
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder: str) -> None:
    settings = json.loads(input())
    torch.set_num_threads(settings["threads"])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vector = SteeringVector({settings["layer"]: torch.tensor(settings["direction"])})
    encoded = tokenizer(settings["texts"], return_tensors="pt", return_token_type_ids=False, padding=True, padding_side="left")

    def extraction(batch_size: int) -> None:
        pairs = list(zip(settings["prompts"][::2], settings["prompts"][1::2], strict=False))
        extract_activations(model, tokenizer, pairs, batch_size=batch_size)

    def means(batch_size: int) -> None:
        train_steering_vector(model, tokenizer, list(map(tuple, settings["pairs"])), batch_size=batch_size)

    @torch.no_grad()
    def generation(_: int) -> None:
        with vector.apply(model, min_token_index=1):
            model.generate(**encoded, max_new_tokens=24, min_new_tokens=24, do_sample=False)

    jobs = {"extraction": extraction, "means": means, "generation": generation}
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        seconds, grown = peak(lambda request=request: jobs[request["job"]](request["batch_size"]))
        print(json.dumps({"seconds": seconds, "peak_mib": grown}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
