import Kernel
import TestSupport
import Testing

@testable import Control

/// The bounds of the store of secrets, reached.
@Suite("Secrets by the thousand")
struct SecretCapsTests {
    private typealias Fixture = RotationFixture

    @Test("10,000 secrets are kept, listed and told of, and not one more", arguments: TestEngine.available)
    func secrets(_ engine: TestEngine) async throws {
        try await withStorage(engine, migrations: Fixture.migrations) { storage in
            let fixture = try Fixture(storage)
            let store = SecretStore()
            let now = fixture.world.now
            for start in stride(from: 0, to: KeptSecret.secretsMax - 1, by: 1_000) {
                try await storage.write { transaction in
                    for number in start..<min(start + 1_000, KeptSecret.secretsMax - 1) {
                        var secret = KeptSecret(path: try SecretPath("org/secret-\(number)"), at: now)
                        (secret.version, secret.lastVersion, secret.writtenAt) = (1, 1, now)
                        try store.put(secret, in: transaction)
                    }
                }
            }
            // The last one that has a place, and versions of it, but none beside it.
            try await fixture.begin()
            _ = try await fixture.secrets.write(fixture.path, .put(Fixture.data("next-value")), by: Fixture.ada)
            let full = await fixture.code {
                try await fixture.secrets.write(SecretPath("org/more"), .put(Fixture.data("x")), by: Fixture.ada)
            }
            #expect(full == "conflict")
            let described = await fixture.code {
                try await fixture.secrets.set(.init(versionsMax: 3), of: SecretPath("org/more"), by: Fixture.ada)
            }
            #expect(described == "conflict")
            #expect(try await fixture.secrets.names(below: "org", by: Fixture.ada).count == KeptSecret.secretsMax - 1)
            var (seen, after) = (0, String?.none)
            while true {
                let page = try await fixture.secrets.list(
                    scope: nil, owner: nil, page: Page(limit: 500, after: after), by: Fixture.ada)
                seen += min(page.count, 500)
                guard page.count > 500 else { break }
                after = page[499].secret.path.description
            }
            #expect(seen == KeptSecret.secretsMax)
            // All are due at once: one alert tells of those of the organisation, another of the project's one.
            fixture.time.advance(by: KeptSecret.rotationAge)
            try await fixture.service.tellDue()
            #expect(try await fixture.firing().count == 2)
        }
    }

    @Test("1,000 agents may read one secret, and all of them are waited for", arguments: TestEngine.available)
    func grants(_ engine: TestEngine) async throws {
        try await Fixture.with(engine) { fixture in
            let names = (0..<KeptSecret.grantsMax).map { "agent-\($0)" }
            let granted = try await fixture.secrets.grant(fixture.path, to: names, by: Fixture.ada)
            #expect(granted.count == KeptSecret.grantsMax)
            let store = SecretStore()
            try await fixture.storage.write { transaction in
                for name in names {
                    try store.markUsed(
                        fixture.path, version: 1, by: Fixture.agent(name), at: fixture.world.now, in: transaction)
                }
            }
            try await fixture.go(to: .overlap)
            fixture.users.set(names.map { RunningUse(agent: $0, since: nil) })
            let view = try await fixture.service.view(fixture.path)
            #expect(view.users.count == SecretRotationService.usersShownMax)
            #expect(view.waitsFor.contains { $0.text.hasPrefix("1000 tasks and sessions") })
            #expect(try await fixture.read(Fixture.agent("agent-999"), 1) == "old-value")
            let shown = try await fixture.secrets.describe(fixture.path, by: Fixture.ada)
            #expect(shown.holders.count == KeptSecret.holdersMax)
            _ = try await fixture.secrets.grant(fixture.path, to: [], by: Fixture.ada)
            #expect(try await fixture.secrets.grants(of: fixture.path).isEmpty)
        }
    }
}
