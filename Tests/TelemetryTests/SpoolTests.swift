import Foundation
import Synchronization
import Testing

@testable import Telemetry

@Suite("The spool")
struct SpoolTests {
    private static func entry(_ number: Int, bytes: Int = 20) -> SpoolEntry {
        SpoolEntry(
            kind: UInt8(number % 3), receivedAt: Int64(number),
            payload: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
    }

    /// Opens the spool of a folder, with what it held and what was found damaged.
    private static func open(
        _ folder: String, quota: Int = 1 << 20, after: Int64 = 0, segmentBytes: Int = 1_000
    ) throws -> (spool: Spool, entries: [(Int64, SpoolEntry)], damage: [String]) {
        var (entries, damage): ([(Int64, SpoolEntry)], [String]) = ([], [])
        let spool = try Spool(folder: folder, quota: quota, after: after, segmentBytes: segmentBytes) {
            entries.append(($0, $1))
        } damage: {
            damage.append($0)
        }
        return (spool, entries, damage)
    }

    @Test("what was acknowledged is read again, in its order and with its numbers")
    func replay() async throws {
        try await withTelemetryFolder { folder in
            let (first, nothing, _) = try Self.open(folder)
            #expect(nothing.isEmpty)
            var numbers: [Int64] = []
            for number in 0..<100 { numbers.append(try await first.append(Self.entry(number))) }
            #expect(numbers == Array(1...100))
            #expect(first.extent.files > 2)
            let (second, entries, damage) = try Self.open(folder)
            #expect(damage.isEmpty)
            #expect(entries.map(\.0) == numbers)
            #expect(entries.map(\.1) == (0..<100).map { Self.entry($0) })
            #expect(try await second.append(Self.entry(100)) == 101)
            #expect(try Self.open(folder).entries.count == 101)
        }
    }

    @Test("a spool without room says so until some is made, and one large entry does not speak for the others")
    func refusing() async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder, quota: 2_000, segmentBytes: 500)
            await #expect(throws: Spool.Fault.full) { try await spool.append(Self.entry(0, bytes: 1_995)) }
            #expect(!spool.isRefusing)
            var last: Int64 = 0
            while let number = try? await spool.append(Self.entry(1, bytes: 200)) { last = number }
            #expect(last > 4)
            #expect(spool.isRefusing)
            spool.release(through: 3)
            #expect(!spool.isRefusing)
            #expect(try await spool.append(Self.entry(2, bytes: 200)) == last + 1)
        }
    }

    @Test("entries that come together are all kept")
    func together() async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder, segmentBytes: 1 << 20)
            let numbers = try await withThrowingTaskGroup(of: Int64.self) { group in
                for number in 0..<200 { group.addTask { try await spool.append(Self.entry(number)) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(numbers.sorted() == Array(1...200))
            #expect(try Self.open(folder).entries.count == 200)
        }
    }

    @Test("what was sealed is released as a whole, however much came since")
    func sealed() async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder, segmentBytes: 1 << 20)
            #expect(spool.seal() == 1)
            for number in 0..<3 { try await spool.append(Self.entry(number)) }
            #expect(spool.seal() == 4)
            #expect(spool.seal() == 4)
            try await spool.append(Self.entry(3))
            #expect(spool.has(before: 4))
            spool.release(through: 3)
            #expect(!spool.has(before: 4) && spool.extent.files == 1)
            #expect(try Self.open(folder).entries.map(\.0) == [4])
        }
    }

    @Test("entries are changed where they stand, and keep their numbers", arguments: [100, 1 << 20])
    func rewritten(_ segmentBytes: Int) async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder, segmentBytes: segmentBytes)
            for number in 1...20 { try await spool.append(Self.entry(number, bytes: 40)) }
            let before = spool.extent.bytes
            let short = SpoolEntry(kind: 1, receivedAt: 0, payload: [9])
            var seen: [Int64] = []
            try spool.rewrite { number, _ in
                seen.append(number)
                return number % 4 == 0 ? short : nil
            }
            #expect(seen == Array(1...20))
            #expect(spool.extent.bytes == before - 5 * 39)
            try await spool.append(Self.entry(21))
            let entries = try Self.open(folder).entries
            #expect(entries.map(\.0) == Array(1...21))
            for (number, entry) in entries.prefix(20) {
                #expect(entry == (number % 4 == 0 ? short : Self.entry(Int(number), bytes: 40)))
            }
            #expect(spool.entries(after: 0).entries.first?.number == 1)
        }
    }

    @Test("a torn end is told, and what stands before it is read", arguments: 1..<38)
    func torn(_ missing: Int) async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder)
            for number in 0..<3 { _ = try await spool.append(Self.entry(number)) }
            let path = "\(folder)/spool-1.log"
            let content = try #require(FileManager.default.contents(atPath: path))
            try content.dropLast(missing).write(to: URL(fileURLWithPath: path))
            let (again, entries, damage) = try Self.open(folder)
            #expect(entries.count == 2)
            #expect(damage.count == (missing == 37 ? 0 : 1))
            // Behind a torn end nothing is appended.
            _ = try await again.append(Self.entry(9))
            #expect(try Self.open(folder).entries.map(\.1).last == Self.entry(9))
        }
    }

    @Test("an entry whose bytes have changed is told, and those behind it are read")
    func changed() async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder)
            for number in 0..<3 { _ = try await spool.append(Self.entry(number)) }
            let path = "\(folder)/spool-1.log"
            var content = try #require(FileManager.default.contents(atPath: path))
            content[60] ^= 1
            try content.write(to: URL(fileURLWithPath: path))
            let (_, entries, damage) = try Self.open(folder)
            #expect(entries.map(\.0) == [1, 3])
            #expect(damage.count == 1)
        }
    }

    @Test("files go once all of theirs is in the store, and numbers never come back")
    func release() async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder)
            for number in 0..<100 { _ = try await spool.append(Self.entry(number)) }
            let files = spool.extent.files
            spool.release(through: 50)
            #expect(spool.extent.files < files)
            #expect(try Self.open(folder).entries.first.map { $0.0 <= 51 } == true)
            spool.release(through: 100)
            #expect(spool.extent == (0, 0))
            #expect(try await spool.append(Self.entry(0)) == 101)
            try FileManager.default.removeItem(atPath: folder)
            let (fresh, entries, _) = try Self.open(folder, after: 101)
            #expect(entries.isEmpty)
            #expect(try await fresh.append(Self.entry(0)) == 102)
        }
    }

    @Test("beyond its quota nothing is taken, and nothing is lost")
    func quota() async throws {
        try await withTelemetryFolder { folder in
            let (spool, _, _) = try Self.open(folder, quota: 400)
            var taken = 0
            var refused = 0
            for number in 0..<20 {
                do {
                    _ = try await spool.append(Self.entry(number))
                    taken += 1
                } catch {
                    #expect(error as? Spool.Fault == .full)
                    refused += 1
                }
            }
            #expect((taken, refused) == (10, 10))
            #expect(try Self.open(folder).entries.count == 10)
            await #expect(throws: Spool.Fault.tooLarge) { try await spool.append(Self.entry(1, bytes: 400)) }
            spool.release(through: 10)
            #expect(try await spool.append(Self.entry(1)) == 11)
            spool.close()
            await #expect(throws: Spool.Fault.closed) { try await spool.append(Self.entry(1)) }
        }
    }
}
