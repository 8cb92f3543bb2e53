"""PageRank by networkx from the edges given on standard input, `from to weight` a line after the number of nodes, then an
empty line: for every line after that one line of JSON with the seconds from the list of edges to the ranks, and the ranks."""

import json
import sys
import time

import networkx

nodes = int(sys.stdin.readline())
edges = []
for line in iter(sys.stdin.readline, "\n"):
    a, b, weight = line.split()
    edges.append((int(a), int(b), float(weight)))
print(networkx.__version__, flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(nodes))
    graph.add_weighted_edges_from(edges)
    made = time.perf_counter()
    # It stops where ranks change by less; ours makes its hundred passes.
    ranks = networkx.pagerank(graph, alpha=0.85, max_iter=1000, tol=1e-13)
    end = time.perf_counter()
    print(json.dumps({"seconds": end - start, "made": made - start, "ranks": [ranks[i] for i in range(nodes)]}), flush=True)
