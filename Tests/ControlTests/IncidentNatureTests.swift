import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

/// What other systems say of whose fault it is.
@Suite("The nature of incidents")
struct IncidentNatureTests {
    private static func fire(
        _ name: String, _ labels: [(String, String)], on bench: IncidentFixture
    ) async throws -> Incident {
        let post = AlertPost(labels: LabelSet([("alertname", name), ("severity", "critical")] + labels))
        let id = try await bench.storage.write { [alerts = bench.alerts] in
            try alerts.take([post], origin: .external, from: "key:other", in: $0).first?.alert.incidentID
        }
        return try await bench.incident(try #require(id))
    }

    @Test("a posted alert's nature, or its mode, says which way people are called", arguments: TestEngine.available)
    func posted(_ engine: TestEngine) async throws {
        try await IncidentFixture.on(engine) { bench in
            let rows: [([(String, String)], FailureKind?)] = [
                ([("nature", "behavioural")], .behavioural), ([("nature", "infrastructure")], .infrastructure),
                ([("failure_mode", "infinite-loop")], .behavioural),
                // The mode is the closer word.
                ([("failure_mode", "infinite-loop"), ("nature", "infrastructure")], .behavioural),
                ([("nature", "bad luck")], nil), ([], nil),
            ]
            for (number, row) in rows.enumerated() {
                let incident = try await Self.fire("A\(number)", row.0 + [("agent", "a\(number)")], on: bench)
                #expect(incident.kind == row.1, "\(row.0)")
                let assessment = try await bench.storage.read { [incidents = bench.incidents] in
                    try incidents.analysis(incident, .whole, in: $0).assessment
                }
                #expect(assessment.saidBy == nil && assessment.kind == row.1, "\(row.0)")
            }
        }
    }

    @Test("one that joins says it where nobody did, and changes nothing that was said")
    func joins() async throws {
        try await IncidentFixture.on(.sqlite) { bench in
            let first = try await Self.fire("A", [("agent", "a")], on: bench)
            #expect(first.kind == nil)
            let joined = try await Self.fire("B", [("agent", "a"), ("nature", "behavioural")], on: bench)
            #expect(joined.id == first.id && joined.kind == .behavioural)
            let other = try await Self.fire("C", [("agent", "a"), ("nature", "infrastructure")], on: bench)
            #expect(other.id == first.id && other.kind == .behavioural)
        }
    }
}
