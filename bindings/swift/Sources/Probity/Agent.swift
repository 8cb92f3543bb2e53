import CProbity
import Foundation

/// A model with adapters in a game.
///
/// Its decisions wait for those of its session's other agents. Cancelling the task stops a decision, and leaves the agent unchanged. What
/// does not ask the model, such as ``observe(own:other:)``, does not wait: while a decision of this agent runs, it throws
/// ``Status/busy``.
///
/// ```swift
/// let decision = try await agent.decide()
/// try agent.observe(own: decision.action, other: theirs)
/// ```
public final class Agent: Sendable {
    let handle: probity_agent_t
    private let worker: Worker
    private let request: Request.Kind
    /// How many actions it has.
    public let actionCount: Int

    init(_ handle: probity_agent_t, in worker: Worker) {
        (self.handle, self.worker) = (handle, worker)
        request = Request.Kind { probity_agent_cancel(handle, nil) }
        var count = 0
        // A new agent is used by nobody else.
        probity_agent_action_count(handle, &count, nil)
        actionCount = count
    }

    /// Makes an agent in a session of its own.
    public convenience init(_ model: Model, _ scenario: Document) throws {
        var handle = probity_agent_t()
        try call { probity_agent_new(model.handle, scenario.json, &handle, $0) }
        self.init(handle, in: Worker())
    }

    /// Makes an agent from a snapshot; it continues byte for byte.
    public convenience init(_ model: Model, restoring snapshot: [UInt8], adapters: [Adapter] = []) throws {
        var handle = probity_agent_t()
        let handles = adapters.map(\.handle)
        try call { probity_agent_restore(model.handle, handles, handles.count, snapshot, snapshot.count, &handle, $0) }
        self.init(handle, in: Worker())
    }

    deinit {
        probity_agent_free(handle, nil)
    }

    /// Replaces the whole set of adapters, each with its scale.
    public func setAdapters(_ adapters: [(adapter: Adapter, scale: Float)]) throws {
        let handles = adapters.map(\.adapter.handle)
        let scales = adapters.map(\.scale)
        try call { probity_agent_set_adapters(handle, handles, scales, handles.count, $0) }
    }

    /// Replaces the whole set of adapters.
    public func setAdapters(_ adapters: [Adapter]) throws {
        try setAdapters(adapters.map { ($0, 1) })
    }

    /// Takes a decision. The history is unchanged until ``observe(own:other:)`` says what was really played.
    ///
    /// - Throws: ``ProbityError``, or `CancellationError` where the task was cancelled.
    public func decide() async throws -> Decision {
        try await ask { handle, count in
            var action: UInt32 = 0
            var probabilities = [Double](repeating: 0, count: count)
            let doubt = try call(accepting: PROBITY_STATUS_UNRELIABLE) {
                probity_agent_decide(handle, &action, &probabilities, count, $0)
            }
            return Decision(action: Int(action), probabilities: probabilities, doubt: doubt)
        }
    }

    /// The probability of each action after a last round, or in the first round.
    public func policy(after last: Round? = nil) async throws -> Policy {
        try await ask { handle, count in
            var probabilities = [Double](repeating: 0, count: count)
            var mass = 0.0
            let doubt = try withRound(last) { last in
                try call(accepting: PROBITY_STATUS_UNRELIABLE) {
                    probity_agent_policy(handle, last, &probabilities, count, &mass, $0)
                }
            }
            return Policy(probabilities: probabilities, legalityMass: mass, doubt: doubt)
        }
    }

    /// Runs what asks the model.
    private func ask<T: Sendable>(_ body: @escaping @Sendable (probity_agent_t, Int) throws -> T) async throws -> T {
        try await worker.decide(stoppedBy: request) { [self] in try body(handle, actionCount) }
    }

    /// Tells the agent what was played.
    public func observe(own: Int, other: Int) throws {
        guard let own = UInt32(exactly: own), let other = UInt32(exactly: other) else {
            throw ProbityError(status: .unknownAction, message: "actions \(own) and \(other), expected ids of the game")
        }
        try call { probity_agent_observe(handle, own, other, $0) }
    }

    /// What was played so far, the oldest round first.
    public func history() throws -> [Round] {
        var count = 0
        try call { probity_agent_history(handle, nil, 0, &count, $0) }
        var rounds = [probity_round_t](repeating: probity_round_t(), count: count)
        try call { probity_agent_history(handle, &rounds, rounds.count, &count, $0) }
        return rounds.map { Round(own: Int($0.own), other: Int($0.other)) }
    }

    /// Forgets what was played; the random stream goes on.
    public func forget() throws {
        try call { probity_agent_forget(handle, $0) }
    }

    /// The probability that the model answered the last decision with any legal action.
    public func legalityMass() throws -> Double {
        var mass = 0.0
        try call { probity_agent_legality(handle, &mass, $0) }
        return mass
    }

    /// The last decision in words.
    public func explain() throws -> String {
        try text { probity_agent_explain(handle, $0, $1) }
    }

    /// The record of the last decision: enough to take it again.
    public func record() throws -> Document {
        Document(json: try text { probity_agent_record(handle, $0, $1) })
    }

    /// The moral account of every action of the last decision.
    public func account() throws -> [ActionAccount] {
        struct Record: Decodable {
            let actions: [ActionAccount]
        }
        return try record().decode(Record.self).actions
    }

    /// The agent as bytes.
    public func snapshot() throws -> [UInt8] {
        var bytes: UnsafeMutablePointer<UInt8>?
        var length = 0
        try call { probity_agent_snapshot(handle, &bytes, &length, $0) }
        defer { probity_bytes_free(bytes, length) }
        return Array(UnsafeBufferPointer(start: bytes, count: length))
    }

    /// Stops the running decision or, where none runs, the next.
    public func cancel() throws {
        try call { probity_agent_cancel(handle, $0) }
    }
}

/// Lends a round that may be missing.
func withRound<T>(_ round: Round?, _ body: (UnsafePointer<probity_round_t>?) throws -> T) throws -> T {
    guard let round else { return try body(nil) }
    guard let own = UInt32(exactly: round.own), let other = UInt32(exactly: round.other) else {
        throw ProbityError(status: .unknownAction, message: "last round: \(round.own) and \(round.other), expected ids of the game")
    }
    var last = probity_round_t(own: own, other: other)
    return try body(&last)
}
