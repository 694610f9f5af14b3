import Kernel

extension CallStore {
    /// What of a call leads to those who leaned on its provider.
    enum Leaning: Sendable {
        case agent, model

        fileprivate var column: SQLText {
            switch self {
            case .agent: "agent"
            case .model: "model"
            }
        }
    }

    /// Agents, or models, with a call among the newest of a time that a provider was asked for last.
    ///
    /// Steps from name to name in the index: whoever floods hides nobody.
    static func leaning(
        _ kind: Leaning, on provider: String, _ times: Range<Timestamp>, depth: Int, limit: Int
    ) -> SQLText {
        let (name, start) = (kind.column, "\(provider)/")
        return """
            WITH RECURSIVE names (name) AS (
              SELECT MIN(\(sql: name)) FROM calls WHERE \(sql: name) IS NOT NULL
              UNION ALL
              SELECT (
                SELECT MIN(\(sql: name)) FROM calls WHERE \(sql: name) IS NOT NULL AND \(sql: name) > names.name)
              FROM names WHERE names.name IS NOT NULL)
            SELECT name FROM names WHERE name IS NOT NULL AND EXISTS (
              SELECT 1 FROM (
                SELECT id, target FROM calls
                WHERE calls.\(sql: name) = names.name AND calls.id >= \(firstID(at: times.lowerBound))
                  AND calls.id < \(firstID(at: times.upperBound))
                ORDER BY calls.id DESC LIMIT \(depth)) AS latest
              WHERE substr(latest.target, 1, CAST(\(start.unicodeScalars.count) AS INTEGER)) = \(start))
            LIMIT \(limit)
            """
    }
}

extension CallService {
    /// Calls of each agent, and of each model, that are looked at: the newest.
    static let leaningDepth = 1_000

    /// Agents, or models, that leaned on a provider within a time: one of the newest ``leaningDepth`` calls of each
    /// went there.
    static func leaning(
        _ kind: CallStore.Leaning, on provider: String, _ times: Range<Timestamp>, in transaction: Transaction
    ) throws -> Set<String> {
        let rows = try transaction.rows(
            CallStore.leaning(kind, on: provider, times, depth: leaningDepth, limit: callersMax))
        return Set(rows.map { $0.text("name") })
    }
}
