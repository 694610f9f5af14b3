import Foundation
import Kernel
import Server
import Testing

@testable import Telemetry

/// A store that tests run against: the files always, and ClickHouse where `REEVE_TEST_CLICKHOUSE` has the address of
/// one, as `script/clickhouse-server start DIR` prints it.
enum TestStore: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case files, clickHouse

    struct Failure: Error, CustomStringConvertible { let description: String }

    static let address = ProcessInfo.processInfo.environment["REEVE_TEST_CLICKHOUSE"].flatMap { $0.isEmpty ? nil : $0 }

    static var available: [TestStore] { address == nil ? [.files] : [.files, .clickHouse] }

    var testDescription: String { rawValue }

    /// A folder of its own for telemetry; in ClickHouse a database of its own.
    func withFolder<Value: Sendable>(_ body: (String) async throws -> Value) async throws -> Value {
        try await withTelemetryFolder { folder in
            guard self == .clickHouse else { return try await body(folder) }
            let database = Self.database(of: folder)
            try await Self.run("CREATE DATABASE \(database)")
            do {
                let value = try await body(folder)
                try await Self.run("DROP DATABASE \(database)")
                return value
            } catch {
                try? await Self.run("DROP DATABASE \(database)")
                throw error
            }
        }
    }

    /// - Parameter transport: The way to ClickHouse, to put faults into it.
    func ingest(
        _ folder: String, quota: Int, world: World, transport: any ClickHouseTransport = HTTPClickHouse(),
        waitingBytesMax: Int = TelemetryIngest.waitingBytesMax
    ) throws -> TelemetryIngest {
        let clickHouse = self == .files ? nil : try Self.clickHouse(folder)
        return try TelemetryIngest(
            folder: folder, quota: quota, world: world, clickHouse: clickHouse.map { ($0, transport) },
            waitingBytesMax: waitingBytesMax)
    }

    static func clickHouse(_ folder: String) throws -> ClickHouseAddress {
        guard let address, var parts = URLComponents(string: address) else {
            throw Failure(description: "REEVE_TEST_CLICKHOUSE is not set")
        }
        parts.path = "/\(database(of: folder))"
        return try ClickHouseAddress(parts.string ?? "")
    }

    /// A connection without a database of its own.
    static func run(_ statement: String) async throws {
        let connection = ClickHouseConnection(
            try ClickHouseAddress(address ?? ""), transport: HTTPClickHouse(), entropy: World.live.entropy)
        try await connection.run(statement: statement)
    }

    private static func database(of folder: String) -> String {
        "reeve_test_\(Digest.sha256(folder).prefix(16))"
    }
}
