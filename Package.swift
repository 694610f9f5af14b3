// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "reeve",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "reeve", targets: ["reeve"])],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/swift-mustache", from: "2.1.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
    ],
    targets: [
        // Bottom to top: a target imports only what stands above it in this list.
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CSQLite", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CCompression", providers: [.apt(["zlib1g-dev", "libzstd-dev", "libsnappy-dev"])]),
        .systemLibrary(name: "CKafka", providers: [.apt(["librdkafka-dev"])]),
        .target(name: "CWebAssets"),
        .target(
            name: "Kernel",
            dependencies: [
                "CPostgres", "CSQLite",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: settings),
        .target(name: "Telemetry", dependencies: ["CCompression", "CKafka", "Kernel"], swiftSettings: settings),
        .target(
            name: "Control",
            dependencies: ["Kernel", "Telemetry", .product(name: "Mustache", package: "swift-mustache")],
            swiftSettings: settings),
        .target(
            name: "Gateway",
            dependencies: [
                "Kernel", "Telemetry",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: settings),
        .target(
            name: "Runner",
            dependencies: [
                "Kernel",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Subprocess", package: "swift-subprocess"),
            ],
            swiftSettings: settings),
        .target(
            name: "Server",
            dependencies: [
                "Control", "CWebAssets", "Gateway", "Telemetry",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: settings),
        .executableTarget(
            name: "reeve",
            dependencies: [
                "Server", "Runner", "Gateway",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: settings),

        .target(
            name: "TestSupport",
            dependencies: [
                "Server",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            path: "Tests/TestSupport",
            swiftSettings: settings),
        .testTarget(name: "KernelTests", dependencies: ["TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "TelemetryTests", dependencies: ["CKafka", "Telemetry", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "ControlTests", dependencies: ["TestSupport"], swiftSettings: settings),
        .testTarget(name: "GatewayTests", dependencies: ["Gateway", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "RunnerTests", dependencies: ["Runner", "TestSupport"], swiftSettings: settings),
        .testTarget(name: "ServerTests", dependencies: ["TestSupport"], swiftSettings: settings),
        .testTarget(
            name: "SimulationTests", dependencies: ["TestSupport"], exclude: ["regressions.txt"],
            swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
    ]
)
