"""Probity: moral decisions on a local language model.

>>> import probity
>>> model = probity.Model(probity.shipped("default"))
>>> agent = probity.Agent(model, {"game": "ipd", "labels": ["share", "keep"], "seed": 7})
>>> agent.set_adapters([probity.Adapter(model, probity.shipped("deontological"))])
>>> decision = agent.decide()
>>> decision.label
'share'

Documents (scenarios, games, records, graphs) are dictionaries, or JSON as text. Numbers come as numpy arrays. Long calls let other threads
run, and Ctrl-C stops most of them. A call that fails raises `ProbityError`, whose `name` and `code` are the status of the C ABI.
"""

from ._probity import (
    OPENING,
    Adapter,
    Agent,
    Decision,
    Game,
    Graph,
    Model,
    Policy,
    ProbityError,
    Session,
    Strategy,
    __version__,
    export_peft,
    import_peft,
    plan,
    prompt,
)
from ._shipped import shipped

__all__ = [
    "OPENING",
    "Adapter",
    "Agent",
    "Decision",
    "Game",
    "Graph",
    "Model",
    "Policy",
    "ProbityError",
    "Session",
    "Strategy",
    "__version__",
    "export_peft",
    "import_peft",
    "plan",
    "prompt",
    "shipped",
]
