import Kernel
import Telemetry

extension APIReply {
    /// Smaller bodies fit into one packet, packed or not.
    static let packedBytesMin = 1_400

    /// Packed with gzip where the client says that it takes it, and it pays: what was asked for with a key and is text.
    ///
    /// Pages are not: packed, their length would tell what they hold beside what somebody has put into them (BREACH,
    /// Gluck, Harris and Prado, 2013). Nor is what has an entity tag, which would be that of other bytes.
    func packed(for visit: Admission.Visit) -> APIReply {
        guard case .bytes(let bytes) = body, bytes.count >= Self.packedBytesMin, status == 200,
            visit.head.methodName == "GET" || visit.head.methodName == "HEAD",
            visit.head.headers["cookie"] == nil, visit.head.headers["accept-encoding"].map(Self.takesGzip) == true,
            headers.allSatisfy({ $0.name != "etag" && $0.name != "content-encoding" }),
            headers.contains(where: { $0.name == "content-type" && Self.isText($0.value) })
        else { return self }
        var reply = self
        reply.body = .bytes(Gzip.pack(bytes))
        reply.headers += [("content-encoding", "gzip"), ("vary", "accept-encoding")]
        return reply
    }

    private static func isText(_ type: String) -> Bool {
        ["application/json", "application/problem+json", "application/openmetrics-text", "text/plain"]
            .contains { type.hasPrefix($0) }
    }

    /// Whether `Accept-Encoding` names gzip, or all, with a quality above zero (RFC 9110 §12.5.3).
    static func takesGzip(_ header: String) -> Bool {
        guard header.utf8.count <= acceptBytesMax else { return false }
        var named: Bool?
        var others = false
        for part in header.lowercased().split(separator: ",") {
            let words = part.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" } }
            let isTaken = !words.dropFirst().contains { word in
                word.hasPrefix("q=") && Double(word.dropFirst(2)) == 0
            }
            switch words.first {
            case "gzip", "x-gzip": named = isTaken
            case "*": others = isTaken
            default: break
            }
        }
        return named ?? others
    }

    private static let acceptBytesMax = 1_024
}
