import Kernel
import TestSupport

@testable import Control

/// Texts of files, and times, for the tests of on-call.
enum OnCallFixture {
    static let people = """
        people:
          - {name: ada, contact: {receivers: [ada-phone]}}
          - {name: grace, contact: {receivers: [grace-phone], email: grace@example.org}}
          - {name: linus, contact: {ntfy: "https://ntfy.example.org/linus"}}

        """

    static let chains = """
        chains:
          - name: people
            steps:
              - notify: {schedule: platform}
              - wait: 5m
              - notify: {person: grace}
              - notify: {receiver: ops-room}
              - wait: 10m
              - repeat: 1
          - name: quiet
            steps:
              - notify: {receiver: ops-room}
        paths:
          infrastructure: people
          behavioural: {critical: people, default: quiet}

        """

    /// One schedule of these layers, as lines behind `layers:`.
    static func text(zone: String = "Europe/Berlin", layers: String, more: String = "", chains: String = chains)
        -> String
    {
        people + "schedules:\n  - name: platform\n    zone: \(zone)\n    layers:\n" + indented(layers, 6)
            + indented(more, 4) + chains
    }

    private static func indented(_ text: String, _ count: Int) -> String {
        text.split(separator: "\n").map { String(repeating: " ", count: count) + $0 + "\n" }.joined()
    }

    static let weekly = "- {name: weekly, people: [ada, grace, linus], starts: 2026-11-02T09:00, length: 1w}"

    static func schedule(
        zone: String = "Europe/Berlin", layers: String, more: String = "", name: String = "platform"
    ) throws -> OnCallSchedule {
        let plan = try OnCallReader.read(text(zone: zone, layers: layers, more: more, chains: ""))
        guard let schedule = plan.schedule(name) else { throw Problem.notFound("schedule", name) }
        return schedule
    }

    static func time(_ text: String) -> Timestamp {
        guard let time = Timestamp(rfc3339: text) else { preconditionFailure("no time: \(text)") }
        return time
    }
}
