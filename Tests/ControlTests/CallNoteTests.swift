import Control
import Kernel
import TestSupport
import Testing

/// What becomes known of a call after its record was kept.
@Suite struct CallNoteTests {
    private func note(_ value: JSONValue, of id: String, _ fixture: CallFixture) async throws -> Bool {
        try await fixture.storage.write { [calls = fixture.calls] in
            try calls.note("judge", value, of: id, in: $0)
        }
    }

    @Test("A note joins the decision record, and a later one takes its place", arguments: TestEngine.available)
    func notes(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture in
            let call = fixture.call { $0.decision = ["priceVersion": "2026-01-01"] }
            let other = fixture.call()
            try await fixture.record(call, other)
            #expect(try await note(["score": 0.5], of: call.id.text, fixture))
            #expect(try await note(["score": 0.75], of: call.id.text, fixture))
            let kept = try await fixture.kept(call.id)
            #expect(kept.decision == ["priceVersion": "2026-01-01", "judge": ["score": 0.75]])
            #expect(kept.json["judge"] == ["score": 0.75])
            #expect(kept.cost == call.cost)
            #expect(try await fixture.kept(other.id) == other)
        }
    }

    @Test("Who is not kept gets no note", arguments: TestEngine.available)
    func unknown(_ engine: TestEngine) async throws {
        try await CallFixture.on(engine) { fixture async throws in
            #expect(try await note(1, of: fixture.call().id.text, fixture) == false)
            #expect(try await note(1, of: "no id", fixture) == false)
        }
    }

    @Test("A record that is full stays as it is")
    func full() async throws {
        try await CallFixture.on(.sqlite) { fixture in
            let words = JSONValue.string(String(repeating: "w", count: 60_000))
            let call = fixture.call { $0.decision = ["words": words] }
            try await fixture.record(call)
            let long = JSONValue.string(String(repeating: "w", count: 10_000))
            #expect(try await note(long, of: call.id.text, fixture))
            #expect(try await fixture.kept(call.id).decision == ["words": words])
        }
    }
}
