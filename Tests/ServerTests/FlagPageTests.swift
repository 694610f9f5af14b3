import Kernel
import TestSupport
import Testing

@testable import Control

/// Flags, as an operator meets them.
@Suite("Flags: the pages")
struct FlagPageTests {
    private static func put(_ key: String, _ json: JSONValue, on fixture: PageFixture) async throws {
        let reply = try await fixture.call(.put, "/api/v1/flags/\(key)", json)
        #expect(reply.status == 200)
    }

    private static let route: JSONValue = [
        "type": "string", "mode": "pinned", "variants": ["small": "gpt-mini", "large": "gpt-max"],
        "defaultVariant": "small", "description": PageFixture.hostileJSON, "configKey": "models.route",
        "rules": [
            ["id": "staff", "when": ["team": ["in": ["core"]], "plan": "pro"], "variant": "large"],
            ["id": "share", "split": ["large": 12.5, "small": 87.5]],
        ],
        "schedules": [["id": "night", "from": "2030-01-01T00:00:00Z", "variant": "large"]],
    ]

    @Test("A row for each flag, and what it serves")
    func rows() async throws {
        try await PageFixture.with { fixture in
            #expect(try await fixture.page("/flags").contains("No flags yet"))
            try await Self.put(
                "kill", ["type": "boolean", "variants": ["on": true, "off": false], "defaultVariant": "on"], on: fixture
            )
            try await Self.put("route", Self.route, on: fixture)
            try await fixture.send("/api/v1/flags/kill/off", ["reason": "it hurts"])
            let html = try await fixture.page("/flags")
            #expect(html.contains("<span class=\"sub\">2 flags, 1 switched off</span>"))
            #expect(html.contains("data-flag=\"kill\" data-state=\"paused\""))
            #expect(html.contains("data-flag=\"route\" data-state=\"done\"") && html.contains("small, and 2 rules"))
            #expect(html.contains("data-post=\"/api/v1/flags/kill/on\""))
            #expect(html.contains("data-post=\"/api/v1/flags/route/off\"") && html.contains("data-topics=\"flag\""))
            #expect(!html.contains("<script>alert"))
            let looked = try await fixture.page("/flags", as: PageFixture.viewer)
            #expect(!looked.contains("data-post="))
            let first = try await fixture.page("/flags?limit=1")
            #expect(first.contains("href=\"/flags?after=kill\"") && !first.contains("data-flag=\"route\""))
        }
    }

    @Test("A flag with its targeting, its audience and its history")
    func detail() async throws {
        try await PageFixture.with { fixture in
            try await Self.put("route", Self.route, on: fixture)
            try await fixture.flags.book.open()
            for user in 0..<8 {
                let context = try FlagContext([
                    "targetingKey": .string("u\(user)"), "team": "core", "plan": "pro",
                    "sessionId": .string("s\(user)"),
                ])
                _ = try await fixture.flags.decide(
                    ["route"], in: fixture.flags.book.edition, for: context, pins: true)
            }
            try await fixture.send("/api/v1/flags/route/off", ["reason": "too dear"])
            let html = try await fixture.page("/flags/route")
            #expect(html.contains("data-rule=\"staff\"") && html.contains("team in [&quot;core&quot;]; plan is"))
            #expect(html.contains("12.5") && html.contains("everybody else") && html.contains("not at this"))
            #expect(html.contains("data-variant=\"large\"") && html.contains("100 %"))
            #expect(html.contains("data-version=\"2\"") && html.contains("too dear") && html.contains("Switched off"))
            #expect(html.contains("<dt>Configures</dt><dd>models.route</dd>"))
            #expect(html.contains("id=\"flag-agents\"") && html.contains("of 0 agents"))
            #expect(!html.contains("<script>alert"))
            _ = try await fixture.page("/flags/nothing", status: 404)
        }
    }

    @Test("The agents under a flag that drives a key, and what each gets")
    func agents() async throws {
        try await PageFixture.with { fixture in
            for name in ["alpha", "beta", "gamma"] {
                try await fixture.send("/api/v1/agents", ["name": .string(name), "labels": ["team": .string(name)]])
            }
            let flag: JSONValue = [
                "type": "boolean", "variants": ["on": true, "off": false], "defaultVariant": "off",
                "configKey": "tools.shell",
                "rules": [["id": "trusted", "when": ["labels.team": ["in": ["beta", "gamma"]]], "variant": "on"]],
            ]
            try await Self.put("shell", flag, on: fixture)
            let html = try await fixture.page("/flags/shell")
            #expect(html.contains("of 3 agents") && html.contains("data-agent=\"beta\""))
            #expect(html.contains("class=\"num\" data-label=\"Agents\">2</td>"))
            #expect(html.contains("class=\"num\" data-label=\"Agents\">1</td>"))
            #expect(html.contains("data-label=\"By\">trusted"))
            try await Self.put(
                "plain", ["type": "boolean", "variants": ["on": true], "defaultVariant": "on"], on: fixture)
            #expect(!(try await fixture.page("/flags/plain")).contains("flag-agents"))
        }
    }
}

extension PageFixture {
    fileprivate static var hostileJSON: JSONValue { .string(hostile) }
}
