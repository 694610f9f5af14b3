import Foundation

/// A text with places that are filled in: the templates of annotations and labels as Prometheus has them
/// (prometheus.io/docs/prometheus/latest/configuration/template_reference, of 2.42), in Go's syntax.
public struct Template: Sendable {
    /// Characters of what comes of one.
    public static let outputMax = 65_536
    /// Actions that one may take.
    public static let stepsMax = 10_000
    /// Templates that call each other.
    static let callsMax = 20

    /// As it was written.
    public let source: String
    private let nodes: [TemplateNode]
    let named: [String: [TemplateNode]]

    /// - Throws: ``TemplateFault``.
    public init(_ text: String) throws {
        source = text
        var parser = try TemplateParser(text, variables: ["labels", "externalLabels", "externalURL", "value"])
        nodes = try parser.parse()
        named = parser.named
    }

    /// What a template is filled in with.
    public struct Data {
        public let labels: LabelSet
        public let value: Double
        public var externalLabels: LabelSet = .none
        /// Where this server is to be reached; without a slash at its end.
        public var externalURL = ""
        /// Works out an expression at the moment of the alert.
        public var query: (String) throws -> [(labels: LabelSet, value: Double)] = { _ in [] }

        public init(labels: LabelSet, value: Double) {
            self.labels = labels
            self.value = value
        }
    }

    /// - Throws: ``TemplateFault``, or what the query throws.
    public func text(_ data: Data) throws -> String {
        let filling = TemplateFilling(template: self, data: data)
        _ = try filling.fill(nodes)
        return filling.output
    }

    /// A text that is taken as it is.
    init(plain text: String) {
        source = text
        nodes = [.text(text)]
        named = [:]
    }

    /// A text without actions, which needs no filling.
    public var isPlain: Bool {
        nodes.allSatisfy { if case .text = $0 { true } else { false } }
    }
}

/// One filling of a template.
final class TemplateFilling {
    private(set) var output = ""
    let data: Template.Data
    private let template: Template
    private var scopes: [[String: TemplateValue]]
    private var dot: TemplateValue
    private var steps = 0
    private var calls = 0
    private let root: TemplateValue

    /// How a block came to its end.
    enum End { case done, left, skipped }

    init(template: Template, data: Template.Data) {
        self.template = template
        self.data = data
        let labels = TemplateValue.map(data.labels)
        let external = TemplateValue.map(data.externalLabels)
        root = .map([
            "Labels": labels, "ExternalLabels": external, "ExternalURL": .string(data.externalURL),
            "Value": .float(data.value),
        ])
        dot = root
        scopes = [
            [
                "": root, "labels": labels, "externalLabels": external, "externalURL": .string(data.externalURL),
                "value": .float(data.value),
            ]
        ]
    }

    /// Counts what is done, which is bounded whatever the template says.
    func step() throws {
        steps += 1
        guard steps <= Template.stepsMax else {
            throw TemplateFault("it takes more than \(Template.stepsMax) steps")
        }
    }

    private func append(_ text: String) throws {
        output += text
        guard output.utf8.count <= Template.outputMax else {
            throw TemplateFault("what comes of it has more than \(Template.outputMax) bytes")
        }
    }

    func fill(_ nodes: [TemplateNode]) throws -> End {
        scopes.append([:])
        defer { scopes.removeLast() }
        for node in nodes {
            try step()
            let end = try fill(node)
            guard end == .done else { return end }
        }
        return .done
    }

    private func fill(_ node: TemplateNode) throws -> End {
        switch node {
        case .text(let text): try append(text)
        case .action(let pipeline):
            let value = try value(pipeline)
            if pipeline.target == nil { try append(value.text) }
        case .condition(let pipeline, let then, let otherwise):
            return try within { try fill(try value(pipeline).isTrue ? then : otherwise) }
        case .with(let pipeline, let then, let otherwise):
            return try within {
                let value = try value(pipeline)
                return try value.isTrue ? looking(at: value) { try fill(then) } : fill(otherwise)
            }
        case .range(let pipeline, let each, let otherwise):
            return try within { try range(pipeline, each, otherwise) }
        case .template(let name, let pipeline):
            try call(name, with: try pipeline.map { try value($0) } ?? .nothing)
        case .leave: return .left
        case .skip: return .skipped
        }
        return .done
    }

    private func within(_ body: () throws -> End) throws -> End {
        scopes.append([:])
        defer { scopes.removeLast() }
        return try body()
    }

    private func looking<Result>(at value: TemplateValue, _ body: () throws -> Result) rethrows -> Result {
        let before = dot
        dot = value
        defer { dot = before }
        return try body()
    }

    private func range(_ pipeline: TemplatePipeline, _ each: [TemplateNode], _ otherwise: [TemplateNode]) throws -> End
    {
        var bare = pipeline
        bare.target = nil
        let elements: [(key: TemplateValue, value: TemplateValue)]
        switch try value(bare) {
        case .list(let values): elements = values.enumerated().map { (.int($0.offset), $0.element) }
        case .map(let values):
            elements = values.sorted { $0.key < $1.key }.map { (.string($0.key), $0.value) }
        case .nothing: elements = []
        case let other: throw TemplateFault("range cannot go through \(other.text)")
        }
        guard !elements.isEmpty else { return try fill(otherwise) }
        for (key, value) in elements {
            if case .declared(let names) = pipeline.target {
                let values = names.count == 2 ? [key, value] : [value]
                for (name, value) in zip(names, values) { scopes[scopes.count - 1][name] = value }
            }
            if try looking(at: value, { try fill(each) }) == .left { break }
        }
        return .done
    }

    /// Fills in a template of this text; it knows no variables of the place that it is called from.
    private func call(_ name: String, with value: TemplateValue) throws {
        guard let nodes = template.named[name] else { throw TemplateFault("template \"\(name)\" is not known") }
        calls += 1
        defer { calls -= 1 }
        guard calls <= Template.callsMax else {
            throw TemplateFault("more than \(Template.callsMax) templates call each other")
        }
        let before = scopes
        defer { scopes = before }
        // Each text begins with the four variables (Prometheus sets them before every template).
        scopes = [scopes[0].merging(["": value]) { $1 }]
        _ = try looking(at: value) { try fill(nodes) }
    }

    /// What `tmpl` gives: the template's text as a value.
    func called(_ name: String, with value: TemplateValue) throws -> String {
        let before = output
        output = ""
        defer { output = before }
        try call(name, with: value)
        return output
    }

    // MARK: Values

    private func value(_ pipeline: TemplatePipeline) throws -> TemplateValue {
        var last: TemplateValue?
        for command in pipeline.commands {
            try step()
            last = try value(command, last)
        }
        let value = last ?? .nothing
        switch pipeline.target {
        case .declared(let names): scopes[scopes.count - 1][names[0]] = value
        case .assigned(let name):
            if let scope = scopes.lastIndex(where: { $0[name] != nil }) { scopes[scope][name] = value }
        case nil: break
        }
        return value
    }

    /// - Parameter last: What the command before came to.
    private func value(_ command: [TemplateOperand], _ last: TemplateValue?) throws -> TemplateValue {
        let first = command[0]
        guard case .function(let name) = first.base else {
            guard command.count == 1, last == nil else { throw TemplateFault("what stands first is no function") }
            return try value(first)
        }
        let arguments = command.dropFirst()
        // `and` and `or` look no further than they need.
        if name == "and" || name == "or", last == nil {
            var found = TemplateValue.nothing
            for argument in arguments {
                found = try value(argument)
                if found.isTrue == (name == "or") { break }
            }
            return found
        }
        return try TemplateFunctions.call(name, try arguments.map { try value($0) } + (last.map { [$0] } ?? []), self)
    }

    private func value(_ operand: TemplateOperand) throws -> TemplateValue {
        var found: TemplateValue
        switch operand.base {
        case .constant(let constant): found = constant
        case .dot: found = dot
        case .variable(let name): found = scopes.last { $0[name] != nil }?[name] ?? .nothing
        case .function(let name): found = try TemplateFunctions.call(name, [], self)
        case .pipeline(let pipeline): found = try value(pipeline)
        }
        for field in operand.fields { found = try found.field(field) }
        return found
    }
}
