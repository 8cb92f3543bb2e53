import Foundation

/// The request of a cancelled task to stop its decision.
///
/// The library's request to stop is for the decision that runs or, where none runs, for the next. That of a cancelled task is for its
/// own decision alone, which waits, runs, or has ended.
final class Request: @unchecked Sendable {
    /// How to ask the library, and whether it was asked too late: the request then waits there for the next decision.
    final class Kind: @unchecked Sendable {
        fileprivate let ask: @Sendable () -> Void
        private let lock = NSLock()
        private var late = false

        init(ask: @escaping @Sendable () -> Void) {
            self.ask = ask
        }

        fileprivate func wasLate() {
            lock.withLock { late = true }
        }

        /// Whether a request came too late, and a decision was stopped by it now.
        func takeLate() -> Bool {
            lock.withLock {
                defer { late = false }
                return late
            }
        }
    }

    private let kind: Kind
    private let lock = NSLock()
    private var cancelled = false
    private var runs = false

    init(_ kind: Kind) {
        self.kind = kind
    }

    /// The task was cancelled.
    func stop() {
        lock.withLock {
            cancelled = true
            if runs { kind.ask() }
        }
    }

    /// Runs the decision, unless its task was cancelled while it waited.
    ///
    /// - Parameter stoppedByOthers: Whether a late request of another kind stopped it.
    func run<T>(stoppedByOthers: () -> Bool, _ body: () throws -> T) throws -> T {
        guard lock.withLock({
            runs = !cancelled
            return runs
        }) else { throw CancellationError() }
        let result = Result(catching: body)
        let asked = lock.withLock {
            runs = false
            return cancelled
        }
        guard case .failure(let error as ProbityError) = result, error.status == .cancelled else {
            if asked { kind.wasLate() }
            return try result.get()
        }
        if asked { throw CancellationError() }
        // A request that came too late for the decision it was meant for stops no other.
        let late = [kind.takeLate(), stoppedByOthers()]
        guard late.contains(true) else { throw error }
        return try run(stoppedByOthers: stoppedByOthers, body)
    }
}
