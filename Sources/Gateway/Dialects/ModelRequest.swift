import Kernel

/// What a caller asks of a model, in the form between the dialects.
///
/// What only its own dialect knows stays in ``extras``; the writer of another dialect names it as dropped, or refuses.
struct ModelRequest: Sendable, Equatable {
    /// Messages of one request, as Anthropic bounds them.
    static let messagesMax = 100_000
    /// Parts of one message, tools, stop sequences, and whatever else comes as a list.
    static let itemsMax = 20_000

    let source: Dialect
    var model: String
    /// Instructions that stand before the conversation.
    var system: [ModelPart] = []
    var messages: [ModelMessage] = []
    var tools: [ModelTool] = []
    var serverTools: [ServerTool] = []
    var toolChoice = Placed<ToolChoice>()
    /// Whether several tools may be called at once; `nil` leaves it to the model.
    var allowsParallelCalls = Placed<Bool>()
    var outputMax: Int?
    var temperature = Placed<Double>()
    var topP = Placed<Double>()
    var topK = Placed<Int>()
    var stops = Placed<[String]>()
    var isStreamed = false
    /// Whether a stream is to tell its usage; Anthropic's and Responses' always do.
    var tellsUsage = true
    var format = Placed<OutputFormat>()
    var reasoning = Placed<ReasoningWish>()
    /// Answers to make.
    var choices = Placed<Int>()
    /// Who the call is made for, as a stable pseudonym.
    var user = Placed<String>()
    var serviceTier = Placed<String>()
    /// Members at the top of the body that have no place here.
    var extras: [Extra] = []
    /// Paths of nested members that have no place here.
    var unread: [String] = []

    init(source: Dialect, model: String) {
        self.source = source
        self.model = model
        tellsUsage = source != .chat
    }

    struct Extra: Sendable, Equatable {
        let name: String
        let value: JSONValue
    }

    /// What the answer's text has to be.
    enum OutputFormat: Sendable, Equatable {
        /// Any JSON object.
        case jsonObject
        case schema(name: String, description: String?, schema: JSONValue, isStrict: Bool?)
    }

    enum ToolChoice: Sendable, Equatable {
        /// `never` is called `none` on the wire.
        case auto, never, required
        case tool(String)
        /// Only these, one of them surely where `isRequired`.
        case allowed([String], isRequired: Bool)
    }

    /// How much thinking is asked for.
    struct ReasoningWish: Sendable, Equatable {
        enum Amount: Sendable, Equatable {
            case off
            /// As much as the model sees fit.
            case adaptive
            /// `minimal` to `max`.
            case effort(String)
            case tokens(Int)
        }

        var amount: Amount?
        /// Anthropic's effort beside a budget or beside adaptive thinking.
        var effort: String?
        /// `auto`, `concise` or `detailed`; Anthropic's `display`.
        var summary: String?
    }
}

/// A value together with the path it came from, for the day it cannot cross.
struct Placed<Value: Sendable & Equatable>: Sendable, Equatable {
    private(set) var value: Value?
    private(set) var path = ""

    init() {}

    init(_ value: Value, at path: String) {
        self.value = value
        self.path = path
    }
}

/// A function that the caller runs.
struct ModelTool: Sendable, Equatable {
    let name: String
    var description: String?
    /// The schema of the arguments; `nil` for a function without any.
    var schema: JSONValue?
    var isStrict: Bool?
    var cache: CacheMark?
    let path: String
}

/// A tool that the provider runs. Never dropped: it crosses, or the request is refused.
struct ServerTool: Sendable, Equatable {
    enum Kind: Sendable, Equatable {
        case webSearch(WebSearch)
        /// One that has no like in any other dialect, as it came.
        case foreign(JSONValue)
    }

    struct WebSearch: Sendable, Equatable {
        var allowedDomains: [String]?
        var blockedDomains: [String]?
        var usesMax: Int?
        /// `low`, `medium` or `high`.
        var contextSize: String?
        /// `city`, `region`, `country` and `timezone`.
        var location: JSONObject?
    }

    let kind: Kind
    let path: String
}

/// A place up to which the provider is to cache the prompt.
struct CacheMark: Sendable, Equatable {
    /// `5m` or `1h` at Anthropic, `30m` or `12h` at OpenAI.
    var lifetime: String?
    let path: String
}
