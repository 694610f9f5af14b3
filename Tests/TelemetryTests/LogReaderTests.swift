import Kernel
import Testing

@testable import Telemetry

@Suite("Lines of logs that come in")
struct LogReaderTests {
    private static let arrival: Int64 = 1_800_000_000_000_000_000

    private static func read(_ text: String, correlationID: String? = nil) throws -> LogRecord {
        try LogReader.read(
            try JSONParser.parse(Array(text.utf8)), from: LogOrigin(arrival: arrival, correlationID: correlationID))
    }

    @Test("the schema's own names are read, and the rest is kept")
    func schema() throws {
        let record = try Self.read(
            """
            {"timestamp":"2026-11-20T08:15:30.5+00:00","level":"INFO","service":"agent-service",
             "logger":"agent.executor","message":"Tool call completed","correlation_id":"req-abc-123",
             "agent_id":"agent-prod-01","session_id":"sess-xyz-789","turn":5,"tool":"memory_search","duration_ms":142,
             "hits":[1,2],"nothing":null}
            """)
        #expect(record.time == 1_795_162_530_500_000_000)
        #expect((record.level, record.severity) == ("INFO", .info))
        #expect((record.service, record.logger) == ("agent-service", "agent.executor"))
        #expect(record.message == "Tool call completed")
        #expect((record.correlationID, record.agent) == ("req-abc-123", "agent-prod-01"))
        #expect((record.session, record.turn, record.tool) == ("sess-xyz-789", 5, "memory_search"))
        #expect(record.durationMs == 142)
        #expect(record.category == .tool)
        #expect(record.attributes.names == ["hits"])
        let shown = try #require(record.json.object)
        #expect(shown["timestamp"] == "2026-11-20T08:15:30.500000Z")
        #expect(shown["attributes"]?["hits"] == [1, 2])
        #expect(shown["trace_id"] == nil)
    }

    @Test(
        "what other loggers call it is known",
        arguments: [
            (#"{"date":1700000000.25,"log":"x"}"#, 1_700_000_000_250_000_000, "info"),
            (#"{"date":"2023-11-14T22:13:20Z","log":"x"}"#, 1_700_000_000_000_000_000, "info"),
            (#"{"time":1700000000250,"level":30,"msg":"x"}"#, 1_700_000_000_250_000_000, "info"),
            (#"{"time":1700000000250000,"level":50,"msg":"x"}"#, 1_700_000_000_250_000_000, "error"),
            (#"{"ts":"1700000000","severity":"WARNING","event":"x"}"#, 1_700_000_000_000_000_000, "WARNING"),
            (#"{"levelname":"CRITICAL","message":"x"}"#, arrival, "CRITICAL"),
        ] as [(String, Int64, String)])
    func others(_ text: String, _ time: Int64, _ level: String) throws {
        let record = try Self.read(text)
        #expect(record.message == "x")
        #expect((record.time, record.level) == (time, level))
    }

    @Test(
        "a line that cannot be taken says why",
        arguments: [
            ("[]", .notAnObject), (#""text""#, .notAnObject), ("{}", .noMessage), (#"{"message":""}"#, .noMessage),
            (#"{"message":null,"level":"info"}"#, .noMessage),
            (#"{"message":"x","timestamp":"yesterday"}"#, .badTimestamp),
            (#"{"message":"x","timestamp":-5}"#, .badTimestamp), (#"{"message":"x","timestamp":true}"#, .badTimestamp),
            (#"{"message":"x","timestamp":1e300}"#, .badTimestamp),
            (#"{"message":"x","timestamp":99999999999}"#, .badTimestamp),
            (#"{"message":"x","timestamp":99999999999.5}"#, .badTimestamp),
            (#"{"message":"x","timestamp":99999999999999}"#, .badTimestamp),
        ] as [(String, RecordFlaw)])
    func flaws(_ text: String, _ flaw: RecordFlaw) throws {
        #expect(throws: flaw) { try Self.read(text) }
    }

    @Test(
        "the category is the stated one, else goes by the level, else by the tool",
        arguments: [
            (#"{"message":"x","category":"reasoning","level":"ERROR"}"#, .reasoning),
            (#"{"message":"x","level":"ERROR","tool":"search"}"#, .error),
            (#"{"message":"x","level":"panic"}"#, .error),
            (#"{"message":"x","tool":"search"}"#, .tool), (#"{"message":"x","category":"gossip"}"#, .system),
            (#"{"message":"x"}"#, .system),
        ] as [(String, TelemetryCategory)])
    func category(_ text: String, _ category: TelemetryCategory) throws {
        #expect(try Self.read(text).category == category)
    }

    @Test("a request's correlation id serves where a line has none")
    func correlation() throws {
        #expect(try Self.read(#"{"message":"x"}"#, correlationID: "c1").correlationID == "c1")
        #expect(try Self.read(#"{"message":"x","correlation_id":"own"}"#, correlationID: "c1").correlationID == "own")
    }

    @Test("values that are no text are kept as JSON writes them")
    func values() throws {
        let record = try Self.read(#"{"message":{"a":[1,true]},"agent_id":7,"turn":"five"}"#)
        #expect(record.message == #"{"a":[1,true]}"#)
        #expect((record.agent, record.turn) == ("7", nil))
    }
}
