import Synchronization

/// The pieces that a file was asked for last, as an agent sends those of its last turn again; and which ones the file
/// may have at all, as most texts are new.
final class RecentPieces: Sendable {
    /// Pieces that are remembered at least, and half of those at most.
    static let piecesMax = 32_768
    /// With a million pieces in it, one in forty of the others is taken for one of them.
    private static let filterOrder = 23

    private struct State {
        var young: [PieceName: Int64] = [:]
        /// Those that were young before: what is not asked for meanwhile is forgotten with them.
        var old: [PieceName: Int64] = [:]
        /// The upper halves of all names; made when the first is asked for.
        var filter: TraceFilter?
        /// Changes by others that the file had seen.
        var version: Int64?
    }

    private let state = Mutex(State())

    /// Forgets all if another connection has changed the file since.
    ///
    /// - Parameter version: SQLite's `data_version` (sqlite.org/pragma.html).
    func check(_ version: Int64) {
        state.withLock { state in
            if state.version != version { state = State(version: version) }
        }
    }

    func id(of name: PieceName) -> Int64? {
        state.withLock { state in
            if let id = state.young[name] { return id }
            guard let id = state.old[name] else { return nil }
            Self.insert(name, id, &state)
            return id
        }
    }

    /// Whether the file may have a piece.
    ///
    /// - Parameter learn: Shows the upper halves of the names of all that it has.
    func mayHave(_ name: PieceName, learn: ((Int64) -> Void) throws -> Void) rethrows -> Bool {
        try state.withLock { state in
            if state.filter == nil {
                var filter = TraceFilter(order: Self.filterOrder)
                try learn { filter.insert($0) }
                state.filter = filter
            }
            return state.filter?.mayContain(Int64(bitPattern: name.high)) ?? true
        }
    }

    /// Remembers pieces, once they are there for good.
    func insert(_ pieces: [PieceName: Int64]) {
        state.withLock { state in for (name, id) in pieces { Self.insert(name, id, &state) } }
    }

    func forget() { state.withLock { $0 = State() } }

    private static func insert(_ name: PieceName, _ id: Int64, _ state: inout State) {
        state.filter?.insert(Int64(bitPattern: name.high))
        state.young[name] = id
        guard state.young.count >= piecesMax else { return }
        state.old = state.young
        state.young = [:]
    }
}
