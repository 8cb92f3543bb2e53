"""The rival of benches/embed.rs: sentence-transformers on the model that the built-in embedder was made from. Reads a line of
JSON with `texts`, `threads` and `folder`, into which it writes that model as an ONNX graph; then answers every line: "all" with
the seconds that all texts took together, "each" one after the other, "vectors" with the vectors themselves."""

import json
import pathlib
import sys
import time

import sentence_transformers
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "scripts"))
import embedder

job = json.loads(sys.stdin.readline())
torch.set_num_threads(job["threads"])
folder = pathlib.Path(job["folder"])
if not (folder / "model.onnx").exists():
    _, _, words, exact = embedder.teacher()
    embedder.write(folder, exact, words)
model = sentence_transformers.SentenceTransformer(str(embedder.PACKAGE), device="cpu")


def encode(texts):
    return model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)


for line in sys.stdin:
    command = line.strip()
    if command == "vectors":
        answer = {"version": sentence_transformers.__version__, "vectors": encode(job["texts"]).tolist()}
    else:
        start = time.perf_counter()
        for texts in [job["texts"]] if command == "all" else [[text] for text in job["texts"]]:
            encode(texts)
        answer = {"seconds": time.perf_counter() - start}
    print(json.dumps(answer), flush=True)
