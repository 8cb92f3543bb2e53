import CProbity

/// Memory, bytes.
public struct Plan: Hashable, Sendable, Codable {
    /// The weights, once for all sessions of the model.
    public let weights: UInt64
    /// The cache of keys and values.
    public let cache: UInt64
    /// The buffers of a decode and its outputs.
    public let buffers: UInt64

    init(_ plan: probity_plan_t) {
        (weights, cache, buffers) = (plan.weights, plan.cache, plan.buffers)
    }
}

/// How a model is opened.
public struct ModelOptions: Sendable, Codable, Hashable {
    /// Blocks that a GPU computes.
    public var gpuLayers: UInt32 = 0
    /// Maps the file instead of reading it: truncating a mapped file while the model lives kills the process.
    public var mmap = false

    public init() {}

    private enum CodingKeys: String, CodingKey {
        case gpuLayers = "gpu_layers"
        case mmap
    }
}

/// A GGUF model. Any number of tasks may use it at once.
///
/// ```swift
/// let model = try await Model(.file("model.gguf"))
/// ```
public final class Model: Sendable {
    let handle: probity_model_t

    /// Opens a model.
    ///
    /// - Parameter progress: Is told the share loaded, 0 to 1, and finished at the end.
    /// - Throws: ``ProbityError``, or `CancellationError` where the task was cancelled.
    public init(
        _ source: Source, options: ModelOptions = ModelOptions(), progress: AsyncStream<Float>.Continuation? = nil
    ) async throws {
        let options = try Document(options).json
        handle = try await Progress(progress).run(on: Worker()) { tell, user in
            var handle = probity_model_t()
            try source.lend(keeps: true) { source in
                try call { probity_model_open_source(source, options, tell, user, &handle, $0) }
            }
            return handle
        }
    }

    deinit {
        probity_model_free(handle, nil)
    }

    /// Path, fingerprint, shape, and the presence of a chat template.
    public func info() throws -> Document {
        Document(json: try text { probity_model_info(handle, $0, $1) })
    }

    /// The memory of the model and a session on it.
    public func plan(_ options: SessionOptions = SessionOptions()) throws -> Plan {
        var plan = probity_plan_t()
        var options = options.c
        try call { probity_session_plan(handle, &options, &plan, $0) }
        return Plan(plan)
    }

    /// The memory of a model and a session on it, before anything takes it.
    public static func plan(_ source: Source, _ options: SessionOptions = SessionOptions()) throws -> Plan {
        var plan = probity_plan_t()
        var options = options.c
        try source.lend(keeps: false) { source in
            try call { probity_model_plan(source, nil, &options, &plan, $0) }
        }
        return Plan(plan)
    }
}

/// A LoRA adapter of a model. Any number of tasks may use it at once.
public final class Adapter: Sendable {
    let handle: probity_adapter_t

    /// Loads an adapter for a model.
    ///
    /// - Throws: ``ProbityError``, such as ``Status/adapterMismatch`` for an adapter of another model.
    public init(_ source: Source, for model: Model) throws {
        var handle = probity_adapter_t()
        try source.lend(keeps: true) { source in
            try call { probity_adapter_load_source(model.handle, source, &handle, $0) }
        }
        self.handle = handle
    }

    deinit {
        probity_adapter_free(handle, nil)
    }

    /// Path, fingerprint, shape and manifest.
    public func info() throws -> Document {
        Document(json: try text { probity_adapter_info(handle, $0, $1) })
    }

    /// Takes the decisions that the adapter's manifest records again.
    ///
    /// - Parameter progress: Is told the share done, 0 to 1, and finished at the end.
    /// - Throws: ``Status/unverified`` where a probability differs; `CancellationError`.
    public func verify(progress: AsyncStream<Float>.Continuation? = nil) async throws {
        try await Progress(progress).run(on: Worker()) { [handle] tell, user in
            _ = try call { probity_adapter_verify_with_progress(handle, tell, user, $0) }
        }
        _ = self
    }
}
