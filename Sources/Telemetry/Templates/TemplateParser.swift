/// Reads a template.
struct TemplateParser {
    /// Actions and parentheses within each other.
    static let depthMax = 50

    private let pieces: [TemplateLexer.Piece]
    private var next = 0
    private var depth = 0
    private var loops = 0
    private var scopes: [Set<String>]
    /// Templates of this text by their names.
    private(set) var named: [String: [TemplateNode]] = [:]

    /// - Parameter variables: Those that are there from the beginning, without `$`.
    init(_ text: String, variables: Set<String>) throws {
        pieces = try TemplateLexer.pieces(text)
        scopes = [variables.union([""])]
    }

    mutating func parse() throws -> [TemplateNode] {
        let (nodes, end) = try block()
        guard end == nil else { throw fault("an {{\(end ?? "")}} without its beginning") }
        return nodes
    }

    private func fault(_ text: String) -> TemplateFault {
        for case .action(_, let line) in pieces[..<next].reversed() { return TemplateFault("line \(line): \(text)") }
        return TemplateFault(text)
    }

    // MARK: Blocks

    /// Nodes up to an `end` or `else`, and which of them it was, with what stands behind an `else`.
    private mutating func block() throws -> (nodes: [TemplateNode], end: String?) {
        var nodes: [TemplateNode] = []
        scopes.append([])
        defer { scopes.removeLast() }
        while next < pieces.count {
            let piece = pieces[next]
            next += 1
            switch piece {
            case .text(let text): nodes.append(.text(text))
            case .action(let tokens, _):
                guard case .word(let word) = tokens.first else {
                    nodes.append(.action(try pipeline(tokens[...], isDeclaring: true)))
                    continue
                }
                let rest = tokens.dropFirst()
                switch word {
                case "end":
                    guard rest.isEmpty else { throw fault("nothing is expected behind end") }
                    return (nodes, "end")
                case "else":
                    // `else if` is read again as an `if` in the other branch.
                    if !rest.isEmpty { next -= 1 }
                    return (nodes, "else")
                default: if let node = try statement(word, rest, tokens) { nodes.append(node) }
                }
            }
        }
        return (nodes, nil)
    }

    private mutating func statement(
        _ word: String, _ rest: ArraySlice<TemplateLexer.Token>, _ tokens: [TemplateLexer.Token]
    ) throws -> TemplateNode? {
        switch word {
        case "if", "with", "range": return try branches(word, rest)
        case "define":
            guard case .constant(.string(let name)) = rest.first, rest.count == 1, scopes.count == 2 else {
                throw fault("a definition stands for itself and has a name in quotes")
            }
            named[name] = try closed()
            return nil
        case "template":
            guard case .constant(.string(let name)) = rest.first else {
                throw fault("template needs a name in quotes")
            }
            return .template(name, rest.count > 1 ? try pipeline(rest.dropFirst(), isDeclaring: false) : nil)
        case "break", "continue":
            guard loops > 0, rest.isEmpty else { throw fault("\(word) stands in a range alone") }
            return word == "break" ? .leave : .skip
        case "block": throw fault("block is not known here; define and template are")
        default: return .action(try pipeline(tokens[...], isDeclaring: true))
        }
    }

    /// A block that has no other branch.
    private mutating func closed() throws -> [TemplateNode] {
        try deeper()
        defer { depth -= 1 }
        let (nodes, end) = try block()
        guard end == "end" else { throw fault("an {{end}} is expected") }
        return nodes
    }

    private mutating func deeper() throws {
        depth += 1
        guard depth <= Self.depthMax else { throw fault("too much stands within each other") }
    }

    private mutating func branches(_ word: String, _ rest: ArraySlice<TemplateLexer.Token>) throws -> TemplateNode {
        try deeper()
        defer { depth -= 1 }
        scopes.append([])
        defer { scopes.removeLast() }
        let condition = try pipeline(rest, isDeclaring: true, isRange: word == "range")
        if word == "range" { loops += 1 }
        let (then, end) = try block()
        if word == "range" { loops -= 1 }
        var otherwise: [TemplateNode] = []
        if end == "else" {
            otherwise = try alternative(of: word)
        } else if end == nil {
            throw fault("an {{\(word)}} without its {{end}}")
        }
        switch word {
        case "if": return .condition(condition, then: then, otherwise: otherwise)
        case "with": return .with(condition, then: then, otherwise: otherwise)
        default: return .range(condition, each: then, otherwise: otherwise)
        }
    }

    private mutating func alternative(of word: String) throws -> [TemplateNode] {
        // `else if` and `else with` share the end of what they belong to.
        if case .action(let tokens, _) = pieces[min(next, pieces.count - 1)], tokens.first == .word("else"),
            tokens.count > 1
        {
            next += 1
            guard case .word(let inner) = tokens[1], inner == word, word != "range" else {
                throw fault("what stands behind else is not expected")
            }
            return [try branches(inner, tokens.dropFirst(2))]
        }
        return try closed()
    }

    // MARK: Pipelines

    private mutating func pipeline(
        _ tokens: ArraySlice<TemplateLexer.Token>, isDeclaring: Bool, isRange: Bool = false
    ) throws -> TemplatePipeline {
        var tokens = tokens
        let target = isDeclaring ? try target(&tokens, isRange: isRange) : nil
        let pipeline = try commands(&tokens, target)
        guard tokens.isEmpty else { throw fault("a ) without its (") }
        if case .declared(let names) = target { scopes[scopes.count - 1].formUnion(names) }
        return pipeline
    }

    private func target(
        _ tokens: inout ArraySlice<TemplateLexer.Token>, isRange: Bool
    ) throws -> TemplatePipeline.Target? {
        var names: [String] = []
        var rest = tokens
        while case .variable(let name) = rest.first {
            names.append(name)
            rest = rest.dropFirst()
            guard rest.first == .sign(",") else { break }
            rest = rest.dropFirst()
        }
        guard !names.isEmpty, names.count == 1 || isRange && names.count == 2 else { return nil }
        switch rest.first {
        case .declare:
            tokens = rest.dropFirst()
            return .declared(names)
        case .sign("="):
            guard names.count == 1 else { throw fault("one variable is assigned to at a time") }
            try know(names[0])
            tokens = rest.dropFirst()
            return .assigned(names[0])
        default: return nil
        }
    }

    private func know(_ variable: String) throws {
        guard scopes.contains(where: { $0.contains(variable) }) else { throw fault("$\(variable) is not known") }
    }

    /// Commands up to a `)`, which stays, or the end.
    private mutating func commands(
        _ tokens: inout ArraySlice<TemplateLexer.Token>, _ target: TemplatePipeline.Target?
    ) throws -> TemplatePipeline {
        var commands: [[TemplateOperand]] = [[]]
        while let token = tokens.first, token != .sign(")") {
            if token == .sign("|") {
                guard commands.last?.isEmpty == false else { throw fault("a | without something before it") }
                tokens = tokens.dropFirst()
                commands.append([])
            } else {
                commands[commands.count - 1].append(try operand(&tokens))
            }
        }
        guard commands.last?.isEmpty == false else { throw fault("a value is missing") }
        for command in commands.dropFirst() {
            guard case .function = command[0].base else { throw fault("a function is expected behind |") }
        }
        return TemplatePipeline(target: target, commands: commands)
    }

    private mutating func operand(_ tokens: inout ArraySlice<TemplateLexer.Token>) throws -> TemplateOperand {
        guard let token = tokens.popFirst() else { throw fault("a value is missing") }
        var fields: [String] = []
        let base: TemplateOperand.Base
        switch token {
        case .constant(let value): base = .constant(value)
        case .field(let name):
            base = .dot
            if !name.isEmpty { fields.append(name) }
        case .variable(let name):
            try know(name)
            base = .variable(name)
        case .word(let name):
            guard TemplateFunctions.names.contains(name) else { throw fault("function \"\(name)\" is not known") }
            base = .function(name)
        case .sign("("):
            try deeper()
            base = .pipeline(try commands(&tokens, nil))
            depth -= 1
            guard tokens.popFirst() == .sign(")") else { throw fault("a ( without its )") }
        default: throw fault("a value is expected")
        }
        while case .chain(let name) = tokens.first {
            switch base {
            case .constant, .function: throw fault("a field of something that has none")
            default: break
            }
            guard !name.isEmpty else { throw fault("a field's name is missing") }
            fields.append(name)
            tokens = tokens.dropFirst()
        }
        return TemplateOperand(base: base, fields: fields)
    }
}
