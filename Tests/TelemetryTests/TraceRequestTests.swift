import Kernel
import Testing

@testable import Telemetry

@Suite("Spans that come in")
struct TraceRequestTests {
    @Test("a span's head is read from both forms of the protocol")
    func head() throws {
        let parent: JSONValue = ["parentSpanId": "00f067aa0ba902b7", "status": ["code": 2, "message": "no"]]
        let (heads, flaws) = try SpanSamples.read(
            SpanSamples.request([SpanSamples.span("00f067aa0ba902b8", "chat", more: parent)]))
        #expect(flaws.isEmpty)
        let head = try #require(heads.first)
        #expect(head.traceID.description == SpanSamples.traceID)
        #expect(head.spanID.description == "00f067aa0ba902b8")
        #expect(head.parentID?.description == "00f067aa0ba902b7")
        #expect((head.name, head.service) == ("chat", "agent-service"))
        #expect(head.startedAt == 1_700_000_000_000_000_000)
        #expect(head.endedAt - head.startedAt == 250_000_000)
        #expect((head.status, head.category) == (.error, .error))
    }

    @Test("one span that cannot be taken costs the others nothing")
    func partial() throws {
        let good = SpanSamples.span("00f067aa0ba902b8")
        func bad(_ name: String, _ value: JSONValue) -> JSONValue {
            SpanSamples.span("00f067aa0ba902b9", more: .object(JSONObject([.init(name: name, value: value)])))
        }
        let spans = [
            bad("traceId", "00000000000000000000000000000000"), bad("traceId", "4bf9"), bad("traceId", "xyz"),
            bad("spanId", "0000000000000000"), bad("spanId", ""), bad("name", 5), bad("startTimeUnixNano", "soon"),
            bad("attributes", [["key": "a", "value": ["intValue": "many"]]]), good,
        ]
        let (heads, flaws) = try SpanSamples.read(SpanSamples.request(spans))
        #expect(heads.map(\.spanID.description) == ["00f067aa0ba902b8"])
        let counts = Dictionary(flaws.map { ($0, 1) }, uniquingKeysWith: +)
        #expect(counts == [.invalidTraceID: 3, .invalidSpanID: 2, .malformed: 3])
    }

    @Test("text that is not UTF-8 costs its own record")
    func invalidText() throws {
        func span(_ name: [UInt8]) -> [UInt8] {
            var span = ProtobufWriter()
            span.bytes(1, (1...16).map { UInt8($0) })
            span.bytes(2, (1...8).map { UInt8($0) })
            span.bytes(5, name)
            return span.bytes
        }
        var request = ProtobufWriter()
        request.message(1) { group in
            group.message(2) { scope in
                scope.bytes(2, span([0xFF]))
                scope.bytes(2, span(Array("good".utf8)))
            }
        }
        let (heads, flaws) = try SpanSamples.read(request.bytes)
        #expect(heads.map(\.name) == ["good"])
        #expect(heads.first?.service == SpanHead.unknownService)
        #expect(flaws == [.invalidUTF8])
    }

    @Test("an end before the start is a span without duration, and so is none")
    func backwards() throws {
        let spans = [
            SpanSamples.span("00f067aa0ba902b8", more: ["endTimeUnixNano": "5"]),
            SpanSamples.span("00f067aa0ba902b9", more: ["endTimeUnixNano": .null]),
        ]
        let heads = try SpanSamples.read(SpanSamples.request(spans)).heads
        #expect(heads.map { $0.endedAt - $0.startedAt } == [0, 0])
    }

    @Test(
        "what is no request is refused as a whole",
        arguments: [
            #"[]"#, #"{"resourceSpans":5}"#, #"{"resourceSpans":[1]}"#, #"{"resourceSpans":[{"scopeSpans":{}}]}"#,
        ])
    func noRequest(_ text: String) throws {
        let document = try JSONParser.parse(Array(text.utf8))
        #expect(throws: ProtobufReader.Malformed.self) { try OTLPJSON.traces(document) { _ in } }
    }

    @Test("an empty request is one")
    func empty() throws {
        #expect(try SpanSamples.read([]).heads.isEmpty)
        #expect(try SpanSamples.read(JSONValue.object(JSONObject())).heads.isEmpty)
    }

    /// The same call of a model as three instrumentations tell it: 100 tokens in, 60 of them from a cache; 30 out, 10
    /// of them reasoning.
    private static let dialects: [(name: String, attributes: [(String, JSONValue)])] = [
        (
            "OpenTelemetry",
            [
                ("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "openai"),
                ("gen_ai.request.model", "gpt-4o-mini"), ("gen_ai.response.model", "gpt-4o-mini-2024-07-18"),
                ("gen_ai.usage.input_tokens", 100), ("gen_ai.usage.output_tokens", 30),
                ("gen_ai.usage.cache_read.input_tokens", 60), ("gen_ai.usage.reasoning.output_tokens", 10),
                ("gen_ai.conversation.id", "s1"), ("gen_ai.agent.name", "scribe"),
            ]
        ),
        (
            "OpenInference",
            [
                ("openinference.span.kind", "LLM"), ("llm.provider", "openai"),
                ("llm.model_name", "gpt-4o-mini-2024-07-18"), ("llm.token_count.prompt", 100),
                ("llm.token_count.completion", 30), ("llm.token_count.prompt_details.cache_read", 60),
                ("llm.token_count.completion_details.reasoning", 10), ("session.id", "s1"), ("agent.name", "scribe"),
            ]
        ),
        (
            "OpenLLMetry",
            [
                ("llm.request.type", "chat"), ("gen_ai.system", "openai"),
                ("gen_ai.response.model", "gpt-4o-mini-2024-07-18"), ("gen_ai.usage.prompt_tokens", 100),
                ("gen_ai.usage.completion_tokens", 30), ("gen_ai.usage.cache_read_input_tokens", 60),
                ("gen_ai.usage.reasoning_tokens", 10), ("traceloop.association.properties.session_id", "s1"),
                ("agent_id", "scribe"),
            ]
        ),
    ]

    @Test("instrumentations differ in names, and not in what they tell", arguments: 0..<3)
    func dialects(_ index: Int) throws {
        let span = SpanSamples.span("00f067aa0ba902b8", attributes: Self.dialects[index].attributes)
        let head = try #require(try SpanSamples.read(SpanSamples.request([span])).heads.first)
        #expect((head.operation, head.category) == (.model, .model))
        #expect((head.provider, head.model) == ("openai", "gpt-4o-mini-2024-07-18"))
        #expect((head.session, head.agent) == ("s1", "scribe"))
        #expect(head.usage == SpanUsage(columns: [40, 60, 0, 20, 10]))
    }

    @Test("a part that is larger than its whole was told beside it")
    func usage() {
        func usage(_ input: Int64, _ read: Int64, _ output: Int64, _ reasoning: Int64) -> [Int64] {
            let usage = SpanUsage(
                inputTotal: input, cacheRead: read, cacheWrite: 0, outputTotal: output, reasoning: reasoning)
            return [usage.input, usage.cacheRead, usage.output, usage.reasoning]
        }
        #expect(usage(100, 60, 30, 10) == [40, 60, 20, 10])
        #expect(usage(40, 60, 5, 10) == [40, 60, 5, 10])
        #expect(usage(-1, -5, .max, 0) == [0, 0, SpanUsage.countMax, 0])
    }

    @Test("no bytes bring it down", arguments: 1...40)
    func hostile(_ seed: Int) throws {
        var chance = SplitMix(seed: UInt64(seed))
        let spans = (0..<5).map { SpanSamples.span("00f067aa0ba902b\($0)", attributes: Self.dialects[0].attributes) }
        let whole = try OTLPJSON.traces(SpanSamples.request(spans)) { _ in }
        for _ in 0..<200 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...6, using: &chance) {
                bytes[Int.random(in: 0..<bytes.count, using: &chance)] = UInt8.random(in: 0...255, using: &chance)
            }
            if Bool.random(using: &chance) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &chance)) }
            guard let (heads, flaws) = try? SpanSamples.read(bytes) else { continue }
            #expect(heads.count + flaws.count <= bytes.count)
        }
    }
}

/// SplitMix64, for tests that draw by seed.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
