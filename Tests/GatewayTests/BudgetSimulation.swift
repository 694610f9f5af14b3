import Control
import Kernel
import Synchronization
import TestSupport

@testable import Gateway

/// What a waiting call was told; filled in from the book's callback.
final class GrantBox: Sendable {
    private let grant = Mutex<BudgetGrant?>(nil)
    var value: BudgetGrant? { grant.withLock { $0 } }
    func put(_ value: BudgetGrant) { grant.withLock { $0 = value } }
}

/// Replicas over one store, in virtual time, from one seed: calls that reserve, grow, end and cost more than they held;
/// replicas that are killed at every point and come back from their journal, late or never; exchanges that fail, or
/// are booked without anybody hearing of it; windows that turn over; budgets that are changed and removed.
///
/// After each step, for every window of a strict or elastic budget: what calls cost and hold never exceeds the cap
/// (beside what calls cost beyond their holds), and neither do the rows. In the end the rows hold exactly what calls
/// cost, with killed calls at what they held and lost replicas at what they had borrowed.
struct BudgetSimulation {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Call {
        let hold: BudgetHold
        let keys: [BudgetWindowKey]
        var held: BudgetAmounts
    }

    struct Waiting {
        let box: GrantBox
        let keys: [BudgetWindowKey]
        let want: BudgetAmounts
        /// The call that is to grow.
        let growing: Int?
    }

    struct Replica {
        let name: String
        let folder: String
        var book: BudgetBook?
        var calls: [Int: Call] = [:]
        var waiting: [Waiting] = []
        /// Calls that ended since the journal was written: a kill takes them for open ones.
        var unwritten: [(keys: [BudgetWindowKey], held: BudgetAmounts, cost: BudgetAmounts)] = []
        /// What its calls cost, as the rows should have it in the end.
        var cost: [BudgetWindowKey: BudgetAmounts] = [:]
        var booked: [BudgetWindowKey: BudgetAmounts] = [:]
        var bookedSequence: Int64 = 0
        /// Its loans were written off, and it has not noticed.
        var isWrittenOff = false
        /// It neither exchanges nor looks, as if the store were out of its reach.
        var silentUntil = Timestamp(microseconds: 0)
        var isLost = false
    }

    let seed: UInt64
    let chance: SeededEntropy
    let time = ManualTime()
    let storage: any Storage
    let vault: StoredBudgetVault
    let service: BudgetService
    var replicas: [Replica]
    var budgets: [BudgetScope: Budget] = [:]
    /// The highest cap that each window ever had, and how much calls cost beyond what they held.
    var ceilings: [BudgetWindowKey: BudgetAmounts] = [:]
    var excess: [BudgetWindowKey: BudgetAmounts] = [:]
    var usage: [(at: Timestamp, used: [BudgetWindowKey: BudgetAmounts])] = []
    var troubleAt = Timestamp(microseconds: 0)
    var nextCall = 0
    var trace: [String] = []
    var refusals: [String: Int] = [:]
    /// Refusals that were not true.
    var lies: [String] = []

    static let scopes = ["org", "project:p", "agent:a", "agent:b", "task:t", "tag:x", "key:unbudgeted"]
        .map { BudgetScope(stored: $0) }
    static let admin = Principal(keyID: "key_1", name: "olga", role: .operator_)

    /// Whether nothing goes wrong: then every refusal is looked into.
    let isCalm: Bool
    var judged = 0

    init(seed: UInt64, replicas: Int, isCalm: Bool, storage: any Storage, folder: String) {
        self.seed = seed
        self.isCalm = isCalm
        self.storage = storage
        chance = SeededEntropy(seed: seed)
        let world = World.test(seed: seed, time: time)
        let events = Events(world: world)
        vault = StoredBudgetVault(storage: storage, events: events)
        service = BudgetService(
            memory: NoBudgetMemory(), events: events, audit: AuditService(world: world), world: world)
        self.replicas = (0..<replicas).map { Replica(name: "r\($0)", folder: "\(folder)/r\($0)") }
    }

    func fail(_ what: String) -> Failure {
        Failure(description: "seed \(seed): \(what)\n\(trace.suffix(25).joined(separator: "\n"))")
    }

    func happens(_ percent: Int) -> Bool { chance.int(in: 1...100) <= percent }

    mutating func note(_ text: String) { trace.append("\(time.now.rfc3339.dropFirst(8)) \(text)") }

    mutating func run(steps: Int) async throws {
        for scope in Self.scopes.dropLast() where happens(80) { try await edit(scope) }
        for index in replicas.indices {
            replicas[index].silentUntil = time.now
            try await start(index)
        }
        if isCalm { try await pass(.seconds(4), every: .milliseconds(100)) }
        for _ in 0..<steps {
            try await step()
            try await check()
        }
        try await finish()
    }

    mutating func step() async throws {
        let index = chance.int(in: 0...replicas.count - 1)
        let dice = chance.int(in: 0...99)
        switch isCalm && (62..<83).contains(dice) ? 99 : dice {
        case 0..<34: reserve(index)
        case 34..<42: topUp(index)
        case 42..<62: endSome(index)
        case 62..<72: try await round(index, withFaults: true)
        case 72..<76: try await kill(index)
        case 76..<78: replicas[index].silentUntil = time.now + .seconds(Int64(chance.int(in: 1...40)))
        case 78..<80: try await edit(chance.pick(Self.scopes.dropLast()))
        case 80: try await remove(chance.pick(Self.scopes.dropLast()))
        case 81: try await pass(.seconds(Int64(chance.int(in: 20...70))), every: .seconds(5))
        case 82: try await pass(.hours(12), every: .hours(6))
        default: try await pass(.milliseconds(Int64(chance.int(in: 50...400))), every: .milliseconds(100))
        }
    }

    // MARK: Calls

    func keys(_ scopes: [BudgetScope], of replica: Replica) -> [BudgetWindowKey] {
        guard let book = replica.book else { return [] }
        return book.withState { [now = time.now] state in
            scopes.compactMap { state.accounts[$0]?.terms.key(at: now) }
        }
    }

    mutating func reserve(_ index: Int) {
        guard let book = replicas[index].book, book.isOpen else { return }
        let scopes = Self.scopes.filter { _ in happens(50) }
        let want = BudgetAmounts(
            nanoUSD: Int64(chance.int(in: 0...30)), tokens: Int64(chance.int(in: 0...50)), calls: 1,
            steps: Int64(chance.int(in: 0...1)))
        let keys = keys(scopes, of: replicas[index])
        switch book.reserve(scopes, want, call: "call_\(nextCall)", note: "n", at: time.now) {
        case .held(let hold): began(index, hold, keys, want)
        case .refused(let refusal): refused(index, refusal, keys, want)
        case .mustWait:
            let box = GrantBox()
            book.wait(scopes, want, call: "call_\(nextCall)", at: time.now) { box.put($0) }
            replicas[index].waiting.append(Waiting(box: box, keys: keys, want: want, growing: nil))
        }
        note("\(replicas[index].name) reserve \(scopes.map(\.description)) \(want.nanoUSD)")
        collect(index)
    }

    mutating func began(_ index: Int, _ hold: BudgetHold, _ keys: [BudgetWindowKey], _ want: BudgetAmounts) {
        guard hold.isCounted else { return }
        nextCall += 1
        replicas[index].unwritten = []
        replicas[index].calls[nextCall] = Call(hold: hold, keys: keys, held: want)
    }

    mutating func topUp(_ index: Int) {
        guard let book = replicas[index].book, let id = replicas[index].calls.keys.sorted().randomElement(using: chance)
        else { return }
        guard let call = replicas[index].calls[id] else { return }
        let more = BudgetAmounts(nanoUSD: Int64(chance.int(in: 1...10)), tokens: 5)
        note("\(replicas[index].name) topUp \(id) \(more.nanoUSD)")
        switch book.topUp(call.hold, by: more) {
        case .held: grew(index, id, more)
        case .refused(let refusal): refused(index, refusal, call.keys, more, growing: id)
        case .mustWait:
            let box = GrantBox()
            book.wait([], more, hold: call.hold, at: time.now) { box.put($0) }
            replicas[index].waiting.append(Waiting(box: box, keys: call.keys, want: more, growing: id))
        }
        collect(index)
    }

    mutating func grew(_ index: Int, _ id: Int, _ more: BudgetAmounts) {
        replicas[index].unwritten = []
        replicas[index].calls[id]?.held += more
    }

    mutating func endSome(_ index: Int) {
        for _ in 0..<chance.int(in: 1...4) {
            guard let book = replicas[index].book,
                let id = replicas[index].calls.keys.sorted().randomElement(using: chance),
                let call = replicas[index].calls[id]
            else { return }
            var cost = BudgetAmounts.zero
            if !happens(15) {
                for unit in BudgetUnit.allCases { cost[unit] = Int64(chance.int(in: 0...Int(call.held[unit]))) }
                if happens(4) { cost.nanoUSD = call.held.nanoUSD + Int64(chance.int(in: 1...3)) }
            }
            note("\(replicas[index].name) end \(id) \(cost.nanoUSD) of \(call.held.nanoUSD)")
            end(index, id, cost)
            book.settle(call.hold, cost)
            if happens(10) { book.settle(call.hold, cost) }
            collect(index)
        }
    }

    /// Takes an end into the model.
    mutating func end(_ index: Int, _ id: Int, _ cost: BudgetAmounts) {
        guard let call = replicas[index].calls.removeValue(forKey: id) else { return }
        let over = (cost - call.held).clamped
        for key in call.keys {
            excess[key, default: .zero] += over
            replicas[index].cost[key, default: .zero] += cost
        }
        replicas[index].unwritten.append((call.keys, call.held, cost))
    }

    /// Takes what waiting calls were told into the model.
    mutating func collect(_ index: Int) {
        guard let book = replicas[index].book else { return }
        var rest: [Waiting] = []
        for waiting in replicas[index].waiting {
            guard let grant = waiting.box.value else {
                rest.append(waiting)
                continue
            }
            switch grant {
            case .refused(let refusal):
                refused(index, refusal, waiting.keys, waiting.want, growing: waiting.growing)
            case .held(let hold, let line):
                _ = book.record(hold, line)
                if let id = waiting.growing {
                    grew(index, id, waiting.want)
                } else {
                    let keys = book.withState { state in
                        state.hold(hold)?.windows.map(\.key) ?? []
                    }
                    began(index, hold, keys, waiting.want)
                }
            }
        }
        replicas[index].waiting = rest
    }
}

extension Array {
    func randomElement(using chance: SeededEntropy) -> Element? {
        isEmpty ? nil : self[chance.int(in: 0...count - 1)]
    }
}
