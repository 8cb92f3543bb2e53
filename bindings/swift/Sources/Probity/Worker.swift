import CProbity
import Dispatch
import Foundation

/// Runs calls that take long, one after the other, on a thread that Swift's tasks do not need.
final class Worker: Sendable {
    private let queue = DispatchQueue(label: "probity", qos: .userInitiated)
    /// Requests to the session whose calls it runs, if any.
    private let session: Request.Kind

    init(stop: @escaping @Sendable () -> Void = {}) {
        session = Request.Kind(ask: stop)
    }

    /// Runs a call. Where the task is cancelled, `stop` is called; the call then fails, and so does this.
    func run<T: Sendable>(stop: @escaping @Sendable () -> Void, _ body: @escaping @Sendable () throws -> T) async throws -> T {
        try Task.checkCancellation()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                queue.async { continuation.resume(with: Result(catching: body)) }
            }
        } onCancel: {
            stop()
        }
    }

    /// Runs a decision of an agent, or of the session itself, which the cancelled task stops, and no other.
    func decide<T: Sendable>(stoppedBy kind: Request.Kind? = nil, _ body: @escaping @Sendable () throws -> T) async throws -> T {
        let request = Request(kind ?? session)
        return try await run(stop: request.stop) { [session] in
            try request.run(in: session, body)
        }
    }
}

/// Tells a stream the progress of a call, and stops the call where its task was cancelled.
final class Progress: @unchecked Sendable {
    private let continuation: AsyncStream<Float>.Continuation?
    private let lock = NSLock()
    private var stopped = false

    init(_ continuation: AsyncStream<Float>.Continuation?) {
        self.continuation = continuation
    }

    func stop() {
        lock.withLock { stopped = true }
    }

    private func tell(_ share: Float) -> Bool {
        continuation?.yield(share)
        return lock.withLock { !stopped }
    }

    /// Runs a call with a C callback and its user data. The stream ends with the call.
    func run<T: Sendable>(
        on worker: Worker, _ body: @escaping @Sendable (probity_progress_t, UnsafeMutableRawPointer) throws -> T
    ) async throws -> T {
        defer { continuation?.finish() }
        return try await worker.run(stop: stop) { [self] in
            do {
                return try body(
                    { user, share in Unmanaged<Progress>.fromOpaque(user!).takeUnretainedValue().tell(share) },
                    Unmanaged.passUnretained(self).toOpaque())
            } catch let error as ProbityError where error.status == .cancelled {
                throw lock.withLock { stopped } ? CancellationError() : error
            }
        }
    }
}
