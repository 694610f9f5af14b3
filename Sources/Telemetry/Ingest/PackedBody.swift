import Kernel

extension APIRequest {
    /// The body, unpacked where its `Content-Encoding` says that it is packed.
    ///
    /// - Parameter room: Has what comes of it, until the request is done with.
    /// - Throws: ``Problem``: 400 for what is not packed so, 413 beyond ``TelemetryLimits/bodyBytes``, 415 for an
    ///   encoding that is not read here. ``TelemetryIngest/Fault/crowded`` where there is no room.
    func unpackedBody(_ room: BodyRoom.Lease) throws -> [UInt8] {
        let coding = headers["content-encoding"]?.lowercased() ?? "identity"
        switch coding {
        case "identity", "":
            guard room.take(body.count) else { throw TelemetryIngest.Fault.crowded }
            return body
        case "gzip":
            do { return try Gzip.unpack(body, max: TelemetryLimits.bodyBytes, hasRoom: room.take) } catch {
                switch error {
                case .noRoom: throw TelemetryIngest.Fault.crowded
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
        case .crowded:
            Problem(
                .overloaded, "Too many bodies are read at this moment.",
                retryAfterSeconds: BodyRoom.retryAfterSeconds)
        case .overloaded:
            Problem(.overloaded, "There is no room for more telemetry at this moment.", retryAfterSeconds: 2)
        case .failed(let text):
            Problem(
                .overloaded, "Telemetry cannot be kept at this moment.", retryAfterSeconds: 3,
                cause: Spool.Fault.failed(text))
        }
    }
}
