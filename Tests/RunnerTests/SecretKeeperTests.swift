import Foundation
import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Runner

@Suite("A program's secrets, kept as files")
struct SecretKeeperTests {
    /// Secrets as a server has them.
    private final class Secrets: Transport {
        struct State {
            var values: [String: (version: Int64, value: JSONObject)] = [:]
            var refused: Set<String> = []
            var named: [String: String]?
            var isAway = false
            var calls: [String] = []
            var leases: Set<String> = []
            var lost: Set<String> = []
            var count = 0
        }

        let state = Mutex(State())

        func put(_ path: String, _ value: String) {
            state.withLock { state in
                let version = (state.values[path]?.version ?? 0) + 1
                state.values[path] = (version, JSONObject([.init(name: "value", value: .string(value))]))
            }
        }

        func with<Value: Sendable>(_ body: @Sendable (inout State) -> Value) -> Value {
            state.withLock { state in body(&state) }
        }

        func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
            try state.withLock { state in
                state.calls.append("\(call.method) \(call.path)")
                guard !state.isAway else { throw TransportFailure("nobody is there") }
                let (status, document) = Self.answer(call.path.removingPercentEncoding ?? "", &state)
                return ClientReply(status: status, body: document.bytes)
            }
        }

        private static func answer(_ path: String, _ state: inout State) -> (Int, JSONValue) {
            if path.hasSuffix("/config") {
                guard let named = state.named else { return (404, ["code": "not_found"]) }
                let values = named.sorted { $0.key < $1.key }.map {
                    JSONObject.Member(name: "secrets.\($0.key)", value: .string($0.value))
                }
                return (200, ["etag": .string("\(named.count)"), "values": .object(JSONObject(values))])
            }
            guard path.hasPrefix("/api/v1/secrets/") else { return (200, ["nextHeartbeatSeconds": 1]) }
            if path.contains("/leases/") {
                let parts = path.split(separator: "/").map(String.init)
                let id = parts[parts.count - 2]
                guard state.leases.contains(id), !state.lost.contains(id) else { return (410, ["code": "lease_lost"]) }
                if path.hasSuffix("/revoke") { state.leases.remove(id) }
                return (200, ["leaseDuration": 3_600, "renewable": true])
            }
            let rest = path.dropFirst("/api/v1/secrets/".count).split(separator: "?")[0]
            let isValue = rest.hasSuffix("/value")
            let name = isValue ? String(rest.dropLast("/value".count)) : String(rest)
            if state.refused.contains(name) { return (403, ["code": "forbidden", "detail": "not granted"]) }
            guard let (version, data) = state.values[name] else {
                return (404, ["code": "not_found", "detail": "no such secret"])
            }
            guard isValue else { return (200, ["version": .int(version)]) }
            state.count += 1
            let lease = "lease_\(state.count)"
            state.leases.insert(lease)
            return (
                200,
                [
                    "version": .int(version), "data": .object(data), "leaseId": .string(lease), "leaseDuration": 3_600,
                    "renewable": true,
                ]
            )
        }

        func stream(
            _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
        ) async throws -> ClientReply { throw TransportFailure("no streams here") }
    }

    private struct Bench {
        let server = Secrets()
        let place: ScratchFolder
        let folder: SecretFolder
        let time = ManualTime()
        private let log = LogFile()
        let writer: LogWriter

        init() throws {
            writer = log.writer(.fast)
            place = try ScratchFolder()
            folder = try SecretFolder.make(in: place.path, isInMemory: false, world: .live)
        }

        func keeper(_ asked: [String: String] = [:]) -> SecretKeeper {
            let client = ReeveClient(
                url: "http://fake", key: "k", world: World(time: time, entropy: SystemEntropy()), transport: server)
            return SecretKeeper(
                client, agent: "crane", asked: asked.compactMapValues(SecretReference.init), folder: folder,
                log: writer)
        }

        /// What was said so far; lines are written behind the one who says them.
        var told: [String] {
            writer.flush()
            return log.lines().map(\.message)
        }

        func text(_ name: String) -> String? {
            FileManager.default.contents(atPath: "\(folder.path)/\(name)").map { String(decoding: $0, as: UTF8.self) }
        }

        var names: [String] {
            ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        }
    }

    private static func mode(_ path: String) -> mode_t {
        var about = stat()
        return lstat(path, &about) == 0 ? about.st_mode & 0o777 : 0
    }

    @Test("files are the user's alone, and a reader keeps the one that it has open")
    func files() async throws {
        let bench = try Bench()
        bench.server.put("platform/openai", "first")
        let keeper = bench.keeper(["openai": "secret://platform/openai"])
        try await keeper.begin()
        #expect(keeper.environment == ["REEVE_SECRETS_DIR": bench.folder.path])
        #expect(bench.names == ["openai"] && bench.text("openai") == "first")
        #expect(Self.mode(bench.folder.path) == 0o700 && Self.mode("\(bench.folder.path)/openai") == 0o400)
        let open = try #require(FileHandle(forReadingAtPath: "\(bench.folder.path)/openai"))
        let changed = keeper.changed
        await keeper.update()
        #expect(changed.current == nil)
        bench.server.put("platform/openai", "second")
        await keeper.update()
        #expect(changed.current != nil && bench.text("openai") == "second")
        #expect(try open.readToEnd() == Data("first".utf8))
        // One lease at a time: that of the version in the file.
        #expect(bench.server.with { $0.leases } == ["lease_2"])
        #expect(bench.server.with { state in state.calls.filter { $0.contains("value") }.count } == 2)
        await keeper.end()
        #expect(!FileManager.default.fileExists(atPath: bench.folder.path))
        #expect(bench.server.with { $0.leases }.isEmpty)
        #expect(!bench.told.contains { $0.contains("first") || $0.contains("second") })
    }

    @Test("what may not be had any more goes, and what cannot be asked stays")
    func refusals() async throws {
        let bench = try Bench()
        bench.server.put("org/a", "value-a")
        bench.server.put("org/b", "value-b")
        let keeper = bench.keeper(["a": "secret://org/a", "b": "secret://org/b"])
        try await keeper.begin()
        bench.server.with { $0.isAway = true }
        await keeper.update()
        #expect(bench.names == ["a", "b"])
        bench.server.with { state in
            state.isAway = false
            state.refused = ["org/a"]
            state.values["org/b"] = nil
        }
        for _ in 0..<3 { await keeper.update() }
        #expect(bench.names.isEmpty)
        let told = bench.told.filter { $0.contains("cannot be had") }
        #expect(told.filter { $0.contains("not granted") }.count == 1, "\(told)")
        bench.server.with { $0.refused = [] }
        await keeper.update()
        #expect(bench.names == ["a"])
        // One that was asked for and cannot be had stops the start.
        await #expect(throws: ClientFailure.self) { try await bench.keeper(["b": "secret://org/b"]).begin() }
    }

    @Test("the configuration names them, and takes them back")
    func configuration() async throws {
        let bench = try Bench()
        bench.server.put("org/a", "value-a")
        bench.server.put("org/b", "value-b")
        bench.server.with { $0.named = ["a": "secret://org/a", "../b": "secret://org/b", "c": "secret://org/none"] }
        let keeper = bench.keeper()
        try await keeper.begin()
        #expect(bench.names == ["a"])
        let running = Task { await keeper.run() }
        bench.server.with { $0.named = ["a": "secret://org/b"] }
        let changed = keeper.changed
        keeper.hear("1")
        await bench.time.sleepers(atLeast: 1)
        bench.time.advance(by: SecretKeeper.interval)
        _ = await changed.value()
        #expect(bench.text("a") == "value-b")
        running.cancel()
        bench.time.advance(by: SecretKeeper.interval)
        await running.value
    }

    @Test("a lease is renewed in time, and where it is lost the secret is read again")
    func leases() async throws {
        let bench = try Bench()
        bench.server.put("org/a", "value-a")
        let keeper = bench.keeper(["a": "secret://org/a"])
        try await keeper.begin()
        bench.time.advance(by: .seconds(2_399))
        await keeper.update()
        #expect(!bench.server.with { state in state.calls.contains { $0.contains("renew") } })
        bench.time.advance(by: .seconds(1))
        await keeper.update()
        #expect(bench.server.with { state in state.calls.filter { $0.contains("renew") }.count } == 1)
        bench.server.with { $0.lost = ["lease_1"] }
        bench.time.advance(by: .seconds(2_400))
        await keeper.update()
        #expect(bench.server.with { $0.count } == 2)
        #expect(bench.text("a") == "value-a")
    }

    @Test("what a process left that was killed goes when the next one begins, and what is in use stays")
    func leftovers() throws {
        let place = try ScratchFolder()
        let first = try SecretFolder.make(in: place.path, isInMemory: false, world: .live)
        try first.write(Array("mine".utf8), as: "a")
        let root = URL(fileURLWithPath: first.path).deletingLastPathComponent().path
        let left = root + "/0123456789abcdef"
        try FileManager.default.createDirectory(atPath: left, withIntermediateDirectories: false)
        try Data("theirs".utf8).write(to: URL(fileURLWithPath: left + "/b"))
        let second = try SecretFolder.make(in: place.path, isInMemory: false, world: .live)
        #expect(!FileManager.default.fileExists(atPath: left))
        #expect(FileManager.default.fileExists(atPath: first.path + "/a"))
        first.remove()
        second.remove()
        #expect(try FileManager.default.contentsOfDirectory(atPath: root) == [".gate"])
    }

    @Test("a place that others may enter is not used")
    func strangers() throws {
        let place = try ScratchFolder()
        let root = "\(place.path)/reeve-secrets-\(geteuid())"
        #expect(mkdir(root, 0o700) == 0 && chmod(root, 0o755) == 0)
        #expect(throws: SecretFolder.Failure.self) {
            try SecretFolder.make(in: place.path, isInMemory: false, world: .live)
        }
        #expect(rmdir(root) == 0 && symlink("/tmp", root) == 0)
        #expect(throws: SecretFolder.Failure.self) {
            try SecretFolder.make(in: place.path, isInMemory: false, world: .live)
        }
        // The next place will do.
        let other = try ScratchFolder()
        let made = try SecretFolder.make(
            environment: ["XDG_RUNTIME_DIR": "/nowhere"], fallback: other.path, world: .live)
        #expect(made.isInMemory != made.path.hasPrefix(other.path))
        made.remove()
    }

    @Test(arguments: [
        ("openai", true), ("OPENAI_API_KEY", true), ("a.b-c", true), ("", false), (".hidden", false), ("a/b", false),
        ("..", false), ("a b", false), ("ä", false), (String(repeating: "x", count: 129), false),
    ])
    func names(name: String, isName: Bool) { #expect(SecretFolder.isName(name) == isName) }

    @Test("a real program finds its secrets, hears of a new one, and finds no value in its environment")
    func program() async throws {
        let bench = try Bench()
        bench.server.put("org/a", "value-of-a")
        let client = ReeveClient(url: "http://fake", key: "k", world: .fast, transport: bench.server)
        let keeper = SecretKeeper(
            client, agent: "crane", asked: ["a": try #require(SecretReference("secret://org/a"))],
            folder: bench.folder, log: bench.writer)
        try await keeper.begin()
        let out = "\(bench.place.path)/out"
        let script = """
            env > \(bench.place.path)/env
            trap 'cat "$REEVE_SECRETS_DIR/a" > \(out).new; mv \(out).new \(out); exit 0' HUP
            echo ready; while :; do sleep 0.02; done
            """
        var settings = SupervisorSettings(
            words: ["/bin/sh", "-c", script], agent: AgentIdentity(name: "crane"),
            inherited: ["PATH": "/usr/bin:/bin"])
        (settings.secrets, settings.onSecret) = (keeper, .signal(SIGHUP))
        let supervisor = AgentSupervisor(settings, client: client, log: bench.writer, deathGuard: nil)
        async let status = supervisor.run(until: Promise())
        for _ in 0..<2_000 where !bench.told.contains("ready") {
            try await Nap.milliseconds(5)
        }
        bench.server.put("org/a", "new-value-of-a")
        #expect(await status == 0)
        #expect(FileManager.default.contents(atPath: out) == Data("new-value-of-a".utf8))
        let environment = try String(contentsOfFile: "\(bench.place.path)/env", encoding: .utf8)
        #expect(environment.contains("REEVE_SECRETS_DIR=\(bench.folder.path)"))
        #expect(!environment.contains("value-of-a"))
        await keeper.end()
    }
}
