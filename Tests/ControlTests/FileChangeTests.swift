import Telemetry
import TestSupport
import Testing

@testable import Control
@testable import Kernel

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

    /// Begins with these files on a replica; returns what is told of it.
    private static func start(
        _ files: Files, on replica: String, _ bench: IncidentFixture
    ) async throws -> [Event] {
        bench.time.advance(by: .seconds(30))
        let before = try await bench.events("config.*").last?.seq ?? 0
        try await service(files, bench, replica: replica).begin()
        return try await bench.events("config.*").filter { $0.seq > before }
    }

    private static func summaries(_ events: [Event]) -> [String] {
        events.map { $0.data["summary"]?.string ?? "" }
    }

    @Test("a rollout over replicas is told once, one that is taken back twice", arguments: TestEngine.available)
    func replicas(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let old = Files()
            var new = old
            new.settings.tasks.leaseSecondsDefault = 90
            var elsewhere = new
            elsewhere.settings.http.port = 8_080
            var told: [[String]] = []
            // One without a disk has another name each time; its port is its own.
            for (files, replica) in [
                (old, "one"), (old, "two"), (new, "one"), (new, "two"), (elsewhere, "three"), (old, "four"),
                (old, "five"), (new, "four"), (old, "one"),
            ] {
                told.append(Self.summaries(try await Self.start(files, on: replica, bench)))
            }
            #expect(
                told == [
                    [], [], ["60 -> 90"], [], [], ["on this replica alone: 90 -> 60"], [], ["60 -> 90"],
                    ["90 -> 60"],
                ])
        }
    }

    @Test("replicas without a disk tell of a rollout once, and of what holds once all were gone")
    func withoutDisks() async throws {
        try await Self.on(.sqlite) { bench in
            let old = Files()
            var new = old
            new.settings.tasks.leaseSecondsDefault = 90
            var others = try await Self.start(old, on: "a1", bench)
            others += try await Self.start(old, on: "a2", bench)
            let first = try await Self.start(new, on: "b1", bench)
            #expect(Self.summaries(first) == ["on this replica alone: 60 -> 90"])
            #expect(first.first?.data["replica"] == "b1")
            others += try await Self.start(new, on: "b2", bench)
            bench.time.advance(by: FileChangeNews.aliveFor)
            let back = try await Self.start(old, on: "c1", bench)
            #expect(Self.summaries(back) == ["90 -> 60"])
            others += try await Self.start(old, on: "c2", bench)
            #expect(others.isEmpty)
        }
    }

    @Test("a replica whose files come from elsewhere tells nothing of the others'", arguments: TestEngine.available)
    func origins(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            var files = Files()
            let first = try await Self.start(files, on: "one", bench)
            var own = files
            own.settings.catalogue.file = "/home/ada/reeve.yaml"
            own.settings.tasks.leaseSecondsDefault = 90
            let hers = try await Self.start(own, on: "ada", bench)
            #expect(first.isEmpty && hers.isEmpty)
            own.settings.tasks.leaseSecondsDefault = 120
            let changed = try await Self.start(own, on: "ada", bench)
            #expect(Self.summaries(changed) == ["90 -> 120"])
            files.settings.tasks.leaseSecondsDefault = 120
            let later = try await Self.start(files, on: "one", bench)
            #expect(Self.summaries(later) == ["60 -> 120"])
        }
    }

    @Test(
        "what a replica was told is kept while it runs, and forgotten once it is gone", arguments: TestEngine.available)
    func forgotten(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            func known() async throws -> [String] {
                try await bench.storage.read {
                    try $0.rows("SELECT DISTINCT replica FROM file_change_parts ORDER BY replica").map {
                        $0.text("replica")
                    }
                }
            }
            let stays = try Self.service(Files(), bench, replica: "stays")
            try await stays.begin()
            _ = try await Self.start(Files(), on: "goes", bench)
            for _ in 0..<13 {
                bench.time.advance(by: .hours(24))
                try await stays.look()
            }
            #expect(try await known() == ["goes", "stays"])
            bench.time.advance(by: .hours(24) + .minutes(1))
            try await stays.look()
            #expect(try await known() == ["stays"])
            for number in 0..<FileChangeStore.replicasMax + 5 {
                try await Self.service(Files(), bench, replica: "pod-\(number)").begin()
                bench.time.advance(by: .seconds(1))
            }
            #expect(try await known().count <= FileChangeStore.replicasMax + 1)
        }
    }

    @Test("secrets are kept under a key of the database's own", arguments: TestEngine.available)
    func secrets(_ engine: TestEngine) async throws {
        var kept: [[String]] = []
        for _ in 0..<2 {
            try await Self.on(engine) { bench in
                _ = try await Self.start(Files(), on: "one", bench)
                _ = try await Self.start(Files(), on: "two", bench)
                // The key outlasts a start: the same secret stays the same.
                #expect(try await bench.events("config.*").isEmpty)
                kept.append(
                    try await bench.storage.read { transaction in
                        try transaction.rows(
                            "SELECT things FROM file_change_parts WHERE part IN ('provider', 'receiver', 'oncall')"
                        ).map { $0.json("things").text }
                    })
            }
        }
        for text in kept.joined() {
            #expect(!text.contains(Digest.sha256("\"s3cret\"").prefix(8)) && !text.contains("s3cret"))
        }
        #expect(kept.allSatisfy { $0.contains { $0.contains("secret ") } })
        // Worlds of tests draw the same bytes; a key of other bytes names the same secret otherwise.
        let (one, other) = (FileChangeVeil(key: [1]), FileChangeVeil(key: [2]))
        #expect(one.hidden("s3cret") == one.hidden("s3cret") && one.hidden("s3cret") != other.hidden("s3cret"))
    }

    private static func rules(_ files: Int, of count: Int, above limit: Int) throws -> RuleBook {
        let rules = (0..<count).map { "{alert: A\($0), expr: a > \(limit)}" }.joined(separator: ", ")
        let program = try RuleReader.read("groups: [{name: own, rules: [\(rules)]}]")
        return RuleBook(
            (0..<files).flatMap { file in
                program.groups.map { .init(file: "/etc/own-\(file).yml", group: $0, interval: 60_000) }
            })
    }

    /// What is told of a change of all rules: files, and rules in each.
    private static func rollout(_ files: Int, _ count: Int, _ bench: IncidentFixture) async throws -> [Event] {
        for limit in 1...2 {
            let book = try rules(files, of: count, above: limit)
            try await FileChangeService(
                settings: Settings(), onCall: nil, sources: [.rules { (book, 0) }], events: bench.tasks.events,
                storage: bench.storage, replica: "one", world: bench.world
            ).begin()
        }
        return try await bench.events("config.rule_changed")
    }

    @Test("many changes of one file at once are one entry with their names", arguments: TestEngine.available)
    func many(_ engine: TestEngine) async throws {
        try await Self.on(engine) { bench in
            let events = try await Self.rollout(1, 300, bench)
            #expect(events.count == 1)
            let data = try #require(events.first?.data)
            #expect(data["summary"] == "300 changed: A0, A1, A10, A100, A101 and 295 more")
            #expect(data["name"] == "own-0.yml" && data["count"] == 300)
            #expect(data["names"]?.array?.count == FileChange.namesMax)
            let id = try await bench.fire("HighErrorRate", ["agent": "writer"])
            try await bench.note("agent.updated", agent: "writer")
            try await bench.timelines.follow()
            let causes = try await bench.storage.read { [incidents = bench.incidents] in
                try incidents.analysis(try incidents.known(id, in: $0), .whole, in: $0).candidates
            }
            #expect(causes.contains { $0.target == "config.rule_changed rule:own-0.yml" })
            #expect(causes.contains { $0.target == "agent.updated agent:writer" })
        }
    }

    @Test("up to ten of one file are told one by one, and no more than so many entries at once")
    func bounds() async throws {
        for (files, count, told) in [
            (1, FileChangeNews.singlyMax, FileChangeNews.singlyMax), (1, FileChangeNews.singlyMax + 1, 1),
            (3, FileChangeNews.singlyMax + 1, 3), (80, 5, FileChangeNews.entriesMax + 1),
        ] {
            try await Self.on(.sqlite) { bench in
                let events = try await Self.rollout(files, count, bench)
                #expect(events.count == told, "\(files) files of \(count)")
            }
        }
    }

    @Test("of what is operators' others see that it changed alone", arguments: FileChangePart.allCases)
    func sight(_ part: FileChangePart) {
        let change = FileChange(
            name: "thing", verb: .changed, members: [.init(name: "limit", from: "old words", to: "new words")])
        let data = JSONValue.object(change.data(part, file: "/etc/reeve.yaml"))
        let event = Event(
            seq: 7, at: Timestamp(microseconds: 1), type: part.eventType, actor: "file", project: nil, agent: nil,
            taskID: nil, taskSeq: nil, correlationID: nil, data: data)
        #expect(FileChangePart(eventType: part.eventType) == part)
        for role in Role.allCases {
            let sight = FileChangeSight(Principal(keyID: "k", name: "k", role: role))
            let isOpen =
                [.admin, .operator_].contains(role) || ![.setting, .provider, .receiver, .route].contains(part)
            let seen = sight.seen(event).data
            #expect(seen.text.contains("old words") == isOpen && seen.text.contains("new words") == isOpen)
            #expect(seen.text.contains("/etc/reeve.yaml") == [.admin, .operator_].contains(role))
            #expect(seen["name"] == "thing" && seen["change"] == "changed")
            let entry = IncidentChange.entry(event, subjects: []).map(sight.seen)
            #expect(entry?.detail.text.contains("old words") == isOpen && entry?.detail["seq"] == 7)
        }
        let other = Event(
            seq: 7, at: Timestamp(microseconds: 1), type: "task.created", actor: "a", project: nil, agent: nil,
            taskID: nil, taskSeq: nil, correlationID: nil, data: data)
        #expect(FileChangeSight.outlines.seen(other) == other)
    }
}
