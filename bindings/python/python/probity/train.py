"""Training on other machines: a run of `probity train --dataset`, by PyTorch, PEFT and accelerate.

The steps, their rewards and the objective are those of `probity train`; what computes the model's logits is another engine::

    probity train --recipe real --reward utilitarian --model gemma-2-27b-it.gguf --reference bare --no-references --dataset run
    accelerate launch -m probity.train run --base google/gemma-2-27b-it --out trained
    probity import trained --model gemma-2-27b-it.gguf --out utilitarian.gguf

`Collator` and `exact_loss` are a data collator and a `compute_loss` for trainers such as TRL's `SFTTrainer`: a
batch of decisions then has the mean of its objective.

Every process holds the whole base, in `--dtype`. All of them need the folders of the run and of `--out`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

EPSILON = 1e-8
"""Of Adam, as in the run's own trainer."""


@dataclass
class Option:
    """A legal answer: its tokens, and the tokens that may end it, of which any does."""

    tokens: list[int]
    last: list[int]


@dataclass
class Decision:
    """A state of a game: the prompt, the answers, and their worth."""

    prompt: list[int]
    options: list[Option]
    rewards: list[float]
    weight: float
    reference: list[float] | None
    """The reference's score of each option, if it is known."""


@dataclass
class Terms:
    """What a step's gradient is of (crates/train/src/objective)."""

    aim: str
    """`objective`, `optimum` or `labels`."""
    beta: float
    """Weight of the divergence from the reference."""
    legality: float
    """Weight of the logarithm of the legality mass."""


@dataclass
class Step:
    """What a step asks; or, without a rate, what validates a phase."""

    phase: int
    rate: float
    decisions: list[Decision]


class Run:
    """A dataset that `probity train --dataset` wrote."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / "run.json"
        if not path.exists():
            raise FileNotFoundError(f"{path}: not there, expected a folder of `probity train --dataset`, written to its end")
        self.document: dict[str, Any] = json.loads(path.read_text())
        if self.document["version"] != 1:
            raise ValueError(f"{path}: version {self.document['version']}, expected 1")
        self.hash = hashlib.sha256(path.read_bytes()).hexdigest()
        self.config: dict[str, Any] = self.document["config"]
        with (self.folder / "steps.jsonl").open() as file:
            lines = sum(1 for _ in file)
        if lines != self.document["steps"]:
            raise ValueError(f"{self.folder}/steps.jsonl: {lines} lines, expected {self.document['steps']}; write the dataset anew")
        self._validation: dict[int, list[Decision]] = {}
        self.terms = Terms(self.document["aim"], self.config["beta"], self.config["legality"])

    def steps(self, done: int = 0) -> Iterator[Step]:
        """The steps behind the first so many, one after the other."""
        with (self.folder / "steps.jsonl").open() as file:
            for number, line in enumerate(file):
                if number >= done:
                    yield _step(json.loads(line))

    def validation(self, phase: int) -> list[Decision]:
        """What a phase is validated by; nothing where the run has no validation."""
        if phase not in self._validation:
            lines = (self.folder / "validation.jsonl").read_text().splitlines()
            self._validation[phase] = _step(json.loads(lines[phase])).decisions
        return self._validation[phase]


def _step(line: dict[str, Any]) -> Step:
    decisions = []
    for game in line["games"]:
        options = [Option(**option) for option in game["options"]]
        decisions += [
            Decision(d["prompt"], options, d["rewards"], d["weight"], d.get("reference")) for d in game["decisions"]
        ]
    return Step(line["phase"], line.get("rate", 0.0), decisions)


def collate(decisions: Sequence[Decision], terms: Terms, total_weight: float, pad: int = 0) -> dict[str, Any]:
    """The inputs of `exact_loss`: a row an option, padded on the left so that answers end together.

    `total_weight` is that of all decisions of the step.
    """
    rows = [d.prompt + o.tokens for d in decisions for o in d.options]
    width = max(map(len, rows))
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return {
        "input_ids": torch.tensor([[pad] * (width - len(row)) + row for row in rows]),
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
        "decisions": decisions,
        "terms": terms,
        "total_weight": total_weight,
    }


@dataclass
class Collator:
    """A data collator of decisions, for a trainer whose batches stand alone."""

    terms: Terms
    pad: int = 0

    def __call__(self, decisions: Sequence[Decision]) -> dict[str, Any]:
        return collate(decisions, self.terms, sum(d.weight for d in decisions), self.pad)


def scores(model: Any, inputs: dict[str, Any]) -> list[torch.Tensor]:
    """Of each decision the log-probability of every option, float64."""
    decisions: Sequence[Decision] = inputs["decisions"]
    keep = 1 + max(len(o.tokens) for d in decisions for o in d.options)
    tensors = {name: inputs[name] for name in ("input_ids", "attention_mask", "position_ids")}
    logits = model(**tensors, logits_to_keep=keep, use_cache=False).logits
    rows = iter(logits)

    def score(option: Option) -> torch.Tensor:
        read = next(rows)[keep - 1 - len(option.tokens) :].double().log_softmax(-1)
        tokens = read[range(len(option.tokens)), option.tokens].sum()
        score: torch.Tensor = tokens + read[-1, option.last].logsumexp(-1)
        return score

    return [torch.stack([score(option) for option in d.options]) for d in decisions]


def optimum(reference: torch.Tensor, rewards: torch.Tensor, beta: float) -> torch.Tensor:
    """The policy with the largest objective, legality aside: `ref exp(R / beta)`, normalised."""
    if beta == 0:
        best = torch.where(rewards == rewards.max(), reference, 0.0)
        return best / best.sum()
    return (reference.log() + rewards / beta).softmax(-1)


def loss_of(decision: Decision, scored: torch.Tensor, terms: Terms) -> torch.Tensor:
    """The negative objective of a decision, without its weight (crates/train/src/objective, `Aim`)."""
    rewards = torch.tensor(decision.rewards, dtype=torch.float64, device=scored.device)
    if terms.aim == "labels":
        best = (rewards == rewards.max()).double()
        return -(best / best.sum() * scored).sum()
    reference = torch.tensor(decision.reference, dtype=torch.float64, device=scored.device).softmax(-1)
    policy, legality = scored.log_softmax(-1), scored.logsumexp(-1)
    if terms.aim == "optimum":
        return -(optimum(reference, rewards, terms.beta) * policy).sum() - terms.legality * legality
    divergence = (policy.exp() * (policy - reference.log())).sum()
    return -(policy.exp() * rewards).sum() + terms.beta * divergence - terms.legality * legality


def exact_loss(model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
    """The exact objective's loss on the inputs of `collate`: the sum over states and actions, with nothing sampled."""
    scored = scores(model, inputs)
    losses = [d.weight * loss_of(d, s, inputs["terms"]) for d, s in zip(inputs["decisions"], scored)]
    loss = torch.stack(losses).sum() / inputs["total_weight"]
    return (loss, scored) if return_outputs else loss


NAMES = ("reward", "divergence", "distance", "free_distance", "legality")


def measures(decision: Decision, scored: torch.Tensor, beta: float) -> torch.Tensor:
    """What a report says of a decision, in the order of `NAMES`."""
    scored = scored.detach().cpu()
    rewards = torch.tensor(decision.rewards, dtype=torch.float64)
    reference = torch.tensor(decision.reference, dtype=torch.float64).softmax(-1)
    policy, mass = scored.softmax(-1), scored.logsumexp(-1).exp()
    best = optimum(reference, rewards, beta)
    divergence = torch.where(policy > 0, policy * (policy / reference).log(), 0.0).sum()
    return torch.stack(
        [(policy * rewards).sum(), divergence, (policy - best).abs().sum() / 2, (best - mass * policy).clamp(min=0).sum(), mass]
    )


class Progress:
    """How far a run is."""

    def __init__(self) -> None:
        self.taken = self.skipped = self.tokens = self.since = self.near = 0
        self.kept: dict[str, Any] | None = None

    @property
    def done(self) -> int:
        """Steps taken, and steps skipped at the end of a phase."""
        return self.taken + self.skipped


class Training:
    """A run in progress, on one process or on many (accelerate).

    Of a step's decisions every process computes its share. The gradient is their sum.
    """

    def __init__(self, run: Run, base: Any, out: str | Path, at_a_time: int = 8) -> None:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from peft import PeftModel

        self.run, self.out, self.at_a_time = run, Path(out), at_a_time
        # Every process reads the same base. Sent at every forward pass, its buffers would ask for as many passes of each process.
        same = DistributedDataParallelKwargs(broadcast_buffers=False)
        # Apple's GPUs have no float64, in which scores are added up.
        alone = torch.backends.mps.is_available()
        # accelerate keeps the precision of an earlier trainer in this process, without a word. Asked for by name, another is an error.
        asked = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
        self.accelerator = Accelerator(cpu=alone, mixed_precision=asked, gradient_accumulation_steps=1, kwargs_handlers=[same])
        kind, mixed = self.accelerator.distributed_type.value, self.accelerator.mixed_precision
        if kind not in ("NO", "MULTI_CPU", "MULTI_GPU") or mixed not in ("no", "bf16"):
            raise ValueError(
                f"accelerate: {kind} with mixed precision {mixed}, expected whole models on each process (no FSDP, no DeepSpeed) with "
                "--mixed_precision no or bf16"
            )
        # Dropout is noise, which an exact gradient has no use for.
        adapted = PeftModel.from_pretrained(base, run.folder / "start", is_trainable=True).eval()
        trained = [p for p in adapted.parameters() if p.requires_grad]
        adam = torch.optim.Adam(trained, lr=0.0, betas=(0.9, run.document["beta2"]), eps=EPSILON)
        self.model, self.adam = self.accelerator.prepare(adapted, adam)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.progress, self._resumed = Progress(), False

    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def save(self) -> None:
        """Writes a checkpoint: the adapter, the optimiser, and how far the run is. Every process has the same; one writes."""
        if not self.accelerator.is_main_process:
            return
        weights = [p.detach().cpu() for p in self.trained]
        state = {"run": self.run.hash, "weights": weights, "adam": self.adam.state_dict(), "progress": vars(self.progress)}
        part = self._checkpoint.with_suffix(".part")
        torch.save(state, part)
        os.replace(part, self._checkpoint)

    def resume(self) -> None:
        """Goes on from the last checkpoint."""
        if not self._checkpoint.exists():
            raise FileNotFoundError(f"{self._checkpoint}: not there; a run begins without --resume")
        state = torch.load(self._checkpoint, map_location="cpu", weights_only=True)
        if state["run"] != self.run.hash:
            raise ValueError(f"{self._checkpoint}: of another dataset than {self.run.folder}, expected the one it began with")
        self.adam.load_state_dict(state["adam"])
        vars(self.progress).update(state["progress"])
        self._set(state["weights"])
        self._resumed = True

    def _set(self, weights: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for parameter, values in zip(self.trained, weights):
                parameter.copy_(values)

    def take(self, checkpoint_every: int = 50) -> None:
        """Takes the steps that are left, and writes the adapter."""
        run, progress, main = self.run, self.progress, self.accelerator.is_main_process
        path = self.out / "steps.jsonl"
        if self._checkpoint.exists() and not self._resumed:
            raise FileExistsError(f"{self.out}: holds a run already, expected --resume or a new folder")
        # Every process has looked before one writes.
        self.accelerator.wait_for_everyone()
        if main:
            self.out.mkdir(parents=True, exist_ok=True)
            # Steps behind the checkpoint are taken again; a line that was cut off is none.
            whole = path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []
            part = path.with_suffix(".part")
            part.write_text("".join(line + "\n" for line in whole if json.loads(line)["step"] <= progress.done))
            os.replace(part, path)
            # Whatever began can be resumed.
            self.save()
        with path.open("a") if main else nullcontext() as log:
            steps = run.steps(progress.done)
            while progress.done < run.document["steps"] and not self.finished():
                report = self.step(next(steps))
                skipped = progress.skipped
                report |= self.validate(report["phase"])
                for _ in range(progress.skipped - skipped):
                    next(steps)
                if log:
                    print(json.dumps(report), file=log, flush=True)
                    print(f"step {report['step']} of {run.document['steps']}, {report['distance']:.3f} from the optimum", file=sys.stderr)
                if progress.taken % checkpoint_every == 0:
                    self.save()
        self.write()

    def finished(self) -> bool:
        """Whether the run is over before its last step: near the optimum, or no nearer for some time."""
        stop: dict[str, Any] = self.run.config.get("early_stop") or {}
        validation: dict[str, Any] = self.run.config.get("validation") or {}
        never = math.inf
        return bool(self.progress.near >= stop.get("patience", never) or self.progress.since >= validation.get("patience", never))

    def step(self, step: Step) -> dict[str, Any]:
        """Takes a step, and reports the policy before it."""
        progress, config = self.progress, self.run.config
        measured, norm = self.pass_through(step.decisions, gradient=True)
        if not math.isfinite(norm) or not all(map(math.isfinite, measured.values())):
            raise FloatingPointError(f"step {progress.done + 1}: the gradient's norm is {norm}; a lower rate may help")
        if norm > config["max_norm"]:
            for parameter in self.trained:
                parameter.grad.mul_(config["max_norm"] / norm)
        for group in self.adam.param_groups:
            group["lr"] = step.rate
        self.adam.step()
        self.adam.zero_grad()
        progress.taken += 1
        progress.tokens += sum(len(d.prompt) + len(o.tokens) for d in step.decisions for o in d.options)
        if stop := config.get("early_stop"):
            last = step.phase + 1 == len(config["phases"])
            progress.near = progress.near + 1 if last and measured["distance"] <= stop["distance"] else 0
        return {"step": progress.done, "phase": step.phase, **measured, "norm": norm, "rate": step.rate}

    def validate(self, phase: int) -> dict[str, Any]:
        """Measures the policy after a step, and keeps the nearest of the phase, as the run's own trainer does."""
        validation, progress = self.run.config.get("validation"), self.progress
        if not validation:
            return {}
        ends = self.run.document["ends"]
        within, left = progress.done - [0, *ends][phase], ends[phase] - progress.done
        report: dict[str, Any] = {}
        if within % validation["every"] == 0 or left == 0:
            measured, _ = self.pass_through(self.run.validation(phase), gradient=False)
            report = {"validation": measured}
            progress.since += 1
            if progress.kept is None or measured["free_distance"] < progress.kept["distance"]:
                weights = [p.detach().cpu().clone() for p in self.trained]
                progress.kept = {
                    "weights": weights, "steps": progress.taken, "tokens": progress.tokens, "distance": measured["free_distance"]
                }
                progress.since = 0
        over = left == 0 or progress.since >= validation["patience"]
        if over and phase + 1 < len(ends):
            self.restore_kept()
            progress.kept, progress.since = None, 0
            progress.skipped += left
        return report

    def restore_kept(self) -> None:
        """Goes back to the nearest parameters."""
        if self.progress.kept:
            self._set(self.progress.kept["weights"])

    def pass_through(self, decisions: list[Decision], gradient: bool) -> tuple[dict[str, float], float]:
        """Measures of all decisions, and with `gradient` the norm of the summed gradient, which parameters then have."""
        accelerator, terms = self.accelerator, self.run.terms
        total = sum(d.weight for d in decisions)
        # A process without a decision of its own takes part with one that counts for nothing.
        own = decisions[accelerator.process_index :: accelerator.num_processes]
        own = own or [Decision(**(vars(decisions[0]) | {"weight": 0.0}))]
        parts = [own[i : i + self.at_a_time] for i in range(0, len(own), self.at_a_time)]
        sums = torch.zeros(len(NAMES), dtype=torch.float64)
        for part in parts:
            inputs = collate(part, terms, total)
            vocabulary = self.accelerator.unwrap_model(self.model).config.vocab_size
            if int(inputs["input_ids"].max()) >= vocabulary:
                raise ValueError(f"base: {vocabulary} tokens, and the dataset has others; expected the base that the dataset was written for")
            inputs |= {name: value.to(accelerator.device) for name, value in inputs.items() if torch.is_tensor(value)}
            self.refer(inputs)
            last = part is parts[-1]
            with torch.set_grad_enabled(gradient), nullcontext() if last else accelerator.no_sync(self.model):
                loss, scored = exact_loss(self.model, inputs, return_outputs=True)
                if gradient:
                    # Gradients are averaged over the processes; the step's is their sum.
                    accelerator.backward(loss * accelerator.num_processes)
            for d, s in zip(part, scored):
                sums += d.weight / total * measures(d, s, terms.beta)
        sums = accelerator.reduce(sums.to(accelerator.device), "sum").cpu()
        squares = [float(p.grad.double().square().sum()) for p in self.trained] if gradient else []
        return dict(zip(NAMES, sums.tolist())), math.sqrt(sum(squares))

    def refer(self, inputs: dict[str, Any]) -> None:
        """Computes the bare model's scores where the dataset has none."""
        if all(d.reference is not None for d in inputs["decisions"]):
            return
        bare = self.accelerator.unwrap_model(self.model)
        with torch.no_grad(), bare.disable_adapter():
            for decision, reference in zip(inputs["decisions"], scores(bare, inputs)):
                decision.reference = reference.tolist()

    def write(self) -> None:
        """Writes the adapter, PEFT's folder with the run beside it; `probity import` turns it into GGUF."""
        from . import __version__

        self.restore_kept()
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.accelerator.unwrap_model(self.model).save_pretrained(self.out)
            kept = self.progress.kept or {"steps": self.progress.taken, "tokens": self.progress.tokens}
            weights = (self.out / "adapter_model.safetensors").read_bytes()
            document = {
                "weights": hashlib.sha256(weights).hexdigest(),
                "run": self.run.document,
                "steps": kept["steps"],
                "tokens": kept["tokens"],
                "engine": f"probity.train {__version__} on PyTorch {torch.__version__}",
            }
            part = self.out / "trained.json.part"
            part.write_text(json.dumps(document))
            os.replace(part, self.out / "trained.json")


def load_base(name: str, dtype: str = "float32") -> Any:
    """A base model for training: a folder or name of transformers, or a GGUF file, whose weights are then dequantised."""
    from transformers import AutoModelForCausalLM

    kind = getattr(torch, dtype)
    if not name.endswith(".gguf"):
        return AutoModelForCausalLM.from_pretrained(name, dtype=kind)
    file = Path(name).resolve()
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=kind)
    # A model from GGUF counts as quantised, and may not be trained; its weights are not.
    del read.config.quantization_config
    made: Any = AutoModelForCausalLM
    model = made.from_config(read.config, dtype=kind)
    model.load_state_dict(read.state_dict())
    return model


def _number(given: str) -> int:
    number = int(given)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{given}: expected a number of at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("probity.train", description="Train an adapter on a dataset of `probity train --dataset`.")
    parser.add_argument("run", help="the dataset")
    parser.add_argument("--base", required=True, help="the base model: a folder or name of transformers, or a GGUF file")
    parser.add_argument("--out", required=True, help="where to write the adapter, a folder that `probity import` reads")
    parser.add_argument("--dtype", default="float32", help="type of the base's weights (default: float32)")
    parser.add_argument("--at-a-time", type=_number, default=8, help="decisions in a forward pass of a process (default: 8)")
    parser.add_argument("--checkpoint-every", type=_number, default=50, help="steps between checkpoints (default: 50)")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    given = parser.parse_args(arguments)
    training = Training(Run(given.run), load_base(given.base, given.dtype), given.out, given.at_a_time)
    if given.resume:
        training.resume()
    training.take(given.checkpoint_every)


if __name__ == "__main__":
    main()
