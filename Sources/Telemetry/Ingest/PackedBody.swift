import Kernel

extension APIRequest {
    /// The body, unpacked where its `Content-Encoding` says that it is packed.
    ///
    /// - Throws: ``Problem``: 400 for what is not packed so, 413 beyond ``TelemetryLimits/bodyBytes``, 415 for an
    ///   encoding that is not read here.
    func unpackedBody() throws -> [UInt8] {
        let coding = headers["content-encoding"]?.lowercased() ?? "identity"
        switch coding {
        case "identity", "": return body
        case "gzip":
            do { return try Gzip.unpack(body, max: TelemetryLimits.bodyBytes) } catch {
                switch error {
                case .malformed:
                    throw Problem(
                        .badRequest, "The body is not gzip, though its Content-Encoding says so.",
                        hint: "Leave Content-Encoding out for a plain body.")
                case .tooLarge: throw Self.tooLarge
                }
            }
        default:
            throw Problem(
                .unsupportedMedia, "\"\(coding.prefix(80))\" is no Content-Encoding of this door.",
                hint: "Send gzip or a plain body.")
        }
    }

    static var tooLarge: Problem {
        Problem(
            .bodyTooLarge, "Unpacked, the body has more than \(TelemetryLimits.bodyBytes) bytes.",
            hint: "Send fewer records a request.")
    }

    /// The media type without its parameters, in lower case; empty where there is none.
    var mediaType: String {
        let type = headers["content-type"]?.split(separator: ";").first.map(String.init) ?? ""
        return type.filter { $0 != " " }.lowercased()
    }
}

extension TelemetryIngest.Fault {
    /// What a sender hears.
    ///
    /// - Parameter what: What the body should have been.
    func problem(_ what: String, hint: String) -> Problem {
        switch self {
        case .malformed: Problem(.badRequest, "The body is no \(what).", hint: hint)
        case .tooLarge:
            Problem(
                .bodyTooLarge, "The request has more bytes than the spool may take.",
                hint: "Send fewer records a request, or raise telemetry.spoolBytes.")
        case .overloaded:
            Problem(.overloaded, "There is no room for more telemetry at this moment.", retryAfterSeconds: 2)
        case .failed(let text):
            Problem(
                .overloaded, "Telemetry cannot be kept at this moment.", retryAfterSeconds: 3,
                cause: Spool.Fault.failed(text))
        }
    }
}
