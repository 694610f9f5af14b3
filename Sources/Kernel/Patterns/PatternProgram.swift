/// One instruction; the next one follows unless it says where to go.
enum PatternInstruction: Sendable {
    case set(Int)
    case split(Int, Int)
    case jump(Int)
    case start
    case end
    case wordBoundary(isNegated: Bool)
    /// Goes on where the program that begins at `target` matches from here, or where it does not.
    case lookahead(target: Int, isNegated: Bool)
    /// Notes the place as an end of a group, for who asks for groups.
    case save(Int)
    case match
}

/// What a pattern is compiled to.
struct PatternProgram: Sendable {
    var instructions: [PatternInstruction] = []
    var sets: [PatternSet] = []
    /// Two for each group: its start and its end.
    var slots = 0
}

/// Writes a tree as a program.
struct PatternWriter {
    private var program = PatternProgram()
    /// Counts copies too, as a copy of nothing writes no instruction.
    private var work = 0

    mutating func program(_ tree: PatternTree) throws -> PatternProgram {
        try write(tree)
        try emit(.match)
        return program
    }

    @discardableResult
    private mutating func emit(_ instruction: PatternInstruction) throws -> Int {
        try count()
        program.instructions.append(instruction)
        return program.instructions.count - 1
    }

    private mutating func count() throws {
        work += 1
        guard work <= BoundedPattern.instructionsMax else {
            throw BoundedPattern.Failure(reason: "it is too large once its repetitions are written out")
        }
    }

    private var here: Int { program.instructions.count }

    private mutating func write(_ tree: PatternTree) throws {
        switch tree {
        case .set(let set):
            try emit(.set(program.sets.count))
            program.sets.append(set)
        case .start: try emit(.start)
        case .end: try emit(.end)
        case .wordBoundary(let isNegated): try emit(.wordBoundary(isNegated: isNegated))
        case .sequence(let parts): for part in parts { try write(part) }
        case .choice(let branches): try writeChoice(branches)
        case .group(let number, let tree):
            program.slots = max(program.slots, 2 * number + 2)
            try emit(.save(2 * number))
            try write(tree)
            try emit(.save(2 * number + 1))
        case .repetition(let part, let min, let max, let isLazy): try writeRepetition(part, min, max, isLazy)
        case .lookahead(let part, let isNegated):
            let jump = try emit(.jump(0))
            let target = here
            try write(part)
            try emit(.match)
            program.instructions[jump] = .jump(here)
            try emit(.lookahead(target: target, isNegated: isNegated))
        }
    }

    private mutating func writeChoice(_ branches: [PatternTree]) throws {
        var jumps: [Int] = []
        for (index, branch) in branches.enumerated() {
            guard index < branches.count - 1 else {
                try write(branch)
                break
            }
            let split = try emit(.split(0, 0))
            try write(branch)
            jumps.append(try emit(.jump(0)))
            program.instructions[split] = .split(split + 1, here)
        }
        for jump in jumps { program.instructions[jump] = .jump(here) }
    }

    private mutating func writeRepetition(_ part: PatternTree, _ min: Int, _ max: Int?, _ isLazy: Bool) throws {
        func split(_ inside: Int, _ behind: Int) -> PatternInstruction {
            isLazy ? .split(behind, inside) : .split(inside, behind)
        }
        for _ in 0..<min {
            try count()
            try write(part)
        }
        guard let max else {
            let start = try emit(.split(0, 0))
            try write(part)
            try emit(.jump(start))
            program.instructions[start] = split(start + 1, here)
            return
        }
        var splits: [Int] = []
        for _ in min..<Swift.max(min, max) {
            splits.append(try emit(.split(0, 0)))
            try write(part)
        }
        for start in splits { program.instructions[start] = split(start + 1, here) }
    }
}
