"""The rival of `benches/rival.rs`: llama-cpp-python on the same file, prompts and threads.

Reads one JSON line with the job, then one command a line; answers each with the seconds it took.
"""

import json
import sys
import time

import numpy as np
from llama_cpp import Llama, LlamaGrammar

job = json.loads(sys.stdin.readline())
prompts, options = job["prompts"], job["options"]
common = {"model_path": job["model"], "n_ctx": 512, "n_batch": 512, "n_threads": job["threads"],
          "n_threads_batch": job["threads"], "verbose": False}
llm = Llama(**common)
scorer = Llama(**common, logits_all=True)
grammar = LlamaGrammar.from_string("root ::= " + " | ".join(json.dumps(o["text"]) for o in options), verbose=False)


def generate(prompt):
    answer = llm.create_completion(prompt, grammar=grammar, max_tokens=16, temperature=0.0)
    text = answer["choices"][0]["text"]
    assert text in [o["text"] for o in options], text


def log_probability(prompt, tokens):
    scorer.reset()
    scorer.eval(prompt + tokens)
    rows = scorer.scores[len(prompt) - 1:len(prompt) + len(tokens) - 1]
    top = rows.max(axis=1, keepdims=True)
    normal = rows - top - np.log(np.exp(rows - top).sum(axis=1, keepdims=True))
    return float(sum(normal[i, t] for i, t in enumerate(tokens)))


def run(command, prompt):
    start = time.perf_counter()
    scores = []
    if command == "prefill":
        llm.reset()
        llm.eval(prompt)
    elif command == "generate cold":
        llm.reset()
        generate(prompt)
    elif command == "generate warm":
        generate(prompt)
    elif command == "score":
        scores = [log_probability(prompt, o["tokens"]) for o in options]
    else:
        raise SystemExit(f"unknown command {command!r}")
    return {"seconds": time.perf_counter() - start, "scores": scores}


for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps(run(request["command"], prompts[request["prompt"]])), flush=True)
