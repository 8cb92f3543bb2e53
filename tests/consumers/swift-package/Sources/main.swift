// One decision: swift run play MODEL.gguf ADAPTER.gguf
import Foundation
import Probity

let model = try await Model(.file(CommandLine.arguments[1]))
let session = try Session(model)
let agent = try await session.agent(#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#)
try agent.setAdapters([Adapter(.file(CommandLine.arguments[2]), for: model)])
let policy = try await agent.policy()
print(String(format: "share %.3f keep %.3f", policy.probabilities[0], policy.probabilities[1]))
