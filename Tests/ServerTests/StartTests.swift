import Control
import Foundation
import Kernel
import Server
import TestSupport
import Testing

@Suite("Starts and stops")
struct StartTests {
    private static func mode(_ path: String) throws -> Int {
        let attributes = try FileManager.default.attributesOfItem(atPath: path)
        return try #require(attributes[.posixPermissions] as? NSNumber).intValue
    }

    private static func settings(_ folder: String) -> Settings {
        var settings = Settings()
        settings.http.port = 0
        settings.storage.dataDirectory = folder + "/data"
        return settings
    }

    @Test("the first start leaves an admin key for its owner alone; later ones use it")
    func adminKey() async throws {
        try await TestStorage.withFolder { folder in
            let settings = Self.settings(folder)
            let path = settings.storage.dataDirectory + "/admin.key"
            try await runApp(settings, .test(seed: 1)) { client in
                #expect(client.app.adminKey == .made)
                let (file, folder) = try (Self.mode(path), Self.mode(settings.storage.dataDirectory))
                #expect(file == 0o600)
                #expect(folder == 0o700)
            }
            let key = try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            #expect(try #/reeve_admin_[0-9a-f]{40}/#.wholeMatch(in: key) != nil)
            try await runApp(settings, .test(seed: 2)) { client in
                #expect(client.app.adminKey == .inForce)
                #expect(client.app.adminKey.advice == nil)
                let me = try await client.get("/api/v1/me", key: key)
                #expect(me["role"] == "admin")
                #expect(try await client.get("/api/v1/keys", key: key).items.count == 1)
                let link = try #require(client.app.loginLink)
                #expect(try await client.get(link.location, key: nil).status == 303)
            }
        }
    }

    @Test("a lost admin key is not replaced in silence; the login link still lets its owner in")
    func lostAdminKey() async throws {
        try await TestStorage.withFolder { folder in
            let settings = Self.settings(folder)
            let path = settings.storage.dataDirectory + "/admin.key"
            try await runApp(settings, .test(seed: 1)) { _ in }
            try FileManager.default.removeItem(atPath: path)
            try await runApp(settings, .test(seed: 2)) { client in
                #expect(client.app.adminKey == .missing)
                #expect(client.app.adminKey.advice?.contains("login link") == true)
                #expect(!FileManager.default.fileExists(atPath: path))
                let link = try #require(client.app.loginLink)
                let cookie = try #require(try await client.get(link.location, key: nil).cookie)
                let me = try await client.get("/api/v1/me", key: nil, headers: [cookie])
                #expect(me["role"] == "admin")
            }
            try Data("reeve_admin_\(String(repeating: "0", count: 40))\n".utf8).write(to: URL(fileURLWithPath: path))
            try await runApp(settings, .test(seed: 3)) { #expect($0.app.adminKey == .foreign) }
            try Data("nonsense".utf8).write(to: URL(fileURLWithPath: path))
            let problem = await #expect(throws: Problem.self) { try await runApp(settings, .test(seed: 4)) { _ in } }
            #expect(problem?.detail.contains("holds no key") == true)
        }
    }

    @Test("the file has the new key once its own was rotated, and no other's")
    func rotatedAdminKey() async throws {
        try await TestStorage.withFolder { folder in
            let settings = Self.settings(folder)
            let path = settings.storage.dataDirectory + "/admin.key"
            @Sendable func held() throws -> String {
                try String(contentsOfFile: path, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
            }
            try await runApp(settings, .test(seed: 1)) { _ in }
            let first = try held()
            try await runApp(settings, .test(seed: 2)) { client in
                let id = try #require(try await client.get("/api/v1/me", key: first)["keyId"]?.string)
                let other = try await client.post("/api/v1/keys", ["role": "admin", "name": "b"], key: first)
                let otherID = try #require(other["id"]?.string)
                let rotated = try await client.post("/api/v1/keys/\(otherID)/rotate", key: first)
                #expect(rotated.status == 201 && rotated["adminKeyFile"] == nil, "\(rotated.text)")
                let mine = try held()
                #expect(mine == first)
                #expect(chmod(path, 0o400) == 0)
                func rotate() async throws -> AppReply {
                    try await client.post(
                        "/api/v1/keys/\(id)/rotate", key: first, headers: [("idempotency-key", "once")])
                }
                let reply = try await rotate()
                let new = try #require(reply["key"]?.string)
                #expect(reply["adminKeyFile"]?.string?.contains("holds the new key") == true, "\(reply.text)")
                var (now, mode) = try (held(), Self.mode(path))
                #expect(now == new && mode == 0o400)
                // Asked again after a lost answer, the draft that was not kept goes nowhere.
                let again = try await rotate()
                #expect(again.status == 201 && again["key"] == nil && again["adminKeyFile"] == nil, "\(again.text)")
                (now, mode) = try (held(), Self.mode(path))
                #expect(now == new && mode == 0o400)
                #expect(try await client.get("/api/v1/me", key: new)["role"] == "admin")
            }
            try await runApp(settings, .test(seed: 3)) { #expect($0.app.adminKey == .inForce) }
            try FileManager.default.removeItem(atPath: path)
            try Data("\(first)\n".utf8).write(to: URL(fileURLWithPath: path))
            try await runApp(settings, .test(seed: 4)) { client in
                #expect(client.app.adminKey == .replaced)
                #expect(client.app.adminKey.advice?.contains("rotated") == true)
            }
        }
    }

    @Test("a key file outlives a store that was made anew")
    func newStore() async throws {
        try await TestStorage.withFolder { folder in
            let settings = Self.settings(folder)
            let data = settings.storage.dataDirectory
            try await runApp(settings, .test(seed: 1)) { _ in }
            let key = try String(contentsOfFile: "\(data)/admin.key", encoding: .utf8).trimmingCharacters(
                in: .whitespacesAndNewlines)
            for name in try FileManager.default.contentsOfDirectory(atPath: data) where name.hasPrefix("reeve.db") {
                try FileManager.default.removeItem(atPath: "\(data)/\(name)")
            }
            try await runApp(settings, .test(seed: 2)) { client in
                #expect(client.app.adminKey == .inForce)
                let me = try await client.get("/api/v1/me", key: key)
                #expect(me["role"] == "admin")
            }
        }
    }

    @Test("one process has a data directory; a second is told who")
    func lock() async throws {
        try await withApp { client in
            let settings = client.app.settings
            let problem = await #expect(throws: Problem.self) { _ = try await buildApp(settings, world: .test()) }
            #expect(problem?.detail.contains(settings.storage.dataDirectory) == true)
            #expect(problem?.detail.contains("process \(getpid())") == true)
            #expect(problem?.hint.contains("--data-dir") == true)
        }
    }

    @Test("a port that is taken is told in words")
    func takenPort() async throws {
        try await withApp { client in
            let port = client.port
            let problem = await #expect(throws: Problem.self) {
                try await withApp(configure: { $0.http.port = port }) { _ in }
            }
            #expect(problem?.detail.contains("\(port) is taken") == true)
        }
    }

    @Test("a server that stops ends its streams, finishes what is in flight, and closes the store")
    func drain() async throws {
        let (folder, data) = try await TestStorage.withFolder { folder in
            let settings = Self.settings(folder)
            try await runApp(settings, .live) { client in
                let viewer = try await client.key(.viewer)
                try await client.withStream("/api/v1/events/stream", key: viewer, lastEventID: "0") { reader in
                    #expect(try await reader.next() != nil)
                    async let stopped: Void = client.stop()
                    while try await reader.next() != nil {}
                    await stopped
                }
                await #expect(throws: (any Error).self) { try await client.get("/health", key: nil) }
            }
            return (folder, settings.storage.dataDirectory)
        }
        #expect(data.hasPrefix(folder))
    }

    @Test("a long poll ends with what there is when the server stops")
    func longPoll() async throws {
        try await withApp(world: .live) { client in
            let key = try await client.key(.agent, agent: "writer")
            let socket = try await AppSocket(port: client.port)
            let body = #"{"queues":["default"],"waitSeconds":30}"#
            try await socket.send(
                "POST /api/v1/tasks/claim HTTP/1.1\r\nHost: x\r\nx-api-key: \(key)\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            // The poll is under way once a later request of the same key has been answered.
            _ = try await client.get("/api/v1/me", key: key)
            let start = ContinuousClock.now
            await client.stop()
            let answer = try await socket.read()
            #expect(answer.hasPrefix("HTTP/1.1 200") || answer.hasPrefix("HTTP/1.1 503"), "\(answer)")
            #expect(ContinuousClock.now - start < .seconds(8))
        }
    }

    @Test("a claim whose client went away takes no task")
    func goneClient() async throws {
        try await withApp(world: .live) { client in
            let key = try await client.key(.agent, agent: "writer")
            let socket = try await AppSocket(port: client.port)
            let body = #"{"queues":["default"],"waitSeconds":30}"#
            try await socket.send(
                "POST /api/v1/tasks/claim HTTP/1.1\r\nHost: x\r\nx-api-key: \(key)\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
            _ = try await client.get("/api/v1/me", key: key)
            socket.closeInput()
            // The server waits a moment for clients that close their side alone; then it ends the poll and the
            // connection.
            _ = try await socket.read()
            let operate = try await client.key(.operator_)
            let task: JSONValue = ["project": "p", "queue": "default", "type": "t", "title": "t"]
            let made = try await client.post("/api/v1/tasks", task, key: operate)
            #expect(made.status == 201)
            let shown = try await client.get("/api/v1/tasks/\(made["id"]?.string ?? "")", key: operate)
            #expect(shown["attempts"] == 0)
        }
    }

    @Test("a request whose body is still coming is finished while the server stops")
    func inFlight() async throws {
        try await withApp(world: .live) { client in
            let key = try await client.key(.admin)
            let body = #"{"role":"viewer","name":"x"}"#
            let socket = try await AppSocket(port: client.port)
            try await socket.send(
                "POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(key)\r\n"
                    + "Content-Length: \(body.utf8.count)\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await socket.read(until: "100 Continue").contains("100 Continue"))
            await client.stop()
            // Nobody else comes in any more.
            while (try? await AppSocket.exchange(port: client.port, ["GET /health HTTP/1.0\r\n\r\n"])) != nil {}
            try await socket.send(body)
            let answer = try await socket.read().drop { $0.isNewline }
            #expect(answer.hasPrefix("HTTP/1.1 201"), "\(answer)")
            #expect(answer.contains("connection: close"))
        }
    }
}
