import Foundation

/// A JSON document: a scenario, a game, a record, a graph, or what the library tells of one.
///
/// ```swift
/// let scenario: Document = #"{"game": "ipd", "labels": ["share", "keep"]}"#
/// ```
public struct Document: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The document as JSON.
    public let json: String

    /// A document that is JSON already. The call that takes it checks it.
    public init(json: String) {
        self.json = json
    }

    public init(stringLiteral json: String) {
        self.json = json
    }

    /// Encodes a value as a document.
    public init(_ value: some Encodable) throws {
        json = String(decoding: try JSONEncoder().encode(value), as: UTF8.self)
    }

    /// Decodes the document.
    public func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T {
        try JSONDecoder().decode(type, from: Data(json.utf8))
    }

    public var description: String { json }
}
