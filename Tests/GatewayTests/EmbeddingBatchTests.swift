import Kernel
import NIOCore
import Synchronization
import Testing

@testable import Gateway

/// Calls for embeddings that are sent as one: how they are joined, and how what came is shared out.
@Suite struct EmbeddingBatchTests {
    private func request(_ body: JSONValue) -> EmbeddingRequest? { EmbeddingRequest(body.bytes) }

    private func settings(_ value: JSONValue) throws -> EmbeddingBatchSettings? {
        try EmbeddingBatchSettings(value, path: "models/m/embeddingBatch")
    }

    private func member(_ id: String, inputs: Int = 1, bytes: Int = 0) throws -> EmbeddingBatches.Member {
        let text = String(repeating: "x", count: max(1, bytes))
        let asked = try #require(
            request(["model": "m", "input": .array((0..<inputs).map { _ in .string(text) })]))
        let door = DoorRequest(
            door: .embeddings, headers: [:], body: [], principal: .system, requestID: "r", correlationID: "c",
            traceparent: "")
        return EmbeddingBatches.Member(id: id, request: door, asked: asked) { _ in }
    }

    // MARK: Settings

    @Test("The settings are within their bounds, and off by default")
    func bounds() throws {
        #expect(try settings(false) == nil)
        #expect(try settings(true)?.inputs == 256)
        #expect(try settings(true)?.wait == .milliseconds(5))
        let own = try settings(["maxInputs": 2_048, "maxWaitMs": 10_000])
        #expect(own?.inputs == 2_048)
        #expect(own?.wait == .seconds(10))
        for value: JSONValue in [
            ["maxInputs": 2_049], ["maxInputs": 1], ["maxWaitMs": 0], ["maxWaitMs": 10_001], ["other": 1], "on", 7,
        ] {
            #expect(throws: Problem.self) { _ = try settings(value) }
        }
    }

    // MARK: Requests

    @Test("Inputs in each of their forms, with what they count")
    func forms() {
        let cases: [(JSONValue, EmbeddingRequest.Form, inputs: Int, tokens: Int64)] = [
            ("eight by", .text, 1, 2), (["a", "b", "c"], .text, 3, 3), ([1, 2, 3], .tokens, 1, 3),
            ([[1, 2], [3, 4, 5]], .tokens, 2, 5), ("", .text, 1, 1),
        ]
        for (input, form, inputs, tokens) in cases {
            let asked = request(["model": "m", "input": input])
            #expect(asked?.form == form)
            #expect(asked?.inputs.count == inputs)
            #expect(asked?.tokens == tokens)
        }
    }

    @Test("What is odd or too large is sent as it came")
    func odd() {
        let odd: [JSONValue] = [[], ["a", 1], [1, "a"], [[1], "a"], [[]], [[1.5]], nil_, 7, ["a": 1]]
        for input in odd { #expect(request(["model": "m", "input": input]) == nil) }
        #expect(request(["model": "m"]) == nil)
        #expect(EmbeddingRequest(Array("{no".utf8)) == nil)
        #expect(EmbeddingRequest(Array(#"{"model":"m","input":"a","input":"b"}"#.utf8)) == nil)
        let many = JSONValue.array((0..<2_049).map { _ in "a" })
        #expect(request(["model": "m", "input": many]) == nil)
        let large = String(repeating: "a", count: 1 << 20)
        #expect(request(["model": "m", "input": .string(large)]) == nil)
    }

    private let nil_ = JSONValue.null

    @Test("Only calls that differ in nothing but their inputs are alike")
    func likeness() throws {
        let one = try #require(request(["model": "m", "input": "a", "dimensions": 8]))
        let same = try #require(request(["dimensions": 8, "input": ["b", "c"], "model": "m"]))
        #expect(one.likeness == same.likeness)
        let others: [JSONValue] = [
            ["model": "m", "input": "a"], ["model": "m", "input": "a", "dimensions": 16],
            ["model": "n", "input": "a", "dimensions": 8],
            ["model": "m", "input": "a", "dimensions": 8, "encoding_format": "base64"],
            ["model": "m", "input": "a", "dimensions": 8, "user": "ann"],
            ["model": "m", "input": [1], "dimensions": 8],
        ]
        for other in others { #expect(try #require(request(other)).likeness != one.likeness) }
        let joined = try JSONParser.parse(EmbeddingRequest.joined([one, same]))
        #expect(joined == ["model": "m", "dimensions": 8, "input": ["a", "b", "c"]])
    }

    // MARK: Waiting together

    @Test("The first opens a batch, the last that fits sends it")
    func full() throws {
        let batches = EmbeddingBatches()
        let rules = try #require(try settings(["maxInputs": 4]))
        let first = batches.join(try member("a", inputs: 2), "kind", rules)
        #expect(first.isWaiting && first.opened == 1 && first.full.isEmpty)
        #expect(batches.join(try member("x"), "other", rules).opened == 2)
        let second = batches.join(try member("b", inputs: 2), "kind", rules)
        #expect(second.isWaiting && second.opened == nil)
        #expect(second.full.map { $0.map(\.id) } == [["a", "b"]])
        #expect(batches.due(1, "kind").isEmpty)
        #expect(batches.due(2, "other").map(\.id) == ["x"])
        #expect(batches.count == 0)
    }

    @Test("Who does not fit sends those before it and opens the next")
    func overflow() throws {
        let batches = EmbeddingBatches()
        let rules = try #require(try settings(["maxInputs": 4]))
        _ = batches.join(try member("a", inputs: 3), "kind", rules)
        let next = batches.join(try member("b", inputs: 3), "kind", rules)
        #expect(next.full.map { $0.map(\.id) } == [["a"]])
        #expect(next.opened == 2)
        // As many as a batch may have go alone, and disturb nobody.
        let large = batches.join(try member("c", inputs: 4), "kind", rules)
        #expect(!large.isWaiting && large.full.isEmpty)
        #expect(batches.due(2, "kind").map(\.id) == ["b"])
    }

    @Test("Bytes are bounded as inputs are")
    func bytes() throws {
        let batches = EmbeddingBatches()
        let rules = try #require(try settings(true))
        _ = batches.join(try member("a", bytes: 600_000), "kind", rules)
        #expect(batches.join(try member("b", bytes: 600_000), "kind", rules).full.map { $0.map(\.id) } == [["a"]])
    }

    @Test("Who leaves in time is not sent; who is on its way stays")
    func leaving() throws {
        let batches = EmbeddingBatches()
        let rules = try #require(try settings(true))
        _ = batches.join(try member("a"), "kind", rules)
        _ = batches.join(try member("b"), "kind", rules)
        #expect(batches.leave("a", "kind"))
        #expect(!batches.leave("a", "kind"))
        #expect(!batches.leave("b", "none"))
        #expect(batches.due(1, "kind").map(\.id) == ["b"])
        #expect(!batches.leave("b", "kind"))
    }

    @Test("Kinds that wait are bounded; one more goes alone")
    func kinds() throws {
        let batches = EmbeddingBatches()
        let rules = try #require(try settings(true))
        let one = try member("a")
        for number in 0..<1_000 { #expect(batches.join(one, "kind \(number)", rules).isWaiting) }
        #expect(!batches.join(one, "one more", rules).isWaiting)
        #expect(batches.join(one, "kind 7", rules).isWaiting)
        #expect(batches.count == 1_000)
    }

    // MARK: Sharing out

    @Test(
        "Shares add up to the whole, and the largest remainders are served first",
        arguments: [
            (10, [1, 1, 1], [4, 3, 3]), (100, [1, 2, 4], [14, 29, 57]), (7, [0, 5, 0], [0, 7, 0]),
            (5, [0, 0], [3, 2]), (0, [3, 4], [0, 0]), (1, [1, 1, 2], [0, 0, 1]), (9, [], []),
            (9_000_000_000_000_000_000, [1, 2], [3_000_000_000_000_000_000, 6_000_000_000_000_000_000]),
        ] as [(Int64, [Int64], [Int64])])
    func apportioning(_ whole: Int64, _ weights: [Int64], _ expected: [Int64]) {
        #expect(Apportioning.shares(of: whole, by: weights) == expected)
    }

    private static let answer = #"""
        {"object":"list","data":[{"object":"embedding","index":2,"embedding":"AA,]=="},
         {"embedding":[0.10, -1e-05],"index":0},{"index":1,"embedding":[3]}],
         "model":"text-\"x\"","usage":{"prompt_tokens":11,"total_tokens":11}}
        """#

    @Test("An answer is taken apart by its indices, and vectors stay the bytes that came")
    func reply() throws {
        let reply = try #require(EmbeddingReply(Array(Self.answer.utf8), inputs: 3))
        #expect(
            String(buffer: reply.part(0..<1, tokens: 4))
                == #"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.10, -1e-05]}],"#
                + #""model":"text-\"x\"","usage":{"prompt_tokens":4,"total_tokens":4}}"#)
        #expect(
            String(buffer: reply.part(1..<3, tokens: nil))
                == #"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[3]},"#
                + #"{"object":"embedding","index":1,"embedding":"AA,]=="}],"model":"text-\"x\""}"#)
    }

    @Test("What is no answer to so many inputs is none")
    func oddReplies() {
        let bytes = Array(Self.answer.utf8)
        #expect(EmbeddingReply(bytes, inputs: 2) == nil)
        #expect(EmbeddingReply(bytes, inputs: 4) == nil)
        for text in [
            "", "[]", "{}", #"{"data":{}}"#, #"{"data":[]}"#, #"{"data":[1]}"#, #"{"data":[{"index":0}]}"#,
            #"{"data":[{"index":1,"embedding":[]}]}"#, #"{"data":[{"index":-1,"embedding":[]}]}"#,
            #"{"data":[{"index":"0","embedding":[]}]}"#, #"{"data":["a"#,
        ] {
            #expect(EmbeddingReply(Array(text.utf8), inputs: 1) == nil)
        }
        let twice = #"{"data":[{"index":0,"embedding":[]},{"index":0,"embedding":[]}]}"#
        #expect(EmbeddingReply(Array(twice.utf8), inputs: 2) == nil)
        // Without indices the order counts.
        #expect(EmbeddingReply(Array(#"{"data":[{"embedding":[1]},{"embedding":[2]}]}"#.utf8), inputs: 2) != nil)
    }

    @Test("Usage and money of all parts are exactly what the provider told")
    func shares() throws {
        let asked = [
            try #require(request(["model": "m", "input": "aaaa"])),
            try #require(request(["model": "m", "input": ["aaaabbbb", "aaaa"]])),
        ]
        var record = CallMetersTests.record()
        record.target = "main/x"
        let joints = (0..<2).map { place in
            JointCall(record: record, calls: 2, place: place, inputs: asked[place].inputs.count, inputsOfAll: 3)
        }
        // A third of a nano-dollar a token: 11 tokens cost 3.67, up to 4, shared out as 3 to 8.
        let price = try PriceTable(["input": 0.000333333], path: "price")
        let found = ModelCall.shares(Array(Self.answer.utf8), asked, joints, price)
        var tokens: [Int64] = []
        var costs: [Int64?] = []
        for case .answered(_, let usage, let cost, _) in found {
            #expect(usage?.isEstimated == true)
            tokens.append(usage?.buckets[.input] ?? -1)
            costs.append(cost?.value)
        }
        // Weights 1 and 3: 2.75 and 8.25.
        #expect(tokens == [3, 8])
        #expect(costs == [1, 3])
        let broken = ModelCall.shares([], asked, joints, price)
        for share in broken {
            guard case .failed(let status, _, _, _) = share else {
                Issue.record("it was shared out")
                continue
            }
            #expect(status == 502)
        }
    }
}
