"""Writes tests/data/peft/ARCHITECTURE: a tiny random transformers model, a random adapter that PEFT saved for it, and what
transformers computes with and without it. `pip install torch transformers peft`, then `python peft_adapter.py`; with a folder
as argument, what PEFT makes of an adapter that probity exported there is printed instead."""

import json
import shutil
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, Gemma2Config, Gemma3TextConfig, LlamaConfig, Qwen2Config, Qwen3Config)

HERE = Path(__file__).parent / "peft"
PROMPT = [5, 17, 300, 42, 42, 7, 256, 99, 310, 4, 8, 15, 16, 23]
ASKED = [3, 42, 77, 200, 311]
SHARED = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              vocab_size=320, max_position_embeddings=512, rms_norm_eps=1e-6, tie_word_embeddings=True,
              bos_token_id=None, eos_token_id=0, pad_token_id=None, attn_implementation="eager")
CONFIGS = {
    "llama": LlamaConfig(**SHARED, head_dim=8),
    "qwen2": Qwen2Config(**{**SHARED, "tie_word_embeddings": False}),
    "qwen3": Qwen3Config(**SHARED, head_dim=16),
    "gemma2": Gemma2Config(**SHARED, head_dim=16, query_pre_attn_scalar=16, sliding_window=6, attn_logit_softcapping=50.0,
                           final_logit_softcapping=30.0),
    "gemma3": Gemma3TextConfig(**SHARED, head_dim=16, query_pre_attn_scalar=16, sliding_window=6),
}


def log_probabilities(model):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([PROMPT])).logits[0, -1].double()
    return torch.log_softmax(logits, -1)[ASKED].tolist()


def stir(parameters, size):
    for p in parameters:
        p.data = p.data + size * torch.randn_like(p)


def build(name):
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(CONFIGS[name])
    model.eval()
    # Weights large enough that every part matters; F16 values, so that the stored file is small and exact.
    for parameter in model.parameters():
        scale = 0.15 if parameter.dim() == 1 else 0.2
        parameter.data = (parameter.data + scale * torch.randn_like(parameter)).half().float()
    return model


def main():
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
        name = folder.name
        print(json.dumps(log_probabilities(PeftModel.from_pretrained(build(name), folder))))
        return
    shutil.rmtree(HERE, ignore_errors=True)
    for name, config in CONFIGS.items():
        folder = HERE / name
        folder.mkdir(parents=True)
        model = build(name)
        state = {k: v.half().contiguous() for k, v in model.state_dict().items()}
        if config.tie_word_embeddings:
            state.pop("lm_head.weight", None)
        save_file(state, folder / "model.safetensors")
        bare = log_probabilities(model)
        lora = LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", bias="none", task_type="CAUSAL_LM")
        adapted = get_peft_model(model, lora)
        stir((p for n, p in adapted.named_parameters() if "lora_B" in n), 0.3)
        adapted.eval()
        adapted.save_pretrained(folder / "adapter")
        (folder / "adapter" / "README.md").unlink(missing_ok=True)
        expected = {"prompt": PROMPT, "tokens": ASKED, "bare": bare, "adapted": log_probabilities(adapted),
                    "config": {k: v for k, v in config.to_dict().items()}}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1, default=str) + "\n")
        print(name, bare, expected["adapted"])


main()
