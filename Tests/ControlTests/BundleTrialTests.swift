import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

/// Roll-outs as people and workers meet them.
@Suite("Roll-outs of bundles")
struct BundleTrialTests {
    /// An agent with a version that it is to run with, and a second one that is rolled out.
    struct Rolled {
        let bench: AgentBench
        let old: String
        let new: String

        static let path = "/api/v1/agents/writer/config/rollout"

        static func push(
            _ bench: AgentBench, _ prompt: String, to agent: String = "writer", more: [(String, JSONValue)] = []
        ) async throws -> Answer {
            var body = JSONObject()
            body["message"] = .string("why \(prompt)")
            body["files"] = [
                ["path": "prompts/system.md", "content": .string(prompt)],
                [
                    "path": "agent.yaml",
                    "content": "models: {main: gpt-4o-2024-08-06}\nprompts: {system: prompts/system.md}\n",
                ],
            ]
            for (name, value) in more { body[name] = value }
            return try await bench.call(.post, "/api/v1/agents/\(agent)/bundles", JSONValue.object(body).text)
        }

        /// One step of a minute with half of the tasks, unless told otherwise.
        init(
            _ bench: AgentBench, steps: String = #"[{"share":0.5,"seconds":60,"unitsMin":5,"margin":0.2}]"#
        ) async throws {
            self.bench = bench
            old = try await Self.push(bench, "one").body["version"]?.string ?? ""
            let rollout = try JSONParser.parse(Array(#"{"steps":\#(steps),"measures":["failures"]}"#.utf8))
            let pushed = try await Self.push(bench, "two", more: [("rollout", rollout)])
            #expect(pushed.status == 201, "\(pushed.body.text)")
            new = pushed.body["version"]?.string ?? ""
            #expect(pushed.body["rollout"]?["state"] == "running")
        }

        func show() async throws -> JSONValue { try await bench.call(.get, Self.path).body }

        func look() async throws {
            try await BundleTrialLoop(service: bench.rollouts, storage: bench.storage).look()
        }

        /// Makes tasks and claims them as a worker that takes versions.
        @discardableResult
        func claim(_ count: Int, takes: Bool = true) async throws -> [JSONValue] {
            for number in 0..<count {
                let made = try await bench.call(
                    .post, "/api/v1/tasks", #"{"title":"t\#(number)","type":"write","queue":"default"}"#)
                #expect(made.status == 201, "\(made.body.text)")
            }
            return try await claimWaiting(count, takes: takes)
        }

        func claimWaiting(_ count: Int, takes: Bool = true) async throws -> [JSONValue] {
            let reply = try await bench.call(
                .post, "/api/v1/tasks/claim", #"{"limit":\#(count),"takesBundle":\#(takes)}"#,
                as: AgentBench.agent("writer"))
            return reply.body["items"]?.array ?? []
        }

        func end(_ claim: JSONValue, _ verb: String = "complete", more: String = "") async throws {
            let id = claim["task"]?["id"]?.string ?? ""
            let reply = try await bench.call(
                .post, "/api/v1/tasks/\(id)/\(verb)", #"{"fence":\#(claim["fence"]?.int ?? 0)\#(more)}"#,
                as: AgentBench.agent("writer"))
            #expect(reply.status == 200, "\(reply.body.text)")
        }

        static func isNew(_ claim: JSONValue) -> Bool { claim["bundle"]?["arm"] == "new" }

        func desired() async throws -> String? {
            try await bench.show("writer")["config"]?["desired"]?.string
        }

        func told(_ type: String) async throws -> Int { try await bench.allEvents().count { $0.type == type } }
    }

    @Test(
        "a version that fails as rarely is given to all, and the old one stays until then",
        arguments: TestEngine.available)
    func finishes(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let rolled = try await Rolled(bench)
            #expect(try await rolled.desired() == rolled.old)
            let claims = try await rolled.claim(200)
            #expect(claims.count == 200)
            let new = claims.filter(Rolled.isNew)
            #expect((70...130).contains(new.count), "\(new.count)")
            #expect(new.allSatisfy { $0["bundle"]?["version"]?.string == rolled.new })
            #expect(claims.allSatisfy { $0["bundle"]?["share"]?.double == 0.5 })
            try await rolled.look()
            let begun = try await rolled.show()
            #expect(begun["begun"]?.int == 200)
            #expect(begun["begunNew"]?.int == Int64(new.count))
            for claim in claims { try await rolled.end(claim) }
            try await rolled.look()
            let counted = try await rolled.show()
            #expect(counted["measures"]?["failures"]?["new"]?["units"]?.int == Int64(new.count))
            #expect(counted["state"] == "running")
            #expect(counted["waitsFor"]?.string?.contains("60 s more") == true)
            #expect(try await rolled.desired() == rolled.old)
            bench.time.advance(by: .seconds(61))
            try await rolled.look()
            let ended = try await rolled.show()
            #expect(ended["state"] == "finished", "\(ended.text)")
            #expect(ended["unproven"] == false)
            #expect(ended["waitsFor"] == .null)
            #expect(try await rolled.desired() == rolled.new)
            #expect(try await rolled.told("bundle.rolled_out") == 1)
            // Told once, and nothing more is counted.
            try await rolled.look()
            #expect(try await rolled.told("bundle.rolled_out") == 1)
            // The attempts say what they ran with, on which side, and at which share.
            let id = claims[0]["task"]?["id"]?.string ?? ""
            let attempt = try await bench.call(.get, "/api/v1/tasks/\(id)/attempts").body["items"]?.array?.first
            #expect(attempt?["bundle"] == claims[0]["bundle"]?["version"])
            #expect(attempt?["arm"] == claims[0]["bundle"]?["arm"])
            #expect(attempt?["share"]?.double == 0.5)
        }
    }

    @Test("a version that fails is taken back, named as such, and the old one stays", arguments: TestEngine.available)
    func takenBack(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let rolled = try await Rolled(bench)
            for claim in try await rolled.claim(60) {
                if Rolled.isNew(claim) {
                    try await rolled.end(claim, "fail", more: #","class":"permanent","message":"rude""#)
                } else {
                    try await rolled.end(claim)
                }
            }
            try await rolled.look()
            let ended = try await rolled.show()
            #expect(ended["state"] == "taken_back", "\(ended.text)")
            #expect(ended["reason"]?.string?.contains("attempts with the new version failed") == true)
            #expect(try await rolled.desired() == rolled.old)
            #expect(try await rolled.told("bundle.taken_back") == 1)
            #expect(try await bench.auditRows().count { $0.action == "bundle.taken_back" } == 1)
            let versions = try await bench.call(.get, "/api/v1/agents/writer/bundles").body["items"]?.array
            let bad = versions?.first { $0["version"]?.string == rolled.new }
            #expect(bad?["takenBack"]?["reason"] == ended["reason"])
            #expect(versions?.first { $0["version"]?.string == rolled.old }?["takenBack"] == .null)
            // Tasks after it are given to nobody's side.
            let claim = try await rolled.claim(1).first
            #expect(claim?["bundle"]?["version"]?.string == rolled.old)
            #expect(claim?["bundle"]?["arm"] == .null)
        }
    }

    @Test("a task stays with its version, and counts once", arguments: TestEngine.available)
    func sticks(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let rolled = try await Rolled(bench)
            let claims = try await rolled.claim(12)
            let arms = Dictionary(
                claims.map { ($0["task"]?["id"]?.string ?? "", Rolled.isNew($0)) }
            ) { first, _ in first }
            for claim in claims {
                // A provider's fault, and work that is given back, say nothing of the version.
                try await rolled.end(claim, "release")
            }
            try await rolled.look()
            #expect(try await rolled.show()["begun"]?.int == 12)
            #expect(try await rolled.show()["measures"]?["failures"]?["new"]?["units"]?.int == 0)
            let again = try await rolled.claimWaiting(12)
            #expect(again.count == 12)
            #expect(again.allSatisfy { arms[$0["task"]?["id"]?.string ?? ""] == Rolled.isNew($0) })
            for claim in again { try await rolled.end(claim, "fail", more: #","class":"retryable","delaySeconds":0"#) }
            try await rolled.look()
            bench.time.advance(by: .seconds(1))
            try await bench.storage.write { while try bench.tasks.sweep(in: $0) > 0 {} }
            let third = try await rolled.claimWaiting(12)
            #expect(third.count == 12)
            for claim in third { try await rolled.end(claim) }
            try await rolled.look()
            let seen = try await rolled.show()
            // Twelve failures of twelve tasks, however they ended later; begun once each.
            #expect(seen["begun"]?.int == 12)
            let (new, old) = (seen["measures"]?["failures"]?["new"], seen["measures"]?["failures"]?["old"])
            #expect((new?["units"]?.int ?? 0) + (old?["units"]?.int ?? 0) == 12)
            #expect((new?["failed"]?.int ?? 0) + (old?["failed"]?.int ?? 0) == 12)
        }
    }

    @Test(
        "workers that do not take versions are not counted, and it says what it waits for",
        arguments: TestEngine.available)
    func notTaken(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let rolled = try await Rolled(bench)
            try await bench.beat("writer", #""configVersion":"\#(rolled.old)""#)
            for claim in try await rolled.claim(5, takes: false) {
                #expect(claim["bundle"]?["version"]?.string == rolled.old)
                #expect(claim["bundle"]?["arm"] == .null)
                try await rolled.end(claim)
            }
            try await rolled.look()
            let seen = try await rolled.show()
            #expect(seen["begun"]?.int == 0)
            #expect(seen["waitsFor"]?.string?.contains("takesBundle") == true)
        }
    }

    @Test("what is refused leaves everything as it was", arguments: TestEngine.available)
    func refuses(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            // Nothing to compare with.
            let first = try await Rolled.push(bench, "one", more: [("rollout", true)])
            #expect(first.status == 404, "\(first.body.text)")
            #expect(try await bench.story() == [])
            let rolled = try await Rolled(bench)
            let story = try await bench.story()
            let third = try await Rolled.push(bench, "three")
            #expect(third.status == 409)
            #expect(third.body["version"]?.string == rolled.new)
            #expect(try await Rolled.push(bench, "three", more: [("rollout", true)]).status == 409)
            let begun = try await bench.call(.post, Rolled.path, #"{"version":"\#(rolled.new)"}"#)
            #expect(begun.status == 409)
            let edit = try await bench.call(.patch, "/api/v1/agents/writer", #"{"desiredConfigVersion":"x"}"#)
            #expect(edit.status == 409)
            #expect(try await bench.call(.delete, "/api/v1/agents/writer").status == 409)
            #expect(try await bench.call(.post, "\(Rolled.path)/resume").status == 409)
            #expect(try await bench.call(.post, "\(Rolled.path)/promote", as: AgentBench.viewer).status == 403)
            let other = try await bench.call(.get, Rolled.path, as: AgentBench.agent("other"))
            #expect(other.status == 403)
            let none = try await bench.call(.post, "\(Rolled.path)/cancel", as: AgentBench.agent("writer"))
            #expect(none.status == 403)
            for body in [
                #"{"version":"\#(rolled.new)","steps":[]}"#, #"{"version":"\#(rolled.new)","measures":["luck"]}"#,
                #"{"version":"\#(rolled.new)","steps":[{"share":0.5,"seconds":1},{"share":0.2,"seconds":1}]}"#,
                #"{"version":"\#(rolled.new)","steps":[{"share":2,"seconds":1}]}"#, #"{}"#,
                #"{"version":"\#(rolled.new)","unit":"luck"}"#,
            ] {
                #expect(try await bench.call(.post, Rolled.path, body).status == 422, "\(body)")
            }
            #expect(try await bench.story() == story)
            // The old version again is no other one: nothing changes.
            #expect(try await Rolled.push(bench, "one").status == 200)
            #expect(try await bench.story() == story)
            #expect(try await bench.call(.get, "/api/v1/agents/none/config/rollout").status == 404)
        }
    }

    @Test("people promote, cancel, and go back in the middle of it", arguments: TestEngine.available)
    func people(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let steps = #"[{"share":0.1,"seconds":60},{"share":0.5,"seconds":60}]"#
            let rolled = try await Rolled(bench, steps: steps)
            let on = try await bench.call(.post, "\(Rolled.path)/promote", #"{"reason":"sure"}"#).body
            #expect(on["step"]?.int == 2)
            #expect(on["share"]?.double == 0.5)
            #expect(on["unproven"] == true)
            let ended = try await bench.call(.post, "\(Rolled.path)/promote").body
            #expect(ended["state"] == "finished")
            #expect(try await rolled.desired() == rolled.new)
            #expect(try await bench.call(.post, "\(Rolled.path)/cancel").status == 409)
            #expect(try await bench.auditRows().count { $0.action == "bundle.rollout_promote" } == 2)
            // Back in one step: what is under way ends.
            let third = try await Rolled.push(bench, "three", more: [("rollout", true)])
            #expect(third.status == 201)
            let back = try await bench.call(
                .post, "/api/v1/agents/writer/bundles/rollback", #"{"version":"\#(rolled.old)"}"#)
            #expect(back.status == 200, "\(back.body.text)")
            #expect(try await rolled.show()["state"] == "canceled")
            #expect(try await rolled.desired() == rolled.old)
            #expect(try await rolled.told("bundle.rollout_canceled") == 1)
            // It is free again.
            bench.time.advance(by: .seconds(1))
            #expect(try await Rolled.push(bench, "four", more: [("rollout", true)]).status == 201)
            let canceled = try await bench.call(.post, "\(Rolled.path)/cancel", #"{"reason":"no"}"#).body
            #expect(canceled["state"] == "canceled")
            #expect(canceled["reason"] == "no")
            #expect(try await rolled.desired() == rolled.old)
            #expect(try await bench.call(.get, "/api/v1/bundles/rollouts").body["items"]?.array?.count == 3)
        }
    }

    @Test(
        "some agents first: they have the new version, and attempts count by what they ran with",
        arguments: TestEngine.available)
    func agents(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            let names = (1...4).map { "a\($0)" }
            for name in names { try await bench.beat(name, #""labels":{"type":"scribe"}"#) }
            let draft: (String, String) -> String = { prompt, more in
                let content = #"models: {main: gpt-4o-2024-08-06}\nparameters: {tone: \#(prompt)}"#
                return #"{"message":"m","files":[{"path":"agent.yaml","content":"\#(content)"}]\#(more)}"#
            }
            let first = try await bench.call(.post, "/api/v1/bundles", draft("one", #","type":"scribe""#))
            #expect(first.status == 201, "\(first.body.text)")
            #expect(first.body["agents"]?.array?.compactMap(\.string) == names)
            let old = first.body["version"]?.string ?? ""
            let rollout =
                #","agents":["a1","a2","a3","a4"],"rollout":{"unit":"agents","measures":["failures"],"#
                + #""steps":[{"share":0.25,"seconds":60},{"share":0.5,"seconds":60}]}"#
            let second = try await bench.call(.post, "/api/v1/bundles", draft("two", rollout))
            #expect(second.status == 201, "\(second.body.text)")
            let new = second.body["version"]?.string ?? ""
            let given = second.body["rollout"]?["given"]?.array?.compactMap(\.string) ?? []
            #expect(given.count == 1)
            for name in names {
                let desired = try await bench.show(name)["config"]?["desired"]?.string
                #expect(desired == (given.contains(name) ? new : old))
                try await bench.beat(name, #""configVersion":"\#(desired ?? "")""#)
            }
            let path = "/api/v1/agents/\(given[0])/config/rollout"
            let loop = BundleTrialLoop(service: bench.rollouts, storage: bench.storage)
            for name in names {
                for _ in 0..<10 {
                    _ = try await bench.call(.post, "/api/v1/tasks", #"{"title":"t"}"#)
                    let claims = try await bench.call(
                        .post, "/api/v1/tasks/claim", "{}", as: AgentBench.agent(name)
                    ).body["items"]?.array
                    let claim = try #require(claims?.first)
                    #expect(claim["bundle"]?["arm"]?.string == (given.contains(name) ? "new" : "old"))
                    let verb = given.contains(name) ? "fail" : "complete"
                    let ended = try await bench.call(
                        .post, "/api/v1/tasks/\(claim["task"]?["id"]?.string ?? "")/\(verb)",
                        #"{"fence":\#(claim["fence"]?.int ?? 0)\#(verb == "fail" ? #","class":"permanent""# : "")}"#,
                        as: AgentBench.agent(name))
                    #expect(ended.status == 200)
                }
            }
            try await loop.look()
            let seen = try await bench.call(.get, path).body
            #expect(seen["state"] == "taken_back", "\(seen.text)")
            #expect(seen["begunNew"]?.int == 10)
            for name in names { #expect(try await bench.show(name)["config"]?["desired"]?.string == old) }
            #expect(try await bench.call(.post, "/api/v1/bundles", draft("x", #","type":"nobody""#)).status == 404)
            #expect(try await bench.call(.post, "/api/v1/bundles", draft("x", "")).status == 422)
        }
    }

    @Test(
        "costs are compared with what nine tenths of the old version's attempts cost", arguments: TestEngine.available)
    func costs(_ engine: TestEngine) async throws {
        try await AgentBench.run(engine) { bench in
            _ = try await Rolled.push(bench, "one")
            let asked: JSONValue = ["measures": ["costs"], "steps": [["share": 0.5, "seconds": 60]]]
            #expect(try await Rolled.push(bench, "two", more: [("rollout", asked)]).status == 409)
            let rolled = try await Rolled(bench)
            _ = try await bench.call(.post, "\(Rolled.path)/cancel")
            func work(_ claim: JSONValue, usd: Double) async throws {
                let id = claim["task"]?["id"]?.string ?? ""
                let beat = try await bench.call(
                    .post, "/api/v1/tasks/\(id)/heartbeat",
                    #"{"fence":\#(claim["fence"]?.int ?? 0),"usage":{"usd":\#(usd)}}"#, as: AgentBench.agent("writer"))
                #expect(beat.status == 200)
                try await rolled.end(claim)
            }
            for (number, claim) in try await rolled.claim(40).enumerated() {
                try await work(claim, usd: Double(number + 1) / 100)
            }
            let begun = try await Rolled.push(bench, "two", more: [("rollout", asked)])
            #expect(begun.status == 200, "\(begun.body.text)")
            let limit = begun.body["rollout"]?["costLimitUSD"]?.double ?? 0
            #expect((0.34...0.38).contains(limit), "\(limit)")
            for claim in try await rolled.claim(60) { try await work(claim, usd: Rolled.isNew(claim) ? 1 : 0.1) }
            try await rolled.look()
            let seen = try await rolled.show()
            #expect(seen["state"] == "taken_back", "\(seen.text)")
            #expect(seen["reason"]?.string?.contains("were dear") == true)
        }
    }
}
