#!/usr/bin/env python3
"""Writes tests/data/torch_gradient.json: the moral objective and all its gradients on a tiny random llama with a LoRA
pair on every linear layer, by PyTorch's autograd, each sequence on its own. tests/trainer_gradient.rs compares.

    pip install torch && python tests/data/torch_gradient.py
"""

import json
import math
from pathlib import Path

import torch

torch.manual_seed(20410)
torch.set_default_dtype(torch.float64)

WIDTH, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, VOCABULARY, RANK, ALPHA = 8, 2, 2, 1, 12, 17, 2, 4.0
HEAD = WIDTH // HEADS
EPS, ROPE_BASE = 1e-5, 10_000.0
BETA, LEGALITY = 0.3, 0.1
LINEAR = {"attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, KV_HEADS * HEAD), "attn_v": (WIDTH, KV_HEADS * HEAD),
          "attn_output": (WIDTH, WIDTH), "ffn_gate": (WIDTH, FEED_FORWARD), "ffn_up": (WIDTH, FEED_FORWARD),
          "ffn_down": (FEED_FORWARD, WIDTH)}

# Two states of one game: prompts that share a start, two options each, of two and three tokens.
OPTIONS = [[5, 0], [6, 7, 0]]
DECISIONS = [
    {"prompt": [1, 2, 3, 9, 4], "rewards": [1.0, -3.0], "weight": 0.25, "reference": [0.6, 0.4]},
    {"prompt": [1, 2, 3, 10, 11, 4], "rewards": [0.0, 2.5], "weight": 0.75, "reference": [0.3, 0.7]},
]


def parameter(*shape, scale):
    # Values that JSON and a 32-bit float carry exactly, so that both sides start from the same model.
    return (torch.randn(*shape) * scale).float().double().requires_grad_()


def parameters():
    p = {"token_embd.weight": parameter(VOCABULARY, WIDTH, scale=0.7)}
    for i in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            p[f"blk.{i}.{norm}.weight"] = (1 + 0.2 * torch.randn(WIDTH)).float().double().requires_grad_()
        for name, (n_in, n_out) in LINEAR.items():
            p[f"blk.{i}.{name}.weight"] = parameter(n_out, n_in, scale=1 / math.sqrt(n_in))
            p[f"blk.{i}.{name}.lora_a"] = parameter(RANK, n_in, scale=0.4)
            p[f"blk.{i}.{name}.lora_b"] = parameter(n_out, RANK, scale=0.4)
    p["output_norm.weight"] = (1 + 0.2 * torch.randn(WIDTH)).float().double().requires_grad_()
    return p


def rms_norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + EPS) * gain


def rotate(x):
    """Rotary positions on neighbouring pairs; x is [positions, heads, HEAD]."""
    angle = torch.arange(x.shape[0])[:, None] * ROPE_BASE ** (-torch.arange(0, HEAD, 2) / HEAD)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, b * cos + a * sin], -1).flatten(-2)


def logits(p, tokens):
    x = p["token_embd.weight"][torch.tensor(tokens)]
    n = len(tokens)
    for i in range(LAYERS):
        def linear(name, x):
            get = lambda kind: p[f"blk.{i}.{name}.{kind}"]
            return x @ get("weight").T + ALPHA / RANK * (x @ get("lora_a").T) @ get("lora_b").T

        h = rms_norm(x, p[f"blk.{i}.attn_norm.weight"])
        q = rotate(linear("attn_q", h).view(n, HEADS, HEAD))
        k = rotate(linear("attn_k", h).view(n, KV_HEADS, HEAD)).repeat_interleave(HEADS // KV_HEADS, 1)
        v = linear("attn_v", h).view(n, KV_HEADS, HEAD).repeat_interleave(HEADS // KV_HEADS, 1)
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(HEAD)
        scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf)
        x = x + linear("attn_output", torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(n, WIDTH))
        h = rms_norm(x, p[f"blk.{i}.ffn_norm.weight"])
        x = x + linear("ffn_down", torch.nn.functional.silu(linear("ffn_gate", h)) * linear("ffn_up", h))
    return rms_norm(x, p["output_norm.weight"]) @ p["token_embd.weight"].T


def score(p, prompt, option):
    rows = logits(p, prompt + option[:-1])[len(prompt) - 1:].log_softmax(-1)
    return sum(rows[i, token] for i, token in enumerate(option))


def main():
    p = parameters()
    total, all_scores = 0.0, []
    for d in DECISIONS:
        s = torch.stack([score(p, d["prompt"], option) for option in OPTIONS])
        all_scores.append(s.tolist())
        log_pi = s.log_softmax(0)
        pi = log_pi.exp()
        kl = (pi * (log_pi - torch.tensor(d["reference"]).log())).sum()
        total = total + d["weight"] * ((pi * torch.tensor(d["rewards"])).sum() - BETA * kl + LEGALITY * s.logsumexp(0))
    total.backward()
    shape = {"width": WIDTH, "layers": LAYERS, "heads": HEADS, "kv_heads": KV_HEADS, "feed_forward": FEED_FORWARD,
             "vocabulary": VOCABULARY, "rank": RANK, "alpha": ALPHA, "eps": EPS, "rope_base": ROPE_BASE}
    document = {
        "torch": torch.__version__.split("+")[0], "shape": shape, "beta": BETA, "legality": LEGALITY, "options": OPTIONS,
        "decisions": DECISIONS, "scores": all_scores, "objective": total.item(),
        "parameters": {name: value.detach().flatten().tolist() for name, value in p.items()},
        "gradients": {name: [float(f"{g:.9g}") for g in value.grad.flatten().tolist()] for name, value in p.items()},
    }
    lines = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in document.items())
    Path(__file__).with_suffix(".json").write_text("{\n" + lines + "\n}\n")


main()
