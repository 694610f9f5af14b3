import Kernel
import Synchronization
import Testing

@testable import Runner

@Suite struct LogShipperTests {
    private static let now = Timestamp(microseconds: 1_800_000_000_000_000)

    @Test func aLineOfTheProgramIsARecordOfItsAgent() {
        let plain = LogLine(.info, "hello", agent: "scribe", stream: .stderr, taskID: "task_1", correlationID: "c-1")
            .record(at: Self.now)
        #expect(plain["message"]?.string == "hello")
        #expect(plain["service"]?.string == "scribe")
        #expect(plain["agent_id"]?.string == "scribe")
        #expect(plain["logger"]?.string == "stderr")
        #expect(plain["task_id"]?.string == "task_1")
        #expect(plain["correlation_id"]?.string == "c-1")
        #expect(plain["timestamp"]?.string == Self.now.rfc3339)
        let own = LogLine(.warning, "starts again", agent: "scribe").record(at: Self.now)
        #expect(own["service"]?.string == "reeve-runner")
        #expect(own["level"]?.string == "warning")
    }

    @Test func aLineOfJSONKeepsItsOwnFields() {
        let text = #"{"msg":"slow","level":"error","service":"db","ts":5,"tool":"search"}"#
        let record = LogLine(.info, text, agent: "scribe", stream: .stdout).record(at: Self.now)
        #expect(record["msg"]?.string == "slow")
        #expect(record["message"] == nil)
        #expect(record["level"]?.string == "error")
        #expect(record["service"]?.string == "db")
        #expect(record["timestamp"] == nil)
        #expect(record["agent_id"]?.string == "scribe")
        // The supervisor's own words are words, whatever they look like.
        #expect(LogLine(.info, text, agent: "scribe").record(at: Self.now)["message"]?.string == text)
        let bare = LogLine(.info, #"{"step":3}"#, agent: "scribe", stream: .stdout).record(at: Self.now)
        #expect(bare["message"]?.string == #"{"step":3}"#)
        #expect(bare["step"]?.int == 3)
    }

    @Test func aServerThatIsAwayCostsTheOldestLinesAndSaysSo() async {
        let transport = Taking()
        let client = ReeveClient(url: "http://reeve", key: "k", transport: transport)
        let shipper = LogShipper(client, waitingMax: 20)
        transport.isAway = true
        for number in 0..<25 { shipper.take(LogLine(.info, "\(number)", agent: "a", stream: .stdout), at: Self.now) }
        await shipper.finish(within: .seconds(5))
        #expect(transport.messages.isEmpty)
        transport.isAway = false
        await shipper.finish(within: .seconds(5))
        let messages = transport.messages
        #expect(messages.first?.contains("6 lines were dropped") == true)
        #expect(messages.dropFirst().map { $0 } == (6..<25).map { "\($0)" })
        await shipper.finish(within: .seconds(5))
        #expect(transport.messages.count == messages.count)
    }

    @Test func recordsThatCameLateAreShownOnceAndInTheirTurn() {
        func record(_ text: String) -> JSONValue { ["message": .string(text)] }
        var window = LogWindow([record("a")])
        #expect(window.new([record("a"), record("b")]) == [record("b")])
        #expect(window.new([record("late"), record("b"), record("c")]) == [record("late"), record("c")])
        #expect(window.new([]).isEmpty)
    }

    @Test func aTreeHasEverySpanOnce() {
        func span(_ id: String, _ parent: String?, _ name: String) -> JSONValue {
            ["spanId": .string(id), "parentSpanId": .of(parent), "name": .string(name), "durationMs": 2.0]
        }
        let text = TraceText.tree([
            span("1", nil, "root"), span("2", "1", "child"), span("3", "2", "grandchild"), span("4", "1", "second"),
            span("5", "9", "orphan"), span("6", "7", "circle"), span("7", "6", "circle back"), span("8", "8", "self"),
        ])
        let lines = text.split(separator: "\n").map { $0.dropFirst(12) }
        #expect(
            lines == [
                "root", "  child", "    grandchild", "  second", "orphan", "self", "circle", "  circle back",
            ])
    }
}

/// A server that takes logs, or is not there.
private final class Taking: Transport {
    private let state = Mutex((isAway: false, messages: [String]()))

    var isAway: Bool {
        get { state.withLock { $0.isAway } }
        set { state.withLock { $0.isAway = newValue } }
    }
    var messages: [String] { state.withLock { $0.messages } }

    func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
        if isAway { throw TransportFailure("nothing listens there") }
        let records = try JSONParser.parse(call.body ?? []).array ?? []
        state.withLock { $0.messages += records.compactMap { $0["message"]?.string } }
        return ClientReply(status: 200, headers: [:], body: Array("{}".utf8))
    }

    func stream(
        _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
    ) async throws -> ClientReply { throw TransportFailure("no streams here") }
}
