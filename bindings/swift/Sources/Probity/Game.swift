import CProbity

/// A matrix game of two players. Any number of tasks may use it at once.
///
/// ```swift
/// let account = try Game(named: "ipd").account(after: Round(own: 0, other: 0))
/// ```
public final class Game: Sendable {
    let handle: probity_game_t

    /// A game of the catalogue, such as "ipd".
    public init(named name: String) throws {
        var handle = probity_game_t()
        try call { probity_game_named(name, &handle, $0) }
        self.handle = handle
    }

    /// Reads a game from its JSON form.
    public init(_ document: Document) throws {
        var handle = probity_game_t()
        try call { probity_game_parse(document.json, &handle, $0) }
        self.handle = handle
    }

    /// Makes a game; action 0 of each player counts as cooperation.
    ///
    /// - Parameter payoffs: For each row and column the row player's points and the column player's.
    public init(name: String, payoffs: [[(row: Double, column: Double)]], rowLabels: [String], columnLabels: [String]) throws {
        let flat = payoffs.flatMap { $0.flatMap { [$0.row, $0.column] } }
        guard payoffs.count == rowLabels.count, payoffs.allSatisfy({ $0.count == columnLabels.count }) else {
            let message = "payoffs: expected \(rowLabels.count) rows of \(columnLabels.count)"
            throw ProbityError(status: Status(rawValue: PROBITY_STATUS_GAME_SHAPE), message: message)
        }
        var handle = probity_game_t()
        _ = try withCStrings(rowLabels) { rows in
            try withCStrings(columnLabels) { columns in
                try call { probity_game_new(name, rowLabels.count, columnLabels.count, flat, rows, columns, &handle, $0) }
            }
        }
        self.handle = handle
    }

    deinit {
        probity_game_free(handle, nil)
    }

    /// The game in its JSON form.
    public func document() throws -> Document {
        Document(json: try text { probity_game_json(handle, $0, $1) })
    }

    /// The moral account of the row player's actions.
    ///
    /// - Parameter belief: A probability for each of the other player's actions; equal ones where it is missing.
    public func account(after last: Round? = nil, belief: [Double]? = nil) throws -> [ActionAccount] {
        try accountDocument(after: last, belief: belief).decode([ActionAccount].self)
    }

    /// The same as a document.
    public func accountDocument(after last: Round? = nil, belief: [Double]? = nil) throws -> Document {
        try withRound(last) { last in
            Document(json: try text { probity_game_account(handle, last, belief, belief?.count ?? 0, $0, $1) })
        }
    }
}

/// Lends an array of strings.
private func withCStrings<T>(_ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) throws -> T) rethrows -> T {
    let all = strings.map { Array($0.utf8CString) }
    let joined = all.flatMap { $0 }
    return try joined.withUnsafeBufferPointer { joined in
        var pointers: [UnsafePointer<CChar>?] = []
        var at = joined.baseAddress!
        for string in all {
            pointers.append(at)
            at += string.count
        }
        return try body(pointers)
    }
}
