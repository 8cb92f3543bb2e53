// swift-tools-version: 6.0
import Foundation
import PackageDescription

// An application for Apple's phones brings the library as an XCFramework (scripts/xcframework.sh). Elsewhere pkg-config finds it, as
// `make install` puts it there.
let framework = ProcessInfo.processInfo.environment["PROBITY_XCFRAMEWORK"]
let library: Target = framework.map { .binaryTarget(name: "CProbity", path: $0) }
    ?? .systemLibrary(name: "CProbity", path: "Sources/CProbity", pkgConfig: "probity")

let package = Package(
    name: "Probity",
    platforms: [.macOS(.v13), .iOS(.v16)],
    products: [
        .library(name: "Probity", targets: ["Probity"]),
        .executable(name: "decide", targets: ["decide"]),
    ],
    targets: [
        library,
        .target(name: "Probity", dependencies: ["CProbity"]),
        .executableTarget(name: "decide", dependencies: ["Probity"]),
        .testTarget(name: "ProbityTests", dependencies: ["Probity"]),
    ]
)
