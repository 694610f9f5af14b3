import Foundation
import Kernel
import TestSupport
import Testing

@testable import Gateway

/// What the journal keeps, and what a next start reads from it.
@Suite struct HoldJournalTests {
    private static let key = BudgetWindowKey(
        budgetID: "budget_1", period: .day, start: Timestamp(microseconds: 1_795_132_800_000_000))
    private static let other = BudgetWindowKey(
        budgetID: "budget_2", period: .total, start: Timestamp(microseconds: 0))
    private static let replica = BudgetReplica(id: "replica_1", incarnation: 4)

    private static var names: [WindowName] {
        [WindowName(number: 7, text: key.text), WindowName(number: 9, text: other.text)]
    }

    private func opening(synced: Int64 = 0, replayed: Int64 = 0, granted: Int64 = 0) -> BudgetOpening {
        var window = BudgetWindowState(key: Self.key)
        window.granted = BudgetAmounts(nanoUSD: granted)
        return BudgetOpening(
            replica: BudgetReplica(id: "replica_1", incarnation: 5), synced: synced, replayed: replayed,
            isWrittenOff: false, counter: 0, terms: [], windows: [window])
    }

    private func hold(_ serial: Int64, _ nano: Int64, call: String = "call_1", note: String = "") -> HoldLine {
        HoldLine(
            serial: serial, amounts: BudgetAmounts(nanoUSD: nano, tokens: 3, calls: 1), windows: Self.names, call: call,
            note: note)
    }

    private func settled(_ serial: Int64, _ nano: Int64, sequence: Int64) -> SettleLine {
        SettleLine(
            serial: serial, sequence: sequence, amounts: BudgetAmounts(nanoUSD: nano, tokens: 2, calls: 1),
            windows: Self.names, call: "call_\(serial)", note: "{\"a\": 1}")
    }

    private func read(_ folder: String, _ opening: BudgetOpening, boot: String = "b") throws -> JournalReplay {
        var replay = try HoldJournal(folder: folder, boot: boot).read(opening)
        replay.finish()
        return replay
    }

    @Test("settled calls are exact, open ones are taken at what they held")
    func replay() async throws {
        try await TestStorage.withFolder { folder in
            let journal = try HoldJournal(folder: folder, boot: "b")
            try journal.begin(Self.replica)
            try journal.write(hold(1, 100))
            try journal.write(hold(2, 200, call: "call two", note: "line\nbreak  and spaces"))
            try journal.write(hold(3, 300))
            try journal.write(hold(2, 250, call: "call two", note: "line\nbreak  and spaces"))
            journal.add(settled(1, 70, sequence: 3))
            journal.add(settled(3, 90, sequence: 4))
            journal.flush()
            let replay = try read(folder, opening(synced: 3, granted: 400))
            #expect(replay.isWhole)
            // The money of the first is in report 3, which is booked; its record may be missing still.
            #expect(
                replay.calls == [
                    .init(
                        call: "call_1", note: "{\"a\": 1}",
                        amounts: BudgetAmounts(nanoUSD: 70, tokens: 2, calls: 1), isEstimated: false),
                    .init(
                        call: "call_3", note: "{\"a\": 1}",
                        amounts: BudgetAmounts(nanoUSD: 90, tokens: 2, calls: 1), isEstimated: false),
                    .init(
                        call: "call_two", note: "line break  and spaces",
                        amounts: BudgetAmounts(nanoUSD: 250, tokens: 3, calls: 1), isEstimated: true),
                ])
            let report = try #require(replay.report())
            #expect(report.sequence == 5)
            #expect(report.replayed == 4)
            #expect(
                report.lines == [
                    .init(
                        key: Self.key, spent: BudgetAmounts(nanoUSD: 340, tokens: 5, calls: 2),
                        returned: BudgetAmounts(nanoUSD: 60)),
                    .init(
                        key: Self.other, spent: BudgetAmounts(nanoUSD: 340, tokens: 5, calls: 2), returned: .zero),
                ])
            #expect(try read(folder, opening(replayed: 4)).calls.isEmpty)
        }
    }

    @Test("a settled call waits in memory for the next line")
    func batched() async throws {
        try await TestStorage.withFolder { folder in
            let journal = try HoldJournal(folder: folder, boot: "b")
            try journal.begin(Self.replica)
            try journal.write(hold(1, 100))
            journal.add(settled(1, 70, sequence: 1))
            #expect(try read(folder, opening()).calls.map(\.isEstimated) == [true])
            try journal.write(hold(2, 100))
            #expect(try read(folder, opening()).calls.map(\.amounts.nanoUSD) == [70, 100])
        }
    }

    private func bytes(_ folder: String) throws -> (path: String, bytes: [UInt8]) {
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: folder).first { $0.hasSuffix(".journal") })
        return ("\(folder)/\(name)", Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))))
    }

    @Test("a torn end is a call that was never sent; damage before it means that nobody knows")
    func damage() async throws {
        try await TestStorage.withFolder { folder in
            let journal = try HoldJournal(folder: folder, boot: "b")
            try journal.begin(Self.replica)
            try journal.write(hold(1, 100))
            let before = try bytes(folder).bytes.count
            try journal.write(hold(2, 30))
            let (path, whole) = try bytes(folder)
            for end in before..<whole.count {
                try Data(whole[..<end]).write(to: URL(fileURLWithPath: path))
                let replay = try read(folder, opening(granted: 500))
                #expect(replay.isWhole)
                #expect(replay.warnings.isEmpty == (end == before))
                #expect(replay.calls.map(\.amounts.nanoUSD) == [100])
            }
            for place in 0..<whole.count {
                var bad = whole
                bad[place] ^= 4
                try Data(bad).write(to: URL(fileURLWithPath: path))
                let replay = try read(folder, opening(granted: 500))
                // Without its last line break the last line counts as torn.
                guard place < whole.count - 1 else { continue }
                #expect(!replay.isWhole)
                #expect(replay.report()?.lines.first { $0.key == Self.key }?.spent.nanoUSD == 500)
            }
        }
    }

    @Test("after a new start of the machine, or without the journal, all that was borrowed counts as spent")
    func machine() async throws {
        try await TestStorage.withFolder { folder in
            #expect(try read(folder, opening(granted: 500)).report()?.lines.first?.spent.nanoUSD == 500)
            let journal = try HoldJournal(folder: folder, boot: "b")
            try journal.begin(Self.replica)
            try journal.write(hold(1, 100))
            #expect(try read(folder, opening(granted: 500)).report()?.lines.first?.spent.nanoUSD == 100)
            #expect(try read(folder, opening(granted: 500), boot: "c").report()?.lines.first?.spent.nanoUSD == 500)
            // Booked already: the name of another run says nothing.
            #expect(try read(folder, opening(replayed: 4), boot: "c").report() == nil)
        }
    }

    @Test(
        "garbage of any kind neither traps nor passes for a hold",
        arguments: [
            "", "\n", "x\n", "00000000 H\n", "\u{0}\u{0}\n", "zzzzzzzz R a 1 b\n", "00000000  R replica_1 4 b\n",
        ])
    func garbage(text: String) async throws {
        try await TestStorage.withFolder { folder in
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(folder)/holds-1.journal"))
            try Data("x".utf8).write(to: URL(fileURLWithPath: "\(folder)/holds-x.journal"))
            let replay = try read(folder, opening(granted: 5))
            #expect(replay.calls.isEmpty)
            #expect(replay.isWhole == text.isEmpty)
        }
    }

    @Test("files are followed by new ones, in which open holds stand, and go once they are booked")
    func rotation() async throws {
        try await TestStorage.withFolder { folder in
            let journal = try HoldJournal(folder: folder, boot: "b")
            try journal.begin(Self.replica)
            let note = String(repeating: "n", count: HoldJournal.noteBytesMax + 500)
            var serial: Int64 = 0
            var largest = 0
            for sequence in 1...40 as ClosedRange<Int64> {
                for _ in 0..<100 {
                    serial += 1
                    try journal.write(hold(serial, 1, note: note))
                    if serial != 5 { journal.add(settled(serial, 1, sequence: sequence)) }
                }
                journal.flush()
                largest = max(largest, journal.extent.bytes)
                // The store is one report behind.
                journal.tidy(booked: sequence - 1) { ([hold(5, 1)], sequence + 1) }
                #expect(journal.extent.files <= 2)
            }
            #expect(largest < HoldJournal.segmentBytes + 400_000)
            let replay = try read(folder, opening(synced: 39))
            #expect(replay.isWhole)
            #expect(replay.spent[Self.key]?.calls == 101)
            #expect(replay.calls.filter(\.isEstimated).count == 1)
        }
    }

    @Test("a file stays until the records of its calls are kept, too")
    func records() async throws {
        try await TestStorage.withFolder { folder in
            let rounds = RecordRounds()
            let journal = try HoldJournal(folder: folder, boot: "b", segmentBytes: 500, records: rounds)
            try journal.begin(Self.replica)
            let before = rounds.begin()
            try journal.write(hold(1, 1, note: String(repeating: "n", count: 600)))
            journal.add(settled(1, 1, sequence: 1))
            journal.flush()
            let tidy = { journal.tidy(booked: 2) { ([], 2) } }
            tidy()
            #expect(journal.extent.files == 2)
            // A round that had begun before may have missed it.
            rounds.finish(before)
            tidy()
            #expect(journal.extent.files == 2)
            #expect(try read(folder, opening(synced: 2)).calls.map(\.call) == ["call_1"])
            rounds.finish(rounds.begin())
            tidy()
            #expect(journal.extent.files == 1)
            #expect(try read(folder, opening(synced: 2)).calls.isEmpty)
        }
    }

    @Test("where nothing can be written no call begins")
    func unwritable() async throws {
        try await TestStorage.withFolder { folder in
            let journal = try HoldJournal(folder: folder, boot: "b")
            #expect(throws: HoldJournal.Failure.self) { try journal.write(hold(1, 1)) }
            try journal.begin(Self.replica)
            try journal.write(hold(1, 1))
        }
    }

    @Test("the folder keeps its name")
    func identity() async throws {
        try await TestStorage.withFolder { folder in
            let name = try HoldJournal.identity(in: folder, world: .test(seed: 1))
            #expect(name.hasPrefix("replica_"))
            #expect(name.count == 40)
            #expect(try HoldJournal.identity(in: folder, world: .test(seed: 2)) == name)
        }
    }

    @Test("numbers are written as they are", arguments: [0, 7, 10, 1_234_567, .max] as [Int64])
    func numbers(value: Int64) throws {
        var bytes: [UInt8] = []
        HoldLines.append(
            HoldLine(serial: value, amounts: .zero, windows: [], call: "", note: ""), to: &bytes)
        let line = String(decoding: bytes.dropFirst(8), as: UTF8.self)
        #expect(line == " H \(value) 0 0 0 0 - - \n")
    }
}
