import Foundation
import Kernel
import TestSupport
import Testing

@testable import Control
@testable import Server

/// Reeve's own keys are replaced: those that people and agents come with, and the one that seals secrets.
@Suite("Reeve's own keys over HTTP")
struct OwnKeyScenarioTests {
    private static func id(_ key: String, _ client: AppClient) async throws -> String {
        try #require(try await client.get("/api/v1/me", key: key)["keyId"]?.string)
    }

    @Test("a key is rotated, its cookies stay good, and who may not is refused", arguments: TestEngine.available)
    func keys(_ engine: TestEngine) async throws {
        let time = ManualTime()
        try await withApp(engine, world: .test(time: time)) { client in
            let (admin, viewer) = (try await client.key(.admin), try await client.key(.viewer))
            let operatorKey = try await client.key(.operator_)
            let place = "/api/v1/keys/\(try await Self.id(viewer, client))/rotate"
            for (key, path, body, status) in [
                (viewer, place, [:], 403), (operatorKey, place, [:], 403),
                (admin, "/api/v1/keys/key_none/rotate", [:], 404), (admin, place, ["overlapHours": 721], 422),
                (admin, place, ["hours": 1], 422),
            ] as [(String, String, JSONValue, Int)] {
                #expect(try await client.post(path, body, key: key).status == status)
            }
            let login = try await client.send(
                "POST", "/login", headers: [("content-type", "application/x-www-form-urlencoded")],
                body: Array("key=\(viewer)".utf8))
            let cookie = try #require(login.header("set-cookie")?.split(separator: ";").first.map(String.init))
            let before = try await client.lastSeq()
            let rotated = try await client.post(place, ["overlapHours": 1], key: admin)
            #expect(rotated.status == 201, "\(rotated.text)")
            let new = try #require(rotated["key"]?.string)
            #expect(try await client.events(after: before).map(\.type) == ["key.created", "key.rotated"])
            for key in [viewer, new] { #expect(try await client.get("/api/v1/me", key: key).status == 200) }
            #expect(try await client.post(place, [:], key: admin).code == "conflict")
            let session = try await client.get("/api/v1/me", key: nil, headers: [("cookie", cookie)])
            #expect(session["keyId"] == rotated["id"], "\(session.text)")
            let listed = try await client.get("/api/v1/keys", key: admin)
            let old = listed.items.first { $0["replacedBy"] == rotated["id"] }
            #expect(old?["retiresAt"] == rotated["retiresAt"] && old?["revokedAt"]?.isNull == true)
            let agent = try await client.key(.agent, agent: "writer")
            let own = try await client.post(
                "/api/v1/keys/\(try await Self.id(agent, client))/rotate", [:], key: operatorKey)
            #expect(own["agent"] == "writer", "\(own.text)")
        }
    }

    @Test("a new master key seals anew, step by step, and the old one is needed until then")
    func masterKey() async throws {
        try await TestStorage.withFolder { folder in
            var settings = Settings()
            settings.http.port = 0
            settings.storage.dataDirectory = folder + "/data"
            let path = folder + "/data/master.key"
            let key = try await runApp(settings, .test()) { client in
                let key = try await client.key(.admin)
                for number in 0..<3 {
                    _ = try await client.send(
                        "PUT", "/api/v1/secrets/org/x\(number)", key: key, body: Array(#"{"value":"a value"}"#.utf8))
                }
                let shown = try await client.get("/api/v1/master-key", key: key)
                #expect(shown["version"] == 1 && shown["left"] == 0, "\(shown.text)")
                #expect(shown["versions"]?.array?.first?["values"] == 3)
                let operatorKey = try await client.key(.operator_)
                #expect(try await client.get("/api/v1/master-key", key: operatorKey).status == 403)
                return key
            }
            let text = try String(contentsOfFile: path, encoding: .utf8)
            let second = "2 " + String(repeating: "2b", count: 32) + "\n"
            chmod(path, 0o600)
            try (text + second).write(toFile: path, atomically: false, encoding: .utf8)
            chmod(path, 0o400)
            try await runApp(settings, .test(seed: 2)) { client in
                let done = try await client.post("/api/v1/master-key/rewrap", [:], key: key)
                #expect(done["left"] == 0 && done["failed"] == 0, "\(done.text)")
                let shown = try await client.get("/api/v1/master-key", key: key)
                #expect(shown["version"] == 2 && !shown.text.contains("2b2b"), "\(shown.text)")
                #expect(shown["versions"]?.array?.compactMap { $0["values"]?.int } == [0, 3])
            }
            // The old line can go now.
            chmod(path, 0o600)
            try second.write(toFile: path, atomically: false, encoding: .utf8)
            chmod(path, 0o400)
            try await runApp(settings, .test(seed: 3)) { client in
                let read = try await client.get("/api/v1/secrets/org/x1/value", key: key)
                #expect(read["data"]?["value"] == "a value", "\(read.text)")
            }
            try FileManager.default.removeItem(atPath: path)
            try await runApp(settings, .test(seed: 4)) { client in
                let refused = try await client.post("/api/v1/master-key/rewrap", [:], key: key)
                #expect(refused.status == 503 && refused.code == "master_key", "\(refused.text)")
                let shown = try await client.get("/api/v1/master-key", key: key)
                #expect(shown["fault"]?.string?.contains(path) == true)
            }
        }
    }
}
