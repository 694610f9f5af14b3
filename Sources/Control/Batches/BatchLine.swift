import Kernel

/// One request of a batch.
struct BatchLine: Sendable, Equatable {
    enum State: String, Sendable, CaseIterable {
        case waiting, succeeded, errored, canceled, expired
    }

    /// What is wrong with a request that no model was asked for.
    struct Flaw: Sendable, Equatable {
        var code: String
        var message: String
        var param: String?

        init(_ code: String, _ message: String, param: String? = nil) {
            self.code = code
            self.message = message
            self.param = param
        }

        init(_ json: JSONValue) {
            code = json["code"]?.string ?? ""
            message = json["message"]?.string ?? ""
            param = json["param"]?.string
        }

        var json: JSONValue { ["code": .string(code), "message": .string(message), "param": .of(param)] }

        /// `error.type` as Anthropic names it.
        var anthropicType: String {
            switch code {
            case Self.keyRevoked.code: "authentication_error"
            case Self.tooMuchOutput.code: "request_too_large"
            default: "invalid_request_error"
            }
        }

        static let keyRevoked = Flaw(
            "invalid_api_key", "The key that made this batch is no longer in force, so the rest was not asked.")
        static let tooMuchOutput = Flaw(
            "output_too_large",
            "The results of this batch have reached \(BatchPolicy.resultBytesMax) bytes. Send the rest anew."
        )
    }

    /// From 1, in the order of the file.
    let number: Int64
    /// `nil` where the line has none that can be read.
    let customID: String?
    var state = State.waiting
    var tries: Int64 = 0
    /// The body of the request; `nil` where it has none, or was answered.
    var body: [UInt8]?
    /// The line of the output; made from ``flaw`` or the state where it is `nil`.
    var result: [UInt8]?
    var flaw: Flaw?
}
