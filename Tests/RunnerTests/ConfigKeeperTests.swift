import Foundation
import Kernel
import Synchronization
import Testing

@testable import Runner

@Suite("What an agent is to run with, kept in a folder")
struct ConfigKeeperTests {
    /// Answers every request with one document.
    private final class OneDocument: Transport {
        private let state = Mutex<(status: Int, document: JSONValue, asked: Int)>((200, [:], 0))

        func set(_ document: JSONValue, status: Int = 200) {
            state.withLock { ($0.status, $0.document) = (status, document) }
        }

        var asked: Int { state.withLock { $0.asked } }

        func send(_ call: ClientCall, to base: String) async throws -> ClientReply {
            state.withLock { state in
                state.asked += 1
                return ClientReply(status: state.status, body: state.document.bytes)
            }
        }

        func stream(
            _ call: ClientCall, from base: String, take: @Sendable ([UInt8]) async throws -> Bool
        ) async throws -> ClientReply { throw TransportFailure("no streams here") }
    }

    private struct Bench {
        let server = OneDocument()
        let folder: ScratchFolder
        let log = LogFile()

        init() throws { folder = try ScratchFolder() }

        func keeper() -> ConfigKeeper {
            let client = ReeveClient(url: "http://fake", key: "k", world: .fast, transport: server)
            return ConfigKeeper(client, agent: "crane", root: folder.path, log: log.writer(.fast))
        }

        func text(_ path: String) -> String? {
            FileManager.default.contents(atPath: "\(folder.path)/current/\(path)").map {
                String(decoding: $0, as: UTF8.self)
            }
        }
    }

    private static func document(_ version: String, etag: String, prompt: String) -> JSONValue {
        [
            "version": .string(version), "etag": .string(etag),
            "files": [["path": "prompts/system.md", "content": .string(prompt)]],
            "values": ["parameters.temperature": .double(0.2)],
        ]
    }

    @Test("each version is whole, the last before it stays a moment, older ones go")
    func versions() async throws {
        let bench = try Bench()
        let keeper = bench.keeper()
        for number in 1...5 {
            let changed = keeper.changed
            bench.server.set(Self.document("aa\(number)", etag: "e\(number)", prompt: "\(number)"))
            await keeper.update()
            #expect(changed.current != nil)
            #expect(keeper.version == "aa\(number)")
            #expect(bench.text("prompts/system.md") == "\(number)")
            #expect(bench.text(".version") == "aa\(number)")
            #expect(bench.text(".values.json")?.contains("0.2") == true)
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: "\(bench.folder.path)/versions")
        #expect(left.count == 2)
        // A start while the server is away goes on with what there is.
        #expect(bench.keeper().version == "aa5")
    }

    @Test("what is in force already changes nothing")
    func same() async throws {
        let bench = try Bench()
        let keeper = bench.keeper()
        bench.server.set(Self.document("aa", etag: "e1", prompt: "one"))
        await keeper.update()
        let changed = keeper.changed
        await keeper.update()
        #expect(changed.current == nil)
    }

    @Test("a reply that would write elsewhere is refused whole")
    func hostile() async throws {
        let bench = try Bench()
        let keeper = bench.keeper()
        bench.server.set(Self.document("aa", etag: "e1", prompt: "one"))
        await keeper.update()
        let files: [[JSONValue]] = [
            [["path": "../x.md", "content": "x"]], [["path": "/tmp/x.md", "content": "x"]],
            [["path": "a.md", "content": "x"], ["path": ".version", "content": "x"]], [["path": "a.md"]],
            Array(repeating: ["path": "a.md", "content": ""], count: BundleFiles.filesMax + 1),
            [["path": "a.md", "content": .string(String(repeating: "x", count: BundleFiles.bytesMax + 1))]],
        ]
        for list in files {
            bench.server.set(["version": "bb", "etag": "e2", "files": .array(list)])
            await keeper.update()
            #expect(keeper.version == "aa")
            #expect(bench.text("prompts/system.md") == "one")
        }
        bench.server.set(["version": "../../x", "etag": "e2", "files": []])
        await keeper.update()
        #expect(keeper.version == "aa")
        #expect(!FileManager.default.fileExists(atPath: "\(bench.folder.path)/x.md"))
    }

    @Test("what no bundle has is asked for once, until something else is wanted")
    func missing() async throws {
        let bench = try Bench()
        let keeper = bench.keeper()
        bench.server.set(["code": "not_found", "detail": "there is none"], status: 404)
        let running = Task { await keeper.run() }
        keeper.hear("v7", etag: "e7")
        for _ in 0..<2_000 where bench.server.asked == 0 { try await Nap.milliseconds(5) }
        try await Nap.milliseconds(20)
        let asked = bench.server.asked
        for _ in 0..<5 {
            keeper.hear("v7", etag: "e7")
            try await Nap.milliseconds(5)
        }
        #expect(bench.server.asked == asked)
        bench.server.set(Self.document("bb", etag: "e8", prompt: "two"))
        for _ in 0..<2_000 where keeper.version == nil {
            keeper.hear("bb", etag: "e8")
            try await Nap.milliseconds(5)
        }
        #expect(keeper.version == "bb")
        running.cancel()
        await running.value
    }

    @Test(
        "what a program is told is read from its words",
        arguments: [
            ("none", ConfigReaction.none), ("restart", .restart), ("signal:HUP", .signal(SIGHUP)),
            ("signal:sigusr1", .signal(SIGUSR1)),
        ] as [(String, ConfigReaction)])
    func reactions(text: String, reaction: ConfigReaction) {
        #expect(ConfigReaction(text) == reaction)
    }

    @Test("other words are none", arguments: ["", "signal", "signal:", "signal:KILL", "signal:9", "Restart"])
    func noReaction(text: String) {
        #expect(ConfigReaction(text) == nil)
    }
}
