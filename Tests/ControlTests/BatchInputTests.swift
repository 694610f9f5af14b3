import Kernel
import TestSupport
import Testing

@testable import Control

@Suite struct BatchInputTests {
    private static func read(_ text: String) -> [BatchLine] {
        var input = BatchInput(lines: Array(text.utf8), endpoint: "/v1/chat/completions")
        var lines: [BatchLine] = []
        while let line = input.next() { lines.append(line) }
        return lines
    }

    @Test("Requests are numbered as they come; empty lines are none")
    func numbers() {
        let text = "\r\n\(BatchFixture.line("a"))\r\n\n  \n\(BatchFixture.line("b"))"
        let lines = Self.read(text)
        #expect(lines.map(\.customID) == ["a", "b"])
        #expect(lines.map(\.number) == [1, 2])
        #expect(lines.first?.body.map { String(decoding: $0, as: UTF8.self) } == #"{"model":"small","say":"a"}"#)
        #expect(BatchInput.count(Array(text.utf8), max: 10) == 2)
        #expect(BatchInput.count(Array(text.utf8), max: 1) == 2)
        #expect(BatchInput.count(Array("x\n".utf8), max: 1) == 1)
        #expect(BatchInput.count([], max: 1) == 0)
    }

    static let flaws: [(line: String, code: String)] = [
        ("nothing", "invalid_json_line"), ("\u{FEFF}{}", "invalid_json_line"), ("[]", "invalid_json_line"),
        (#"{"custom_id":"\#(String(repeating: "[", count: 200))"#, "invalid_json_line"),
        (String(repeating: "[", count: 200), "invalid_json_line"),
        ("{}", "missing_required_parameter"), (#"{"custom_id":1}"#, "missing_required_parameter"),
        (#"{"custom_id":""}"#, "missing_required_parameter"), (#"{"custom_id":"a\u0000"}"#, "invalid_json_line"),
        (#"{"custom_id":"\#(String(repeating: "x", count: 513))"}"#, "invalid_custom_id"),
        (#"{"custom_id":"a"}"#, "invalid_method"), (#"{"custom_id":"a","method":"GET"}"#, "invalid_method"),
        (#"{"custom_id":"a","method":"POST","url":"/v1/files"}"#, "url_mismatch"),
        (#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions"}"#, "invalid_request"),
        (#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":[]}"#, "invalid_request"),
        (#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"stream":1}}"#, "invalid_request"),
    ]

    @Test("Each flaw has its code", arguments: flaws.indices)
    func flawed(_ index: Int) {
        let (line, code) = Self.flaws[index]
        let read = Self.read(line)
        #expect(read.map { $0.flaw?.code } == [code])
        #expect(read.map(\.state) == [.errored])
    }

    @Test("An id counts once, and a body has its bound")
    func bounds() {
        let twice = Self.read("\(BatchFixture.line("a"))\n\(BatchFixture.line("a"))")
        #expect(twice.map { $0.flaw?.code } == [nil, "duplicate_custom_id"])
        let body = String(repeating: "x", count: BatchPolicy.messageBatchBytes)
        let long =
            #"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"\#(body)"}}"#
        #expect(Self.read(long).map { $0.flaw?.code } == ["request_too_large"])
        let streamed = #"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"stream":false}}"#
        #expect(Self.read(streamed).map(\.flaw) == [nil])
    }

    @Test("A pause doubles with each refusal, up to a bound, and ends with an answer")
    func pace() {
        let pace = BatchPace()
        var now = Timestamp(microseconds: 0)
        var pauses: [Int64] = []
        #expect(pace.width(8) == 8)
        for _ in 0..<11 {
            pace.ended(1, isTaken: false, at: now)
            // Another one that was in flight with it changes nothing.
            pace.ended(2, isTaken: false, at: now)
            let pause = pace.pause(at: now) ?? .zero
            pauses.append(pause.microseconds / 1_000_000)
            now = now + pause
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
        #expect(pace.pause(at: now) == nil)
        #expect(pace.width(8) == 1)
        pace.ended(1, isTaken: true, at: now)
        #expect(pace.width(8) == 8)
        pace.ended(1, isTaken: false, retryAfterSeconds: 20, at: now)
        #expect(pace.pause(at: now) == .seconds(Int64(20)))
        pace.ended(1, isTaken: true, at: now)
        pace.ended(1, isTaken: false, retryAfterSeconds: .max, at: now)
        #expect(pace.pause(at: now) == .minutes(5))
    }

    @Test("Whoever waits longest for a slot is next, and who leaves is passed over")
    func slots() async throws {
        let slots = BatchSlots(1)
        try await slots.take()
        let leaving = Task { try await slots.take() }
        leaving.cancel()
        await #expect(throws: CancellationError.self) { try await leaving.value }
        let waiting = Task { try await slots.take() }
        slots.give()
        try await waiting.value
        slots.give()
        try await slots.take()
    }

    @Test("What an answer means for its request")
    func verdicts() {
        #expect(BatchVerdict(.said("x")) == .final)
        for status in [400, 401, 402, 404, 413, 422] { #expect(BatchVerdict(.refused(status)) == .final) }
        for status in [429, 503, 529] { #expect(BatchVerdict(.refused(status)) == .later) }
        for status in [500, 502, 504] { #expect(BatchVerdict(.refused(status)) == .failed) }
        #expect(BatchVerdict(.refused(502, code: "provider_unreachable")) == .later)
    }
}
