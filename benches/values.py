"""The rival of benches/values.rs: PageRank by networkx. Reads a line of JSON, `nodes` and `edges` of from, to and weight; then
answers every line "rank" with the seconds from the list of edges to the ranks, and the ranks."""

import json
import sys
import time

import networkx

job = json.loads(sys.stdin.readline())
edges = [tuple(edge) for edge in job["edges"]]


def rank():
    start = time.perf_counter()
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(job["nodes"]))
    graph.add_weighted_edges_from(edges)
    made = time.perf_counter()
    # It stops where ranks change by less; ours makes its hundred passes.
    ranks = networkx.pagerank(graph, alpha=0.85, max_iter=1000, tol=1e-13)
    end = time.perf_counter()
    return {"seconds": end - start, "made": made - start, "ranks": [ranks[i] for i in range(job["nodes"])]}


for line in sys.stdin:
    print(json.dumps(networkx.__version__ if line.strip() == "version" else rank()), flush=True)
