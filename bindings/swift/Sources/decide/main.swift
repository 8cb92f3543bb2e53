// Ten rounds of the prisoner's dilemma against a player who repeats our last move, then the last decision in words: as
// examples/c/decide.c.
//
//     swift run decide ../../models/default.gguf ../../models/deontological.gguf
import Foundation
import Probity

guard CommandLine.arguments.count == 3 else {
    FileHandle.standardError.write(Data("usage: decide MODEL.gguf ADAPTER.gguf\n".utf8))
    exit(2)
}

func padded(_ text: String, _ width: Int) -> String {
    text.padding(toLength: max(width, text.count), withPad: " ", startingAt: 0)
}

let model = try await Model(.file(CommandLine.arguments[1]))
let kind = try Adapter(.file(CommandLine.arguments[2]), for: model)
let session = try Session(model)
let agent = try await session.agent(#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#)
try agent.setAdapters([kind])

let labels = ["share", "keep"]
var theirs = 0
for round in 1...10 {
    let decision = try await agent.decide()
    let mine = decision.action
    let probability = String(format: "%.3f", decision.probabilities[mine])
    print("round \(round < 10 ? " " : "")\(round): \(padded(labels[mine], 5)) (\(probability)), the other \(labels[theirs])")
    try agent.observe(own: mine, other: theirs)
    theirs = mine
}
print(try agent.explain(), terminator: "")
