import CProbity
import Foundation

/// What a call came to: a number that keeps its meaning for good, the same in every language.
public struct Status: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The number.
    public let rawValue: Int32

    public init(rawValue: Int32) {
        self.rawValue = rawValue
    }

    /// What the number means, in a few words.
    public var description: String {
        String(cString: probity_status_text(rawValue))
    }
}

extension Status {
    /// Stopped because the caller asked for it.
    public static let cancelled = Status(rawValue: PROBITY_STATUS_CANCELLED)
    /// The object is in use by another thread.
    public static let busy = Status(rawValue: PROBITY_STATUS_BUSY)
    /// A defect of the library; the process continues, the object should be let go.
    public static let defect = Status(rawValue: PROBITY_STATUS_PANIC)
    /// Reading or writing failed.
    public static let io = Status(rawValue: PROBITY_STATUS_IO)
    /// Not a GGUF file.
    public static let notGGUF = Status(rawValue: PROBITY_STATUS_NOT_GGUF)
    /// A file that ends too early.
    public static let truncated = Status(rawValue: PROBITY_STATUS_TRUNCATED)
    /// An adapter made for another base model.
    public static let adapterMismatch = Status(rawValue: PROBITY_STATUS_ADAPTER_MISMATCH)
    /// An adapter that does not do what its manifest says, or has none.
    public static let unverified = Status(rawValue: PROBITY_STATUS_UNVERIFIED)
    /// The model and a session on it take more memory than they may.
    public static let memory = Status(rawValue: PROBITY_STATUS_MEMORY)
    /// A document that does not parse, or of another version.
    public static let document = Status(rawValue: PROBITY_STATUS_DOCUMENT)
    /// An option out of its range.
    public static let option = Status(rawValue: PROBITY_STATUS_OPTION)
    /// There is no decision yet.
    public static let noDecision = Status(rawValue: PROBITY_STATUS_NO_DECISION)
    /// An action the game does not have.
    public static let unknownAction = Status(rawValue: PROBITY_STATUS_UNKNOWN_ACTION)
    /// No catalogue game of that name.
    public static let unknownGame = Status(rawValue: PROBITY_STATUS_UNKNOWN_GAME)
}

/// A call failed.
public struct ProbityError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What it came to.
    public let status: Status
    /// One line: what was wrong, where, and what would be right.
    public let message: String

    public var description: String { message }
}

extension ProbityError: LocalizedError {
    /// The message.
    public var errorDescription: String? { message }
}

/// Makes a call of the C library.
///
/// - Returns: The status: `PROBITY_STATUS_OK`, or `accepted` with the error's message.
@discardableResult
func call(
    accepting accepted: probity_status_t = PROBITY_STATUS_OK,
    _ body: (UnsafeMutablePointer<probity_error_t>) -> probity_status_t
) throws -> String? {
    var error = probity_error_t()
    let status = body(&error)
    if status == PROBITY_STATUS_OK { return nil }
    let message = withUnsafeBytes(of: &error.message) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if status == accepted { return message }
    throw ProbityError(status: Status(rawValue: status), message: message)
}

/// Makes a call that returns a string, and frees it.
func text(_ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<probity_error_t>) -> probity_status_t) throws
    -> String
{
    var text: UnsafeMutablePointer<CChar>?
    try call { body(&text, $0) }
    defer { probity_string_free(text) }
    return text.map { String(cString: $0) } ?? ""
}

/// Lends a text that may be missing.
func withOptional<T>(_ text: String?, _ body: (UnsafePointer<CChar>?) throws -> T) rethrows -> T {
    guard let text else { return try body(nil) }
    return try text.withCString(body)
}
