import Kernel
import Telemetry
import TestSupport
import Testing

@testable import Control

@Suite("Where a cascade began, and what is held for it")
struct ContainmentCascadeTests {
    /// Ann's draft was accepted and is bad: bob's review of it failed, and its print was skipped. The rest waits.
    private struct Fleet {
        let tasks: [String: AgentTask]

        init(_ fixture: ContainmentFixture) async throws {
            try await fixture.register("ann", "bob", "zed")
            let names = ["draft", "review", "print", "post", "mail", "other"]
            let made = try await fixture.base.graph([
                ["ref": "draft", "title": "draft", "priority": 9],
                [
                    "ref": "review", "title": "review", "dependsOn": ["draft"], "onExhausted": "fail", "priority": 9,
                ],
                ["ref": "print", "title": "print", "dependsOn": [["task": "review", "ifUnmet": "skip"]]],
                ["ref": "post", "title": "post", "dependsOn": ["draft"], "queue": "mail"],
                ["ref": "mail", "title": "mail", "dependsOn": ["post"], "queue": "mail"],
                ["ref": "other", "title": "other", "queue": "mail"],
            ])
            tasks = Dictionary(uniqueKeysWithValues: zip(names, made))
            _ = try await fixture.base.complete(try await fixture.base.claimOne("ann"), "ann")
            _ = try await fixture.base.fail(try await fixture.base.claimOne("bob"), .permanent, "bob")
            // Zed fails more often, by itself alone.
            for _ in 0..<4 {
                _ = try await fixture.base.create(["title": "z", "onExhausted": "fail", "priority": 9])
                _ = try await fixture.base.fail(try await fixture.base.claimOne("zed"), .permanent, "zed")
            }
        }

        func id(_ name: String) -> String { tasks[name]?.id.text ?? "" }
    }

    /// Whom the alert names: who began it, who is struck by it, a task, or nobody.
    enum Alarm: String, CaseIterable { case root, struck, failedTask, waitingTask, nobody }

    @Test(
        "whoever the alert names, the root is named and paused, and what builds on its work is held",
        arguments: TestEngine.available, Alarm.allCases)
    func named(_ engine: TestEngine, _ alarm: Alarm) async throws {
        try await ContainmentFixture.on(engine, policy: try .acting) { fixture in
            let fleet = try await Fleet(fixture)
            let labels: [(String, String)] =
                switch alarm {
                case .root: [("agent", "ann")]
                case .struck: [("agent", "bob")]
                case .failedTask: [("task", fleet.id("review"))]
                case .waitingTask: [("task", fleet.id("mail"))]
                case .nobody: []
                }
            let incident = try await fixture.fire("Cascade", labels, mode: .cascadingFailure)
            try await fixture.act()
            let found = try #require(try await fixture.containments(incident).first)
            #expect(found.state == .acted, "\(found.reason)")
            #expect(found.reason.contains("It began with ann, in \(fleet.id("draft"))"), "\(found.reason)")
            for (name, isPaused) in [("ann", true), ("bob", false), ("zed", false)] {
                #expect(try await fixture.agent(name).isPaused == isPaused, "\(name)")
            }
            for (name, isHeld) in [("post", true), ("mail", true), ("other", false)] {
                let task = try #require(fleet.tasks[name])
                #expect(try await fixture.holds(task.id).isEmpty != isHeld, "\(name)")
            }
        }
    }

    @Test("what counts failures by their root, and what contains them, are of one mind")
    func oneAnswer() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let fleet = try await Fleet(fixture)
            try await fixture.storage.read { transaction in
                let store = fixture.base.tasks.store
                let ids = try store.failed(since: Timestamp(microseconds: 0), limit: 100, in: transaction)
                #expect(ids.count == 6)
                let ended = try store.finished(ids.map(\.text), in: transaction)
                let counted = try fixture.base.tasks.roots(of: ended, in: transaction)
                #expect(counted.map(\.id) == [fleet.id("draft"), fleet.id("draft")])
                let roots = try TaskRoots(of: ids.map(\.text), store, in: transaction)
                let chief = try #require(TaskRoots.chief(of: roots.struck, preferring: []))
                #expect(chief.agent == "ann" && chief.tasks == [fleet.id("draft")] && chief.count == 2)
                // Among those that began with themselves alone, who is named comes first.
                let alone = roots.struck.filter { !$0.isDownstream }
                #expect(alone.count == 4 && TaskRoots.chief(of: alone, preferring: [])?.agent == "zed")
                #expect(TaskRoots.chief(of: [], preferring: []) == nil)
            }
        }
    }

    @Test("a graph that is deep ends somewhere")
    func deep() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            try await fixture.register("ann")
            var items: [JSONValue] = [["ref": "t0", "title": "t0", "onExhausted": "fail"]]
            for number in 1..<100 {
                items.append([
                    "ref": .string("t\(number)"), "title": "t",
                    "dependsOn": [["task": .string("t\(number - 1)"), "ifUnmet": "skip"]],
                ])
            }
            let made = try await fixture.base.graph(items)
            _ = try await fixture.base.fail(try await fixture.base.claimOne("ann"), .permanent, "ann")
            try await fixture.storage.read { transaction in
                let store = fixture.base.tasks.store
                let near = try TaskRoots(of: [made[20].id.text], store, in: transaction)
                #expect(near.struck.map(\.root.id) == [made[0].id.text])
                let far = try TaskRoots(of: [made[99].id.text], store, in: transaction)
                #expect(far.struck.count == 1 && far.downstream.isEmpty)
            }
        }
    }

    @Test("what failed lately, and what was an agent's, is found by an index", arguments: TestEngine.available)
    func plans(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: TaskFixture.migrations) { storage in
            let since = Timestamp(microseconds: 1_790_000_000_000_000)
            for (query, index) in [
                (TaskStore.failedList(since: since, limit: 50), "tasks_finished_spoilt"),
                (TaskStore.recentList(of: "ann", since: since, limit: 50), "tasks_finished_lately"),
                (TaskStore.handList(of: "ann", limit: 50), "tasks_owner"),
            ] {
                let lines = try await storage.write { transaction in
                    guard engine == .postgres else {
                        return try transaction.rows("EXPLAIN QUERY PLAN" + query).map { $0.text("detail") }
                    }
                    for setting in ["enable_seqscan", "enable_bitmapscan"] {
                        try transaction.run(SQLText(stringLiteral: "SET LOCAL \(setting) = off"))
                    }
                    return try transaction.rows("EXPLAIN" + query).map { $0.text("QUERY PLAN") }
                }
                #expect(lines.contains { $0.contains(index) }, "\(lines)")
                #expect(!lines.contains { $0.contains("Seq Scan") }, "\(lines)")
                // What is in hand is little; the rest is read in its order.
                if index != "tasks_owner" {
                    #expect(!lines.contains { $0.contains("TEMP B-TREE") || $0.contains("Sort") }, "\(lines)")
                }
            }
        }
    }
}
