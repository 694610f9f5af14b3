/// Runs a program over one text, all of its states together.
struct PatternMachine {
    private let program: PatternProgram
    private let text: [Unicode.Scalar]
    private(set) var stepsLeft: Int
    /// Outcomes of lookaheads by instruction and place, so that none is run twice.
    private var looked: [Int: Bool] = [:]

    init(_ program: PatternProgram, _ text: [Unicode.Scalar], stepsLeft: Int) {
        self.program = program
        self.text = text
        self.stepsLeft = stepsLeft
    }

    /// Whether it matches somewhere, or all of the text where `isWhole`.
    mutating func isFound(isWhole: Bool) -> Bool {
        var isAnchored = isWhole
        if case .start? = program.instructions.first { isAnchored = true }
        return run(from: 0, at: 0, isAnchored: isAnchored, isWhole: isWhole)
    }

    /// Whether the program at `entry` reaches a match from `start`, or from any later place unless `isAnchored`.
    private mutating func run(from entry: Int, at start: Int, isAnchored: Bool, isWhole: Bool) -> Bool {
        var seen = [Int](repeating: -1, count: program.instructions.count)
        stepsLeft -= seen.count / 16
        var waiting: [Int] = []
        var pending: [Int] = []
        var position = start
        while true {
            if position == start || !isAnchored { pending.append(entry) }
            var next: [Int] = []
            // Follows what takes no character; what takes one is tried on this place's.
            while let index = pending.popLast() {
                guard seen[index] != position else { continue }
                seen[index] = position
                stepsLeft -= 1
                guard stepsLeft >= 0 else { return false }
                switch program.instructions[index] {
                case .match: if !isWhole || position == text.count { return true }
                case .save: pending.append(index + 1)
                case .jump(let target): pending.append(target)
                case .split(let first, let second):
                    pending.append(second)
                    pending.append(first)
                case .set(let set):
                    if position < text.count, program.sets[set].contains(text[position]) { next.append(index + 1) }
                case .start: if position == 0 { pending.append(index + 1) }
                case .end: if position == text.count { pending.append(index + 1) }
                case .wordBoundary(let isNegated):
                    if isWordBoundary(position) != isNegated { pending.append(index + 1) }
                case .lookahead(let target, let isNegated):
                    if look(target, index, position) != isNegated { pending.append(index + 1) }
                }
            }
            waiting = next
            guard position < text.count, !waiting.isEmpty || !isAnchored else { return false }
            position += 1
            pending = waiting
        }
    }

    private mutating func look(_ target: Int, _ index: Int, _ position: Int) -> Bool {
        let key = position * program.instructions.count + index
        if let known = looked[key] { return known }
        let outcome = run(from: target, at: position, isAnchored: true, isWhole: false)
        looked[key] = outcome
        return outcome
    }

    private func isWordBoundary(_ position: Int) -> Bool {
        let before = position > 0 && PatternSet.words.contains(text[position - 1])
        let after = position < text.count && PatternSet.words.contains(text[position])
        return before != after
    }

    // MARK: groups

    private struct Threads {
        var list: [(index: Int, slots: [Int])] = []
        var seen: [Int]
    }

    /// The places of a match's groups, each as its start and end, -1 for one that took no part: of all of the text, or
    /// unless `isWhole` of the first match from `start` on, which is the one that a backtracking matcher would find.
    mutating func groups(from start: Int = 0, isWhole: Bool) -> [Int]? {
        var now = Threads(seen: [Int](repeating: -1, count: program.instructions.count))
        var next = now
        var found: [Int]?
        for position in start...text.count {
            if position == start || !isWhole && found == nil {
                follow(0, [Int](repeating: -1, count: program.slots), position, &now)
            }
            next.list.removeAll(keepingCapacity: true)
            threads: for thread in now.list {
                switch program.instructions[thread.index] {
                case .match:
                    // The first thread is the preferred one, and a match of the whole ends with the text.
                    guard isWhole else {
                        found = thread.slots
                        break threads
                    }
                    if position == text.count, found == nil { found = thread.slots }
                case .set(let set):
                    guard position < text.count, program.sets[set].contains(text[position]) else { continue }
                    follow(thread.index + 1, thread.slots, position + 1, &next)
                default: break
                }
            }
            if position == text.count || next.list.isEmpty && (isWhole || found != nil) || stepsLeft < 0 { break }
            swap(&now, &next)
        }
        return stepsLeft < 0 ? nil : found
    }

    /// Follows what takes no character.
    private mutating func follow(_ index: Int, _ slots: [Int], _ position: Int, _ threads: inout Threads) {
        var pending = [(index, slots)]
        while let (index, slots) = pending.popLast() {
            guard threads.seen[index] != position else { continue }
            threads.seen[index] = position
            stepsLeft -= 1
            guard stepsLeft >= 0 else { return }
            switch program.instructions[index] {
            case .jump(let target): pending.append((target, slots))
            case .split(let first, let second):
                pending.append((second, slots))
                pending.append((first, slots))
            case .save(let slot):
                var slots = slots
                slots[slot] = position
                pending.append((index + 1, slots))
            case .start: if position == 0 { pending.append((index + 1, slots)) }
            case .end: if position == text.count { pending.append((index + 1, slots)) }
            case .wordBoundary(let isNegated):
                if isWordBoundary(position) != isNegated { pending.append((index + 1, slots)) }
            case .lookahead(let target, let isNegated):
                if look(target, index, position) != isNegated { pending.append((index + 1, slots)) }
            case .set, .match: threads.list.append((index, slots))
            }
        }
    }
}
