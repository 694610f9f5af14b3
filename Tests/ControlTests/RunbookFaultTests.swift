import Foundation
import Kernel
import Synchronization
import Telemetry
import TestSupport
import Testing

@testable import Control

/// Never answers one question, and does not listen to whoever gives it up.
final class HangingReader: RunbookReading {
    private let part: String
    private let waiting = Mutex<[CheckedContinuation<Void, Never>]>([])

    init(at part: String) { self.part = part }

    func get(_ path: String) async throws -> JSONValue {
        if path.contains(part) {
            await withCheckedContinuation { continuation in waiting.withLock { $0.append(continuation) } }
        }
        return ["data": ["resultType": "vector", "result": []]]
    }

    func letGo() { for one in waiting.withLock({ $0 }) { one.resume() } }
}

extension RunbookTests {
    @Test("what is no plain file is not read, links are followed, and so are those who change them")
    func links() async throws {
        try await TestStorage.withFolder { folder in
            for name in ["one", "two"] {
                try "name: \(name)\nchecks: [look]\n".write(
                    toFile: "\(folder)/\(name).text", atomically: true, encoding: .utf8)
            }
            let link = "\(folder)/a.yml"
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "\(folder)/one.text")
            let shelf = try RunbookShelf(configuredBy: ["runbooks": ["*.yml"]], beside: folder)
            #expect(shelf.library.runbook("one") != nil)
            for (target, says) in [
                ("/dev/zero", "no file that can be read"), ("\(folder)/none", "no file"), (folder, "no file"),
            ] {
                try FileManager.default.removeItem(atPath: link)
                try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: target)
                shelf.reload()
                #expect(shelf.fault?.contains(says) == true, "\(target): \(shelf.fault ?? "")")
                #expect(shelf.library.runbook("one") != nil)
            }
            try FileManager.default.removeItem(atPath: link)
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "\(folder)/two.text")
            shelf.reload()
            #expect(shelf.library.runbook("two") != nil && shelf.library.runbook("one") == nil && shelf.fault == nil)
        }
    }

    @Test("a question that nobody answers is given up after its time, and keeps no other run waiting")
    func hanging() async throws {
        try await ContainmentFixture.on(.sqlite) { fixture in
            let names = ["stuck", "free"]
            let texts = names.map { "name: \($0)\nalerts: [\($0)]\ndiagnosis: [{query: \($0)}]\nchecks: [look]\n" }
            let service = RunbookService(
                library: try RunbookLibrary(texts.map { try Runbook($0) }), containments: fixture.service,
                events: fixture.base.events, audit: AuditService(world: fixture.base.world), world: fixture.base.world)
            let reader = HangingReader(at: "stuck")
            var runs: [Identifier<RunbookRun>] = []
            for name in names {
                let incident = try await fixture.fire(name, [("agent", name)])
                runs.append(
                    try await fixture.storage.write {
                        try service.start(nil, on: incident, approves: true, by: TaskFixture.operatorKey, in: $0).run.id
                    })
            }
            let loop = RunbookLoop(service: service, reader: reader, storage: fixture.storage)
            let round = Task { try await loop.act() }
            func state(_ place: Int) async throws -> RunbookStep.State {
                try await fixture.storage.read { [runs] in try service.run(runs[place].text, in: $0).steps[0].state }
            }
            for _ in 0..<10_000 where try await state(1) != .done { await Task.yield() }
            #expect(try await state(0) == .waiting)
            #expect(try await state(1) == .done)
            for _ in 0..<10_000 where try await state(0) == .waiting {
                fixture.time.advance(by: RunbookLoop.askTimeout)
                await Task.yield()
            }
            try await round.value
            let step = try await fixture.storage.read { [runs] in try service.run(runs[0].text, in: $0).steps[0] }
            #expect(step.state == .failed && step.evidence["fault"] == "no answer came within 20 seconds")
            reader.letGo()
        }
    }
}
