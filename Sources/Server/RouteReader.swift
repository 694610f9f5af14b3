import Control
import Kernel
import Synchronization
import Telemetry

/// Reads Reeve's own interface from within, as a viewer would: for the questions of runbooks. It changes nothing.
final class RouteReader: RunbookReading {
    /// Bytes of an answer.
    static let bytesMax = 4 << 20
    private static let roots = ["/api/v1/", "\(QueryRoutes.root)/api/v1/"]

    private let make: @Sendable () -> [Route]
    private let limits: Limits
    private let known = Mutex<RouteTable?>(nil)

    init(limits: Limits, _ make: @escaping @Sendable () -> [Route]) {
        (self.limits, self.make) = (limits, make)
    }

    private var table: RouteTable {
        if let table = known.withLock({ $0 }) { return table }
        let table = RouteTable(make())
        known.withLock { $0 = table }
        return table
    }

    func get(_ path: String) async throws -> JSONValue {
        let parts = path.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard Self.roots.contains(where: parts[0].hasPrefix),
            case .found(let route, let parameters) = table.match(.get, parts[0]),
            route.permission.admits(.viewer), !route.waits
        else { throw Problem.notFound("address to read", path) }
        let viewer = Principal(keyID: "system", name: "reeve", role: .viewer)
        guard let query = PercentCoding.pairs(Array((parts.count > 1 ? parts[1] : "").utf8)) else {
            throw Problem.invalid("path", "its query cannot be read")
        }
        let request = APIRequest(
            method: .get, route: route.path, path: parts[0], parameters: parameters, query: query, principal: viewer,
            limits: limits)
        let reply = try await route.handler(request)
        guard case .bytes(let bytes) = reply.body, bytes.count <= Self.bytesMax else {
            throw Problem.invalid("path", "its answer is no document of \(Self.bytesMax) bytes at most")
        }
        let answer = try JSONParser.parse(bytes, depthMax: Limits.jsonDepthStored)
        guard reply.status < 400 else {
            throw Problem.invalid("path", answer["error"]?.string ?? answer["detail"]?.string ?? "it was refused")
        }
        return answer
    }
}
