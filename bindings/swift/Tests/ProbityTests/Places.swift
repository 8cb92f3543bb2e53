import Foundation

/// The root of the repository.
let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

/// A file of the repository.
func path(_ file: String) -> String {
    root.appendingPathComponent(file).path
}

/// The built-in model and one of its adapters.
let modelFile = path("models/default.gguf")
let adapterFile = path("models/deontological.gguf")
