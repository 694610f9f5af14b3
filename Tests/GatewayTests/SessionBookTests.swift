import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Gateway

@Suite("What sessions use and hold")
struct SessionBookTests {
    private static let one = CallerSession(agent: "writer", keyID: "key_1", session: "one")

    /// Records that answer what they are told to, and count how often they are asked.
    private final class Records: SessionRecords {
        let state = Mutex<(tokens: Int64?, asked: Int, except: [Set<String>])>((0, 0, []))
        /// What happens while a read is under way.
        let meanwhile: @Sendable (Int) -> Void

        init(_ tokens: Int64?, meanwhile: @escaping @Sendable (Int) -> Void = { _ in }) {
            self.meanwhile = meanwhile
            state.withLock { $0.tokens = tokens }
        }

        func tokens(of session: CallerSession, except calls: Set<String>) async throws -> Int64 {
            let (tokens, asked) = state.withLock { state in
                state.asked += 1
                state.except.append(calls)
                return (state.tokens, state.asked)
            }
            meanwhile(asked)
            guard let tokens else { throw Problem(.storageUnavailable, "The store is away.") }
            return tokens
        }

        var asked: Int { state.withLock { $0.asked } }
    }

    private static func book(_ records: Records, refresh: Span? = nil, world: World = .test()) -> SessionBook {
        SessionBook(records, refresh: refresh, world: world)
    }

    private static func wish(_ input: Int64, _ output: Int64, answers: Int64 = 1) -> SessionBook.Wish {
        SessionBook.Wish(input: input, output: output, answers: answers)
    }

    @Test("a call holds what it may come to, and counts with what it used")
    func holds() async {
        let records = Records(100)
        let book = Self.book(records)
        #expect(book.reserve(Self.one, call: "a", Self.wish(1, 1), limit: 1_000) == .unknown)
        #expect(!book.isKnown(Self.one))
        #expect(await book.read(Self.one) { [:] })
        #expect(book.isKnown(Self.one))
        #expect(book.reserve(Self.one, call: "a", Self.wish(100, 500), limit: 1_000) == .held(500))
        // What is left, of each of two answers.
        #expect(book.reserve(Self.one, call: "b", Self.wish(100, 500, answers: 2), limit: 1_000) == .held(100))
        #expect(
            book.reserve(Self.one, call: "c", Self.wish(10, 5), limit: 1_000) == .inFlight(used: 100, held: 900))
        book.settle(Self.one, call: "a", tokens: 250)
        #expect(book.reserve(Self.one, call: "c", Self.wish(10, 1_000), limit: 1_000) == .held(340))
        book.settle(Self.one, call: "b", tokens: 0)
        book.settle(Self.one, call: "c", tokens: 700)
        #expect(book.reserve(Self.one, call: "d", Self.wish(1, 1), limit: 1_000) == .exceeded(used: 1_050))
        #expect(book.reserve(Self.one, call: "d", Self.wish(50, 0), limit: 1_100) == .held(0))
        // Numbers as large as any that may be asked for.
        let most = UsageCounts.tokensMax
        #expect(
            book.reserve(Self.one, call: "e", Self.wish(most, most, answers: most), limit: 1_000_000_000_000_000)
                == .held(908))
        #expect(records.asked == 1)
    }

    @Test("sessions of the same name are another's for another agent, and for a key of no agent")
    func owners() async {
        let book = Self.book(Records(0))
        let names = [
            Self.one, CallerSession(agent: "other", keyID: "key_1", session: "one"),
            CallerSession(agent: nil, keyID: "key_1", session: "one"),
            CallerSession(agent: nil, keyID: "key_2", session: "one"),
        ]
        #expect(Set(names).count == 4)
        #expect(CallerSession(agent: "writer", keyID: "key_9", session: "one") == Self.one)
        for name in names { #expect(await book.read(name) { [:] }) }
        for name in names { #expect(book.reserve(name, call: "a", Self.wish(5, 5), limit: 10) == .held(5)) }
    }

    @Test("those that ask at once share a read; calls that wait for the store count once")
    func reads() async {
        let records = Records(40)
        let book = Self.book(records)
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<20 { group.addTask { await book.read(Self.one) { ["w": 7] } } }
            for await isKnown in group { #expect(isKnown) }
        }
        #expect(records.state.withLock { $0.except.allSatisfy { $0 == ["w"] } })
        // A call that ended before, and tells of it late, is the one that waited.
        #expect(book.reserve(Self.one, call: "a", Self.wish(0, 100), limit: 50) == .held(3))
    }

    @Test("what ends during a read is read again, and at last counts in any case")
    func races() async {
        let held = Mutex<SessionBook?>(nil)
        let ended = Mutex<[String: Int64]>([:])
        let records = Records(40) { asked in
            guard asked == 1 else { return }
            ended.withLock { $0["late"] = 5 }
            held.withLock { $0 }?.settle(Self.one, call: "late", tokens: 5)
        }
        let book = Self.book(records)
        held.withLock { $0 = book }
        #expect(await book.read(Self.one) { ended.withLock { $0 } })
        #expect(records.asked == 2)
        #expect(book.reserve(Self.one, call: "a", Self.wish(0, 100), limit: 50) == .held(5))

        let busy = Records(40) { asked in held.withLock { $0 }?.settle(Self.one, call: "c\(asked)", tokens: 1) }
        let other = Self.book(busy)
        held.withLock { $0 = other }
        #expect(await other.read(Self.one) { [:] })
        #expect(busy.asked == SessionBook.readsMax)
        #expect(other.reserve(Self.one, call: "a", Self.wish(0, 100), limit: 50) == .held(9))
    }

    @Test("a store that is away keeps nobody who is known from going on, and nobody else gets through")
    func away() async {
        let time = ManualTime()
        let world = World.test(time: time)
        let records = Records(nil)
        let book = Self.book(records, refresh: .seconds(5), world: world)
        #expect(await !book.read(Self.one) { [:] })
        #expect(book.count == 0)
        records.state.withLock { $0.tokens = 10 }
        #expect(await book.read(Self.one) { [:] })
        #expect(book.isKnown(Self.one))
        time.advance(by: .seconds(5))
        #expect(!book.isKnown(Self.one))
        records.state.withLock { $0.tokens = nil }
        #expect(await book.read(Self.one) { [:] })
        #expect(book.isKnown(Self.one))
        #expect(book.reserve(Self.one, call: "a", Self.wish(0, 100), limit: 50) == .held(40))
        time.advance(by: SessionBook.patience)
        records.state.withLock { $0.tokens = 30 }
        #expect(!book.isKnown(Self.one))
        #expect(await book.read(Self.one) { [:] })
        // What another replica's calls used is known now, and what is held is held still.
        #expect(book.reserve(Self.one, call: "b", Self.wish(1, 1), limit: 50) == .inFlight(used: 30, held: 40))
    }

    @Test("sessions at hand are bounded, and those that hold something stay")
    func bounded() async {
        let time = ManualTime()
        let book = Self.book(Records(0), world: World.test(time: time))
        #expect(await book.read(Self.one) { [:] })
        #expect(book.reserve(Self.one, call: "a", Self.wish(5, 5), limit: 100) == .held(5))
        for number in 0..<SessionBook.sessionsMax {
            let session = CallerSession(agent: "writer", keyID: "", session: "s\(number)")
            #expect(await book.read(session) { [:] })
        }
        #expect(book.count <= SessionBook.sessionsMax)
        #expect(book.isKnown(Self.one))
        #expect(book.reserve(Self.one, call: "b", Self.wish(95, 0), limit: 100) == .inFlight(used: 0, held: 10))
    }
}
