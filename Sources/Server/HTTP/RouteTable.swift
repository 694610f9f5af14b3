import Kernel

/// Finds the route of a path: a look-up for fixed paths, a walk along the segments for those with placeholders.
///
/// A fixed segment wins over a placeholder. A last segment `{name*}` takes the rest of the path.
struct RouteTable: Sendable {
    enum Match {
        case found(Route, parameters: [String: String])
        /// The path exists, but not with this method.
        case otherMethods([APIRequest.Method])
        case none
        /// A segment cannot be decoded.
        case malformed
    }

    /// The routes of one path, by method.
    private struct Endpoint: Sendable {
        var routes: [(method: APIRequest.Method, route: Route, placeholders: [String])] = []
    }

    private struct Node: Sendable {
        var fixed: [Substring: Int] = [:]
        var placeholder: Int?
        var rest: Endpoint?
        var endpoint: Endpoint?
    }

    private var exact: [String: Endpoint] = [:]
    private var nodes: [Node] = [Node()]

    /// Two routes of the same method and shape are a mistake in the code.
    init(_ routes: [Route]) {
        for route in routes {
            if route.path.contains("{") {
                add(route)
            } else {
                Self.insert(route, [], into: &exact[route.path, default: Endpoint()])
            }
        }
    }

    private static func insert(_ route: Route, _ placeholders: [String], into endpoint: inout Endpoint) {
        precondition(
            !endpoint.routes.contains { $0.method == route.method },
            "two routes for \(route.method.rawValue) \(route.path)")
        endpoint.routes.append((route.method, route, placeholders))
    }

    private mutating func add(_ route: Route) {
        var index = 0
        var placeholders: [String] = []
        for segment in route.path.split(separator: "/") {
            if segment.hasSuffix("*}") {
                placeholders.append(String(segment.dropFirst().dropLast(2)))
                var rest = nodes[index].rest ?? Endpoint()
                Self.insert(route, placeholders, into: &rest)
                nodes[index].rest = rest
                return
            }
            let isPlaceholder = segment.hasPrefix("{")
            if isPlaceholder { placeholders.append(String(segment.dropFirst().dropLast())) }
            let known = isPlaceholder ? nodes[index].placeholder : nodes[index].fixed[segment]
            let next = known ?? nodes.count
            if known == nil {
                nodes.append(Node())
                if isPlaceholder { nodes[index].placeholder = next } else { nodes[index].fixed[segment] = next }
            }
            index = next
        }
        var endpoint = nodes[index].endpoint ?? Endpoint()
        Self.insert(route, placeholders, into: &endpoint)
        nodes[index].endpoint = endpoint
    }

    /// - Parameters:
    ///   - method: `nil` for a method that no route has.
    ///   - path: As it came, percent-encoded.
    func match(_ method: APIRequest.Method?, _ path: String) -> Match {
        if let endpoint = exact[path] { return pick(method, endpoint, []) }
        guard path.utf8.first == UInt8(ascii: "/") else { return .malformed }
        let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        var values: [Substring] = []
        guard let endpoint = walk(0, segments[...], &values) else { return .none }
        return pick(method, endpoint, values)
    }

    private func walk(_ index: Int, _ segments: ArraySlice<Substring>, _ values: inout [Substring]) -> Endpoint? {
        guard let segment = segments.first else { return nodes[index].endpoint }
        let remaining = segments.dropFirst()
        if let next = nodes[index].fixed[segment], let found = walk(next, remaining, &values) { return found }
        guard !segment.isEmpty else { return nil }
        if let next = nodes[index].placeholder {
            values.append(segment)
            if let found = walk(next, remaining, &values) { return found }
            values.removeLast()
        }
        guard let rest = nodes[index].rest, let last = segments.last else { return nil }
        values.append(segment.base[segment.startIndex..<last.endIndex])
        return rest
    }

    private func pick(_ method: APIRequest.Method?, _ endpoint: Endpoint, _ values: [Substring]) -> Match {
        guard let entry = endpoint.routes.first(where: { $0.method == method }) else {
            return .otherMethods(endpoint.routes.map(\.method))
        }
        guard !values.isEmpty else { return .found(entry.route, parameters: [:]) }
        var parameters: [String: String] = [:]
        for (name, value) in zip(entry.placeholders, values) {
            guard let text = PercentCoding.decode(value.utf8) else { return .malformed }
            parameters[name] = text
        }
        return .found(entry.route, parameters: parameters)
    }
}
