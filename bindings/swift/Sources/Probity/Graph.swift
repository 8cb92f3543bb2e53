import CProbity

/// A moral graph: a store of values, or one read from JSON. Any number of tasks may use it at once.
public final class Graph: Sendable {
    /// How values are ranked.
    public enum Method: String, Sendable {
        /// By the scores of a fit.
        case robust
        /// As published.
        case compat
    }

    let handle: probity_graph_t
    private let worker = Worker()

    /// Opens a store of values, one file, as `probity values` makes it.
    public init(opening path: String) throws {
        var handle = probity_graph_t()
        try call { probity_graph_open(path, &handle, $0) }
        self.handle = handle
    }

    /// Reads a graph from JSON; it lives in memory and takes no votes.
    public init(_ document: Document) throws {
        var handle = probity_graph_t()
        try call { probity_graph_parse(document.json, &handle, $0) }
        self.handle = handle
    }

    deinit {
        probity_graph_free(handle, nil)
    }

    /// Ranks the values, the wisest first, over all contexts or in one.
    public func rank(by method: Method = .robust, in context: String? = nil) throws -> Document {
        try withOptional(context) { context in
            Document(json: try text { probity_graph_rank(handle, method.rawValue, context, $0, $1) })
        }
    }

    /// Explains the place of a card.
    public func explain(card: String, in context: String? = nil) throws -> Document {
        try withOptional(context) { context in
            Document(json: try text { probity_graph_explain(handle, card, context, $0, $1) })
        }
    }

    /// Adds a vote to the graph's store: voter, from, to, context, answer.
    public func vote(_ vote: Document) throws {
        try call { probity_graph_vote(handle, vote.json, $0) }
    }

    /// Measures a model's threshold for the graph now; later calls with this model then need not.
    public func prepare(_ model: Model, progress: AsyncStream<Float>.Continuation? = nil) async throws {
        try await Progress(progress).run(on: worker) { [self] tell, user in
            _ = try call { probity_graph_prepare(handle, model.handle, tell, user, $0) }
        }
    }

    /// The contexts of a situation told in words, with the wisest values there. A cancelled task stops it before it begins, or not at all.
    public func situate(_ situation: String, by model: Model) async throws -> Document {
        try await worker.run(stop: {}) { [self] in
            Document(json: try text { probity_graph_situate(handle, model.handle, situation, $0, $1) })
        }
    }

    /// What the wisest values make of each action of a situation, and why.
    public func score(
        _ situation: Document, by model: Model, progress: AsyncStream<Float>.Continuation? = nil
    ) async throws -> Document {
        try await Progress(progress).run(on: worker) { [self] tell, user in
            Document(json: try text { probity_graph_score(handle, model.handle, situation.json, tell, user, $0, $1) })
        }
    }
}
