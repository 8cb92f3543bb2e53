// Rounds of the prisoner's dilemma against a person, with the account of every decision.
import Probity
import SwiftUI
import UniformTypeIdentifiers

@main
struct Dilemma: App {
    @State private var game = Play()

    var body: some Scene {
        WindowGroup {
            PlayView(game: game)
        }
    }
}

/// One game with an agent.
@MainActor @Observable
final class Play {
    static let labels = ["share", "keep"]

    struct Round: Identifiable {
        let id: Int
        let decision: Decision
        let theirs: Int
        let why: String
    }

    private(set) var rounds: [Round] = []
    private(set) var loaded: Float?
    private(set) var thinking = false
    var problem: String?
    private var agent: Agent?
    private var answer: Task<Void, Never>?

    var isReady: Bool { agent != nil && !thinking }

    /// Opens a model, and under it an adapter if one is given.
    func open(_ model: URL, adapter: URL?) {
        let (progress, told) = AsyncStream.makeStream(of: Float.self)
        Task { for await share in progress { loaded = share } }
        Task {
            do {
                let model = try await Model(.file(model.path), progress: told)
                let session = try Session(model)
                let agent = try await session.agent(#"{"game": "ipd", "labels": ["share", "keep"]}"#)
                if let adapter { try agent.setAdapters([Adapter(.file(adapter.path), for: model)]) }
                (self.agent, rounds, loaded) = (agent, [], nil)
            } catch {
                (problem, loaded) = (error.localizedDescription, nil)
            }
        }
    }

    /// The person's action; the agent answers without having seen it.
    func play(_ theirs: Int) {
        guard let agent else { return }
        thinking = true
        answer = Task {
            defer { thinking = false }
            do {
                let decision = try await agent.decide()
                let why = try agent.explain()
                try agent.observe(own: decision.action, other: theirs)
                rounds.append(Round(id: rounds.count + 1, decision: decision, theirs: theirs, why: why))
            } catch is CancellationError {
                return
            } catch {
                problem = error.localizedDescription
            }
        }
    }

    /// Stops the decision that is being taken.
    func stop() { answer?.cancel() }
}

struct PlayView: View {
    @Bindable var game: Play
    @State private var choosing = false

    var body: some View {
        VStack(alignment: .leading) {
            List(game.rounds) { round in
                DisclosureGroup {
                    Text(round.why).font(.callout)
                } label: {
                    HStack {
                        Text("Round \(round.id): \(Play.labels[round.decision.action]), you \(Play.labels[round.theirs])")
                        Spacer()
                        ProgressView(value: round.decision.probabilities[round.decision.action]).frame(width: 80)
                    }
                }
            }
            if let share = game.loaded { ProgressView("Opening the model", value: share) }
            HStack {
                Button("Open a model…") { choosing = true }
                Spacer()
                if game.thinking {
                    Button("Stop", action: game.stop)
                } else {
                    ForEach(Play.labels.indices, id: \.self) { action in
                        Button(Play.labels[action]) { game.play(action) }.disabled(!game.isReady)
                    }
                }
            }
        }
        .padding()
        .fileImporter(isPresented: $choosing, allowedContentTypes: [.data], allowsMultipleSelection: true) { chosen in
            // The larger file is the model, the other its adapter.
            guard case .success(let files) = chosen else { return }
            let size = { (file: URL) in (try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize) ?? 0 }
            let sorted = files.filter { $0.startAccessingSecurityScopedResource() }.sorted { size($0) > size($1) }
            if let model = sorted.first { game.open(model, adapter: sorted.dropFirst().first) }
        }
        .alert("The call failed", isPresented: Binding(get: { game.problem != nil }, set: { if !$0 { game.problem = nil } })) {
        } message: {
            Text(game.problem ?? "")
        }
    }
}
