import Kernel
import TestSupport
import Testing

@testable import Control
@testable import Server

@Suite("A task is held to the version that it runs with")
struct BundleArmTests {
    /// An agent whose tasks run with either of two versions.
    private struct TwoArms {
        let client: AppClient
        let key: String
        let old: String
        let new: String
        private(set) var claims: [TaskBundle.Arm: JSONValue] = [:]

        static let words = "one two three four five six seven eight nine"

        init(_ client: AppClient) async throws {
            self.client = client
            old = try await Self.push(client, "models: {main: \(FlagEnforcementTests.small)}\nlimits: {max_tokens: 5}")
            let steps: JSONValue = ["steps": [["share": 0.5, "seconds": 3600]], "measures": ["failures"]]
            new = try await Self.push(
                client, "models: {main: \(FlagEnforcementTests.spare)}\nlimits: {max_tokens: 2}", steps)
            key = try await client.key(.agent, agent: "writer")
            for number in 0..<24 {
                let made = try await client.post(
                    "/api/v1/tasks", ["title": .string("t\(number)")], key: client.key(.operator_))
                #expect(made.status == 201, "\(made.text)")
            }
            let reply = try await client.post(
                "/api/v1/tasks/claim", ["limit": 24, "takesBundle": true], key: key)
            for claim in reply["items"]?.array ?? [] {
                guard let arm = claim["bundle"]?["arm"]?.string.flatMap(TaskBundle.Arm.init) else { continue }
                claims[arm] = claim
            }
            try #require(claims.count == 2, "\(reply.text)")
        }

        private static func push(
            _ client: AppClient, _ manifest: String, _ rollout: JSONValue? = nil
        ) async throws -> String {
            var body = JSONObject()
            body["message"] = "m"
            body["files"] = [["path": "agent.yaml", "content": .string(manifest)]]
            if let rollout { body["rollout"] = rollout }
            let reply = try await client.post(
                "/api/v1/agents/writer/bundles", .object(body), key: client.key(.operator_))
            #expect(reply.status == 201, "\(reply.text)")
            return reply["version"]?.string ?? ""
        }

        func task(_ arm: TaskBundle.Arm) -> String { claims[arm]?["task"]?["id"]?.string ?? "" }

        /// A call of a task, or of none that is named.
        func ask(_ task: String?, key other: String? = nil) async throws -> AppReply {
            try await client.post(
                "/v1/chat/completions",
                ["model": "main", "messages": [["role": "user", "content": .string(Self.words)]]], key: other ?? key,
                headers: task.map { [("x-reeve-task", $0)] } ?? [])
        }

        /// The tokens that a call was answered with, and the model that it is on record with.
        func answer(_ task: String?) async throws -> String {
            let reply = try await ask(task)
            #expect(reply.status == 200, "\(reply.text)")
            let id = try #require(reply.header("x-reeve-call"))
            let record = try await client.get("/api/v1/calls/\(id)", key: client.key(.viewer)).json
            return "\(reply.json["usage"]?["completion_tokens"]?.int ?? -1) \(record["model"]?.string ?? "")"
        }
    }

    private static let newAnswer = "2 \(FlagEnforcementTests.spare)"
    private static let oldAnswer = "5 \(FlagEnforcementTests.small)"

    @Test(
        "limits and routes of a new version hold for the tasks that run with it, and for no others",
        arguments: TestEngine.available)
    func arms(_ engine: TestEngine) async throws {
        try await FlagEnforcementTests.run(engine) { client in
            let two = try await TwoArms(client)
            #expect(try await two.answer(two.task(.new)) == Self.newAnswer)
            #expect(try await two.answer(two.task(.old)) == Self.oldAnswer)
            // Of several tasks none is meant where none is named: what the agent is to run with holds.
            #expect(try await two.answer(nil) == Self.oldAnswer)
            #expect(try await two.answer("task_of_nobody") == Self.oldAnswer)
            // Another's task lends nobody its version.
            let reader = try await client.key(.agent, agent: "reader")
            #expect(try await two.ask(two.task(.new), key: reader).status == 404)
            // What has begun goes on with its version, whatever becomes of the roll-out.
            let path = "/api/v1/agents/writer/config/rollout/cancel"
            #expect(try await client.post(path, key: client.key(.operator_)).status == 200)
            #expect(try await two.answer(two.task(.new)) == Self.newAnswer)
            // What operators set stands above either version.
            let set = try await client.send(
                "PUT", "/api/v1/agents/writer/config/values/limits.max_tokens", key: client.key(.operator_),
                body: (["layer": "environment", "value": 1] as JSONValue).bytes)
            #expect(set.status == 200, "\(set.text)")
            #expect(try await two.answer(two.task(.new)) == "1 \(FlagEnforcementTests.spare)")
            #expect(try await two.answer(two.task(.old)) == "1 \(FlagEnforcementTests.small)")
            // And what has ended has no version any more.
            let ended = try await client.post(
                "/api/v1/tasks/\(two.task(.new))/complete", ["fence": two.claims[.new]?["fence"] ?? .null],
                key: two.key)
            #expect(ended.status == 200, "\(ended.text)")
            #expect(try await two.answer(two.task(.new)) == "1 \(FlagEnforcementTests.small)")
        }
    }

    @Test(
        "the versions of claims are known from the store at the start, and by the log from then on",
        arguments: TestEngine.available)
    func followed(_ engine: TestEngine) async throws {
        try await FlagEnforcementTests.run(engine) { client in
            let features = client.app.features
            let two = try await TwoArms(client)
            let events = Events(world: client.world)
            let tasks = FleetTasks(tasks: features.tasks, events: events, storage: features.storage)
            #expect(tasks.bundle(of: two.task(.new), by: "writer") == nil)
            try await tasks.look()
            #expect(tasks.bundle(of: two.task(.new), by: "writer") == two.new)
            #expect(tasks.bundle(of: two.task(.old), by: "writer") == two.old)
            #expect(tasks.bundle(of: two.task(.new), by: "reader") == nil)
            #expect(tasks.bundle(of: two.task(.new), by: nil) == nil)
            // Given back and taken up again by a worker that knows of no versions, it runs with none of them.
            let path = "/api/v1/tasks/\(two.task(.new))/release"
            let fence = two.claims[.new]?["fence"] ?? .null
            #expect(try await client.post(path, ["fence": fence], key: two.key).status == 200)
            events.bus.learn(head: try await client.lastSeq())
            try await tasks.look()
            #expect(tasks.bundle(of: two.task(.new), by: "writer") == nil)
            let again = try await client.post("/api/v1/tasks/claim", ["limit": 1], key: two.key)
            #expect(again["items"]?.array?.first?["task"]?["id"]?.string == two.task(.new))
            events.bus.learn(head: try await client.lastSeq())
            try await tasks.look()
            #expect(tasks.bundle(of: two.task(.new), by: "writer") == nil)
            #expect(tasks.bundle(of: two.task(.old), by: "writer") == two.old)
        }
    }

    @Test("versions are read once and then known, and of one that is not there the agent's own holds")
    func memory() async throws {
        try await FlagEnforcementTests.run { client in
            let two = try await TwoArms(client)
            let features = client.app.features
            let book = CallerBook(
                values: features.configValues, flags: features.flags, events: Events(world: client.world),
                storage: features.storage, world: client.world)
            try await book.look()
            let subject = ConfigSubject(agent: "writer")
            func question(_ bundle: String?) -> CallerRules.Question {
                CallerRules.Question(model: nil, isModel: false, bundle: bundle)
            }
            func limit(_ rules: CallerRules?) -> Double? {
                rules?.limits[CallerRules.outputLimit]?.winner.value.double
            }
            _ = await book.find(subject, question(nil))
            #expect(limit(book.known(subject, question(nil))) == 5)
            #expect(limit(book.known(subject, question(two.old))) == 5)
            // The store is asked for it once.
            #expect(book.known(subject, question(two.new)) == nil)
            #expect(limit(await book.find(subject, question(two.new))) == 2)
            #expect(limit(book.known(subject, question(two.new))) == 2)
            #expect(limit(book.known(subject, question(nil))) == 5)
            // As many as are not there, and still no more is kept than may be, and nothing is asked twice in a row.
            for number in 0..<(CallerBook.versionsMax * 3) {
                let absent = String(repeating: String(number % 10), count: 63) + String(number / 10)
                #expect(limit(await book.find(subject, question(absent))) == 5)
                #expect(limit(book.known(subject, question(absent))) == 5)
            }
            #expect(limit(await book.find(subject, question(two.new))) == 2)
            // Of agents that nobody registered nothing is known, and that is known too.
            let nobody = ConfigSubject(agent: "nobody")
            _ = await book.find(nobody, question(two.new))
            #expect(limit(book.known(nobody, question(two.new))) == nil)
            #expect(book.known(nobody, question(two.new)) != nil)
        }
    }
}
