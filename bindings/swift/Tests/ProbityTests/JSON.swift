import Foundation
import Probity

/// Any JSON.
enum JSON: Codable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([JSON].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: JSON].self))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        // Seeds and ids are whole numbers, and stay so.
        case .number(let number):
            if let whole = Int64(exactly: number) { try value.encode(whole) } else { try value.encode(number) }
        case .string(let string): try value.encode(string)
        case .array(let array): try value.encode(array)
        case .object(let object): try value.encode(object)
        }
    }

    subscript(name: String) -> JSON? {
        if case .object(let fields) = self { fields[name] } else { nil }
    }

    var string: String? { if case .string(let string) = self { string } else { nil } }
    var number: Double? { if case .number(let number) = self { number } else { nil } }
    var array: [JSON]? { if case .array(let array) = self { array } else { nil } }

    /// Whether `found` is as this says: tests/conformance/README.md.
    func matches(_ found: JSON, within: Double) -> Bool {
        switch (self, found) {
        case (.object(let part), .string(let text)):
            return part["contains"]?.string.map(text.contains) ?? false
        case (.object(let expected), .object(let found)):
            return expected.allSatisfy { name, value in found[name].map { value.matches($0, within: within) } ?? false }
        case (.array(let expected), .array(let found)):
            return expected.count == found.count && zip(expected, found).allSatisfy { $0.matches($1, within: within) }
        case (.number(let expected), .number(let found)):
            return abs(expected - found) <= within
        default:
            return self == found
        }
    }
}

extension Document {
    var value: JSON { get throws { try decode(JSON.self) } }
}
