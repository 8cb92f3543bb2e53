"""One decision, on the model and an adapter that come with the package: python play.py"""

import probity

model = probity.Model(probity.shipped("default"))
agent = probity.Agent(model, {"game": "ipd", "labels": ["share", "keep"], "seed": 7})
agent.set_adapters([probity.Adapter(model, probity.shipped("deontological"))])
share, keep = agent.policy().probabilities
print(f"share {share:.3f} keep {keep:.3f}")
