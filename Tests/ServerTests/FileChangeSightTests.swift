import Kernel
import Server
import TestSupport
import Testing

@testable import Control

/// What people changed in files, as each role sees it at each address that tells of events.
@Suite("Who sees what changed in files")
struct FileChangeSightTests {
    /// What stands in the changes and is operators'.
    private static let secrets = ["616161", "979797", "old.example", "new.example", "secret-place"]

    private static func settings(_ host: String, lease: Int, price: Int) -> Settings {
        var settings = Settings()
        settings.tasks.leaseSecondsDefault = lease
        settings.catalogue.file = "/etc/secret-place/reeve.yaml"
        settings.catalogue.document = [
            "models": [
                "small": [
                    "targets": [["provider": "main", "model": "small-2026-01-01"]],
                    "price": ["input": .int(Int64(price))],
                ]
            ]
        ]
        settings.alerts.document = [
            "receivers": [["name": "chat", "kind": "slack", "url": .string("\(host)/T0")]],
            "route": ["receiver": "chat"],
        ]
        return settings
    }

    /// Lets a setting, a receiver and a price change while an incident is open; returns the incident.
    private static func change(_ client: AppClient) async throws -> String {
        let key = try await client.key(.operator_)
        let made = try await client.post("/api/v1/incidents", ["title": "It broke", "severity": "info"], key: key)
        for (host, lease, price) in [("https://old.example", 616_161, 1), ("https://new.example", 979_797, 5)] {
            try await FileChangeService(
                settings: settings(host, lease: lease, price: price), onCall: nil, sources: [],
                events: client.app.features.events, storage: client.app.features.storage, replica: "other",
                world: client.world
            ).begin()
        }
        for loop in client.app.features.loops where loop.name == "incidents.timelines" { try await loop.body() }
        return try #require(made["id"]?.string)
    }

    @Test(
        "in the log, the stream, timelines, analyses, drafts and pages alike", arguments: TestEngine.available,
        [Role.admin, .operator_, .viewer])
    func roles(_ engine: TestEngine, _ role: Role) async throws {
        try await withApp(engine, world: .live) { client in
            let incident = try await Self.change(client)
            let key = try await client.key(role)
            let isWhole = role != .viewer
            let one = "/api/v1/incidents/\(incident)"
            for (path, tellsAll) in [
                ("/api/v1/events?type=config.*", isWhole), (one, isWhole), ("\(one)/timeline", isWhole),
                ("\(one)/timeline?order=newest", isWhole), ("\(one)/analysis", isWhole),
                // A draft is for everybody, whoever reads it.
                ("\(one)/postmortem", false), ("/events?type=config.*", isWhole), ("/", isWhole),
                ("/incidents/\(incident)", isWhole), ("/incidents/\(incident)/timeline", isWhole),
            ] {
                let reply = try await client.get(path, key: key)
                #expect(reply.status == 200, "\(path)")
                for text in Self.secrets where !tellsAll { #expect(!reply.text.contains(text), "\(path): \(text)") }
                // The page of the fleet shows no more than what is about whom.
                #expect(!tellsAll || path == "/" || reply.text.contains(Self.secrets[0]), "\(path)")
            }
            let log = try await client.get("/api/v1/events?type=config.*", key: key)
            #expect(
                log.items.compactMap { $0["type"]?.string } == [
                    "config.setting_changed", "config.price_changed", "config.receiver_changed",
                ])
            #expect(log.items[1]["data"]?["summary"] == "price.input: 1 -> 5")
            #expect((log.items[2].text.contains("old.example")) == isWhole)
            try await client.withStream("/api/v1/events/stream?type=config.*", key: key, lastEventID: "0") { reader in
                for item in log.items {
                    let next = try await reader.next()
                    #expect(next?.json == item)
                }
            }
        }
    }

    @Test("an agent sees none of it, and who only sends nothing at all")
    func others() async throws {
        try await withApp(world: .live) { client in
            let incident = try await Self.change(client)
            let agent = try await client.key(.agent, agent: "writer")
            #expect(try await client.get("/api/v1/events?type=config.*", key: agent).items.isEmpty)
            let ingest = try await client.key(.ingest)
            for (key, path) in [(agent, "/api/v1/incidents/\(incident)"), (ingest, "/api/v1/events")] {
                #expect(try await client.get(path, key: key).code == "forbidden")
            }
        }
    }
}
