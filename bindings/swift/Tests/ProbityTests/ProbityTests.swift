import Foundation
import Testing

import Probity

private let scenario: Document = #"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#

@Test func aVillageOfAThousandSharesASession() async throws {
    var options = SessionOptions()
    options.seeds = .numbered
    let session = try Session(try await Model(.file(modelFile)), options: options)
    let share = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<1000 {
            group.addTask {
                let agent = try await session.agent(scenario)
                let decision = try await agent.decide()
                try agent.observe(own: decision.action, other: 0)
                return decision.action == 0 ? 1 : 0
            }
        }
        return try await group.reduce(0, +)
    }
    let p = try await session.agent(scenario).policy().probabilities[0]
    // Five standard deviations of a binomial count.
    #expect(abs(Double(share) - 1000 * p) < 5 * (1000 * p * (1 - p)).squareRoot())
}

@Test func progressIsAStream() async throws {
    let (shares, continuation) = AsyncStream.makeStream(of: Float.self)
    async let model = Model(.file(modelFile), progress: continuation)
    var told: [Float] = []
    for await share in shares { told.append(share) }
    #expect(!told.isEmpty && told == told.sorted() && abs(told.last! - 1) < 1e-6)
    #expect(try await model.info().json.contains("fingerprint"))
}

/// Cancelling a task stops its own decision, and no later one.
@Test func aCancelledTaskStopsItsDecisionAlone() async throws {
    let preamble = String(repeating: "You are asked again and again. ", count: 100)
    let long = try Document(["game": "ipd", "preamble": preamble])
    let session = try Session(try await Model(.file(modelFile)))
    for delay in [0, 200_000, 1_000_000, 5_000_000, 20_000_000, 100_000_000] as [UInt64] {
        let agent = try await session.agent(long)
        let task = Task { try await agent.decide() }
        try await Task.sleep(nanoseconds: delay)
        task.cancel()
        switch await task.result {
        case .success: break
        case .failure(let error): #expect(error is CancellationError, "\(error)")
        }
        #expect(try agent.history().isEmpty)
        _ = try await agent.policy(after: Round(own: 0, other: 1))
    }
}

/// A cancelled retake stops no decision of the session's agents, and throws what a cancelled task throws.
@Test func aCancelledRetakeStopsItselfAlone() async throws {
    let long = try Document(["game": "ipd", "preamble": String(repeating: "You are asked again and again. ", count: 100)])
    let session = try Session(try await Model(.file(modelFile)))
    let recorded = try await session.agent(long)
    _ = try await recorded.decide()
    let record = try recorded.record()
    for delay in [0, 200_000, 5_000_000, 20_000_000, 100_000_000] as [UInt64] {
        // Its own preamble: the model reads all of it, and the retake waits.
        let preamble = String(repeating: "After \(delay) you are asked. ", count: 60)
        let other = try await session.agent(Document(["game": "ipd", "preamble": preamble]))
        async let decision = other.policy(after: Round(own: 0, other: 1))
        try await Task.sleep(nanoseconds: 2_000_000)
        let retake = Task { try await session.retake(record) }
        try await Task.sleep(nanoseconds: delay)
        retake.cancel()
        switch await retake.result {
        case .success(let again): #expect(again.same)
        case .failure(let error): #expect(error is CancellationError, "\(error)")
        }
        _ = try await decision
        _ = try await other.policy(after: Round(own: 1, other: 1))
    }
}

private func failure(_ body: () throws -> Void) -> ProbityError? {
    do {
        try body()
        return nil
    } catch {
        return error as? ProbityError
    }
}

@Test func errorsHaveACodeAndAMessage() async throws {
    let error = try #require(failure { _ = try Game(named: "chess") })
    #expect(error.status == .unknownGame && error.status.rawValue == 48)
    #expect(error.message.contains("ipd"))
    // What an app shows.
    #expect(error.localizedDescription == error.message)
    let agent = try Agent(try await Model(.file(modelFile)), scenario)
    #expect(throws: ProbityError.self) { try agent.observe(own: -1, other: 0) }
    await #expect(throws: ProbityError.self) { try await agent.policy(after: Round(own: 0, other: 1 << 40)) }
    #expect(throws: ProbityError.self) { try agent.explain() }
    #expect(throws: ProbityError.self) { try Game(name: "g", payoffs: [[(1, 1)]], rowLabels: ["a", "b"], columnLabels: ["a"]) }
    // An empty label is the library's to refuse; a text with a NUL ends there.
    #expect(throws: ProbityError.self) {
        try Game(name: "g", payoffs: [[(1, 1), (1, 1)], [(1, 1), (1, 1)]], rowLabels: ["a", ""], columnLabels: ["a", "b"])
    }
}

/// Agents, adapters and models may be let go in any order.
@Test func whatIsNeededLivesOn() async throws {
    var model: Model? = try await Model(.memory(Array(Data(contentsOf: URL(fileURLWithPath: modelFile)))))
    var session: Session? = try Session(model!)
    var adapter: Adapter? = try Adapter(.file(adapterFile), for: model!)
    let agent = try await session!.agent(scenario)
    try agent.setAdapters([adapter!])
    (model, session, adapter) = (nil, nil, nil)
    let decision = try await agent.decide()
    #expect(abs(decision.probabilities.reduce(0, +) - 1) < 1e-9)
    #expect(try agent.account().map { $0.label } == ["share", "keep"])
    let account = try Game(named: "ipd").account(after: Round(own: 0, other: 0))
    // Defecting on a cooperator costs 3 (arXiv 2410.01639, xi = 3).
    #expect(account.map { $0.rewards.first { $0.framework == "deontological" }!.value } == [0, -3])
    let back = try Document(decision).decode(Decision.self)
    #expect(back == decision)
}

/// The resident memory, kilobytes.
private func resident() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }!
    return Int(line.split(separator: " ").dropFirst().first!)!
}

#if os(Linux)
    @Test func theMemoryStaysFlat() async throws {
        func cycle() async throws {
            let model = try await Model(.file(modelFile))
            let session = try Session(model)
            let adapter = try Adapter(.file(adapterFile), for: model)
            let agent = try await session.agent(scenario)
            try agent.setAdapters([adapter])
            _ = try await agent.decide()
            _ = try agent.snapshot()
            _ = try agent.record()
            _ = try Game(named: "ipd").account()
        }
        for _ in 0..<10 { try await cycle() }
        let before = try resident()
        for _ in 0..<40 { try await cycle() }
        // A model takes 2 MB, and a session 20: forty of them would show.
        #expect(try resident() - before < 30_000)
    }
#endif
