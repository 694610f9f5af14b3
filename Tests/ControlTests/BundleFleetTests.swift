import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control

/// Bundles and roll-outs with many agents and tasks, in virtual time, through the real services.
@Suite("Bundles in a fleet")
struct BundleFleetTests {
    @Test("10,000 agents have taken up a new version within two heartbeats, and the one that has not is named")
    func converges() async throws {
        try await AgentBench.run(.sqlite) { bench in
            let names = (0..<10_000).map { "agent-\($0 + 10_000)" }
            let laggard = names[4_711]
            // What each runs with, and what its last heartbeat said that it is to run with.
            var running: [String: String] = [:]
            func beat(_ some: ArraySlice<String>) async throws {
                let said = running
                let told = try await bench.storage.write { transaction in
                    try some.map { name in
                        var heartbeat = AgentHeartbeat()
                        heartbeat.beat.configReported = said[name]
                        let reply = try bench.agents.heartbeat(name, heartbeat, in: transaction)
                        return (name, reply.json["config"]?["desired"]?.string)
                    }
                }
                for (name, desired) in told where name != laggard { running[name] = desired }
            }
            /// Every agent beats once, all over the interval that they were told.
            func round() async throws {
                for start in stride(from: 0, to: names.count, by: 500) {
                    try await beat(names[start..<start + 500])
                    bench.time.advance(by: .milliseconds(500))
                }
            }
            try await round()
            var version = ""
            for start in stride(from: 0, to: names.count, by: BundleTrial.membersMax) {
                let some = JSONValue.list(Array(names[start..<start + BundleTrial.membersMax]))
                let reply = try await bench.call(
                    .post, "/api/v1/bundles",
                    #"{"agents":\#(some.text),"files":[{"path":"agent.yaml","content":"models: {a: m-2026-01-01}"}]}"#)
                #expect(reply.status == 201, "\(reply.body.text)")
                version = reply.body["version"]?.string ?? ""
            }
            let before = try await bench.call(.get, "/api/v1/bundles/status?behind=true&limit=10").body
            #expect(before["items"]?.array?.count == 10)
            try await round()
            try await round()
            let late = try await bench.call(.get, "/api/v1/bundles/status?behind=true").body["items"]?.array
            #expect(late?.map { $0["agent"]?.string } == [laggard])
            #expect(late?.first?["desired"]?.string == version)
        }
    }

    /// A roll-out with claims, ends and looks of the services; how it ended.
    private static func run(_ rolled: BundleTrialTests.Rolled, ratio: Double, _ dice: inout BundleRolloutTests.Dice)
        async throws -> String
    {
        for _ in 0..<12 {
            for claim in try await rolled.claim(25) {
                let chance = BundleTrialTests.Rolled.isNew(claim) ? 0.05 * ratio : 0.05
                let fails = dice.unit() < chance
                try await rolled.end(claim, fails ? "fail" : "complete", more: fails ? #","class":"permanent""# : "")
            }
            rolled.bench.time.advance(by: .minutes(5))
            try await rolled.look()
            let state = try await rolled.show()["state"]?.string ?? ""
            if state != "running" { return state }
        }
        return "running"
    }

    @Test("through the services, what is no worse stays, and what fails ten times as often is taken back")
    func nulls() async throws {
        var dice = BundleRolloutTests.Dice(state: 6)
        var wrong = 0
        var caught = 0
        for number in 0..<8 {
            try await AgentBench.run(.sqlite) { bench in
                let rolled = try await BundleTrialTests.Rolled(
                    bench, steps: #"[{"share":0.25,"seconds":1800,"unitsMin":5},{"share":0.5,"seconds":36000}]"#)
                let isBad = number % 4 == 3
                let state = try await Self.run(rolled, ratio: isBad ? 10 : 1, &dice)
                if isBad { caught += state == "taken_back" ? 1 : 0 } else { wrong += state == "taken_back" ? 1 : 0 }
            }
        }
        // Of six, one may be by the chance of 2.28 % each; two are a matter of once in 130 times.
        #expect(wrong <= 1, "\(wrong)")
        #expect(caught == 2, "\(caught)")
    }
}
