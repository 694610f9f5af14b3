/// What a template says (pkg.go.dev/text/template): text, with actions in it.
indirect enum TemplateNode: Sendable {
    case text(String)
    case action(TemplatePipeline)
    case condition(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    /// `with`: what follows looks at this value.
    case with(TemplatePipeline, then: [TemplateNode], otherwise: [TemplateNode])
    case range(TemplatePipeline, each: [TemplateNode], otherwise: [TemplateNode])
    /// Another template of the same text, by its name.
    case template(String, TemplatePipeline?)
    case leave
    case skip
}

/// Commands, each of which gets what the one before it came to as its last argument.
struct TemplatePipeline: Sendable {
    enum Target: Sendable {
        /// `$a := …`, or `$index, $element := …` of a `range`.
        case declared([String])
        /// `$a = …`.
        case assigned(String)
    }

    var target: Target?
    let commands: [[TemplateOperand]]
}

/// A value, or a function, with the fields that are asked of it.
struct TemplateOperand: Sendable {
    indirect enum Base: Sendable {
        case constant(TemplateValue)
        /// The value that is looked at.
        case dot
        /// With its name without `$`, which is empty for the whole data.
        case variable(String)
        case function(String)
        case pipeline(TemplatePipeline)
    }

    let base: Base
    let fields: [String]
}

/// A template that cannot be read, or cannot be filled in.
public struct TemplateFault: Error, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}
