import Kernel
import Synchronization
import Testing

@testable import Telemetry

/// A ClickHouse that takes everything and has nothing, or is away.
private final class StubTransport: ClickHouseTransport {
    private struct State {
        var isAway = false
        var inserts = 0
        var requests = 0
    }

    private let state = Mutex(State())

    var inserts: Int { state.withLock { $0.inserts } }
    var requests: Int { state.withLock { $0.requests } }

    func set(isAway: Bool) { state.withLock { $0.isAway = isAway } }

    func post(_ request: ClickHouseRequest) async throws(ClickHouseFault) -> ClickHouseReply {
        let isAway = state.withLock { state in
            state.requests += 1
            if !state.isAway, request.url.contains("INSERT") { state.inserts += 1 }
            return state.isAway
        }
        if isAway { throw .away("the connection could not be made") }
        return ClickHouseReply(status: 200, body: [])
    }
}

@Suite("A store that is away is tried again, more and more seldom")
struct StorePatienceTests {
    private static let begun = Timestamp(microseconds: 1_700_000_000_000_000)

    private struct Bench {
        let time = SetTime(StorePatienceTests.begun)
        let transport = StubTransport()
        let said = Said()
        let ingest: TelemetryIngest

        final class Said: Sendable {
            let lines = Mutex<[String]>([])
        }

        init(_ folder: String) throws {
            let said = said
            ingest = try TelemetryIngest(
                folder: folder, quota: 1 << 20, world: World(time: time, entropy: World.live.entropy),
                clickHouse: (try ClickHouseAddress("clickhouse://reeve:secret@127.0.0.1:1/reeve"), transport),
                onWarning: { line in said.lines.withLock { $0.append("warning: \(line)") } },
                onNotice: { line in said.lines.withLock { $0.append("notice: \(line)") } })
        }

        var lines: [String] { said.lines.withLock { $0 } }

        func take() async throws {
            var rows = LogRows()
            rows.append(LogRow.encode(LogRecord(at: 1)))
            try await ingest.take(rows, refused: [:])
        }

        /// The loop's rounds of so many seconds, four a second; says when it was tried.
        func tries(during seconds: Int) async throws -> [Timestamp] {
            var tries: [Timestamp] = []
            for _ in 0..<4 * seconds {
                let before = transport.requests
                try await ingest.flushIfDue()
                if transport.requests > before { tries.append(time.now) }
                time.set(time.now + .milliseconds(250))
            }
            return tries
        }
    }

    @Test("1, 2, 4 … 60 s lie between tries, less some jitter; it is said once, and what was taken in is not lost")
    func away() async throws {
        try await withTelemetryFolder { folder in
            let bench = try Bench(folder)
            bench.transport.set(isAway: true)
            try await bench.take()
            let tries = try await bench.tries(during: 600)
            let waits = zip(tries.dropFirst(), tries).map { $0 - $1 }
            for (index, wait) in waits.enumerated() {
                let longest = min(Span.seconds(60), Span.seconds(Int64(1) << Int64(min(index, 10))))
                // A round may come a quarter of a second late.
                #expect(wait >= longest * 0.5 && wait <= longest + .milliseconds(250), "\(index)")
            }
            #expect((14...30).contains(tries.count))
            #expect(bench.ingest.storeFailures == tries.count)
            #expect(bench.lines.count == 1)
            #expect(bench.lines.first?.hasPrefix("warning: ") == true)
            #expect(bench.lines.first?.contains("does not answer") == true)
            #expect(!bench.lines.joined().contains("secret"))
            try await bench.take()
            bench.transport.set(isAway: false)
            #expect(try await bench.tries(during: 60).count >= 1)
            #expect(bench.transport.inserts == 1)
            #expect(bench.ingest.ledgers[.logs].stored == 2)
            #expect(bench.lines.count == 2)
            #expect(bench.lines.last?.hasPrefix("notice: ") == true)
            try await bench.ingest.close()
        }
    }

    @Test("it begins anew once the store was there, and whoever must have it does not wait")
    func anew() async throws {
        try await withTelemetryFolder { folder in
            let bench = try Bench(folder)
            for _ in 0..<2 {
                bench.transport.set(isAway: true)
                try await bench.take()
                let tries = try await bench.tries(during: 40)
                #expect(tries.count >= 5)
                #expect(try await bench.ingest.forget(TelemetryRetention(Settings.Telemetry())) == 0)
                bench.transport.set(isAway: false)
                // As before an erasure, or at the end.
                try await bench.ingest.settle()
            }
            #expect(bench.transport.inserts == 2)
            #expect(bench.lines.map { $0.prefix(7) } == ["warning", "notice:", "warning", "notice:"])
            try await bench.ingest.close()
        }
    }

    @Test("a clock that was put back does not hold it up")
    func clock() {
        let time = SetTime(Self.begun)
        let patience = StorePatience(World(time: time, entropy: World.live.entropy))
        #expect(!patience.isResting)
        #expect(patience.fail())
        #expect(patience.isResting)
        time.set(Self.begun + .hours(-1))
        #expect(!patience.isResting)
        time.set(Self.begun + .seconds(2))
        #expect(!patience.isResting)
        #expect(!patience.fail())
        #expect(patience.failures == 2)
        #expect(patience.succeed() == .seconds(2))
        #expect(patience.succeed() == nil)
    }
}
