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

        fileprivate func setLate(_ now: Bool) {
            lock.withLock { late = now }
        }

        /// Whether a request came too late, and a decision was stopped by it now.
        fileprivate func takeLate() -> Bool {
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
    /// - Parameter session: Its session's requests, which stop it, too.
    func run<T>(in session: Kind, _ body: () throws -> T) throws -> T {
        guard lock.withLock({
            runs = !cancelled
            return runs
        }) else { throw CancellationError() }
        let result = Result(catching: body)
        let asked = lock.withLock {
            runs = false
            return cancelled
        }
        switch result {
        case .success(let answer):
            // No older request waits: it would have stopped this decision.
            session.setLate(false)
            kind.setLate(asked)
            return answer
        case .failure(let error as ProbityError) where error.status == .cancelled:
            if asked { throw CancellationError() }
            // A request that came too late for the decision it was meant for stops no other. The library meets the agent's first.
            guard kind.takeLate() || session.takeLate() else { throw error }
            return try run(in: session, body)
        case .failure(let error):
            if asked { kind.setLate(true) }
            throw error
        }
    }
}
