import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

/// An outage, alerts beside it, and who called whom before.
@Suite("Whom an outage of a provider keeps quiet")
struct AlertDependenceTests {
    private struct Bench {
        let base: IncidentFixture
        let dependence = AlertDependence()
        let rules = NotificationSettings().inhibitions

        func call(_ agent: String, _ target: String?, model: String = "small") async throws {
            let call = Call(
                id: Identifier(base.world), status: target == nil ? .failed : .done, startedAt: base.world.now,
                agent: agent, project: "books", door: "openai.chat", model: model, target: target,
                usage: CallUsage(buckets: ["input": 10]), cost: CallCost(nanoUSD: 1_000), durationMs: 120)
            try await base.storage.write { [calls = base.calls] in _ = try calls.record([call], in: $0) }
        }

        func standings() async throws -> (all: [Alert], standings: AlertStandings) {
            try await base.storage.read { [self] transaction in
                let firing = try base.alerts.firing(in: transaction)
                let dependents = try dependence.dependents(
                    among: firing, rules, at: base.world.now, in: transaction)
                return (
                    firing,
                    AlertStandings(firing: firing, silences: [], inhibitions: rules, dependents: dependents)
                )
            }
        }

        /// Alerts that are told, by their names and what they name.
        func told() async throws -> [String] {
            let (all, standings) = try await standings()
            return all.filter { !standings.standing(of: $0).isSuppressed }.map(Self.name).sorted()
        }

        func reasons(_ name: String) async throws -> [String] {
            let (all, standings) = try await standings()
            return all.filter { Self.name($0) == name }.flatMap { standings.standing(of: $0).because }
        }

        private static func name(_ alert: Alert) -> String {
            let subjects = ["agent", "model", "target", "queue", "task_type", "provider"].map { alert.labels[$0] }
            return ([alert.name] + subjects.filter { !$0.isEmpty }).joined(separator: " ")
        }

        /// A task of a queue that an agent finishes.
        func work(_ queue: String, _ agent: String) async throws {
            _ = try await base.tasks.create(["queue": .string(queue)])
            let task = try #require(try await base.tasks.claim(agent, queues: [queue]).first)
            _ = try await base.tasks.beat(task, agent)
            _ = try await base.tasks.complete(task, agent)
        }
    }

    private func on(_ engine: TestEngine, _ body: (Bench) async throws -> Void) async throws {
        try await IncidentFixture.on(engine) { try await body(Bench(base: $0)) }
    }

    @Test(
        "who called the provider is kept quiet; who never did, or was in trouble before, is told of",
        arguments: TestEngine.available)
    func callers(_ engine: TestEngine) async throws {
        try await on(engine) { bench in
            try await bench.call("writer", "main/small-1")
            try await bench.call("loner", "backup/large-1", model: "large")
            try await bench.call("early", "main/small-1")
            // A name that begins as the provider's does is another one's.
            try await bench.call("near", "mainly/small-1", model: "other")
            try await bench.base.fire("HighErrorRate", ["agent": "early"])
            bench.base.time.advance(by: .minutes(20))
            try await bench.base.fire("ProviderOutage", ["provider": "main"])
            for agent in ["writer", "loner", "near", "never"] {
                try await bench.base.fire("HighErrorRate", ["agent": agent])
            }
            for model in ["small", "large"] { try await bench.base.fire("ErrorRateSpike", ["model": model]) }
            for target in ["main/small-1", "backup/large-1"] {
                try await bench.base.fire("BreakerFlapping", ["model": "m", "target": target])
            }
            try await bench.base.fire("TaskStuck", ["task_type": "report"])
            try await bench.base.fire("CascadingFailure")
            try await bench.base.fire("AgentDown", ["agent": "writer"])
            #expect(
                try await bench.told() == [
                    "AgentDown writer", "BreakerFlapping m backup/large-1", "ErrorRateSpike large",
                    "HighErrorRate early", "HighErrorRate loner", "HighErrorRate near", "HighErrorRate never",
                    "ProviderOutage main", "TaskStuck report",
                ])
            #expect(
                try await bench.reasons("HighErrorRate writer") == [
                    "ProviderOutage fires (ProviderOutage is on), and writer called main"
                ])
            #expect(
                try await bench.reasons("CascadingFailure") == [
                    "ProviderOutage fires (ProviderOutage is on), and it is about nobody in particular, and began "
                        + "after that"
                ])
            try await bench.base.end("ProviderOutage", ["provider": "main"])
            #expect(try await bench.told().count == 12)
        }
    }

    @Test("a queue is kept quiet where half of its agents called the provider", arguments: TestEngine.available)
    func queues(_ engine: TestEngine) async throws {
        try await on(engine) { bench in
            for agent in ["ann", "bob", "cay"] {
                try await bench.base.enrol(agent, project: "default", type: "writer")
            }
            try await bench.call("ann", "main/small-1")
            for (queue, agent) in [("mixed", "ann"), ("mixed", "bob"), ("well", "bob"), ("ill", "ann")] {
                try await bench.work(queue, agent)
            }
            for agent in ["bob", "cay", "ann"] { try await bench.work("mostly", agent) }
            try await bench.base.fire("ProviderOutage", ["provider": "main"])
            for queue in ["mixed", "well", "ill", "mostly", "unknown"] {
                try await bench.base.fire("QueueBackup", ["queue": queue])
            }
            #expect(
                try await bench.told() == [
                    "ProviderOutage main", "QueueBackup mostly", "QueueBackup unknown", "QueueBackup well",
                ])
        }
    }

    @Test("it is found out anew until the outage is some minutes old, and then no more")
    func settled() async throws {
        try await on(.sqlite) { bench in
            try await bench.base.fire("ProviderOutage", ["provider": "main"])
            for agent in ["first", "second", "late"] {
                try await bench.base.fire("HighErrorRate", ["agent": agent])
            }
            try await bench.call("first", "main/small-1")
            #expect(try await !bench.told().contains("HighErrorRate first"))
            bench.base.time.advance(by: .seconds(10))
            try await bench.call("second", "main/small-1")
            // What was found out counts for a while.
            #expect(try await bench.told().contains("HighErrorRate second"))
            bench.base.time.advance(by: AlertDependence.keptFor)
            #expect(try await !bench.told().contains("HighErrorRate second"))
            bench.base.time.advance(by: AlertDependence.settled)
            try await bench.call("late", "main/small-1")
            for _ in 0..<3 {
                #expect(try await bench.told() == ["HighErrorRate late", "ProviderOutage main"])
                bench.base.time.advance(by: .minutes(1))
            }
        }
    }

    @Test("nobody is asked where nothing is out, or nothing could follow; and outages are so many at most")
    func bounds() async throws {
        let world = World.test()
        func alert(_ name: String, _ labels: [(String, String)], origin: Alert.Origin = .rule) -> Alert {
            Alert(
                id: Identifier(world), labels: LabelSet([("alertname", name)] + labels), annotations: [:], value: nil,
                origin: origin, activeAt: world.now, startsAt: world.now, updatedAt: world.now, generatorURL: "")
        }
        let rules = NotificationSettings().inhibitions
        let target = alert("HighErrorRate", [("agent", "writer")])
        let quiet: [[Alert]] = [
            [target], [alert("ProviderOutage", [("provider", "main")])],
            [alert("ProviderOutage", [("provider", "main")], origin: .external), target],
            [alert("ProviderOutage", []), target], [alert("FleetPaused", []), target],
        ]
        // There is no table to ask.
        try await withStorage(.sqlite, migrations: []) { storage in
            try await storage.read { transaction in
                for firing in quiet {
                    let found = try AlertDependence().dependents(among: firing, rules, at: world.now, in: transaction)
                    #expect(found.isEmpty)
                }
            }
        }
        let outages = (0..<AlertDependence.causesMax + 5).map { alert("ProviderOutage", [("provider", "p\($0)")]) }
        try await on(.sqlite) { bench in
            let found = try await bench.base.storage.read { transaction in
                try bench.dependence.dependents(
                    among: outages + [target], rules, at: world.now, in: transaction)
            }
            #expect(Set(found.keys) == Set(outages.prefix(AlertDependence.causesMax).map(\.id)))
        }
    }
}
