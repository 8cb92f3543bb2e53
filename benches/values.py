"""PageRank by networkx on the edges given on standard input, `from to weight` a line after the number of nodes: one line of
JSON a round with the seconds it took and, after an empty line, the ranks."""

import json
import sys
import time

import networkx

nodes = int(sys.stdin.readline())
graph = networkx.DiGraph()
graph.add_nodes_from(range(nodes))
for line in iter(sys.stdin.readline, "\n"):
    a, b, weight = line.split()
    graph.add_edge(int(a), int(b), weight=float(weight))
print(networkx.__version__, flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    # As many passes as the published code takes; networkx stops early where they change nothing, which costs it nothing here.
    ranks = networkx.pagerank(graph, alpha=0.85, max_iter=1000, tol=1e-13)
    print(json.dumps({"seconds": time.perf_counter() - start, "ranks": [ranks[i] for i in range(nodes)]}), flush=True)
