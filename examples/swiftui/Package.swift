// swift-tools-version: 6.0
// A SwiftUI application. The project's workflow is meant to compile it on a Mac, for macOS, iOS and the simulator. Nothing has compiled it yet.
import PackageDescription

let package = Package(
    name: "Dilemma",
    platforms: [.macOS(.v14), .iOS(.v17)],
    dependencies: [.package(name: "Probity", path: "../../bindings/swift")],
    targets: [.executableTarget(name: "Dilemma", dependencies: [.product(name: "Probity", package: "Probity")], path: "Sources")]
)
