import Kernel

/// Whom a call is made for, and which model it asks for: what is set for a caller is found by this.
public struct CallSubject: Sendable, Equatable {
    public let agent: String?
    /// The person on whose behalf the agent works, as it says.
    public let user: String?
    public let session: String?
    public let keyID: String
    /// What the call asks for: a model's name, a tier's or a role's.
    public let model: String
    /// Whether that is a name that the gateway itself knows.
    public let isModel: Bool
    /// The version of the agent's bundle that the call's task runs with; `nil` for what the agent is to run with.
    public let bundle: String?

    public init(
        agent: String?, user: String?, session: String?, keyID: String, model: String, isModel: Bool,
        bundle: String? = nil
    ) {
        self.agent = agent
        self.user = user
        self.session = session
        self.keyID = keyID
        self.model = model
        self.isModel = isModel
        self.bundle = bundle
    }
}

/// Who decided something of a call.
public struct CallDecider: Sendable, Equatable {
    /// The key of the configuration, such as `tools.shell`.
    public let key: String
    /// `default`, `environment`, `flag` or `user`.
    public let layer: String
    public let flag: String?
    public let variant: String?

    public init(key: String, layer: String, flag: String? = nil, variant: String? = nil) {
        self.key = key
        self.layer = layer
        self.flag = flag
        self.variant = variant
    }

    /// For callers: who is asked about it.
    var words: String {
        switch (flag, variant) {
        case (let flag?, let variant?): "the flag \"\(flag)\" says so by its variant \"\(variant)\""
        case (let flag?, nil): "the flag \"\(flag)\" says so"
        default: "the layer \(layer) of the agent's configuration says so"
        }
    }

    /// For ``CallHeaders/config``. Keys and names may be any text; of what could end the line nothing is left.
    var headerValue: String {
        var parts = [key, "layer=\(layer)"]
        if let flag { parts.append("flag=\(flag)") }
        if let variant { parts.append("variant=\(variant)") }
        return parts.map(Self.plain).joined(separator: "; ")
    }

    private static func plain(_ text: String) -> String {
        String(
            decoding: text.utf8.prefix(200).map { byte in
                let isPlain = (0x21...0x7E).contains(byte) && byte != UInt8(ascii: ";") && byte != UInt8(ascii: ",")
                return isPlain ? byte : UInt8(ascii: "?")
            }, as: UTF8.self)
    }

    func json(_ effect: String) -> JSONValue {
        [
            "key": .string(key), "layer": .string(layer), "flag": .of(flag), "variant": .of(variant),
            "effect": .string(effect),
        ]
    }
}

/// What is set for a caller at this moment, as far as it is about calls.
public struct CallOrders: Sendable, Equatable {
    /// A number that a call may not exceed.
    public struct Limit: Sendable, Equatable {
        public let tokens: Int64
        public let by: CallDecider

        public init(_ tokens: Int64, by: CallDecider) {
            self.tokens = tokens
            self.by = by
        }
    }

    /// Another model's name that is meant by the one that was asked for.
    public var model: (name: String, by: CallDecider)?
    /// Tools that may not be used, by name.
    public var tools: [String: CallDecider] = [:]
    /// Of one answer.
    public var output: Limit?
    /// Of what is sent.
    public var input: Limit?
    /// Of both together.
    public var total: Limit?
    /// Of all calls of the session.
    public var session: Limit?

    public init() {}

    public static func == (left: Self, right: Self) -> Bool {
        left.model?.name == right.model?.name && left.model?.by == right.model?.by && left.tools == right.tools
            && left.output == right.output && left.input == right.input && left.total == right.total
            && left.session == right.session
    }
}

/// What people have set for callers. The gateway asks with each call, and does not know who decides.
public protocol CallPolicy: Sendable {
    /// From memory; `nil` where the store has to be asked first.
    func known(_ subject: CallSubject) -> CallOrders?
    /// What can be found: where the store cannot be read, what is known without it.
    func find(_ subject: CallSubject) async -> CallOrders
}
