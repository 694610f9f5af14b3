import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Configuration: what people changed in files")
struct FileChangeTests {
    /// Settings with a catalogue and a section of alerts, and files of rules, runbooks and on-call.
    fileprivate struct Files: Sendable {
        var settings = Settings()
        var rules = ""
        var runbook = ""
        var onCall = ""

        init() {
            settings.catalogue.file = "/etc/reeve.yaml"
            settings.catalogue.document = [
                "providers": [
                    "main": ["kind": "openai", "baseURL": "https://one.example/v1", "headers": ["x-token": "s3cret"]]
                ],
                "models": [
                    "small": [
                        "targets": [["provider": "main", "model": "small-2026-01-01"]],
                        "price": ["input": 1, "output": 5],
                    ]
                ],
            ]
            settings.alerts.file = "/etc/reeve.yaml"
            settings.alerts.document = [
                "receivers": [["name": "chat", "kind": "slack", "url": "https://chat.example/T0/s3cret"]],
                "route": ["receiver": "chat", "groupBy": ["alertname"]],
            ]
            rules = "groups: [{name: own, rules: [{alert: Slow, expr: latency > 1, for: 5m}]}]"
            runbook = "name: slow\ntitle: Slow\nalerts: [Slow]\nsummary: It is slow.\nchecks: [Ask the provider]\n"
            onCall = """
                people: [{name: ada, contact: {receivers: [chat]}}, {name: grace, contact: {receivers: [chat]}}]
                schedules:
                  - {name: platform, zone: UTC, layers: [
                      {name: weekly, people: [ada, grace], starts: 2026-11-02T09:00, length: 1w}]}
                chains: [{name: people, steps: [{notify: {schedule: platform}}]}]
                paths: {default: people}
                """
        }
    }

    private static func service(
        _ files: Files, _ bench: IncidentFixture, replica: String = "one"
    ) throws -> FileChangeService {
        let program = try RuleReader.read(files.rules)
        let book = RuleBook(program.groups.map { .init(file: "own.yml", group: $0, interval: 60_000) })
        let shelf = RunbookShelf(try RunbookLibrary([Runbook(files.runbook, file: "slow.yaml")]))
        return FileChangeService(
            settings: files.settings, onCall: try OnCallReader.read(files.onCall),
            sources: [.rules { (book, 0) }, .runbooks(shelf)], events: bench.tasks.events, storage: bench.storage,
            replica: replica, world: bench.world)
    }

    /// A change of one file, and what the timeline says of it.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let entry: String
        let summary: String
        fileprivate let change: @Sendable (inout Files) -> Void

        fileprivate init(
            _ name: String, _ entry: String, _ summary: String, _ change: @escaping @Sendable (inout Files) -> Void
        ) {
            (testDescription, self.entry, self.summary, self.change) = (name, entry, summary, change)
        }
    }

    private static func set(_ path: [String], _ value: JSONValue?, in document: inout JSONValue) {
        guard let name = path.first else { return }
        var object = document.object ?? JSONObject()
        if path.count == 1 {
            object[name] = value
        } else {
            var inner = object[name] ?? [:]
            set(Array(path.dropFirst()), value, in: &inner)
            object[name] = inner
        }
        document = .object(object)
    }

    static let cases: [Case] = [
        Case("a setting", "config.setting_changed setting:tasks.leaseSecondsDefault", "60 -> 90") {
            $0.settings.tasks.leaseSecondsDefault = 90
        },
        Case("a setting of alerts", "config.setting_changed setting:alerts.interval", "added") {
            set(["interval"], "30s", in: &$0.settings.alerts.document)
        },
        Case("what a model costs", "config.price_changed price:small", "price.output: 5 -> 15") {
            set(["models", "small", "price", "output"], 15, in: &$0.settings.catalogue.document)
        },
        Case(
            "where a model is had", "config.model_changed model:small",
            "targets.0.model: small-2026-01-01 -> small-2026-06-01"
        ) {
            set(
                ["models", "small", "targets"], [["provider": "main", "model": "small-2026-06-01"]],
                in: &$0.settings.catalogue.document)
        },
        Case("a model", "config.model_changed model:large", "added") {
            set(
                ["models", "large"], ["targets": [["provider": "main", "model": "large-2026-01-01"]]],
                in: &$0.settings.catalogue.document)
        },
        Case(
            "a provider's address", "config.provider_changed provider:main",
            "baseURL: another one; host: https://one.example -> https://two.example"
        ) {
            set(["providers", "main", "baseURL"], "https://two.example/v1", in: &$0.settings.catalogue.document)
        },
        Case("a secret header", "config.provider_changed provider:main", "headers.x-token: another one") {
            set(["providers", "main", "headers", "x-token"], "0ther", in: &$0.settings.catalogue.document)
        },
        Case("a receiver's secret address", "config.receiver_changed receiver:chat", "url: another one") {
            set(
                ["receivers"], [["name": "chat", "kind": "slack", "url": "https://chat.example/T0/0ther"]],
                in: &$0.settings.alerts.document)
        },
        Case("a route", "config.route_changed route:route", "groupBy: alertname -> agent") {
            set(["route", "groupBy"], ["agent"], in: &$0.settings.alerts.document)
        },
        Case("a rule's expression", "config.rule_changed rule:Slow", "expr: latency > 1 -> latency > 2; for: 5m -> 1m")
        {
            $0.rules = "groups: [{name: own, rules: [{alert: Slow, expr: latency > 2, for: 1m}]}]"
        },
        Case("a rule that is gone", "config.rule_changed rule:Slow", "removed") {
            $0.rules = "groups: [{name: own, rules: []}]"
        },
        Case("a runbook", "config.runbook_changed runbook:slow", "checks: Ask the provider -> Ask nobody") {
            $0.runbook = $0.runbook.replacing("Ask the provider", with: "Ask nobody")
        },
        Case("a schedule", "config.oncall_changed oncall:schedule platform", "zone: UTC -> Europe/Berlin") {
            $0.onCall = $0.onCall.replacing("zone: UTC", with: "zone: Europe/Berlin")
        },
        Case("a chain", "config.oncall_changed oncall:chain people", "steps: schedule platform -> person ada") {
            $0.onCall = $0.onCall.replacing("notify: {schedule: platform}", with: "notify: {person: ada}")
        },
    ]

    @Test("each kind of change stands in an open incident's timeline, and may be its cause", arguments: cases)
    func each(_ one: Case) async throws {
        try await Self.on(.sqlite) { bench in
            let before = Files()
            try await Self.service(before, bench).begin()
            bench.time.advance(by: .hours(1))
            var after = before
            one.change(&after)
            try await Self.service(after, bench).begin()
            bench.time.advance(by: .minutes(2))
            let id = try await bench.fire("HighErrorRate", ["agent": "writer"])
            try await bench.timelines.follow()
            #expect(try await bench.story(id) == ["change \(one.entry)", "alert fired alert:HighErrorRate"])
            let (entry, text) = try await bench.storage.read { [incidents = bench.incidents] transaction in
                let incident = try incidents.known(id, in: transaction)
                return (
                    try incidents.entries(of: incident.id, in: transaction).first,
                    try incidents.document(incident, in: transaction).text
                )
            }
            #expect(entry?.text == one.summary)
            #expect(entry?.actor == "file")
            let factors = text.split(separator: "## Contributing factors").last?.split(separator: "\n## ").first ?? ""
            #expect(factors.contains(one.entry.replacing("[", with: "\\[")))
            for event in try await bench.events("config.*") {
                #expect(!event.data.text.contains("s3cret") && !event.data.text.contains("0ther"))
            }
            let kept = try await bench.storage.read { try $0.rows("SELECT things FROM file_change_parts") }
            #expect(kept.allSatisfy { !$0.text("things").contains("s3cret") })
        }
    }

    private static func on(_ engine: TestEngine, _ body: (IncidentFixture) async throws -> Void) async throws {
        try await withStorage(
            engine, migrations: IncidentFixture.migrations + FileChangeSchema.migrations
        ) { storage in
            try await body(IncidentFixture(storage, policy: IncidentPolicy(), verifications: []))
        }
    }

    @Test("the first start and the same files tell of nothing", arguments: TestEngine.available)
    func same(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            for _ in 0..<3 { try await Self.service(Files(), bench).begin() }
            #expect(try await bench.events("config.*").isEmpty)
        }
    }

    @Test("a rollout over replicas is told once, one that is taken back twice", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let old = Files()
            var new = old
            new.settings.tasks.leaseSecondsDefault = 90
            var elsewhere = new
            elsewhere.settings.http.port = 8_080
            func start(_ files: Files, _ replica: String) async throws -> Int {
                bench.time.advance(by: .minutes(1))
                let before = try await bench.events("config.*").count
                try await Self.service(files, bench, replica: replica).begin()
                return try await bench.events("config.*").count - before
            }
            var told: [Int] = []
            told.append(try await start(old, "one"))
            told.append(try await start(old, "two"))
            told.append(try await start(new, "one"))
            told.append(try await start(new, "two"))
            // One without a disk has another name each time; its port is its own.
            told.append(try await start(elsewhere, "three"))
            told.append(try await start(old, "four"))
            told.append(try await start(new, "four"))
            told.append(try await start(old, "one"))
            #expect(told == [0, 0, 1, 0, 0, 1, 1, 1])
        }
    }

    @Test("a large rollout is told in bounds", arguments: TestEngine.available)
    func many(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            func files(_ limit: Int) -> Files {
                var files = Files()
                let rules = (0..<300).map { "{alert: A\($0), expr: a > \(limit)}" }.joined(separator: ", ")
                files.rules = "groups: [{name: own, rules: [\(rules)]}]"
                return files
            }
            try await Self.service(files(1), bench).begin()
            try await Self.service(files(2), bench).begin()
            let events = try await bench.events("config.rule_changed")
            #expect(events.count == FileChangeService.changesMax + 1)
            #expect(events.last?.data["summary"]?.string?.hasPrefix("200 more changed") == true)
            let id = try await bench.fire("HighErrorRate", ["agent": "writer"])
            try await bench.note("agent.updated", agent: "writer")
            try await bench.timelines.follow()
            let causes = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.analysis(try incidents.known(id, in: $0), in: $0).candidates
            }
            #expect(causes.count { $0.target.hasPrefix("config.") } == RootCauseRanking.alikeMax)
            #expect(causes.contains { $0.target == "agent.updated agent:writer" })
        }
    }
}
