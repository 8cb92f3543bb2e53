import Foundation
import Testing

@testable import Probity

/// A call that Swift cannot write: the object is gone, or the type forbids it.
private struct LeftOut: Error {}

/// What earlier calls made, by name.
private struct Runner {
    var games: [String: Game] = [:]
    var models: [String: Model] = [:]
    var adapters: [String: Adapter] = [:]
    var sessions: [String: Session] = [:]
    var agents: [String: Agent] = [:]
    var graphs: [String: Graph] = [:]
    var documents: [String: Document] = [:]
    var snapshots: [String: [UInt8]] = [:]

    /// What a call gave: its outputs, and why they are not to be relied on.
    typealias Given = (gives: [String: JSON], doubt: String?)

    func the<T>(_ all: [String: T], _ with: JSON, _ kind: String) throws -> T {
        guard let object = all[with[kind]!.string!] else { throw LeftOut() }
        return object
    }

    /// A document: a text as it stands, an earlier call's, or a value.
    func document(_ argument: JSON) throws -> Document {
        if case .string(let text) = argument { return Document(json: text) }
        if case .object(let fields) = argument, fields.count == 1, let name = fields["text"]?.string { return documents[name]! }
        return try Document(argument)
    }

    func bytes(_ argument: JSON) -> [UInt8] {
        var bytes = snapshots[argument["bytes"]!.string!]!
        if let flip = argument["flip"]?.number { bytes[Int(flip)] ^= 4 }
        return bytes.dropLast(Int(argument["cut"]?.number ?? 0))
    }

    func set(_ with: JSON) throws -> [(adapter: Adapter, scale: Float)] {
        try with["adapters"]!.array!.enumerated().map { place, name in
            guard let adapter = adapters[name.string!] else { throw LeftOut() }
            return (adapter, Float(with["scales"]?.array?[place].number ?? 1))
        }
    }

    func last(_ with: JSON) -> Round? {
        with["last"]?.array.map { Round(own: Int($0[0].number!), other: Int($0[1].number!)) }
    }

    func options(_ options: JSON?) throws -> SessionOptions {
        var made = SessionOptions()
        made.context = UInt32(options?["context"]?.number ?? 0)
        made.threads = UInt32(options?["threads"]?.number ?? 0)
        made.memory = UInt64(options?["memory"]?.number ?? 0)
        guard let seeds = SessionOptions.Seeds(rawValue: UInt32(options?["seeds"]?.number ?? 0)) else { throw LeftOut() }
        made.seeds = seeds
        made.exactCache = options?["exact_cache"]?.number == 1
        return made
    }

    /// Uses a source; a descriptor is closed behind it.
    func withSource<T>(_ with: JSON, _ use: (Source) async throws -> T) async throws -> T {
        let wanted = with["source"]!
        let file = wanted["path"].map { path($0.string!) } ?? ""
        let (offset, length) = (UInt64(wanted["offset"]?.number ?? 0), UInt64(wanted["length"]?.number ?? 0))
        switch wanted["kind"]!.string! {
        case "memory":
            var bytes = try wanted["hex"].map { hex in
                let digits = Array(hex.string!)
                return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
            } ?? Array(Data(contentsOf: URL(fileURLWithPath: file)))
            if length > 0 { bytes = Array(bytes.prefix(Int(length))) }
            return try await use(.memory(bytes))
        case "descriptor":
            let opened = try FileHandle(forReadingFrom: URL(fileURLWithPath: file))
            defer { try? opened.close() }
            return try await use(.descriptor(opened.fileDescriptor, offset: offset, length: length))
        default:
            return try await use(.file(file, offset: offset, length: length))
        }
    }

    /// Runs a call with progress that stops, where the file says so: in a task that is cancelled.
    func stopping<T: Sendable>(
        _ with: JSON, _ body: @escaping @Sendable (AsyncStream<Float>.Continuation?) async throws -> T
    ) async throws -> T {
        guard with["progress"]?.string == "stop" else { return try await body(nil) }
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await body(nil)
        }
        return try await task.value
    }

    mutating func call(_ name: String, _ with: JSON, as made: String) async throws -> Given {
        func told(_ document: Document) throws -> Given { (["json": try document.value], nil) }
        func numbers(_ values: [Double]) -> JSON { .array(values.map(JSON.number)) }
        func plan(_ plan: Plan) throws -> Given { (["plan": try Document(plan).value], nil) }
        switch name {
        case "game_named": games[made] = try Game(named: with["name"]!.string!)
        case "game_parse": games[made] = try Game(document(with["json"]!))
        case "game_new":
            let rows = with["payoffs"]!.array!.map { row in
                row.array!.map { cell in (row: cell.array![0].number!, column: cell.array![1].number!) }
            }
            let labels = ["row_labels", "column_labels"].map { with[$0]!.array!.map { $0.string! } }
            games[made] = try Game(name: with["name"]!.string!, payoffs: rows, rowLabels: labels[0], columnLabels: labels[1])
        case "game_json":
            let document = try the(games, with, "game").document()
            documents[made] = document
            return try told(document)
        case "game_account":
            let belief = with["belief"]?.array?.map { $0.number! }
            return try told(the(games, with, "game").accountDocument(after: last(with), belief: belief))

        case "model_open":
            var options = ModelOptions()
            if case .object(let given) = with["options"] {
                guard Array(given.keys) == ["mmap"] else { throw LeftOut() }
                options.mmap = given["mmap"] == .bool(true)
            }
            models[made] = try await Model(.file(path(with["path"]!.string!)), options: options)
        case "model_open_source":
            models[made] = try await withSource(with) { source in
                try await stopping(with) { try await Model(source, progress: $0) }
            }
        case "model_plan":
            let options = try options(with["session_options"])
            return try plan(await withSource(with) { try Model.plan($0, options) })
        case "model_info": return try told(the(models, with, "model").info())

        case "adapter_load":
            adapters[made] = try Adapter(.file(path(with["path"]!.string!)), for: the(models, with, "model"))
        case "adapter_load_source":
            let model = try the(models, with, "model")
            adapters[made] = try await withSource(with) { try Adapter($0, for: model) }
        case "adapter_info": return try told(the(adapters, with, "adapter").info())
        case "adapter_verify":
            let adapter = try the(adapters, with, "adapter")
            try await stopping(with) { try await adapter.verify(progress: $0) }

        case "session_new": sessions[made] = try Session(the(models, with, "model"), options: options(with["options"]))
        case "session_plan": return try plan(the(models, with, "model").plan(options(with["options"])))
        case "session_retake":
            let (session, set) = (try the(sessions, with, "session"), try set(with).map(\.adapter))
            let (record, same) = try await session.retake(document(with["record"]!), adapters: set)
            documents[made] = record
            return (["same": .bool(same)], nil)
        case "session_cancel": try the(sessions, with, "session").cancel()

        case "agent_new": agents[made] = try Agent(the(models, with, "model"), document(with["scenario"]!))
        case "agent_join": agents[made] = try await the(sessions, with, "session").agent(document(with["scenario"]!))
        case "agent_play":
            let game = try the(games, with, "game")
            agents[made] = try await the(sessions, with, "session").play(game, seed: UInt64(with["seed"]!.number!))
        case "agent_set_adapters": try the(agents, with, "agent").setAdapters(set(with))
        case "agent_action_count": return (["count": .number(Double(try the(agents, with, "agent").actionCount))], nil)
        case "agent_decide":
            let decision = try await the(agents, with, "agent").decide()
            let gives = ["action": .number(Double(decision.action)), "probabilities": numbers(decision.probabilities)]
            return (gives, decision.doubt)
        case "agent_legality": return (["legality_mass": .number(try the(agents, with, "agent").legalityMass())], nil)
        case "agent_policy":
            let policy = try await the(agents, with, "agent").policy(after: last(with))
            let gives = ["probabilities": numbers(policy.probabilities), "legality_mass": .number(policy.legalityMass)]
            return (gives, policy.doubt)
        case "agent_observe":
            try the(agents, with, "agent").observe(own: Int(with["own"]!.number!), other: Int(with["other"]!.number!))
        case "agent_history":
            let rounds = try the(agents, with, "agent").history().map { numbers([Double($0.own), Double($0.other)]) }
            return (["rounds": .array(rounds)], nil)
        case "agent_forget": try the(agents, with, "agent").forget()
        case "agent_explain": return (["words": .string(try the(agents, with, "agent").explain())], nil)
        case "agent_record":
            let record = try the(agents, with, "agent").record()
            documents[made] = record
            return try told(record)
        case "agent_cancel": try the(agents, with, "agent").cancel()
        case "agent_snapshot": snapshots[made] = try the(agents, with, "agent").snapshot()
        case "agent_restore":
            let (model, set) = (try the(models, with, "model"), try set(with).map(\.adapter))
            agents[made] = try Agent(model, restoring: bytes(with["bytes"]!), adapters: set)
        case "agent_rejoin":
            let (session, set) = (try the(sessions, with, "session"), try set(with).map(\.adapter))
            agents[made] = try await session.restore(bytes(with["bytes"]!), adapters: set)

        case "graph_open": graphs[made] = try Graph(opening: path(with["path"]!.string!))
        case "graph_parse": graphs[made] = try Graph(document(with["json"]!))
        case "graph_rank":
            guard let method = Graph.Method(rawValue: with["method"]?.string ?? "robust") else { throw LeftOut() }
            return try told(the(graphs, with, "graph").rank(by: method, in: with["context"]?.string))
        case "graph_explain":
            return try told(the(graphs, with, "graph").explain(card: with["card"]!.string!, in: with["context"]?.string))
        case "graph_vote": try the(graphs, with, "graph").vote(document(with["vote"]!))
        case "graph_situate":
            let model = try the(models, with, "model")
            return try told(await the(graphs, with, "graph").situate(with["situation"]!.string!, by: model))
        case "graph_score":
            let model = try the(models, with, "model")
            return try told(await the(graphs, with, "graph").score(document(with["situation"]!), by: model))

        case "game_free": guard games.removeValue(forKey: with["game"]!.string!) != nil else { throw LeftOut() }
        case "model_free": guard models.removeValue(forKey: with["model"]!.string!) != nil else { throw LeftOut() }
        case "adapter_free": guard adapters.removeValue(forKey: with["adapter"]!.string!) != nil else { throw LeftOut() }
        case "session_free": guard sessions.removeValue(forKey: with["session"]!.string!) != nil else { throw LeftOut() }
        case "agent_free": guard agents.removeValue(forKey: with["agent"]!.string!) != nil else { throw LeftOut() }
        case "graph_free": guard graphs.removeValue(forKey: with["graph"]!.string!) != nil else { throw LeftOut() }
        default: Issue.record("no such call: \(name)")
        }
        return ([:], nil)
    }
}

/// The statuses' names, read off the C header.
private let statuses: [String: Int32] = {
    let header = try! String(contentsOfFile: path("include/probity.h"), encoding: .utf8)
    var named: [String: Int32] = [:]
    for line in header.split(separator: "\n") where line.hasPrefix("#define PROBITY_STATUS_") {
        let words = line.dropFirst("#define PROBITY_STATUS_".count).split(separator: " ")
        named[String(words[0])] = Int32(words[1])
    }
    return named
}()

@Test(arguments: ["decisions", "exact", "files", "games", "graphs", "records"])
func swiftGivesWhatTheFileSays(_ name: String) async throws {
    let text = try String(contentsOfFile: path("tests/conformance/\(name).json"), encoding: .utf8)
    var runner = Runner()
    var leftOut = 0
    let document = try Document(json: text).value
    let within = document["within"]?.number ?? 1e-3
    for (place, line) in document["calls"]!.array!.enumerated() {
        var given: Runner.Given = ([:], nil)
        var (status, message) = (PROBITY_OK, "")
        do {
            given = try await runner.call(line["call"]!.string!, line["with"]!, as: line["as"]?.string ?? "")
            if let doubt = given.doubt { (status, message) = (statuses["UNRELIABLE"]!, doubt) }
        } catch is LeftOut {
            leftOut += 1
            continue
        } catch is CancellationError {
            status = Status.cancelled.rawValue
        } catch let error as ProbityError {
            (status, message) = (error.status.rawValue, error.message)
        }
        let told = "call \(place + 1) of \(name): \(line)\n    gave \(status) (\(message)) \(given.gives)"
        #expect(status == statuses[line["fails"]?.string ?? "OK"], Comment(rawValue: told))
        if let says = line["says"]?.string { #expect(message.contains(says), Comment(rawValue: told)) }
        if let gives = line["gives"] {
            #expect(gives.matches(.object(given.gives), within: within), Comment(rawValue: told))
        }
    }
    // Calls on objects that were let go, and options that a type forbids.
    #expect(leftOut <= 3)
}

private let PROBITY_OK: Int32 = 0
