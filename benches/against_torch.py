"""The other side of benches/against_torch.rs: the same training step in PyTorch with PEFT, on a random model of the same
shape, or on the same file. Reads a job as a line of JSON, then answers every line "step" with the seconds a step took and the peak memory."""

import json
import os
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM
from transformers.utils import logging


def peak_memory():
    """MiB. Of this program alone: what getrusage says starts with what the parent had when it started this one."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))


logging.disable_progress_bar()
before = peak_memory()
job = json.loads(sys.stdin.readline())
torch.set_num_threads(job["threads"])
torch.manual_seed(1)
dtype = getattr(torch, job["dtype"])


def of_shape(shape):
    """A model with random weights."""
    config = Qwen2Config(
        vocab_size=shape["vocabulary"],
        hidden_size=shape["width"],
        intermediate_size=shape["feed_forward"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["heads_kv"],
        rope_theta=shape["rope_base"],
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
    )
    torch.set_default_dtype(dtype)
    model = Qwen2ForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return model


def of_file(path):
    """The weights of a GGUF file, dequantised."""
    folder, name = os.path.split(path)
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype)


model = of_file(job["model"]["gguf"]) if "gguf" in job["model"] else of_shape(job["model"])
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=job["rank"], lora_alpha=2 * job["rank"], target_modules=targets))
if job["frugal"]:
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable()
model.train()
decoder, head = model.base_model.model.model, model.base_model.model.lm_head
optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-4)

# A decision: its sequences, one an option, and for each the positions that predict the option's tokens, with the tokens.
decisions = job["decisions"]
BETA = 0.2


def scores(batch):
    """Log-probability of every option of some decisions: only the rows that predict something go through the head."""
    sequences = [o["sequence"] for d in batch for o in d["options"]]
    longest = max(map(len, sequences))
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros(len(sequences), longest, dtype=torch.long)
    for i, s in enumerate(sequences):
        ids[i, : len(s)] = torch.tensor(s)
        mask[i, : len(s)] = 1
    hidden = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    options = [o for d in batch for o in d["options"]]
    reads = [(i, p, t) for i, o in enumerate(options) for p, t in o["reads"]]
    rows = torch.tensor([r[0] for r in reads]), torch.tensor([r[1] for r in reads])
    log_p = head(hidden[rows]).float().log_softmax(-1)
    read = log_p[torch.arange(len(reads)), torch.tensor([r[2] for r in reads])]
    total = torch.zeros(len(options)).index_add(0, rows[0], read)
    return total.view(len(batch), -1)


def step():
    start = time.perf_counter()
    optimiser.zero_grad()
    for first in range(0, len(decisions), job["decisions_at_a_time"]):
        batch = decisions[first : first + job["decisions_at_a_time"]]
        log_pi = scores(batch).log_softmax(-1)
        pi = log_pi.exp()
        rewards = torch.tensor([d["rewards"] for d in batch])
        reference = torch.tensor([d["reference"] for d in batch])
        value = (pi * (rewards - BETA * (log_pi - reference))).sum() / len(decisions)
        (-value).backward()
    optimiser.step()
    return time.perf_counter() - start


for line in sys.stdin:
    if line.strip() == "peak":
        # The machine's own matrix product, as PyTorch does it.
        a, b = torch.rand(512, 896), torch.rand(896, 4864)
        best = float("inf")
        for _ in range(30):
            start = time.perf_counter()
            torch.mm(a, b)
            best = min(best, time.perf_counter() - start)
        print(json.dumps({"products": 512 * 896 * 4864 / best}), flush=True)
        continue
    seconds = step()
    print(json.dumps({"seconds": seconds, "peak": peak_memory(), "before": before}), flush=True)
