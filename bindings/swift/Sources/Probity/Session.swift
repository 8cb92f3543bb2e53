import CProbity

/// Options of a session.
public struct SessionOptions: Sendable, Hashable {
    /// Which random stream a session gives an agent.
    public enum Seeds: UInt32, Sendable {
        /// The stream of the scenario's seed.
        case scenario
        /// Of the scenario's seed, the stream of the agent's number in the session.
        case numbered
    }

    /// The least legality mass of a reliable decision.
    public enum Floor: Sendable, Hashable {
        /// The default of the library.
        case standard
        /// This legality mass, above 0 to 1.
        case at(Double)
        /// Every decision counts as reliable.
        case off
    }

    /// Tokens of prompt and labels together; 0 for 2048 or the model's training length.
    public var context: UInt32 = 0
    /// Threads; 0 for as many as the processor has and the model keeps busy.
    public var threads: UInt32 = 0
    /// Most bytes of weights, cache and buffers together; 0 for the library's limit.
    public var memory: UInt64 = 0
    /// The random streams of its agents.
    public var seeds = Seeds.scenario
    /// Keeps the cache in 32 bits in place of 16.
    public var exactCache = false
    /// The floor of scenarios that name none.
    public var legalityFloor = Floor.standard

    public init() {}

    var c: probity_session_options_t {
        var options = probity_session_options_t()
        options.size = MemoryLayout<probity_session_options_t>.size
        (options.context, options.threads, options.memory) = (context, threads, memory)
        (options.seeds, options.exact_cache) = (seeds.rawValue, exactCache ? 1 : 0)
        switch legalityFloor {
        case .standard: options.legality_floor = 0
        case .at(let floor): options.legality_floor = floor
        case .off: options.legality_floor = -1
        }
        return options
    }
}

/// A model's context, shared by any number of agents. It takes one decision at a time.
///
/// ```swift
/// let session = try Session(model)
/// let agent = try await session.agent(#"{"game": "ipd", "labels": ["share", "keep"], "seed": 7}"#)
/// ```
public actor Session {
    nonisolated let handle: probity_session_t
    nonisolated let worker: Worker
    /// The model lives as long as a session on it.
    nonisolated let model: Model

    /// Makes a session on a model.
    public init(_ model: Model, options: SessionOptions = SessionOptions()) throws {
        var (handle, options) = (probity_session_t(), options.c)
        try call { probity_session_new(model.handle, &options, &handle, $0) }
        (self.handle, self.model) = (handle, model)
        worker = Worker { [handle] in probity_session_cancel(handle, nil) }
    }

    deinit {
        probity_session_free(handle, nil)
    }

    /// Makes an agent.
    public func agent(_ scenario: Document) throws -> Agent {
        var agent = probity_agent_t()
        try call { probity_agent_join(handle, scenario.json, &agent, $0) }
        return Agent(agent, in: worker)
    }

    /// Makes an agent for a game, as its row player.
    public func play(_ game: Game, seed: UInt64 = 0) throws -> Agent {
        var agent = probity_agent_t()
        try call { probity_agent_play(handle, game.handle, seed, &agent, $0) }
        return Agent(agent, in: worker)
    }

    /// Makes an agent from a snapshot; it continues byte for byte.
    public func restore(_ snapshot: [UInt8], adapters: [Adapter] = []) throws -> Agent {
        var agent = probity_agent_t()
        let handles = adapters.map(\.handle)
        try call { probity_agent_rejoin(handle, handles, handles.count, snapshot, snapshot.count, &agent, $0) }
        return Agent(agent, in: worker)
    }

    /// Takes a recorded decision again: the new record, and whether it equals the given one.
    ///
    /// - Throws: ``ProbityError``, or `CancellationError` where the task was cancelled.
    public nonisolated func retake(_ record: Document, adapters: [Adapter] = []) async throws -> (record: Document, same: Bool) {
        try await worker.decide { [handle] in
            let handles = adapters.map(\.handle)
            var same = false
            let again = try text { probity_session_retake(handle, handles, handles.count, record.json, &same, $0, $1) }
            return (Document(json: again), same)
        }
    }

    /// Stops the running decision of any of its agents or, where none runs, the next.
    public nonisolated func cancel() throws {
        try call { probity_session_cancel(handle, $0) }
    }
}
