import Kernel
import TestSupport
import Testing

@testable import Control

@Suite("Files of on-call")
struct OnCallReaderTests {
    private static func faults(_ text: String) -> [String] {
        do {
            _ = try OnCallReader.read(text)
            return []
        } catch let refusal as OnCallReader.Refusal { return refusal.faults.map(\.description) } catch {
            return ["\(error)"]
        }
    }

    @Test("a whole file is read")
    func whole() throws {
        let plan = try OnCallReader.read(OnCallFixture.text(layers: OnCallFixture.weekly))
        #expect(plan.people.map(\.name) == ["ada", "grace", "linus"])
        #expect(plan.person("grace")?.channels == [.receiver("grace-phone"), .email("grace@example.org")])
        #expect(plan.person("linus")?.channels == [.ntfy("https://ntfy.example.org/linus")])
        let chain = try #require(plan.chain(for: .infrastructure, severity: "critical"))
        #expect(
            chain.steps == [
                .notify(.schedule("platform")), .wait(.minutes(5)), .notify(.person("grace")),
                .notify(.receiver("ops-room")), .wait(.minutes(10)),
            ])
        #expect(chain.repeats == 1)
        #expect(plan.chain(for: .behavioural, severity: "critical")?.name == "people")
        #expect(plan.chain(for: .behavioural, severity: "warning")?.name == "quiet")
        // Steps outlive the store as they are.
        #expect(OnCallPlan.steps(OnCallPlan.json(chain.steps)) == chain.steps)
    }

    /// What is wrong, and how it is told.
    static let wrongOnes: [(what: String, text: String, told: String)] = [
        ("nothing", "", "1:1: `people` is missing: nobody can be told"),
        ("no YAML", "people: [", "2:1"),
        ("a list", "[1]", "1:1: members are expected"),
        ("an unknown part", OnCallFixture.people + "persons: []", "5:1: field persons is not known here"),
        ("nobody's contact", "people: [{name: ada}]", "1:10: `contact` is missing"),
        ("an empty contact", "people: [{name: ada, contact: {}}]", "1:31: one of `receivers`"),
        ("no address of mail", "people: [{name: ada, contact: {email: ada}}]", "1:39: an address of mail"),
        ("no topic", "people: [{name: ada, contact: {ntfy: ada}}]", "1:38: the address of a topic"),
        (
            "a name twice", OnCallFixture.people + "  - {name: ada, contact: {receivers: [x]}}",
            "5:5: person ada is there twice"
        ),
        ("no name", "people: [{name: a/b, contact: {receivers: [x]}}]", "1:17: this is no name"),
        ("no zone", OnCallFixture.text(zone: "CET", layers: OnCallFixture.weekly), "7:11: CET is no time zone"),
        (
            "nobody of that name",
            OnCallFixture.text(layers: "- {name: a, people: [eve], starts: 2026-11-02T09:00, length: 1d}"),
            "9:28: there is no person eve"
        ),
        (
            "no people", OnCallFixture.text(layers: "- {name: a, people: [], starts: 2026-11-02, length: 1d}"),
            "at least one person"
        ),
        ("no start", OnCallFixture.text(layers: "- {name: a, people: [ada], length: 1d}"), "9:9: `starts` is missing"),
        (
            "a start with an offset",
            OnCallFixture.text(layers: "- {name: a, people: [ada], starts: 2026-11-02T09:00:00Z, length: 1d}"),
            "9:42: a time of the schedule's zone"
        ),
        (
            "a day that is none",
            OnCallFixture.text(layers: "- {name: a, people: [ada], starts: 2026-02-30, length: 1d}"),
            "9:42: a time of the schedule's zone"
        ),
        (
            "no length", OnCallFixture.text(layers: "- {name: a, people: [ada], starts: 2026-11-02}"),
            "9:9: one of `length` and `handoff`"
        ),
        (
            "too short a turn",
            OnCallFixture.text(layers: "- {name: a, people: [ada], starts: 2026-11-02, length: 30m}"),
            "9:62: a turn is an hour at least"
        ),
        (
            "no length of time",
            OnCallFixture.text(layers: "- {name: a, people: [ada], starts: 2026-11-02, length: often}"),
            "not a valid duration"
        ),
        (
            "no day of the week",
            OnCallFixture.text(
                layers: "- {name: a, people: [ada], starts: 2026-11-02, handoff: {at: \"09:00\", on: someday}}"),
            "days of the week"
        ),
        (
            "no time of the day",
            OnCallFixture.text(
                layers:
                    "- {name: a, people: [ada], starts: 2026-11-02, length: 1d, only: [{from: \"9\", to: \"17:00\"}]}"),
            "a time of the day such as 09:00"
        ),
        (
            "half a window",
            OnCallFixture.text(
                layers: "- {name: a, people: [ada], starts: 2026-11-02, length: 1d, only: [{from: \"09:00\"}]}"),
            "`from` and `to` come together"
        ),
        (
            "an override that ends first",
            OnCallFixture.text(
                layers: OnCallFixture.weekly,
                more: "overrides: [{from: 2026-11-05T09:00, until: 2026-11-04T09:00, person: ada}]"),
            "it ends before it begins"
        ),
        (
            "no chain of that name", OnCallFixture.people + "paths: {infrastructure: loud}",
            "5:25: there is no chain loud"
        ),
        ("no path of that name", OnCallFixture.people + "paths: {hardware: x}", "5:9: field hardware is not known"),
        ("no steps", OnCallFixture.people + "chains: [{name: a}]", "5:10: `steps` is missing"),
        (
            "two things in a step", OnCallFixture.people + "chains: [{name: a, steps: [{wait: 1m, repeat: 1}]}]",
            "5:28: a step is one of"
        ),
        (
            "a repeat too many",
            OnCallFixture.people + "chains: [{name: a, steps: [{notify: {person: ada}}, {wait: 1m}, {repeat: 6}]}]",
            "a chain repeats 1 to 5 times"
        ),
        (
            "a repeat in the middle",
            OnCallFixture.people + "chains: [{name: a, steps: [{wait: 1m}, {repeat: 1}, {notify: {person: ada}}]}]",
            "`repeat` is the last step"
        ),
        (
            "a repeat without a wait",
            OnCallFixture.people + "chains: [{name: a, steps: [{notify: {person: ada}}, {repeat: 1}]}]",
            "a `wait` is needed before `repeat`"
        ),
        (
            "a wait without end", OnCallFixture.people + "chains: [{name: a, steps: [{wait: 8d}]}]",
            "a wait takes up to a week"
        ),
        (
            "a schedule that is not there",
            OnCallFixture.people + "chains: [{name: a, steps: [{notify: {schedule: night}}]}]",
            "there is no schedule night"
        ),
        (
            "more layers than may be",
            OnCallFixture.text(
                layers: (0...OnCallReader.layersMax).map {
                    "- {name: l\($0), people: [ada], starts: 2026-11-02, length: 1d}"
                }.joined(separator: "\n")), "at most 20 layers"
        ),
    ]

    @Test("a wrong file is refused where it is wrong", arguments: wrongOnes.indices)
    func wrong(_ index: Int) {
        let row = Self.wrongOnes[index]
        let faults = Self.faults(row.text)
        #expect(faults.contains { $0.contains(row.told) }, "\(row.what): \(faults)")
    }

    @Test("all faults are told at once, in the order of the file")
    func together() {
        let text =
            OnCallFixture.people + """
                schedules:
                  - {name: a, zone: Nowhere/Land}
                  - name: b
                    zone: UTC
                    layers:
                      - {name: l, people: [eve, bob], starts: today, length: 1d}
                chains:
                  - {name: c, steps: [{wait: 0s}, {notify: {person: mallory}}]}
                paths: {infrastructure: d}
                """
        let places = Self.faults(text).map { $0.prefix { $0 != " " } }
        #expect(places == ["6:21:", "10:28:", "10:33:", "10:47:", "12:30:", "12:53:", "13:25:"])
    }

    @Test("a file that is too large is not read")
    func large() {
        let text = "# " + String(repeating: "x", count: OnCallReader.bytesMax)
        #expect(Self.faults(text) == ["1:1: the file has more than \(OnCallReader.bytesMax) bytes"])
    }
}

@Suite("What to look at in a file of on-call")
struct OnCallLintTests {
    private static let range =
        OnCallFixture.time("2026-11-02T08:00:00Z")..<OnCallFixture.time("2026-11-30T08:00:00Z")

    private static func findings(_ text: String) throws -> [OnCallFinding] {
        try OnCallReader.read(text).findings(in: range)
    }

    @Test("a good file has nothing to look at")
    func good() throws {
        #expect(try Self.findings(OnCallFixture.text(layers: OnCallFixture.weekly)).isEmpty)
    }

    static let rows: [(what: String, layers: String, more: String, expected: [String])] = [
        (
            "nobody at the weekend",
            """
            - name: l
              people: [ada, grace, linus]
              starts: 2026-11-02
              length: 1d
              only: [{on: "monday:friday"}]
            """, "",
            [
                "6:5: gap: nobody is on call in platform from 2026-11-07 00:00 to 2026-11-09 00:00, and 3 times more; "
                    + "`gaps: allowed` if that is meant"
            ]
        ),
        (
            "nobody at the weekend, on purpose",
            """
            - name: l
              people: [ada, grace, linus]
              starts: 2026-11-02
              length: 1d
              only: [{on: "monday:friday"}]
            """, "gaps: allowed", []
        ),
        (
            "nobody at all", "- {name: l, people: [ada, grace, linus], starts: 2027-01-01, length: 1d}",
            "gaps: allowed",
            [
                "6:5: nobody: nobody is on call in platform from 2026-11-02T08:00Z to 2026-11-30T08:00Z"
            ]
        ),
        (
            "two layers at once",
            OnCallFixture.weekly + "\n"
                + "- {name: noon, people: [ada], starts: 2026-01-01, length: 1d, only: "
                + "[{from: \"12:00\", to: \"13:00\"}]}",
            "",
            [
                "10:9: overlap: the layers weekly and noon of platform have one priority and are on together from "
                    + "2026-11-02 12:00 to 2026-11-02 13:00, and 27 times more; give one of them a higher `priority`"
            ]
        ),
        (
            "two layers, one above the other",
            OnCallFixture.weekly + "\n- {name: top, people: [ada], starts: 2026-01-01, length: 1d, priority: 1}", "", []
        ),
        (
            "two overrides at once", OnCallFixture.weekly,
            """
            overrides:
              - {from: 2026-11-04T09:00, until: 2026-11-06T09:00, person: ada}
              - {from: 2026-11-05T09:00, until: 2026-11-07T09:00, person: grace}
            """,
            [
                "12:9: overlapping-overrides: overrides of platform are in force together (line 11, line 12) from "
                    + "2026-11-05 09:00 to 2026-11-06 09:00; the one that was written last counts"
            ]
        ),
    ]

    @Test("schedules", arguments: rows.indices)
    func schedules(_ index: Int) throws {
        let row = Self.rows[index]
        let findings = try Self.findings(OnCallFixture.text(layers: row.layers, more: row.more))
        #expect(findings.map(\.description) == row.expected, "\(row.what)")
    }

    @Test("chains and paths")
    func chains() throws {
        let text =
            OnCallFixture.people + """
                schedules:
                  - {name: later, zone: UTC, layers: [{name: l, people: [ada], starts: 2027-01-01, length: 1d}]}
                chains:
                  - {name: lost, steps: [{notify: {schedule: later}}]}
                  - {name: mute, steps: [{wait: 5m}]}
                  - {name: loud, steps: [{notify: {person: grace}}]}
                paths:
                  infrastructure: lost
                  behavioural: {critical: loud}
                """
        let found = try Self.findings(text).map { "\($0.place.line) \($0.kind.rawValue) \($0.name)" }
        #expect(
            found == [
                "1 path-without-chain behavioural", "4 unused-person linus", "6 nobody later",
                "8 unreachable-chain lost", "9 unused-chain mute", "9 unreachable-chain mute",
            ])
    }
}
