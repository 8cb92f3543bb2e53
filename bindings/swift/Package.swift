// swift-tools-version: 6.0
import Foundation
import PackageDescription

// PROBITY_XCFRAMEWORK names an XCFramework of the library, which scripts/xcframework.sh builds on a Mac. Otherwise pkg-config finds the
// library, where `make install` put it.
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
        .target(name: "Probity", dependencies: ["CProbity"], resources: [.copy("PrivacyInfo.xcprivacy")]),
        .executableTarget(name: "decide", dependencies: ["Probity"]),
        .testTarget(name: "ProbityTests", dependencies: ["Probity"]),
    ]
)
