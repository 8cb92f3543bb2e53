// swift-tools-version: 6.0
// An application that uses the Swift package. The package finds the C library by pkg-config, where `make install` put it.
import PackageDescription

let package = Package(
    name: "consumer",
    platforms: [.macOS(.v13), .iOS(.v16)],
    dependencies: [.package(name: "Probity", path: "../../../bindings/swift")],
    targets: [.executableTarget(name: "play", dependencies: [.product(name: "Probity", package: "Probity")], path: "Sources")]
)
